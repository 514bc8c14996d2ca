//! Pages for copies of larx ... stcx. sequences.
//!
//! ```text
//!   [ copy ][ copy ][ copy ] ...   the first to be overwritten is the oldest
//! ```
//!
//! A loop comes to the same sequence again, so a copy stays until its place is
//! needed. The page is taken when the first one is wanted, and given back with the
//! session.
//!
//! # Invariants
//! - Only the CPU that steps runs a copy, and it writes none while it is in one: so
//!   text in the page is not live when it is written ([`NotLive`]).

use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::machine::memory::Pages;
use crate::machine::text;
use crate::memory::PAGE;
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, ColdEdit, NotLive};
use crate::step::sequence::{MAX_WORDS, Sequence};

/// Who writes, for the journal.
const WHO: &str = "step";
const WORD: i64 = 4;
/// Words from one copy to the next.
const SLOT: usize = MAX_WORDS;
/// Copies that a page has room for.
const SLOTS: usize = PAGE as usize / (SLOT * WORD as usize);

/// The copies of one session.
pub struct Copies {
    pages: Option<Pages>,
    slots: Vec<Sequence>,
    /// The slot that the next new copy takes.
    next: usize,
}

impl Copies {
    /// None yet.
    pub const fn new() -> Self {
        Self { pages: None, slots: Vec::new(), next: 0 }
    }

    /// Where a copy of the sequence begins; `None` if there is no memory for one.
    pub fn enter(&mut self, wanted: Sequence) -> Option<Vaddr> {
        let slot = match self.slots.iter().position(|there| *there == wanted) {
            Some(slot) => slot,
            None => self.make(wanted)?,
        };
        self.address(slot)
    }

    fn address(&self, slot: usize) -> Option<Vaddr> {
        Some(self.pages.as_ref()?.start().offset((slot * SLOT) as i64 * WORD))
    }

    fn make(&mut self, wanted: Sequence) -> Option<usize> {
        if self.pages.is_none() {
            let pages = Pages::take(PAGE)?;
            let (text, none) = ranges(&pages);
            text::publish(WHO, &pages, text, none);
            self.pages = Some(pages);
        }
        let slot = self.next;
        let at = self.address(slot)?;
        let before = self.slots.get(slot).map_or(&[][..], |old| &old.words);
        let edits = (0..wanted.words.len().max(before.len())).map(|index| ColdEdit {
            at: at.offset(index as i64 * WORD),
            expect: before.get(index).copied().unwrap_or(Insn(0)),
            write: wanted.words.get(index).copied().unwrap_or(Insn(0)),
        });
        let edits = edits.filter(|edit| edit.expect != edit.write).collect();
        let proof = NotLive { first: at, end: at.offset(SLOT as i64 * WORD) };
        text::apply(Batch::cold(WHO, Why::Step, &proof, edits).ok()?).ok()?;
        match self.slots.get_mut(slot) {
            Some(old) => *old = wanted,
            None => self.slots.push(wanted),
        }
        self.next = (slot + 1) % SLOTS;
        Some(slot)
    }

    /// The copy that contains an address, and the word of it.
    fn find(&self, at: Vaddr) -> Option<(&Sequence, usize)> {
        let pages = self.pages.as_ref().filter(|pages| pages.contains(at, 4))?;
        let word = (at.since(pages.start()) / WORD) as usize;
        Some((self.slots.get(word / SLOT)?, word % SLOT))
    }

    /// Where the program goes on if the trap at `at` is one that ends a copy, and
    /// whether that was left before its end.
    pub fn left(&self, at: Vaddr) -> Option<(Vaddr, bool)> {
        let (copy, word) = self.find(at).filter(|(copy, word)| *word >= copy.insns)?;
        Some((copy.place(word), copy.is_early(word)))
    }

    /// The program's own address of an instruction that may be a copy.
    pub fn place(&self, at: Vaddr) -> Vaddr {
        self.find(at).map_or(at, |(copy, word)| copy.place(word))
    }
}

type Range = (Vaddr, Vaddr);

/// The page's text, and the empty range of its constants.
fn ranges(pages: &Pages) -> (Range, Range) {
    let (start, end) = (pages.start(), pages.start().offset(PAGE.cast_signed()));
    ((start, end), (end, end))
}

impl Drop for Copies {
    fn drop(&mut self) {
        if let Some(pages) = &self.pages {
            let (text, none) = ranges(pages);
            text::withdraw(text, none);
        }
    }
}
