//! One bit a site, and the runs of them that are alike.
//!
//! ```text
//!   place    0         64        128
//!   words    [00111111][11111111][11100000]
//!   runs        '----------------'             2..131, found a word at a time
//! ```
//!
//! Sites are mostly switched together, so what is worked with are runs; inside
//! one there is no bit to look at any more.

use alloc::vec::Vec;
use core::ops::Range;

/// Places in a word.
const WORD: u32 = u64::BITS;

/// A set of places below a length that its owner knows.
#[derive(Clone, Debug, Default)]
pub struct Bits {
    words: Vec<u64>,
    count: usize,
    /// No place outside of this is in it.
    span: Range<u32>,
}

impl Bits {
    /// The empty set, with room for places below `len`.
    pub fn none(len: usize) -> Self {
        Self { words: alloc::vec![0; len.div_ceil(WORD as usize)], count: 0, span: 0..0 }
    }

    /// How many places are in it.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The part of `range` that places in it may lie in: one place that is looked
    /// for among ten thousand is found at once.
    pub fn within(&self, range: &Range<u32>) -> Range<u32> {
        let start = range.start.max(self.span.start);
        start..range.end.min(self.span.end).max(start)
    }

    /// True if `place` is in it.
    pub fn has(&self, place: u32) -> bool {
        self.word((place / WORD) as usize) >> (place % WORD) & 1 != 0
    }

    /// The word with places `index * 64` and up.
    pub fn word(&self, index: usize) -> u64 {
        self.words.get(index).copied().unwrap_or(0)
    }

    /// Puts places in, or takes them out.
    pub fn set(&mut self, places: Range<u32>, on: bool) {
        let mut at = places.start;
        while at < places.end {
            let index = at / WORD;
            let end = places.end.min((index + 1) * WORD);
            let Some(word) = self.words.get_mut(index as usize) else { return };
            let mask = (u64::MAX >> (WORD - (end - at))) << (at % WORD);
            let before = word.count_ones();
            *word = if on { *word | mask } else { *word & !mask };
            self.count = self.count + word.count_ones() as usize - before as usize;
            at = end;
        }
        if self.count == 0 {
            self.span = 0..0;
        } else if on && self.span.is_empty() {
            self.span = places;
        } else if on {
            self.span = self.span.start.min(places.start)..self.span.end.max(places.end);
        }
    }
}

/// Hands over the longest runs of places inside `range` that are in a set, by
/// rising place. `word` gives the set as [`Bits::word`] does.
pub fn runs(range: Range<u32>, word: impl Fn(usize) -> u64, mut see: impl FnMut(Range<u32>)) {
    let mut at = range.start;
    loop {
        let start = next(at..range.end, &word);
        if start == range.end {
            return;
        }
        at = next(start..range.end, |index| !word(index));
        see(start..at);
    }
}

/// The first place of `range` that is in the set, or else its end.
fn next(range: Range<u32>, word: impl Fn(usize) -> u64) -> u32 {
    let mut at = range.start;
    while at < range.end {
        let left = word((at / WORD) as usize) >> (at % WORD);
        if left != 0 {
            return range.end.min(at + left.trailing_zeros());
        }
        at = (at / WORD + 1) * WORD;
    }
    range.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_run_goes_over_the_edges_of_words_and_ends_inside_the_range() {
        let mut bits = Bits::none(200);
        bits.set(2..131, true);
        let found = |bits: &Bits, range| {
            let mut found = Vec::new();
            runs(range, |index| bits.word(index), |run| found.push(run));
            found
        };
        assert!(found(&bits, 0..200).iter().eq([&(2..131)]));
        assert!(found(&bits, 64..128).iter().eq([&(64..128)]));
        assert_eq!(
            (bits.count(), bits.has(1), bits.has(2), bits.has(131)),
            (129, false, true, false)
        );
        bits.set(63..64, false);
        assert_eq!(found(&bits, 0..200), [2..63, 64..131]);
        assert_eq!(found(&bits, 131..200), []);
        assert_eq!(bits.count(), 128);
    }

    proptest! {
        #[test]
        fn runs_are_what_a_look_at_each_place_finds(flips in prop::collection::vec((0u32..300, 1u32..90), 0..20), from in 0u32..300, len in 0u32..300) {
            let mut bits = Bits::none(300);
            let mut plain = [false; 300];
            for (number, (start, len)) in flips.iter().enumerate() {
                let (end, on) = ((start + len).min(300), number % 3 != 0);
                bits.set(*start..end, on);
                plain[*start as usize..end as usize].fill(on);
            }
            prop_assert_eq!(bits.count(), plain.iter().filter(|on| **on).count());
            let end = (from + len).min(300);
            let mut found = [false; 300];
            let mut before = None;
            runs(from..end, |index| bits.word(index), |run| {
                assert!(run.start < run.end && before.is_none_or(|before| before < run.start));
                before = Some(run.end);
                found[run.start as usize..run.end as usize].fill(true);
            });
            let mut narrowed = Vec::new();
            runs(bits.within(&(from..end)), |index| bits.word(index), |run| narrowed.push(run));
            let mut wide = Vec::new();
            runs(from..end, |index| bits.word(index), |run| wide.push(run));
            prop_assert_eq!(narrowed, wide);
            for place in 0..300 {
                let inside = (from..end).contains(&(place as u32));
                prop_assert_eq!(found[place], inside && plain[place]);
                prop_assert_eq!(bits.has(place as u32), plain[place]);
            }
        }
    }
}
