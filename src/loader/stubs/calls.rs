//! Our own kinds, except Redirect: 32-byte slots (OutOfLine 16), target in a
//! doubleword of data.
//!
//! ```text
//! External                  Profile                   Sibling
//!   std   r2,24(r1)           ld    r12,PACATOC(r13)    addis r12,r2,word@ha
//!   addis r12,r2,word@ha      addis r12,r12,word@ha     ld    r12,word@l(r12)
//!   ld    r12,word@l(r12)     ld    r12,word@l(r12)     ld    r11,SIBLING(r13)
//!   mtctr r12                 mtctr r12                 mtctr r11
//!   bctr                      bctr                      bctr
//!
//! OutOfLine                 Missing
//!   mflr  r0                  trap
//!   bl    hook                .long mark, symbol, ~symbol
//!   mtlr  r0
//!   b     site+4
//! ```
//!
//! External finds its word from r2, the module's TOC, which any caller that
//! may leave the module has in r2. r12 arrives as the callee's global entry.
//!
//! Profile cannot: at `bl _mcount` r2 may be another module's, or that of the
//! caller's caller (a leaf that uses no global data never sets it). It asks the
//! PACA and measures from the kernel's TOC. r0, r2-r11, lr and memory are left
//! as they are; r12 has done its duty at the global entry, ctr is free there.
//!
//! Sibling serves `b callee` at a function's end. The frame is gone, so 24(r1)
//! is the caller's; and the caller may have called us by our local entry and
//! expect r2 unchanged, with no slot behind its `bl`. The kernel's routine
//! therefore pushes r2 and lr on the shadow stack, calls r12, and restores both.
//! r11 is the environment pointer only of calls through a function pointer with
//! a static chain, which no compiler makes into a direct `b`.
//!
//! OutOfLine is what a patchable nop turns into: there LR still holds the
//! function's return address, which `bl` would destroy. r0 carries it across
//! the hook, as at an `_mcount` site, and `mtlr` puts it back.
//!
//! Notoc is Profile, with a mark behind it that tells the two apart. It serves
//! PC-relative code: r2 is no TOC there, so the word is found by the PACA, and
//! nobody wants r2 back. `pld` would be two instructions less, but exists on
//! POWER10 only, and `bl x@notoc` may stand in code for any processor.

use super::{Part, StubAbi, StubCause, StubKind, StubWords};
use super::{call, jump, kernel_toc_to_r12, paca, target_word};
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::encode::{Gpr, addis, ld};
use crate::isa::well_known::{BCTR, MFLR_R0, MTCTR_R11, MTCTR_R12, MTLR_R0, STD_R2_24_R1, TRAP};

/// Second word of a Missing stub, "mis" in a dump. Its primary opcode is 0, so
/// it cannot be executed either.
pub const MISSING_MARK: u32 = u32::from_le_bytes(*b"mis\0");

/// Sixth word of a Notoc stub, "ntc" in a dump; never executed, nor could it be.
pub const NOTOC_MARK: u32 = u32::from_le_bytes(*b"ntc\0");

pub(super) fn notoc(word: Vaddr, abi: &StubAbi) -> Result<StubWords, StubCause> {
    let code = from_paca(word, abi)?;
    Ok(StubWords::new(StubKind::Notoc, code).with(5, NOTOC_MARK))
}

pub(super) fn external(word: Vaddr, abi: &StubAbi) -> Result<StubWords, StubCause> {
    Ok(StubWords::new(StubKind::External, external_code(word, abi)?))
}

/// The whole slot.
#[inline]
pub(super) fn external_code(word: Vaddr, abi: &StubAbi) -> Result<[Insn; 8], StubCause> {
    let way = target_word(word, abi.module_toc)?;
    Ok([
        STD_R2_24_R1,
        addis(Gpr::R12, Gpr::R2, way.ha),
        ld(Gpr::R12, way.lo, Gpr::R12),
        MTCTR_R12,
        BCTR,
        Insn(0),
        Insn(0),
        Insn(0),
    ])
}

pub(super) fn profile(word: Vaddr, abi: &StubAbi) -> Result<StubWords, StubCause> {
    Ok(StubWords::new(StubKind::Profile, from_paca(word, abi)?))
}

/// To what `word` points to, whatever r2 holds.
fn from_paca(word: Vaddr, abi: &StubAbi) -> Result<[Insn; 5], StubCause> {
    let way = target_word(word, abi.kernel_toc)?;
    Ok([
        kernel_toc_to_r12(abi)?,
        addis(Gpr::R12, Gpr::R12, way.ha),
        ld(Gpr::R12, way.lo, Gpr::R12),
        MTCTR_R12,
        BCTR,
    ])
}

pub(super) fn sibling(word: Vaddr, abi: &StubAbi) -> Result<StubWords, StubCause> {
    let way = target_word(word, abi.module_toc)?;
    let code = [
        addis(Gpr::R12, Gpr::R2, way.ha),
        ld(Gpr::R12, way.lo, Gpr::R12),
        ld(Gpr::R11, paca(abi.paca_sibling)?, Gpr::R13),
        MTCTR_R11,
        BCTR,
    ];
    Ok(StubWords::new(StubKind::Sibling, code))
}

/// Address of the `bl hook` in an OutOfLine stub at `at`.
pub(super) const fn hook_branch(at: Vaddr) -> Vaddr {
    at.offset(4)
}

/// Address of the `b` that ends an OutOfLine stub at `at`.
pub(crate) const fn way_back(at: Vaddr) -> Vaddr {
    at.offset(12)
}

pub(super) fn out_of_line(at: Vaddr, site: Vaddr, hook: Vaddr) -> Result<StubWords, StubCause> {
    let code = [
        MFLR_R0,
        call(Part::Hook, hook_branch(at), hook)?,
        MTLR_R0,
        jump(Part::WayBack, way_back(at), site.offset(4))?,
    ];
    Ok(StubWords::new(StubKind::OutOfLine, code))
}

pub(super) fn missing(symbol: u32) -> StubWords {
    StubWords::new(StubKind::Missing, missing_code(symbol))
}

/// The whole slot.
#[inline]
pub(super) fn missing_code(symbol: u32) -> [Insn; 8] {
    let [mark, symbol, inverse] = [MISSING_MARK, symbol, !symbol].map(Insn);
    [TRAP, mark, symbol, inverse, Insn(0), Insn(0), Insn(0), Insn(0)]
}
