//! Bytes of a `.ko` to an [`Object`]: the first stage, and the only one that
//! reads offsets and counts which nobody has checked yet.
//!
//! Next stage: [`super::layout`]. What a refusal says: [`super::error`].
//!
//! ```text
//!  bytes ──> header ──> section table ──> each section's range ──> symbols
//!              |             |                  |                    |
//!           is it ours?   inside the file?   inside the file?    name, section,
//!                                                                local entry
//! ```
//!
//! # Invariants
//! - Whoever holds an `Object` may index: every section lies in the file, every
//!   string table ends with NUL, every symbol's name and section exist, every
//!   relocation section has whole entries and a target. Only what a relocation
//!   itself says (place, symbol, type) is checked later, where it is used.
//! - Nothing is copied: sections, symbols and relocations are views of the file,
//!   which therefore outlives the module.
//! - Sections share no bytes as a whole: together they have no more than the file.
//!   So whoever walks through all relocations, or all names, walks at most through
//!   the file, however many headers point at the same place.
//! - A file may be longer than what its headers describe: Debian appends a
//!   signature.
//!
//! # References
//! System V ABI, "Object Files"; OpenPOWER ELFv2 ABI, "Object Files" (`e_flags`,
//! the three `st_other` bits of the local entry point).
//!
//! goblin supplies the raw structures, but not the parser: `Elf::parse` copies
//! the tables, and a module in a cpio archive is aligned to four bytes only, so
//! each entry is decoded from its bytes (two or three loads on POWER).

use alloc::{string::String, vec::Vec};

use goblin::elf64::{
    header::{
        EI_CLASS, EI_DATA, EI_VERSION, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_PPC64, ET_REL, Header,
        SIZEOF_EHDR, SIZEOF_IDENT,
    },
    reloc::Rela,
    section_header::{
        SHF_ALLOC, SHF_COMPRESSED, SHF_EXECINSTR, SHF_TLS, SHF_WRITE, SHN_ABS, SHN_COMMON,
        SHN_LORESERVE, SHN_UNDEF, SHN_XINDEX, SHT_NOBITS, SHT_NULL, SHT_REL, SHT_RELA, SHT_STRTAB,
        SHT_SYMTAB, SectionHeader,
    },
    sym::{STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, STT_SECTION, STT_TLS, Sym},
};

use super::error::{LoadError, Part, SectionFault, SymbolFault};
use super::layout::Rank;
use super::symbols::len_before_nul;
use crate::isa::entry::LocalEntry;

/// Bytes of one symbol and of one relocation with addend, in the file.
const ENTRY: usize = 24;
/// Bytes of one section header in the file.
const SECTION_HEADER: usize = 64;
/// Largest alignment that a section may ask for: a page of the larger size.
const ALIGN_MAX: u64 = 0x1_0000;
/// Longest name of a section, a symbol, an export or a parameter, with its NUL.
/// Names may share bytes, so one without a limit could be read again for each of a
/// hundred thousand symbols. Linux's limit for symbols is 512; Rust's mangled names
/// can be longer than people write.
const NAME_MAX: usize = 2048;
/// Section index of Linux's late livepatch symbols.
const SHN_LIVEPATCH: u16 = 0xff20;

/// A module file whose structure has been checked.
#[derive(Debug)]
pub struct Object<'a> {
    sections: Vec<Section<'a>>,
    /// By [`name_number`] the first section whose name has that number; 0 for none.
    firsts: [u8; NAME_NUMBERS],
    relocations: Vec<Relocations<'a>>,
    symbols: &'a [[u8; ENTRY]],
    /// The first symbol that is not local; `symbols.len()` if all are.
    first_global: u32,
    /// See [`Object::outside`].
    outside: Vec<u32>,
    strings: &'a [u8],
}

/// One section: its header, its name and its bytes in the file.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    /// Name, from the section name table.
    pub name: &'a str,
    /// The header as it stands in the file.
    pub header: SectionHeader,
    /// The bytes in the file; empty for a section without any (`.bss`).
    pub data: &'a [u8],
    /// Where it comes in memory.
    pub(super) rank: Rank,
}

