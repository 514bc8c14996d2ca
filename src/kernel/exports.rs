//! The names that modules import from the kernel, with their addresses.
//!
//! Which names there are says `compat::exports`; here each gets its address.

use alloc::vec::Vec;

use super::compat::{heap, kernel, library, packet, param, print, search, seq};
use super::{livepatch, registry, tables};
use crate::addr::Vaddr;
use crate::compat::exports::kernel_exports;
use crate::compat::registry::Kind;
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

/// Name and address of each; a function's is that of its global entry.
macro_rules! with_addresses {
    (functions { $($function:literal => $entry:expr,)* }
     addresses { $($data:literal => $at:expr,)* }) => {
        [
            $(($function, Vaddr($entry as *const () as u64)),)*
            $(($data, $at),)*
        ]
    };
}

/// Every export, sorted by name.
pub fn table() -> &'static [KernelExport] {
    TABLE.call_once(|| {
        let mut table: Vec<_> = kernel_exports!(with_addresses)
            .into_iter()
            .chain(param::exports())
            .map(|(name, addr)| KernelExport { name, addr })
            .collect();
        table.sort_unstable_by_key(|export| export.name);
        table
    })
}

/// The exported name of an address.
pub fn name_of(addr: Vaddr) -> Option<&'static str> {
    // Not `table`: the fault that is reported may have come while it was made.
    TABLE.get()?.iter().find(|export| export.addr == addr).map(|export| export.name)
}

/// The address of an exported name.
pub fn find(name: &str) -> Option<Vaddr> {
    let table = table();
    table.binary_search_by_key(&name, |export| export.name).ok().map(|index| table[index].addr)
}
