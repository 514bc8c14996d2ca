//! Hooked calls of modules in which a function has a trigger: `boot/trigger.S`.

use core::arch::global_asm;
use core::mem::offset_of;

use super::lock::Once;
use super::memory;
use super::paca::Paca;
use crate::addr::Vaddr;

unsafe extern "C" {
    fn trigger_hook();
    fn trigger_asked();
    fn trigger_text_start();
    fn trigger_text_end();
}

/// Where its frame has the address to go on at, and the return address.
const LR: usize = 120;
const PARENT: usize = 32;

global_asm!(
    include_str!("../../boot/trigger.S"),
    TRIGGER_TOC = const offset_of!(Paca, kernel_toc),
    TRIGGER_RING = const offset_of!(Paca, ring_base),
    TRIGGER_WANTED = const offset_of!(Paca, ring_wanted),
    TRIGGER_STACK = const offset_of!(Paca, stack_low),
    TRIGGER_LR = const LR,
    TRIGGER_PARENT = const PARENT,
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

/// Where the function goes on, and where it returns to, whose call waits in the frame at
/// `stack`, to which `at` returns; `None` if that is no such frame.
pub fn goes_on(at: Vaddr, stack: Vaddr) -> Option<[Vaddr; 2]> {
    let field = |offset: usize| memory::read_u64(stack.offset(offset as i64)).map(Vaddr);
    let places = || Some([field(LR)?, field(PARENT)?]);
    (at.0 == trigger_asked as *const () as u64).then(places).flatten()
}

/// What the module's profiling stubs lead to then.
pub fn hook_address() -> Vaddr {
    Vaddr(trigger_hook as *const () as u64)
}
