//! Module parameters: Linux's `__param` table, and what to store for a value
//! given on the `insmod` line.
//!
//! ```text
//!  __param entry, 40 bytes                 how `arg` is read, said by `ops`
//!   +0  name    -> "numdummies"             param_ops_int      one int
//!   +8  module                              param_ops_string   {u32 size; char *text}
//!   +16 ops     -> param_ops_int            param_array_ops    {u32 max, u32 step, u32 *count,
//!   +24 u16 perm, s8 level, u8 flags                            ops, elements}
//!   +32 arg     -> the variable
//! ```
//!
//! Nothing is stored here: [`plan_param`] says which bytes go where, the kernel
//! stores them, between link and init or through the parameter's control file, and
//! [`show_param`] reads them back. The type is known from the address of the
//! operations, which the kernel exports under the names above; their contents
//! are never used.
//!
//! # References
//! Linux's `include/linux/moduleparam.h` (layouts), `kernel/params.c` (which
//! spellings a number or a truth value may have).

use alloc::{string::String, vec::Vec};
use core::fmt::{self, Write as _};

use super::{
    elf::{Object, text_at},
    layout::{Group, Layout},
};
use crate::addr::Vaddr;

/// Bytes in one entry of `__param`.
const ENTRY: u64 = 40;
/// Most elements of an array that are shown.
const ELEMENTS_MAX: u32 = 1024;
/// Longest value for a `charp`, as in Linux.
const TEXT_MAX: usize = 1024;

/// One parameter of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its entry in the table: what operations of the module's own are called with.
    pub entry: Vaddr,
    /// The operations that say its type.
    pub ops: Vaddr,
    /// The variable, or the description of a string or an array.
    pub arg: Vaddr,
    /// Access bits of its control file; 0 is none.
    pub perm: u16,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// A number of these bytes.
    Number {
        /// Bytes.
        width: u32,
        /// Whether it can be negative.
        signed: bool,
    },
    /// A number of four bytes, shown in hexadecimal.
    Hex,
    /// A truth value in one byte.
    Bool,
    /// The same, once on never off again.
    BoolEnable,
    /// The opposite of the text, in one byte.
    InvBool,
    /// A truth value in an `int`.
    BoolInt,
    /// A pointer to a text.
    CharP,
    /// A text in a buffer of fixed size.
    Text,
    /// Several values, separated by commas.
    Array,
}

/// Something to store before the module's init runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Where; inside the module's image.
    pub at: Vaddr,
    /// What.
    pub what: Stored,
}

/// What to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The address of these bytes (a text with its NUL), which must be kept as
    /// long as the module is loaded.
    AddressOf(Vec<u8>),
}

impl Stored {
    /// Bytes that it takes in the variable.
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::AddressOf(_) => 8,
        }
    }
}

/// A parameter that was refused; nothing has been stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamError {
    /// The parameter.
    pub name: String,
    /// Why.
    pub fault: ParamFault,
}

/// Why a parameter was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamFault {
    /// The module has no such parameter.
    NoSuch,
    /// It needs a value.
    NoValue,
    /// Not a number.
    NotANumber {
        /// The value.
        text: String,
    },
    /// A number that does not fit.
    OutOfRange {
        /// The value.
        text: String,
        /// Lowest.
        min: i64,
        /// Highest.
        max: u64,
    },
    /// Not a truth value.
    NotABool {
        /// The value.
        text: String,
    },
    /// A text that does not fit.
    TooLong {
        /// Its bytes, with the NUL.
        len: usize,
        /// Bytes that there are.
        max: usize,
    },
    /// More values than an array has room for.
    TooMany {
        /// Values.
        count: usize,
        /// Room.
        max: usize,
    },
    /// It is on, and cannot be turned off.
    StaysOn,
    /// Its operations are none of the kernel's.
    UnknownType {
        /// Their address.
        ops: Vaddr,
    },
    /// The table is not a whole number of entries.
    PartialEntry {
        /// Bytes in the section.
        size: u64,
    },
    /// The table, or what it points to, is not in the module.
    BadTable,
    /// Its variable lies in the module's code or among its constants.
    Fixed,
}

