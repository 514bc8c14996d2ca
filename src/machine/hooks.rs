//! What switched-on call sites run through: `boot/mcount.S` and its addresses.

use core::arch::global_asm;
use core::mem::{offset_of, size_of};
use core::sync::atomic::AtomicU64;

use crate::addr::Vaddr;
use crate::machine::paca::{self, Paca, ShadowEntry};
use crate::trace::record;

unsafe extern "C" {
    fn _mcount();
    fn mcount_late();
    fn sibling_call();
    fn shadow_return();
    fn sibling_overflow();
    fn hook_text_start();
    fn hook_text_end();
}

global_asm!(
    include_str!("../../boot/mcount.S"),
    RING_BASE = const offset_of!(Paca, ring_base),
    RING_HEAD = const offset_of!(Paca, ring_head),
    RING_MASK = const offset_of!(Paca, ring_mask),
    RECORD_SHIFT = const record::SIZE.ilog2(),
    RECORD_TIME = const record::TIME,
    RECORD_IP = const record::IP,
    RECORD_PARENT = const record::PARENT,
    RECORD_SEQ = const record::SEQ,
    SHADOW_SP = const offset_of!(Paca, shadow_sp),
    SHADOW_LIMIT = const offset_of!(Paca, shadow_limit),
    SHADOW_ENTRY = const size_of::<ShadowEntry>(),
    SHADOW_LR = const offset_of!(ShadowEntry, lr),
    SHADOW_TOC = const offset_of!(ShadowEntry, toc),
    SHADOW_R1 = const offset_of!(ShadowEntry, r1),
);

/// True if the address lies in what call sites and stubs run through: it runs for a
/// module, with the module's registers, and holds nothing.
pub fn contains(at: Vaddr) -> bool {
    let (start, end) = (hook_text_start as *const () as u64, hook_text_end as *const () as u64);
    (start..end).contains(&at.0)
}

/// The tracer of early sites.
pub fn mcount_address() -> Vaddr {
    Vaddr(_mcount as *const () as u64)
}

/// The tracer of sites behind the prologue.
pub fn mcount_late_address() -> Vaddr {
    Vaddr(mcount_late as *const () as u64)
}

/// The routine behind stubs for tail calls.
pub fn sibling_call_address() -> Vaddr {
    Vaddr(sibling_call as *const () as u64)
}

/// Where redirected functions return to.
pub fn shadow_return_address() -> Vaddr {
    Vaddr(shadow_return as *const () as u64)
}

/// The trap that tells of a full shadow stack in a tail call.
pub fn sibling_overflow_address() -> Vaddr {
    Vaddr(sibling_overflow as *const () as u64)
}

/// Starts recording into `words`, a power of two of records, on the CPU with this
/// PACA.
pub fn ring_on(paca: Vaddr, words: &'static [AtomicU64]) {
    let records = words.len() / record::WORDS;
    assert!(records.is_power_of_two(), "a slot is found by a mask");
    paca::set_ring_of(paca, words.as_ptr() as u64, records as u64 - 1);
}

/// Stops recording on the CPU with this PACA; the records stay.
pub fn ring_off(paca: Vaddr) {
    paca::set_ring_of(paca, 0, 0);
}
