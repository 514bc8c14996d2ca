//! The one writer: how a batch becomes live text.
//!
//! ```text
//!   validate   every word of every phase: aligned, readable, as expected
//!   --------   until here nothing has changed, and a refusal ends it
//!   per phase  store; dcbst         each word, through the writable alias, and
//!                                   its line leaves the data cache
//!              sync                 before
//!              icbi                 old copies go (the executing address)
//!              sync; isync          everywhere, and what this CPU prefetched
//! ```
//!
//! The machine's part is behind [`CodeMem`]; `machine/text.rs` implements it with
//! instructions, the tests with a model of the caches (`patch/model.rs`), since
//! QEMU notices modified code by itself and would let every omission pass.
//!
//! # Invariants
//! - All words are checked before one is written. Between the two nobody else
//!   writes text: the caller holds the engine's lock (`&mut M`).
//! - A phase is flushed before the next one is stored, so whoever sees a site's
//!   new branch also fetches the new words of the stub behind it.
//! - Other CPUs may run an old word until they next synchronise their context, so
//!   an old path stays valid: nothing is freed here.
//!
//! # References
//! Power ISA Book II, "Instruction Storage" and "Concurrent Modification and
//! Execution of Instructions".
//!
//! Linux does the whole sequence for each word. One a phase is enough, and is
//! most of the difference in the cost of switching ten thousand sites. Where two
//! words share a line it is flushed twice: functions are longer than a line as a
//! rule, and to look for the exceptions would cost more than they do.

use core::fmt;

use super::journal::{Entry, Journal, Kind, Label, Why};
use super::plan::{Batch, Change, Changes, Edit, Step, TargetEdit};
use crate::addr::Vaddr;
use crate::isa::Insn;

/// Bytes that one `dcbst` and one `icbi` act on: the cache line of POWER8 and
/// later.
pub const LINE_BYTES: u64 = 128;

/// Executable memory, with the steps that a change of it consists of.
///
/// All addresses are those at which the text is executed; where it is written
/// through another mapping is the implementation's business.
pub trait CodeMem {
    /// The word at `at`, or `None` if it cannot be read, or is no text that the
    /// kernel may change. Must not fault.
    fn read(&self, at: Vaddr) -> Option<Insn>;

    /// Stores each word with one aligned 4-byte store, and begins to move its
    /// line from the data cache to memory: `dcbst`, on the address that was
    /// written through. The words have been read before.
    fn write(&mut self, words: &(impl Changes + ?Sized));

    /// Completes what `write` began: `sync`.
    fn sync(&mut self);

    /// Drops the line with `at` from the instruction caches: `icbi`, on the
    /// address that is executed.
    fn invalidate(&mut self, at: Vaddr);

    /// Completes what `invalidate` began, here as well: `sync; isync`.
    fn finish(&mut self);

    /// The 8-byte data word at `at`, or `None` as for [`CodeMem::read`].
    fn read_data(&self, at: Vaddr) -> Option<u64>;

    /// Stores a data word with one aligned 8-byte store.
    fn write_data(&mut self, at: Vaddr, value: u64);
}

/// Why nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The address is no multiple of the word's size.
    Unaligned {
        /// Where.
        at: Vaddr,
    },
    /// No text of the kernel's, or not readable.
    Unreadable {
        /// Where.
        at: Vaddr,
    },
    /// The word there is another than the plan says.
    Mismatch {
        /// Where.
        at: Vaddr,
        /// The plan.
        expected: Insn,
        /// The truth.
        found: Insn,
    },
    /// The data word there is another than the plan says.
    DataMismatch {
        /// Where.
        at: Vaddr,
        /// The plan.
        expected: u64,
        /// The truth.
        found: u64,
    },
    /// The batch changes one word twice.
    Twice {
        /// Where.
        at: Vaddr,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unaligned { at } => write!(f, "{at}: not aligned, nothing was changed"),
            Self::Unreadable { at } => {
                write!(f, "{at}: not readable kernel text, nothing was changed")
            }
            Self::Mismatch { at, expected, found } => {
                write!(f, "{at}: expected {expected}, found {found}, nothing was changed")
            }
            Self::DataMismatch { at, expected, found } => {
                write!(f, "{at}: expected {expected:#x}, found {found:#x}, nothing was changed")
            }
            Self::Twice { at } => write!(f, "{at}: planned twice, nothing was changed"),
        }
    }
}

/// Applies a batch whole, or refuses it and leaves the text as it was.
///
/// `time` is the timebase for the journal, which gets one entry unless the batch
/// is empty. Returns the number of words changed.
pub fn apply<M: CodeMem, C: Change, const N: usize>(
    mem: &mut M,
    journal: &mut Journal<N>,
    time: u64,
    batch: Batch<C>,
) -> Result<u64, Refusal> {
    const NO_MORE: [Step<Edit>; 0] = [];
    apply_all(mem, journal, time, batch, &NO_MORE[..])
}

