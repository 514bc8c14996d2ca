//! The radix tree: four levels of tables that the processor walks by itself.
//!
//! ```text
//!  effective address, 52 bits
//!  | 13: root | 9 | 9 | 9 | 12: byte in a 4 KiB page |
//!      |        |   |   '- level 4: 4 KiB a leaf
//!      |        |   '----- level 3: 2 MiB a leaf, or a table of level 4
//!      |        '--------- level 2: 1 GiB a leaf, or a table of level 3
//!      '------------------ level 1: 512 GiB a table of level 2
//!
//!  entry  bit 63 valid, bit 62 leaf
//!         table: address | index bits of that table
//!         leaf:  address | referenced 0x100, changed 0x80 | access 0xf
//! ```
//!
//! Entries are big-endian in memory, whatever the kernel is: [`Tables`] takes and
//! gives their values, and whoever implements it swaps the bytes.
//!
//! # Invariants
//! - A leaf maps an address to itself.
//! - Rights change in place: an entry that was valid is overwritten by one that is
//!   valid, so a CPU that runs there meets the old rights or the new ones, and
//!   never a hole.
//!
//! # References
//! Power ISA 3.0B Book III, "Radix Tree Translation": "Page Directory Entry",
//! "Page Table Entry", "Process Table Entry".
//!
//! Leaves are as large as alignment allows. Linux splits a large leaf when rights
//! inside it change; here a range whose rights may change is mapped with small
//! ones from the start ([`Grain::Page`]).

use core::fmt;

use super::Rights;

/// Bytes of the smallest leaf.
pub const PAGE: u64 = 4096;
/// Entries of the root table: 13 bits; it is 64 KiB long and so aligned.
pub const ROOT_ENTRIES: usize = 1 << 13;
/// Entries of every other table: 9 bits, one page.
pub const TABLE_ENTRIES: usize = 1 << 9;
/// First address that the tree cannot express.
pub const END: u64 = 1 << 52;

const VALID: u64 = 1 << 63;
const LEAF: u64 = 1 << 62;
/// Index bits of the next table, in an entry that leads to one.
const NEXT_BITS: u64 = 9;
const ADDRESS: u64 = 0x01ff_ffff_ffff_f000;
/// Referenced and changed: set from the start, so that nothing has to set them.
const REFERENCED_CHANGED: u64 = 0x180;
const PRIVILEGED: u64 = 0x8;
const ACCESS_READ: u64 = 0x4;
const ACCESS_WRITE: u64 = 0x2;
const ACCESS_EXECUTE: u64 = 0x1;

/// Bits below the index of each level: 1 (the root) to 4.
const SHIFT: [u32; 4] = [39, 30, 21, 12];

/// Where tables lie and how they are read and written, by address and index.
pub trait Tables {
    /// The entry's value.
    fn get(&self, table: u64, index: usize) -> u64;

    /// Stores an entry with one aligned store.
    fn set(&mut self, table: u64, index: usize, entry: u64);

    /// A table of [`TABLE_ENTRIES`] zeros; `None` if there is no memory.
    fn new_table(&mut self) -> Option<u64>;
}

/// How large the leaves of a range may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// 4 KiB: rights inside will change.
    Page,
    /// As large as alignment allows.
    Large,
}

/// Why a range was not mapped or changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RadixError {
    /// Not whole pages, or beyond [`END`].
    BadRange,
    /// There is no memory for a table.
    NoMemory,
    /// An address of the range is mapped already, or lies in a larger leaf.
    Taken {
        /// The address.
        at: u64,
    },
    /// An address of the range is not mapped.
    NotMapped {
        /// The address.
        at: u64,
    },
}

impl fmt::Debug for RadixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (why, at) = match *self {
            Self::BadRange => return f.write_str("bad range"),
            Self::NoMemory => return f.write_str("no memory"),
            Self::Taken { at } => ("taken", at),
            Self::NotMapped { at } => ("not mapped", at),
        };
        write!(f, "{why} at {at:#x}")
    }
}

/// Process table entry (first doubleword) for the tree whose root table is at `root`.
#[must_use]
pub const fn process_entry(root: u64) -> u64 {
    // Radix tree size: 52 bits are 0b10101 more than 31, in two fields.
    const SIZE: u64 = (0x2 << 61) | (0x5 << 5);
    SIZE | root | ROOT_ENTRIES.trailing_zeros() as u64
}

/// An entry that leads to the table at `table`.
#[must_use]
pub const fn directory_entry(table: u64) -> u64 {
    VALID | table | NEXT_BITS
}

