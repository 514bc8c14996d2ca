//! Why a module was refused: data with a place, shown as one line.
//!
//! Every stage of the loader returns these, and none changes anything outside
//! its own buffers before it does: the machine is as it was before the load.
//!
//! ```text
//!  .text+0x4c: R_PPC64_REL24 against foo: expected nop after the call in bar, found 0x38210020; put a nop ...
//!  `- place ^  `- what            `- reason                                                   `- remedy
//! ```
//!
//! Names are owned, because an error outlives the file that it speaks of; they
//! are allocated on the way out only. The kinds of fault are enums without
//! names, one for each place that something can be wrong at.

use alloc::{string::String, vec::Vec};
use core::fmt;

use super::{
    reloc_names::RelocName,
    stubs::{StubError, table::TableError},
};
use crate::isa::reach::RangeError;

/// Why a module was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// There is not one byte.
    Empty,
    /// The first four bytes are not ELF's.
    NotElf,
    /// Not the 64-bit class.
    Not64Bit {
        /// `e_ident[EI_CLASS]`; 1 is 32-bit.
        class: u8,
    },
    /// Data and instructions are big-endian.
    BigEndian,
    /// Another version of ELF than the only one that there is.
    WrongVersion {
        /// `e_ident[EI_VERSION]` or `e_version`.
        version: u32,
    },
    /// For another processor.
    WrongMachine {
        /// `e_machine`.
        machine: u16,
    },
    /// Not ELFv2: its calls need function descriptors.
    WrongAbi {
        /// `e_flags` bits 0 and 1.
        abi: u32,
    },
    /// An executable, a shared library or a core dump.
    NotRelocatable {
        /// `e_type`.
        kind: u16,
    },
    /// The file ends before one of its fixed parts does.
    Truncated {
        /// The part.
        part: Part,
        /// Where the part ends, in bytes from the start of the file.
        end: u64,
        /// Bytes in the file.
        len: u64,
    },
    /// Section headers of a size that is not ELF64's.
    SectionHeaderSize {
        /// `e_shentsize`.
        found: u16,
    },
    /// No sections, or so many that ELF's extended numbering is used.
    SectionCount,
    /// The section name table is not there or not terminated.
    SectionNames {
        /// `e_shstrndx`.
        index: u16,
    },
    /// Something wrong with a section.
    Section {
        /// Its index.
        index: u32,
        /// Its name; empty if that is what is wrong.
        name: String,
        /// What is wrong.
        fault: SectionFault,
    },
    /// Something wrong with a symbol.
    Symbol {
        /// Its index.
        index: u32,
        /// Its name; empty if that is what is wrong.
        name: String,
        /// What is wrong.
        fault: SymbolFault,
    },
    /// Something wrong with a relocation, or with what it is to change.
    Reloc {
        /// The place that it changes.
        at: Place,
        /// Its type, as numbered by the ELFv2 ABI.
        kind: u32,
        /// Name of its symbol; empty if it has none.
        symbol: String,
        /// What is wrong.
        fault: RelocFault,
    },
    /// Code and stubs are longer than a branch reaches.
    TextTooLong {
        /// Bytes of code and stubs.
        len: u64,
        /// Bytes that a branch spans.
        reach: u64,
    },
    /// More memory than an image may take, or more than there is.
    NoRoom {
        /// Bytes needed.
        need: u64,
        /// Bytes there are.
        free: u64,
    },
    /// More of the heap than it has left.
    NoHeap {
        /// Bytes needed at most.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// The base address is not aligned as the layout asks.
    Misplaced {
        /// The base address.
        base: u64,
        /// Its least alignment.
        align: u64,
    },
    /// The layout has no room for a stub that turned out to be needed, because nobody
    /// counted them; or something else is wrong, which
    /// [`Layout::plan_exactly`](super::Layout::plan_exactly) and another link tell.
    Recount,
    /// Symbols that neither the kernel nor a loaded module has.
    Unresolved {
        /// The first few, in the file's order.
        names: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// A symbol for GPL-compatible modules only.
    GplOnly {
        /// The symbol.
        name: String,
        /// The licence that the module states; empty if none.
        licence: String,
    },
    /// No table of symbols: neither its functions nor what it imports are known.
    NoSymbols,
    /// `init_module` or `cleanup_module` is no code that stays in memory.
    NoEntry {
        /// Which of them.
        name: &'static str,
    },
    /// The module exports a name that is already taken.
    DuplicateExport {
        /// The name.
        name: String,
        /// Who has it: `kernel` or a module's name.
        owner: String,
    },
    /// An entry of `__ksymtab` or `__ksymtab_gpl` that makes no sense.
    BadExport {
        /// The section and the entry's offset.
        at: Place,
        /// What is wrong.
        fault: ExportFault,
    },
    /// A stub that cannot be made.
    Stub {
        /// The symbol that it is for; empty for a patchable function's.
        symbol: String,
        /// Its place and kind, and what is wrong.
        error: StubError,
    },
    /// No memory for the table of stubs.
    Table(TableError),
}

/// A fixed part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The ELF header.
    Header,
    /// The table of section headers.
    SectionTable,
}

