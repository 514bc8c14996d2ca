//! The C functions with variable arguments (`boot/varargs.S`).
//!
//! The Rust function behind each gets the address of an array of doublewords,
//! the variable arguments; reading them is `machine::memory::read_u64`'s job.

use core::arch::global_asm;

use crate::addr::Vaddr;
use crate::kernel::compat;

global_asm!(
    include_str!("../../boot/varargs.S"),
    printk = sym compat::printk,
    sprintf = sym compat::sprintf,
    snprintf = sym compat::vsnprintf,
    scnprintf = sym compat::vscnprintf,
    dynamic_pr_debug = sym compat::dynamic_pr_debug,
);

unsafe extern "C" {
    fn _printk();
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
pub fn exports() -> [(&'static str, Vaddr); 9] {
    let at = |f: unsafe extern "C" fn()| Vaddr(f as *const () as u64);
    [
        ("_printk", at(_printk)),
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