/// A leaf that maps `address` to itself.
#[must_use]
pub const fn leaf(address: u64, rights: Rights) -> u64 {
    let access = match rights {
        Rights::Read => ACCESS_READ,
        Rights::ReadWrite => ACCESS_READ | ACCESS_WRITE,
        Rights::ReadExecute => ACCESS_READ | ACCESS_EXECUTE,
    };
    VALID | LEAF | address | REFERENCED_CHANGED | PRIVILEGED | access
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Empty,
    Table(u64),
    Leaf(u64),
}

fn decode(entry: u64) -> Entry {
    match (entry & VALID != 0, entry & LEAF != 0) {
        (false, _) => Entry::Empty,
        (true, false) => Entry::Table(entry & ADDRESS & !0xff),
        (true, true) => Entry::Leaf(entry),
    }
}

const fn index(address: u64, level: usize) -> usize {
    let entries = if level == 0 { ROOT_ENTRIES } else { TABLE_ENTRIES };
    (address >> SHIFT[level]) as usize & (entries - 1)
}

fn check(start: u64, len: u64) -> Result<u64, RadixError> {
    let end = start.checked_add(len).filter(|end| *end <= END).ok_or(RadixError::BadRange)?;
    if start.is_multiple_of(PAGE) && len.is_multiple_of(PAGE) {
        Ok(end)
    } else {
        Err(RadixError::BadRange)
    }
}

/// Maps `start..start + len`, of which nothing is mapped yet.
///
/// # Errors
/// Nothing is mapped then: what was has been taken back. Tables that were made for
/// it stay, empty.
pub fn map(
    tables: &mut impl Tables,
    root: u64,
    (start, len): (u64, u64),
    rights: Rights,
    grain: Grain,
) -> Result<(), RadixError> {
    let mut done = start;
    let result = map_up_to(&mut done, tables, root, (start, len), rights, grain);
    if result.is_err() && done > start {
        change(tables, root, (start, done - start), None)?;
    }
    result
}

/// As [`map`], but takes nothing back; `at` is how far it came.
fn map_up_to(
    at: &mut u64,
    tables: &mut impl Tables,
    root: u64,
    (start, len): (u64, u64),
    rights: Rights,
    grain: Grain,
) -> Result<(), RadixError> {
    let end = check(start, len)?;
    while *at < end {
        let address = *at;
        // The highest level whose leaf starts here and ends inside.
        let fits = |level: &usize| {
            let size = 1 << SHIFT[*level];
            address.is_multiple_of(size) && end - address >= size
        };
        let level = match grain {
            Grain::Page => 3,
            Grain::Large => (1..4).find(fits).unwrap_or(3),
        };
        let mut table = root;
        for above in 0..level {
            table = match decode(tables.get(table, index(address, above))) {
                Entry::Table(next) => next,
                Entry::Leaf(_) => return Err(RadixError::Taken { at: address }),
                Entry::Empty => {
                    let next = tables.new_table().ok_or(RadixError::NoMemory)?;
                    tables.set(table, index(address, above), directory_entry(next));
                    next
                }
            };
        }
        if decode(tables.get(table, index(address, level))) != Entry::Empty {
            return Err(RadixError::Taken { at: address });
        }
        tables.set(table, index(address, level), leaf(address, rights));
        *at += 1 << SHIFT[level];
    }
    Ok(())
}

/// Where the leaf for `at` stands: table, index, level.
fn find(tables: &impl Tables, root: u64, at: u64) -> Option<(u64, usize, usize)> {
    let mut table = root;
    for level in 0..4 {
        match decode(tables.get(table, index(at, level))) {
            Entry::Empty => return None,
            Entry::Leaf(_) => return Some((table, index(at, level), level)),
            Entry::Table(next) => table = next,
        }
    }
    None
}

/// Overwrites the leaves of a mapped range; each must lie wholly inside.
///
/// `None` takes the range away. The caller makes the processors forget the old
/// leaves afterwards.
///
/// # Errors
/// [`RadixError::NotMapped`], [`RadixError::Taken`] for a leaf that reaches beyond
/// the range. Nothing has been changed then.
pub fn change(
    tables: &mut impl Tables,
    root: u64,
    (start, len): (u64, u64),
    rights: Option<Rights>,
) -> Result<(), RadixError> {
    let end = check(start, len)?;
    for commit in [false, true] {
        let mut at = start;
        while at < end {
            let (table, first, level) =
                find(tables, root, at).ok_or(RadixError::NotMapped { at })?;
            let size = 1 << SHIFT[level];
            // The neighbours in the same table need no walk from the root.
            for index in first..TABLE_ENTRIES {
                if at >= end || !matches!(decode(tables.get(table, index)), Entry::Leaf(_)) {
                    break;
                }
                if !at.is_multiple_of(size) || end - at < size {
                    return Err(RadixError::Taken { at });
                }
                if commit {
                    tables.set(table, index, rights.map_or(0, |rights| leaf(at, rights)));
                }
                at += size;
            }
        }
    }
    Ok(())
}