/// A section and an offset in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The section's name.
    pub section: String,
    /// Bytes from its start.
    pub offset: u64,
}

/// What is wrong with a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionFault {
    /// `sh_name` lies outside the name table or is not text.
    Name {
        /// `sh_name`.
        offset: u32,
    },
    /// The bytes lie outside the file.
    Outside {
        /// `sh_offset`.
        offset: u64,
        /// `sh_size`.
        size: u64,
        /// Bytes in the file.
        len: u64,
    },
    /// With those before it, more bytes than the file has: some overlap.
    Overlaps {
        /// Bytes of the sections up to this one.
        sum: u64,
        /// Bytes in the file.
        len: u64,
    },
    /// Not a power of two, or over 64 KiB.
    Alignment {
        /// `sh_addralign`.
        align: u64,
    },
    /// Entries are not 24 bytes.
    EntrySize {
        /// `sh_entsize`.
        found: u64,
    },
    /// The last entry is cut.
    PartialEntry {
        /// `sh_size`.
        size: u64,
    },
    /// `sh_link` does not name the table that it must.
    Link {
        /// `sh_link`.
        found: u32,
    },
    /// `sh_info` names no section or symbol.
    Info {
        /// `sh_info`.
        found: u32,
    },
    /// A string table without a final NUL.
    Unterminated,
    /// More than one symbol table.
    SecondSymbolTable,
    /// Relocations without addends.
    WithoutAddends,
    /// Relocations for a section that has no bytes in the file.
    TargetIsZeros,
    /// Compressed.
    Compressed,
    /// Thread-local.
    ThreadLocal,
    /// ELFv1 function descriptors.
    Descriptors,
    /// Code that the module would write to.
    WritableCode,
}

/// What is wrong with a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolFault {
    /// `st_name` lies outside the string table.
    Name {
        /// `st_name`.
        offset: u32,
    },
    /// `st_shndx` names no section.
    Section {
        /// `st_shndx`.
        index: u16,
    },
    /// Lies past the end of its section.
    Outside {
        /// `st_value`.
        value: u64,
        /// Bytes in the section.
        size: u64,
    },
    /// A common symbol, which has no place yet.
    Common,
    /// Its section's index is in a table that this loader does not read.
    ExtendedIndex,
    /// Linux's late livepatch symbol.
    Livepatch,
    /// The reserved code for the local entry point.
    LocalEntry,
    /// Thread-local.
    ThreadLocal,
    /// An indirect function, chosen by a resolver at run time.
    Indirect,
}

/// What is wrong with a relocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelocFault {
    /// A type that this loader does not implement.
    Unknown,
    /// A call by way of a linkage table, which a program has.
    LinkageTable,
    /// The place of a thread-local variable.
    ThreadLocal,
    /// The symbol's index is past the table.
    SymbolIndex {
        /// The index.
        index: u32,
        /// Symbols in the table.
        count: usize,
    },
    /// The field is not wholly inside the section.
    Outside {
        /// Bytes in the field.
        width: u32,
        /// Bytes in the section.
        size: u64,
    },
    /// The value does not fit the field.
    Range(RangeError),
    /// The symbol lies in a section that is not kept in memory.
    NotLoaded {
        /// The section.
        section: String,
    },
    /// The word is no relative `b` or `bl`.
    NotABranch {
        /// The word.
        found: u32,
    },
    /// The word is no prefix of a prefixed instruction.
    NotPrefixed {
        /// The word.
        found: u32,
    },
    /// A prefixed instruction, which this processor does not have.
    NoPrefixes,
    /// A prefixed instruction across a 64-byte boundary.
    Crosses,
    /// A branch in a section that is not code.
    NotCode,
    /// The branch leaves the module for somewhere other than a function's start.
    IntoFunction {
        /// The addend.
        addend: i64,
    },
    /// A conditional branch leaves the module: stubs are for `b` and `bl`.
    ConditionalLeaves,
    /// An earlier relocation has made the branch another one.
    Changed,
    /// Nowhere to restore r2 after a call that may change it.
    NoTocSlot {
        /// The function that calls.
        function: String,
        /// The word after the call.
        found: u32,
    },
}

