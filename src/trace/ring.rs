//! A CPU's ring of records: one CPU writes, anybody reads, nobody waits.
//!
//! ```text
//!   written so far: head = 11        slots = 8, so records 3..11 are here
//!
//!   slot    0    1    2    3    4    5    6    7
//!         [ 8 ][ 9 ][10 ][ 3 ][ 4 ][ 5 ][ 6 ][ 7 ]
//!                          ^ oldest; record 11 will take its place
//! ```
//!
//! The ring overwrites: tracing never stops because nobody reads. A reader that
//! was too slow counts what it missed, and `read + lost == written` always. Or it is
//! told where to stop ([`Ring::write_below`]): then the newest are not written while
//! nobody makes room, each is counted by its writer, and nothing is ever lost.
//!
//! # The protocol
//! The writer is `boot/mcount.S`; [`Ring::write`] is the same steps in Rust.
//!
//! 1. reserve: `i = head; head = i + 1` in one atomic step (`ldarx`/`stdcx.`),
//!    because a tick may interrupt and trace on the same CPU;
//! 2. `lwsync`: who sees what step 3 wrote also sees the new head;
//! 3. store time, ip, parent;
//! 4. `lwsync`, then store seq = i + 1: who sees it sees the rest;
//! 5. a tick that is over marks what was recorded in it (`boot/trap.S`): one byte of
//!    each, of no other meaning. Who reads a record before that sees it without.
//!
//! The reader of record `i` wants seq == i + 1 before, and after reading
//! `head <= i + slots`: until the head passes that, nobody has been handed the
//! slot again, so what was read in between is record `i` and nothing else. Reading
//! seq a second time would not do: a writer that overwrites stores seq last.
//!
//! `tests/loom` tries the orders of a writer's steps and a reader's.
//!
//! # Invariants
//! - Only the ring's own CPU writes. What interrupts a writer writes fewer than
//!   `slots` records before it returns, or the interrupted writer would finish
//!   its old record in a slot that has been handed out again.
//! - `head` only grows, also when the ring is cleared: a reader starts later.
//!
//! # References
//! Power ISA Book II, "Memory Barrier Instructions" (lwsync); H.-J. Boehm, "Can
//! seqlocks get along with programming language memory models?" (2012).
//!
//! Linux's ring buffer holds pages with headers and variable records; fixed ones
//! are found by a mask, and the writer needs no room check and no header.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(loom)] // tests/loom
use loom::sync::atomic::{AtomicU64, Ordering, fence};

use super::record::{IP, PARENT, Record, SEQ, TIME, WORDS};
use crate::addr::Vaddr;

const _: () = assert!(TIME == 0 && IP == 8 && PARENT == 16 && SEQ == 24 && WORDS == 4);

/// A view of one CPU's ring; the kernel and the tests lay it over their memory.
#[derive(Clone, Copy, Debug)]
pub struct Ring<'a> {
    /// Records ever reserved.
    head: &'a AtomicU64,
    /// The slots, as the records they hold.
    slots: &'a [[AtomicU64; WORDS]],
}

/// Why a piece of memory cannot be a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRing {
    /// A slot is found by a mask, so there must be a power of two of them.
    NotPowerOfTwo {
        /// Whole records that fit in the words.
        slots: usize,
    },
    /// The words do not end where a record does.
    Ragged {
        /// Eight-byte words given.
        words: usize,
    },
}

impl<'a> Ring<'a> {
    /// The ring in `words`, whose count of reserved records is `head`.
    pub fn new(head: &'a AtomicU64, words: &'a [AtomicU64]) -> Result<Self, BadRing> {
        let (slots, rest) = words.as_chunks::<WORDS>();
        if !rest.is_empty() {
            return Err(BadRing::Ragged { words: words.len() });
        }
        if !slots.len().is_power_of_two() {
            return Err(BadRing::NotPowerOfTwo { slots: slots.len() });
        }
        Ok(Self { head, slots })
    }

    /// Records that the ring holds at most.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Records ever written (or being written).
    #[must_use]
    pub fn written(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Index of the oldest record that is still there.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.written().saturating_sub(self.capacity())
    }

    /// Adds one record, over the oldest when the ring is full.
    ///
    /// The model of the assembly writer; see the steps above.
    pub fn write(&self, time: u64, ip: Vaddr, parent: Vaddr) {
        self.write_below(u64::MAX, time, ip, parent);
    }