/// As [`apply`], with many more words that do not depend on one another nor on
/// the batch's: they are one more phase, and all is applied or nothing.
pub fn apply_all<M: CodeMem, C: Change, const N: usize>(
    mem: &mut M,
    journal: &mut Journal<N>,
    time: u64,
    mut batch: Batch<C>,
    more: &(impl Changes + ?Sized),
) -> Result<u64, Refusal> {
    check_all(mem, &mut batch)?;
    if let Some(both) = batch.changes().find(|change| more.touches(change.at())) {
        return Err(Refusal::Twice { at: both.at() });
    }
    more.try_each(|edit| expected(mem, edit))?;
    write(mem, more);
    batch.phases().for_each(|phase| write(mem, phase));
    let count = (batch.len() + more.count()) as u64;
    let spans = [batch.span(), more.span()];
    let first = spans.iter().flatten().map(|span| span.0).min();
    let last = spans.iter().flatten().map(|span| span.1).max();
    if let (Some(first), Some(last)) = (first, last) {
        let (who, why) = (batch.who(), batch.why());
        journal.push(Entry { time, who, why, first, last, count, kind: Kind::Text });
    }
    Ok(count)
}

/// Makes changes that have been checked, and has every CPU fetch them.
fn write<M: CodeMem>(mem: &mut M, phase: &(impl Changes + ?Sized)) {
    if phase.count() == 0 {
        return;
    }
    mem.write(phase);
    mem.sync();
    phase.each(|edit| mem.invalidate(edit.at()));
    mem.finish();
}

/// Whether [`apply`] would take this batch now; nothing is changed.
pub fn check<M: CodeMem, C: Change>(mem: &M, mut batch: Batch<C>) -> Result<(), Refusal> {
    check_all(mem, &mut batch)
}

/// Swings the data words of live stubs to other targets: all or none, and one
/// entry in the journal, unless there are no changes.
///
/// Data is not fetched, so no instruction cache is concerned; the `sync` makes
/// the new targets visible before anything that the caller does next.
pub fn retarget<M: CodeMem, const N: usize>(
    mem: &mut M,
    journal: &mut Journal<N>,
    time: u64,
    (who, why): (&str, Why),
    changes: &[TargetEdit],
) -> Result<(), Refusal> {
    check_targets(mem, changes)?;
    for change in changes {
        mem.write_data(change.at, change.write);
    }
    mem.sync();
    let addresses = || changes.iter().map(|change| change.at);
    if let (Some(first), Some(last)) = (addresses().min(), addresses().max()) {
        let (who, count) = (Label::new(who), changes.len() as u64);
        journal.push(Entry { time, who, why, first, last, count, kind: Kind::Target });
    }
    Ok(())
}

/// Whether [`retarget`] would make these changes now; nothing is changed.
pub fn check_targets<M: CodeMem>(mem: &M, changes: &[TargetEdit]) -> Result<(), Refusal> {
    for &TargetEdit { at, expect, .. } in changes {
        if !at.is_aligned(8) {
            return Err(Refusal::Unaligned { at });
        }
        let found = mem.read_data(at).ok_or(Refusal::Unreadable { at })?;
        if found != expect {
            return Err(Refusal::DataMismatch { at, expected: expect, found });
        }
    }
    Ok(())
}

/// Sorts a batch, and checks everything that can be wrong with it.
fn check_all<M: CodeMem, C: Change>(mem: &M, batch: &mut Batch<C>) -> Result<(), Refusal> {
    if batch.is_empty() {
        return Ok(());
    }
    batch.sort();
    if let Some(at) = batch.twice() {
        return Err(Refusal::Twice { at });
    }
    for change in batch.changes() {
        if !change.at().is_aligned(4) {
            return Err(Refusal::Unaligned { at: change.at() });
        }
        expected(mem, change)?;
    }
    Ok(())
}

/// Whether the word is there that a change expects.
#[inline]
fn expected<M: CodeMem>(mem: &M, edit: impl Change) -> Result<(), Refusal> {
    match mem.read(edit.at()) {
        Some(found) if found == edit.expect() => Ok(()),
        found => Err(unexpected(edit.at(), edit.expect(), found)),
    }
}

