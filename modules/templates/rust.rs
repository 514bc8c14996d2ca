//! NAME: what it does, in one line.
//!
//! ```text
//!   make module SRC=NAME.rs OUT=NAME.ko
//!   make run MODULES=NAME.ko CMD='insmod NAME start=40; call NAME_next'
//!                                        NAME: begins at 40
//!                                        = 0x28
//! ```
#![no_std]

use core::sync::atomic::{AtomicI64, Ordering::Relaxed};

use tocsin_module::{export_symbol_gpl, modinfo, module_param, pr_info};

modinfo!(LICENSE, "license=Dual MIT/GPL");
modinfo!(DESCRIPTION, "description=what it does, in one line");

static START: AtomicI64 = AtomicI64::new(1);
module_param!(START, "start", long, 0o444, "the first number");

/// Answers start, start + 1, ... Other modules may call it.
#[unsafe(no_mangle)]
pub extern "C" fn NAME_next() -> i64 {
    START.fetch_add(1, Relaxed)
}
export_symbol_gpl!(NAME_next);

/// Called when the module comes. A negative result is an error: the module goes again.
#[unsafe(no_mangle)]
pub extern "C" fn init_module() -> i32 {
    pr_info!("NAME: begins at {}", START.load(Relaxed));
    0
}

/// Called when it goes.
#[unsafe(no_mangle)]
pub extern "C" fn cleanup_module() {
    pr_info!("NAME: ends before {}", START.load(Relaxed));
}