/// What is wrong with an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFault {
    /// The section is not a whole number of entries.
    PartialEntry {
        /// Bytes in the section.
        size: u64,
    },
    /// Not a flag for each entry.
    FlagCount {
        /// Flags.
        found: u64,
        /// Entries.
        count: u64,
    },
    /// The name is not in a section of the module, or no text.
    Name {
        /// Its address.
        addr: u64,
    },
    /// The name is empty.
    NoName,
    /// What is exported is not in the module.
    Outside {
        /// Its address.
        addr: u64,
    },
}

impl fmt::Display for Place {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.section, self.offset)
    }
}

impl fmt::Display for LoadError {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty; copy it again, or build it"),
            Self::NotElf => f.write_str("not an ELF file; give a .ko that the compiler or the linker wrote"),
            Self::Not64Bit { class } => {
                write!(f, "ELF class {class}, need 2 (64-bit); compile for powerpc64le")
            }
            Self::BigEndian => f.write_str("big-endian; compile for powerpc64le"),
            Self::WrongVersion { version } => {
                write!(f, "ELF version {version}, need 1; the file is damaged, build it again")
            }
            Self::WrongMachine { machine } => {
                write!(f, "for machine {machine}, need 21 (64-bit PowerPC); compile for powerpc64le")
            }
            Self::WrongAbi { abi } => {
                write!(f, "e_flags say ELF ABI version {abi}, need 2; compile with -mabi=elfv2")
            }
            Self::NotRelocatable { kind } => fmt_kind(f, *kind),
            Self::Truncated { part, end, len } => {
                write!(f, "{part} ends at {end:#x}, but the file has {len:#x} bytes; copy the file again")
            }
            Self::SectionHeaderSize { found } => {
                write!(f, "section headers of {found} bytes, need 64; the file is damaged, build it again")
            }
            Self::SectionCount => {
                f.write_str("no sections, or more than 65279; link with a script that joins sections (ld -r -T)")
            }
            Self::SectionNames { index } => {
                write!(f, "section {index} is no table of section names; the file is damaged, build it again")
            }
            Self::Section { index, name, fault } if name.is_empty() => write!(f, "section {index}: {fault}"),
            Self::Section { index, name, fault } => write!(f, "section {index} ({name}): {fault}"),
            Self::Symbol { index, name, fault } if name.is_empty() => write!(f, "symbol {index}: {fault}"),
            Self::Symbol { index, name, fault } => write!(f, "symbol {index} ({name}): {fault}"),
            Self::Reloc { at, kind, symbol, fault } => {
                write!(f, "{at}: {}", RelocName(*kind))?;
                if !symbol.is_empty() {
                    write!(f, " against {symbol}")?;
                }
                write!(f, ": {fault}")
            }
            Self::TextTooLong { len, reach } => {
                write!(
                    f,
                    "code and stubs take {len:#x} bytes, but a branch spans {reach:#x} and all stubs stand in one place, behind the code; split the module"
                )
            }
            Self::NoRoom { need, free } => {
                write!(f, "no room: needs {need} bytes, {free} free; remove a module or give the machine more memory")
            }
            Self::NoHeap { need, free } => {
                write!(
                    f,
                    "no room: needs up to {need} bytes of the kernel's heap for its symbols and tables, {free} free{}; remove a module or give the machine more memory",
                    if free < need { "" } else { ", but not together" }
                )
            }
            Self::Misplaced { base, align } => {
                write!(f, "base {base:#x} is no multiple of {align:#x}; place the image as its layout asks")
            }
            Self::Recount => f.write_str("stubs not counted; plan it exactly"),
            Self::Unresolved { names, more } => fmt_unresolved(f, names, *more),
            Self::GplOnly { name, licence } if licence.is_empty() => write!(
                f,
                "{name} is for GPL-compatible modules, and this one states no licence; add MODULE_LICENSE"
            ),
            Self::GplOnly { name, licence } => write!(
                f,
                "{name} is for GPL-compatible modules, and this one's licence is \"{}\"; do without the symbol",
                Cut(licence)
            ),
            Self::NoSymbols => f.write_str(
                "has no symbols (stripped?); take the file as it was built",
            ),
            Self::NoEntry { name } => {
                write!(f, "{name} does not lie in the module's code; build the module again")
            }
            Self::DuplicateExport { name, owner } => {
                write!(f, "exports {name}, which {owner} already does; remove the other or rename it")
            }
            Self::BadExport { at, fault } => write!(f, "{at}: {fault}; build the module again"),
            Self::Stub { symbol, error } if symbol.is_empty() => {
                write!(f, "{error}; load the module nearer to the kernel")
            }
            Self::Stub { symbol, error } => {
                write!(f, "{symbol}: {error}; load the module nearer to the kernel")
            }
            Self::Table(error) => write!(f, "{error}; remove a module or give the machine more memory"),
        }
    }
}