#[cold]
fn unexpected(at: Vaddr, expected: Insn, found: Option<Insn>) -> Refusal {
    match found {
        None => Refusal::Unreadable { at },
        Some(found) => Refusal::Mismatch { at, expected, found },
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Model, Step};
    use super::super::plan::{Edit, TargetEdit};
    use super::*;
    use crate::isa::patch_class::PatchClass;
    use std::vec::Vec;

    const NOP: PatchClass = PatchClass::NOP;

    /// Three lines of nops; branches between them are always in reach.
    fn nops() -> Model {
        Model::new((0..96).map(|word| (Vaddr(0x1000 + word * 4), Insn::NOP)))
    }

    fn bl(at: u64, to: u64) -> PatchClass {
        PatchClass::bl(Vaddr(at), Vaddr(to)).unwrap()
    }

    fn batch(edits: &[(u8, u64, PatchClass, PatchClass)]) -> Batch {
        let mut batch = Batch::new("test", Why::Test);
        for (phase, at, expect, write) in edits {
            batch.push(*phase, Edit::new(Vaddr(*at), *expect, *write));
        }
        batch
    }

    #[test]
    fn a_batch_is_written_flushed_and_journaled() {
        let (mut mem, mut journal) = (nops(), Journal::<4>::new());
        let new = bl(0x1104, 0x1000);
        let edits = batch(&[(0, 0x1104, NOP, new), (0, 0x1000, NOP, NOP), (0, 0x1084, NOP, NOP)]);
        assert_eq!(apply(&mut mem, &mut journal, 77, edits), Ok(3));
        assert_eq!(mem.execute(Vaddr(0x1104)), new.insn());
        let stored: Vec<_> = mem.stores.iter().map(|(at, _)| at.0).collect();
        assert_eq!(stored, [0x1000, 0x1084, 0x1104], "sorted within the phase");
        let lines: Vec<_> = mem.lines.iter().map(|(step, line)| (*step, line.0)).collect();
        let of = |step: Step| [0x1000, 0x1080, 0x1100].map(|line| (step, line));
        assert_eq!(lines, [of(Step::Clean), of(Step::Invalidate)].concat());
        let entry = *journal.entries().next().unwrap().1;
        assert_eq!((entry.time, entry.count, entry.kind), (77, 3, Kind::Text));
        assert_eq!((entry.first, entry.last), (Vaddr(0x1000), Vaddr(0x1104)));
    }

    /// Each barrier is needed: on a machine that ignores it, the old word stays.
    #[test]
    fn without_any_one_step_the_old_word_is_executed() {
        let new = bl(0x1004, 0x1100);
        let run = |mut mem: Model| {
            apply(&mut mem, &mut Journal::<1>::new(), 0, batch(&[(0, 0x1004, NOP, new)])).unwrap();
            mem.execute(Vaddr(0x1004))
        };
        assert_eq!(run(nops()), new.insn());
        for step in [Step::Clean, Step::Sync, Step::Invalidate, Step::Finish] {
            assert_eq!(run(nops().without(step)), Insn::NOP, "{step:?} made no difference");
        }
    }

    #[test]
    fn a_stub_is_flushed_before_the_site_that_leads_to_it() {
        let (stub, site) = (bl(0x1100, 0x1180 - 0x80), bl(0x1004, 0x1100));
        let run = |phase_of_site| {
            let mut mem = nops();
            let edits = [(0, 0x1100, NOP, stub), (phase_of_site, 0x1004, NOP, site)];
            apply(&mut mem, &mut Journal::<1>::new(), 0, batch(&edits)).unwrap();
            mem.too_early
        };
        assert_eq!(run(1), []);
        // The model does notice: in one phase the site, at the lower address, is
        // stored first, but a stub stored and not flushed counts as well.
        let mut mem = nops();
        mem.store(Vaddr(0x1100), stub.insn());
        mem.store(Vaddr(0x1004), site.insn());
        assert_eq!(mem.too_early, [Vaddr(0x1004)]);
    }

    #[test]
    fn a_mismatch_anywhere_refuses_everything() {
        let found = bl(0x1104, 0x1000);
        let word = |at: u64| {
            if at == 0x1104 { found.insn() } else { Insn::NOP }
        };
        for phase in [0, 1] {
            let mut mem = Model::new((0x1000..0x1180).step_by(4).map(|at| (Vaddr(at), word(at))));
            let mut journal = Journal::<1>::new();
            let edits = [(0, 0x1000, NOP, bl(0x1000, 0x1100)), (phase, 0x1104, NOP, NOP)];
            assert_eq!(
                apply(&mut mem, &mut journal, 0, batch(&edits)),
                Err(Refusal::Mismatch {
                    at: Vaddr(0x1104),
                    expected: Insn::NOP,
                    found: found.insn()
                })
            );
            assert!(mem.stores.is_empty() && mem.lines.is_empty());
            assert_eq!(journal.written(), 0);
        }
    }

    #[test]
    fn words_that_are_no_text_unaligned_or_named_twice_are_refused() {
        let refusal = |edits: &[_]| {
            let mut mem = nops();
            let refusal = apply(&mut mem, &mut Journal::<1>::new(), 0, batch(edits)).unwrap_err();
            assert!(mem.stores.is_empty());
            refusal
        };
        let at = Vaddr(0x1004);
        assert_eq!(refusal(&[(0, 0x1180, NOP, NOP)]), Refusal::Unreadable { at: Vaddr(0x1180) });
        assert_eq!(refusal(&[(0, 0x1002, NOP, NOP)]), Refusal::Unaligned { at: Vaddr(0x1002) });
        let twice = [(0, 0x1004, NOP, NOP), (0, 0x1000, NOP, NOP), (0, 0x1004, NOP, NOP)];
        assert_eq!(refusal(&twice), Refusal::Twice { at });
        let twice = [(0, 0x1004, NOP, NOP), (0, 0x1000, NOP, NOP), (3, 0x1004, NOP, NOP)];
        assert_eq!(refusal(&twice), Refusal::Twice { at });
    }

    #[test]
    fn an_empty_batch_does_nothing_and_is_not_journaled() {
        let (mut mem, mut journal) = (nops(), Journal::<1>::new());
        assert_eq!(apply(&mut mem, &mut journal, 0, batch(&[])), Ok(0));
        assert_eq!((journal.written(), mem.lines.len()), (0, 0));
    }

    #[test]
    fn a_refusal_says_where_what_and_that_nothing_happened() {
        let refusal =
            Refusal::Mismatch { at: Vaddr(0x1004), expected: Insn::NOP, found: Insn(0x4800_0001) };
        assert_eq!(
            std::format!("{refusal}"),
            "0x1004: expected 60000000, found 48000001, nothing was changed"
        );
    }

    #[test]
    fn a_data_word_is_swapped_only_if_aligned_and_as_expected() {
        let mut mem = nops().with_data(Vaddr(0x2008), 5);
        let mut journal = Journal::<2>::new();
        let mut swap = |at, expect| {
            let change = TargetEdit { at: Vaddr(at), expect, write: 9 };
            retarget(&mut mem, &mut journal, 1, ("demo", Why::PatchOn), &[change])
        };
        assert_eq!(swap(0x200c, 5), Err(Refusal::Unaligned { at: Vaddr(0x200c) }));
        assert_eq!(swap(0x2010, 5), Err(Refusal::Unreadable { at: Vaddr(0x2010) }));
        assert_eq!(
            swap(0x2008, 6),
            Err(Refusal::DataMismatch { at: Vaddr(0x2008), expected: 6, found: 5 })
        );
        assert_eq!(swap(0x2008, 5), Ok(()));
        assert_eq!(mem.read_data(Vaddr(0x2008)), Some(9));
        assert_eq!(journal.written(), 1);
        assert_eq!(journal.entries().next().unwrap().1.kind, Kind::Target);
    }

    #[test]
    fn data_words_are_swapped_all_or_none_with_one_record() {
        let mut mem = nops().with_data(Vaddr(0x2008), 5).with_data(Vaddr(0x2010), 6);
        let mut journal = Journal::<2>::new();
        let edit = |at, expect| TargetEdit { at: Vaddr(at), expect, write: 9 };
        let mut swap = |changes: &[TargetEdit]| {
            retarget(&mut mem, &mut journal, 1, ("demo", Why::PatchOn), changes)
        };
        let wrong = Refusal::DataMismatch { at: Vaddr(0x2010), expected: 7, found: 6 };
        assert_eq!(swap(&[edit(0x2008, 5), edit(0x2010, 7)]), Err(wrong));
        assert_eq!(swap(&[]), Ok(()));
        assert_eq!(swap(&[edit(0x2010, 6), edit(0x2008, 5)]), Ok(()));
        let entry = *journal.entries().next().unwrap().1;
        assert_eq!((entry.first, entry.last, entry.count), (Vaddr(0x2008), Vaddr(0x2010), 2));
        assert_eq!(journal.written(), 1);
    }

    #[test]
    fn a_check_says_what_applying_would_say_and_changes_nothing() {
        let mem = nops();
        let new = bl(0x1104, 0x1000);
        assert_eq!(check(&mem, batch(&[(0, 0x1104, NOP, new)])), Ok(()));
        let (at, expected, found) = (Vaddr(0x1104), new.insn(), Insn::NOP);
        let refusal = Refusal::Mismatch { at, expected, found };
        assert_eq!(check(&mem, batch(&[(0, 0x1104, new, NOP)])), Err(refusal));
        assert!(mem.stores.is_empty());
    }
}