/// The relocations of one section that is loaded into memory.
#[derive(Clone, Copy, Debug)]
pub struct Relocations<'a> {
    /// Index of the section that they change.
    pub target: usize,
    entries: &'a [[u8; ENTRY]],
}

impl<'a> Object<'a> {
    /// Checks the structure of `bytes` and returns views of its parts.
    ///
    /// # Errors
    /// [`LoadError::Header`], [`LoadError::Section`] or [`LoadError::Symbol`],
    /// for the first thing found wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let header = parse_header(bytes)?;
        let sections = parse_sections(bytes, &header)?;
        let table = find_symbol_table(&sections)?;
        let (symbols, first_global, strings) = match table {
            Some(index) => parse_symbol_table(&sections, index)?,
            None => (&[][..], 0, &[][..]),
        };
        let relocations = parse_relocations(&sections, table)?;
        let mut firsts = [0; NAME_NUMBERS];
        for (index, section) in sections.iter().enumerate() {
            let first = &mut firsts[name_number(section.name)];
            if *first == 0 {
                *first = u8::try_from(index).unwrap_or(u8::MAX); // look from there
            }
        }
        let mut object = Self {
            sections,
            firsts,
            relocations,
            symbols,
            first_global,
            outside: Vec::new(),
            strings,
        };
        object.check_symbols()?;
        Ok(object)
    }

    /// The bytes of one section of a file whose other parts nobody has asked for; takes
    /// no memory.
    #[must_use]
    pub fn peek(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let header = parse_header(bytes).ok()?;
        let size = u64::from(header.e_shnum) * SECTION_HEADER as u64;
        let (raw, _) = range(bytes, header.e_shoff, size)?.as_chunks::<SECTION_HEADER>();
        let names = raw.get(usize::from(header.e_shstrndx)).map(decode_section)?;
        let names = range(bytes, names.sh_offset, names.sh_size)?;
        let called = |raw: &&[u8; SECTION_HEADER]| {
            let rest = names.get(le32(raw, 0) as usize..);
            rest.is_some_and(|rest| begins_with_name(rest, name.as_bytes()))
        };
        let found = decode_section(raw.iter().find(called)?);
        range(bytes, found.sh_offset, found.sh_size).filter(|_| found.sh_type != SHT_NOBITS)
    }

    /// All sections, in file order; index 0 is the null section.
    #[must_use]
    pub fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// The first section called `name`, with its index.
    #[must_use]
    #[inline(never)]
    pub fn section(&self, name: &str) -> Option<(usize, &Section<'a>)> {
        // Most that are asked for are not there, and the others are the first of their number.
        let first = self.firsts[name_number(name)];
        if first == 0 { None } else { self.section_from(first, name) }
    }

    #[inline(never)] // a name that is not there needs no registers
    fn section_from(&self, first: u8, name: &str) -> Option<(usize, &Section<'a>)> {
        let mut from = self.sections.iter().enumerate().skip(first.into());
        from.find(|(_, section)| section.name == name)
    }

    /// The relocation sections whose targets are loaded, in file order.
    #[must_use]
    pub fn relocations(&self) -> &[Relocations<'a>] {
        &self.relocations
    }

    /// The relocations that change section `target`.
    #[must_use]
    pub fn relocations_of(&self, target: usize) -> Option<&Relocations<'a>> {
        self.relocations.iter().find(|relocations| relocations.target == target)
    }

    /// All symbols in file order; the first is the null symbol.
    pub fn symbols(&self) -> impl ExactSizeIterator<Item = Sym> + use<'a> {
        self.symbols.iter().map(decode_symbol)
    }

    /// Symbols that other files may refer to, with their indices.
    pub(super) fn globals(&self) -> impl Iterator<Item = (usize, Sym)> + use<'a> {
        let first = self.first_global as usize;
        (first..).zip(self.symbols.get(first..).unwrap_or_default().iter().map(decode_symbol))
    }

    /// The symbol at `index`, or `None` past the end of the table.
    #[must_use]
    pub fn symbol(&self, index: u32) -> Option<Sym> {
        self.symbols.get(index as usize).map(decode_symbol)
    }

    /// Symbols in the table.
    #[must_use]
    pub fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// Index of the first symbol that other files may refer to.
    #[must_use]
    pub fn first_global(&self) -> u32 {
        self.first_global
    }

    /// The name of `symbol`; for a section symbol, the section's name.
    #[must_use]
    pub fn name(&self, symbol: &Sym) -> &'a str {
        if symbol.st_name == 0 && symbol_type(symbol) == STT_SECTION {
            let section = self.sections.get(usize::from(symbol.st_shndx));
            return section.map_or("", |section| section.name);
        }
        text_at(self.strings, symbol.st_name).unwrap_or(NOT_TEXT)
    }

    /// The symbol's name with its NUL and what follows in the table of names, as far
    /// as a name may reach; quicker than asking for its name.
    #[must_use]
    #[inline]
    pub fn name_onwards(&self, symbol: u32) -> &'a [u8] {
        self.names_from(self.symbols.get(symbol as usize).map_or(0, |raw| le32(raw, 0)))
    }

    /// As [`name_onwards`](Self::name_onwards), of a symbol at hand.
    #[inline]
    pub(super) fn onwards_from_name(&self, symbol: &Sym) -> &'a [u8] {
        self.names_from(symbol.st_name)
    }

    #[inline(always)]
    fn names_from(&self, name: u32) -> &'a [u8] {
        let rest = &self.strings[self.strings.len().min(name as usize)..];
        &rest[..rest.len().min(NAME_MAX)]
    }

    /// The first four bytes of a symbol's name, and of what follows it if it is shorter, as
    /// a number; 0 at the end of the table of names. Quicker than asking for the name.
    #[inline]
    pub(super) fn name_start(&self, symbol: &Sym) -> u32 {
        let start = self.strings.get(symbol.st_name as usize..).and_then(|rest| rest.first_chunk());
        start.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// The first byte of a symbol's name, which may be the NUL behind it.
    #[inline]
    pub(super) fn first_of_name(&self, symbol: &Sym) -> u8 {
        self.strings.get(symbol.st_name as usize).copied().unwrap_or_default()
    }

    /// True if `symbol` is called `name`; quicker than asking for its name.
    #[must_use]
    #[inline]
    pub fn is_named(&self, symbol: &Sym, name: &str) -> bool {
        let names = self.strings.get(symbol.st_name as usize..);
        begins_with_name(names.unwrap_or_default(), name.as_bytes())
    }

    /// As [`is_named`](Self::is_named), for the symbol at an index.
    #[must_use]
    #[inline(always)] // for each symbol that could be one of three
    pub fn is_called(&self, symbol: u32, name: impl AsRef<[u8]>) -> bool {
        begins_with_name(self.name_onwards(symbol), name.as_ref())
    }

    /// True if `symbol` is where code begins: a function, or an untyped symbol
    /// (as hand-written assembly has them) in a section of code.
    #[must_use]
    pub fn is_function(&self, symbol: &Sym) -> bool {
        let kind = symbol_type(symbol);
        let in_code = || {
            let section = self.sections.get(usize::from(symbol.st_shndx));
            section.is_some_and(Section::is_code)
        };
        let untyped = kind == STT_NOTYPE && symbol.st_info >> 4 != 0;
        (kind == STT_FUNC || untyped) && symbol.st_shndx != 0 && in_code()
    }

    /// Symbols that are not just a place in this module, rising: those that it does not
    /// define, beginning with symbol 0, numbers, and functions that may come back with
    /// another r2.
    pub(super) fn outside(&self) -> &[u32] {
        &self.outside
    }

    fn check_symbols(&mut self) -> Result<(), LoadError> {
        let mut next = 1; // without the first, which is none
        self.outside.extend((!self.symbols.is_empty()).then_some(0));
        loop {
            let symbols = self.symbols.get(next..).unwrap_or_default().iter();
            let Some(found) = { symbols }.position(|raw| !self.is_plain(&decode_symbol(raw)))
            else {
                return Ok(());
            };
            self.refuse_symbol(next + found)?;
            self.outside.push((next + found) as u32);
            next += found + 1;
        }
    }

    /// True if nothing is wrong with a symbol, and it is just a place.
    #[inline(always)]
    fn is_plain(&self, symbol: &Sym) -> bool {
        let number = matches!(u32::from(symbol.st_shndx), SHN_UNDEF | SHN_ABS);
        !number && !loses_toc(symbol) && self.symbol_fault(symbol).is_none()
    }

    /// Refuses a symbol, if something is wrong with it.
    #[cold]
    #[inline(never)]
    fn refuse_symbol(&self, index: usize) -> Result<(), LoadError> {
        let symbol = self.symbols.get(index).map(decode_raw);
        let fault = symbol.and_then(|symbol| Some((symbol, self.symbol_fault(&symbol)?)));
        let Some((symbol, fault)) = fault else {
            return Ok(());
        };
        let name = match fault {
            SymbolFault::Name { .. } => String::new(),
            _ => self.name(&symbol).into(),
        };
        Err(LoadError::Symbol { index: index as u32, name, fault })
    }

    #[inline(always)]
    fn symbol_fault(&self, symbol: &Sym) -> Option<SymbolFault> {
        if symbol.st_name as usize >= self.strings.len() {
            return Some(SymbolFault::Name { offset: symbol.st_name });
        }
        if LocalEntry::from_st_other(symbol.st_other).is_err() {
            return Some(SymbolFault::LocalEntry);
        }
        match symbol_type(symbol) {
            STT_TLS => return Some(SymbolFault::ThreadLocal),
            STT_GNU_IFUNC => return Some(SymbolFault::Indirect),
            _ => {}
        }
        if symbol.st_shndx == SHN_LIVEPATCH && super::borrow::parse(self.name(symbol)).is_some() {
            return None;
        }
        if u32::from(symbol.st_shndx) == SHN_UNDEF || u32::from(symbol.st_shndx) == SHN_ABS {
            return None;
        }
        if u32::from(symbol.st_shndx) >= SHN_LORESERVE {
            return Some(match u32::from(symbol.st_shndx) {
                SHN_COMMON => SymbolFault::Common,
                SHN_XINDEX => SymbolFault::ExtendedIndex,
                _ if symbol.st_shndx == SHN_LIVEPATCH => SymbolFault::Livepatch,
                _ => SymbolFault::Section { index: symbol.st_shndx },
            });
        }
        match self.sections.get(usize::from(symbol.st_shndx)) {
            None => Some(SymbolFault::Section { index: symbol.st_shndx }),
            Some(section) if section.header.sh_size < symbol.st_value => {
                Some(SymbolFault::Outside { value: symbol.st_value, size: section.header.sh_size })
            }
            Some(_) => None,
        }
    }
}

