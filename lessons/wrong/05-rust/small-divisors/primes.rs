//! Lesson 5, wrong: right only for what has a divisor below 256.
#![no_std]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tocsin_module::{export_symbol_gpl, modinfo, pr_info};

modinfo!(LICENSE, "license=Dual MIT/GPL");

static ASKED: AtomicU64 = AtomicU64::new(0);

/// 1 if `n` is prime, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn primes_is(n: u64) -> u64 {
    ASKED.fetch_add(1, Relaxed);
    let mut divisors = (2..).take_while(|d: &u64| *d < 256 && d * d <= n);
    u64::from(n > 1 && divisors.all(|d| n % d != 0))
}
export_symbol_gpl!(primes_is);

/// Called when the module comes.
#[unsafe(no_mangle)]
pub extern "C" fn init_module() -> i32 {
    pr_info!("primes: ready");
    0
}

/// Called when it goes.
#[unsafe(no_mangle)]
pub extern "C" fn cleanup_module() {
    pr_info!("primes: asked {} times", ASKED.load(Relaxed));
}