    /// The same, but for records from number `limit` on: false, and nothing is written.
    pub fn write_below(&self, limit: u64, time: u64, ip: Vaddr, parent: Vaddr) -> bool {
        let Some(index) = reserve(self.head, limit) else { return false };
        fence(Ordering::Release);
        let [slot_time, slot_ip, slot_parent, slot_seq] = self.slot(index);
        slot_time.store(time, Ordering::Relaxed);
        slot_ip.store(ip.0, Ordering::Relaxed);
        slot_parent.store(parent.0, Ordering::Relaxed);
        slot_seq.store(index + 1, Ordering::Release);
        true
    }

    fn slot(&self, index: u64) -> &'a [AtomicU64; WORDS] {
        // The mask keeps this below the length, so the cast cannot cut.
        &self.slots[(index & (self.capacity() - 1)) as usize]
    }

    /// True if record `index` may be gone, or be going, at this moment.
    fn has_overtaken(&self, index: u64) -> bool {
        self.head.load(Ordering::Relaxed).wrapping_sub(index) > self.capacity()
    }
}

/// Takes the next number, if it is below `limit`.
pub fn reserve(head: &AtomicU64, limit: u64) -> Option<u64> {
    let next = |head| (head < limit).then_some(head + 1);
    head.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
}

/// What a reader found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next record, whole.
    Record(Record),
    /// The next record is reserved and not yet whole: its writer is at it now,
    /// or was ended between. Ask again, or [`Reader::skip`] it.
    Pending,
    /// Everything written so far has been read or lost.
    Empty,
}

/// A place in a ring, moving towards its head. Any number may read one ring.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    ring: Ring<'a>,
    at: u64,
    read: u64,
    lost: u64,
}

impl<'a> Reader<'a> {
    /// A reader whose next record is number `start`, counted from 0. What the
    /// ring no longer holds from there on counts as lost.
    #[must_use]
    pub const fn new(ring: Ring<'a>, start: u64) -> Self {
        Self { ring, at: start, read: 0, lost: 0 }
    }