impl Section<'_> {
    /// True if the section takes part in the running module.
    #[must_use]
    pub fn is_alloc(&self) -> bool {
        self.header.sh_flags & u64::from(SHF_ALLOC) != 0
    }

    /// True if the section holds instructions.
    #[must_use]
    pub fn is_code(&self) -> bool {
        self.header.sh_flags & u64::from(SHF_EXECINSTR) != 0
    }

    /// True if the running module writes to the section.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.header.sh_flags & u64::from(SHF_WRITE) != 0
    }

    /// True if the section has no bytes in the file and starts as zeros.
    #[must_use]
    pub fn is_zeros(&self) -> bool {
        self.header.sh_type == SHT_NOBITS
    }

    /// Bytes in memory.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.header.sh_size
    }
}

/// One relocation, as the loop over all of them wants it: type and symbol apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its place, in bytes from the start of the section.
    pub at: u64,
    /// Its type.
    pub kind: u32,
    /// Index of its symbol.
    pub symbol: u32,
    /// What is added to the symbol's value.
    pub addend: i64,
}

/// Passes over relocations.
#[derive(Clone)]
pub(super) struct Entries<'a>(core::slice::Iter<'a, [u8; ENTRY]>);

impl<'a> Entries<'a> {
    /// How many are left.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The next one, which stays the next one.
    #[inline(always)]
    pub fn peek(&self) -> Option<RawEntry<'a>> {
        self.0.as_slice().first().map(RawEntry)
    }
}

