//! The words that may be swapped while other CPUs run them.
//!
//! A CPU that fetches a word during its change sees the old or the new one, and
//! keeps its own copy until it synchronises. The ISA promises that much only if
//! both words are I-form branches or the preferred no-op. For any other pair
//! the result is undefined, also for `mflr r0` -> `nop`, which looks harmless.
//!
//! [`PatchClass`] is that promise as a type: what edits live text takes two of
//! these, and they cannot be made from any other word.
//!
//! # References
//! Power ISA Book II, "Concurrent Modification and Execution of Instructions".

use super::reach::RangeError;
use super::{Insn, branch};
use crate::addr::Vaddr;
use core::fmt;

/// An I-form branch or the preferred no-op.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PatchClass(Insn);

impl PatchClass {
    /// The preferred no-op.
    pub const NOP: Self = Self(Insn::NOP);

    /// `b to`, for a word at `at`.
    ///
    /// # Errors
    /// `to` is outside [`branch::REACH`].
    pub fn b(at: Vaddr, to: Vaddr) -> Result<Self, RangeError> {
        branch::b(at, to).map(Self)
    }

    /// `bl to`, for a word at `at`.
    ///
    /// # Errors
    /// `to` is outside [`branch::REACH`].
    pub fn bl(at: Vaddr, to: Vaddr) -> Result<Self, RangeError> {
        branch::bl(at, to).map(Self)
    }

    /// The word itself.
    #[must_use]
    pub const fn insn(self) -> Insn {
        self.0
    }
}

/// The word is neither an I-form branch nor the preferred no-op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPatchClass(pub Insn);

impl fmt::Display for NotPatchClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.0;
        write!(f, "expected a branch or nop, found {found}")
    }
}

impl TryFrom<Insn> for PatchClass {
    type Error = NotPatchClass;

    fn try_from(insn: Insn) -> Result<Self, NotPatchClass> {
        if insn == Insn::NOP || branch::is_i_form(insn) {
            Ok(Self(insn))
        } else {
            Err(NotPatchClass(insn))
        }
    }
}

impl From<PatchClass> for Insn {
    fn from(word: PatchClass) -> Self {
        word.0
    }
}

impl fmt::Debug for PatchClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for PatchClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::well_known;

    #[test]
    fn branches_in_all_four_spellings_and_nop_are_let_in() {
        for word in [0x4800_0000, 0x4bff_fffd, 0x4800_0102, 0x4800_0103] {
            assert!(PatchClass::try_from(Insn(word)).is_ok());
        }
        assert_eq!(PatchClass::try_from(Insn::NOP), Ok(PatchClass::NOP));
        let at = Vaddr(0x8000);
        let bl = PatchClass::bl(at, at.offset(8)).unwrap();
        assert_eq!(Insn::from(bl), Insn(0x4800_0009));
    }

    #[test]
    fn nothing_else_of_what_we_write_is() {
        for &(insn, text) in well_known::ALL {
            let let_in = PatchClass::try_from(insn).is_ok();
            assert_eq!(let_in, insn == Insn::NOP, "{text}");
        }
        // A conditional branch, and no-ops that mean something to the CPU.
        for word in [0x4182_0010, 0x6042_0000, 0x6063_0000, 0x7c21_0b78] {
            assert!(PatchClass::try_from(Insn(word)).is_err());
        }
    }
}
