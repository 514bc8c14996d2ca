//! Every call site of every module, with what it is doing now.
//!
//! ```text
//!   SiteTable
//!     scsi_mod   0x..1004 off      0x..1230 traced     0x..1410 redirected
//!     hello      0x..2008 traced
//!        |
//!        | select(filter)            runs of sites, or why there are none
//!        | plan(runs, change)        what the text engine shall do; nothing changes
//!        |   switches(plan)          ... the sites whose own word is all there is to it
//!        v
//!     commit(plan)                   after the engine has applied it
//! ```
//!
//! `loader/callsites.rs` finds sites, `patch/state.rs` knows what their words are,
//! `sites/select.rs` asks a filter about their functions, `sites/choice.rs` keeps what
//! was chosen.
//!
//! # Invariants
//! - The sites of a module are sorted by address, and modules do not overlap.
//! - The state of a site is that of its words in memory. Between `plan` and
//!   `commit` nobody else plans: the caller holds the table all the while.
//! - A redirect stub stays with its site until the module goes: a CPU may be in
//!   it, and records may point into it.
//!
//! The largest module has 10,398 sites, and all of them are switched at once, so
//! a site is twelve bytes and two bits. The word that it holds while it is on is
//! made when the module comes; from then on, to switch sites is to walk along
//! runs of them, as long as they are not redirected. Those that are, few, go
//! through `patch::state` one by one.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use self::bits::Bits;
use crate::addr::Vaddr;
use crate::isa::branch;
use crate::isa::patch_class::PatchClass;
use crate::isa::reach::RangeError;
use crate::loader::callsites::{CallSite, SiteKind};
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, Changes, Edit};
use crate::patch::state::{Shape, SitePlan, SiteState, StateError};
use crate::slack;
use crate::sorted::SortedMap;

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

/// Neighbouring sites of one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    module: ModuleId,
    /// Number of the first, and of the one behind the last.
    start: u32,
    end: u32,
}

impl Run {
    /// The module that the sites belong to.
    #[must_use]
    pub const fn module(self) -> ModuleId {
        self.module
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Each of them.
    pub fn sites(self) -> impl Iterator<Item = SiteId> {
        (self.start..self.end).map(move |index| SiteId { module: self.module, index })
    }
}

impl From<SiteId> for Run {
    fn from(SiteId { module, index }: SiteId) -> Self {
        Self { module, start: index, end: index.saturating_add(1) }
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
    /// It is the kernel itself: only words that name it, or its functions, mean it.
    pub own: bool,
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
    /// More sites than a number of 32 bits counts, or symbols than one of 30.
    TooMany,
    /// A site lies above 4 GiB.
    TooHigh {
        /// The site.
        at: Vaddr,
    },
    /// A site cannot reach its stub.
    OutOfReach {
        /// The site.
        at: Vaddr,
        /// By how much.
        range: RangeError,
    },
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate => f.write_str("its call sites are in the table already"),
            Self::Unsorted { at } => write!(f, "{at}: call sites are not in ascending order"),
            Self::TooMany => f.write_str("too many call sites or symbols"),
            Self::TooHigh { at } => write!(f, "{at}: call sites lie below 4 GiB"),
            Self::OutOfReach { at, range } => write!(f, "{at}: its stub is out of reach: {range}"),
        }
    }
}

/// A site as the table keeps it: [`CallSite`] made ready to be switched.
#[derive(Clone, Copy, Debug)]
struct Site {
    /// Its address: modules lie within 2 GiB above the kernel's TOC, or else their
    /// profiling stubs could not find the tracer.
    at: u32,
    /// What its word is while it is on and not redirected.
    on: PatchClass,
    /// Symbol number of its function; the kind in the two high bits.
    function_and_kind: u32,
}

/// Where [`Site`] has its kind.
const KIND_SHIFT: u32 = 30;

