//! Every call site of every module, with what it is doing now.
//!
//! ```text
//!   SiteTable
//!     scsi_mod   0x..1004 off      0x..1230 traced     0x..1410 redirected
//!     hello      0x..2008 traced
//!        |
//!        | select(filter)            which sites, or why there are none
//!        | plan(sites, change)       a Batch for the text engine; nothing changes
//!        v
//!     commit(plan)                   after the engine has applied it
//! ```
//!
//! `loader/callsites.rs` finds sites, `patch/state.rs` knows what their words are,
//! `sites/select.rs` asks a filter about their functions.
//!
//! # Invariants
//! - The sites of a module are sorted by address, and modules do not overlap.
//! - The state of a site is that of its words in memory. Between `plan` and
//!   `commit` nobody else plans: the caller holds the table all the while.
//! - A redirect stub stays with its site until the module goes: a CPU may be in
//!   it, and records may point into it.
//!
//! Twelve bytes a site come from the loader, one more is its state: the largest
//! module has 10,398.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::addr::Vaddr;
use crate::loader::callsites::{CallSite, SiteKind};
use crate::patch::journal::Why;
use crate::patch::plan::Batch;
use crate::patch::state::{Shape, SitePlan, SiteState, StateError};

/// A module in the table; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleId(u32);

/// A site in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SiteId {
    module: ModuleId,
    index: u32,
}

impl SiteId {
    /// The module that the site belongs to.
    #[must_use]
    pub const fn module(self) -> ModuleId {
        self.module
    }
}

/// A module as it enters the table, all sites off.
#[derive(Clone, Debug)]
pub struct NewModule {
    /// Its name.
    pub name: String,
    /// What the sites' offsets count from.
    pub base: Vaddr,
    /// Its sites, ascending.
    pub sites: Vec<CallSite>,
    /// The profiling stub that out-of-line stubs call.
    pub profile: Vaddr,
}

/// Why a module's sites were not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// A module of that name is in the table.
    Duplicate,
    /// A site does not lie above the one before it.
    Unsorted {
        /// That site.
        at: Vaddr,
    },
    /// More sites than a number of 32 bits counts.
    TooMany,
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate => f.write_str("its call sites are in the table already"),
            Self::Unsorted { at } => write!(f, "{at}: call sites are not in ascending order"),
            Self::TooMany => f.write_str("more than 4,294,967,295 call sites"),
        }
    }
}

#[derive(Debug)]
struct Module {
    id: ModuleId,
    name: String,
    base: Vaddr,
    /// Number of the first site: those before it have gone with the init code.
    first: u32,
    sites: Vec<CallSite>,
    states: Vec<SiteState>,
    profile: Vaddr,
    redirects: BTreeMap<u32, Vaddr>,
    /// The patchable sites by their out-of-line stubs, ascending.
    by_stub: Vec<(Vaddr, u32)>,
}

impl Module {
    fn site_plan(&self, index: u32) -> Option<SitePlan> {
        let site = *self.sites.get(self.place(index)?)?;
        let stub = site.stub(self.base);
        let (shape, profile) = match site.kind() {
            SiteKind::Profile | SiteKind::ProfileStd => (Shape::Early, stub),
            SiteKind::Late => (Shape::Late, stub),
            SiteKind::Patchable => (Shape::Patchable { ool: stub }, self.profile),
        };
        let redirect = self.redirects.get(&index).copied();
        Some(SitePlan { at: site.at(self.base), shape, profile, redirect })
    }

    /// Where in the list the site with that number is.
    fn place(&self, index: u32) -> Option<usize> {
        let place = index.checked_sub(self.first)? as usize;
        (place < self.sites.len()).then_some(place)
    }

    /// The sites with their numbers.
    fn numbered(&self) -> impl Iterator<Item = (u32, &CallSite)> {
        (self.first..).zip(&self.sites)
    }

    /// Place in the list of the first site at or above `at`.
    fn lower_bound(&self, at: Vaddr) -> usize {
        self.sites.partition_point(|site| site.at(self.base) < at)
    }

