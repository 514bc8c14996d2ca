//! Symbols: what the world outside answers when asked for a name, and the
//! module's own functions by address and by name.
//!
//! Undefined symbols are bound in [`super::relocate`]; this file has what it is
//! told ([`Resolver`], [`LinkOptions`]) and the index that back traces, the site
//! table and the shell use afterwards ([`Functions`]).
//!
//! # Invariants
//! - A [`Functions`] index is sorted by address; functions at one address keep
//!   the order of the symbol table, so a local name comes before its alias
//!   `init_module`.

mod names;

pub(super) use self::names::len_before_nul;

use alloc::vec::Vec;

use goblin::elf64::sym::Sym;

pub use self::names::{Name, Names};

use super::elf::{Object, local_entry};
use crate::addr::Vaddr;

/// Finds what the kernel and the loaded modules export.
pub trait Resolver {
    /// Where `name` is, or `None` if nobody exports it.
    fn resolve(&self, name: &str) -> Option<Resolved>;

    /// The same, for a name that is ready to be looked for.
    fn resolve_name(&self, name: &Name<'_>) -> Option<Resolved> {
        self.resolve(name.text()?)
    }
}

/// Where an exported symbol is, and who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The symbol's address; for a function, its global entry point.
    pub addr: Vaddr,
    /// Who exports it.
    pub owner: Owner,
    /// For GPL-compatible modules only.
    pub gpl_only: bool,
}

/// Who exports a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The kernel, which stays.
    Kernel,
    /// The module with this number in the kernel's list, which must not go
    /// while it is used.
    Module(u32),
}

/// Which shape of stub to build for calls that leave the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StubStyle {
    /// Targets in a table of data words, so that a live stub can be retargeted.
    #[default]
    Default,
    /// The two shapes of the 2016 thread that this project grew from.
    Seed,
    /// The five-word forms of Linux.
    Linux,
}

/// How a module is to be linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkOptions {
    /// Bind unresolved symbols to a trap that names them instead of refusing:
    /// the module can be looked at, never run.
    pub link_only: bool,
    /// Load it although it was built for something else than is here.
    pub force: bool,
    /// Shape of the stubs.
    pub stubs: StubStyle,
    /// For tests only: calls of `_mcount` get ordinary stubs. Those store r2 at
    /// `24(r1)` before the function has a frame, which is the mistake that the
    /// profiling stub exists to avoid.
    pub wrong_profile_stubs: bool,
}

/// The functions of a module by address and by name.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    /// Offset from the module's base in the high half, symbol index in the low
    /// half: sorted as plain numbers, eight bytes a function.
    entries: Vec<u64>,
    /// Places in `entries`; of none before somebody has asked for them.
    names: Names,
}

/// One function of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its global entry point, in bytes from the module's base.
    pub at: u32,
    /// Index of its symbol.
    pub symbol: u32,
}

/// The functions of a module as its symbols name them, in a walk over those.
#[derive(Default)]
pub(super) struct Found {
    entries: Vec<u64>,
    /// The bits that any of their places has.
    all: u64,
}

impl Found {
    /// None yet, with room for all symbols of `object`.
    pub fn none_of(object: &Object) -> Self {
        Self { entries: Vec::with_capacity(object.symbol_count()), all: 0 }
    }

    /// Takes the symbol of that number in, whose section lies at `section`, if it is a
    /// function.
    #[inline(always)]
    pub fn add(&mut self, object: &Object, index: usize, section: u32, symbol: &Sym) {
        if object.is_function(symbol) {
            // Fits: parse keeps the value inside its section, and the layout
            // keeps the image below 2 GiB.
            let at = u64::from(section) + symbol.st_value;
            self.all |= at;
            self.entries.push(at << 32 | index as u64);
        }
    }

    /// All of them, by address.
    #[inline(never)] // it has the registers to itself
    pub fn sorted(self) -> Functions {
        let Self { mut entries, all } = self;
        sort_by_address(&mut entries, all);
        // To move a few takes longer than they are worth.
        if entries.capacity() - entries.len() > 64 {
            entries.shrink_to_fit();
        }
        Functions { entries, names: Names::default() }
    }
}

impl Functions {
    /// Makes [`each_named`](Self::each_named) quick. Not a part of linking: who links
    /// a module again asks for no names.
    pub fn index_names(&mut self, object: &Object) {
        let names = self.entries.iter().map(|&entry| object.name_onwards(unpack(entry).symbol));
        self.names = Names::new(names);
    }

