//! Free memory as ranges of addresses: the page allocator's bookkeeping.
//!
//! Module images want runs of whole pages, seldom and of any size, some of them
//! near a given address (`bl` reaches 32 MiB). A sorted list of free ranges does
//! that with a few entries; a bitmap or buddy lists would cost memory for every
//! page of the machine.
//!
//! # Invariants
//! - Ranges are sorted, never empty, never touch each other.
#![forbid(unsafe_code)]

use alloc::vec::Vec;

use crate::addr::Vaddr;

/// Bytes of a page of module memory.
pub const PAGE: u64 = 4096;

/// The longest run of addresses from `from` up to `end` of which nothing is `taken`
/// (first addresses and bytes, in any order): its start and its end.
#[must_use]
pub fn largest_gap(
    (from, end): (u64, u64),
    taken: impl Iterator<Item = (u64, u64)> + Clone,
) -> Option<(u64, u64)> {
    let (mut best, mut at) = ((from, from), from);
    while at < end {
        let behind = |(start, len): (u64, u64)| start.saturating_add(len);
        if let Some(over) = taken.clone().find(|range| range.0 <= at && behind(*range) > at) {
            at = behind(over);
            continue;
        }
        let next = taken.clone().map(|range| range.0).filter(|start| *start > at).min();
        let stop = next.unwrap_or(end).min(end);
        if stop - at > best.1 - best.0 {
            best = (at, stop);
        }
        at = stop;
    }
    (best.0 < best.1).then_some(best)
}

/// Free ranges of whole pages.
#[derive(Clone, Debug, Default)]
pub struct FreePages {
    ranges: Vec<(u64, u64)>,
}

impl FreePages {
    /// No memory at all.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// No memory, and room for so many runs: the list allocates only beyond that.
    #[must_use]
    pub fn with_room(runs: usize) -> Self {
        Self { ranges: Vec::with_capacity(runs) }
    }

    /// Free bytes in all.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }

    /// The longest free run in bytes.
    #[must_use]
    pub fn largest_bytes(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).max().unwrap_or(0)
    }

    /// Takes `len_bytes` (rounded up to pages) from the lowest run that has room.
    pub fn take(&mut self, len_bytes: u64) -> Option<Vaddr> {
        self.take_within(len_bytes, 0, u64::MAX)
    }

    /// As [`take`](Self::take), with every byte inside `low..=high`.
    pub fn take_within(&mut self, len_bytes: u64, low: u64, high: u64) -> Option<Vaddr> {
        let len = len_bytes.max(1).checked_next_multiple_of(PAGE)?;
        let low = low.checked_next_multiple_of(PAGE)?;
        let (index, start) =
            self.ranges.iter().enumerate().find_map(|(index, &(start, end))| {
                let start = start.max(low);
                let last = start.checked_add(len)?.checked_sub(1)?;
                (last < end && last <= high).then_some((index, start))
            })?;
        let (range_start, range_end) = self.ranges[index];
        let after = (start + len, range_end);
        match (start > range_start, after.0 < after.1) {
            (false, false) => {
                self.ranges.remove(index);
            }
            (false, true) => self.ranges[index] = after,
            (true, false) => self.ranges[index].1 = start,
            (true, true) => {
                self.ranges[index].1 = start;
                self.ranges.insert(index + 1, after);
            }
        }
        Some(Vaddr(start))
    }

    /// As [`take`](Self::take), at a multiple of `align`, a power of two.
    pub fn take_aligned(&mut self, len_bytes: u64, align: u64) -> Option<Vaddr> {
        if align <= PAGE {
            return self.take(len_bytes);
        }
        let len = len_bytes.max(1).checked_next_multiple_of(PAGE)?;
        let start = self.ranges.iter().find_map(|&(start, end)| {
            let start = start.checked_next_multiple_of(align)?;
            (start.checked_add(len)? <= end).then_some(start)
        })?;
        self.take_within(len, start, start + len - 1)
    }

    /// Gives back what `take` gave out, or a part of it in whole pages.
    ///
    /// # Panics
    /// If a page is free already: two owners for one page is a bug of ours.
    pub fn give(&mut self, start: Vaddr, len_bytes: u64) {
        let (start, end) = (start.0, start.0 + len_bytes.max(1).next_multiple_of(PAGE));
        let index = self.ranges.partition_point(|range| range.0 < start);
        let before = index.checked_sub(1).map(|index| self.ranges[index]);
        let after = self.ranges.get(index).copied();
        assert!(
            start.is_multiple_of(PAGE)
                && before.is_none_or(|range| range.1 <= start)
                && after.is_none_or(|range| range.0 >= end),
            "page freed twice"
        );
        let joins_before = before.is_some_and(|range| range.1 == start);
        let joins_after = after.is_some_and(|range| range.0 == end);
        match (joins_before, joins_after) {
            (true, true) => {
                self.ranges[index - 1].1 = self.ranges[index].1;
                self.ranges.remove(index);
            }
            (true, false) => self.ranges[index - 1].1 = end,
            (false, true) => self.ranges[index].0 = start,
            (false, false) => self.ranges.insert(index, (start, end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn megabyte() -> FreePages {
        let mut pages = FreePages::new();
        pages.give(Vaddr(0x10_0000), 0x10_0000);
        pages
    }

    #[test]
    fn pages_come_from_the_lowest_run_with_room() {
        let mut pages = megabyte();
        assert_eq!(pages.take(1), Some(Vaddr(0x10_0000)));
        assert_eq!(pages.take(0x2000), Some(Vaddr(0x10_1000)));
        pages.give(Vaddr(0x10_0000), 1);
        assert_eq!(pages.take(0x2000), Some(Vaddr(0x10_3000)));
        assert_eq!(pages.take(0x1000), Some(Vaddr(0x10_0000)));
    }

    #[test]
    fn a_run_that_is_too_long_by_one_byte_is_refused() {
        let mut pages = megabyte();
        assert_eq!(pages.take(0x10_0001), None);
        assert_eq!(pages.take(0x10_0000), Some(Vaddr(0x10_0000)));
        assert_eq!(pages.take(1), None);
        assert_eq!(pages.free_bytes(), 0);
    }

    #[test]
    fn a_near_run_lies_inside_its_limits_to_the_byte() {
        let mut pages = megabyte();
        assert_eq!(pages.take_within(PAGE, 0x18_0001, 0x18_1fff), Some(Vaddr(0x18_1000)));
        assert_eq!(pages.take_within(PAGE, 0x18_2000, 0x18_2ffe), None);
        assert_eq!(pages.take_within(PAGE, 0x18_2000, 0x18_2fff), Some(Vaddr(0x18_2000)));
    }

    #[test]
    fn an_aligned_run_skips_what_lies_before_and_keeps_it_free() {
        let mut pages = megabyte();
        assert_eq!(pages.take(PAGE), Some(Vaddr(0x10_0000)));
        assert_eq!(pages.take_aligned(0x2000, 0x1_0000), Some(Vaddr(0x11_0000)));
        assert_eq!(pages.take_aligned(0xe_0001, 0x1_0000), None);
        assert_eq!(pages.take(0xf000), Some(Vaddr(0x10_1000)));
    }

    #[test]
    fn the_longest_gap_is_found_between_ranges_in_any_order() {
        let taken = [(0x31c5_0000, 0xce_0000), (0x3000_0000, 0x60_0000), (0x3060_0000, 0x165_0000)];
        let gap = |from, end| largest_gap((from, end), taken.into_iter());
        assert_eq!(gap(0x2800_0000, 0x8000_0000), Some((0x3293_0000, 0x8000_0000)));
        // With less memory the one below is longer, and with none above there is no other.
        assert_eq!(gap(0x2800_0000, 0x3a92_ffff), Some((0x2800_0000, 0x3000_0000)));
        assert_eq!(gap(0x2800_0000, 0x3a93_0001), Some((0x3293_0000, 0x3a93_0001)));
        assert_eq!(gap(0x3010_0000, 0x3293_0001), Some((0x3293_0000, 0x3293_0001)));
        assert_eq!(gap(0x3010_0000, 0x3293_0000), None);
        assert_eq!(gap(0x1000, 0x1000), None);
        assert_eq!(largest_gap((1, u64::MAX), [(0, u64::MAX)].into_iter()), None);
    }

    #[test]
    #[should_panic(expected = "page freed twice")]
    fn a_page_is_not_freed_twice() {
        let mut pages = megabyte();
        pages.give(Vaddr(0x10_0000), PAGE);
    }

    proptest! {
        #[test]
        fn what_is_given_back_is_whole_again(sizes in prop::collection::vec(1u64..40_000, 1..30), order: u64) {
            let mut pages = megabyte();
            let mut taken: Vec<_> = sizes.iter().filter_map(|&len| Some((pages.take(len)?, len))).collect();
            let used: u64 = taken.iter().map(|(_, len)| len.next_multiple_of(PAGE)).sum();
            prop_assert_eq!(pages.free_bytes(), 0x10_0000 - used);
            let mut seed = order;
            while !taken.is_empty() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (start, len) = taken.swap_remove((seed >> 33) as usize % taken.len());
                pages.give(start, len);
            }
            prop_assert_eq!(pages.largest_bytes(), 0x10_0000);
        }
    }
}