impl Site {
    fn new(site: CallSite, base: Vaddr) -> Result<Self, AddError> {
        if site.function() >> KIND_SHIFT != 0 {
            return Err(AddError::TooMany);
        }
        let (at, stub) = (site.at(base), site.stub(base));
        let on = match site.kind() {
            SiteKind::Patchable => PatchClass::b(at, stub),
            _ => PatchClass::bl(at, stub),
        };
        Ok(Self {
            at: u32::try_from(at.0).map_err(|_| AddError::TooHigh { at })?,
            on: on.map_err(|range| AddError::OutOfReach { at, range })?,
            function_and_kind: site.function() | (site.kind() as u32) << KIND_SHIFT,
        })
    }

    const fn kind(self) -> SiteKind {
        match self.function_and_kind >> KIND_SHIFT {
            0 => SiteKind::Profile,
            1 => SiteKind::ProfileStd,
            2 => SiteKind::Late,
            _ => SiteKind::Patchable,
        }
    }

    const fn function(self) -> u32 {
        self.function_and_kind & ((1 << KIND_SHIFT) - 1)
    }

    const fn at(self) -> Vaddr {
        Vaddr(self.at as u64)
    }

    /// The stub that `on` leads to.
    fn stub(self) -> Vaddr {
        branch::target_of(self.on.insn(), self.at()).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Module {
    id: ModuleId,
    name: String,
    /// The first site that is there: those before it have gone with the init code.
    first: u32,
    own: bool,
    sites: Vec<Site>,
    traced: Bits,
    redirected: Bits,
    profile: Vaddr,
    redirects: SortedMap<u32, Vaddr>,
    /// The patchable sites by their out-of-line stubs, ascending.
    by_stub: Vec<(Vaddr, u32)>,
}

impl Module {
    fn state(&self, index: u32) -> SiteState {
        let mut state = SiteState::OFF;
        state.set(SiteState::TRACED, self.traced.has(index));
        state.set(SiteState::REDIRECTED, self.redirected.has(index));
        state
    }

    fn site_plan(&self, index: u32) -> Option<SitePlan> {
        let site = *self.sites.get(index as usize).filter(|_| index >= self.first)?;
        let stub = site.stub();
        let (shape, profile) = match site.kind() {
            SiteKind::Profile | SiteKind::ProfileStd => (Shape::Early, stub),
            SiteKind::Late => (Shape::Late, stub),
            SiteKind::Patchable => (Shape::Patchable { ool: stub }, self.profile),
        };
        let redirect = self.redirects.get(&index).copied();
        Some(SitePlan { at: site.at(), shape, profile, redirect })
    }

    /// All of its sites.
    fn all(&self) -> Run {
        Run { module: self.id, start: self.first, end: self.sites.len() as u32 }
    }

    /// Adds the sites of `run` that the change makes another state of.
    fn differing(&self, run: Run, found: &mut Changed) {
        let change = found.change;
        let module = self.id;
        let (bits, on) = match change {
            Change::Trace(on) => (&self.traced, on),
            Change::Redirect(on) => (&self.redirected, on),
        };
        let all = run.start..run.end;
        let range = if on { all } else { bits.within(&all) };
        let differs = |index| if on { !bits.word(index) } else { bits.word(index) };
        let redirected = |index| self.redirected.word(index);
        let single = |index| match change {
            // While a site is not redirected, tracing changes its own word only.
            Change::Trace(_) => differs(index) & redirected(index),
            Change::Redirect(_) => differs(index),
        };
        let alike = |index| differs(index) & !single(index);
        bits::runs(range.clone(), alike, |Range { start, end }| {
            found.runs.push(Run { module, start, end });
        });
        if self.redirected.count() > 0 || matches!(change, Change::Redirect(_)) {
            bits::runs(range, single, |run| {
                found.single.extend(run.map(|index| SiteId { module, index }));
            });
        }
    }

    /// Number of the first site at or above `at`.
    fn lower_bound(&self, at: Vaddr) -> usize {
        self.sites.partition_point(|site| site.at() < at).max(self.first as usize)
    }

    fn find(&self, at: Vaddr) -> Option<u32> {
        let index = self.lower_bound(at);
        (self.sites.get(index)?.at() == at).then_some(index as u32)
    }

    /// True if no address of the module's sites can be `at`, found cheaply.
    fn excludes(&self, at: Vaddr) -> bool {
        match (self.sites.get(self.first as usize), self.sites.last()) {
            (Some(first), Some(last)) => at < first.at() || at > last.at(),
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
    /// For `patch::engine::apply_all`, together with [`SiteTable::switches`].
    pub batch: Batch,
    /// The rest, for [`SiteTable::commit`] when that has succeeded.
    pub changed: Changed,
}

/// The sites whose state will be another; the others were so already.
#[derive(Clone, Debug)]
pub struct Changed {
    change: Change,
    /// Those for which their own word is all that changes.
    runs: Vec<Run>,
    /// Those whose words are in the batch.
    single: Vec<SiteId>,
}

impl Changed {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.runs.iter().map(|run| run.count()).sum::<usize>() + self.single.len()
    }
}

/// Sites that are switched from nop to their branch (`ON`) or back, for the text
/// engine. A type for each, so that no step has to ask for each site which it is.
#[derive(Clone, Copy, Debug)]
pub struct Switches<'t, const ON: bool> {
    table: &'t SiteTable,
    runs: &'t [Run],
}

impl<const ON: bool> Switches<'_, ON> {
    fn at(&self, module: ModuleId, index: u32) -> Option<Vaddr> {
        self.table.module(module)?.sites.get(index as usize).map(|site| site.at())
    }
}

impl<const ON: bool> Changes for Switches<'_, ON> {
    type Item = Edit;