/// A relocation of which only those parts are read that somebody asks for.
pub(super) struct RawEntry<'a>(&'a [u8; ENTRY]);

impl RawEntry<'_> {
    /// See [`Entry::at`].
    #[inline(always)]
    pub fn at(&self) -> u64 {
        le64(self.0, 0)
    }

    /// See [`Entry::kind`].
    #[inline(always)]
    pub fn kind(&self) -> u32 {
        le32(self.0, 8)
    }

    /// See [`Entry::symbol`].
    #[inline(always)]
    pub fn symbol(&self) -> u32 {
        le32(self.0, 12)
    }

    /// See [`Entry::addend`].
    #[inline(always)]
    pub fn addend(&self) -> i64 {
        le64(self.0, 16).cast_signed()
    }

    /// All of it.
    #[inline(always)]
    pub fn decode(&self) -> Entry {
        decode_entry(self.0)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = RawEntry<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<RawEntry<'a>> {
        self.0.next().map(RawEntry)
    }
}

impl<'a> Relocations<'a> {
    /// The relocations, in file order.
    pub(super) fn entries(&self) -> Entries<'a> {
        Entries(self.entries.iter())
    }

    /// The relocation at `index`.
    #[inline]
    pub(super) fn entry(&self, index: usize) -> Option<Entry> {
        self.entries.get(index).map(decode_entry)
    }

    /// The relocations, in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Rela> + use<'a> {
        self.entries.iter().map(decode_relocation)
    }

    /// The relocation at `index`; quicker than passing over those before it.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Rela> {
        self.entries.get(index).map(decode_relocation)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What [`Object::name`] gives for a name that is not UTF-8 or too long; no symbol
