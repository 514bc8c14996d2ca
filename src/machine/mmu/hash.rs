//! The hash table through hypercalls, and the segments that this CPU knows.
//!
//! ```text
//!  SLB entry k:  segment k (256 MiB) -> its VSID    bolted, all that memory needs
//!  SLB entry 31: the window's segment                 only while this CPU patches
//! ```
//!
//! The hypervisor makes all CPUs forget what it changes. It chooses where an entry
//! stands; who changes one later looks for it in both groups. A group that is full
//! leaves the other; the table is large enough that neither fills up before memory
//! does (`mmu::hash`, tests). Should both be full, nothing is mapped, and whoever
//! asked is told so.
//!
//! # References
//! LoPAPR, "H_ENTER", "H_PROTECT", "H_REMOVE", "H_READ"; Power ISA Book III-S,
//! "SLB Management Instructions".

use core::arch::asm;

use alloc::vec::Vec;

use super::{MapError, Region, Translation};
use crate::addr::Vaddr;
use crate::machine::lock::Mutex;
use crate::machine::platform::{self, HashTable, MachineFacts};
use crate::mmu::Rights;
use crate::mmu::hash::{self, GROUP, SEGMENT};
use crate::mmu::radix::{Grain, PAGE};

/// The window: the first page of a segment above all memory.
const WINDOW: Vaddr = Vaddr(0x100 * SEGMENT);
/// The SLB entry for it: the last that POWER8 has.
const WINDOW_SLB: u64 = 31;

#[derive(Clone, Copy)]
struct Table {
    /// Who keeps it.
    keeper: Option<&'static dyn HashTable>,
    /// Groups of the hash table.
    groups: u64,
    /// Segments that memory needs.
    segments: u64,
    /// The entry of the window, while it is on a page.
    window: Option<u64>,
}

static TABLE: Mutex<Table> =
    Mutex::new(Table { keeper: None, groups: 0, segments: 0, window: None });

/// Learns how large the table is and how much memory there is to reach.
pub fn init(facts: &MachineFacts) -> &'static dyn Translation {
    let mut table = TABLE.lock();
    table.keeper = platform::get().and_then(platform::Platform::hash_table);
    table.groups = 1 << facts.hash_table_bits.saturating_sub(7);
    let end = crate::machine::memory::end().0;
    table.segments = end.div_ceil(SEGMENT).min(WINDOW_SLB);
    &Hash
}

fn load_segment(address: u64, index: u64) {
    let rs = hash::vsid(address) << 12; // 256 MiB, 4 KiB pages, keys 0
    let rb = address & !(SEGMENT - 1) | 1 << 27 | index;
    // SAFETY: adds a translation for a segment; what may be done there is up to
    // the hash table.
    unsafe {
        asm!("slbmte {rs}, {rb}", "isync", rs = in(reg) rs, rb = in(reg) rb,
            options(nostack, preserves_flags));
    }
}

/// The pages of a range.
fn pages(start: Vaddr, len: u64) -> impl Iterator<Item = u64> {
    (start.0..start.0 + len).step_by(PAGE as usize)
}

/// Who keeps the table, and its groups.
fn kept() -> (&'static dyn HashTable, u64) {
    let table = TABLE.lock();
    (table.keeper.expect("hash tables are chosen only where somebody keeps one"), table.groups)
}

/// Enters a page; the entry's number.
fn enter(at: u64, to: u64, rights: Rights) -> Result<u64, MapError> {
    let (keeper, groups) = kept();
    let entered = [false, true].into_iter().find_map(|second| {
        let (v, r) = hash::entry(at, to, rights, second);
        keeper.enter(hash::slot(at, groups, second), v, r)
    });
    entered.ok_or(MapError { at: Vaddr(at) })
}

/// The number of a page's entry, and the entry.
fn find(at: u64) -> Result<(u64, (u64, u64)), MapError> {
    let (keeper, groups) = kept();
    let in_four = |first: u64| {
        let entries = keeper.read_four(first)?;
        let slots = (first..).zip(entries);
        slots.into_iter().find(|(slot, (v, _))| hash::address(*v, *slot, groups) == Some(at))
    };
    [false, true]
        .into_iter()
        .map(|second| hash::slot(at, groups, second))
        .flat_map(|group| [group, group + GROUP / 2])
        .find_map(in_four)
        .ok_or(MapError { at: Vaddr(at) })
}

