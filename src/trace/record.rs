//! What one traced call leaves behind: 32 bytes in its CPU's ring.
//!
//! ```text
//!   +0  time    timebase at the hook
//!   +8  ip      LR at the hook: the address behind the `bl` that reached it
//!   +16 parent  where the traced function returns to
//!   +24 seq     the record's number, from 1: written last, so it says "whole"
//! ```
//!
//! `ring.rs` has the protocol, `decode.rs` makes text of it. The assembly writer
//! gets these offsets through `const` operands, and none is typed twice.
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
    /// LR at the hook. For a site that calls the hook itself this is the site
    /// plus 4; for one that goes through a stub it lies in that stub.
    pub ip: Vaddr,
    /// The traced function's own return address: an address in its caller.
    pub parent: Vaddr,
    /// The record's index in the ring's life, plus 1. 0 is a slot never written.
    pub seq: u64,
}

/// Bytes of a record; a power of two, so a slot is found by a shift.
pub const SIZE: usize = size_of::<Record>();
/// Eight-byte words of a record.
pub const WORDS: usize = SIZE / 8;
/// Offset of `time` in bytes.
pub const TIME: usize = offset_of!(Record, time);
/// Offset of `ip` in bytes.
pub const IP: usize = offset_of!(Record, ip);
/// Offset of `parent` in bytes.
pub const PARENT: usize = offset_of!(Record, parent);
/// Offset of `seq` in bytes.
pub const SEQ: usize = offset_of!(Record, seq);

const _: () = assert!(SIZE == 32 && SIZE.is_power_of_two());
const _: () = assert!(TIME == 0 && IP == 8 && PARENT == 16 && SEQ == 24, "ring.rs counts in words");
