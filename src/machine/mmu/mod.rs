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
//! - Rights of a mapped page change in place, never by way of an invalid entry: the
//!   entry is overwritten, `ptesync`, `tlbie` of each page, `eieio; tlbsync; ptesync`
//!   (radix), or H_PROTECT, which does the like (hash).
//!
//! # What this does not stop
//! A module's store to the kernel's data, and the tables are data like the heap: it
//! can break the kernel, as it can anywhere else. Rights are there to catch
//! mistakes, not malice. (Tables that can only be read would cost a switch to real
//! mode for each entry; a hash table is out of reach in any case.)

mod hash;
mod radix;

use core::fmt;

use super::lock::{Mutex, Once};
use super::platform::MachineFacts;
use super::{boot, memory, paca, spr};
use crate::addr::Vaddr;
use crate::mmu::Rights;
pub use crate::mmu::negotiate::Kind;
use crate::mmu::radix::{Grain, PAGE};

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
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MapError {
    /// Where it could not be done: memory ran out, or the range was not as the
    /// caller believed.
    pub at: Vaddr,
}

impl fmt::Debug for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}", self.at)
    }
}

/// What the two translations do, each in its own way. Ranges are whole pages.
trait Translation: Sync {
    /// Makes this CPU look addresses up in it, once translation is on.
    fn load(&self);

    /// Maps a range, of which nothing is mapped. After an error nothing is.
    fn map(&self, start: Vaddr, len: u64, rights: Rights, grain: Grain) -> Result<(), MapError>;

    /// Changes a mapped range in place, on every CPU before it returns.
    fn protect(&self, start: Vaddr, len: u64, rights: Rights) -> Result<(), MapError>;

    /// Takes a mapped range away, on every CPU before it returns.
    fn unmap(&self, start: Vaddr, len: u64) -> Result<(), MapError>;

    /// Hands every mapped page or larger leaf to `visit`, by rising address.
    fn regions(&self, visit: &mut dyn FnMut(Region));

    /// What may be done at an address; `None` for nothing.
    fn rights_at(&self, at: Vaddr) -> Option<Rights>;

    /// Runs `work` while what is known of the tables is locked: for tests of reports.
    fn while_locked(&self, work: &mut dyn FnMut());

    /// How many windows there are.
    fn windows(&self) -> u64;

    /// Where the first window lies, and the others behind it: where no memory is.
    fn window(&self) -> Vaddr;

    /// The first window that is on a page now.
    fn window_leads(&self) -> Option<Region>;

    /// Shows this CPU the windows, or hides them.
    fn show_windows(&self, shown: bool);

    /// Puts a window, which is nowhere, onto a page of text; where it lies.
    fn aim_window(&self, number: u64, page: Vaddr) -> Vaddr;

    /// Takes the first `count` windows from the pages that they are on.
    fn clear_windows(&self, count: u64);
}

static RUNNING: Once<(Kind, &'static dyn Translation)> = Once::new();

fn running() -> Option<&'static dyn Translation> {
    RUNNING.get().map(|(_, translation)| *translation)
}

/// Which translation runs; `None` while it is off.
pub fn kind() -> Option<Kind> {
    RUNNING.get().map(|(kind, _)| *kind)
}

/// Maps what the kernel needs and turns translation on, on the boot CPU.
///
/// It stays off if the boot arguments ask for that, for looking at what goes wrong
/// then.
#[optimize(size)]
pub fn init(facts: &MachineFacts) {
    let Some(kind) = facts.translation else { return };
    let translation: &'static dyn Translation = match kind {
        Kind::Radix => radix::init(),
        Kind::Hash => hash::init(facts),
    };
    RUNNING.call_once(|| (kind, translation));
    let all = |(start, end): (Vaddr, Vaddr), rights| {
        map(start, end.since(start) as u64, rights, Grain::Large)
            .unwrap_or_else(|error| panic!("no room in the translation tables at {}", error.at));
    };
    let page_up = |(start, end): (Vaddr, Vaddr)| (start, Vaddr(end.0.next_multiple_of(PAGE)));
    all(page_up(boot::text()), Rights::ReadExecute);
    all(page_up(boot::rodata()), Rights::Read);
    // Stacks lie in the data, each above pages that stay unmapped.
    let (mut start, end) = page_up(boot::data());
    let stubs = boot::stubs();
    all((start, stubs.0), Rights::ReadWrite);
    all(stubs, Rights::ReadExecute);
    start = stubs.1;
    for (guard, len) in paca::boot_guards() {
        all((start, guard), Rights::ReadWrite);
        start = guard.offset(len.cast_signed());
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
    let Some(translation) = running() else { return };
    translation.load();
    paca::set_kernel_msr(spr::kernel_msr() | spr::msr::IR | spr::msr::DR);
    spr::translation_on();
}