/// of the kernel or of a module is found under it.
const NOT_TEXT: &str = "(a name that is no text of up to 2047 bytes)";
const _: () = assert!(NAME_MAX == 2048, "NOT_TEXT says so");

/// Low four bits of `st_info`: function, object, section...
#[must_use]
pub fn symbol_type(symbol: &Sym) -> u8 {
    symbol.st_info & 0xf
}

/// Bytes from a function's global to its local entry point; 0 for the reserved
/// code, which [`Object::parse`] has refused.
#[must_use]
#[inline]
pub fn local_entry(symbol: &Sym) -> u32 {
    /// By the code in `st_other`, because every symbol and site is asked.
    const BYTES: [u8; 8] = {
        let mut bytes = [0; 8];
        let mut code = 0;
        while code < 8 {
            if let Ok(entry) = LocalEntry::from_st_other((code as u8) << 5) {
                bytes[code] = entry.offset;
            }
            code += 1;
        }
        bytes
    };
    BYTES[usize::from(symbol.st_other >> 5)].into()
}

/// True if the function may come back with another r2 than it was called with,
/// although it lies in the same module.
#[must_use]
pub fn loses_toc(symbol: &Sym) -> bool {
    LocalEntry::from_st_other(symbol.st_other).is_ok_and(|entry| !entry.keeps_r2)
}

/// The NUL-terminated name at `offset` in a string table; `None` if it starts
/// outside, is not UTF-8 or has more than 2047 bytes.
#[must_use]
pub fn text_at(table: &[u8], offset: u32) -> Option<&str> {
    let rest = table.get(offset as usize..)?;
    let rest = rest.get(..NAME_MAX).unwrap_or(rest);
    let (name, behind) = rest.split_at_checked(len_before_nul(rest))?;
    behind.first()?; // its NUL
    if name.is_empty() { Some("") } else { core::str::from_utf8(name).ok() }
}

