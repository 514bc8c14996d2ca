//! Lesson 5: a module in Rust. It knows which numbers are prime, and counts questions.
//!
//! ```text
//!   insmod primes             primes: ready
//!   call primes_is 97         = 0x1
//!   call primes_is 91         = 0x0
//!   rmmod primes              primes: asked 2 times
//! ```
//!
//! 0 and 1 are not prime. `primes_is` is exported; it has to be right up to 100,000.
#![no_std]

use tocsin_module::{modinfo, pr_info};

modinfo!(LICENSE, "license=Dual MIT/GPL");

/// Called when the module comes.
#[unsafe(no_mangle)]
pub extern "C" fn init_module() -> i32 {
    pr_info!("primes: not written yet");
    0
}

/// Called when it goes.
#[unsafe(no_mangle)]
pub extern "C" fn cleanup_module() {}
