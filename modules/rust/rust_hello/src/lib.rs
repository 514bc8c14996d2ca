//! A module in Rust: prints, keeps a static, exports a function.
//!
//! Compiled with `-Zpatchable-function-entry=1`: each function has one `nop` at
//! its local entry, which is its call site, in place of C's `bl _mcount`.
//!
//! ```text
//!   insmod rust_hello         rust_hello: hello from Rust
//!   call rust_hello_sum 10    = 0x37
//!   call rust_hello_sum 4     = 0x41      the sums add up
//!   rmmod rust_hello          rust_hello: goodbye after 2 calls
//! ```
#![no_std]

mod module;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

modinfo!(LICENSE, "license=Dual MIT/GPL");
modinfo!(DESCRIPTION, "description=A module in Rust");

static CALLS: AtomicU64 = AtomicU64::new(0);
static TOTAL: AtomicU64 = AtomicU64::new(0);

/// 1 + 2 + ... + `n`; a function of its own, so that there is a second site.
#[inline(never)]
fn sum_to(n: u64) -> u64 {
    n.wrapping_mul(n.wrapping_add(1)) / 2
}

/// Adds 1 + 2 + ... + `n` to the total and returns it.
#[unsafe(no_mangle)]
pub extern "C" fn rust_hello_sum(n: u64) -> u64 {
    CALLS.fetch_add(1, Relaxed);
    let sum = sum_to(n);
    TOTAL.fetch_add(sum, Relaxed).wrapping_add(sum)
}
export_symbol_gpl!(rust_hello_sum);

/// Panics: Rust's way to an oops. `at` is out of bounds from 4 on.
#[unsafe(no_mangle)]
pub extern "C" fn rust_hello_panic(at: u64) -> u64 {
    let table = [2, 3, 5, 7];
    table[at as usize]
}
export_symbol_gpl!(rust_hello_panic);

/// Called by the kernel when the module is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn init_module() -> i32 {
    pr_info!("rust_hello: hello from Rust");
    0
}

/// Called by the kernel when the module is unloaded.
#[unsafe(no_mangle)]
pub extern "C" fn cleanup_module() {
    pr_info!("rust_hello: goodbye after {} calls", CALLS.load(Relaxed));
}
