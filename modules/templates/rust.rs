//! NAME: what it does, in one line.
//!
//! ```text
//!   make module SRC=NAME.rs OUT=NAME.ko
//!   make run MODULES=NAME.ko CMD='insmod NAME; call NAME_next'
//!                                        NAME: begins at 1
//!                                        = 0x1
//! ```
#![no_std]

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tocsin_module::{export_symbol_gpl, modinfo, pr_info};

modinfo!(LICENSE, "license=Dual MIT/GPL");
modinfo!(DESCRIPTION, "description=what it does, in one line");

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Answers 1, 2, ... with `more` added. Other modules may call it.
#[unsafe(no_mangle)]
pub extern "C" fn NAME_next(more: u64) -> u64 {
    NEXT.fetch_add(1, Relaxed).wrapping_add(more)
}
export_symbol_gpl!(NAME_next);

/// Called when the module comes. A negative result is an error: the module goes again.
#[unsafe(no_mangle)]
pub extern "C" fn init_module() -> i32 {
    pr_info!("NAME: begins at {}", NEXT.load(Relaxed));
    0
}

/// Called when it goes.
#[unsafe(no_mangle)]
pub extern "C" fn cleanup_module() {
    pr_info!("NAME: ends before {}", NEXT.load(Relaxed));
}
