//! The C functions with variable arguments (`boot/varargs.S`).
//!
//! The Rust function behind each gets the address of an array of doublewords,
//! the variable arguments; reading them is `machine::memory::read_u64`'s job.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::addr::Vaddr;

/// Global entries of the Rust functions, in the order of [`Targets`]'s fields.
static TARGETS: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

global_asm!(include_str!("../../boot/varargs.S"), targets = sym TARGETS);

/// The Rust functions behind the C ones; addresses are passed as numbers.
pub struct Targets {
    /// Format, arguments.
    pub printk: extern "C" fn(u64, u64) -> i32,
    /// Buffer, format, arguments.
    pub sprintf: extern "C" fn(u64, u64, u64) -> i32,
    /// Descriptor, format, arguments.
    pub dynamic_pr_debug: extern "C" fn(u64, u64, u64),
    /// Buffer, size, format, arguments; the length that was wanted.
    pub snprintf: extern "C" fn(u64, u64, u64, u64) -> i32,
    /// Buffer, size, format, arguments; the length that was stored.
    pub scnprintf: extern "C" fn(u64, u64, u64, u64) -> i32,
}

/// Connects the C names; before that a call of one jumps to 0.
pub fn connect(targets: &Targets) {
    let entries = [
        targets.printk as usize,
        targets.sprintf as usize,
        targets.dynamic_pr_debug as usize,
        targets.snprintf as usize,
        targets.scnprintf as usize,
    ];
    for (slot, entry) in TARGETS.iter().zip(entries) {
        slot.store(entry as u64, Ordering::Relaxed);
    }
}

unsafe extern "C" {
    fn _printk();
    fn __warn_printk();
    fn sprintf();
    fn snprintf();
    fn scnprintf();
    fn __dynamic_pr_debug();
    fn memcpy();
    fn memmove();
    fn memset();
    fn memcmp();
}

/// Assembly routines that modules import: C name, global entry.
pub fn exports() -> [(&'static str, Vaddr); 10] {
    let at = |f: unsafe extern "C" fn()| Vaddr(f as *const () as u64);
    [
        ("_printk", at(_printk)),
        ("__warn_printk", at(__warn_printk)),
        ("sprintf", at(sprintf)),
        ("snprintf", at(snprintf)),
        ("scnprintf", at(scnprintf)),
        ("__dynamic_pr_debug", at(__dynamic_pr_debug)),
        ("memcpy", at(memcpy)),
        ("memmove", at(memmove)),
        ("memset", at(memset)),
        ("memcmp", at(memcmp)),
    ]
}