/// What the table says of a page.
fn lookup(at: u64) -> Option<Region> {
    let (_, entry) = find(at).ok()?;
    let (rights, to) = hash::meaning(entry);
    Some(Region { start: Vaddr(at), len: PAGE, to: Vaddr(to), rights })
}

fn remove(at: u64) -> Result<(), MapError> {
    if kept().0.remove(find(at)?.0) { Ok(()) } else { Err(MapError { at: Vaddr(at) }) }
}

/// The table, as [`super`] uses it.
struct Hash;

impl Translation for Hash {
    fn load(&self) {
        let segments = TABLE.lock().segments;
        // SAFETY: translation is off, or what runs is mapped by entry 0 and up,
        // which are loaded before anything else is fetched from them.
        unsafe { asm!("isync", "slbia", "isync", options(nostack, preserves_flags)) };
        for segment in 0..segments {
            load_segment(segment * SEGMENT, segment);
        }
    }

    fn map(&self, start: Vaddr, len: u64, rights: Rights, _: Grain) -> Result<(), MapError> {
        pages(start, len).try_for_each(|at| match enter(at, at, rights) {
            Ok(_) => Ok(()),
            Err(full) => {
                for mapped in pages(start, at - start.0) {
                    remove(mapped).expect("a page that was entered just now is there");
                }
                Err(full)
            }
        })
    }

    fn protect(&self, start: Vaddr, len: u64, rights: Rights) -> Result<(), MapError> {
        pages(start, len).try_for_each(|at| {
            let done = kept().0.protect(find(at)?.0, hash::protection(rights));
            if done { Ok(()) } else { Err(MapError { at: Vaddr(at) }) }
        })
    }

    fn unmap(&self, start: Vaddr, len: u64) -> Result<(), MapError> {
        pages(start, len).try_for_each(remove)
    }

    /// Reads the whole table back, four entries a call: what the processor finds,
    /// also where nobody meant it to.
    #[optimize(size)]
    fn regions(&self, visit: &mut dyn FnMut(Region)) {
        let (keeper, groups) = kept();
        let mut found: Vec<(u64, (u64, u64))> = Vec::new();
        // Room first: a heap that grows meanwhile would change the table.
        loop {
            let mut count = 0;
            let room = found.capacity();
            for first in (0..groups * GROUP).step_by(4) {
                let entries = keeper.read_four(first).into_iter().flatten();
                for (slot, entry) in (first..).zip(entries) {
                    let Some(at) = hash::address(entry.0, slot, groups) else { continue };
                    count += 1;
                    if count <= room {
                        found.push((at, entry));
                    }
                }
            }
            if count <= room {
                break;
            }
            found = Vec::with_capacity(2 * count);
        }
        found.sort_unstable();
        for (at, entry) in found {
            let (rights, to) = hash::meaning(entry);
            visit(Region { start: Vaddr(at), len: PAGE, to: Vaddr(to), rights });
        }
    }

    fn rights_at(&self, at: Vaddr) -> Option<Rights> {
        lookup(at.0 & !(PAGE - 1))?.rights
    }

    fn window(&self) -> Vaddr {
        WINDOW
    }

    fn window_leads(&self) -> Option<Region> {
        lookup(WINDOW.0)
    }

    fn while_locked(&self, work: &mut dyn FnMut()) {
        let _table = TABLE.lock();
        work();
    }

    fn show_windows(&self, shown: bool) {
        if shown {
            return load_segment(WINDOW.0, WINDOW_SLB);
        }
        // RB: segment, with its class and size 0.
        // SAFETY: forgets one segment, which nobody uses any more.
        unsafe {
            asm!("isync", "slbie {}", "isync", in(reg) WINDOW.0, options(nostack, preserves_flags));
        }
    }

    fn windows(&self) -> u64 {
        1
    }

    fn aim_window(&self, _: u64, page: Vaddr) -> Vaddr {
        let entry = enter(WINDOW.0, page.0, Rights::ReadWrite);
        TABLE.lock().window = Some(entry.expect("the hash table has room for one page"));
        WINDOW
    }

    fn clear_windows(&self, _: u64) {
        let entry = TABLE.lock().window.take().expect("the window is on a page");
        assert!(kept().0.remove(entry), "the window's entry is where it was put");
    }
}
