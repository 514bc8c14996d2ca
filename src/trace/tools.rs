//! What is special about some call sites: a table that the hooks ask.
//!
//! Most traced calls meet one tool, the same for all. For those of which more is
//! wanted, `boot/mcount.S` looks here, by the address that the hook was called from:
//!
//! ```text
//!   word 0, 1   what holds of all others: 0 and its flags; bytes of the entries less 16,
//!               which is what an entry's place is masked with
//!   word 2, 3   an entry: hook address and flags, a half of the word each; its probes
//!   ...         0 if it is free
//!   place of `hook`: hook * 4 masked; if that is taken, the next one that is not
//! ```
//!
//! # Invariants
//! - At least half of the entries are free, so a search ends, and soon.
//! - A table never changes once it is in use; another one takes its place, by one
//!   store on each CPU. Each CPU has its own, since a probe's block counts its hits.

use alloc::vec::Vec;

use bitflags::bitflags;

use crate::addr::Vaddr;

bitflags! {
    /// What is special about a site. The highest four are for a site with one tool, a
    /// probe; the hook looks at them before anything else.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Special: u32 {
        /// The graph tracer begins here, and nowhere else: `set_graph_function`.
        const ROOT = 1;
        /// The graph tracer leaves this function out, and what it calls:
        /// `set_graph_notrace`.
        const MUTE = 2;
        /// The function tracer records it.
        const FUNCTION = 4;
        /// The graph tracer records it, as far as the above let it.
        const GRAPH = 8;
        /// There are probes: the entry has the first one's block.
        const PROBES = 16;
        /// What the tracers know of it.
        const TRACERS = Self::ROOT.bits() | Self::MUTE.bits() | Self::FUNCTION.bits() | Self::GRAPH.bits();
        /// There is one probe, at the entry, and no other tool.
        const LIGHT = 1 << 31;
        /// And it records the first four argument registers.
        const WIDE = 1 << 30;
        /// Or all eight of them.
        const ALL = 1 << 29;
        /// There is one probe, at the return, and no other tool.
        const LIGHT_RETURN = 1 << 28;
    }
}

/// One site of which more is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What its hook leaves in records.
    pub hook: Vaddr,
    /// What is special about it.
    pub special: Special,
    /// The block of its first probe on the CPU that the table is for, or 0.
    pub block: u64,
}

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 16;
/// Where an entry has what: its hook's low half, its flags, the block.
pub const KEY: usize = 0;
/// The flags.
pub const FLAGS: usize = 4;
/// The block.
pub const BLOCK: usize = 8;
/// Eight-byte words before the first entry; a reader of the table has its address.
pub const HEADER: usize = 2;

/// Words of the table for so many entries; a power of two and the header.
fn words_for(count: usize) -> Option<usize> {
    Some(HEADER + 2 * count.max(1).checked_mul(2)?.checked_next_power_of_two()?)
}

/// The table with these entries, of hooks that differ and lie below 4 GiB; `usual` is
/// what all others are. `None` if they are too many to be counted.
#[must_use]
pub fn table(entries: &[Entry], usual: Special) -> Option<Vec<u64>> {
    let first = |hook: u64, special: Special| hook & 0xffff_ffff | u64::from(special.bits()) << 32;
    let mut table = alloc::vec![0; words_for(entries.len())?];
    let bytes = (table.len() - HEADER) * 8;
    if let Some([flags, mask]) = table.get_mut(..HEADER) {
        (*flags, *mask) = (first(0, usual), (bytes - ENTRY_BYTES) as u64);
    }
    for Entry { hook, special, block } in entries {
        let mut place = HEADER + ((hook.0 * 4) as usize & (bytes - ENTRY_BYTES)) / 8;
        while table.get(place).is_some_and(|taken| *taken != 0) {
            place = HEADER + (place - HEADER + 2) % (table.len() - HEADER);
        }
        if let Some([key, value]) = table.get_mut(place..place + 2) {
            (*key, *value) = (first(hook.0, *special), *block);
        }
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps of the assembly, one by one.
    fn look_up(table: &[u64], hook: u64) -> Option<(u64, u64)> {
        let mask = table[1];
        let mut place = hook << 2 & mask;
        loop {
            let entry = table[HEADER + place as usize / 8];
            if entry as u32 == hook as u32 {
                return Some((entry >> 32, table[HEADER + place as usize / 8 + 1]));
            }
            if entry as u32 == 0 {
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
            let entry =
                |hook: &Vaddr| Entry { hook: *hook, special: Special::MUTE, block: hook.0 + 1 };
            let entries: Vec<_> = hooks[..count].iter().map(entry).collect();
            let table = table(&entries, Special::GRAPH).unwrap();
            assert!((table.len() - HEADER).is_power_of_two());
            assert_eq!(table[0], 8 << 32);
            for (number, hook) in hooks.iter().enumerate() {
                let found = look_up(&table, hook.0);
                assert_eq!(found, (number < count).then_some((2, hook.0 + 1)), "{count} {hook}");
            }
            assert_eq!(look_up(&table, 0x5008), None);
        }
    }
}