    fn find(&self, at: Vaddr) -> Option<u32> {
        let index = self.lower_bound(at);
        (self.sites.get(index)?.at(self.base) == at).then_some(self.first + index as u32)
    }

    /// True if no address of the module's sites can be `at`, found cheaply.
    fn excludes(&self, at: Vaddr) -> bool {
        match (self.sites.first(), self.sites.last()) {
            (Some(first), Some(last)) => at < first.at(self.base) || at > last.at(self.base),
            _ => true,
        }
    }

    fn id_of(&self, index: u32) -> SiteId {
        SiteId { module: self.id, index }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub id: SiteId,
    /// Address of the site's word.
    pub at: Vaddr,
    /// What stands around it.
    pub kind: SiteKind,
    /// Symbol number of its function.
    pub function: u32,
    /// What it does now.
    pub state: SiteState,
    /// Its words and stubs.
    pub plan: SitePlan,
}

/// How many sites do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub sites: usize,
    /// Those that record, redirected or not.
    pub traced: usize,
    /// Those that are redirected, traced or not.
    pub redirected: usize,
}

/// What a change shall do to each site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Begin (`true`) or stop to record.
    Trace(bool),
    /// Lead calls through the redirect stub, or to the function itself again.
    Redirect(bool),
}

impl Change {
    fn of(self, state: SiteState) -> SiteState {
        let (flag, on) = match self {
            Self::Trace(on) => (SiteState::TRACED, on),
            Self::Redirect(on) => (SiteState::REDIRECTED, on),
        };
        let mut state = state;
        state.set(flag, on);
        state
    }

    const fn why(self) -> Why {
        match self {
            Self::Trace(true) => Why::TraceOn,
            Self::Trace(false) => Why::TraceOff,
            Self::Redirect(true) => Why::PatchOn,
            Self::Redirect(false) => Why::PatchOff,
        }
    }
}

/// A change of some sites, ready for the engine.
#[derive(Clone, Debug)]
#[must_use = "a plan changes nothing"]
pub struct Plan {
    /// For `patch::engine::apply`.
    pub batch: Batch,
    changed: Vec<SiteId>,
    change: Change,
}

impl Plan {
    /// The sites whose state will be another; the others were so already.
    #[must_use]
    pub fn changed(&self) -> &[SiteId] {
        &self.changed
    }
}

/// Why the sites cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// There is no such site; its module has gone.
    Gone(SiteId),
    /// One of the sites cannot be brought into that state.
    State(StateError),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(_) => f.write_str("the call site's module has been unloaded"),
            Self::State(error) => error.fmt(f),
        }
    }
}

/// The sites of all modules.
#[derive(Debug, Default)]
pub struct SiteTable {
    modules: Vec<Module>,
    next_id: u32,
}