fn fmt_kind(f: &mut fmt::Formatter<'_>, kind: u16) -> fmt::Result {
    let what = match kind {
        2 => "an executable",
        3 => "a shared library",
        4 => "a core dump",
        _ => return write!(f, "ELF type {kind}, need 1 (relocatable); link with ld -r"),
    };
    write!(f, "{what} (ELF type {kind}), need a relocatable file; link with ld -r")
}

fn fmt_unresolved(f: &mut fmt::Formatter<'_>, names: &[String], more: usize) -> fmt::Result {
    f.write_str("unresolved: ")?;
    for (index, name) in names.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{name}")?;
    }
    if more != 0 {
        write!(f, " and {more} more")?;
    }
    let who = match (names.len(), more) {
        (1, 0) => "module that exports it",
        _ => "modules that export them",
    };
    write!(
        f,
        "; load the {who} first; insmod --link-only takes this one to be looked at, but never run"
    )
}

impl fmt::Display for Part {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the ELF header",
            Self::SectionTable => "the table of sections",
        })
    }
}

impl fmt::Display for SectionFault {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAMAGED: &str = "the file is damaged, build it again";
        match self {
            Self::Name { offset } => {
                write!(f, "name at {offset:#x} of the name table is no text; {DAMAGED}")
            }
            Self::Outside { offset, size, len } => write!(
                f,
                "{size:#x} bytes from {offset:#x} lie outside the file of {len:#x} bytes; copy the file again"
            ),
            Self::Overlaps { sum, len } => write!(
                f,
                "shares bytes with another: the sections up to it have {sum:#x} bytes, the file {len:#x}; {DAMAGED}"
            ),
            Self::Alignment { align } => {
                write!(f, "alignment {align:#x} is not a power of two up to 0x10000; ask for less")
            }
            Self::EntrySize { found } => write!(f, "entries of {found} bytes, need 24; {DAMAGED}"),
            Self::PartialEntry { size } => {
                write!(f, "size {size:#x} is no multiple of 24; {DAMAGED}")
            }
            Self::Link { found } => {
                write!(f, "sh_link {found} is not the table that it must name; {DAMAGED}")
            }
            Self::Info { found } => write!(f, "sh_info {found} is out of range; {DAMAGED}"),
            Self::Unterminated => write!(f, "string table without a final NUL; {DAMAGED}"),
            Self::SecondSymbolTable => {
                f.write_str("second symbol table; join the parts with ld -r")
            }
            Self::WithoutAddends => f.write_str(
                "relocations without addends (SHT_REL), which ppc64 does not use; link with ld -r",
            ),
            Self::TargetIsZeros => {
                write!(f, "relocates a section without bytes in the file; {DAMAGED}")
            }
            Self::Compressed => {
                f.write_str("compressed, but needed in memory; link without compression")
            }
            Self::ThreadLocal => {
                f.write_str("thread-local, and the kernel has no threads; use an ordinary variable")
            }
            Self::Descriptors => {
                f.write_str("function descriptors of ELFv1; compile with -mabi=elfv2")
            }
            Self::WritableCode => f.write_str(
                "both writable and executable, which no mapping is; split code from data",
            ),
        }
    }
}

