//! A map from addresses to what lies there: many keys, in any order.
//!
//! ```text
//!  slots: [ - | 0x5100: v | 0x2300: v | - | 0x7200: v | ... ]   a power of two of them
//!             └ key's place: first of its run that was free when it came
//! ```
//!
//! Open addressing with linear probing; what is taken out lets those behind it move up,
//! so that no run has a hole. Three of four slots are taken at most, or fifteen of
//! sixteen if there is no memory for more; and one of eight at least, but for a few keys.
//! `BTreeMap` would take 6 KB of code; this takes 1 KB, and without keys no memory.
//!
//! Reference: Knuth, The Art of Computer Programming, 6.4, algorithms L and R.
#![forbid(unsafe_code)]

use alloc::vec::Vec;

/// Values by address.
#[derive(Debug)]
pub struct AddressMap<V> {
    /// As many as a power of two, or none.
    slots: Vec<Option<(u64, V)>>,
    len: usize,
}

impl<V> AddressMap<V> {
    const LEAST: usize = 16;

    /// A map without keys.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the search for a key begins. Addresses share their low bits, and often all
    /// but a few: multiplied, the high ones depend on each.
    fn home(&self, key: u64) -> usize {
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        mixed as usize & (self.slots.len() - 1)
    }

    fn behind(&self, place: usize) -> usize {
        (place + 1) & (self.slots.len() - 1)
    }

    /// The place of a key, or the free one where it would be. There have to be slots.
    fn place(&self, key: u64) -> Result<usize, usize> {
        let mut place = self.home(key);
        loop {
            match &self.slots[place] {
                None => return Err(place),
                Some((other, _)) if *other == key => return Ok(place),
                Some(_) => place = self.behind(place),
            }
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: u64) -> Option<&V> {
        if self.is_empty() {
            return None;
        }
        self.place(key).ok().and_then(|place| self.slots[place].as_ref()).map(|(_, value)| value)
    }

    /// Gives a key a value, in place of the one that it had; the value if there is no
    /// memory for it.
    ///
    /// # Errors
    /// There is none.
    pub fn insert(&mut self, key: u64, value: V) -> Result<(), V> {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.remake((self.slots.len() * 2).max(Self::LEAST));
            if (self.len + 1) * 16 > self.slots.len() * 15 {
                return Err(value);
            }
        }
        let place = match self.place(key) {
            Ok(place) => place,
            Err(place) => {
                self.len += 1;
                place
            }
        };
        self.slots[place] = Some((key, value));
        Ok(())
    }

    /// Takes a key out; its value.
    pub fn remove(&mut self, key: u64) -> Option<V> {
        if self.is_empty() {
            return None;
        }
        let taken = self.place(key).ok().and_then(|place| self.take(place));
        self.shrink();
        taken
    }

    /// Takes out those to whose values `keep` says no.
    pub fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        let mut place = 0;
        while let Some(slot) = self.slots.get(place) {
            match slot {
                // Another may have moved up to here; none moves to where this has been.
                Some((_, value)) if !keep(value) => {
                    self.take(place);
                }
                _ => place += 1,
            }
        }
        self.shrink();
    }

    /// Takes out what is at a place.
    fn take(&mut self, mut hole: usize) -> Option<V> {
        let (_, value) = self.slots[hole].take()?;
        self.len -= 1;
        let mut next = self.behind(hole);
        while let Some((other, _)) = &self.slots[next] {
            // One whose search begins behind the hole would not be found in it.
            let (from, mask) = (self.home(*other), self.slots.len() - 1);
            if next.wrapping_sub(from) & mask >= next.wrapping_sub(hole) & mask {
                self.slots.swap(hole, next);
                hole = next;
            }
            next = self.behind(next);
        }
        Some(value)
    }

    fn shrink(&mut self) {
        if self.is_empty() {
            self.slots = Vec::new();
        } else if self.len * 8 < self.slots.len() && self.slots.len() > Self::LEAST {
            self.remake((self.len * 2).next_power_of_two().max(Self::LEAST));
        }
    }

    /// Puts all into so many slots, if there is memory for them.
    fn remake(&mut self, slots: usize) {
        let mut fresh = Vec::new();
        if fresh.try_reserve_exact(slots).is_err() {
            return;
        }
        fresh.resize_with(slots, || None);
        let old = core::mem::replace(&mut self.slots, fresh);
        for (key, value) in old.into_iter().flatten() {
            let (Ok(place) | Err(place)) = self.place(key);
            self.slots[place] = Some((key, value));
        }
    }

    /// The values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().flatten().map(|(_, value)| value)
    }
}

impl<V> Default for AddressMap<V> {
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
        #[test]
        fn it_knows_what_a_btree_map_knows(
            steps in prop::collection::vec((0..4_u8, 0..40_u64, 0..9_u8), 0..400),
        ) {
            let (mut ours, mut theirs) = (AddressMap::new(), BTreeMap::new());
            for (step, key, value) in steps {
                let key = key << 12;
                match step {
                    0 | 1 => {
                        prop_assert!(ours.insert(key, value).is_ok());
                        theirs.insert(key, value);
                    }
                    2 => prop_assert_eq!(ours.remove(key), theirs.remove(&key)),
                    _ if value == 0 => {
                        ours.retain(|it| it % 3 != 0);
                        theirs.retain(|_, it| *it % 3 != 0);
                    }
                    _ => prop_assert_eq!(ours.get(key), theirs.get(&key)),
                }
                prop_assert_eq!(ours.len(), theirs.len());
                let mut all: Vec<_> = ours.values().copied().collect();
                all.sort_unstable();
                let mut known: Vec<_> = theirs.values().copied().collect();
                known.sort_unstable();
                prop_assert_eq!(all, known);
                prop_assert!((0..40).all(|key| ours.get(key << 12) == theirs.get(&(key << 12))));
                prop_assert!(!ours.is_empty() || ours.slots.capacity() == 0);
                prop_assert!(ours.slots.len() <= (ours.len() * 8).max(16));
            }
        }
    }

    #[test]
    fn a_hundred_thousand_blocks_in_a_row_are_found_soon() {
        let mut map = AddressMap::new();
        assert!((0..100_000_u64).all(|it| map.insert(0x700_0000 + it * 64, it).is_ok()));
        let longest = map.slots.split(Option::is_none).map(<[_]>::len).max().unwrap_or(0);
        assert!(longest < 200, "{longest} slots to look at");
        assert!((0..100_000).all(|number| map.remove(0x700_0000 + number * 64) == Some(number)));
        assert!(map.is_empty());
    }
}