impl SiteTable {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self { modules: Vec::new(), next_id: 0 }
    }

    /// Adds a module; without sites too, so that its absence can be explained.
    pub fn add(&mut self, new: NewModule) -> Result<ModuleId, AddError> {
        let NewModule { name, base, sites, profile } = new;
        if self.modules.iter().any(|module| module.name == name) {
            return Err(AddError::Duplicate);
        }
        if u32::try_from(sites.len()).is_err() {
            return Err(AddError::TooMany);
        }
        if let Some(pair) = sites.windows(2).find(|pair| pair[0].offset() >= pair[1].offset()) {
            return Err(AddError::Unsorted { at: pair[1].at(base) });
        }
        let mut by_stub: Vec<_> = (0_u32..)
            .zip(&sites)
            .filter(|(_, site)| site.kind() == SiteKind::Patchable)
            .map(|(index, site)| (site.stub(base), index))
            .collect();
        by_stub.sort_unstable();
        let id = ModuleId(self.next_id);
        self.next_id += 1;
        let states = alloc::vec![SiteState::OFF; sites.len()];
        let redirects = BTreeMap::new();
        self.modules.reserve_exact(1); // `remove` gives back what this takes
        let first = 0;
        self.modules.push(Module {
            id,
            name,
            base,
            first,
            sites,
            states,
            profile,
            redirects,
            by_stub,
        });
        Ok(id)
    }

    /// Forgets a module and its sites. Records that point into it lose their names.
    pub fn remove(&mut self, id: ModuleId) -> bool {
        let before = self.modules.len();
        self.modules.retain(|module| module.id != id);
        self.modules.shrink_to_fit();
        self.modules.len() < before
    }

    /// Forgets the sites of a module below `end`: they have gone with its init code.
    /// How many; none if one of them is redirected.
    pub fn drop_below(&mut self, id: ModuleId, end: Vaddr) -> usize {
        let Some(module) = self.module_mut(id) else { return 0 };
        let count = module.lower_bound(end);
        let first = module.first + count as u32;
        if module.redirects.keys().next().is_some_and(|index| *index < first) {
            return 0;
        }
        module.sites.drain(..count);
        module.states.drain(..count);
        module.sites.shrink_to_fit();
        module.states.shrink_to_fit();
        module.by_stub.retain(|(_, index)| *index >= first);
        module.first = first;
        count
    }

    /// The modules in the order of their arrival.
    pub fn modules(&self) -> impl Iterator<Item = (ModuleId, &str)> {
        self.modules.iter().map(|module| (module.id, module.name.as_str()))
    }

    /// The sites of one module, ascending.
    pub fn sites_of(&self, id: ModuleId) -> impl Iterator<Item = SiteId> {
        let module = self.module(id);
        let range =
            module.map_or(0..0, |module| module.first..module.first + module.sites.len() as u32);
        range.map(move |index| SiteId { module: id, index })
    }

    /// All sites, module by module.
    pub fn all(&self) -> impl Iterator<Item = SiteId> {
        self.modules.iter().flat_map(|module| self.sites_of(module.id))
    }

    /// All that is known of a site.
    #[must_use]
    pub fn row(&self, id: SiteId) -> Option<Row> {
        let module = self.module(id.module)?;
        let place = module.place(id.index)?;
        let site = *module.sites.get(place)?;
        Some(Row {
            id,
            at: site.at(module.base),
            kind: site.kind(),
            function: site.function(),
            state: *module.states.get(place)?,
            plan: module.site_plan(id.index)?,
        })
    }

    /// The site at exactly this address.
    #[must_use]
    pub fn find(&self, at: Vaddr) -> Option<SiteId> {
        let mut candidates = self.modules.iter().filter(|module| !module.excludes(at));
        candidates.find_map(|module| Some(module.id_of(module.find(at)?)))
    }

    /// The first site in a range of addresses. A function's site is the one in
    /// [global entry, local entry + 12], or for a late one anywhere in it.
    #[must_use]
    pub fn first_in(&self, range: Range<Vaddr>) -> Option<SiteId> {
        self.modules.iter().find_map(|module| {
            let index = module.lower_bound(range.start);
            let site = module.sites.get(index)?;
            (site.at(module.base) < range.end).then(|| module.id_of(module.first + index as u32))
        })
    }

    /// The site whose hook left `ip` in its record: `ip` stands behind a `bl` at
    /// the site itself, in its out-of-line stub, or in its redirect stub.
    #[must_use]
    pub fn hooked_site(&self, ip: Vaddr) -> Option<SiteId> {
        let call = ip.offset(-4);
        self.find(call).or_else(|| {
            self.modules.iter().find_map(|module| {
                let stub = call.offset(-4);
                let by_stub = module.by_stub.binary_search_by_key(&stub, |(stub, _)| *stub);
                let index = by_stub.ok().map(|place| module.by_stub[place].1).or_else(|| {
                    let mut redirects = module.redirects.iter();
                    redirects.find(|(_, stub)| **stub == call).map(|(index, _)| *index)
                })?;
                Some(module.id_of(index))
            })
        })
    }

    /// Gives a site its redirect stub, which stays. `false` if it has another, or
    /// does not exist.
    pub fn set_redirect_stub(&mut self, id: SiteId, stub: Vaddr) -> bool {
        let Some(module) = self.module_mut(id.module) else {
            return false;
        };
        if module.place(id.index).is_none() {
            return false;
        }
        *module.redirects.entry(id.index).or_insert(stub) == stub
    }

    /// Takes back a redirect stub that no branch has led to yet. `false` if the
    /// site is redirected: then it stays.
    pub fn take_redirect_stub(&mut self, id: SiteId) -> bool {
        let Some(module) = self.module_mut(id.module) else {
            return false;
        };
        let state = module.place(id.index).and_then(|place| module.states.get(place));
        if state.is_none_or(|state| state.contains(SiteState::REDIRECTED)) {
            return false;
        }
        let taken = module.redirects.remove(&id.index).is_some();
        if module.redirects.is_empty() {
            module.redirects = BTreeMap::new(); // one that became empty keeps a node
        }
        taken
    }

    /// Counts over one module, or over all.
    #[must_use]
    pub fn counts(&self, only: Option<ModuleId>) -> Counts {
        let modules = self.modules.iter().filter(|module| only.is_none_or(|id| module.id == id));
        modules.flat_map(|module| &module.states).fold(Counts::default(), |mut sum, state| {
            sum.sites += 1;
            sum.traced += usize::from(state.contains(SiteState::TRACED));
            sum.redirected += usize::from(state.contains(SiteState::REDIRECTED));
            sum
        })
    }

    /// The sites that are in a state with all of `flags`.
    pub fn in_state(&self, flags: SiteState) -> impl Iterator<Item = SiteId> {
        self.modules.iter().flat_map(move |module| {
            let states = (module.first..).zip(&module.states);
            states
                .filter(move |(_, state)| state.contains(flags))
                .map(|(index, _)| module.id_of(index))
        })
    }

    /// What `change` needs at `sites`; those that are in the wanted state already
    /// are left out. `who` is for the journal.
    pub fn plan(
        &self,
        who: &str,
        sites: impl IntoIterator<Item = SiteId>,
        change: Change,
    ) -> Result<Plan, PlanError> {
        let mut plan = Plan { batch: Batch::new(who, change.why()), changed: Vec::new(), change };
        for id in sites {
            let gone = PlanError::Gone(id);
            let module = self.module(id.module).ok_or(gone)?;
            let place = module.place(id.index).ok_or(gone)?;
            let from = *module.states.get(place).ok_or(gone)?;
            let to = change.of(from);
            if from != to {
                let site = module.site_plan(id.index).ok_or(gone)?;
                site.plan(from, to, &mut plan.batch).map_err(PlanError::State)?;
                plan.changed.push(id);
            }
        }
        Ok(plan)
    }

    /// Notes that the engine has applied a plan of this table.
    pub fn commit(&mut self, changed: &[SiteId], change: Change) {
        for id in changed {
            let Some(module) = self.module_mut(id.module) else { continue };
            let place = module.place(id.index);
            if let Some(state) = place.and_then(|place| module.states.get_mut(place)) {
                *state = change.of(*state);
            }
        }
    }

    fn module(&self, id: ModuleId) -> Option<&Module> {
        // Numbers are given in ascending order and modules keep theirs.
        let place = self.modules.binary_search_by_key(&id, |module| module.id).ok()?;
        self.modules.get(place)
    }

    fn module_mut(&mut self, id: ModuleId) -> Option<&mut Module> {
        let place = self.modules.binary_search_by_key(&id, |module| module.id).ok()?;
        self.modules.get_mut(place)
    }
}

impl Plan {
    /// Takes the plan apart: the batch goes to the engine, the rest to
    /// [`SiteTable::commit`] when that has succeeded.
    pub fn into_parts(self) -> (Batch, Vec<SiteId>, Change) {
        (self.batch, self.changed, self.change)
    }
}

mod select;
#[cfg(test)]
mod tests;

pub use select::{Functions, Miss, MissReason, Selection};
