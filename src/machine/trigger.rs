//! Hooked calls of modules in which a function has a trigger: `boot/trigger.S`.

use core::arch::global_asm;
use core::mem::offset_of;

use super::lock::Once;
use super::paca::Paca;
use crate::addr::Vaddr;

unsafe extern "C" {
    fn trigger_hook();
    fn trigger_text_start();
    fn trigger_text_end();
}

global_asm!(
    include_str!("../../boot/trigger.S"),
    TRIGGER_TOC = const offset_of!(Paca, kernel_toc),
    TRIGGER_RING = const offset_of!(Paca, ring_base),
    TRIGGER_WANTED = const offset_of!(Paca, ring_wanted),
    entered = sym entered,
);

/// Told of each such call: where it goes on, where it returns to, r1 at its entry.
/// True if it is to be recorded.
type OnEntry = fn(Vaddr, Vaddr, Vaddr) -> bool;

static ON_ENTRY: Once<OnEntry> = Once::new();

/// Puts `look` behind those calls.
pub fn connect(look: OnEntry) {
    ON_ENTRY.call_once(|| look);
}

extern "C" fn entered(ip: u64, parent: u64, r1: u64) -> u64 {
    ON_ENTRY.get().is_none_or(|look| look(Vaddr(ip), Vaddr(parent), Vaddr(r1))).into()
}

/// True if the address lies in `boot/trigger.S`.
pub fn contains(at: Vaddr) -> bool {
    let (start, end) =
        (trigger_text_start as *const () as u64, trigger_text_end as *const () as u64);
    (start..end).contains(&at.0)
}

/// What the module's profiling stubs lead to then.
pub fn hook_address() -> Vaddr {
    Vaddr(trigger_hook as *const () as u64)
}
