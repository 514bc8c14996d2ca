//! `param_ops_*`, `param_set_*`, `param_get_*`: the types that a parameter may have.
//!
//! In Linux each type is a table of functions. A module takes the table's address,
//! by which the loader knows what to do without calling anything; and it calls the
//! functions from operations of its own, which check a value and then store it as
//! one of these types. So the tables have the functions in them, and both ways end
//! in `loader::params`.
//!
//! A `charp` points to a copy of its value, kept here by the variable's address until
//! it gets another or its module goes.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::addr::Vaddr;
use crate::loader::params::{
    self, Memory, Param, ParamError, ParamFault, ParamType, Store, Stored,
};
use crate::machine::lock::Mutex;
use crate::machine::memory::{self, Block};

/// `int (*set)(const char *value, const struct kernel_param *param)`, or `get` with
/// the buffer for the text.
type Operation = extern "C" fn(u64, u64) -> i32;

/// A type: the name of its table, and of its two functions.
struct Type {
    table: &'static str,
    set: (&'static str, Operation),
    get: (&'static str, Operation),
}

macro_rules! types {
    ($($number:literal $table:literal $set:literal $get:literal,)*) => {
        [$(Type {
            table: $table,
            set: ($set, set::<$number>),
            get: ($get, get::<$number>),
        }),*]
    };
}

/// Types in the order of [`TABLES`].
const TYPES: [Type; 16] = types! {
    0 "param_ops_byte" "param_set_byte" "param_get_byte",
    1 "param_ops_short" "param_set_short" "param_get_short",
    2 "param_ops_ushort" "param_set_ushort" "param_get_ushort",
    3 "param_ops_int" "param_set_int" "param_get_int",
    4 "param_ops_uint" "param_set_uint" "param_get_uint",
    5 "param_ops_long" "param_set_long" "param_get_long",
    6 "param_ops_ulong" "param_set_ulong" "param_get_ulong",
    7 "param_ops_ullong" "param_set_ullong" "param_get_ullong",
    8 "param_ops_hexint" "param_set_hexint" "param_get_hexint",
    9 "param_ops_charp" "param_set_charp" "param_get_charp",
    10 "param_ops_bool" "param_set_bool" "param_get_bool",
    11 "param_ops_invbool" "param_set_invbool" "param_get_invbool",
    12 "param_ops_bool_enable_only" "param_set_bool_enable_only" "",
    13 "param_ops_bint" "param_set_bint" "",
    14 "param_ops_string" "param_set_copystring" "param_get_string",
    15 "param_array_ops" "" "",
};

/// Four doublewords each: flags, set, get, free.
static TABLES: [[AtomicU64; 4]; TYPES.len()] =
    [const { [const { AtomicU64::new(0) }; 4] }; TYPES.len()];

/// Offset of `arg` in `struct kernel_param`.
const ARG: i64 = 32;
/// Bytes that a `get` may write: a page, as in Linux.
pub const SHOWN_MAX: usize = 4096;

fn address(index: usize) -> Vaddr {
    Vaddr(TABLES[index].as_ptr() as u64)
}

/// C name and address of each table and function; fills the tables.
pub fn exports() -> impl Iterator<Item = (&'static str, Vaddr)> {
    let all = TYPES.iter().enumerate().flat_map(|(index, kind)| {
        let (set, get) = (kind.set.1 as usize as u64, kind.get.1 as usize as u64);
        TABLES[index][1].store(set, Ordering::Relaxed);
        TABLES[index][2].store(get, Ordering::Relaxed);
        let functions = [(kind.set.0, Vaddr(set)), (kind.get.0, Vaddr(get))];
        functions.into_iter().chain([(kind.table, address(index))])
    });
    let more = ("param_set_uint_minmax", Vaddr(set_uint_minmax as *const () as u64));
    all.filter(|(name, _)| !name.is_empty()).chain([more])
}

/// The type whose table is at `ops`.
pub fn type_of(ops: Vaddr) -> Option<ParamType> {
    let index = (0..TYPES.len()).find(|index| address(*index) == ops)?;
    ParamType::of_export(TYPES[index].table)
}

/// All of memory: a function of C's may be given anything.
fn anything() -> Memory<'static> {
    Memory::Live { base: Vaddr(0), len: u64::MAX, read: &memory::read }
}

/// The C string at an address.
pub fn text_at(at: Vaddr) -> Option<String> {
    let bytes = memory::read_cstr(at, SHOWN_MAX)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A parameter as the functions are given it: only its variable matters.
fn given(index: usize, param: u64) -> Option<Param<'static>> {
    let entry = Vaddr(param);
    let arg = Vaddr(memory::read_u64(entry.offset(ARG))?);
    Some(Param { name: "", entry, ops: address(index), arg, perm: 0 })
}

const EINVAL: i32 = -22;
const ERANGE: i32 = -34;
const ENOMEM: i32 = -12;

extern "C" fn set<const INDEX: usize>(text: u64, param: u64) -> i32 {
    set_as(INDEX, text, param).unwrap_or(EINVAL)
}

fn set_as(index: usize, text: u64, param: u64) -> Option<i32> {
    let param = given(index, param)?;
    let text = if text == 0 { None } else { Some(text_at(Vaddr(text))?) };
    // Through a control file a line end comes with it.
    let text = text.as_deref().map(|text| text.strip_suffix('\n').unwrap_or(text));
    let stores = match params::plan_param(&param, text, &type_of, anything()) {
        Ok(stores) => stores,
        Err(ParamError { fault: ParamFault::OutOfRange { .. }, .. }) => return Some(ERANGE),
        Err(_) => return Some(EINVAL),
    };
    Some(if carry_out(stores) { 0 } else { ENOMEM })
}

extern "C" fn get<const INDEX: usize>(buffer: u64, param: u64) -> i32 {
    get_as(INDEX, buffer, param).unwrap_or(EINVAL)
}

fn get_as(index: usize, buffer: u64, param: u64) -> Option<i32> {
    let param = given(index, param)?;
    let mut text = params::show_param(&param, &type_of, anything(), &text_at).ok()?;
    text.truncate(SHOWN_MAX - 1);
    let len = text.len() as i32;
    text.push('\0');
    memory::write_for_module(Vaddr(buffer), text.as_bytes()).then_some(len)
}

/// `param_set_uint_minmax(value, param, min, max)`.
extern "C" fn set_uint_minmax(text: u64, param: u64, min: u32, max: u32) -> i32 {
    const UINT: usize = 4;
    let value = text_at(Vaddr(text)).and_then(|text| params::parse_u32(text.trim_end()));
    match value {
        Some(value) if value >= min && value <= max => set::<UINT>(text, param),
        _ => EINVAL,
    }
}

/// The texts that `charp` variables point to, by the variable's address.
static TEXTS: Mutex<BTreeMap<u64, Block>> = Mutex::new(BTreeMap::new());

/// Stores what was planned; false if there is no memory, or a place is refused.
pub fn carry_out(stores: impl IntoIterator<Item = Store>) -> bool {
    stores.into_iter().all(|Store { at, what }| match what {
        Stored::Bytes(bytes) => memory::write_for_module(at, &bytes),
        Stored::AddressOf(text) => {
            let Some(mut block) = Block::take(text.len()) else { return false };
            block.fill(&text);
            let stored = memory::write_for_module(at, &block.start().0.to_le_bytes());
            // The one before is dropped: nothing points to it any more.
            stored && {
                TEXTS.lock().insert(at.0, block);
                true
            }
        }
    })
}

/// Gives back the texts of variables in a range that goes.
pub fn forget(start: Vaddr, len: u64) {
    let mut texts = TEXTS.lock();
    texts.retain(|at, _| at.wrapping_sub(start.0) >= len);
    if texts.is_empty() {
        *texts = BTreeMap::new(); // a map that has become empty keeps a node
    }
}
