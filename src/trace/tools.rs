//! What is special about some call sites: a table that the hooks ask.
//!
//! Most traced calls meet one tool, the same for all. For those of which more is
//! wanted, `boot/mcount.S` looks here, by the address that the hook was called from:
//!
//! ```text
//!   word 0      bytes of the entries less 16: what an entry's place is masked with
//!   word 1      0
//!   word 2, 3   an entry: hook address, what is special; 0 if it is free
//!   ...
//!   place of `hook`: hook * 4 masked; if that is taken, the next one that is not
//! ```
//!
//! # Invariants
//! - At least half of the entries are free, so a search ends, and soon.
//! - A table never changes once it is in use; another one takes its place, by one
//!   store on each CPU.

use alloc::vec::Vec;

use bitflags::bitflags;

use crate::addr::Vaddr;

bitflags! {
    /// What is special about a site.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Special: u64 {
        /// The graph tracer begins here, and nowhere else: `set_graph_function`.
        const ROOT = 1;
        /// The graph tracer leaves this function out, and what it calls:
        /// `set_graph_notrace`.
        const MUTE = 2;
    }
}

/// Eight-byte words before the entries.
const HEADER: usize = 2;

/// Words of the table for so many entries; a power of two and the header.
fn words_for(count: usize) -> Option<usize> {
    Some(HEADER + 2 * count.max(1).checked_mul(2)?.checked_next_power_of_two()?)
}

/// The table with these entries, of hooks that differ; `None` if they are too many to
/// be counted.
#[must_use]
pub fn table(entries: &[(Vaddr, Special)]) -> Option<Vec<u64>> {
    let mut table = alloc::vec![0; words_for(entries.len())?];
    let bytes = (table.len() - HEADER) * 8;
    if let Some(mask) = table.first_mut() {
        *mask = bytes as u64 - 16;
    }
    for (hook, special) in entries {
        let mut place = HEADER + ((hook.0 * 4) as usize & (bytes - 16)) / 8;
        while table.get(place).is_some_and(|taken| *taken != 0) {
            place = HEADER + (place - HEADER + 2) % (table.len() - HEADER);
        }
        if let Some([key, value]) = table.get_mut(place..place + 2) {
            (*key, *value) = (hook.0, special.bits());
        }
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps of the assembly, one by one.
    fn look_up(table: &[u64], hook: u64) -> Option<u64> {
        let mask = table[0];
        let mut place = hook << 2 & mask;
        loop {
            let key = table[HEADER + place as usize / 8];
            if key == hook {
                return Some(table[HEADER + place as usize / 8 + 1]);
            }
            if key == 0 {
                return None;
            }
            place = (place + 16) & mask;
        }
    }

    #[test]
    fn what_is_in_a_table_is_found_and_nothing_else() {
        // All want the last place, so they go round its end.
        let hooks: Vec<_> = (1..=16).map(|n| Vaddr(n * 0x1000 - 4)).collect();
        for count in 0..=hooks.len() {
            let entries: Vec<_> = hooks[..count].iter().map(|at| (*at, Special::MUTE)).collect();
            let table = table(&entries).unwrap();
            assert!((table.len() - HEADER).is_power_of_two());
            for (number, hook) in hooks.iter().enumerate() {
                let found = look_up(&table, hook.0);
                assert_eq!(found, (number < count).then_some(2), "{count} {hook}");
            }
            assert_eq!(look_up(&table, 0x5008), None);
        }
    }
}