/// Maps a range of whole pages, of which nothing is mapped.
pub fn map(start: Vaddr, len: u64, rights: Rights, grain: Grain) -> Result<(), MapError> {
    running().map_or(Ok(()), |it| it.map(start, len, rights, grain))
}

/// Changes what may be done in a mapped range, on every CPU before it returns.
pub fn protect(start: Vaddr, len: u64, rights: Rights) -> Result<(), MapError> {
    running().map_or(Ok(()), |it| it.protect(start, len, rights))
}

/// Takes a mapped range away, on every CPU before it returns.
pub fn unmap(start: Vaddr, len: u64) -> Result<(), MapError> {
    running().map_or(Ok(()), |it| it.unmap(start, len))
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
    if let Some(translation) = running() {
        translation.regions(&mut add);
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
    translation: Option<(Kind, &'static dyn Translation)>,
    /// Windows that are open; they are taken away together.
    open: u64,
    /// How many can be.
    limit: u64,
}

/// One patching CPU at a time.
static PATCHING: Mutex<()> = Mutex::new(());

/// Runs `work` while the window and the tables are locked.
pub fn while_locked(work: &mut dyn FnMut()) {
    let _window = PATCHING.lock();
    match running() {
        Some(translation) => translation.while_locked(work),
        None => work(),
    }
}

impl Alias {
    /// Runs `work` with an alias; interrupts are off meanwhile.
    pub fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let _only = PATCHING.lock();
        let enabled = spr::interrupts_off();
        let translation = RUNNING.get().copied();
        let show = |shown| translation.into_iter().for_each(|(_, it)| it.show_windows(shown));
        show(true);
        let limit = windows();
        let mut alias = Self { translation, open: 0, limit };
        let result = work(&mut alias);
        alias.close();
        show(false);
        spr::interrupts_restore(enabled);
        result
    }

    #[cold]
    fn close(&mut self) {
        let open = core::mem::take(&mut self.open);
        if let Some((_, translation)) = self.translation.filter(|_| open > 0) {
            translation.clear_windows(open);
        }
    }

    /// The address through which the page at `page` can be written until the
    /// next call.
    #[inline(always)] // for each page of a batch
    pub fn open(&mut self, page: Vaddr) -> Vaddr {
        if self.open == self.limit {
            self.close();
        }
        let number = self.open;
        self.open += 1;
        match self.translation {
            // Done for each page of a batch: without the detour it costs two
            // instructions less for each site.
            Some((Kind::Radix, _)) => radix::aim_window(number, page),
            Some((Kind::Hash, translation)) => translation.aim_window(number, page),
            None => page,
        }
    }
}

/// Hands every translation that any CPU could use to `visit`, the windows too.
pub fn entries(mut visit: impl FnMut(Region)) {
    let Some(translation) = running() else { return };
    translation.regions(&mut visit);
    translation.window_leads().into_iter().for_each(visit);
}

/// What the live tables let be done at an address; `None` for nothing.
pub fn rights_at(at: Vaddr) -> Option<Rights> {
    running()?.rights_at(at)
}

/// The first window that leads somewhere, as the live tables have it. Nobody sees it
/// but a CPU that patches, so [`regions`] does not list it.
pub fn window() -> Option<Region> {
    running()?.window_leads()
}

/// How many pages of text can be written at a time.
pub fn windows() -> u64 {
    running().map_or(1, Translation::windows)
}

/// Where the first window lies.
pub fn alias_base() -> Vaddr {
    running().map_or(Vaddr(0), Translation::window)
}
