//! Where the fields of an ELF64 file are, if it has any: nothing is believed, and
//! what is broken is simply not found.
//!
//! # References
//! System V ABI, "Object Files": the four structures.

/// A field of a structure: its offset in it, its bytes.
pub type FieldAt = (usize, usize);

/// Bytes of the file's header and of a section's.
pub const HEADER: usize = 64;
/// Bytes of a symbol, and of a relocation.
pub const ENTRY: usize = 24;

/// Fields of the file's header.
pub const HEADER_FIELDS: [FieldAt; 14] = [
    (4, 1),  // class
    (5, 1),  // byte order
    (6, 1),  // version
    (16, 2), // type
    (18, 2), // machine
    (20, 4), // version
    (24, 8), // entry
    (32, 8), // program headers
    (40, 8), // section headers
    (48, 4), // flags
    (52, 2), // bytes of this header
    (58, 2), // bytes of a section's header
    (60, 2), // how many
    (62, 2), // which one has the names
];
/// Fields of a section's header: name, type, flags, address, offset, size, link,
/// info, alignment, bytes of an entry.
pub const SECTION_FIELDS: [FieldAt; 10] =
    [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8)];
/// Fields of a symbol: name, info, other, section, value, size.
pub const SYMBOL_FIELDS: [FieldAt; 6] = [(0, 4), (4, 1), (5, 1), (6, 2), (8, 8), (16, 8)];
/// Fields of a relocation: offset, type, symbol, addend.
pub const RELOCATION_FIELDS: [FieldAt; 4] = [(0, 8), (8, 4), (12, 4), (16, 8)];

/// Types of sections that have a meaning here.
pub const SYMTAB: u64 = 2;
/// Names.
pub const STRTAB: u64 = 3;
/// Relocations.
pub const RELA: u64 = 4;

/// A section, as far as it lies in the file.
#[derive(Clone, Debug)]
pub struct Section {
    /// Where its header is in the file.
    pub header: usize,
    /// Its type.
    pub kind: u64,
    /// Its name.
    pub name: Vec<u8>,
    /// Its first byte in the file.
    pub start: usize,
    /// Its bytes in the file, cut where the file ends.
    pub len: usize,
}

/// The number in a field at `at` of `file`; 0 if it is not there.
pub fn get(file: &[u8], at: usize, len: usize) -> u64 {
    let mut bytes = [0; 8];
    if let Some(found) = at.checked_add(len).and_then(|end| file.get(at..end)) {
        bytes[..len].copy_from_slice(found);
    }
    u64::from_le_bytes(bytes)
}

/// Stores a number into a field, if the file has it.
pub fn put(file: &mut [u8], at: usize, len: usize, value: u64) {
    if let Some(field) = at.checked_add(len).and_then(|end| file.get_mut(at..end)) {
        field.copy_from_slice(&value.to_le_bytes()[..len]);
    }
}

/// The sections whose headers lie in the file; none if it is no ELF file.
pub fn sections(file: &[u8]) -> Vec<Section> {
    if !file.starts_with(b"\x7fELF") {
        return Vec::new();
    }
    let table = usize::try_from(get(file, 40, 8)).unwrap_or(usize::MAX);
    let headers = (0..get(file, 60, 2) as usize).map_while(|index| {
        let header = table.checked_add(index * HEADER)?;
        (header.checked_add(HEADER)? <= file.len()).then_some(header)
    });
    let headers: Vec<usize> = headers.collect();
    let clipped = |header: usize| {
        let start = usize::try_from(get(file, header + 24, 8)).unwrap_or(usize::MAX);
        let start = start.min(file.len());
        let len = usize::try_from(get(file, header + 32, 8)).unwrap_or(usize::MAX);
        let kind = get(file, header + 4, 4);
        let len = if kind == 0 || kind == 8 { 0 } else { len.min(file.len() - start) };
        (kind, start, len)
    };
    let names = headers.get(get(file, 62, 2) as usize).map(|&header| clipped(header));
    let name = |header: usize| {
        let (_, start, len) = names?;
        let rest = file[start..start + len].get(get(file, header, 4) as usize..)?;
        Some(rest.iter().take(64).copied().take_while(|&byte| byte != 0).collect())
    };
    let section = |&header: &usize| {
        let (kind, start, len) = clipped(header);
        Section { header, kind, name: name(header).unwrap_or_default(), start, len }
    };
    headers.iter().map(section).collect()
}