impl ParamType {
    /// The type whose operations the kernel exports as `export`.
    #[must_use]
    pub fn of_export(export: &str) -> Option<Self> {
        let number = |width, signed| Self::Number { width, signed };
        Some(match export {
            "param_ops_byte" => number(1, false),
            "param_ops_short" => number(2, true),
            "param_ops_ushort" => number(2, false),
            "param_ops_int" => number(4, true),
            "param_ops_uint" => number(4, false),
            "param_ops_hexint" => Self::Hex,
            "param_ops_long" => number(8, true),
            "param_ops_ulong" | "param_ops_ullong" => number(8, false),
            "param_ops_bool" => Self::Bool,
            "param_ops_bool_enable_only" => Self::BoolEnable,
            "param_ops_invbool" => Self::InvBool,
            "param_ops_bint" => Self::BoolInt,
            "param_ops_charp" => Self::CharP,
            "param_ops_string" => Self::Text,
            "param_array_ops" => Self::Array,
            _ => return None,
        })
    }
}

/// The memory of a linked module, as far as parameters need it.
#[derive(Clone, Copy)]
pub enum Memory<'i> {
    /// An image that nobody runs yet.
    Image {
        /// Address of the first byte.
        base: Vaddr,
        /// The bytes.
        image: &'i [u8],
    },
    /// Memory of a module that runs.
    Live {
        /// Address of the first byte.
        base: Vaddr,
        /// Bytes.
        len: u64,
        /// Copies bytes from an address; false if they cannot be read.
        read: &'i dyn Fn(Vaddr, &mut [u8]) -> bool,
    },
}

impl Memory<'_> {
    fn base(&self) -> Vaddr {
        let (Self::Image { base, .. } | Self::Live { base, .. }) = self;
        *base
    }

    fn read<const N: usize>(&self, at: Vaddr) -> Option<[u8; N]> {
        match self {
            Self::Image { base, image } => {
                let offset = usize::try_from(at.0.checked_sub(base.0)?).ok()?;
                image.get(offset..)?.first_chunk().copied()
            }
            Self::Live { read, .. } => {
                let mut bytes = [0; N];
                (self.holds(at, N as u64) && read(at, &mut bytes)).then_some(bytes)
            }
        }
    }

    fn read_u32(&self, at: Vaddr) -> Option<u32> {
        self.read(at).map(u32::from_le_bytes)
    }

    fn read_addr(&self, at: Vaddr) -> Option<Vaddr> {
        self.read(at).map(u64::from_le_bytes).map(Vaddr)
    }

    /// True if `len` bytes from `at` are the module's.
    fn holds(&self, at: Vaddr, len: u64) -> bool {
        let offset = at.0.wrapping_sub(self.base().0);
        let all = match self {
            Self::Image { image, .. } => image.len() as u64,
            Self::Live { len, .. } => *len,
        };
        offset.checked_add(len).is_some_and(|end| end <= all)
    }
}

/// Lists the parameters of a linked module.
///
/// # Errors
/// [`ParamFault::BadTable`] if an entry's name is no text of the module.
#[cfg_attr(target_os = "none", optimize(size))]
pub fn list_params<'a>(
    object: &Object<'a>,
    layout: &Layout,
    memory: Memory,
) -> Result<Vec<Param<'a>>, ParamError> {
    let bad = || ParamError { name: "__param".into(), fault: ParamFault::BadTable };
    let Some((index, section)) = object.section("__param") else {
        return Ok(Vec::new());
    };
    let Some(start) = layout.offset_of(index) else {
        return Ok(Vec::new());
    };
    if !section.size().is_multiple_of(ENTRY) {
        let fault = ParamFault::PartialEntry { size: section.size() };
        return Err(ParamError { name: "__param".into(), fault });
    }
    let mut params = Vec::with_capacity(section.data.len() / ENTRY as usize);
    for entry in (0..section.size()).step_by(ENTRY as usize) {
        let base = memory.base();
        let entry = Vaddr(base.0 + u64::from(start) + entry);
        let addr = |offset| memory.read_addr(entry.offset(offset)).ok_or_else(bad);
        let (name, ops, arg) = (addr(0)?, addr(16)?, addr(32)?);
        let perm = memory.read(entry.offset(24)).map(u16::from_le_bytes).ok_or_else(bad)?;
        let text = layout.section_at(object, name.0.wrapping_sub(base.0));
        let text = text.and_then(|(section, offset)| {
            text_at(object.sections()[section].data, u32::try_from(offset).ok()?)
        });
        params.push(Param { name: text.ok_or_else(bad)?, entry, ops, arg, perm });
    }
    Ok(params)
}