    fn try_each<E>(&self, mut see: impl FnMut(Edit) -> Result<(), E>) -> Result<(), E> {
        for run in self.runs {
            // `plan` has seen that the sites are there.
            let module = self.table.module(run.module);
            let sites = module.and_then(|it| it.sites.get(run.start as usize..run.end as usize));
            for site in sites.unwrap_or_default() {
                let (off, on) = (PatchClass::NOP, site.on);
                let (expect, write) = if ON { (off, on) } else { (on, off) };
                see(Edit::new(site.at(), expect, write))?;
            }
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.runs.iter().map(|run| run.count()).sum()
    }

    fn span(&self) -> Option<(Vaddr, Vaddr)> {
        // Modules come in any order, the sites of each ascend.
        let first = self.runs.iter().filter_map(|run| self.at(run.module, run.start)).min()?;
        let last = self.runs.iter().filter_map(|run| self.at(run.module, run.end - 1)).max()?;
        Some((first, last))
    }

    fn touches(&self, at: Vaddr) -> bool {
        self.table.find(at).is_some_and(|id| {
            self.runs
                .iter()
                .any(|run| run.module == id.module && (run.start..run.end).contains(&id.index))
        })
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
    changes: u64,
}

impl SiteTable {
    /// An empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self { modules: Vec::new(), next_id: 0, changes: 0 }
    }

    /// Adds a module; without sites too, so that its absence can be explained.
    pub fn add(&mut self, new: NewModule) -> Result<ModuleId, AddError> {
        let NewModule { name, base, sites, profile, own } = new;
        if self.modules.iter().any(|module| module.name == name) {
            return Err(AddError::Duplicate);
        }
        if u32::try_from(sites.len()).is_err() {
            return Err(AddError::TooMany);
        }
        if let Some(pair) = sites.windows(2).find(|pair| pair[0].offset() >= pair[1].offset()) {
            return Err(AddError::Unsorted { at: pair[1].at(base) });
        }
        // In place: what comes out is as large as what goes in.
        let sites: Vec<_> =
            sites.into_iter().map(|site| Site::new(site, base)).collect::<Result<_, _>>()?;
        let mut by_stub: Vec<_> = (0_u32..)
            .zip(&sites)
            .filter(|(_, site)| site.kind() == SiteKind::Patchable)
            .map(|(index, site)| (site.stub(), index))
            .collect();
        by_stub.sort_unstable();
        let id = ModuleId(self.next_id);
        self.next_id += 1;
        self.changes += 1;
        let (traced, redirected) = (Bits::none(sites.len()), Bits::none(sites.len()));
        let redirects = SortedMap::new();
        let module = Module {
            id,
            name,
            first: 0,
            own,
            sites,
            traced,
            redirected,
            profile,
            redirects,
            by_stub,
        };
        slack::push(&mut self.modules, module);
        Ok(id)
    }

    /// Forgets a module and its sites. Records that point into it lose their names.
    pub fn remove(&mut self, id: ModuleId) -> bool {
        let before = self.modules.len();
        self.modules.retain(|module| module.id != id);
        slack::give_back(&mut self.modules);
        self.changes += 1;
        self.modules.len() < before
    }

    /// How often modules came or went: while it is the same, a filter means the
    /// same sites.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Forgets the sites of a module below `end`: they have gone with its init code.
    /// How many; none if one of them has a redirect stub.
    pub fn drop_below(&mut self, id: ModuleId, end: Vaddr) -> usize {
        self.changes += 1;
        let Some(module) = self.module_mut(id) else { return 0 };
        let first = module.lower_bound(end) as u32;
        if module.redirects.iter().next().is_some_and(|(index, _)| *index < first) {
            return 0;
        }
        module.traced.set(module.first..first, false);
        module.by_stub.retain(|(_, index)| *index >= first);
        let count = first - module.first;
        module.first = first;
        count as usize
    }

    /// Every site of the loaded modules: what is meant where nothing is named.
    #[must_use]
    pub fn of_modules(&self) -> Vec<Run> {
        let mut runs = Vec::with_capacity(self.modules.len() * 2); // as `plan` needs
        runs.extend(self.modules.iter().filter(|module| !module.own).map(Module::all));
        runs
    }

    /// The modules in the order of their arrival.
    pub fn modules(&self) -> impl Iterator<Item = (ModuleId, &str)> {
        self.modules.iter().map(|module| (module.id, module.name.as_str()))
    }

    /// The sites of one module, ascending.
    pub fn sites_of(&self, id: ModuleId) -> impl Iterator<Item = SiteId> {
        let range = self.module(id).map_or(0..0, |module| module.all().start..module.all().end);
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
        let site = *module.sites.get(id.index as usize)?;
        Some(Row {
            id,
            at: site.at(),
            kind: site.kind(),
            function: site.function(),
            state: module.state(id.index),
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
            (site.at() < range.end).then(|| module.id_of(index as u32))
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

    /// What the hook of a site leaves in its records: its `bl`'s return address, and
    /// that of its redirect stub if it has one.
    #[must_use]
    pub fn hooks_of(&self, id: SiteId) -> [Option<Vaddr>; 2] {
        let Some(row) = self.row(id) else { return [None; 2] };
        let own = match row.plan.shape {
            Shape::Early | Shape::Late => row.at.offset(4),
            Shape::Patchable { ool } => ool.offset(8),
        };
        [Some(own), row.plan.redirect.map(|stub| stub.offset(4))]
    }

    /// Gives a site its redirect stub, which stays. `false` if it has another, or
    /// does not exist.
    pub fn set_redirect_stub(&mut self, id: SiteId, stub: Vaddr) -> bool {
        let Some(module) = self.module_mut(id.module) else {
            return false;
        };
        if module.site_plan(id.index).is_none() {
            return false;
        }
        match module.redirects.get(&id.index) {
            Some(other) => *other == stub,
            None => module.redirects.insert(id.index, stub).is_none(),
        }
    }

    /// Takes back a redirect stub that no branch has led to yet. `false` if the
    /// site is redirected: then it stays.
    pub fn take_redirect_stub(&mut self, id: SiteId) -> bool {
        let Some(module) = self.module_mut(id.module) else {
            return false;
        };
        if module.redirected.has(id.index) {
            return false;
        }
        module.redirects.remove(&id.index).is_some()
    }

    /// Counts over one module, or over all.
    #[must_use]
    pub fn counts(&self, only: Option<ModuleId>) -> Counts {
        let modules = self.modules.iter().filter(|module| only.is_none_or(|id| module.id == id));
        modules.fold(Counts::default(), |sum, module| Counts {
            sites: sum.sites + module.all().count(),
            traced: sum.traced + module.traced.count(),
            redirected: sum.redirected + module.redirected.count(),
        })
    }

    /// All sites but those of `runs`, which ascend: what lies between them.
    #[must_use]
    pub fn others(&self, runs: &[Run]) -> Vec<Run> {
        let mut others = Vec::new();
        let mut rest = runs.iter().peekable();
        for module in &self.modules {
            let Run { start, end: count, .. } = module.all();
            let mut start = start;
            while let Some(run) = rest.next_if(|run| run.module == module.id) {
                others.push(Run { module: module.id, start, end: run.start });
                start = run.end;
            }
            others.push(Run { module: module.id, start, end: count });
        }
        others.retain(|run| run.start < run.end);
        others
    }

    /// All sites of modules with one that is traced, but those of the set `runs`.
    #[must_use]
    pub fn traced_beside(&self, runs: &[Run]) -> Vec<Run> {
        let modules = self.modules.iter().filter(|module| module.traced.count() > 0);
        let mut all = Vec::with_capacity(4); // as many again for `plan`
        all.extend(modules.map(Module::all));
        if runs.is_empty() { all } else { runs::minus(&all, runs) }
    }

    /// What `change` needs at the sites of `runs`; those that are in the wanted
    /// state already are left out. `who` is for the journal.
    pub fn plan(&self, who: &str, runs: Vec<Run>, change: Change) -> Result<Plan, PlanError> {
        let mut batch = Batch::new(who, change.why());
        // What is found is put behind what was asked.
        let asked = runs.len();
        let mut changed = Changed { change, runs, single: Vec::new() };
        for place in 0..asked {
            let run = changed.runs[place];
            let gone = PlanError::Gone(SiteId { module: run.module, index: run.start });
            let module = self.module(run.module).ok_or(gone)?;
            if run.end as usize > module.sites.len() || run.start < module.first {
                return Err(gone);
            }
            let first_single = changed.single.len();
            module.differing(run, &mut changed);
            for id in &changed.single[first_single..] {
                let (from, site) = (module.state(id.index), module.site_plan(id.index));
                let site = site.ok_or(gone)?;
                site.plan(from, change.of(from), &mut batch).map_err(PlanError::State)?;
            }
        }
        changed.runs.drain(..asked);
        Ok(Plan { batch, changed })
    }

    /// The part of a plan of this table that is not in its batch: `ON` if the plan
    /// was [`Change::Trace`] of `true`.
    #[must_use]
    pub fn switches<'t, const ON: bool>(&'t self, changed: &'t Changed) -> Switches<'t, ON> {
        debug_assert!(changed.runs.is_empty() || changed.change == Change::Trace(ON));
        Switches { table: self, runs: &changed.runs }
    }

    /// Notes that the engine has applied a plan of this table.
    pub fn commit(&mut self, changed: &Changed) {
        let single = changed.single.iter().map(|id| Run::from(*id));
        for run in changed.runs.iter().copied().chain(single) {
            if let Some(module) = self.module_mut(run.module) {
                let (bits, on) = match changed.change {
                    Change::Trace(on) => (&mut module.traced, on),
                    Change::Redirect(on) => (&mut module.redirected, on),
                };
                bits.set(run.start..run.end, on);
            }
        }
    }

    /// Where a module is. Numbers are given from 0 on and modules keep theirs, so that
    /// it is at its number as long as none before it has gone.
    fn place(&self, id: ModuleId) -> Option<usize> {
        let number = id.0 as usize;
        if self.modules.get(number).is_some_and(|module| module.id == id) {
            return Some(number);
        }
        self.modules.binary_search_by_key(&id, |module| module.id).ok()
    }

    fn module(&self, id: ModuleId) -> Option<&Module> {
        self.modules.get(self.place(id)?)
    }

    fn module_mut(&mut self, id: ModuleId) -> Option<&mut Module> {
        let place = self.place(id)?;
        self.modules.get_mut(place)
    }
}

mod bits;
mod choice;
pub mod runs;
mod select;
#[cfg(test)]
pub(super) mod tests;

pub use choice::Choice;
pub use select::{Functions, Miss, MissReason, Selection};
