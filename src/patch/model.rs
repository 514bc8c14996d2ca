//! A model of memory, data cache and instruction cache, for tests.
//!
//! ```text
//!   write --> data cache --clean, then sync--> memory --invalidate--> fetched line
//!                                                        (finish)--> executed
//! ```
//!
//! It is as unhelpful as the ISA allows. A dirty word stays in the data cache
//! until its line is cleaned *and* a sync follows, and one that is stored after
//! its line was cleaned stays for good. An instruction line is fetched again in
//! the very moment of its invalidation, so from what memory holds then, and is
//! executed only after `finish`. Whatever step is left out, old words go on being
//! executed; [`Model::without`] leaves one out on purpose.
//!
//! It also plays the CPU that runs into a new branch at once: [`Model::too_early`]
//! holds the branches that were written while their target was not yet flushed.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::engine::{CodeMem, LINE_BYTES};
use super::plan::{Change, Changes};
use crate::addr::Vaddr;
use crate::isa::{Insn, branch};

/// A step that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Clean,
    Sync,
    Invalidate,
    Finish,
}

/// Words in a stub that a branch leads to.
const STUB_WORDS: i64 = 4;

/// Some words of text, and some data words.
pub struct Model {
    memory: BTreeMap<Vaddr, Insn>,
    dirty: BTreeMap<Vaddr, Insn>,
    cleaning: BTreeMap<Vaddr, Insn>,
    fetched: BTreeMap<Vaddr, Insn>,
    executed: BTreeMap<Vaddr, Insn>,
    data: BTreeMap<Vaddr, u64>,
    without: Option<Step>,
    /// Every text store, in order.
    pub stores: Vec<(Vaddr, Insn)>,
    /// Every line cleaned, and every line invalidated, in order.
    pub lines: Vec<(Step, Vaddr)>,
    /// Branches written before what they lead to was flushed.
    pub too_early: Vec<Vaddr>,
}

impl Model {
    /// Text in a quiet state: memory and caches agree.
    pub fn new(text: impl IntoIterator<Item = (Vaddr, Insn)>) -> Self {
        let memory: BTreeMap<_, _> = text.into_iter().collect();
        Self {
            executed: memory.clone(),
            memory,
            dirty: BTreeMap::new(),
            cleaning: BTreeMap::new(),
            fetched: BTreeMap::new(),
            data: BTreeMap::new(),
            without: None,
            stores: Vec::new(),
            lines: Vec::new(),
            too_early: Vec::new(),
        }
    }

    /// The same, with a data word.
    pub fn with_data(mut self, at: Vaddr, value: u64) -> Self {
        self.data.insert(at, value);
        self
    }

    /// The same, on a machine that ignores one step.
    pub fn without(mut self, step: Step) -> Self {
        self.without = Some(step);
        self
    }

    /// The word that a CPU would execute at `at`.
    pub fn execute(&self, at: Vaddr) -> Insn {
        self.executed[&at]
    }

    fn line_of(at: Vaddr) -> Vaddr {
        Vaddr(at.0 & !(LINE_BYTES - 1))
    }

    fn land_cleaned(&mut self) {
        for (at, word) in core::mem::take(&mut self.cleaning) {
            self.memory.insert(at, word);
            // Stored again since: that one has to be cleaned as well.
            if self.dirty.get(&at) == Some(&word) {
                self.dirty.remove(&at);
            }
        }
    }

    /// Writes a word.
    pub fn store(&mut self, at: Vaddr, insn: Insn) {
        assert!(self.memory.contains_key(&at), "a write outside of the text, at {at}");
        if let Some(target) = branch::target_of(insn, at)
            && !(0..STUB_WORDS).all(|word| self.is_flushed(target.offset(word * 4)))
        {
            self.too_early.push(at);
        }
        self.stores.push((at, insn));
        self.dirty.insert(at, insn);
        self.clean(at);
    }

    /// The second half of `store`.
    fn clean(&mut self, at: Vaddr) {
        self.lines.push((Step::Clean, Self::line_of(at)));
        if self.without != Some(Step::Clean) {
            let line = Self::line_of(at);
            let dirty = self.dirty.range(line..line.offset(LINE_BYTES as i64));
            self.cleaning.extend(dirty.map(|(at, word)| (*at, *word)));
        }
    }

    fn is_flushed(&self, at: Vaddr) -> bool {
        self.executed.get(&at).copied() == self.read(at)
    }
}

impl CodeMem for Model {
    fn read(&self, at: Vaddr) -> Option<Insn> {
        self.dirty.get(&at).or_else(|| self.memory.get(&at)).copied()
    }

    fn write(&mut self, words: &(impl Changes + ?Sized)) {
        words.each(|change| self.store(change.at(), change.write()));
    }

    fn sync(&mut self) {
        if self.without != Some(Step::Sync) {
            self.land_cleaned();
        }
    }

    fn invalidate(&mut self, at: Vaddr) {
        let line = Self::line_of(at);
        self.lines.push((Step::Invalidate, line));
        if self.without != Some(Step::Invalidate) {
            let again = self.memory.range(line..line.offset(LINE_BYTES as i64));
            self.fetched.extend(again.map(|(at, word)| (*at, *word)));
        }
    }

    fn finish(&mut self) {
        if self.without != Some(Step::Finish) {
            self.executed.append(&mut self.fetched);
            self.land_cleaned();
        }
    }

    fn read_data(&self, at: Vaddr) -> Option<u64> {
        self.data.get(&at).copied()
    }

    fn write_data(&mut self, at: Vaddr, value: u64) {
        self.data.insert(at, value);
    }
}