/// Finds the parameter called `name`; `-` and `_` are equal, as on Linux.
///
/// # Errors
/// [`ParamFault::NoSuch`].
pub fn find_param<'p, 'a>(
    params: &'p [Param<'a>],
    name: &str,
) -> Result<&'p Param<'a>, ParamError> {
    let same = |left: &str| left.bytes().map(dashes).eq(name.bytes().map(dashes));
    let found = params.iter().find(|param| same(param.name));
    found.ok_or_else(|| ParamError { name: name.into(), fault: ParamFault::NoSuch })
}

fn dashes(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}

/// Plans the stores that give `param` the value `text`; `None` is a name without
/// `=`, which only truth values allow. `type_of` tells the type by the address
/// of the operations.
///
/// # Errors
/// The parameter's name, the value and what would have been right.
pub fn plan_param(
    param: &Param,
    text: Option<&str>,
    type_of: &dyn Fn(Vaddr) -> Option<ParamType>,
    memory: Memory,
) -> Result<Vec<Store>, ParamError> {
    let plan = Plan { type_of, memory };
    let mut stores = Vec::new();
    plan.value(param.ops, param.arg, text, &mut stores)
        .map_err(|fault| ParamError { name: param.name.into(), fault })?;
    Ok(stores)
}

/// Refuses what would go into the code or the constants of the module at `base`,
/// which can still be written while it is loaded.
///
/// # Errors
/// [`ParamFault::Fixed`], with the parameter's name.
pub fn refuse_fixed(
    param: &Param,
    stores: &[Store],
    layout: &Layout,
    base: Vaddr,
) -> Result<(), ParamError> {
    let fixed = [Group::InitText, Group::Text, Group::Rodata].map(|group| layout.group(group));
    let touches = |Store { at, what }: &Store| {
        let offset = at.0.wrapping_sub(base.0);
        let end = offset.saturating_add(what.size());
        fixed.iter().any(|span| offset < span.end() && end > span.offset)
    };
    match stores.iter().any(touches) {
        true => Err(ParamError { name: param.name.into(), fault: ParamFault::Fixed }),
        false => Ok(()),
    }
}

struct Plan<'p> {
    type_of: &'p dyn Fn(Vaddr) -> Option<ParamType>,
    memory: Memory<'p>,
}