fn parse_header(bytes: &[u8]) -> Result<Header, LoadError> {
    if bytes.get(..4) != Some(ELFMAG) {
        return Err(if bytes.is_empty() { LoadError::Empty } else { LoadError::NotElf });
    }
    let truncated = || LoadError::Truncated {
        part: Part::Header,
        end: SIZEOF_EHDR as u64,
        len: bytes.len() as u64,
    };
    // Class and byte order come first, because they say how to read the rest.
    let ident: [u8; SIZEOF_IDENT] = *bytes.first_chunk().ok_or_else(truncated)?;
    if ident[EI_CLASS] != ELFCLASS64 {
        return Err(LoadError::Not64Bit { class: ident[EI_CLASS] });
    }
    if ident[EI_DATA] != ELFDATA2LSB {
        return Err(LoadError::BigEndian);
    }
    let raw: &[u8; SIZEOF_EHDR] = bytes.first_chunk().ok_or_else(truncated)?;
    let header = Header {
        e_ident: ident,
        e_type: le16(raw, 16),
        e_machine: le16(raw, 18),
        e_version: le32(raw, 20),
        e_entry: le64(raw, 24),
        e_phoff: le64(raw, 32),
        e_shoff: le64(raw, 40),
        e_flags: le32(raw, 48),
        e_ehsize: le16(raw, 52),
        e_phentsize: le16(raw, 54),
        e_phnum: le16(raw, 56),
        e_shentsize: le16(raw, 58),
        e_shnum: le16(raw, 60),
        e_shstrndx: le16(raw, 62),
    };
    if header.e_machine != EM_PPC64 {
        return Err(LoadError::WrongMachine { machine: header.e_machine });
    }
    if header.e_type != ET_REL {
        return Err(LoadError::NotRelocatable { kind: header.e_type });
    }
    let version = if ident[EI_VERSION] == 1 { header.e_version } else { ident[EI_VERSION].into() };
    if version != 1 {
        return Err(LoadError::WrongVersion { version });
    }
    // Bits 0 and 1 are the ABI version. 0 means that nobody said: GNU as leaves
    // it so for assembly without `.abiversion`. Little-endian code is then
    // ELFv2, unless it has ELFv1's function descriptors (checked by section).
    match header.e_flags & 3 {
        0 | 2 => Ok(header),
        abi => Err(LoadError::WrongAbi { abi }),
    }
}

/// How many sections the header says there are; for a file that is none, any number.
pub(super) fn sections_claimed(bytes: &[u8]) -> u64 {
    bytes.get(60..).and_then(|rest| rest.first_chunk()).map_or(0, |raw| le16::<2>(raw, 0).into())
}

fn parse_sections<'a>(bytes: &'a [u8], header: &Header) -> Result<Vec<Section<'a>>, LoadError> {
    if usize::from(header.e_shentsize) != SECTION_HEADER {
        return Err(LoadError::SectionHeaderSize { found: header.e_shentsize });
    }
    let count = usize::from(header.e_shnum);
    if count == 0 || u32::from(header.e_shstrndx) >= SHN_LORESERVE {
        return Err(LoadError::SectionCount);
    }
    let size = (count * SECTION_HEADER) as u64;
    let table = range(bytes, header.e_shoff, size).ok_or_else(|| LoadError::Truncated {
        part: Part::SectionTable,
        end: header.e_shoff.saturating_add(size),
        len: bytes.len() as u64,
    })?;
    let (raw, _) = table.as_chunks::<SECTION_HEADER>();

    let names_index = usize::from(header.e_shstrndx);
    let names_header = raw.get(names_index).map(decode_section);
    let names = names_header.filter(|header| header.sh_type == SHT_STRTAB);
    let names = names.and_then(|header| range(bytes, header.sh_offset, header.sh_size));
    let names = names.filter(|names| names.last() == Some(&0));
    let Some(names) = names else {
        return Err(LoadError::SectionNames { index: header.e_shstrndx });
    };

    // Looking at all names at once is quicker than at each.
    let text = core::str::from_utf8(names).ok();
    let name_at = |at: u32| match text {
        Some(text) => {
            let rest = text.get(at as usize..)?;
            let rest = rest.as_bytes().get(..NAME_MAX).unwrap_or(rest.as_bytes());
            let len = len_before_nul(rest);
            (len < rest.len()).then(|| text.get(at as usize..at as usize + len))?
        }
        None => text_at(names, at),
    };
    let mut sections = Vec::with_capacity(count);
    let (mut sum, len) = (0_u64, bytes.len() as u64);
    for (index, raw) in raw.iter().enumerate() {
        let header = decode_section(raw);
        let refuse = |name: &str, fault| LoadError::Section {
            index: index as u32,
            name: name.into(),
            fault,
        };
        let Some(name) = name_at(header.sh_name) else {
            return Err(refuse("", SectionFault::Name { offset: header.sh_name }));
        };
        let data = if matches!(header.sh_type, SHT_NOBITS | SHT_NULL) {
            &[][..]
        } else {
            range(bytes, header.sh_offset, header.sh_size).ok_or_else(|| {
                refuse(
                    name,
                    SectionFault::Outside { offset: header.sh_offset, size: header.sh_size, len },
                )
            })?
        };
        // No overflow: 65,535 times what fits into memory.
        sum += data.len() as u64;
        if sum > len {
            return Err(refuse(name, SectionFault::Overlaps { sum, len }));
        }
        if let Some(fault) = section_fault(name, &header) {
            return Err(refuse(name, fault));
        }
        // The first is none, whatever its flags.
        let rank = if index == 0 { Rank::NOT_KEPT } else { Rank::of(name, &header) };
        sections.push(Section { name, header, data, rank });
    }
    Ok(sections)
}

