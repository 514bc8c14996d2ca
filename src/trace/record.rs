//! What one traced call leaves behind: 32 bytes in its CPU's ring.
//!
//! ```text
//!   +0  time    timebase at the hook
//!   +8  ip      LR at the hook: the address behind the `bl` that reached it, which
//!               is below 4 GiB and a multiple of 4. The two low bits say what
//!               kind of record it is, the high half how deep a graph's call is;
//!               the topmost bit that it was made in a tick
//!   +16 parent  where the traced function returns to; for a graph's return, when
//!               the call began
//!   +24 seq     the record's number, from 1: written last, so it says "whole"
//! ```
//!
//! The depth is written as the low half of the address of the call's place on the
//! graph stack, because that is at hand; the stack is aligned to its size, so no
//! more is needed to read it.
//!
//! `ring.rs` has the protocol, `decode.rs` makes text of it. The assembly writer
//! gets these offsets through `const` operands, and none is typed twice.
//!
//! A probe's record has the number of its event in the high half, and as `parent` the
//! first argument register (at the entry, if the hook stored it) or where the function
//! returns to. What else it recorded lies beside the ring, in [`PLANES`] planes of the
//! ring's size: slot N's words 0 to 3 in slot N of the first plane, and so on. They are
//! written before `seq`, too.
//!
//! Names are looked up when the text is made, not here: a record costs four
//! stores. A module that goes away must therefore be asked for its names first.

use core::mem::{offset_of, size_of};

use crate::addr::Vaddr;

/// One record, as it lies in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Timebase ticks (`mftb`) when the hook ran.
    pub time: u64,
    /// LR at the hook, kind and depth; see [`Record::hook`], [`Record::kind`],
    /// [`Record::depth`].
    pub ip: Vaddr,
    /// The traced function's own return address: an address in its caller. Of a
    /// [`Kind::GraphReturn`] it is [`Record::began`].
    pub parent: Vaddr,
    /// The record's index in the ring's life, plus 1. 0 is a slot never written.
    pub seq: u64,
}

/// What a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A call, by the function tracer.
    Function = 0,
    /// The beginning of a call, by the graph tracer.
    GraphEntry = 1,
    /// Its end.
    GraphReturn = 2,
    /// A probe.
    Probe = 3,
}

impl Record {
    /// LR at the hook. For a site that calls the hook itself this is the site plus 4;
    /// for one that goes through a stub it lies in that stub.
    #[must_use]
    pub const fn hook(&self) -> Vaddr {
        Vaddr(self.ip.0 & 0xffff_fffc)
    }

    /// What it tells of.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.ip.0 & 3 {
            0 => Kind::Function,
            1 => Kind::GraphEntry,
            2 => Kind::GraphReturn,
            _ => Kind::Probe,
        }
    }

    /// How many calls of the graph's this one is inside of.
    #[must_use]
    pub const fn depth(&self) -> u32 {
        depth_of(self.ip.0 >> 32)
    }

    /// The number of the event that a [`Kind::Probe`] is of.
    #[must_use]
    pub const fn event(&self) -> u32 {
        (self.ip.0 << 1 >> 33) as u32
    }

    /// True if it was made in a tick that is over.
    #[must_use]
    pub const fn is_in_tick(&self) -> bool {
        self.ip.0 >> 63 != 0
    }

    /// When the call began that a [`Kind::GraphReturn`] ends.
    #[must_use]
    pub const fn began(&self) -> u64 {
        self.parent.0
    }
}

/// Bytes of a graph stack, and what it is aligned to.
pub const GRAPH_STACK_BYTES: u64 = 8192;
/// Bytes of one of its entries.
const GRAPH_ENTRY_BYTES: u64 = 32;

/// The depth of the call whose entry on the graph stack ends at `place`, of which the
/// low half is enough.
#[must_use]
pub const fn depth_of(place: u64) -> u32 {
    // The entry of depth 0 ends 32 bytes behind the start; the last one at the end.
    (place.wrapping_sub(GRAPH_ENTRY_BYTES) % GRAPH_STACK_BYTES / GRAPH_ENTRY_BYTES) as u32
}

/// Planes beside a ring, for what probes record.
pub const PLANES: usize = 4;
/// Eight-byte words that a record has there.
pub const PAYLOAD_WORDS: usize = PLANES * WORDS;

/// Arguments that the graph tracer keeps beside the record of an entry, from r3 on. Of a
/// return it keeps the result in the first of these words.
pub const GRAPH_ARGS: usize = 6;
/// The word beside one of its records that says whose these are: what [`owner`] says.
pub const OWNER_WORD: usize = 7;

/// What marks words as those of the graph tracer's record with this number, and not of
/// the one that had the slot before.
#[must_use]
pub const fn owner(seq: u64) -> u64 {
    !seq
}

/// Where word `word` of slot `slot` lies in the planes beside a ring of `slots`, in
/// words.
#[must_use]
pub const fn payload_place(slots: usize, slot: usize, word: usize) -> usize {
    (word / WORDS * slots + slot) * WORDS + word % WORDS
}

/// Bytes of a record; a power of two, so a slot is found by a shift.
pub const SIZE: usize = size_of::<Record>();
/// Eight-byte words of a record.
pub const WORDS: usize = SIZE / 8;
/// Offset of `time` in bytes.
pub const TIME: usize = offset_of!(Record, time);
/// Offset of `ip` in bytes.
pub const IP: usize = offset_of!(Record, ip);
/// Offset of the byte of `ip` in which a tick sets [`IN_TICK`], once it is over.
pub const STATE: usize = IP + 7;
/// What says that a record was made in a tick.
pub const IN_TICK: u64 = 0x80;
/// Offset of `parent` in bytes.
pub const PARENT: usize = offset_of!(Record, parent);
/// Offset of `seq` in bytes.
pub const SEQ: usize = offset_of!(Record, seq);

const _: () = assert!(SIZE == 32 && SIZE.is_power_of_two());
const _: () = assert!(TIME == 0 && IP == 8 && PARENT == 16 && SEQ == 24, "ring.rs counts in words");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_bits_are_the_kind_and_the_high_half_is_the_depth() {
        let base = 0x7654_2000; // a multiple of the stack's size
        for (depth, end) in [(0, 32), (1, 64), (254, 8160), (255, 8192)] {
            let record = Record {
                time: 0,
                ip: Vaddr((base + end) << 32 | 0x0123_4566),
                parent: Vaddr(7),
                seq: 1,
            };
            assert_eq!(record.depth(), depth);
            assert_eq!((record.hook(), record.kind()), (Vaddr(0x0123_4564), Kind::GraphReturn));
            assert_eq!((record.began(), record.is_in_tick()), (7, false));
            // What a tick does to it, and nothing else of it changes.
            let mut bytes = record.ip.0.to_le_bytes();
            bytes[STATE - IP] |= IN_TICK as u8;
            let marked = Record { ip: Vaddr(u64::from_le_bytes(bytes)), ..record };
            assert!(marked.is_in_tick());
            assert_eq!(
                (marked.depth(), marked.hook(), marked.kind()),
                (depth, record.hook(), record.kind())
            );
        }
        let event = Record { time: 0, ip: Vaddr(0x8000_0007_0000_1003), parent: Vaddr(0), seq: 1 };
        assert_eq!((event.event(), event.kind(), event.is_in_tick()), (7, Kind::Probe, true));
    }
}
