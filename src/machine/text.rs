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

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::asm;
use core::cell::Cell;

use super::lock::{Mutex, briefly};
use super::memory::{self, Pages};
use super::mmu::Alias;
use super::spr::timebase;
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::mmu::Rights;
use crate::mmu::radix::PAGE;
use crate::patch::engine::{self, CodeMem, Refusal};
use crate::patch::journal::{Entry, Journal, Kind, Label, Why};
use crate::patch::plan::{Batch, Change, Changes, TargetEdit};
use crate::slack;

/// Records that the journal keeps.
const JOURNAL_ENTRIES: usize = 128;

/// A range of addresses, end not included.
type Range = (Vaddr, Vaddr);

/// Text in memory; written through an alias, for where it runs it is read-only.
#[derive(Default)]
struct LiveText {
    /// Where instructions may be changed.
    text: Vec<Range>,
    /// Where the data words of stubs, and constants, may be changed.
    targets: Vec<Range>,
}

struct Engine {
    /// Boxed, so that the engine is all zeros at the start and not part of the image.
    memory: Option<Box<LiveText>>,
    journal: Journal<JOURNAL_ENTRIES>,
}

impl Engine {
    /// Where it may write, and where it tells what it has written.
    fn parts(&mut self) -> (&mut LiveText, &mut Journal<JOURNAL_ENTRIES>) {
        (self.memory.get_or_insert_default(), &mut self.journal)
    }
}

static ENGINE: Mutex<Engine> = Mutex::new(Engine { memory: None, journal: Journal::new() });

fn contains(ranges: &[Range], at: Vaddr, len: i64) -> bool {
    ranges.iter().any(|&(start, end)| at >= start && at.offset(len) <= end)
}

/// Text while it is being changed.
struct Writable<'a> {
    memory: &'a LiveText,
    alias: &'a mut Alias,
    /// The range that was last asked for: where it begins, and its length.
    range: Cell<(Vaddr, u64)>,
}

impl<'a> Writable<'a> {
    fn new(memory: &'a LiveText, alias: &'a mut Alias) -> Self {
        Self { memory, alias, range: Cell::new((Vaddr(0), 0)) }
    }

    /// True if `at` lies in registered text.
    #[inline]
    fn is_text(&self, at: Vaddr) -> bool {
        let (start, len) = self.range.get();
        at.0.wrapping_sub(start.0) < len || self.turn_to(at)
    }

    /// Turns to the range with `at`, if there is one.
    #[cold]
    fn turn_to(&self, at: Vaddr) -> bool {
        let found = self.memory.text.iter().find(|(start, end)| (*start..*end).contains(&at));
        let Some(&(start, end)) = found else { return false };
        self.range.set((start, end.since(start).cast_unsigned()));
        true
    }
}

impl CodeMem for Writable<'_> {
    #[inline]
    fn read(&self, at: Vaddr) -> Option<Insn> {
        if !self.is_text(at) {
            return None;
        }
        let word: u32;
        // SAFETY: text that is registered: its owner keeps it mapped until it is
        // withdrawn, which needs the lock that is held here. Ranges are whole
        // words; one that is not aligned can be loaded, too.
        unsafe {
            asm!("lwz {}, 0({})", out(reg) word, in(reg_nonzero) at.0,
                options(readonly, nostack, preserves_flags));
        }
        Some(Insn(word))
    }

    fn write(&mut self, words: &(impl Changes + ?Sized)) {
        let mut page = Vaddr(u64::MAX); // nothing lies less than a page above it
        let mut distance = 0; // from there to its window
        words.each(|change| {
            let at = change.at();
            if at.0.wrapping_sub(page.0) >= PAGE {
                assert!(self.is_text(at), "no text there");
                page = Vaddr(at.0 & !(PAGE - 1));
                distance = self.alias.open(page).since(page);
            }
            // SAFETY: a word in the window of a page that has registered text,
            // which shares its pages with nothing else; the only writer holds the
            // lock. Words of live text are of the patch class, which other CPUs
            // may fetch while they change (Book II, "Concurrent Modification and
            // Execution"). dcbst writes a block back, whose contents stay.
            unsafe {
                asm!("stwx {}, {at}, {distance}", "dcbst {at}, {distance}",
                    in(reg) change.write().0, at = in(reg_nonzero) at.0,
                    distance = in(reg) distance, options(nostack, preserves_flags));
            }
        });
    }

    fn sync(&mut self) {
        // SAFETY: a barrier.
        unsafe { asm!("sync", options(nostack, preserves_flags)) };
    }

    #[inline]
    fn invalidate(&mut self, at: Vaddr) {
        // SAFETY: forgets cached copies of a block.
        unsafe { asm!("icbi 0, {}", in(reg) at.0, options(nostack, preserves_flags)) };
    }

    fn finish(&mut self) {
        // SAFETY: barriers.
        unsafe { asm!("sync", "isync", options(nostack, preserves_flags)) };
    }

    fn read_data(&self, at: Vaddr) -> Option<u64> {
        if !contains(&self.memory.targets, at, 8) {
            return None;
        }
        memory::read_u64(at)
    }

    fn write_data(&mut self, at: Vaddr, value: u64) {
        assert!(contains(&self.memory.targets, at, 8) && at.is_aligned(8));
        let page = Vaddr(at.0 & !(PAGE - 1));
        let to = self.alias.open(page).offset(at.since(page));
        // SAFETY: a registered target word through its writable alias, aligned:
        // one `std`, so a stub that loads it finds the old target or the new one.
        unsafe { (to.0 as *mut u64).write_volatile(value) };
    }
}

