//! Edits and batches: a change of text, written down before it is made.
//!
//! ```text
//!   Batch { who: "trace on", why: TraceOn }
//!     phase 0   stub words      {at, expect, write} ...   flushed before
//!     phase 1   site words      {at, expect, write} ...   this is written
//! ```
//!
//! `state.rs` knows which word belongs into which phase, `engine.rs` applies.
//!
//! # Invariants
//! - [`Edit`] is for text that CPUs may be executing: old and new word are of the
//!   ISA's patch class, and the fields are private so that nothing else gets in.
//! - [`ColdEdit`] takes any word, and a batch of them needs a [`NotLive`]: a
//!   statement by who prepares the text, with the range it holds for.
//! - A batch names no word twice: the engine checks all words before it writes
//!   one, so a second change of the same word would be checked against the wrong
//!   state.
//!
//! # References
//! Power ISA Book II, "Concurrent Modification and Execution of Instructions".

use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;

use super::journal::{Label, Why};
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::patch_class::PatchClass;

/// A change of one word, whatever words it may contain.
pub trait Change: Copy {
    /// Address of the word, where it is executed.
    fn at(&self) -> Vaddr;
    /// What must be there now.
    fn expect(&self) -> Insn;
    /// What shall be there.
    fn write(&self) -> Insn;
}

/// Changes that are made in one step: of aligned words, and none of them twice.
///
/// A list has them at hand. A set of many thousand words may rather make each
/// when it is asked (`trace::sites::Switches`), for it is asked three times, and
/// to write a list and read it back costs more.
pub trait Changes {
    /// Which kind of change.
    type Item: Change;

    /// Hands over each change until `see` refuses one.
    fn try_each<E>(&self, see: impl FnMut(Self::Item) -> Result<(), E>) -> Result<(), E>;

    /// Hands over each change.
    fn each(&self, mut see: impl FnMut(Self::Item)) {
        let Ok(()) = self.try_each(|change| {
            see(change);
            Ok::<_, Infallible>(())
        });
    }

    /// How many there are.
    fn count(&self) -> usize;

    /// The lowest and the highest address.
    fn span(&self) -> Option<(Vaddr, Vaddr)>;

    /// True if the word at `at` is to be changed.
    fn touches(&self, at: Vaddr) -> bool;
}

/// A change, and the phase in which it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<C> {
    phase: u8,
    change: C,
}

impl<C: Change> Changes for [Step<C>] {
    type Item = C;

    fn try_each<E>(&self, see: impl FnMut(C) -> Result<(), E>) -> Result<(), E> {
        self.iter().map(|step| step.change).try_for_each(see)
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn span(&self) -> Option<(Vaddr, Vaddr)> {
        let addresses = || self.iter().map(|step| step.change.at());
        Some((addresses().min()?, addresses().max()?))
    }

    fn touches(&self, at: Vaddr) -> bool {
        self.iter().any(|step| step.change.at() == at)
    }
}

/// One word of live text, to be changed under running CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    at: Vaddr,
    expect: PatchClass,
    write: PatchClass,
}

impl Edit {
    /// True if it would change nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.expect == self.write
    }

    /// Plans to replace `expect` at `at` by `write`.
    #[must_use]
    pub const fn new(at: Vaddr, expect: PatchClass, write: PatchClass) -> Self {
        Self { at, expect, write }
    }

    /// The edit that takes this one back.
    #[must_use]
    pub const fn back(self) -> Self {
        Self { at: self.at, expect: self.write, write: self.expect }
    }
}

impl Change for Edit {
    fn at(&self) -> Vaddr {
        self.at
    }

    fn expect(&self) -> Insn {
        self.expect.insn()
    }

    fn write(&self) -> Insn {
        self.write.insn()
    }
}

/// One word of text that no CPU executes yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColdEdit {
    /// Address of the word, where it will be executed.
    pub at: Vaddr,
    /// What must be there now.
    pub expect: Insn,
    /// What shall be there.
    pub write: Insn,
}

impl ColdEdit {
    /// The edit that takes this one back.
    #[must_use]
    pub const fn back(self) -> Self {
        Self { at: self.at, expect: self.write, write: self.expect }
    }
}

impl Change for ColdEdit {
    fn at(&self) -> Vaddr {
        self.at
    }

    fn expect(&self) -> Insn {
        self.expect
    }

    fn write(&self) -> Insn {
        self.write
    }
}