/// What may be done at `at`, as the tree says; `None` if it is not mapped.
pub fn rights_at(tables: &impl Tables, root: u64, at: u64) -> Option<Rights> {
    if at >= END {
        return None;
    }
    let (table, index, _) = find(tables, root, at)?;
    rights_of(tables.get(table, index))
}

/// The rights that a leaf gives; `None` for bits that this kernel never sets.
fn rights_of(leaf: u64) -> Option<Rights> {
    match leaf & 0xf {
        bits if bits == PRIVILEGED | ACCESS_READ => Some(Rights::Read),
        bits if bits == PRIVILEGED | ACCESS_READ | ACCESS_WRITE => Some(Rights::ReadWrite),
        bits if bits == PRIVILEGED | ACCESS_READ | ACCESS_EXECUTE => Some(Rights::ReadExecute),
        _ => None,
    }
}

/// One leaf of the tree, as [`walk`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    /// Where it leads: equal to `start`, unless somebody else wrote the entry.
    pub to: u64,
    /// What may be done; `None` for bits that this kernel never sets.
    pub rights: Option<Rights>,
}

/// Hands every leaf to `visit`, by rising address: the truth that the processor
/// sees, whatever was intended.
pub fn walk(tables: &impl Tables, root: u64, visit: &mut impl FnMut(Mapped)) {
    walk_table(tables, root, 0, 0, visit);
}

