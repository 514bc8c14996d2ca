//! Which stub stands where: a module's own record of the stubs that it was given.
//!
//! Words alone prove nothing: data may look like a stub, and a linker puts
//! stubs of its own into text. An address is a stub only if it is in here, and
//! if its words still say the same (`recognise::identify` asks both).
//!
//! The loader appends records as it places stubs, in address order, so the
//! table is born sorted: looking up is a binary search, building is linear, and
//! 12 bytes a stub is all that it costs. Live patches keep one of their own.
//!
//! # Invariants
//! - Slots ascend and do not overlap.
//! - All slots lie within 4 GiB above `base` (a module's text is far smaller).

use super::StubKind;
use crate::addr::Vaddr;
use alloc::vec::Vec;
use core::fmt;

/// Stubs by address.
#[derive(Clone, Debug)]
pub struct StubTable {
    base: Vaddr,
    records: Vec<Record>,
    /// Where the last one's slot ends.
    free_from: Vaddr,
}

/// One stub, as stored.
#[derive(Clone, Copy, Debug)]
struct Record {
    offset: u32,
    owner: u32,
    kind: StubKind,
}

const _: () = assert!(size_of::<Record>() == 12, "what the header promises");

/// One stub, as found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where its slot begins.
    pub at: Vaddr,
    /// What it was built as.
    pub kind: StubKind,
    /// Whom it serves: for OutOfLine and Redirect the number of the call site
    /// in the site table, otherwise the symbol's in the symbol table.
    pub owner: u32,
}

/// A record that does not fit the table. The table is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The slot begins before the last one ends.
    OutOfOrder {
        /// The slot refused.
        at: Vaddr,
        /// The first address that would have been taken.
        free_from: Vaddr,
    },
    /// The slot is below the table's base, or 4 GiB or more above it.
    TooFar {
        /// The slot refused.
        at: Vaddr,
        /// The table's base.
        base: Vaddr,
    },
    /// The heap has no room for another record.
    NoMemory,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrder { at, free_from } => {
                write!(f, "stub at {at} is not behind the last, which ends at {free_from}")
            }
            Self::TooFar { at, base } => write!(f, "stub at {at} is not within 4 GiB of {base}"),
            Self::NoMemory => f.write_str("no memory for the stub table"),
        }
    }
}

impl StubTable {
    /// An empty table for slots from `base` on.
    #[must_use]
    pub const fn new(base: Vaddr) -> Self {
        Self { base, records: Vec::new(), free_from: base }
    }

    /// Makes room for `count` records more, so that pushing them cannot fail
    /// for memory. The caller has bounded `count`.
    ///
    /// # Errors
    /// [`TableError::NoMemory`].
    pub fn reserve(&mut self, count: usize) -> Result<(), TableError> {
        self.records.try_reserve_exact(count).map_err(|_| TableError::NoMemory)
    }

    /// Appends a stub that lies behind all others.
    ///
    /// # Errors
    /// It does not lie there, or there is no memory; nothing is appended.
    #[inline(always)] // once for each stub
    pub fn push(&mut self, at: Vaddr, kind: StubKind, owner: u32) -> Result<(), TableError> {
        let Self { base, free_from, .. } = *self;
        let too_far = TableError::TooFar { at, base };
        let offset = u32::try_from(at.since(base)).map_err(|_| too_far)?;
        if at < free_from {
            return Err(TableError::OutOfOrder { at, free_from });
        }
        if self.records.len() == self.records.capacity() && self.records.try_reserve(1).is_err() {
            return Err(TableError::NoMemory);
        }
        self.records.push(Record { offset, owner, kind });
        self.free_from = Entry { at, kind, owner }.end();
        Ok(())
    }

    /// The stub that begins exactly at `at`.
    #[must_use]
    pub fn find(&self, at: Vaddr) -> Option<Entry> {
        self.containing(at).filter(|entry| entry.at == at)
    }

    /// The stub whose slot `address` lies in.
    #[must_use]
    pub fn containing(&self, address: Vaddr) -> Option<Entry> {
        let offset = u32::try_from(address.since(self.base)).ok()?;
        let behind = self.records.partition_point(|r| r.offset <= offset);
        let entry = self.entry(self.records.get(behind.checked_sub(1)?)?);
        (address < entry.end()).then_some(entry)
    }

    /// All stubs, by ascending address.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry> + '_ {
        self.records.iter().map(|record| self.entry(record))
    }

    /// How many stubs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn entry(&self, record: &Record) -> Entry {
        Entry {
            at: self.base.offset(i64::from(record.offset)),
            kind: record.kind,
            owner: record.owner,
        }
    }
}

impl Entry {
    /// The first address behind the slot.
    #[must_use]
    pub const fn end(&self) -> Vaddr {
        Vaddr(self.at.0.wrapping_add(self.kind.slot_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Vaddr = Vaddr(0x4000_0000);

    fn table() -> StubTable {
        let mut table = StubTable::new(BASE);
        table.push(BASE, StubKind::External, 7).unwrap();
        table.push(BASE.offset(0x20), StubKind::OutOfLine, 8).unwrap();
        table.push(BASE.offset(0x40), StubKind::Profile, 9).unwrap();
        table
    }

    #[test]
    fn a_stub_is_found_at_its_first_byte_and_nowhere_else() {
        let table = table();
        assert_eq!(table.find(BASE).unwrap().owner, 7);
        assert_eq!(
            table.find(BASE.offset(0x40)),
            Some(Entry { at: BASE.offset(0x40), kind: StubKind::Profile, owner: 9 })
        );
        for off in [-0x20, -4, 4, 0x1c, 0x30, 0x44, 0x60] {
            assert_eq!(table.find(BASE.offset(off)), None, "{off:#x}");
        }
        assert_eq!(StubTable::new(BASE).find(BASE), None);
    }

    #[test]
    fn an_address_within_a_slot_leads_to_its_stub_but_a_gap_does_not() {
        let table = table();
        let owner = |off| table.containing(BASE.offset(off)).map(|entry| entry.owner);
        assert_eq!(owner(0x1f), Some(7));
        assert_eq!(owner(0x2f), Some(8));
        assert_eq!(owner(0x30), None); // OutOfLine ends after 16 bytes
        assert_eq!(owner(0x5f), Some(9));
        assert_eq!(owner(0x60), None);
        assert_eq!(owner(-1), None);
    }

    #[test]
    fn records_come_in_order_without_overlap() {
        let mut table = table();
        let refused = table.push(BASE.offset(0x5c), StubKind::External, 0);
        assert_eq!(
            refused,
            Err(TableError::OutOfOrder { at: BASE.offset(0x5c), free_from: BASE.offset(0x60) })
        );
        assert!(table.push(BASE, StubKind::External, 0).is_err());
        assert_eq!(table.len(), 3);
        table.push(BASE.offset(0x60), StubKind::External, 0).unwrap();
        let offsets: Vec<_> = table.iter().map(|entry| entry.at.since(BASE)).collect();
        assert_eq!(offsets, [0, 0x20, 0x40, 0x60]);
    }

    #[test]
    fn a_table_covers_4_gib() {
        let mut table = StubTable::new(BASE);
        let below = table.push(BASE.offset(-32), StubKind::External, 0);
        assert!(matches!(below, Err(TableError::TooFar { .. })));
        let far = table.push(BASE.offset(0x1_0000_0000), StubKind::External, 0);
        assert!(matches!(far, Err(TableError::TooFar { .. })));
        let last = BASE.offset(0xffff_ffe0);
        table.push(last, StubKind::External, 1).unwrap();
        assert_eq!(table.find(last).unwrap().owner, 1);
    }
}