/// The statement that no CPU executes the text from `first` up to `end`: a
/// module before its init, a stub that no branch leads to yet.
#[derive(Debug)]
pub struct NotLive {
    /// First address.
    pub first: Vaddr,
    /// Address behind the last word.
    pub end: Vaddr,
}

impl NotLive {
    fn holds_for(&self, at: Vaddr) -> bool {
        at >= self.first && at.0.checked_add(4).is_some_and(|end| end <= self.end.0)
    }
}

/// A set of changes that is made whole or not at all.
#[derive(Clone, Debug)]
pub struct Batch<C = Edit> {
    who: Label,
    why: Why,
    steps: Vec<Step<C>>,
}

impl Batch<Edit> {
    /// An empty batch for live text. `who` is a command or module, for people.
    #[must_use]
    pub fn new(who: &str, why: Why) -> Self {
        Self { who: Label::new(who), why, steps: Vec::new() }
    }

    /// Adds an edit to phase `phase`; phases are made in the order of their numbers.
    pub fn push(&mut self, phase: u8, edit: Edit) {
        self.steps.push(Step { phase, change: edit });
    }
}

impl Batch<ColdEdit> {
    /// A batch of any words for text that is not live; edits outside of that
    /// are refused, with the first of them.
    pub fn cold(
        who: &str,
        why: Why,
        proof: &NotLive,
        edits: Vec<ColdEdit>,
    ) -> Result<Self, ColdEdit> {
        if let Some(outside) = edits.iter().find(|edit| !proof.holds_for(edit.at)) {
            return Err(*outside);
        }
        let steps = edits.into_iter().map(|change| Step { phase: 0, change }).collect();
        Ok(Self { who: Label::new(who), why, steps })
    }
}

impl<C: Change> Batch<C> {
    /// Who asked for it.
    #[must_use]
    pub const fn who(&self) -> Label {
        self.who
    }

    /// What for.
    #[must_use]
    pub const fn why(&self) -> Why {
        self.why
    }

    /// The changes phase by phase, once they are sorted.
    pub(super) fn phases(&self) -> impl Iterator<Item = &[Step<C>]> {
        self.steps.chunk_by(|one, other| one.phase == other.phase)
    }

    /// All changes.
    pub(super) fn changes(&self) -> impl Iterator<Item = C> {
        self.steps.iter().map(|step| step.change)
    }

    /// Number of words to be changed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// True if there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Lowest and highest address to be changed.
    #[must_use]
    pub fn span(&self) -> Option<(Vaddr, Vaddr)> {
        self.steps[..].span()
    }

    /// Sorts the changes by phase, and each phase by address.
    pub(super) fn sort(&mut self) {
        self.steps.sort_unstable_by_key(|step| (step.phase, step.change.at()));
    }

    /// A word that is changed twice.
    pub(super) fn twice(&self) -> Option<Vaddr> {
        let mut all: Vec<_> = self.changes().map(|change| change.at()).collect();
        all.sort_unstable();
        all.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

/// A change of the data word that a stub takes its target from: one aligned
/// 8-byte store, which a CPU sees whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetEdit {
    /// Address of the word, a multiple of 8.
    pub at: Vaddr,
    /// What must be there now.
    pub expect: u64,
    /// What shall be there.
    pub write: u64,
}

impl TargetEdit {
    /// The edit that takes this one back.
    #[must_use]
    pub const fn back(self) -> Self {
        Self { at: self.at, expect: self.write, write: self.expect }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.at, self.expect(), self.write())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn cold_edits_stay_inside_the_range_that_is_not_live() {
        let proof = NotLive { first: Vaddr(0x1000), end: Vaddr(0x1010) };
        let edit = |at| ColdEdit { at: Vaddr(at), expect: Insn(0), write: Insn(1) };
        let batch = |at| Batch::cold("load", Why::Load, &proof, vec![edit(0x1004), edit(at)]);
        assert_eq!(batch(0x1000).unwrap().span(), Some((Vaddr(0x1000), Vaddr(0x1004))));
        assert_eq!(batch(0x100c).unwrap().len(), 2);
        assert_eq!(batch(0xffc).unwrap_err(), edit(0xffc));
        assert_eq!(batch(0x1010).unwrap_err(), edit(0x1010));
        assert_eq!(batch(0x100e).unwrap_err(), edit(0x100e));
        assert_eq!(batch(u64::MAX).unwrap_err(), edit(u64::MAX));
    }
}