    /// Index of the record that [`Reader::next_record`] will look for.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.at
    }

    /// Records handed out so far.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.read
    }

    /// Records that were overwritten before they could be read, or skipped.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// The next record, if it is there and whole.
    pub fn next_record(&mut self) -> Next {
        self.next_disturbed(|| {})
    }

    /// The same, with something happening in the worst moment: after the number
    /// of the record was read and before its fields are.
    fn next_disturbed(&mut self, mut disturb: impl FnMut()) -> Next {
        loop {
            let head = self.ring.written();
            if self.at >= head {
                return Next::Empty;
            }
            let oldest = head.saturating_sub(self.ring.capacity());
            if self.at < oldest {
                self.lost += oldest - self.at;
                self.at = oldest;
            }
            let [time, ip, parent, seq] = self.ring.slot(self.at);
            let before = seq.load(Ordering::Acquire);
            disturb();
            let record = Record {
                time: time.load(Ordering::Relaxed),
                ip: Vaddr(ip.load(Ordering::Relaxed)),
                parent: Vaddr(parent.load(Ordering::Relaxed)),
                seq: before,
            };
            // Nothing above may be read later than the head below.
            fence(Ordering::Acquire);
            if self.ring.has_overtaken(self.at) {
                continue; // the top of the loop counts what is gone
            }
            if before != self.at + 1 {
                return Next::Pending;
            }
            self.at += 1;
            self.read += 1;
            return Next::Record(record);
        }
    }

    /// The next record of those before number `end`. While one is pending `wait` is
    /// called, `patience` times for all of them together; then it is given up.
    pub fn next_before(
        &mut self,
        end: u64,
        patience: &mut u32,
        mut wait: impl FnMut(),
    ) -> Option<Record> {
        while self.at < end {
            match self.next_record() {
                Next::Record(record) => return Some(record),
                Next::Pending if *patience > 0 => {
                    *patience -= 1;
                    wait();
                }
                Next::Pending => self.skip(),
                Next::Empty => break,
            }
        }
        None
    }

    /// Gives up the record that is pending, and counts it as lost. For a reader
    /// that knows its writer to be stopped.
    pub fn skip(&mut self) {
        if self.at < self.ring.written() {
            self.at += 1;
            self.lost += 1;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;
    use std::thread;
    use std::vec::Vec;

    fn memory(slots: usize) -> (AtomicU64, Vec<AtomicU64>) {
        (AtomicU64::new(0), (0..slots * WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    /// A record whose fields can be checked against its own number.
    fn write_numbered(ring: Ring<'_>, number: u64) {
        ring.write(number, Vaddr(number ^ 0xaaaa_aaaa), Vaddr(!number));
    }

    fn is_whole(record: &Record) -> bool {
        let number = record.seq - 1;
        *record
            == Record {
                time: number,
                ip: Vaddr(number ^ 0xaaaa_aaaa),
                parent: Vaddr(!number),
                seq: number + 1,
            }
    }

    #[test]
    fn a_ring_is_a_power_of_two_of_whole_records() {
        let (head, words) = memory(8);
        assert!(Ring::new(&head, &words).is_ok());
        assert_eq!(Ring::new(&head, &words[1..]).err(), Some(BadRing::Ragged { words: 31 }));
        assert_eq!(Ring::new(&head, &words[8..]).err(), Some(BadRing::NotPowerOfTwo { slots: 6 }));
        assert_eq!(Ring::new(&head, &[]).err(), Some(BadRing::NotPowerOfTwo { slots: 0 }));
    }

    #[test]
    fn a_full_ring_loses_nothing_and_one_record_more_loses_the_oldest() {
        let (head, words) = memory(4);
        let ring = Ring::new(&head, &words).unwrap();
        (0..4).for_each(|n| write_numbered(ring, n));
        let mut reader = Reader::new(ring, 0);
        assert!(matches!(reader.next_record(), Next::Record(r) if r.time == 0));

        let mut late = Reader::new(ring, 0);
        write_numbered(ring, 4);
        assert!(matches!(late.next_record(), Next::Record(r) if r.time == 1 && is_whole(&r)));
        assert_eq!((late.read(), late.lost()), (1, 1));
        // The reader that had taken record 0 before has lost nothing.
        for n in 1..5 {
            assert!(matches!(reader.next_record(), Next::Record(r) if r.time == n));
        }
        assert_eq!(reader.next_record(), Next::Empty);
        assert_eq!((reader.read(), reader.lost()), (5, 0));
    }

    #[test]
    fn a_reserved_record_is_pending_until_its_number_is_written() {
        let (head, words) = memory(4);
        let ring = Ring::new(&head, &words).unwrap();
        write_numbered(ring, 0);
        head.fetch_add(1, Ordering::Relaxed); // a writer interrupted after step 1
        let mut reader = Reader::new(ring, 0);
        assert!(matches!(reader.next_record(), Next::Record(_)));
        assert_eq!(reader.next_record(), Next::Pending);
        assert_eq!(reader.next_record(), Next::Pending);
        reader.skip();
        assert_eq!(reader.next_record(), Next::Empty);
        reader.skip(); // nothing left to give up
        assert_eq!((reader.read(), reader.lost(), ring.written()), (1, 1, 2));
    }

    /// Whoever takes records out does not come back to one that it has given up.
    #[test]
    fn a_reader_waits_for_what_is_being_written_and_gives_up_what_never_is() {
        let (head, words) = memory(8);
        let ring = Ring::new(&head, &words).unwrap();
        let index = reserve(&head, u64::MAX).unwrap();
        write_numbered(ring, 1);
        let mut reader = Reader::new(ring, 0);
        let mut patience = 5;
        let mut asked = 0;
        let finish = || {
            asked += 1;
            if asked == 3 {
                for (word, value) in words.iter().zip([0, 0xaaaa_aaaa, u64::MAX, index + 1]) {
                    word.store(value, Ordering::Release);
                }
            }
        };
        let first = reader.next_before(2, &mut patience, finish).unwrap();
        assert!(is_whole(&first) && first.seq == 1, "{first:?}");
        assert_eq!((patience, reader.lost()), (2, 0));
        assert_eq!(reader.next_before(2, &mut patience, || {}).unwrap().seq, 2);
        assert_eq!(reader.next_before(2, &mut patience, || {}), None);
        // Two were cut off: what is left of the patience is for both.
        head.fetch_add(2, Ordering::Relaxed);
        write_numbered(ring, 4);
        let mut waited = 0;
        let next = reader.next_before(ring.written(), &mut patience, || waited += 1);
        assert_eq!((next.unwrap().seq, reader.lost(), waited, patience), (5, 2, 2, 0));
    }

    /// A slot whose old record still carries its own number must not be taken
    /// for the new one, nor the new fields for the old record.
    #[test]
    fn a_slot_that_is_being_overwritten_yields_neither_record() {
        let (head, words) = memory(2);
        let ring = Ring::new(&head, &words).unwrap();
        (0..2).for_each(|n| write_numbered(ring, n));
        let mut reader = Reader::new(ring, 0);
        // The writer of record 2 is in step 3: time is new, seq still says 0 + 1.
        head.fetch_add(1, Ordering::Relaxed);
        words[0].store(2, Ordering::Relaxed);
        assert!(matches!(reader.next_record(), Next::Record(r) if r.time == 1));
        assert_eq!(reader.next_record(), Next::Pending);
        assert_eq!(reader.lost(), 1);
    }

    #[test]
    fn a_record_overwritten_while_it_is_read_is_lost_and_not_mixed() {
        let (head, words) = memory(2);
        let ring = Ring::new(&head, &words).unwrap();
        (0..2).for_each(|n| write_numbered(ring, n));
        let mut reader = Reader::new(ring, 0);
        // Record 2 takes the slot of record 0 between its number and its fields.
        let mut coming = 2..3;
        let next = reader.next_disturbed(|| coming.by_ref().for_each(|n| write_numbered(ring, n)));
        assert!(matches!(next, Next::Record(r) if r.seq == 2 && is_whole(&r)), "{next:?}");
        assert_eq!((reader.read(), reader.lost()), (1, 1));
    }

    #[test]
    fn read_plus_lost_is_written_while_a_writer_overwrites() {
        const RECORDS: u64 = 200_000;
        let (head, words) = memory(16);
        let ring = Ring::new(&head, &words).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..RECORDS {
                    write_numbered(ring, n);
                    if n % 64 == 0 {
                        thread::yield_now();
                    }
                }
                done.store(true, Ordering::Release);
            });
            let mut reader = Reader::new(ring, 0);
            let mut last = 0;
            loop {
                let finished = done.load(Ordering::Acquire);
                match reader.next_record() {
                    Next::Record(record) => {
                        assert!(is_whole(&record), "torn: {record:?}");
                        assert!(record.seq > last, "twice or backwards: {record:?}");
                        last = record.seq;
                    }
                    Next::Pending | Next::Empty if !finished => {}
                    Next::Empty => break,
                    Next::Pending => panic!("pending after the writer ended"),
                }
            }
            assert_eq!(reader.read() + reader.lost(), ring.written());
            assert_eq!(ring.written(), RECORDS);
            assert!(reader.read() > 0);
        });
    }

    /// The reader makes room as `trace_pipe` does: what it has read may be written over.
    #[test]
    fn a_ring_that_stops_when_full_keeps_the_oldest_and_counts_the_others() {
        let (head, words) = memory(8);
        let ring = Ring::new(&head, &words).unwrap();
        let write = |limit, n| ring.write_below(limit, n, Vaddr(0), Vaddr(0));
        let written = |limit| (0..20).filter(|n| write(limit, *n)).count();
        assert_eq!(written(8), 8);
        let mut reader = Reader::new(ring, 0);
        for n in 0..3 {
            assert!(matches!(reader.next_record(), Next::Record(record) if record.time == n));
        }
        assert_eq!(written(reader.position() + 8), 3);
        assert_eq!((ring.written(), ring.oldest(), reader.lost()), (11, 3, 0));

        const EACH: u64 = 1 << 16;
        let (head, words) = memory(64);
        let ring = Ring::new(&head, &words).unwrap();
        let (limit, dropped) = (AtomicU64::new(64), AtomicU64::new(0));
        let over = AtomicBool::new(false);
        let reader = thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..EACH {
                    let limit = limit.load(Ordering::Acquire);
                    if !ring.write_below(limit, n, Vaddr(0), Vaddr(0)) {
                        dropped.fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                    }
                }
                over.store(true, Ordering::Release);
            });
            let mut reader = Reader::new(ring, 0);
            loop {
                let last = over.load(Ordering::Acquire);
                while let Next::Record(_) = reader.next_record() {}
                limit.store(reader.position() + 64, Ordering::Release);
                if last {
                    return reader;
                }
            }
        });
        assert_eq!(reader.lost(), 0);
        assert_eq!(reader.read() + dropped.load(Ordering::Relaxed), EACH);
    }

    /// Two writers stand for a CPU and the tick that interrupts it. Threads are
    /// ruder than an interrupt, which always returns first, so the ring is large
    /// enough for the invariant about nesting to hold.
    #[test]
    fn nested_writers_never_share_a_slot() {
        const EACH: u64 = 1 << 16;
        let (head, words) = memory(2 << 16);
        let ring = Ring::new(&head, &words).unwrap();
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for writer in 0..2_u64 {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    for n in 0..EACH {
                        ring.write(n, Vaddr(writer), Vaddr(n));
                        if n % 64 == 0 {
                            thread::yield_now();
                        }
                    }
                });
            }
        });
        let mut reader = Reader::new(ring, 0);
        let mut next = [0, 0];
        while let Next::Record(record) = reader.next_record() {
            let writer = usize::try_from(record.ip.0).unwrap();
            assert_eq!((record.time, record.parent.0), (next[writer], next[writer]));
            next[writer] += 1;
        }
        assert_eq!((next, reader.lost()), ([EACH, EACH], 0));
    }
}
