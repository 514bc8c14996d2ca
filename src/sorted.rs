//! A map for few keys: a list of pairs, sorted by key.
//!
//! What `BTreeMap` does better, many keys that come in any order, is seldom needed
//! here, and its code takes 5 KB for each pair of types. This one's takes 300 bytes;
//! to add or to remove a key moves those above it. Without keys it has no memory.
#![forbid(unsafe_code)]

use alloc::vec::Vec;
use core::borrow::Borrow;

/// Pairs of key and value, by rising key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortedMap<K, V> {
    pairs: Vec<(K, V)>,
}

impl<K: Ord, V> SortedMap<K, V> {
    /// A map without keys.
    #[must_use]
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// True if there are no keys.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.pairs.binary_search_by(|(other, _)| other.borrow().cmp(key))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|place| &self.pairs[place].1)
    }

    /// Gives a key a value; the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => Some(core::mem::replace(&mut self.pairs[place].1, value)),
            Err(place) => {
                self.pairs.insert(place, (key, value));
                None
            }
        }
    }

    /// Takes a key out; its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        let (_, value) = self.pairs.remove(place);
        self.give_back();
        Some(value)
    }

    /// Takes out what `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.pairs.retain(|(key, value)| keep(key, value));
        self.give_back();
    }

    fn give_back(&mut self) {
        if self.pairs.is_empty() {
            self.pairs = Vec::new();
        }
    }

    /// The pairs, by rising key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.pairs.iter().map(|(key, value)| (key, value))
    }
}

impl<K: Ord, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// The standard library's map is the other authority.
        #[test]
        fn it_answers_as_the_standard_map(steps in prop::collection::vec((0..3, 0..20u8), 0..60)) {
            let (mut ours, mut theirs) = (SortedMap::new(), BTreeMap::new());
            for (number, (step, key)) in steps.into_iter().enumerate() {
                match step {
                    0 => prop_assert_eq!(ours.insert(key, number), theirs.insert(key, number)),
                    1 => prop_assert_eq!(ours.remove(&key), theirs.remove(&key)),
                    _ => {
                        ours.retain(|other, _| other % 7 != key % 7);
                        theirs.retain(|other, _| other % 7 != key % 7);
                    }
                }
                prop_assert!(ours.iter().eq(theirs.iter()));
                prop_assert_eq!(ours.get(&key), theirs.get(&key));
                prop_assert_eq!((ours.is_empty(), ours.pairs.capacity() == 0), (theirs.is_empty(), theirs.is_empty()));
            }
        }
    }
}
