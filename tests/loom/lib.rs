//! The ring's protocol under loom, which tries the orders that two threads may run in,
//! and what each of them may then see of the other's stores.
//!
//! `src/trace/ring.rs` itself is what runs, with loom's atomics. Its own tests use real
//! threads, which are many more records and only the orders that come by chance.
//!
//! Reference: N. D. Norris, B. Demsky, "CDSChecker: Checking Concurrent Data Structures
//! Written with C/C++ Atomics", OOPSLA 2013.
#![cfg(test)]

#[path = "../../src/addr.rs"]
#[allow(dead_code)]
mod addr;
#[allow(dead_code)]
#[path = "../../src/trace"]
mod trace {
    pub mod record;
    pub mod ring;
}

use addr::Vaddr;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use trace::record::{Record, WORDS};
use trace::ring::{Next, Reader, Ring};

struct Memory {
    head: AtomicU64,
    words: Vec<AtomicU64>,
    limit: AtomicU64,
}

impl Memory {
    fn new(slots: usize) -> Arc<Self> {
        let words = (0..slots * WORDS).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { head: AtomicU64::new(0), words, limit: AtomicU64::new(slots as u64) })
    }

    fn ring(&self) -> Ring<'_> {
        Ring::new(&self.head, &self.words).unwrap()
    }

    /// A record whose fields can be checked against its own number.
    fn write(&self, number: u64) {
        self.ring().write(number, Vaddr(number + 100), Vaddr(!number));
    }
}

fn check(record: Record) {
    let number = record.seq - 1;
    let whole =
        Record { time: number, ip: Vaddr(number + 100), parent: Vaddr(!number), seq: number + 1 };
    assert_eq!(record, whole);
}

/// Tries all orders with at most so many involuntary changes from thread to thread.
fn explore(changes: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(changes);
    model.check(run);
}

/// The writer overwrites what is being read.
#[test]
fn what_is_read_is_whole_and_read_plus_lost_is_written() {
    explore(3, || {
        let memory = Memory::new(2);
        memory.write(0);
        memory.write(1);
        let writer = thread::spawn({
            let memory = memory.clone();
            move || (2..4).for_each(|number| memory.write(number))
        });
        let (ring, mut last) = (memory.ring(), 0);
        let mut reader = Reader::new(ring, 0);
        for _ in 0..3 {
            if let Next::Record(record) = reader.next_record() {
                check(record);
                assert!(record.seq > last);
                last = record.seq;
            }
        }
        writer.join().unwrap();
        while let Next::Record(record) = reader.next_record() {
            check(record);
        }
        assert_eq!(reader.next_record(), Next::Empty);
        assert_eq!(reader.read() + reader.lost(), 4);
    });
}

/// Who takes records out waits for the one that is being written, and has it.
#[test]
fn a_record_that_is_being_written_is_not_lost() {
    explore(3, || {
        let memory = Memory::new(4);
        let writer = thread::spawn({
            let memory = memory.clone();
            move || (0..2).for_each(|number| memory.write(number))
        });
        let ring = memory.ring();
        let mut reader = Reader::new(ring, 0);
        let mut patience = u32::MAX;
        while reader.position() < 2 {
            match reader.next_before(ring.written(), &mut patience, thread::yield_now) {
                Some(record) => check(record),
                None => thread::yield_now(),
            }
        }
        writer.join().unwrap();
        assert_eq!((reader.read(), reader.lost()), (2, 0));
    });
}

/// A CPU and what interrupts it, if both were as rude as threads are.
#[test]
fn two_writers_never_share_a_slot() {
    explore(3, || {
        let memory = Memory::new(4);
        let other = thread::spawn({
            let memory = memory.clone();
            move || memory.ring().write(1, Vaddr(1), Vaddr(1))
        });
        (2..4).for_each(|n| memory.ring().write(n, Vaddr(n), Vaddr(n)));
        other.join().unwrap();
        let (mut reader, mut sum) = (Reader::new(memory.ring(), 0), 0);
        while let Next::Record(Record { time, ip, parent, .. }) = reader.next_record() {
            assert_eq!((time, time), (ip.0, parent.0));
            sum += time;
        }
        assert_eq!((sum, reader.read(), reader.lost()), (1 + 2 + 3, 3, 0));
    });
}

/// A ring that stops when it is full loses nothing, while its reader makes room.
#[test]
fn a_full_ring_overwrites_nothing_that_was_not_read() {
    explore(3, || {
        let memory = Memory::new(2);
        let writer = thread::spawn({
            let memory = memory.clone();
            move || {
                let write = |n| {
                    let limit = memory.limit.load(Ordering::Acquire);
                    memory.ring().write_below(limit, n, Vaddr(n + 100), Vaddr(!n))
                };
                (0..4).take_while(|n| write(*n)).count() as u64
            }
        });
        let mut reader = Reader::new(memory.ring(), 0);
        for _ in 0..2 {
            if let Next::Record(record) = reader.next_record() {
                check(record);
                memory.limit.store(reader.position() + 2, Ordering::Release);
            }
        }
        let written = writer.join().unwrap();
        while let Next::Record(record) = reader.next_record() {
            check(record);
        }
        assert_eq!((reader.read(), reader.lost()), (written, 0));
        assert!(written >= 2);
    });
}
