//! The kernel's own symbols, out of the packed table in its image.

use alloc::string::{String, ToString};

use crate::addr::Vaddr;
use crate::ksyms::decode::{Found, Packed, Table};
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

/// The address of something at this offset in the image.
pub fn address_of(offset: u32) -> Vaddr {
    boot::image().0.offset(offset.into())
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
    table()?.by_name(name).map(|found| address_of(found.offset))
}

/// All symbols, by rising address.
pub fn all() -> impl Iterator<Item = Packed<'static>> {
    table().into_iter().flat_map(|table| table.packed())
}

/// The symbol at each of these places, in bytes from the image's first: soonest if they
/// ascend.
pub fn at(offsets: &[u32]) -> impl Iterator<Item = Option<Packed<'static>>> {
    table().unwrap_or(Table::EMPTY).at_offsets(offsets)
}