/// What is wrong with a section on its own, without looking at others.
fn section_fault(name: &str, header: &SectionHeader) -> Option<SectionFault> {
    let align = header.sh_addralign;
    if align > 1 && !align.is_power_of_two() || align > ALIGN_MAX {
        return Some(SectionFault::Alignment { align });
    }
    if name == ".opd" && header.sh_size != 0 {
        return Some(SectionFault::Descriptors);
    }
    if matches!(header.sh_type, SHT_RELA | SHT_SYMTAB) {
        if header.sh_entsize != ENTRY as u64 {
            return Some(SectionFault::EntrySize { found: header.sh_entsize });
        }
        if !header.sh_size.is_multiple_of(ENTRY as u64) {
            return Some(SectionFault::PartialEntry { size: header.sh_size });
        }
    }
    if header.sh_flags & u64::from(SHF_ALLOC) == 0 {
        return None;
    }
    if header.sh_flags & u64::from(SHF_COMPRESSED) != 0 {
        return Some(SectionFault::Compressed);
    }
    if header.sh_flags & u64::from(SHF_TLS) != 0 {
        return Some(SectionFault::ThreadLocal);
    }
    None
}

fn find_symbol_table(sections: &[Section]) -> Result<Option<usize>, LoadError> {
    let mut found = None;
    for (index, section) in sections.iter().enumerate() {
        if section.header.sh_type == SHT_SYMTAB && found.replace(index).is_some() {
            return Err(refuse_section(sections, index, SectionFault::SecondSymbolTable));
        }
    }
    Ok(found)
}

/// Symbols, index of the first global one, and the names' table.
type SymbolTable<'a> = (&'a [[u8; ENTRY]], u32, &'a [u8]);

fn parse_symbol_table<'a>(
    sections: &[Section<'a>],
    index: usize,
) -> Result<SymbolTable<'a>, LoadError> {
    let header = &sections[index].header;
    let (symbols, _) = sections[index].data.as_chunks::<ENTRY>();
    let strings = sections.get(header.sh_link as usize);
    let strings =
        strings.filter(|strings| strings.header.sh_type == SHT_STRTAB).ok_or_else(|| {
            refuse_section(sections, index, SectionFault::Link { found: header.sh_link })
        })?;
    if strings.data.last() != Some(&0) {
        let index = header.sh_link as usize;
        return Err(refuse_section(sections, index, SectionFault::Unterminated));
    }
    if header.sh_info as usize > symbols.len() {
        let fault = SectionFault::Info { found: header.sh_info };
        return Err(refuse_section(sections, index, fault));
    }
    Ok((symbols, header.sh_info, strings.data))
}

