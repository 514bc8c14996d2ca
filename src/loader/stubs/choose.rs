//! Chooser: what a redirect stub leads to while its function changes over.
//!
//! ```text
//!  redirect stub ─ target ─> chooser:  0  ld    r12,PACATOC(r13)
//!                                      1  ld    r0,SIDE(r13)     0 or 8, this CPU's
//!  sides: [ side 0 ][ side 8 ]         2  add   r12,r12,r0
//!                                      3  addis r12,r12,sides@ha
//!                                      4  ld    r12,sides@l(r12)
//!                                      5  mtctr r12
//!                                      6  ld    r0,SHADOW_RETURN(r13)
//!                                      7  bctr
//! ```
//!
//! A side is a replacement's global entry, or the word behind the function's own site:
//! then the function itself runs, and returns through the shadow stack as a replacement
//! does. For that r0 is as LR again, the way it is behind a site.
//!
//! # Invariants
//! - Registers as in [`super::redirect`]; r0, r12 and ctr are free there.
//! - The side of a CPU changes only while its stack shows that it is in no stub and no
//!   chooser, so each call runs one side from beginning to end.
//!
//! Not a part of the redirect stub, which is done with in fewer instructions outside of
//! a change, nor one routine for all, which would not know which function is meant.

use super::{StubAbi, StubCause, kernel_toc_to_r12, paca, target_word};
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::encode::{Gpr, addis, ld};
use crate::isa::well_known::{ADD_R12_R12_R0, BCTR, MTCTR_R12};

/// Words of a chooser.
pub const WORDS: usize = 8;

/// The words of the chooser between the doublewords at `sides` and behind it;
/// `paca_side` is where a CPU keeps its side, from r13.
pub fn choose(sides: Vaddr, paca_side: u16, abi: &StubAbi) -> Result<[Insn; WORDS], StubCause> {
    let way = target_word(sides, abi.kernel_toc)?;
    Ok([
        kernel_toc_to_r12(abi)?,
        ld(Gpr::R0, paca(paca_side)?, Gpr::R13),
        ADD_R12_R12_R0,
        addis(Gpr::R12, Gpr::R12, way.ha),
        ld(Gpr::R12, way.lo, Gpr::R12),
        MTCTR_R12,
        ld(Gpr::R0, paca(abi.paca_shadow_return)?, Gpr::R13),
        BCTR,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words from GNU as: `ld 12,16(13); ld 0,1104(13); add 12,12,0; addis 12,12,0x12;
    /// ld 12,0x3458(12); mtctr 12; ld 0,56(13); bctr`.
    #[test]
    fn a_chooser_is_what_the_assembler_makes_of_it() {
        let abi = StubAbi {
            kernel_toc: Vaddr(0x400_8000),
            module_toc: Vaddr(0),
            paca_toc: 16,
            paca_sibling: 24,
            paca_shadow_sp: 32,
            paca_shadow_limit: 40,
            paca_shadow_return: 56,
        };
        let words = choose(Vaddr(0x412_b458), 1104, &abi).unwrap().map(|insn| insn.0);
        assert_eq!(
            words,
            [
                0xe98d_0010,
                0xe80d_0450,
                0x7d8c_0214,
                0x3d8c_0012,
                0xe98c_3458,
                0x7d89_03a6,
                0xe80d_0038,
                0x4e80_0420,
            ]
        );
        assert!(choose(Vaddr(0x412_b45c), 1104, &abi).is_err(), "misaligned");
    }
}
