//! Symbols out of a linked kernel: just enough of ELF64, for the host tool.
//!
//! The loader has its own reader for modules; this one reads our own linker's
//! output, but checks every offset all the same.
//!
//! Taken are functions and objects of any binding. Labels without a type are left
//! out: they stand inside routines, whose names say more. Addresses become offsets from
//! `_image_start`, or from the lowest loaded byte if there is no such symbol.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::Kind;
use super::encode::Symbol;

const SHT_SYMTAB: u32 = 2;
const SHF_ALLOC: u64 = 2;
const PT_LOAD: u32 = 1;
const STT_OBJECT: u8 = 1;
const STT_FUNC: u8 = 2;
const SYMBOL_SIZE: u64 = 24;

/// Name of the symbol that marks the image's first byte.
const IMAGE_START: &[u8] = b"_image_start";

/// Why a file is not a kernel with symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// Not ELF, or not 64-bit little-endian.
    NotElf64Le,
    /// Something lies outside the file.
    Outside {
        /// What.
        what: &'static str,
        /// Where it would begin, in bytes.
        at: u64,
    },
    /// There is no symbol table: the file was stripped.
    NoSymbols,
    /// Nothing in the file is loaded.
    NothingLoaded,
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf64Le => f.write_str("not a little-endian ELF64 file"),
            Self::Outside { what, at } => write!(f, "{what} at {at:#x} lies outside the file"),
            Self::NoSymbols => {
                f.write_str("no symbol table (give the kernel as it was linked, not stripped)")
            }
            Self::NothingLoaded => f.write_str("no loadable segment and no _image_start"),
        }
    }
}

/// Reads the symbols of the linked kernel in `file`; `name` makes each name
/// readable, or drops the symbol.
pub fn read_symbols(
    file: &[u8],
    name: &dyn Fn(&[u8]) -> Option<String>,
) -> Result<Vec<Symbol>, ElfError> {
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return Err(ElfError::NotElf64Le);
    }
    let elf = Elf(file);
    let sections = elf.sections()?;
    let table = sections.iter().find(|s| s.kind == SHT_SYMTAB);
    let table = table.ok_or(ElfError::NoSymbols)?;
    let strings = sections.get(table.link).ok_or(ElfError::NoSymbols)?;
    let symbols = elf.bytes("symbol table", table.at, table.size)?;
    let strings = elf.bytes("string table", strings.at, strings.size)?;

    let mut start = None;
    let mut found = Vec::new();
    for entry in symbols.chunks_exact(SYMBOL_SIZE as usize) {
        let entry = Elf(entry);
        let raw_name = c_string(strings, u64::from(entry.u32("name", 0)?));
        let info = entry.u16("info", 4)? as u8;
        let address = entry.u64("value", 8)?;
        if raw_name == IMAGE_START {
            start = Some(address);
        }
        // Numbers from 0xff00 stand for no section and are past any table.
        let section = sections.get(usize::from(entry.u16("section", 6)?));
        if section.is_none_or(|s| s.flags & SHF_ALLOC == 0) {
            continue;
        }
        let kind = match info & 15 {
            STT_FUNC => Kind::Text,
            STT_OBJECT => Kind::Data,
            _ => continue,
        };
        found.push((raw_name, address, entry.u64("size", 16)?, kind));
    }

    let start = match start {
        Some(start) => start,
        None => elf.lowest_loaded()?,
    };
    let symbol = |(raw, address, size, kind): (&[u8], u64, u64, Kind)| {
        Some(Symbol {
            name: name(raw)?,
            offset: u32::try_from(address.checked_sub(start)?).ok()?,
            size: u32::try_from(size).ok()?,
            kind,
        })
    };
    Ok(found.into_iter().filter_map(symbol).collect())
}

struct Section {
    kind: u32,
    flags: u64,
    at: u64,
    size: u64,
    link: usize,
}

/// Bytes with checked access at offsets.
struct Elf<'a>(&'a [u8]);

impl<'a> Elf<'a> {
    fn bytes(&self, what: &'static str, at: u64, len: u64) -> Result<&'a [u8], ElfError> {
        let range = || {
            let from = usize::try_from(at).ok()?;
            let to = from.checked_add(usize::try_from(len).ok()?)?;
            self.0.get(from..to)
        };
        range().ok_or(ElfError::Outside { what, at })
    }

    fn array<const N: usize>(&self, what: &'static str, at: u64) -> Result<[u8; N], ElfError> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(what, at, N as u64)?);
        Ok(out)
    }

    fn u16(&self, what: &'static str, at: u64) -> Result<u16, ElfError> {
        self.array(what, at).map(u16::from_le_bytes)
    }

    fn u32(&self, what: &'static str, at: u64) -> Result<u32, ElfError> {
        self.array(what, at).map(u32::from_le_bytes)
    }

    fn u64(&self, what: &'static str, at: u64) -> Result<u64, ElfError> {
        self.array(what, at).map(u64::from_le_bytes)
    }

    /// The entries of a header table, each at least `least` bytes.
    fn table(
        &self,
        what: &'static str,
        at: u64,
        size: u16,
        count: u16,
        least: u16,
    ) -> Result<impl Iterator<Item = Elf<'a>> + use<'a>, ElfError> {
        let all = self.bytes(what, at, u64::from(size) * u64::from(count))?;
        if count > 0 && size < least {
            return Err(ElfError::Outside { what, at });
        }
        Ok(all.chunks_exact(usize::from(size.max(1))).map(Elf))
    }

    fn sections(&self) -> Result<Vec<Section>, ElfError> {
        let what = "section header";
        let (at, size) = (self.u64(what, 40)?, self.u16(what, 58)?);
        let headers = self.table(what, at, size, self.u16(what, 60)?, 64)?;
        let section = |header: Elf<'_>| {
            Ok(Section {
                kind: header.u32(what, 4)?,
                flags: header.u64(what, 8)?,
                at: header.u64(what, 24)?,
                size: header.u64(what, 32)?,
                link: header.u32(what, 40)? as usize,
            })
        };
        headers.map(section).collect()
    }

    fn lowest_loaded(&self) -> Result<u64, ElfError> {
        let what = "program header";
        let (at, size) = (self.u64(what, 32)?, self.u16(what, 54)?);
        let mut lowest = None;
        for header in self.table(what, at, size, self.u16(what, 56)?, 56)? {
            if header.u32(what, 0)? == PT_LOAD {
                let address = header.u64(what, 16)?;
                lowest = Some(lowest.map_or(address, |l: u64| l.min(address)));
            }
        }
        lowest.ok_or(ElfError::NothingLoaded)
    }
}

/// The bytes at `at` up to a NUL; none if that is outside.
fn c_string(strings: &[u8], at: u64) -> &[u8] {
    let tail = usize::try_from(at).ok().and_then(|at| strings.get(at..));
    let tail = tail.unwrap_or_default();
    let end = tail.iter().position(|&b| b == 0).unwrap_or(tail.len());
    &tail[..end]
}