fn parse_relocations<'a>(
    sections: &[Section<'a>],
    symbols: Option<usize>,
) -> Result<Vec<Relocations<'a>>, LoadError> {
    let mut relocations = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let header = &section.header;
        if !matches!(header.sh_type, SHT_RELA | SHT_REL) {
            continue;
        }
        let refuse = |fault| Err(refuse_section(sections, index, fault));
        let Some(target) = sections.get(header.sh_info as usize).filter(|_| header.sh_info != 0)
        else {
            return refuse(SectionFault::Info { found: header.sh_info });
        };
        // Those of debugging data change nothing that is loaded.
        if !target.is_alloc() || section.data.is_empty() {
            continue;
        }
        if header.sh_type == SHT_REL {
            return refuse(SectionFault::WithoutAddends);
        }
        if Some(header.sh_link as usize) != symbols {
            return refuse(SectionFault::Link { found: header.sh_link });
        }
        if target.is_zeros() {
            return refuse(SectionFault::TargetIsZeros);
        }
        let (entries, _) = section.data.as_chunks::<ENTRY>();
        relocations.push(Relocations { target: header.sh_info as usize, entries });
    }
    Ok(relocations)
}

fn refuse_section(sections: &[Section], index: usize, fault: SectionFault) -> LoadError {
    LoadError::Section { index: index as u32, name: sections[index].name.into(), fault }
}

/// How many numbers [`name_number`] has.
const NAME_NUMBERS: usize = 128;

/// A number that equal names have in common, and others seldom: those that are asked for,
/// hardly ever with others of Debian's modules.
#[inline(always)]
fn name_number(name: &str) -> usize {
    let last = name.as_bytes().last().copied().unwrap_or(0);
    (name.len() * 23 + usize::from(last) * 3) % NAME_NUMBERS
}

/// True if a part of a table of names begins with `name` and its NUL.
#[inline]
fn begins_with_name(rest: &[u8], name: &[u8]) -> bool {
    rest.first() == Some(name.first().unwrap_or(&0))
        && rest.starts_with(name)
        && rest.get(name.len()) == Some(&0)
}

/// The file's bytes from `offset`, `size` of them, if it has them.
fn range(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    bytes.get(start..end)
}

fn decode_section(raw: &[u8; SECTION_HEADER]) -> SectionHeader {
    SectionHeader {
        sh_name: le32(raw, 0),
        sh_type: le32(raw, 4),
        sh_flags: le64(raw, 8),
        sh_addr: le64(raw, 16),
        sh_offset: le64(raw, 24),
        sh_size: le64(raw, 32),
        sh_link: le32(raw, 40),
        sh_info: le32(raw, 44),
        sh_addralign: le64(raw, 48),
        sh_entsize: le64(raw, 56),
    }
}

/// A symbol; one that a live patch borrows is undefined, for who looks up its name.
#[inline]
fn decode_symbol(raw: &[u8; ENTRY]) -> Sym {
    let symbol = decode_raw(raw);
    let borrowed = symbol.st_shndx == SHN_LIVEPATCH;
    Sym { st_shndx: if borrowed { SHN_UNDEF as u16 } else { symbol.st_shndx }, ..symbol }
}

/// A symbol as the file has it.
#[inline]
fn decode_raw(raw: &[u8; ENTRY]) -> Sym {
    Sym {
        st_name: le32(raw, 0),
        st_info: raw[4],
        st_other: raw[5],
        st_shndx: le16(raw, 6),
        st_value: le64(raw, 8),
        st_size: le64(raw, 16),
    }
}

#[inline]
fn decode_relocation(raw: &[u8; ENTRY]) -> Rela {
    Rela { r_offset: le64(raw, 0), r_info: le64(raw, 8), r_addend: le64(raw, 16).cast_signed() }
}

#[inline]
fn decode_entry(raw: &[u8; ENTRY]) -> Entry {
    Entry {
        at: le64(raw, 0),
        kind: le32(raw, 8),
        symbol: le32(raw, 12),
        addend: le64(raw, 16).cast_signed(),
    }
}

// Each of these is one load: the array's length and `at` are constants, so the
// bounds checks fold away.
#[inline(always)]
fn le16<const N: usize>(raw: &[u8; N], at: usize) -> u16 {
    u16::from_le_bytes([raw[at], raw[at + 1]])
}

#[inline(always)]
fn le32<const N: usize>(raw: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]])
}

#[inline(always)]
fn le64<const N: usize>(raw: &[u8; N], at: usize) -> u64 {
    raw[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
