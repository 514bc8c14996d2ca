//! Sets of sites as runs: both together, one without the other.
//!
//! ```text
//!   a        [2......9]      [14..17]
//!   b     [0...4]  [8..12]
//!   both  [0............12]  [14..17]        a minus b   [4..8]  [14..17]
//! ```
//!
//! A set is a list of runs that ascend and neither touch nor overlap; a filter of
//! a hundred thousand sites is often one run a module.

use alloc::vec::Vec;

use super::{Run, SiteId};

/// True if a site is in a set.
#[must_use]
pub fn has(set: &[Run], site: SiteId) -> bool {
    let place = set.partition_point(|run| (run.module, run.end) <= (site.module, site.index));
    let run = set.get(place);
    run.is_some_and(|run| run.module == site.module && run.start <= site.index)
}

/// Adds a site that lies above all others of the set.
pub fn add(set: &mut Vec<Run>, site: SiteId) {
    match set.last_mut() {
        Some(run) if run.module == site.module && run.end == site.index => run.end += 1,
        _ => set.push(Run::from(site)),
    }
}

/// The sites that are in one of two sets.
#[must_use]
pub fn union(a: &[Run], b: &[Run]) -> Vec<Run> {
    let mut both: Vec<Run> = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let from_a = match (a.peek(), b.peek()) {
            (Some(one), Some(other)) => one <= other,
            (one, _) => one.is_some(),
        };
        let Some(run) = (if from_a { a.next() } else { b.next() }) else { return both };
        match both.last_mut() {
            Some(last) if last.module == run.module && run.start <= last.end => {
                last.end = last.end.max(run.end);
            }
            _ => both.push(*run),
        }
    }
}

/// The sites of set `a` that are not in set `b`.
#[must_use]
pub fn minus(a: &[Run], b: &[Run]) -> Vec<Run> {
    let mut left = Vec::with_capacity(a.len());
    let mut holes = b.iter().peekable();
    for run in a {
        let Run { module, mut start, end } = *run;
        // A hole may reach into the next run too: it is only passed when it ends
        // before this one does.
        while let Some(hole) = holes.peek() {
            if (hole.module, hole.end) <= (module, start) {
                holes.next();
            } else if hole.module > module || hole.start >= end {
                break;
            } else {
                left.push(Run { module, start, end: hole.start });
                start = hole.end;
                if start >= end {
                    break;
                }
            }
        }
        left.push(Run { module, start, end });
    }
    left.retain(|run| run.start < run.end);
    left
}

#[cfg(test)]
mod tests {
    use super::super::ModuleId;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn run((module, start, len): (u32, u32, u32)) -> Run {
        Run { module: ModuleId(module), start, end: start + len }
    }

    /// A set of runs that may overlap.
    fn tidy(runs: &[Run]) -> Vec<Run> {
        let runs = runs.iter().filter(|run| run.start < run.end);
        runs.fold(Vec::new(), |set, run| union(&set, &[*run]))
    }

    fn places(runs: &[Run]) -> BTreeSet<(ModuleId, u32)> {
        runs.iter().flat_map(|run| (run.start..run.end).map(|place| (run.module, place))).collect()
    }

    fn is_set(runs: &[Run]) -> bool {
        let apart = |pair: &[Run]| (pair[0].module, pair[0].end) < (pair[1].module, pair[1].start);
        runs.windows(2).all(apart) && runs.iter().all(|run| run.start < run.end)
    }

    proptest! {
        /// The authority is a set of single places.
        #[test]
        fn runs_do_what_sets_of_places_do(
            a in prop::collection::vec((0u32..3, 0u32..40, 0u32..12), 0..12),
            b in prop::collection::vec((0u32..3, 0u32..40, 0u32..12), 0..12),
        ) {
            let [a, b] = [a, b].map(|runs| runs.into_iter().map(run).collect::<Vec<_>>());
            let [set_a, set_b] = [tidy(&a), tidy(&b)];
            prop_assert!(is_set(&set_a) && is_set(&set_b));
            prop_assert_eq!(places(&set_a), places(&a));
            let mut one_by_one = Vec::new();
            set_a.iter().flat_map(|run| run.sites()).for_each(|it| add(&mut one_by_one, it));
            prop_assert_eq!(&one_by_one, &set_a);
            let (both, less) = (union(&set_a, &set_b), minus(&set_a, &set_b));
            prop_assert!(is_set(&both) && is_set(&less));
            for place in 0..60 {
                let site = SiteId { module: ModuleId(place % 3), index: place };
                prop_assert_eq!(has(&set_a, site), places(&a).contains(&(site.module, place)));
            }
            prop_assert_eq!(places(&both), &places(&a) | &places(&b));
            prop_assert_eq!(places(&less), &places(&a) - &places(&b));
        }
    }
}