/// Makes a filled image executable: from now on its text belongs to the engine.
///
/// `constants` are the pages that may only be read, the stubs' targets among them; of a
/// live patch those change too that depend on modules which come later.
pub fn publish(who: &str, pages: &Pages, text: Range, constants: Range) {
    let len = text.1.since(text.0) as u64;
    memory::publish_code(text.0, len);
    for (range, rights) in [(text, Rights::ReadExecute), (constants, Rights::Read)] {
        if range.0 < range.1 {
            pages.protect(range, rights);
        }
    }
    let mut engine = ENGINE.lock();
    let (memory, journal) = engine.parts();
    slack::push(&mut memory.text, text);
    slack::push(&mut memory.targets, constants);
    if len > 0 {
        journal.push(Entry {
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

/// Lets the engine change the kernel's own call sites too.
pub fn adopt_kernel() {
    let mut engine = ENGINE.lock();
    let (memory, _) = engine.parts();
    for range in [super::boot::text(), super::boot::stubs()] {
        slack::push(&mut memory.text, range);
    }
}

/// Lets the engine change doublewords of the kernel's own that stubs load.
pub fn adopt_targets(targets: Range) {
    let mut engine = ENGINE.lock();
    let (memory, _) = engine.parts();
    slack::push(&mut memory.targets, targets);
}

/// Forgets text that nobody runs any more, before its memory is given back.
pub fn withdraw(text: Range, targets: Range) {
    let mut engine = ENGINE.lock();
    let (memory, _) = engine.parts();
    memory.text.retain(|range| *range != text);
    slack::give_back(&mut memory.text);
    memory.targets.retain(|range| *range != targets);
    slack::give_back(&mut memory.targets);
}

/// Forgets the part of `text` before `end`, which nobody runs any more.
pub fn withdraw_front(text: Range, end: Vaddr) {
    let mut engine = ENGINE.lock();
    let (memory, _) = engine.parts();
    if let Some(range) = memory.text.iter_mut().find(|range| **range == text) {
        range.0 = end;
    }
}

/// Runs `work` while the engine and its window are locked.
pub fn while_locked(work: &mut dyn FnMut()) {
    let _engine = ENGINE.lock();
    super::mmu::while_locked(work);
}

/// True if instructions at `at` may run: the kernel's text, or registered text.
pub fn is_executable(at: Vaddr) -> bool {
    // A fault may be reported while the engine works: then nothing is known.
    let registered = || {
        let engine = briefly(&ENGINE);
        let memory = engine.as_ref().and_then(|engine| engine.memory.as_ref());
        memory.is_some_and(|memory| contains(&memory.text, at, 4))
    };
    at.is_aligned(4) && (super::boot::is_code(at) || registered())
}

/// Applies a batch whole, or refuses it and changes nothing; the words changed.
pub fn apply<C: Change>(batch: Batch<C>) -> Result<u64, Refusal> {
    let mut engine = ENGINE.lock();
    let (memory, journal) = engine.parts();
    Alias::with(|alias| {
        engine::apply(&mut Writable::new(memory, alias), journal, timebase(), batch)
    })
}

/// Applies a batch and, with it, many more words: all or nothing.
pub fn apply_all(batch: Batch, more: &impl Changes) -> Result<u64, Refusal> {
    let mut engine = ENGINE.lock();
    let (memory, journal) = engine.parts();
    Alias::with(|alias| {
        engine::apply_all(&mut Writable::new(memory, alias), journal, timebase(), batch, more)
    })
}

/// Whether [`apply`] would take the batch, and [`retarget`] the changes; nothing
/// is changed.
pub fn check<C: Change>(batch: Batch<C>, changes: &[TargetEdit]) -> Result<(), Refusal> {
    let mut engine = ENGINE.lock();
    let (memory, _) = engine.parts();
    Alias::with(|alias| {
        let writable = Writable::new(memory, alias);
        engine::check(&writable, batch)?;
        engine::check_targets(&writable, changes)
    })
}

/// Aims stubs elsewhere through their data words: all or none.
pub fn retarget(who: &str, why: Why, changes: &[TargetEdit]) -> Result<(), Refusal> {
    let mut engine = ENGINE.lock();
    let (memory, journal) = engine.parts();
    Alias::with(|alias| {
        let mut writable = Writable::new(memory, alias);
        engine::retarget(&mut writable, journal, timebase(), (who, why), changes)
    })
}

/// The journal: number of each entry since boot, and the entry; oldest first.
pub fn journal() -> Vec<(u64, Entry)> {
    ENGINE.lock().journal.entries().map(|(number, entry)| (number, *entry)).collect()
}
