//! The seed's and Linux's shapes, on request: 40-byte slots, target inside.
//!
//! ```text
//!    SeedExternal          SeedProfile           LinuxExternal         LinuxProfile
//!  0 std   r2,24(r1)       ld    r12,TOC(r13)    addis r11,r2,me@ha    ld    r12,TOC(r13)
//!  1 addis r11,r2,me@ha    addis r11,r12,to@ha   addi  r11,r11,me@l    addis r12,r12,to@ha
//!  2 addi  r11,r11,me@l    addi  r11,r11,to@l    std   r2,24(r1)       addi  r12,r12,to@l
//!  3 ld    r12,32(r11)     addi  r12,r11,0       ld    r12,32(r11)     mtctr r12
//!  4 mtctr r12             mtctr r12             mtctr r12             bctr
//!  5 bctr                  bctr                  bctr                  0
//!  6 0                     0                     0                     0
//!  7 0                     0                     magic                 magic
//!  8 target (u64)          target (u64)          target (u64)          target (u64)
//! ```
//!
//! `me` is the stub's distance from the module's TOC, `to` the target's from
//! the kernel's. All but the last clobber r11, r12 and ctr; LinuxProfile r12
//! and ctr. The External shapes store r2 in 24(r1); the Profile shapes neither
//! read r2 nor touch memory but the PACA.
//!
//! The seed moved `std r2` to the front and did its arithmetic in r11 in both
//! shapes, so that one set of masks fits both (`recognise::seed_mask_matches`).
//! What became of it in Linux has a magic number to be known by instead, and
//! saves a word. The Profile shapes keep the target at the end although no
//! instruction reads it: there it can be found without knowing the kernel's TOC.
//!
//! A stub of these kinds must not be copied: `me` is its own address.

use super::{Part, StubAbi, StubCause, StubKind, StubWords};
use super::{kernel_toc_to_r12, of};
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::dform::{self, Ds, HaLo};
use crate::isa::encode::{Gpr, addi, addis, ld};
use crate::isa::well_known::{BCTR, MTCTR_R12, STD_R2_24_R1};

/// Linux's mark, "stub" when read as a number.
pub const LINUX_MAGIC: u32 = 0x7374_7562;

/// Where the target lies, in bytes from the stub's start.
pub(super) const FUNCDATA: i64 = 32;
const FUNCDATA_WORD: usize = FUNCDATA as usize / 4;
const MAGIC_WORD: usize = 7;

/// `ld r12,32(r11)`, with the stub's own address in r11.
const LOAD_FUNCDATA: Insn = match Ds::new(FUNCDATA) {
    Ok(ds) => ld(Gpr::R12, ds, Gpr::R11),
    Err(_) => panic!("the target is a doubleword"),
};

fn self_from_toc(at: Vaddr, abi: &StubAbi) -> Result<HaLo<i16>, StubCause> {
    dform::split(at.since(abi.module_toc)).map_err(of(Part::Slot))
}

fn target_from_kernel_toc(target: Vaddr, abi: &StubAbi) -> Result<HaLo<i16>, StubCause> {
    dform::split(target.since(abi.kernel_toc)).map_err(of(Part::Target))
}

pub(super) fn seed_external(
    at: Vaddr,
    target: Vaddr,
    abi: &StubAbi,
) -> Result<StubWords, StubCause> {
    let me = self_from_toc(at, abi)?;
    let code = [
        STD_R2_24_R1,
        addis(Gpr::R11, Gpr::R2, me.ha),
        addi(Gpr::R11, Gpr::R11, me.lo),
        LOAD_FUNCDATA,
        MTCTR_R12,
        BCTR,
    ];
    Ok(StubWords::new(StubKind::SeedExternal, code).with_u64(FUNCDATA_WORD, target.0))
}

pub(super) fn seed_profile(target: Vaddr, abi: &StubAbi) -> Result<StubWords, StubCause> {
    let to = target_from_kernel_toc(target, abi)?;
    let code = [
        kernel_toc_to_r12(abi)?,
        addis(Gpr::R11, Gpr::R12, to.ha),
        addi(Gpr::R11, Gpr::R11, to.lo),
        addi(Gpr::R12, Gpr::R11, 0),
        MTCTR_R12,
        BCTR,
    ];
    Ok(StubWords::new(StubKind::SeedProfile, code).with_u64(FUNCDATA_WORD, target.0))
}

pub(super) fn linux_external(
    at: Vaddr,
    target: Vaddr,
    abi: &StubAbi,
) -> Result<StubWords, StubCause> {
    let me = self_from_toc(at, abi)?;
    let code = [
        addis(Gpr::R11, Gpr::R2, me.ha),
        addi(Gpr::R11, Gpr::R11, me.lo),
        STD_R2_24_R1,
        LOAD_FUNCDATA,
        MTCTR_R12,
        BCTR,
    ];
    Ok(marked(StubKind::LinuxExternal, code, target))
}

pub(super) fn linux_profile(target: Vaddr, abi: &StubAbi) -> Result<StubWords, StubCause> {
    let to = target_from_kernel_toc(target, abi)?;
    let code = [
        kernel_toc_to_r12(abi)?,
        addis(Gpr::R12, Gpr::R12, to.ha),
        addi(Gpr::R12, Gpr::R12, to.lo),
        MTCTR_R12,
        BCTR,
    ];
    Ok(marked(StubKind::LinuxProfile, code, target))
}

fn marked<const N: usize>(kind: StubKind, code: [Insn; N], target: Vaddr) -> StubWords {
    StubWords::new(kind, code).with(MAGIC_WORD, LINUX_MAGIC).with_u64(FUNCDATA_WORD, target.0)
}