impl Plan<'_> {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn value(
        &self,
        ops: Vaddr,
        arg: Vaddr,
        text: Option<&str>,
        stores: &mut Vec<Store>,
    ) -> Result<(), ParamFault> {
        let kind = (self.type_of)(ops).ok_or(ParamFault::UnknownType { ops })?;
        let needed = || text.ok_or(ParamFault::NoValue);
        let what = match kind {
            ParamType::Number { width, signed } => Stored::Bytes(number(needed()?, width, signed)?),
            ParamType::Hex => Stored::Bytes(number(needed()?, 4, false)?),
            ParamType::BoolEnable if !truth(text)? && self.memory.read(arg) == Some([1]) => {
                return Err(ParamFault::StaysOn);
            }
            ParamType::Bool | ParamType::BoolEnable => {
                Stored::Bytes([u8::from(truth(text)?)].into())
            }
            ParamType::InvBool => Stored::Bytes([u8::from(!truth(text)?)].into()),
            ParamType::BoolInt => Stored::Bytes(u32::from(truth(text)?).to_le_bytes().into()),
            ParamType::CharP => Stored::AddressOf(with_nul(needed()?, TEXT_MAX)?),
            ParamType::Text => return self.text(arg, needed()?, stores),
            ParamType::Array => return self.array(arg, needed()?, stores),
        };
        self.store(arg, what, stores)
    }

    /// `struct kparam_string`: the buffer's size, then its address.
    fn text(&self, arg: Vaddr, text: &str, stores: &mut Vec<Store>) -> Result<(), ParamFault> {
        let size = self.memory.read_u32(arg).ok_or(ParamFault::BadTable)?;
        let buffer = self.memory.read_addr(arg.offset(8)).ok_or(ParamFault::BadTable)?;
        self.store(buffer, Stored::Bytes(with_nul(text, size as usize)?), stores)
    }

    /// `struct kparam_array`: room, bytes of an element, where the count goes
    /// (or null), the elements' operations, the elements.
    fn array(&self, arg: Vaddr, text: &str, stores: &mut Vec<Store>) -> Result<(), ParamFault> {
        let bad = ParamFault::BadTable;
        let max = self.memory.read_u32(arg).ok_or(bad.clone())? as usize;
        let step = self.memory.read_u32(arg.offset(4)).ok_or(bad.clone())?;
        let count_at = self.memory.read_addr(arg.offset(8)).ok_or(bad.clone())?;
        let ops = self.memory.read_addr(arg.offset(16)).ok_or(bad.clone())?;
        let elements = self.memory.read_addr(arg.offset(24)).ok_or(bad.clone())?;
        if matches!((self.type_of)(ops), Some(ParamType::Array | ParamType::Text)) {
            return Err(bad); // no compiler makes an array of descriptions
        }
        let count = text.split(',').count();
        if count > max {
            return Err(ParamFault::TooMany { count, max });
        }
        for (index, text) in text.split(',').enumerate() {
            let element = elements.offset(index as i64 * i64::from(step));
            self.value(ops, element, Some(text), stores)?;
        }
        if count_at == Vaddr(0) {
            return Ok(());
        }
        self.store(count_at, Stored::Bytes((count as u32).to_le_bytes().into()), stores)
    }

    fn store(&self, at: Vaddr, what: Stored, stores: &mut Vec<Store>) -> Result<(), ParamFault> {
        if !self.memory.holds(at, what.size()) {
            return Err(ParamFault::BadTable);
        }
        stores.push(Store { at, what });
        Ok(())
    }
}

/// What a parameter's control file shows, with a line end; `text_at` reads a C
/// string.
///
/// # Errors
/// As [`plan_param`].
pub fn show_param(
    param: &Param,
    type_of: &dyn Fn(Vaddr) -> Option<ParamType>,
    memory: Memory,
    text_at: &dyn Fn(Vaddr) -> Option<String>,
) -> Result<String, ParamFault> {
    let show = Show { type_of, memory, text_at };
    let mut out = String::new();
    show.value(param.ops, param.arg, &mut out).map(|()| {
        out.push('\n');
        out
    })
}

struct Show<'p> {
    type_of: &'p dyn Fn(Vaddr) -> Option<ParamType>,
    memory: Memory<'p>,
    text_at: &'p dyn Fn(Vaddr) -> Option<String>,
}

