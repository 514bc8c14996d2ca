//! Hooked calls of modules in which a function has a trigger: `boot/trigger.S`.

use core::arch::global_asm;
use core::mem::offset_of;

use super::lock::Once;
use super::paca::Paca;
use crate::addr::Vaddr;

unsafe extern "C" {
    fn trigger_hook();
}

global_asm!(
    include_str!("../../boot/trigger.S"),
    TRIGGER_TOC = const offset_of!(Paca, kernel_toc),
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

/// What the module's profiling stubs lead to then.
pub fn hook_address() -> Vaddr {
    Vaddr(trigger_hook as *const () as u64)
}
