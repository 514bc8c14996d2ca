//! The names that modules import from the kernel, with their addresses.

use alloc::vec::Vec;

use super::compat::{heap, kernel, library, packet, param, print, search};
use super::{livepatch, registry};
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

/// C functions written in Rust: an iterator over name and global entry. The names
/// are one text: an array of them would be twice as large in the image.
macro_rules! functions {
    ($($name:literal => $function:expr),* $(,)?) => {
        concat!($($name, " "),*).split_ascii_whitespace()
            .zip([$($crate::addr::Vaddr($function as *const () as u64)),*])
    };
}
pub(super) use functions;

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
            "klp_enable_patch" => livepatch::klp_enable_patch,
        };
        // Each in its place: less code than sorting, and done once.
        let mut table: Vec<KernelExport> = Vec::new();
        let mut put = |(name, addr): (&'static str, Vaddr)| {
            let place = table.partition_point(|export| export.name < name);
            table.insert(place, KernelExport { name, addr });
        };
        let put: &mut dyn FnMut((&'static str, Vaddr)) = &mut put;
        rust.for_each(&mut *put);
        cstring::exports().for_each(&mut *put);
        varargs::exports().into_iter().for_each(&mut *put);
        kernel::data_exports().into_iter().for_each(&mut *put);
        library::exports().for_each(&mut *put);
        packet::exports().for_each(&mut *put);
        search::exports().for_each(&mut *put);
        registry::exports().for_each(&mut *put);
        param::exports().for_each(&mut *put);
        put(("_mcount", hooks::mcount_address()));
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