impl Show<'_> {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn value(&self, ops: Vaddr, arg: Vaddr, out: &mut String) -> Result<(), ParamFault> {
        let kind = (self.type_of)(ops).ok_or(ParamFault::UnknownType { ops })?;
        let bad = || ParamFault::BadTable;
        let truth = |yes: bool| self.memory.read(arg).map(|[byte]: [u8; 1]| (byte != 0) == yes);
        let letter = |on: bool| if on { "Y" } else { "N" };
        let text = |at| (self.text_at)(at).ok_or_else(bad);
        match kind {
            ParamType::Number { width, signed } => {
                let mut bytes = [0; 8];
                for (index, byte) in (0_i64..).zip(&mut bytes[..width as usize]) {
                    [*byte] = self.memory.read(arg.offset(index)).ok_or_else(bad)?;
                }
                let (value, unused) = (u64::from_le_bytes(bytes), 64 - 8 * width);
                let written = if signed {
                    write!(out, "{}", (value << unused).cast_signed() >> unused)
                } else {
                    write!(out, "{value}")
                };
                written.map_err(|_| bad())?;
            }
            ParamType::BoolInt => {
                let number = self.memory.read_u32(arg).ok_or_else(bad)?;
                write!(out, "{}", number.cast_signed()).map_err(|_| bad())?;
            }
            ParamType::Hex => {
                let number = self.memory.read_u32(arg).ok_or_else(bad)?;
                // As C's `%#08x`, which has no prefix in front of a zero.
                let written = match number {
                    0 => write!(out, "00000000"),
                    _ => write!(out, "{number:#08x}"),
                };
                written.map_err(|_| bad())?;
            }
            ParamType::Bool | ParamType::BoolEnable => {
                out.push_str(letter(truth(true).ok_or_else(bad)?));
            }
            ParamType::InvBool => out.push_str(letter(truth(false).ok_or_else(bad)?)),
            ParamType::CharP => match self.memory.read_addr(arg).ok_or_else(bad)? {
                Vaddr(0) => out.push_str("(null)"),
                at => out.push_str(&text(at)?),
            },
            ParamType::Text => {
                out.push_str(&text(self.memory.read_addr(arg.offset(8)).ok_or_else(bad)?)?);
            }
            ParamType::Array => return self.array(arg, out),
        }
        Ok(())
    }

    fn array(&self, arg: Vaddr, out: &mut String) -> Result<(), ParamFault> {
        let addr = |offset| self.memory.read_addr(arg.offset(offset)).ok_or(ParamFault::BadTable);
        let number = |offset| self.memory.read_u32(arg.offset(offset)).ok_or(ParamFault::BadTable);
        let (max, step, count_at, ops, elements) =
            (number(0)?, number(4)?, addr(8)?, addr(16)?, addr(24)?);
        if matches!((self.type_of)(ops), Some(ParamType::Array | ParamType::Text)) {
            return Err(ParamFault::BadTable);
        }
        let count = match count_at {
            Vaddr(0) => max,
            at => self.memory.read_u32(at).ok_or(ParamFault::BadTable)?.min(max),
        };
        for index in 0..i64::from(count.min(ELEMENTS_MAX)) {
            if index > 0 {
                out.push(',');
            }
            self.value(ops, elements.offset(index * i64::from(step)), out)?;
        }
        Ok(())
    }
}

/// The little-endian bytes of a number: decimal, `0x` hexadecimal, or octal
/// after a leading `0`; a sign where the type has one.
#[cfg_attr(target_os = "none", optimize(size))]
fn number(text: &str, width: u32, signed: bool) -> Result<Vec<u8>, ParamFault> {
    let bits = width * 8;
    let (min, max) = if signed {
        (i64::MIN >> (64 - bits), i64::MAX as u64 >> (64 - bits))
    } else {
        (0, u64::MAX >> (64 - bits))
    };
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X"))
    {
        (16, hex)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    // `from_str_radix` would take a second sign.
    if digits.is_empty() || !digits.bytes().all(|digit| char::from(digit).is_digit(base)) {
        return Err(ParamFault::NotANumber { text: text.into() });
    }
    let out_of_range = || ParamFault::OutOfRange { text: text.into(), min, max };
    let value = u64::from_str_radix(digits, base).map_err(|_| out_of_range())?;
    let most = if negative { min.unsigned_abs() } else { max };
    if value > most || (negative && !signed) {
        return Err(out_of_range());
    }
    let value = if negative { value.wrapping_neg() } else { value };
    Ok(value.to_le_bytes()[..width as usize].to_vec())
}

/// A number that fits 32 bits, as `param_set_uint` reads it.
#[must_use]
pub fn parse_u32(text: &str) -> Option<u32> {
    let bytes = number(text, 4, false).ok()?;
    bytes.first_chunk().copied().map(u32::from_le_bytes)
}

/// Truth, in the spellings that Linux takes; no value at all means yes.
fn truth(text: Option<&str>) -> Result<bool, ParamFault> {
    let Some(text) = text else { return Ok(true) };
    let mut bytes = text.bytes().map(|byte| byte.to_ascii_lowercase());
    match (bytes.next(), bytes.next()) {
        (Some(b'y' | b't' | b'1'), _) | (Some(b'o'), Some(b'n')) => Ok(true),
        (Some(b'n' | b'f' | b'0'), _) | (Some(b'o'), Some(b'f')) => Ok(false),
        _ => Err(ParamFault::NotABool { text: text.into() }),
    }
}

fn with_nul(text: &str, max: usize) -> Result<Vec<u8>, ParamFault> {
    let len = text.len() + 1;
    if len > max {
        return Err(ParamFault::TooLong { len, max });
    }
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    Ok(bytes)
}

impl fmt::Display for ParamError {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parameter {}: {}", self.name, self.fault)
    }
}

