//! `param_ops_*`: addresses by which a module says what type a parameter has.
//!
//! In Linux these are tables of functions; a module only takes their addresses,
//! so here each is a doubleword of its own, and the loader's `ParamType` knows
//! what to do.

use core::sync::atomic::AtomicU64;

use crate::addr::Vaddr;
use crate::compat::exports::PARAMETERS;

/// Four doublewords for each name, as Linux's structure has.
static PLACES: [[AtomicU64; 4]; PARAMETERS.len()] =
    [const { [const { AtomicU64::new(0) }; 4] }; PARAMETERS.len()];

fn address(index: usize) -> Vaddr {
    Vaddr(PLACES[index].as_ptr() as u64)
}

/// C name and address of each.
pub fn exports() -> impl Iterator<Item = (&'static str, Vaddr)> {
    PARAMETERS.iter().enumerate().map(|(index, name)| (*name, address(index)))
}

/// The name whose address is `ops`.
pub fn name_of(ops: Vaddr) -> Option<&'static str> {
    exports().find(|(_, at)| *at == ops).map(|(name, _)| name)
}
