//! One instruction word at a time: what the loader, the stubs and the patcher
//! need to encode, decode and reach.
//!
//! ```text
//! reach.rs        how far a field reaches, and the error that says by how much not
//! branch.rs       b, bl, bc: distance in, word out; word in, target out
//! dform.rs        16-bit displacement fields; a 32-bit offset as two of them
//! encode.rs       the few instructions with operands that stubs are made of
//! well_known.rs   whole words that need no operand, each with its assembly text
//! patch_class.rs  the words that may be swapped while other CPUs run them
//! disasm/         an instruction's text, as objdump has it
//! entry.rs        st_other: how far the local entry lies behind the global one
//! ```
//!
//! Nothing here knows of modules or of memory. Every encoding in this folder is
//! compared with GNU as in `tests/gnu_as.rs`.
#![forbid(unsafe_code)]

use core::fmt;

pub mod branch;
pub mod dform;
pub mod disasm;
pub mod encode;
pub mod entry;
pub mod patch_class;
pub mod reach;
pub mod well_known;

/// One 4-byte instruction word, in the value that a register would hold.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Insn(pub u32);

impl Insn {
    /// The preferred no-op, `ori 0,0,0` (Power ISA Book I, "Preferred No-op").
    pub const NOP: Self = Self(0x6000_0000);

    /// The primary opcode, the word's six leading bits: its format follows from it.
    #[must_use]
    pub const fn opcode(self) -> u32 {
        self.0 >> 26
    }
}

impl fmt::Debug for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}
