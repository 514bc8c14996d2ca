//! The kernel's own symbols, out of the packed table in its image.

use alloc::string::{String, ToString};

use crate::addr::Vaddr;
use crate::ksyms::decode::{Found, Table};
use crate::machine::boot;

/// A symbol of the kernel.
pub struct Symbol {
    /// Its name, as people write it.
    pub name: String,
    /// Bytes from its first byte to the address asked for.
    pub offset: u64,
    /// Bytes in all.
    pub size: u64,
}

fn table() -> Option<Table<'static>> {
    Table::parse(boot::ksyms()).ok()
}

/// The address of something in the table.
pub fn address_of(found: &Found) -> Vaddr {
    boot::image().0.offset(i64::from(found.offset))
}

/// The symbol that contains an address of the image, and how far in that is. Takes
/// no memory.
pub fn find(at: Vaddr) -> Option<(Found, u32)> {
    let offset = u32::try_from(at.since(boot::image().0)).ok()?;
    // The TOC base is in the middle of data that have other names.
    table()?.at_offset(offset).filter(|(found, _)| found.name.as_str() != ".TOC.")
}

/// As [`find`].
pub fn lookup(at: Vaddr) -> Option<Symbol> {
    let (found, offset) = find(at)?;
    Some(Symbol {
        name: found.name.as_str().to_string(),
        offset: u64::from(offset),
        size: u64::from(found.size),
    })
}

/// The address of a name.
pub fn address(name: &str) -> Option<Vaddr> {
    table()?.by_name(name).map(|found| address_of(&found))
}

/// All symbols, by rising address.
pub fn all() -> impl Iterator<Item = Found> {
    table().into_iter().flat_map(|table| table.iter())
}
