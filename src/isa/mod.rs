//! One instruction word at a time: what the loader, the stubs and the patcher
//! need to encode, decode and reach.
#![forbid(unsafe_code)]

use core::fmt;

/// One 4-byte instruction word, in the value that a register would hold.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Insn(pub u32);

impl Insn {
    /// The preferred no-op, `ori 0,0,0` (Power ISA Book I, "Preferred No-op").
    pub const NOP: Self = Self(0x6000_0000);
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
