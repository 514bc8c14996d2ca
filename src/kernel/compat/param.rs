//! `param_ops_*`: addresses by which a module says what type a parameter has.
//!
//! In Linux these are tables of functions; a module only takes their addresses,
//! so here each is a doubleword of its own, and the loader's `ParamType` knows
//! what to do.

use core::sync::atomic::AtomicU64;

use crate::addr::Vaddr;

/// Names in the order of [`PLACES`].
const NAMES: [&str; 15] = [
    "param_ops_byte",
    "param_ops_short",
    "param_ops_ushort",
    "param_ops_int",
    "param_ops_uint",
    "param_ops_long",
    "param_ops_ulong",
    "param_ops_ullong",
    "param_ops_hexint",
    "param_ops_charp",
    "param_ops_bool",
    "param_ops_invbool",
    "param_ops_bool_enable_only",
    "param_ops_string",
    "param_array_ops",
];

/// Four doublewords each, as Linux's structure has.
static PLACES: [[AtomicU64; 4]; NAMES.len()] =
    [const { [const { AtomicU64::new(0) }; 4] }; NAMES.len()];

fn address(index: usize) -> Vaddr {
    Vaddr(PLACES[index].as_ptr() as u64)
}

/// C name and address of each.
pub fn exports() -> impl Iterator<Item = (&'static str, Vaddr)> {
    NAMES.iter().enumerate().map(|(index, name)| (*name, address(index)))
}

/// The name whose address is `ops`.
pub fn name_of(ops: Vaddr) -> Option<&'static str> {
    exports().find(|(_, at)| *at == ops).map(|(name, _)| name)
}
