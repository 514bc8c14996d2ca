//! How much of the heap a load takes at most: from counts, before it is taken.
//!
//! ```text
//!  file ──to_parse──> parse ──> Object ──Need::of──> plan ──> Layout ──with──> link, list
//!          |                             |                             |
//!          header's count of sections    symbols, exports, parameters  stubs, sites
//! ```
//!
//! A few kilobytes, once compressed, can unpack to ten million symbols. Each of them
//! is a bounded claim on the heap, but all together are more than there is, and who
//! finds the heap empty in the middle can only give up. So whoever has a heap with an
//! end asks first, and refuses with [`super::LoadError::NoHeap`].
//!
//! # Invariants
//! - What the stages allocate stays below these bounds, whatever the file says:
//!   `tools/spoil/drive.rs` counts it for every spoiled module.
//! - Tables that are only walked through (`__jump_table`, `__ftr_fixup`, relocations of data)
//!   take nothing, so they are not in here.
//!
//! A list that grows by doubling is counted four times, since its old places may be
//! too small for anything that follows.

use super::{
    elf::{self, Object},
    layout::Layout,
};

/// Names in messages, small lists, the tables that sorting wants.
const ANY: u64 = 64 << 10;
/// A section: its view, the list of relocations, its place, what is known of it later.
const SECTION: u64 = 384;
/// A symbol as it is parsed: it may be one that the module does not define (4, grows).
const PARSED: u64 = 16;
/// Bytes of a symbol in the file.
const IN_FILE: u64 = 24;
/// A symbol: what it needs (1), that it needs anything (4, grows), a doubleword of its
/// own (4, grows), what it stands for (24), its place among functions, twice while they
/// are sorted (16), its owner or that it is missing (4, grows).
const SYMBOL: u64 = 1 + 16 + 16 + 24 + 16 + 16;
/// A relocation of code: it may be a call of the profiling hook (12, grows), which may be
/// refused (12) or is kept with its two bits.
const RELOCATION: u64 = 48 + 12 + 1;
/// Where a missing symbol's name stands, while its module is linked again.
const MISSING: u64 = 8;
/// A byte of a table of exports: an entry has 12 at least and becomes 56, in a list
/// that has to grow once, and is sorted.
const EXPORTS: u64 = 3 * 56 / 12 + 1;
/// A byte of the table of parameters: an entry of 40 becomes 48.
const PARAMETERS: u64 = 2;
/// A stub: its record (12), in a list that grows where there are patchable functions.
const STUB: u64 = 48;
/// A patchable function, which may be refused as well: its site, stub, and place (16)
/// in the list by stubs, all of which grow.
const PATCHABLE: u64 = 48 + 48 + STUB + 64 + 16;

/// Most bytes of the heap that parsing `file` takes.
#[must_use]
pub fn to_parse(file: &[u8]) -> u64 {
    ANY + elf::sections_claimed(file) * SECTION + file.len() as u64 / IN_FILE * PARSED
}

/// Most bytes of the heap that a module takes from being planned until it is listed,
/// besides its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need(u64);

impl Need {
    /// Of a module that has not been planned yet: planning takes no more.
    #[must_use]
    pub fn of(object: &Object) -> Self {
        let (mut sections, mut tables) = (0, 0);
        for section in object.sections() {
            sections += SECTION;
            // No overflow: a table's bytes are the file's, or else a number of zeros
            // that the image has no room for.
            match section.name {
                "__ksymtab" | "__ksymtab_gpl" => tables += section.data.len() as u64 * EXPORTS,
                "__param" => tables += section.data.len() as u64 * PARAMETERS,
                _ => {}
            }
        }
        for list in object.relocations() {
            if object.sections()[list.target].is_code() {
                tables += list.len() as u64 * RELOCATION;
            }
        }
        Self(ANY + sections + tables + object.symbol_count() as u64 * SYMBOL)
    }

    /// The same once there is room for stubs.
    #[must_use]
    pub fn with(self, layout: &Layout) -> Self {
        Self(self.0 + u64::from(layout.slots) * STUB + layout.patchable * PATCHABLE)
    }

    /// The same for a module that is linked once more, or looked at, as it was with
    /// so many symbols missing.
    #[must_use]
    pub const fn again(self, missing: usize) -> Self {
        Self(self.0 + missing as u64 * MISSING)
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}
