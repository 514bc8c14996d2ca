//! The names that modules import from the kernel, with their addresses.
//!
//! Which names there are says `compat::exports`; here each gets its address.

use alloc::vec::Vec;

use super::compat::{heap, kernel, library, packet, param, print, search, seq};
use super::{livepatch, registry, tables};
use crate::addr::Vaddr;
use crate::compat::exports::kernel_exports;
use crate::compat::registry::Kind;
use crate::loader::{Name, Names};
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

/// All exports, and their places in the list by name.
struct Table {
    exports: Vec<KernelExport>,
    names: Names,
}

static TABLE: Once<Table> = Once::new();

macro_rules! functions {
    (functions { $($function:literal => $entry:expr,)* } $($addresses:tt)*) => {
        // One text of all names: with a text for each the list would be twice as large.
        (concat!($($function, " "),*), &[$($entry as *const (),)*])
    };
}

macro_rules! addresses {
    (functions { $($function:literal => $entry:expr,)* }
     addresses { $($data:literal => $at:expr,)* }) => {
        [$(($data, $at),)*]
    };
}

/// Names of functions, and their global entries.
const FUNCTIONS: (&str, &[*const ()]) = kernel_exports!(functions);

/// Every export, sorted by name.
pub fn table() -> &'static [KernelExport] {
    &made().exports
}

fn made() -> &'static Table {
    TABLE.call_once(|| {
        let (names, entries) = FUNCTIONS;
        let mut exports = Vec::with_capacity(entries.len());
        let mut add = |(name, addr)| exports.push(KernelExport { name, addr });
        let names = names.split_ascii_whitespace().zip(entries);
        names.for_each(|(name, entry)| add((name, Vaddr(*entry as u64))));
        kernel_exports!(addresses).into_iter().for_each(&mut add);
        param::exports().for_each(&mut add);
        exports.sort_unstable_by_key(|export| export.name);
        let names = Names::new(exports.iter().map(|export| export.name.as_bytes()));
        Table { exports, names }
    })
}

/// The exported name of an address.
pub fn name_of(addr: Vaddr) -> Option<&'static str> {
    // Not `table`: the fault that is reported may have come while it was made.
    let exports = &TABLE.get()?.exports;
    exports.iter().find(|export| export.addr == addr).map(|export| export.name)
}

/// The address of an exported name.
pub fn find(name: &Name<'_>) -> Option<Vaddr> {
    find_often(name)
}

/// The same, for whoever asks for each symbol of a module.
#[inline(always)]
pub fn find_often(name: &Name<'_>) -> Option<Vaddr> {
    let Table { exports, names } = made();
    let export = |number: u32| exports.get(number as usize);
    let mut next = names.first(name);
    while let Some(found) = next.and_then(export) {
        if found.name.as_bytes() == name.bytes {
            return Some(found.addr);
        }
        next = next.and_then(|number| names.after(number));
    }
    None
}