fn walk_table(
    tables: &impl Tables,
    table: u64,
    level: usize,
    base: u64,
    visit: &mut impl FnMut(Mapped),
) {
    let entries = if level == 0 { ROOT_ENTRIES } else { TABLE_ENTRIES };
    for number in 0..entries {
        let start = base + ((number as u64) << SHIFT[level]);
        match decode(tables.get(table, number)) {
            Entry::Empty => {}
            Entry::Table(next) if level < 3 => walk_table(tables, next, level + 1, start, visit),
            Entry::Table(_) => {}
            Entry::Leaf(leaf) => visit(Mapped {
                start,
                len: 1 << SHIFT[level],
                to: leaf & ADDRESS,
                rights: rights_of(leaf),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    /// Tables at made-up addresses, and a limit on how many.
    struct Model {
        entries: BTreeMap<(u64, usize), u64>,
        next: u64,
        left: usize,
        /// Times that a valid entry became invalid.
        holes: usize,
    }

    const ROOT: u64 = 0x100_0000;

    impl Model {
        fn new() -> Self {
            Self { entries: BTreeMap::new(), next: 0x200_0000, left: 1000, holes: 0 }
        }

        fn map(
            &mut self,
            start: u64,
            len: u64,
            rights: Rights,
            grain: Grain,
        ) -> Result<(), RadixError> {
            map(self, ROOT, (start, len), rights, grain)
        }

        fn leaves(&self) -> Vec<(u64, u64, Option<Rights>)> {
            let mut found = Vec::new();
            walk(self, ROOT, &mut |leaf| {
                assert_eq!(leaf.to, leaf.start);
                found.push((leaf.start, leaf.len, leaf.rights));
            });
            found
        }
    }

    impl Tables for Model {
        fn get(&self, table: u64, index: usize) -> u64 {
            self.entries.get(&(table, index)).copied().unwrap_or(0)
        }

        fn set(&mut self, table: u64, index: usize, entry: u64) {
            self.holes += usize::from(self.get(table, index) & VALID != 0 && entry & VALID == 0);
            self.entries.insert((table, index), entry);
        }

        fn new_table(&mut self) -> Option<u64> {
            self.left = self.left.checked_sub(1)?;
            self.next += PAGE;
            Some(self.next)
        }
    }

    /// Values that a running POWER9 accepted (QEMU, pseries).
    #[test]
    fn entries_are_those_that_the_processor_took() {
        assert_eq!(leaf(0x4400_0000, Rights::ReadExecute), 0xc000_0000_4400_018d);
        assert_eq!(leaf(0x4400_0000, Rights::ReadWrite), 0xc000_0000_4400_018e);
        assert_eq!(leaf(0x4400_0000, Rights::Read), 0xc000_0000_4400_018c);
        assert_eq!(directory_entry(0x50_0000), 0x8000_0000_0050_0009);
        assert_eq!(process_entry(0x60_0000), 0x4000_0000_0060_00ad);
    }

    #[test]
    fn leaves_are_as_large_as_alignment_allows_and_no_larger() {
        let mut model = Model::new();
        let (mib, gib) = (1 << 20, 1 << 30);
        model.map(2 * mib - PAGE, 2 * mib + 2 * PAGE, Rights::ReadWrite, Grain::Large).unwrap();
        model.map(gib, gib, Rights::Read, Grain::Large).unwrap();
        let rw = Some(Rights::ReadWrite);
        assert_eq!(
            model.leaves(),
            [
                (2 * mib - PAGE, PAGE, rw),
                (2 * mib, 2 * mib, rw),
                (4 * mib, PAGE, rw),
                (gib, gib, Some(Rights::Read)),
            ]
        );
        let mut model = Model::new();
        model.map(2 * mib, 2 * mib, Rights::ReadWrite, Grain::Page).unwrap();
        assert_eq!(model.leaves().len(), 512);
    }

    #[test]
    fn rights_change_in_place_and_only_inside_the_range() {
        let mut model = Model::new();
        model.map(0x10_0000, 4 * PAGE, Rights::ReadWrite, Grain::Page).unwrap();
        change(&mut model, ROOT, (0x10_1000, 2 * PAGE), Some(Rights::ReadExecute)).unwrap();
        let at = |page| rights_at(&model, ROOT, 0x10_0000 + page * PAGE);
        assert_eq!(at(0), Some(Rights::ReadWrite));
        assert_eq!(at(1), Some(Rights::ReadExecute));
        assert_eq!(rights_at(&model, ROOT, 0x10_2fff), Some(Rights::ReadExecute));
        assert_eq!(at(3), Some(Rights::ReadWrite));
        assert_eq!(at(4), None);
        assert_eq!(rights_at(&model, ROOT, END), None);
        assert_eq!(model.holes, 0);
        change(&mut model, ROOT, (0x10_0000, 4 * PAGE), None).unwrap();
        assert!(model.leaves().is_empty());
    }

    #[test]
    fn a_change_that_cannot_be_whole_changes_nothing() {
        let mut model = Model::new();
        model.map(0, 2 << 20, Rights::ReadWrite, Grain::Large).unwrap();
        model.map(0x40_0000, PAGE, Rights::ReadWrite, Grain::Page).unwrap();
        let mut change = |start, len| change(&mut model, ROOT, (start, len), Some(Rights::Read));
        assert_eq!(change(0x1000, PAGE), Err(RadixError::Taken { at: 0x1000 }));
        assert_eq!(change(0, PAGE), Err(RadixError::Taken { at: 0 }));
        assert_eq!(change(0x40_0000, 2 * PAGE), Err(RadixError::NotMapped { at: 0x40_1000 }));
        assert_eq!(change(0x40_0000, 5), Err(RadixError::BadRange));
        assert_eq!(change(END - PAGE, 2 * PAGE), Err(RadixError::BadRange));
        assert!(model.leaves().iter().all(|(.., rights)| *rights == Some(Rights::ReadWrite)));
    }

    #[test]
    fn nothing_is_mapped_twice_and_the_end_of_memory_is_told() {
        let mut model = Model::new();
        model.map(0x20_0000, 2 << 20, Rights::Read, Grain::Large).unwrap();
        let taken = model.map(0x20_1000, PAGE, Rights::Read, Grain::Page);
        assert_eq!(taken, Err(RadixError::Taken { at: 0x20_1000 }));
        let taken = model.map(0x20_0000, 2 << 20, Rights::Read, Grain::Large);
        assert_eq!(taken, Err(RadixError::Taken { at: 0x20_0000 }));
        model.left = 0;
        let none = model.map(0x60_0000, PAGE, Rights::Read, Grain::Page);
        assert_eq!(none, Err(RadixError::NoMemory));
    }

    #[test]
    fn what_cannot_be_mapped_whole_is_not_mapped_at_all() {
        let mut model = Model::new();
        model.map(0x60_0000, PAGE, Rights::Read, Grain::Page).unwrap();
        let before = model.leaves();
        let mib = 1 << 20;
        // A large leaf and small ones in front of the page that is taken.
        let taken = model.map(mib, 6 * mib, Rights::Read, Grain::Large);
        assert_eq!(taken, Err(RadixError::Taken { at: 0x60_0000 }));
        assert_eq!(model.leaves(), before);
        // The first page has its table, the others need one.
        model.left = 0;
        let none = model.map(0x80_0000 - PAGE, 2 * mib + PAGE, Rights::Read, Grain::Page);
        assert_eq!(none, Err(RadixError::NoMemory));
        assert_eq!(model.leaves(), before);
    }
}
