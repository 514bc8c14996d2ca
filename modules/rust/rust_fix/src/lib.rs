//! A live patch in Rust, for a function in Rust: `rust_hello_sum` adds squares, and
//! counts in a shadow variable how often it was called for each `n`.
//!
//! ```text
//!   insmod rust_hello; call rust_hello_sum 3      = 0x6
//!   insmod rust_fix;   call rust_hello_sum 3      = 0xe       1 + 4 + 9
//!   call rust_hello_sum 3                         = 0x1000e   the second time
//! ```
#![no_std]

#[path = "../../rust_hello/src/module.rs"]
mod module;

use core::ffi::c_int;

use klp::{Callbacks, Func, Object, Patch, Shadow};

modinfo!(LICENSE, "license=Dual MIT/GPL");
modinfo!(LIVEPATCH, "livepatch=Y");
modinfo!(DESCRIPTION, "description=A live patch in Rust");

/// How often the function was called with an argument; that stands for an object here.
static CALLS: Shadow<u64> = Shadow::new(0x5255_5354);

extern "C" fn fix_sum(n: u64) -> u64 {
    let sum: u64 = (1..=n).map(|i| i * i).sum();
    let Some(calls) = CALLS.get_or_put(n as *const u8, 0) else { return sum };
    // SAFETY: a value that the shadow variable holds until `cleanup_module`; calls on
    // several CPUs may lose a count, and that is all.
    let before = unsafe {
        let before = calls.read();
        calls.write(before + 1);
        before
    };
    sum + (before << 16)
}

extern "C" fn pre_patch(object: &Object) -> c_int {
    let name = object.name().and_then(|name| name.to_str().ok()).unwrap_or("?");
    pr_info!("rust_fix: patches {name}");
    0
}

extern "C" fn post_unpatch(_object: &Object) {
    pr_info!("rust_fix: done");
}

static FUNCS: [Func; 2] = [Func::new(c"rust_hello_sum", fix_sum as *const ()), Func::END];
static OBJECTS: [Object; 2] = [
    Object::module(c"rust_hello", &FUNCS).with(Callbacks {
        pre_patch: Some(pre_patch),
        post_unpatch: Some(post_unpatch),
        ..Callbacks::NONE
    }),
    Object::END,
];
static PATCH: Patch = Patch::new(&OBJECTS);

/// Called by the kernel when the module is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn init_module() -> i32 {
    PATCH.enable()
}

/// Called by the kernel when the module is unloaded.
#[unsafe(no_mangle)]
pub extern "C" fn cleanup_module() {
    CALLS.free_all();
}
