//! The C functions with variable arguments (`boot/varargs.S`).
//!
//! The Rust function behind each gets the address of an array of doublewords,
//! the variable arguments; reading them is `machine::memory::read_u64`'s job.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// Global entries of the Rust functions, in the order of [`Targets`]'s fields.
static TARGETS: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];

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
    /// `seq_file`, format, arguments.
    pub seq_printf: extern "C" fn(u64, u64, u64) -> i32,
}

/// Connects the C names; before that a call of one jumps to 0.
pub fn connect(targets: &Targets) {
    let entries = [
        targets.printk as usize,
        targets.sprintf as usize,
        targets.dynamic_pr_debug as usize,
        targets.snprintf as usize,
        targets.scnprintf as usize,
        targets.seq_printf as usize,
    ];
    for (slot, entry) in TARGETS.iter().zip(entries) {
        slot.store(entry as u64, Ordering::Relaxed);
    }
}

unsafe extern "C" {
    /// C's, for modules; only its address is used.
    pub fn _printk();
    /// C's, for modules; only its address is used.
    pub fn __warn_printk();
    /// C's, for modules; only its address is used.
    pub fn sprintf();
    /// C's, for modules; only its address is used.
    pub fn snprintf();
    /// C's, for modules; only its address is used.
    pub fn scnprintf();
    /// C's, for modules; only its address is used.
    pub fn __dynamic_pr_debug();
    /// C's, for modules; only its address is used.
    pub fn seq_printf();
    /// C's, for modules; only its address is used.
    pub fn memcpy();
    /// C's, for modules; only its address is used.
    pub fn memmove();
    /// C's, for modules; only its address is used.
    pub fn memset();
    /// C's, for modules; only its address is used.
    pub fn memcmp();
}