impl fmt::Display for SymbolFault {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAMAGED: &str = "the file is damaged, build it again";
        match self {
            Self::Name { offset } => {
                write!(f, "name at {offset:#x} lies outside the string table; {DAMAGED}")
            }
            Self::Section { index } => write!(f, "section {index:#x} does not exist; {DAMAGED}"),
            Self::Outside { value, size } => {
                write!(f, "lies at {value:#x} of a section of {size:#x} bytes; {DAMAGED}")
            }
            Self::Common => f.write_str("common symbol without a place; compile with -fno-common"),
            Self::ExtendedIndex => f.write_str(
                "extended section index; link with a script that joins sections (ld -r -T)",
            ),
            Self::Livepatch => {
                f.write_str("late livepatch symbol; its name is .klp.sym.OBJECT.NAME,POSITION")
            }
            Self::LocalEntry => {
                write!(f, "st_other has the reserved local entry code 7; {DAMAGED}")
            }
            Self::ThreadLocal => {
                f.write_str("thread-local, and the kernel has no threads; use an ordinary variable")
            }
            Self::Indirect => f.write_str("indirect function; choose the function in init instead"),
        }
    }
}

impl fmt::Display for RelocFault {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "type not supported; compile with -mcmodel=medium or large and -fno-pic",
            ),
            Self::LinkageTable => f.write_str(
                "a call through a linkage table, for the loader makes stubs itself; compile without -fno-plt and -mlongcall",
            ),
            Self::ThreadLocal => {
                f.write_str("thread-local, and the kernel has no threads; use an ordinary variable")
            }
            Self::SymbolIndex { index, count } => {
                write!(
                    f,
                    "symbol {index} of {count} does not exist; the file is damaged, build it again"
                )
            }
            Self::Outside { width, size } => write!(
                f,
                "{width} bytes there lie outside the section of {size:#x}; the file is damaged, build it again"
            ),
            Self::Range(range)
                if range.reach.min <= range.distance && range.distance <= range.reach.max =>
            {
                write!(f, "{range}; align what it points to")
            }
            Self::Range(range) => {
                write!(f, "{range}; bring both ends nearer, or compile with -mcmodel=large")
            }
            Self::NotLoaded { section } => {
                write!(f, "{section} is not kept in memory; put the object into another section")
            }
            Self::NotABranch { found } => {
                write!(
                    f,
                    "expected a relative b or bl, found {found:#010x}; the file is damaged, build it again"
                )
            }
            Self::NotPrefixed { found } => {
                write!(f, "expected a prefix, found {found:#010x}; the file is damaged, build it again")
            }
            Self::NoPrefixes => f.write_str(
                "a prefixed instruction, which only POWER10 and later have; run on one (CPU=power10) or compile with -mcpu=power8",
            ),
            Self::Crosses => {
                f.write_str("prefixed instruction across a 64-byte boundary; align the section to 64")
            }
            Self::NotCode => {
                f.write_str("branch in a section that is not executable; mark the section \"ax\"")
            }
            Self::IntoFunction { addend } => write!(
                f,
                "branch to {} from the start of a function outside the module; branch to its start",
                Signed(*addend)
            ),
            Self::Changed => f.write_str(
                "an earlier relocation made this branch another one; relocate each word once",
            ),
            Self::ConditionalLeaves => f.write_str(
                "a conditional branch cannot leave the module, for no stub is made for it; branch around a call, or to a b",
            ),
            Self::NoTocSlot { function, found } => write!(
                f,
                "expected nop after the call in {function}, found {found:#010x}; put a nop after it, for ld r2,24(r1)"
            ),
        }
    }
}

impl fmt::Display for ExportFault {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartialEntry { size } => {
                write!(f, "size {size:#x} is no whole number of entries")
            }
            Self::FlagCount { found, count } => write!(f, "{found} flags for {count} exports"),
            Self::Name { addr } => write!(f, "name at {addr:#x} is no text of the module"),
            Self::NoName => f.write_str("the name is empty"),
            Self::Outside { addr } => write!(f, "exports {addr:#x}, which is not in the module"),
        }
    }
}

/// A text out of a file that may be of any length, and is to stand in a line.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'t>(pub &'t str);

impl fmt::Display for Cut<'_> {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX: usize = 80;
        let cut = self.0.floor_char_boundary(MAX);
        f.write_str(&self.0[..cut])?;
        if cut < self.0.len() { f.write_str("...") } else { Ok(()) }
    }
}

/// A signed number in hexadecimal, with its sign.
struct Signed(i64);

impl fmt::Display for Signed {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{:#x}", self.0.unsigned_abs())
    }
}