impl fmt::Display for ParamFault {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuch => f.write_str("the module has none of this name; see modinfo"),
            Self::NoValue => f.write_str("no value; write name=value"),
            Self::NotANumber { text } => {
                write!(
                    f,
                    "\"{text}\" is no number; write decimal, 0x hexadecimal or 0 octal digits"
                )
            }
            Self::OutOfRange { text, min, max } => {
                write!(f, "{text} does not fit; give a number from {min} to {max}")
            }
            Self::NotABool { text } => write!(f, "\"{text}\" is neither yes nor no; write y or n"),
            Self::TooLong { len, max } => {
                write!(f, "{len} bytes with the final NUL, room for {max}; give a shorter text")
            }
            Self::TooMany { count, max } => write!(f, "{count} values, room for {max}; give fewer"),
            Self::StaysOn => f.write_str("it is on and stays on; leave it"),
            Self::UnknownType { ops } => {
                write!(
                    f,
                    "its type, operations at {ops}, is not one of the kernel's; leave it unset"
                )
            }
            Self::PartialEntry { size } => {
                write!(f, "size {size:#x} is no whole number of entries; build the module again")
            }
            Self::BadTable => {
                f.write_str("its table entry points outside the module; build the module again")
            }
            Self::Fixed => f.write_str(
                "its variable is a constant or code, which nobody may write; leave it unset",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT: ParamType = ParamType::Number { width: 4, signed: true };
    const OPS: Vaddr = Vaddr(0x10);
    const ARRAY_OPS: Vaddr = Vaddr(0x20);

    fn plan(kind: ParamType, text: Option<&str>) -> Result<Vec<Store>, String> {
        let param = Param { name: "p", ops: OPS, arg: Vaddr(0x1000), perm: 0, entry: Vaddr(0) };
        let memory = Memory::Image { base: Vaddr(0x1000), image: &[0; 64] };
        plan_param(&param, text, &|_| Some(kind), memory).map_err(|error| alloc::format!("{error}"))
    }

    fn bytes(kind: ParamType, text: &str) -> Option<Vec<u8>> {
        match plan(kind, Some(text)) {
            Ok(stores) => match &stores[0].what {
                Stored::Bytes(bytes) => Some(bytes.clone()),
                Stored::AddressOf(_) => None,
            },
            Err(_) => None,
        }
    }

    #[test]
    fn both_ends_of_every_number_fit_and_the_next_does_not() {
        for (export, min, max) in [
            ("byte", 0_i128, 255_i128),
            ("short", -32768, 32767),
            ("ushort", 0, 65535),
            ("int", -2147483648, 2147483647),
            ("uint", 0, 4294967295),
            ("long", -9223372036854775808, 9223372036854775807),
            ("ulong", 0, 18446744073709551615),
            ("ullong", 0, 18446744073709551615),
        ] {
            let kind = ParamType::of_export(&alloc::format!("param_ops_{export}")).unwrap();
            for (value, fits) in [(min, true), (max, true), (min - 1, false), (max + 1, false)] {
                let stored = bytes(kind, &alloc::format!("{value}"));
                assert_eq!(stored.is_some(), fits, "{export} {value}");
            }
        }
        assert_eq!(
            plan(ParamType::Number { width: 1, signed: false }, Some("256")).unwrap_err(),
            "parameter p: 256 does not fit; give a number from 0 to 255"
        );
    }

    #[test]
    fn numbers_are_read_as_c_writes_them() {
        assert_eq!(bytes(INT, "-2"), Some([0xfe, 0xff, 0xff, 0xff].into()));
        assert_eq!(bytes(INT, "0x10"), Some([16, 0, 0, 0].into()));
        assert_eq!(bytes(INT, "010"), Some([8, 0, 0, 0].into()));
        assert_eq!(bytes(INT, "0"), Some([0, 0, 0, 0].into()));
        for text in ["", "-", "0x", "--1", "-+1", "1 ", "9a", "08", "1\u{0661}"] {
            assert_eq!(bytes(INT, text), None, "{text}");
        }
        assert_eq!(plan(INT, None).unwrap_err(), "parameter p: no value; write name=value");
        // A type without a sign takes none, not even of a zero.
        assert_eq!(bytes(INT, "-0"), Some([0; 4].into()));
        for export in ["byte", "ushort", "uint", "ulong", "ullong", "hexint"] {
            let kind = ParamType::of_export(&alloc::format!("param_ops_{export}")).unwrap();
            assert_eq!(bytes(kind, "-0"), None, "{export}");
            assert!(bytes(kind, "+0").is_some(), "{export}");
        }
    }

    #[test]
    fn truth_has_many_spellings_and_may_be_left_out() {
        for (text, value) in
            [("y", 1), ("Yes", 1), ("1", 1), ("on", 1), ("N", 0), ("0", 0), ("off", 0)]
        {
            assert_eq!(bytes(ParamType::Bool, text), Some([value].into()));
            assert_eq!(bytes(ParamType::InvBool, text), Some([1 - value].into()));
        }
        assert_eq!(plan(ParamType::Bool, None).unwrap()[0].what, Stored::Bytes([1].into()));
        assert!(plan(ParamType::Bool, Some("o")).is_err());
        assert!(plan(ParamType::Bool, Some("2")).is_err());
    }

    #[test]
    fn a_text_needs_room_for_its_nul() {
        let mut image = [0_u8; 64];
        image[0] = 4; // room
        image[8..16].copy_from_slice(&0x1020_u64.to_le_bytes());
        let param = Param { name: "s", ops: OPS, arg: Vaddr(0x1000), perm: 0, entry: Vaddr(0) };
        let memory = Memory::Image { base: Vaddr(0x1000), image: &image };
        let plan = |text| plan_param(&param, Some(text), &|_| Some(ParamType::Text), memory);
        let stored = Store { at: Vaddr(0x1020), what: Stored::Bytes(b"abc\0".to_vec()) };
        assert_eq!(plan("abc"), Ok([stored].into()));
        assert_eq!(plan("abcd").unwrap_err().fault, ParamFault::TooLong { len: 5, max: 4 });
    }

    #[test]
    fn an_array_takes_as_many_values_as_it_has_room_for() {
        let mut image = [0_u8; 64];
        image[0] = 2; // room
        image[4] = 4; // step
        for (at, value) in [(8, 0x1030_u64), (16, OPS.0), (24, 0x1038)] {
            image[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let param =
            Param { name: "a", ops: ARRAY_OPS, arg: Vaddr(0x1000), perm: 0, entry: Vaddr(0) };
        let memory = Memory::Image { base: Vaddr(0x1000), image: &image };
        let type_of = |ops| Some(if ops == ARRAY_OPS { ParamType::Array } else { INT });
        let plan = |text| plan_param(&param, Some(text), &type_of, memory);
        let store = |at, value: u32| Store {
            at: Vaddr(at),
            what: Stored::Bytes(value.to_le_bytes().into()),
        };
        assert_eq!(plan("7,8"), Ok([store(0x1038, 7), store(0x103c, 8), store(0x1030, 2)].into()));
        assert_eq!(plan("1,2,3").unwrap_err().fault, ParamFault::TooMany { count: 3, max: 2 });
    }

    /// The texts are those of Linux's `param_get_*`: `%hhu`, `%hi`, `%#08x`, Y and N.
    #[test]
    fn what_is_shown_is_what_linux_shows() {
        let mut image = [0_u8; 64];
        image[..8].copy_from_slice(&0xffff_ffff_ffff_fffe_u64.to_le_bytes());
        image[8..12].copy_from_slice(&9_u32.to_le_bytes());
        image[16..24].copy_from_slice(&0x2000_u64.to_le_bytes());
        let memory = Memory::Image { base: Vaddr(0x1000), image: &image };
        let show = |kind: ParamType, at| {
            let param = Param { name: "p", ops: OPS, arg: Vaddr(at), perm: 0, entry: Vaddr(0) };
            let text = |at| (at == Vaddr(0x2000)).then(|| String::from("a b"));
            show_param(&param, &|_| Some(kind), memory, &text)
        };
        let export =
            |name: &str| ParamType::of_export(&alloc::format!("param_ops_{name}")).unwrap();
        for (name, at, text) in [
            ("byte", 0x1000, "254"),
            ("short", 0x1000, "-2"),
            ("ushort", 0x1000, "65534"),
            ("int", 0x1000, "-2"),
            ("uint", 0x1000, "4294967294"),
            ("long", 0x1000, "-2"),
            ("ulong", 0x1000, "18446744073709551614"),
            ("hexint", 0x1000, "0xfffffffe"),
            ("hexint", 0x1008, "0x000009"),
            ("hexint", 0x100c, "00000000"),
            ("bool", 0x1000, "Y"),
            ("bool", 0x100c, "N"),
            ("invbool", 0x1000, "N"),
            ("bint", 0x1008, "9"),
            ("charp", 0x1010, "a b"),
            ("charp", 0x1018, "(null)"),
        ] {
            assert_eq!(show(export(name), at), Ok(alloc::format!("{text}\n")), "{name}");
        }
        assert_eq!(show(INT, 0x103e), Err(ParamFault::BadTable));
        assert_eq!(show(ParamType::CharP, 0x1000), Err(ParamFault::BadTable));
    }

    #[test]
    fn an_array_shows_as_many_values_as_it_has() {
        let mut image = [0_u8; 64];
        (image[0], image[4], image[48], image[56], image[60]) = (3, 4, 2, 7, 8);
        for (at, value) in [(8, 0x1030_u64), (16, OPS.0), (24, 0x1038)] {
            image[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let param =
            Param { name: "a", ops: ARRAY_OPS, arg: Vaddr(0x1000), perm: 0, entry: Vaddr(0) };
        let memory = Memory::Image { base: Vaddr(0x1000), image: &image };
        let type_of = |ops| Some(if ops == ARRAY_OPS { ParamType::Array } else { INT });
        assert_eq!(show_param(&param, &type_of, memory, &|_| None), Ok("7,8\n".into()));
    }

    #[test]
    fn what_can_only_be_turned_on_stays_on() {
        let plan = |now: u8, text| {
            let param = Param { name: "b", ops: OPS, arg: Vaddr(0x1000), perm: 0, entry: Vaddr(0) };
            let memory = Memory::Image { base: Vaddr(0x1000), image: &[now; 1] };
            plan_param(&param, Some(text), &|_| Some(ParamType::BoolEnable), memory)
        };
        assert!(plan(0, "y").is_ok() && plan(1, "y").is_ok() && plan(0, "n").is_ok());
        assert_eq!(plan(1, "n").unwrap_err().fault, ParamFault::StaysOn);
    }

    #[test]
    fn nothing_is_stored_outside_the_module() {
        let param = Param { name: "p", ops: OPS, arg: Vaddr(0x103d), perm: 0, entry: Vaddr(0) };
        let memory = Memory::Image { base: Vaddr(0x1000), image: &[0; 64] };
        let plan = |arg| plan_param(&Param { arg, ..param }, Some("1"), &|_| Some(INT), memory);
        assert!(plan(Vaddr(0x103c)).is_ok());
        assert_eq!(plan(Vaddr(0x103d)).unwrap_err().fault, ParamFault::BadTable);
        assert_eq!(plan(Vaddr(0xffc)).unwrap_err().fault, ParamFault::BadTable);
    }
}