    /// All functions, by rising address.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Function> + DoubleEndedIterator + '_ {
        self.entries.iter().map(|&entry| unpack(entry))
    }

    /// The function of that number, by rising address.
    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<Function> {
        self.entries.get(number).map(|&entry| unpack(entry))
    }

    /// How many begin before `offset`.
    pub(super) fn count_before(&self, offset: u32) -> usize {
        self.entries.partition_point(|&entry| entry >> 32 < u64::from(offset))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The function that begins last at or before `offset`: the one that the
    /// byte belongs to, unless it lies in padding or past the end of the code
    /// (compare with the symbol's size).
    #[must_use]
    pub fn at(&self, offset: u32) -> Option<Function> {
        let end = self.entries.partition_point(|&entry| entry >> 32 <= u64::from(offset));
        let start = self.get(end.checked_sub(1)?)?.at;
        self.get(self.count_before(start))
    }

    /// Every function called `name`, by rising address.
    #[must_use]
    pub fn named(&self, object: &Object, name: &str) -> Vec<Function> {
        let mut named = Vec::new();
        self.each_named(object, &Name::new(name), |function| named.push(function));
        named
    }

    /// Hands over every function called `name`, by rising address; static functions
    /// of different files may share one.
    pub fn each_named(&self, object: &Object, name: &Name<'_>, mut see: impl FnMut(Function)) {
        let mut look = |number: usize| {
            let function = self.entries.get(number).map(|&entry| unpack(entry));
            if let Some(function) = function
                && object.is_called(function.symbol, name.bytes)
            {
                see(function);
            }
        };
        if self.names.is_empty() {
            return (0..self.entries.len()).for_each(look);
        }
        let mut next = self.names.first(name);
        while let Some(number) = next {
            look(number as usize);
            next = self.names.after(number);
        }
    }
}

/// Puts each of a few entries behind those before it that are less: linkers have most in
/// order.
fn insert_each(entries: &mut [u64]) {
    for end in 1..entries.len() {
        let Some((mut hole, sorted)) = entries[..=end].split_last_mut() else { return };
        for entry in sorted.iter_mut().rev() {
            if *entry <= *hole {
                break;
            }
            core::mem::swap(entry, hole);
            hole = entry;
        }
    }
}

/// Sorts entries, whose low halves ascend, by their high halves, which have no bits but
/// those of `all`: digit by digit, for comparing them costs four times as much.
fn sort_by_address(entries: &mut Vec<u64>, all: u64) {
    const BITS_MAX: u32 = 12;
    const DIGITS: usize = 1 << BITS_MAX;
    if entries.len() <= 64 {
        return insert_each(entries);
    }
    let bits_max = if entries.len() < DIGITS / 4 { 8 } else { BITS_MAX };
    let (lowest, highest) = (all.trailing_zeros(), 64 - all.leading_zeros());
    let bits = highest.saturating_sub(lowest);
    let passes = bits.div_ceil(bits_max);
    let digit_bits = bits.div_ceil(passes.max(1)); // not more than the digits need
    let mut sorted = alloc::vec![0; entries.len()];
    let mut ends = alloc::vec![0_u32; DIGITS];
    let Some(ends) = ends.first_chunk_mut::<DIGITS>() else {
        return; // it has as many
    };
    for pass in 0..passes {
        let shift = 32 + lowest + pass * digit_bits;
        let digit = |entry: u64| (entry >> shift) as usize & ((1 << digit_bits) - 1) & (DIGITS - 1);
        ends[..1 << digit_bits].fill(0);
        entries.iter().for_each(|&entry| ends[digit(entry)] += 1);
        let mut sum = 0;
        for end in &mut ends[..1 << digit_bits] {
            sum += *end;
            *end = sum;
        }
        // From the last, so that equal digits keep their order.
        for &entry in entries.iter().rev() {
            let end = &mut ends[digit(entry)];
            *end -= 1;
            sorted[*end as usize] = entry;
        }
        core::mem::swap(entries, &mut sorted);
    }
}

fn unpack(entry: u64) -> Function {
    Function { at: (entry >> 32) as u32, symbol: entry as u32 }
}

impl Function {
    /// Its local entry point, in bytes from the module's base: where calls from
    /// the same module arrive, with r2 already right.
    #[must_use]
    pub fn local_entry(&self, object: &Object) -> u32 {
        self.at + object.symbol(self.symbol).map_or(0, |symbol| local_entry(&symbol))
    }
}

/// The symbol called `name` that the module defines and others may see.
#[must_use]
pub fn find_global(object: &Object, name: &str) -> Option<(u32, Sym)> {
    let first = object.first_global();
    let globals = object.symbols().enumerate().skip(first as usize);
    globals
        .map(|(index, symbol)| (index as u32, symbol))
        .find(|(_, symbol)| symbol.st_shndx != 0 && object.name(symbol) == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_are_sorted_as_comparing_would_sort_them(count in 0usize..1500, bits in 0u32..=32, seed: u64) {
            let mut random = seed | 1;
            let mut entries: Vec<u64> = (0..count as u64).map(|symbol| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random & ((1 << bits) - 1)) << 32 | symbol
            }).collect();
            let mut expected = entries.clone();
            expected.sort();
            sort_by_address(&mut entries, (1 << bits) - 1);
            prop_assert_eq!(entries, expected);
        }
    }
}
