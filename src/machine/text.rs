//! The one writer of executable memory: `patch::engine` on the real machine.
//!
//! Nobody else stores into text. Module images are filled while nothing in them
//! runs, then handed to [`publish`]; from there on only [`apply`] and
//! [`retarget`] change them, after comparing what is there with what the plan
//! expects.
//!
//! # Invariants
//! - Only registered ranges are text: module text and redirect islands.
//! - One batch at a time, under the lock of [`ENGINE`].
//!
//! Reference: Power ISA Book II, "Instruction Storage".

use alloc::vec::Vec;
use core::arch::asm;

use super::lock::Mutex;
use super::memory;
use super::spr::timebase;
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::patch::engine::{self, CodeMem, Refusal};
use crate::patch::journal::{Entry, Journal, Kind, Label, Why};
use crate::patch::plan::{Batch, Change, TargetEdit};

/// Records that the journal keeps.
const JOURNAL_ENTRIES: usize = 128;

/// A range of addresses, end not included.
type Range = (Vaddr, Vaddr);

/// Text in memory, written through the address at which it runs.
struct LiveText {
    /// Where instructions may be changed.
    text: Vec<Range>,
    /// Where the data words of stubs may be changed.
    targets: Vec<Range>,
}

struct Engine {
    memory: LiveText,
    journal: Journal<JOURNAL_ENTRIES>,
}

static ENGINE: Mutex<Engine> = Mutex::new(Engine {
    memory: LiveText { text: Vec::new(), targets: Vec::new() },
    journal: Journal::new(),
});

fn contains(ranges: &[Range], at: Vaddr, len: i64) -> bool {
    ranges.iter().any(|&(start, end)| at >= start && at.offset(len) <= end)
}

impl CodeMem for LiveText {
    fn read(&self, at: Vaddr) -> Option<Insn> {
        if !contains(&self.text, at, 4) {
            return None;
        }
        memory::read_u32(at).map(Insn)
    }

    fn write(&mut self, at: Vaddr, insn: Insn) {
        assert!(contains(&self.text, at, 4) && at.is_aligned(4));
        // SAFETY: registered text, aligned, and the only writer holds the lock.
        // Words of live text are of the patch class, which other CPUs may fetch
        // while they change (Book II, "Concurrent Modification and Execution").
        unsafe { (at.0 as *mut u32).write_volatile(insn.0) };
    }

    fn clean(&mut self, at: Vaddr) {
        // SAFETY: writes a cache block back; contents stay.
        unsafe { asm!("dcbst 0, {}", in(reg) at.0, options(nostack, preserves_flags)) };
    }

    fn sync(&mut self) {
        // SAFETY: a barrier.
        unsafe { asm!("sync", options(nostack, preserves_flags)) };
    }

    fn invalidate(&mut self, at: Vaddr) {
        // SAFETY: forgets cached copies of a block.
        unsafe { asm!("icbi 0, {}", in(reg) at.0, options(nostack, preserves_flags)) };
    }

    fn finish(&mut self) {
        // SAFETY: barriers.
        unsafe { asm!("sync", "isync", options(nostack, preserves_flags)) };
    }

    fn read_data(&self, at: Vaddr) -> Option<u64> {
        if !contains(&self.targets, at, 8) {
            return None;
        }
        memory::read_u64(at)
    }

    fn write_data(&mut self, at: Vaddr, value: u64) {
        assert!(contains(&self.targets, at, 8) && at.is_aligned(8));
        // SAFETY: a registered target word, aligned: one `std`, so that a stub
        // which loads it finds the old target or the new one.
        unsafe { (at.0 as *mut u64).write_volatile(value) };
    }
}

/// Makes a filled image executable: from now on its text belongs to the engine.
pub fn publish(who: &str, text: Range, targets: Range) {
    let len = text.1.since(text.0) as u64;
    memory::publish_code(text.0, len);
    let mut engine = ENGINE.lock();
    // No slack: `withdraw` gives back what this takes.
    engine.memory.text.reserve_exact(1);
    engine.memory.text.push(text);
    engine.memory.targets.reserve_exact(1);
    engine.memory.targets.push(targets);
    if len > 0 {
        engine.journal.push(Entry {
            time: timebase(),
            who: Label::new(who),
            why: Why::Load,
            first: text.0,
            last: text.1.offset(-4),
            count: len / 4,
            kind: Kind::Text,
        });
    }
}

/// Forgets text that nobody runs any more, before its memory is given back.
pub fn withdraw(text: Range, targets: Range) {
    let mut engine = ENGINE.lock();
    engine.memory.text.retain(|range| *range != text);
    engine.memory.text.shrink_to_fit();
    engine.memory.targets.retain(|range| *range != targets);
    engine.memory.targets.shrink_to_fit();
}

/// True if instructions at `at` may run: the kernel's text, or registered text.
pub fn is_executable(at: Vaddr) -> bool {
    let kernel = super::boot::text();
    // A fault may be reported while the engine works: then nothing is known.
    let registered =
        || ENGINE.try_lock().is_some_and(|engine| contains(&engine.memory.text, at, 4));
    at.is_aligned(4) && ((kernel.0..kernel.1).contains(&at) || registered())
}

/// Applies a batch whole, or refuses it and changes nothing; the words changed.
pub fn apply<C: Change>(batch: Batch<C>) -> Result<u64, Refusal> {
    let Engine { memory, journal } = &mut *ENGINE.lock();
    engine::apply(memory, journal, timebase(), batch)
}

/// Aims a stub elsewhere through its data word.
pub fn retarget(who: &str, why: Why, change: TargetEdit) -> Result<(), Refusal> {
    let Engine { memory, journal } = &mut *ENGINE.lock();
    engine::retarget(memory, journal, timebase(), (who, why), change)
}

/// The journal: number of each entry since boot, and the entry; oldest first.
pub fn journal() -> Vec<(u64, Entry)> {
    ENGINE.lock().journal.entries().map(|(number, entry)| (number, *entry)).collect()
}
