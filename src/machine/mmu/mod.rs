//! Translation: what each address may be used for, enforced by the processor.
//!
//! ```text
//!  kernel text r-x | rodata r-- | data rw- | guard pages under stacks: nothing
//!  initrd r--      | heap rw-   | tables rw-
//!  module pages    | text r-x   | rodata and stub targets r-- | data rw-
//!  page 0, vectors, everything else: nothing
//! ```
//!
//! Addresses are the same with translation on and off. Exceptions arrive with it
//! off (AIL stays 0), save the registers, then turn it on (`boot/trap.S`).
//!
//! [`radix`] or [`hash`] carries it out, whichever the processor has; both give
//! the same rights. Text is changed through an alias: a second address, writable,
//! that only the patching CPU can see and only while it patches ([`Alias`]).
//!
//! # Invariants
//! - [`Rights`] has no value for writable and executable.
//! - Rights of a mapped page change in place, never by way of an invalid entry.

mod hash;
mod radix;

use super::lock::{Mutex, Once};
use super::platform::MachineFacts;
use super::{boot, memory, paca, spr};
use crate::addr::Vaddr;
use crate::mmu::Rights;
use crate::mmu::radix::{Grain, PAGE};

/// Which translation the processor runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A radix tree, walked by the processor.
    Radix,
    /// A hash table, kept by the hypervisor.
    Hash,
}

/// What the boot arguments may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No translation: everything may be done everywhere.
    Off,
    /// This kind, if the processor has it.
    Kind(Kind),
}

impl core::fmt::Display for Kind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Radix => "radix",
            Self::Hash => "hash",
        })
    }
}

/// One mapped range, as the processor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: Vaddr,
    /// Bytes.
    pub len: u64,
    /// Where it leads.
    pub to: Vaddr,
    /// What may be done; `None` for bits that this kernel never sets.
    pub rights: Option<Rights>,
}

/// Something that was asked of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapError {
    /// Where it could not be done: memory ran out, or the range was not as the
    /// caller believed.
    pub at: Vaddr,
}

static KIND: Once<Kind> = Once::new();

/// The first processor version whose hypervisors offer radix (POWER9).
const PVR_POWER9: u32 = 0x004e;

/// Which translation runs; `None` while it is off.
pub fn kind() -> Option<Kind> {
    KIND.get().copied()
}

/// Maps what the kernel needs and turns translation on, on the boot CPU.
///
/// `wanted` is what the boot arguments ask for; [`Wanted::Off`] leaves it off, for
/// looking at what goes wrong then.
pub fn init(facts: &MachineFacts, wanted: Option<Wanted>) {
    let has_radix = spr::pvr() >> 16 >= PVR_POWER9;
    let kind = match wanted {
        Some(Wanted::Off) => return,
        Some(Wanted::Kind(Kind::Hash)) => Kind::Hash,
        _ if has_radix => Kind::Radix,
        _ => Kind::Hash,
    };
    match kind {
        Kind::Radix => radix::init(),
        Kind::Hash => hash::init(facts),
    }
    KIND.call_once(|| kind);
    let all = |(start, end): (Vaddr, Vaddr), rights| {
        map(start, end.since(start) as u64, rights, Grain::Large)
            .unwrap_or_else(|error| panic!("no room in the translation tables at {}", error.at));
    };
    let page_up = |(start, end): (Vaddr, Vaddr)| (start, Vaddr(end.0.next_multiple_of(PAGE)));
    all(page_up(boot::text()), Rights::ReadExecute);
    all(page_up(boot::rodata()), Rights::Read);
    // Stacks lie in the data, each above a page that stays unmapped.
    let (mut start, end) = page_up(boot::data());
    for guard in paca::boot_guards() {
        all((start, guard), Rights::ReadWrite);
        start = guard.offset(PAGE.cast_signed());
    }
    all((start, end), Rights::ReadWrite);
    if let Some((start, len)) = facts.initrd {
        let first = Vaddr(start.0 & !(PAGE - 1));
        all(page_up((first.max(end), start.offset(len.cast_signed()))), Rights::Read);
    }
    memory::map_heap();
    turn_on();
}

