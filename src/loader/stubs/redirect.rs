//! Redirect: what the call site of a live-patched function calls.
//!
//! A calls B; B's call site (`mflr r0; bl _mcount`, at its local entry) calls
//! this stub, which runs the replacement C in B's stead. C comes back not to A
//! but to `shadow_return`, which puts A's r2 right: A may have called B as
//! its neighbour, without a place to restore r2 from, while C has another TOC.
//!
//! ```text
//!  0  nop                         or `bl` to a Profile stub, if B is traced too
//!  1  ld    r12,SHADOW_SP(r13)
//!  2  addi  r12,r12,32            reserve an entry, then write it: an interrupt
//!  3  std   r12,SHADOW_SP(r13)    that pushes in between takes the next one
//!  4  std   r0,-32(r12)           A's return address; r0 is free now
//!  5  ld    r0,SHADOW_LIMIT(r13)
//!  6  tdlgt r12,r0                full: trap
//!  7  std   r2,-24(r12)           A's TOC
//!  8  std   r1,-16(r12)           A's frame, by which a back trace finds A
//!  9  ld    r0,SHADOW_RETURN(r13)
//! 10  mtlr  r0                    where C returns to
//! 11  ld    r12,PACATOC(r13)
//! 12  addis r12,r12,word@ha
//! 13  ld    r12,word@l(r12)       C's global entry
//! 14  mtctr r12
//! 15  bctr
//! ```
//!
//! | register | on entry | on the way to C |
//! |---|---|---|
//! | r0 | A's return address | clobbered |
//! | r1 | A's frame | kept: arguments on the stack stay in place |
//! | r2 | whatever runs here: B's TOC, or A's | kept, and in the entry |
//! | r3-r10 | arguments | kept |
//! | r11 | perhaps an environment pointer | kept |
//! | r12 | free | C's global entry |
//! | r13 | PACA | kept |
//! | ctr | free | C's global entry |
//! | lr | behind B's site: not needed any more | `shadow_return` |
//! | cr, xer, r14-r31 | | kept |
//!
//! No frame is built and nothing is written to A's: 16(r1) is C's to save LR
//! in, 24(r1) may hold A's TOC.
//!
//! # Invariants
//! - The shadow stack has room for one entry behind SHADOW_LIMIT. Only r0 and
//!   r12 are free, so the check can come only after r0 is stored; the entry
//!   that trips it has written its first doubleword into that room and no more.
//!   No entry ever lies outside the stack. (To check before the first store, r0
//!   would have to wait elsewhere: two more instructions in every call, and 72
//!   bytes; the spare entry costs 32 bytes a CPU.)
//! - After the trap SHADOW_SP is one entry too high; ending the job rewinds it.
//! - Word 0 is of the patch class, so tracing goes on and off while CPUs run
//!   the stub. The tracer sees LR = stub + 4 and r0 = A's return address, and
//!   comes back with r0 unchanged (and LR = r0, which does not matter here).
//! - Between word 3 and word 8 the entry holds remains of an earlier one; LR
//!   does not say `shadow_return` yet, so no back trace looks at it.
//!
//! The target is loaded last, rather than first and parked in ctr, because r12
//! then needs no copy of it: that makes the stub fit 64 bytes.

use super::{Part, StubAbi, StubCause, StubKind, StubWords};
use super::{call, kernel_toc_to_r12, paca, target_word};
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::dform::Ds;
use crate::isa::encode::{Gpr, addi, addis, ld, std, tdlgt};
use crate::isa::well_known::{BCTR, MTCTR_R12, MTLR_R0};

/// Bytes of one shadow stack entry.
pub const ENTRY_BYTES: i16 = 32;
/// In an entry: the return address to go back to.
pub const ENTRY_LR: i16 = 0;
/// In an entry: the r2 to go back with.
pub const ENTRY_TOC: i16 = 8;
/// In an entry: the r1 at the time, which is also that of the return.
pub const ENTRY_SP: i16 = 16;

/// The displacement of an entry's field from the stack pointer behind it.
const fn below(field: i16) -> Ds {
    match Ds::new((field - ENTRY_BYTES) as i64) {
        Ok(ds) => ds,
        Err(_) => panic!("entry fields are doublewords"),
    }
}

pub(super) fn redirect(
    at: Vaddr,
    word: Vaddr,
    traced: Option<Vaddr>,
    abi: &StubAbi,
) -> Result<StubWords, StubCause> {
    let way = target_word(word, abi.kernel_toc)?;
    let shadow_sp = paca(abi.paca_shadow_sp)?;
    let first = match traced {
        Some(profile_stub) => call(Part::Hook, at, profile_stub)?,
        None => Insn::NOP,
    };
    let code = [
        first,
        ld(Gpr::R12, shadow_sp, Gpr::R13),
        addi(Gpr::R12, Gpr::R12, ENTRY_BYTES),
        std(Gpr::R12, shadow_sp, Gpr::R13),
        std(Gpr::R0, const { below(ENTRY_LR) }, Gpr::R12),
        ld(Gpr::R0, paca(abi.paca_shadow_limit)?, Gpr::R13),
        tdlgt(Gpr::R12, Gpr::R0),
        std(Gpr::R2, const { below(ENTRY_TOC) }, Gpr::R12),
        std(Gpr::R1, const { below(ENTRY_SP) }, Gpr::R12),
        ld(Gpr::R0, paca(abi.paca_shadow_return)?, Gpr::R13),
        MTLR_R0,
        kernel_toc_to_r12(abi)?,
        addis(Gpr::R12, Gpr::R12, way.ha),
        ld(Gpr::R12, way.lo, Gpr::R12),
        MTCTR_R12,
        BCTR,
    ];
    Ok(StubWords::new(StubKind::Redirect, code))
}
