//! The names that modules import from the kernel, with their addresses.

use alloc::vec::Vec;

use super::compat::{heap, kernel, param, print};
use super::{livepatch, tables};
use crate::addr::Vaddr;
use crate::machine::lock::Once;
use crate::machine::{cstring, hooks, varargs};

/// One exported name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelExport {
    /// C name.
    pub name: &'static str,
    /// Address; of a function, its global entry.
    pub addr: Vaddr,
}

static TABLE: Once<Vec<KernelExport>> = Once::new();

/// C functions written in Rust: name and global entry.
macro_rules! functions {
    ($($name:literal => $function:path),* $(,)?) => {
        [$(($name, Vaddr($function as *const () as u64))),*]
    };
}

/// Every export, sorted by name.
pub fn table() -> &'static [KernelExport] {
    TABLE.call_once(|| {
        let rust = functions! {
            "vsnprintf" => print::vsnprintf,
            "vscnprintf" => print::vscnprintf,
            "__kmalloc" => heap::kmalloc,
            "kmalloc_trace" => heap::kmalloc_trace,
            "kmalloc_large" => heap::kmalloc_large,
            "kmalloc_node_trace" => heap::kmalloc_node_trace,
            "vmalloc" => heap::vmalloc,
            "vzalloc" => heap::vmalloc,
            "vfree" => heap::kfree,
            "kvmalloc_node" => heap::kvmalloc_node,
            "kvfree" => heap::kfree,
            "krealloc" => heap::krealloc,
            "kmemdup" => heap::kmemdup,
            "kstrdup" => heap::kstrdup,
            "kfree" => heap::kfree,
            "kfree_sensitive" => heap::kfree_sensitive,
            "ksize" => heap::ksize,
            "__stack_chk_fail" => kernel::stack_chk_fail,
            "fortify_panic" => kernel::fortify_panic,
            "panic" => kernel::panic,
            "__list_add_valid" => kernel::list_add_valid,
            "__list_del_entry_valid" => kernel::list_del_entry_valid,
            "__mutex_init" => kernel::mutex_init,
            "mutex_lock" => kernel::mutex_lock,
            "mutex_lock_interruptible" => kernel::mutex_lock,
            "mutex_trylock" => kernel::mutex_trylock,
            "mutex_unlock" => kernel::mutex_unlock,
            "get_random_bytes" => kernel::get_random_bytes,
            "__cond_resched" => kernel::cond_resched,
            "static_key_enable" => tables::static_key_enable,
            "static_key_enable_cpuslocked" => tables::static_key_enable,
            "static_key_disable" => tables::static_key_disable,
            "static_key_disable_cpuslocked" => tables::static_key_disable,
            "static_key_slow_inc" => tables::static_key_slow_inc,
            "static_key_slow_inc_cpuslocked" => tables::static_key_slow_inc,
            "static_key_slow_dec" => tables::static_key_slow_dec,
            "static_key_slow_dec_cpuslocked" => tables::static_key_slow_dec,
            "static_key_count" => tables::static_key_count,
            "klp_enable_patch" => livepatch::klp_enable_patch,
        };
        let mut table: Vec<_> = rust
            .into_iter()
            .chain(cstring::exports())
            .chain(varargs::exports())
            .chain(kernel::data_exports())
            .chain(param::exports())
            .chain([("_mcount", hooks::mcount_address())])
            .map(|(name, addr)| KernelExport { name, addr })
            .collect();
        table.sort_unstable_by_key(|export| export.name);
        table
    })
}

/// The exported name of an address.
pub fn name_of(addr: Vaddr) -> Option<&'static str> {
    table().iter().find(|export| export.addr == addr).map(|export| export.name)
}

/// The address of an exported name.
pub fn find(name: &str) -> Option<Vaddr> {
    let table = table();
    table.binary_search_by_key(&name, |export| export.name).ok().map(|index| table[index].addr)
}
