//! Words that never go: rings of records, tables of functions.
//!
//! A hook that was interrupted may still write to the ring, or look at the table, that
//! was in use before. So neither is given back to the heap; the next of the same size
//! takes its place.

use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;

/// Memory that stays.
pub type Words = &'static [AtomicU64];

/// What is not in use any more.
pub struct Pool(Vec<Words>);

impl Pool {
    /// Nothing yet.
    pub const EMPTY: Self = Self(Vec::new());

    /// So many words: what is there already, which holds anything, or new zeros. `None`
    /// if there is no memory.
    pub fn take(&mut self, count: usize) -> Option<Words> {
        if let Some(place) = self.0.iter().position(|words| words.len() == count) {
            return Some(self.0.swap_remove(place));
        }
        let mut words = Vec::new();
        words.try_reserve_exact(count).ok()?;
        words.resize_with(count, || AtomicU64::new(0));
        Some(words.leak())
    }

    /// Keeps words that are not used any more.
    pub fn put(&mut self, words: impl IntoIterator<Item = Words>) {
        self.0.extend(words);
    }
}
