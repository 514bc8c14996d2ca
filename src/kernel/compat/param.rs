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

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::addr::Vaddr;
use crate::compat::exports::PARAMETERS;
use crate::loader::params::{
    self, Memory, Param, ParamError, ParamFault, ParamType, Store, Stored,
};
use crate::machine::lock::Mutex;
use crate::machine::memory::{self, Block};

/// `int (*set)(const char *value, const struct kernel_param *param)`, or `get` with
/// the buffer for the text.
type Operation = extern "C" fn(u64, u64) -> i32;

macro_rules! functions {
    ($($number:literal)*) => { [$((set::<$number>, get::<$number>)),*] };
}

/// The functions of each type, in the order of [`PARAMETERS`].
const FUNCTIONS: [(Operation, Operation); PARAMETERS.len()] =
    functions!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// Four doublewords each: flags, set, get, free.
static TABLES: [[AtomicU64; 4]; PARAMETERS.len()] =
    [const { [const { AtomicU64::new(0) }; 4] }; PARAMETERS.len()];

/// Offset of `arg` in `struct kernel_param`.
const ARG: i64 = 32;
/// Bytes that a `get` may write: a page, as in Linux.
pub const SHOWN_MAX: usize = 4096;

fn address(index: usize) -> Vaddr {
    Vaddr(TABLES[index].as_ptr() as u64)
}

/// C name and address of each table and function; fills the tables.
pub fn exports() -> impl Iterator<Item = (&'static str, Vaddr)> {
    let all = PARAMETERS.iter().enumerate().flat_map(|(index, (table, set_name, get_name))| {
        let (set, get) = FUNCTIONS[index];
        let (set, get) = (set as usize as u64, get as usize as u64);
        TABLES[index][1].store(set, Ordering::Relaxed);
        TABLES[index][2].store(get, Ordering::Relaxed);
        [(*table, address(index)), (*set_name, Vaddr(set)), (*get_name, Vaddr(get))]
    });
    all.filter(|(name, _)| !name.is_empty())
}

/// The type whose table is at `ops`.
#[optimize(size)]
pub fn type_of(ops: Vaddr) -> Option<ParamType> {
    let index = (0..PARAMETERS.len()).find(|index| address(*index) == ops)?;
    ParamType::of_export(PARAMETERS[index].0)
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
pub extern "C" fn set_uint_minmax(text: u64, param: u64, min: u32, max: u32) -> i32 {
    const UINT: usize = 4;
    let value = text_at(Vaddr(text)).and_then(|text| params::parse_u32(text.trim_ascii_end()));
    match value {
        Some(value) if value >= min && value <= max => set::<UINT>(text, param),
        _ => EINVAL,
    }
}

/// The texts that `charp` variables point to, by the variable's address.
static TEXTS: Mutex<Vec<(u64, Block)>> = Mutex::new(Vec::new());

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
                keep(at.0, block);
                true
            }
        }
    })
}

fn keep(at: u64, block: Block) {
    let mut texts = TEXTS.lock();
    match texts.iter_mut().find(|(known, _)| *known == at) {
        Some((_, old)) => *old = block,
        None => texts.push((at, block)),
    }
}

/// True if a variable in this part of memory points to a text that is kept here.
pub fn has_text_in(part: &Range<Vaddr>) -> bool {
    TEXTS.lock().iter().any(|(at, _)| part.contains(&Vaddr(*at)))
}

/// Gives back the texts of variables in a range that goes.
pub fn forget(start: Vaddr, len: u64) {
    let mut texts = TEXTS.lock();
    texts.retain(|(at, _)| at.wrapping_sub(start.0) >= len);
    texts.shrink_to_fit(); // `mem` is the same before and after
}
