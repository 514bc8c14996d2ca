//! Branches: the I-form (`b`, `bl`, `ba`, `bla`) and the reach of the B-form (`bc`).
//!
//! ```text
//!  I-form   | 18 |            LI (24 bits)            |AA|LK|   LI * 4: +-32 MiB
//!  B-form   | 16 |  BO  |  BI  |     BD (14 bits)     |AA|LK|   BD * 4: +-32 KiB
//! ```
//!
//! AA clear: the distance counts from the branch's own address. AA set: it is
//! the target's address itself, sign-extended. LK set: the address behind the
//! branch goes to LR, which makes it a call.
//!
//! Only I-form branches can be changed under running CPUs (`patch_class`).
//!
//! # References
//! Power ISA Book I, "Branch Instructions".

use super::Insn;
use super::reach::{RangeError, Reach};
use crate::addr::Vaddr;
use core::fmt;

/// What LI reaches.
pub const REACH: Reach = Reach { min: -0x0200_0000, max: 0x01ff_fffc, step: 4 };

/// What BD reaches: conditional branches and `R_PPC64_REL14`.
pub const REACH_BD: Reach = Reach { min: -0x8000, max: 0x7ffc, step: 4 };

const OPCODE_B: u32 = 18;
const OPCODE_BC: u32 = 16;
const LI_MASK: u32 = 0x03ff_fffc;
const BD_MASK: u32 = 0x0000_fffc;
const AA: u32 = 2;
const LK: u32 = 1;

/// Why a branch could not be aimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchError {
    /// The word has no such distance field; it was left alone.
    NotABranch(Insn),
    /// The target is too far or not word aligned.
    OutOfReach(RangeError),
}

impl fmt::Display for BranchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABranch(found) => write!(f, "expected a branch, found {found}"),
            Self::OutOfReach(range) => write!(f, "branch: {range}"),
        }
    }
}

impl From<RangeError> for BranchError {
    fn from(range: RangeError) -> Self {
        Self::OutOfReach(range)
    }
}

/// `b to`, for a word at `at`.
///
/// # Errors
/// `to` is outside [`REACH`].
pub fn b(at: Vaddr, to: Vaddr) -> Result<Insn, RangeError> {
    let li = REACH.check(to.since(at))?;
    Ok(Insn(OPCODE_B << 26 | field(li, LI_MASK)))
}

/// `bl to`, for a word at `at`.
///
/// # Errors
/// `to` is outside [`REACH`].
pub fn bl(at: Vaddr, to: Vaddr) -> Result<Insn, RangeError> {
    Ok(Insn(b(at, to)?.0 | LK))
}

/// True for `b`, `bl`, `ba` and `bla`.
#[must_use]
pub const fn is_i_form(insn: Insn) -> bool {
    insn.opcode() == OPCODE_B
}

/// True for `bl` and `bla`: I-form branches that come back.
#[must_use]
pub const fn is_call(insn: Insn) -> bool {
    is_i_form(insn) && insn.0 & LK != 0
}

/// Where an I-form branch at `at` goes; `None` for any other word.
#[must_use]
pub const fn target_of(insn: Insn, at: Vaddr) -> Option<Vaddr> {
    if !is_i_form(insn) {
        return None;
    }
    // Bit 25 of the word is LI's sign: shifted to the top, and back.
    let li = (((insn.0 & LI_MASK) << 6).cast_signed() >> 6) as i64;
    let base = if insn.0 & AA != 0 { Vaddr(0) } else { at };
    Some(base.offset(li))
}

/// The same I-form branch, AA and LK kept, aimed at `to`.
///
/// Whatever the field held before is dropped, so a word can be aimed again.
///
/// # Errors
/// The word is no I-form branch, or `to` is out of its reach.
pub fn retarget(insn: Insn, at: Vaddr, to: Vaddr) -> Result<Insn, BranchError> {
    if !is_i_form(insn) {
        return Err(BranchError::NotABranch(insn));
    }
    let base = if insn.0 & AA != 0 { Vaddr(0) } else { at };
    let li = REACH.check(to.since(base))?;
    Ok(Insn(insn.0 & !LI_MASK | field(li, LI_MASK)))
}

