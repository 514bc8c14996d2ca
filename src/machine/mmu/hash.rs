//! The hash table through hypercalls, and the segments that this CPU knows.
//!
//! ```text
//!  SLB entry k:  segment k (256 MiB) -> VSID k      bolted, all that memory needs
//!  SLB entry 31: the alias' segment                 only while this CPU patches
//! ```
//!
//! The hypervisor makes all CPUs forget what it changes.
//!
//! # References
//! LoPAPR, "H_ENTER", "H_PROTECT", "H_REMOVE", "H_READ"; Power ISA Book III-S,
//! "SLB Management Instructions".

use core::arch::asm;

use super::{MapError, Region};
use crate::addr::Vaddr;
use crate::machine::lock::Mutex;
use crate::machine::platform::{MachineFacts, hcall};
use crate::mmu::Rights;
use crate::mmu::hash::{self, GROUP, SEGMENT};
use crate::mmu::radix::PAGE;

/// The window: the first page of a segment above all memory.
pub const ALIAS: Vaddr = Vaddr(0x100 * SEGMENT);
/// The SLB entry for it: the last that POWER8 has.
const ALIAS_SLB: u64 = 31;

struct Table {
    groups: u64,
    segments: u64,
}

static TABLE: Mutex<Table> = Mutex::new(Table { groups: 0, segments: 0 });

/// Learns how large the table is and how much memory there is to reach.
pub fn init(facts: &MachineFacts) {
    let mut table = TABLE.lock();
    table.groups = 1 << facts.hash_table_bits.saturating_sub(7);
    let end = crate::machine::memory::end().0;
    table.segments = end.div_ceil(SEGMENT).min(ALIAS_SLB);
}

/// Loads this CPU's segments.
pub fn load() {
    let segments = TABLE.lock().segments;
    // SAFETY: translation is off, or what runs is mapped by entry 0 and up,
    // which are loaded before anything else is fetched from them.
    unsafe { asm!("isync", "slbia", "isync", options(nostack, preserves_flags)) };
    for segment in 0..segments {
        load_segment(segment, segment);
    }
}

fn load_segment(segment: u64, index: u64) {
    let rs = segment << 12; // VSID; 256 MiB, 4 KiB pages, keys 0
    let rb = segment << 28 | 1 << 27 | index;
    // SAFETY: adds a translation for a segment; what may be done there is up to
    // the hash table.
    unsafe {
        asm!("slbmte {rs}, {rb}", "isync", rs = in(reg) rs, rb = in(reg) rb,
            options(nostack, preserves_flags));
    }
}

fn enter(at: u64, to: u64, rights: Rights) -> Result<(), MapError> {
    let groups = TABLE.lock().groups;
    let entered = [false, true].into_iter().any(|second| {
        let (v, r) = hash::entry(at, to, rights, second);
        hcall::hash_enter(hash::slot(at, groups, second), v, r)
    });
    if entered { Ok(()) } else { Err(MapError { at: Vaddr(at) }) }
}

/// The entry for a page: its number and its second word.
fn find(at: u64) -> Option<(u64, u64)> {
    let groups = TABLE.lock().groups;
    [false, true].into_iter().find_map(|second| {
        let first = hash::slot(at, groups, second);
        (first..first + GROUP).find_map(|slot| {
            let (v, r) = hcall::hash_read(slot)?;
            hash::is_for(v, at).then_some((slot, r))
        })
    })
}

/// Maps a range.
pub fn map(start: Vaddr, len: u64, rights: Rights) -> Result<(), MapError> {
    (start.0..start.0 + len).step_by(PAGE as usize).try_for_each(|at| enter(at, at, rights))
}

/// Changes a range in place.
pub fn protect(start: Vaddr, len: u64, rights: Rights) -> Result<(), MapError> {
    (start.0..start.0 + len).step_by(PAGE as usize).try_for_each(|at| {
        let (slot, _) = find(at).ok_or(MapError { at: Vaddr(at) })?;
        let done = hcall::hash_protect(slot, hash::protection(rights));
        if done { Ok(()) } else { Err(MapError { at: Vaddr(at) }) }
    })
}

/// Takes a range away.
pub fn unmap(start: Vaddr, len: u64) -> Result<(), MapError> {
    (start.0..start.0 + len).step_by(PAGE as usize).try_for_each(|at| {
        let (slot, _) = find(at).ok_or(MapError { at: Vaddr(at) })?;
        if hcall::hash_remove(slot) { Ok(()) } else { Err(MapError { at: Vaddr(at) }) }
    })
}

/// Reads the table back, page by page.
pub fn regions(visit: &mut impl FnMut(Region)) {
    let end = TABLE.lock().segments * SEGMENT;
    for at in (0..end).step_by(PAGE as usize) {
        if let Some((_, r)) = find(at) {
            let (rights, to) = hash::meaning(r);
            visit(Region { start: Vaddr(at), len: PAGE, to: Vaddr(to), rights });
        }
    }
}

/// Shows this CPU the window's segment.
pub fn alias_begin() {
    load_segment(hash::segment(ALIAS.0), ALIAS_SLB);
}

/// Hides it again.
pub fn alias_end() {
    // RB: segment, with its class and size 0.
    // SAFETY: forgets one segment, which nobody uses any more.
    unsafe {
        asm!("isync", "slbie {}", "isync", in(reg) ALIAS.0, options(nostack, preserves_flags));
    }
}

/// Puts the window onto a page; where it lies.
pub fn alias_map(page: Vaddr) -> Vaddr {
    enter(ALIAS.0, page.0, Rights::ReadWrite).expect("the hash table has room for one page");
    ALIAS
}

/// Takes the window away.
pub fn alias_unmap() {
    unmap(ALIAS, PAGE).expect("the window was mapped");
}