/// Turns translation on, on this CPU, and for every exception that it takes.
pub fn turn_on() {
    match kind() {
        Some(Kind::Radix) => radix::load(),
        Some(Kind::Hash) => hash::load(),
        None => return,
    }
    paca::set_kernel_msr(spr::msr() | spr::msr::IR | spr::msr::DR);
    spr::translation_on();
}

/// Maps a range of whole pages, of which nothing is mapped.
pub fn map(start: Vaddr, len: u64, rights: Rights, grain: Grain) -> Result<(), MapError> {
    match kind() {
        Some(Kind::Radix) => radix::map(start, len, rights, grain),
        Some(Kind::Hash) => hash::map(start, len, rights),
        None => Ok(()),
    }
}

/// Changes what may be done in a mapped range, on every CPU before it returns.
pub fn protect(start: Vaddr, len: u64, rights: Rights) -> Result<(), MapError> {
    match kind() {
        Some(Kind::Radix) => radix::change(start, len, Some(rights)),
        Some(Kind::Hash) => hash::protect(start, len, rights),
        None => Ok(()),
    }
}

/// Takes a mapped range away, on every CPU before it returns.
pub fn unmap(start: Vaddr, len: u64) -> Result<(), MapError> {
    match kind() {
        Some(Kind::Radix) => radix::change(start, len, None),
        Some(Kind::Hash) => hash::unmap(start, len),
        None => Ok(()),
    }
}

/// Hands every mapped range to `visit`, by rising address, as the live tables
/// have it. Neighbours with the same rights come as one.
pub fn regions(mut visit: impl FnMut(Region)) {
    let mut open: Option<Region> = None;
    let mut add = |region: Region| match &mut open {
        Some(last)
            if last.start.offset(last.len.cast_signed()) == region.start
                && last.rights == region.rights
                && last.to.offset(last.len.cast_signed()) == region.to =>
        {
            last.len += region.len;
        }
        _ => {
            if let Some(last) = open.replace(region) {
                visit(last);
            }
        }
    };
    match kind() {
        Some(Kind::Radix) => radix::regions(&mut add),
        Some(Kind::Hash) => hash::regions(&mut add),
        None => {}
    }
    if let Some(last) = open {
        visit(last);
    }
}

/// Writable windows onto pages of text, for this CPU alone.
///
/// While it exists the CPU runs with a second address for some pages; dropping it
/// takes those addresses away.
pub struct Alias {
    kind: Option<Kind>,
    /// Windows that are open; they are taken away together.
    open: u64,
    /// How many can be.
    limit: u64,
}

/// One patching CPU at a time.
static PATCHING: Mutex<()> = Mutex::new(());

impl Alias {
    /// Runs `work` with an alias; interrupts are off meanwhile.
    pub fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let _only = PATCHING.lock();
        let enabled = spr::interrupts_off();
        let kind = kind();
        match kind {
            Some(Kind::Radix) => radix::alias_begin(),
            Some(Kind::Hash) => hash::alias_begin(),
            None => {}
        }
        let mut alias = Self { kind, open: 0, limit: windows() };
        let result = work(&mut alias);
        alias.close();
        match kind {
            Some(Kind::Radix) => radix::alias_end(),
            Some(Kind::Hash) => hash::alias_end(),
            None => {}
        }
        spr::interrupts_restore(enabled);
        result
    }

    #[cold]
    fn close(&mut self) {
        let open = core::mem::take(&mut self.open);
        match self.kind {
            Some(Kind::Radix) if open > 0 => radix::alias_unmap(open),
            Some(Kind::Hash) if open > 0 => hash::alias_unmap(),
            _ => {}
        }
    }

    /// The address through which the page at `page` can be written until the
    /// next call.
    #[inline]
    pub fn open(&mut self, page: Vaddr) -> Vaddr {
        if self.open == self.limit {
            self.close();
        }
        let number = self.open;
        self.open += 1;
        match self.kind {
            Some(Kind::Radix) => radix::alias_map(number, page),
            Some(Kind::Hash) => hash::alias_map(page),
            None => page,
        }
    }
}

/// How many pages of text can be written at a time.
pub fn windows() -> u64 {
    match kind() {
        Some(Kind::Radix) => radix::WINDOWS,
        _ => 1,
    }
}

/// Where the first window lies.
pub fn alias_base() -> Vaddr {
    match kind() {
        Some(Kind::Radix) => radix::ALIAS,
        _ => hash::ALIAS,
    }
}