/// The same conditional branch with `distance` bytes in BD; BO, BI, AA and LK
/// are kept (`R_PPC64_REL14`).
///
/// # Errors
/// The word is no B-form branch, or `distance` is outside [`REACH_BD`].
pub fn insert_bd(insn: Insn, distance: i64) -> Result<Insn, BranchError> {
    if insn.opcode() != OPCODE_BC {
        return Err(BranchError::NotABranch(insn));
    }
    let bd = REACH_BD.check(distance)?;
    Ok(Insn(insn.0 & !BD_MASK | field(bd, BD_MASK)))
}

/// The bits of `distance` that the field keeps; its range has been checked.
const fn field(distance: i64, mask: u32) -> u32 {
    distance as u32 & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: Vaddr = Vaddr(0x1000_0000);

    #[test]
    fn a_branch_reaches_32_mib_down_and_one_word_less_up() {
        for distance in [-0x200_0000, -4, 0, 4, 0x1ff_fffc] {
            let to = AT.offset(distance);
            assert_eq!(target_of(b(AT, to).unwrap(), AT), Some(to));
            assert_eq!(target_of(bl(AT, to).unwrap(), AT), Some(to));
        }
        for distance in [-0x200_0004, 0x200_0000, 2, -1] {
            let refused = b(AT, AT.offset(distance)).unwrap_err();
            assert_eq!(refused.distance, distance);
            assert_eq!(bl(AT, AT.offset(distance)), Err(refused));
        }
    }

    #[test]
    fn only_opcode_18_is_decoded() {
        assert_eq!(target_of(Insn(0x4182_0010), AT), None); // beq
        assert_eq!(target_of(Insn(0x4e80_0020), AT), None); // blr
        assert_eq!(target_of(Insn::NOP, AT), None);
        assert!(is_call(Insn(0x4800_0001)) && !is_call(Insn(0x4800_0000)));
        assert!(!is_call(Insn(0x4182_0011)));
    }

    #[test]
    fn an_absolute_branch_does_not_count_from_itself() {
        let ba = Insn(0x4800_0102); // ba 0x100
        assert_eq!(target_of(ba, AT), Some(Vaddr(0x100)));
        let high = retarget(ba, AT, Vaddr(0xffff_ffff_fe00_0000)).unwrap();
        assert_eq!(high, Insn(0x4a00_0002));
        assert_eq!(target_of(high, AT), Some(Vaddr(0xffff_ffff_fe00_0000)));
        assert!(retarget(ba, AT, Vaddr(0x200_0000)).is_err());
    }

    #[test]
    fn aiming_again_leaves_nothing_of_the_first_target() {
        let first = bl(AT, AT.offset(-4)).unwrap();
        let second = retarget(first, AT, AT.offset(8)).unwrap();
        assert_eq!(second, Insn(0x4800_0009));
        assert_eq!(retarget(Insn::NOP, AT, AT), Err(BranchError::NotABranch(Insn::NOP)));
    }

    #[test]
    fn a_conditional_branch_reaches_32_kib() {
        let beq = Insn(0x4182_fff5); // beql with something in BD
        assert_eq!(insert_bd(beq, 0x7ffc), Ok(Insn(0x4182_7ffd)));
        assert_eq!(insert_bd(beq, -0x8000), Ok(Insn(0x4182_8001)));
        assert!(insert_bd(beq, 0x8000).is_err());
        assert!(insert_bd(beq, -0x8004).is_err());
        assert!(insert_bd(beq, 2).is_err());
        assert!(insert_bd(Insn(0x4800_0000), 4).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(at in any::<u64>(), words in -0x80_0000_i64..0x80_0000) {
            let at = Vaddr(at & !3);
            let to = at.offset(words * 4);
            prop_assert_eq!(target_of(b(at, to).unwrap(), at), Some(to));
        }
    }
}
