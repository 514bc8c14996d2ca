//! Call sites on and off; what they recorded is `records`' affair.
//!
//! `trace::sites` decides which sites a filter means and which words change;
//! `machine::text` changes them; `boot/mcount.S` records.
//!
//! # Invariants
//! - The site table's lock is taken before the text engine's, never after, and
//!   neither is held while module code runs. That of the records comes before both:
//!   names are looked up under it.
//! - While the tracer is on, its filter also holds for modules that come later.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use super::modules::{self, Module, Snapshot};
use super::records::Gone;
use super::{graph, livepatch, own, probes, records, triggers};
use crate::addr::Vaddr;
use crate::ksyms::readable::readable;
use crate::loader::Name;
use crate::loader::callsites::SiteKind;
use crate::loader::stubs::StubKind;
use crate::machine::hooks::{self, Tool};
use crate::machine::lock::{Mutex, briefly};
use crate::machine::text;
use crate::patch::journal::Why;
use crate::patch::plan::Batch;
use crate::patch::state::Word;
use crate::trace::filter::Filter;
use crate::trace::sites::{
    AddError, Change, Choice, Counts, Functions, ModuleId, NewModule, Plan, Row, Run, SiteId,
    SiteTable, runs,
};
use crate::trace::triggers::Triggers;
use crate::trace::words::{Action, Limit, Word as FilterWord};

static SITES: Mutex<SiteTable> = Mutex::new(SiteTable::new());
static TRACER: Mutex<Tracer> = Mutex::new(Tracer::new());

struct Tracer {
    /// What is traced, or will be when the tracer is on again: `set_ftrace_filter`.
    filter: Choice,
    /// What is not: `set_ftrace_notrace`.
    notrace: Choice,
    /// The words of the filter, as they were given.
    words: Vec<String>,
    triggers: Triggers,
    /// Who led to a call is told: `func_stack_trace`.
    stacks: bool,
    /// Where probes stand that are on.
    probed: Vec<Run>,
    on: bool,
}

impl Tracer {
    const fn new() -> Self {
        Self {
            filter: Choice::NONE,
            notrace: Choice::NONE,
            words: Vec::new(),
            triggers: Triggers::NONE,
            stacks: false,
            probed: Vec::new(),
            on: false,
        }
    }

    const fn choice(&self, which: Which) -> &Choice {
        match which {
            Which::Filter => &self.filter,
            Which::Notrace => &self.notrace,
        }
    }

    /// True if calls at a site are recorded.
    fn wants(&self, site: SiteId) -> bool {
        let unsaid = !own::is(site.module());
        self.on && self.filter.has(site, unsaid) && !self.notrace.has(site, false)
    }

    /// The sites that are to be traced.
    fn wanted(&self, sites: &SiteTable) -> Vec<Run> {
        let wanted = match self.filter.chosen() {
            Some(chosen) => {
                let mut wanted = Vec::with_capacity(chosen.len() * 2); // as `plan` needs
                wanted.extend_from_slice(chosen);
                wanted
            }
            None => sites.of_modules(),
        };
        match self.notrace.chosen() {
            Some(without) => runs::minus(&wanted, without),
            None => wanted,
        }
    }
}

/// Which of the two filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// `set_ftrace_filter`.
    Filter,
    /// `set_ftrace_notrace`.
    Notrace,
}

/// Function names out of the loaded modules' symbol tables.
struct Loaded(Snapshot);

impl Loaded {
    fn now() -> Self {
        Self(modules::snapshot())
    }

    fn module(&self, id: ModuleId) -> Option<&Arc<Module>> {
        self.0.iter().find(|module| module.sites == id)
    }
}

impl Functions for Loaded {
    fn names_of(
        &self,
        module: ModuleId,
        functions: &[u32],
        prefix: &[u8],
        visit: &mut dyn FnMut(usize, &str),
    ) {
        if own::is(module) {
            return own::names(functions, prefix, visit);
        }
        let Some(module) = self.module(module) else { return };
        for (place, symbol) in functions.iter().enumerate() {
            visit(place, module.symbol_name(*symbol));
        }
    }

    fn readable<'n>(&self, name: &'n str) -> Cow<'n, str> {
        readable(name)
    }

    fn each(&self, module: ModuleId, prefix: &[u8], visit: &mut dyn FnMut(&str)) {
        if own::is(module) {
            return own::each(prefix, visit);
        }
        let Some(module) = self.module(module) else { return };
        for function in module.functions() {
            visit(module.symbol_name(function.symbol));
        }
    }

    fn ranges(&self, module: ModuleId, name: &Name<'_>, see: &mut dyn FnMut(Range<Vaddr>)) -> bool {
        if own::is(module) {
            own::range(name).into_iter().for_each(see);
            return true;
        }
        let Some(module) = self.module(module) else { return false };
        module.each_named(name, |function| {
            let size = module.object().symbol(function.symbol).map_or(0, |symbol| symbol.st_size);
            let entry = module.address(function.at);
            see(entry..entry.offset(at_least_one_word(size)));
        });
        true
    }
}

/// Bytes of the function at `entry`, at least one instruction.
fn function_len(module: &Module, entry: Vaddr) -> i64 {
    module.function_at(entry).map_or(4, |(_, _, size)| at_least_one_word(size))
}

fn at_least_one_word(size: u64) -> i64 {
    size.cast_signed().max(4)
}

/// Adds a module's sites, all off.
pub fn add(new: NewModule) -> Result<ModuleId, AddError> {
    SITES.lock().add(new)
}

/// Traces of a module that has just been listed what the filters mean.
pub fn module_came(module: &Module) {
    {
        let functions = Loaded::now();
        let mut sites = SITES.lock();
        let wanted = {
            let mut tracer = TRACER.lock();
            tracer.filter.came(module.sites, &module.name, &sites, &functions);
            tracer.notrace.came(module.sites, &module.name, &sites, &functions);
            tracer.on.then(|| tracer.wanted(&sites))
        };
        if let Some(mut wanted) = wanted {
            wanted.retain(|run| run.module() == module.sites);
            // A refusal here leaves the module untraced, as the journal shows.
            let _ = change(&mut sites, &module.name, wanted, Change::Trace(true));
        }
    }
    if has_triggers(module.sites)
        && let Some(module) = modules::by_sites(module.sites)
    {
        let _ = triggers::aim(&module, true);
    }
    graph::refresh();
    probes::module_came(&module.name);
}

/// Forgets a module's sites, and keeps what was recorded of it as text.
#[optimize(size)]
pub fn module_goes(module: &Module) {
    // What was given back is another's by now, and was asked for then.
    let start = module.given_back().end;
    let end = start.offset(module.pages.size().cast_signed());
    records::archive(Gone::Memory(start, end));
    probes::module_goes(module.sites);
    let mut sites = SITES.lock();
    sites.remove(module.sites);
    sites_went(&sites);
    drop(sites);
    graph::refresh();
}

/// Sites have left the table: the filters forget them.
#[optimize(size)]
fn sites_went(sites: &SiteTable) {
    let mut tracer = TRACER.lock();
    tracer.filter.went(sites);
    tracer.notrace.went(sites);
    tracer.triggers.went(sites);
    sites.clip(&mut tracer.probed);
}

/// Forgets a module's sites below `end`, where its init code was; true if nothing is
/// left that leads there.
#[optimize(size)]
pub fn init_goes(module: &Module, end: Vaddr) -> bool {
    let mut sites = SITES.lock();
    if sites.first_in(module.linked().base..end).is_none() {
        return true;
    }
    drop(sites);
    records::archive(Gone::Memory(module.linked().base, end));
    sites = SITES.lock();
    let gone = sites.drop_below(module.sites, end) > 0;
    sites_went(&sites);
    gone
}

/// Changes the state of sites through the text engine: all or nothing.
fn change(
    sites: &mut SiteTable,
    who: &str,
    which: Vec<Run>,
    change: Change,
) -> Result<u64, String> {
    let Plan { batch, changed } =
        sites.plan(who, which, change).map_err(|error| error.to_string())?;
    if changed.count() == 0 {
        return Ok(0);
    }
    let words = match change {
        Change::Trace(true) => text::apply_all(batch, &sites.switches::<true>(&changed)),
        _ => text::apply_all(batch, &sites.switches::<false>(&changed)),
    };
    let words = words.map_err(|refusal| refusal.to_string())?;
    sites.commit(&changed);
    Ok(words)
}

/// Redirects sites, or leads them to their functions again: all or nothing.
pub fn redirect(who: &str, which: Vec<SiteId>, on: bool) -> Result<u64, String> {
    let which = which.into_iter().map(Run::from).collect();
    change(&mut SITES.lock(), who, which, Change::Redirect(on))
}

/// Gives a site its redirect stub.
pub fn set_redirect_stub(site: SiteId, stub: Vaddr) -> bool {
    let done = SITES.lock().set_redirect_stub(site, stub);
    graph::refresh();
    done
}

/// Takes back a redirect stub that its site was never led to.
pub fn take_redirect_stub(site: SiteId) -> bool {
    SITES.lock().take_redirect_stub(site)
}

/// The site of the function whose global entry is `entry`.
pub fn site_of(entry: Vaddr) -> Option<(SiteId, Row)> {
    let len = match modules::containing(entry) {
        Some(module) => function_len(&module, entry),
        None => at_least_one_word(own::function_at(entry)?.1),
    };
    let range = entry..entry.offset(len);
    let sites = SITES.lock();
    let site = sites.first_in(range)?;
    Some((site, sites.row(site)?))
}

/// The site at exactly this address.
pub fn site_at(at: Vaddr) -> Option<(SiteId, Row)> {
    let sites = SITES.lock();
    let site = sites.find(at)?;
    Some((site, sites.row(site)?))
}

/// The function whose hook left `ip`, and its module unless it is the kernel's.
#[optimize(size)]
pub fn hooked(ip: Vaddr) -> Option<(String, Option<Arc<Module>>)> {
    let sites = SITES.lock();
    let row = sites.row(sites.hooked_site(ip)?)?;
    let module = row.id.module();
    drop(sites);
    if own::is(module) {
        return Some((own::name(row.function)?, None));
    }
    let module = modules::by_sites(module)?;
    Some((module.readable_name(row.function).into_owned(), Some(module)))
}

/// The address of the site whose hook left `ip`.
pub fn hooked_at(ip: Vaddr) -> Option<Vaddr> {
    let sites = SITES.lock();
    Some(sites.row(sites.hooked_site(ip)?)?.at)
}

/// Counts over one module's sites, or over those of all modules.
pub fn counts(only: Option<ModuleId>) -> Counts {
    let sites = SITES.lock();
    let all = sites.counts(only);
    match (only, own::id()) {
        (None, Some(own)) => {
            let own = sites.counts(Some(own));
            Counts {
                sites: all.sites - own.sites,
                traced: all.traced - own.traced,
                redirected: all.redirected,
            }
        }
        _ => all,
    }
}

/// The kernel's own functions that a filter means, with their rows.
pub fn own_rows(filter: &Filter) -> Vec<Shown> {
    let Some(own) = own::id() else { return Vec::new() };
    let functions = Loaded::now();
    let sites = SITES.lock();
    shown(&sites, &functions, &sites.select_of(own, filter, &functions))
}

/// A site with its module and its function's name, as people read it.
pub type NamedRow = (Arc<Module>, String, Row);

/// The rows of all sites that a filter means, with module and function.
#[optimize(size)]
pub fn rows(filter: Option<&Filter>) -> Result<Vec<NamedRow>, String> {
    let functions = Loaded::now();
    let sites = SITES.lock();
    let chosen = match filter {
        None => sites.of_modules(),
        Some(filter) => {
            let selection = sites.select(filter, &functions);
            if let Some(miss) = selection.misses.first() {
                return Err(miss.to_string());
            }
            selection.runs
        }
    };
    Ok(named_rows(&sites, &functions, &chosen))
}

fn named_rows(sites: &SiteTable, functions: &Loaded, chosen: &[Run]) -> Vec<NamedRow> {
    let row = |site: SiteId| {
        let row = sites.row(site)?;
        let module = functions.module(site.module())?.clone();
        let name = module.readable_name(row.function).into_owned();
        Some((module, name, row))
    };
    chosen.iter().flat_map(|run| run.sites()).filter_map(row).collect()
}

/// A site with its function as the files show it: `NAME [MOD]`, of the kernel's own
/// only the name.
pub type Shown = (String, Row);

#[optimize(size)]
fn shown(sites: &SiteTable, functions: &Loaded, chosen: &[Run]) -> Vec<Shown> {
    let all: Vec<Row> =
        chosen.iter().flat_map(|run| run.sites()).filter_map(|site| sites.row(site)).collect();
    let (own, others) = all.split_at(all.partition_point(|row| own::is(row.id.module())));
    let functions_of_own: Vec<u32> = own.iter().map(|row| row.function).collect();
    let mut rows = Vec::with_capacity(all.len());
    own::names(&functions_of_own, b"", &mut |place, name| {
        rows.push((name.to_owned(), own[place]));
    });
    for row in others {
        if let Some(module) = functions.module(row.id.module()) {
            let mut name = module.readable_name(row.function).into_owned();
            for part in [" [", &module.name, "]"] {
                name.push_str(part);
            }
            rows.push((name, *row));
        }
    }
    rows
}

/// Every site there is, the kernel's first.
#[optimize(size)]
pub fn everything() -> Vec<Shown> {
    let functions = Loaded::now();
    let sites = SITES.lock();
    shown(&sites, &functions, &sites.others(&[]))
}

/// What a filter's file shows: the functions that were chosen, or nothing if none
/// ever were, and the words that wait for modules.
pub fn chosen(which: Which) -> (Option<Vec<Shown>>, Vec<String>) {
    let functions = Loaded::now();
    let sites = SITES.lock();
    let tracer = TRACER.lock();
    let choice = tracer.choice(which);
    let rows = choice.chosen().map(|runs| shown(&sites, &functions, runs));
    (rows, choice.waiting().map(ToOwned::to_owned).collect())
}

/// Every trigger: its function, what it does, how often still.
#[optimize(size)]
pub fn triggers() -> Vec<(String, Action, Limit)> {
    let functions = Loaded::now();
    let sites = SITES.lock();
    let tracer = TRACER.lock();
    let mut named = Vec::new();
    for (site, action, limit) in tracer.triggers.all() {
        let function = shown(&sites, &functions, &[site.into()]).pop();
        named.extend(function.map(|(function, _)| (function, action, limit)));
    }
    named
}

fn parse(words: &[String]) -> Result<Filter, String> {
    Filter::parse(words.iter().map(String::as_str)).map_err(|error| error.to_string())
}

/// Traces the functions that the words mean, and no others; the number of sites.
pub fn on(words: &[String]) -> Result<usize, String> {
    let filter = parse(words)?;
    let count = switch_to(filter, words)?;
    graph::refresh();
    Ok(count)
}

fn switch_to(filter: Filter, words: &[String]) -> Result<usize, String> {
    let choice = Choice::of_filter(filter, &SITES.lock(), &Loaded::now())?;
    records::start(false)?;
    // The same sites as before: modules come and go on this CPU alone.
    let mut sites = SITES.lock();
    {
        let mut tracer = TRACER.lock();
        tracer.filter = choice;
        tracer.words = words.to_vec();
    }
    switch(&mut sites, true)
}

/// Traces what the filters mean, as they were left; nothing else is recorded yet, unless it
/// was on.
pub fn on_again() -> Result<usize, String> {
    records::start(true)?;
    let count = switch(&mut SITES.lock(), true)?;
    graph::refresh();
    Ok(count)
}

/// Stops tracing; the records stay if they are not to be forgotten, and the filters for the
/// next time.
pub fn off(forget: bool) -> Result<(), String> {
    switch(&mut SITES.lock(), false)?;
    records::stop(forget);
    graph::refresh();
    Ok(())
}

/// Has the sites on at which probes stand, and those that are on anyway.
pub fn set_probed(probed: impl Iterator<Item = SiteId>) -> Result<(), String> {
    let mut sites = SITES.lock();
    let (before, on) = {
        let mut tracer = TRACER.lock();
        let set = probed.fold(Vec::new(), |set, site| runs::union(&set, &[site.into()]));
        (core::mem::replace(&mut tracer.probed, set), tracer.on)
    };
    let done = switch(&mut sites, on).map(|_| ());
    if done.is_err() {
        TRACER.lock().probed = before;
    }
    done
}

/// True if the tracer that is on records calls at a site.
pub fn wants(site: SiteId) -> bool {
    TRACER.lock().wants(site)
}

/// What the hooks of one site leave in their records: the site's own first.
pub fn hooks_at(site: SiteId) -> [Option<Vaddr>; 2] {
    SITES.lock().hooks_of(site)
}

/// Switches sites on that the filters mean, if the tracer is to be on (then there are
/// rings), and those with triggers or probes; and all others off. How many the filters mean.
fn switch(sites: &mut SiteTable, on: bool) -> Result<usize, String> {
    let (mut wanted, count) = {
        let tracer = TRACER.lock();
        let mut wanted = if on { tracer.wanted(sites) } else { Vec::new() };
        let count = wanted.iter().map(|run| run.count()).sum();
        if !tracer.triggers.is_empty() {
            wanted = runs::union(&wanted, &tracer.triggers.sites());
        }
        if !tracer.probed.is_empty() {
            wanted = runs::union(&wanted, &tracer.probed);
        }
        (wanted, count)
    };
    livepatch::burn::undo()?; // calls that go past their functions' hooks
    let there = wanted.iter().map(|run| run.count()).sum();
    let others = (sites.counts(None).traced > 0).then(|| sites.traced_beside(&wanted));
    if there > 0 {
        change(sites, "trace", core::mem::take(&mut wanted), Change::Trace(true))?;
    }
    if let Some(others) = others
        && sites.counts(None).traced > there
    {
        change(sites, "trace", others, Change::Trace(false))?;
    }
    TRACER.lock().on = on;
    Ok(count)
}

/// True if a function of the module has a trigger.
pub fn has_triggers(module: ModuleId) -> bool {
    let tracer = TRACER.lock();
    tracer.stacks || tracer.triggers.sites().iter().any(|run| run.module() == module)
}

/// Has it told who led to each call of a module, or not any more: modules' stubs are
/// aimed, where they can be.
#[optimize(size)]
pub fn set_stacks(on: bool) {
    TRACER.lock().stacks = on;
    for module in Loaded::now().0.iter() {
        // One whose stubs keep their target in instructions goes on without.
        let _ = triggers::aim(module, has_triggers(module.sites));
    }
}

/// Aims the stubs of the modules that have triggers, or of those that have none and need
/// them not for stacks either.
#[inline(never)]
fn aim_stubs(wanted: &[Run], functions: &Loaded, on: bool, stacks: bool) -> Result<(), String> {
    for module in functions.0.iter() {
        let has = wanted.iter().any(|run| run.module() == module.sites);
        if has == on && (on || !stacks) {
            triggers::aim(module, on)?;
        }
    }
    Ok(())
}

/// How many use a site: the tracer, and each kind of trigger.
pub fn users(site: SiteId) -> usize {
    let probes = probes::count_at(site);
    let tracer = TRACER.lock();
    probes + tracer.triggers.count_at(site) + usize::from(tracer.wants(site))
}

/// What is done at a hooked call of a module with triggers.
pub struct Fired {
    /// What the triggers of its site want done.
    pub actions: Vec<Action>,
    /// The hook has something to do besides.
    pub wanted: bool,
    /// Of that, probes.
    pub probed: bool,
    /// Who led there is told behind its line.
    pub stack: bool,
}

/// What is done at the site whose hook left `ip`. `None` if it is nobody's.
#[optimize(size)]
pub fn fire(ip: Vaddr, recording: bool) -> Option<Fired> {
    let site = SITES.lock().hooked_site(ip)?;
    let mut tracer = TRACER.lock();
    let mut actions = Vec::new();
    tracer.triggers.fire(site, recording, |action| {
        actions.push(action);
        action != Action::Traceoff
    });
    let probed = runs::minus(&[site.into()], &tracer.probed).is_empty();
    let wants = tracer.wants(site);
    Some(Fired { actions, wanted: probed || wants, probed, stack: tracer.stacks && wants })
}

/// True if the calls at a site are written with those who led there, before the hook.
#[optimize(size)]
#[inline(never)]
pub fn has_stacks(site: SiteId) -> bool {
    TRACER.lock().stacks
        && modules::by_sites(site.module())
            .is_some_and(|module| triggers::aim(&module, true).is_ok())
}

/// What the hooks of the sites that a filter means leave in their records. If `all` have
/// to, the words have to mean something, and no site behind a prologue: its hook looks
/// into no table.
#[optimize(size)]
pub fn hooks_of(filter: &Filter, all: bool) -> Result<Vec<Vaddr>, String> {
    let functions = Loaded::now();
    let sites = SITES.lock();
    let selection = sites.select(filter, &functions);
    if let Some(miss) = selection.misses.first().filter(|_| all) {
        return Err(miss.to_string());
    }
    let mut hooks = Vec::new();
    for site in selection.sites() {
        if sites.row(site).is_none_or(|row| row.kind != SiteKind::Late) {
            hooks.extend(sites.hooks_of(site).into_iter().flatten());
        } else if all {
            let name = shown(&sites, &functions, &[site.into()]).pop().map(|(name, _)| name);
            let name = name.unwrap_or_default();
            return Err(format!(
                "{name}: its call site is behind the prologue (leave it out with !)"
            ));
        }
    }
    Ok(hooks)
}

/// Puts one tool in another's place at every site that is on; what was recorded is
/// forgotten, for the two have different formats.
#[optimize(size)]
pub fn choose(from: Tool, to: Tool) -> Result<(), String> {
    let _sites = SITES.lock();
    let mut batch = Batch::new("trace", Why::TraceOn);
    hooks::change_tool(from, to).for_each(|edit| batch.push(0, edit));
    text::apply(batch).map(|_| ()).map_err(|refusal| refusal.to_string())
}

/// Every word that the sites of a module and their stubs should hold now, by
/// rising address.
#[optimize(size)]
pub fn planned_words(module: ModuleId) -> Vec<Word> {
    let sites = SITES.lock();
    let mut words = Vec::new();
    for row in sites.sites_of(module).filter_map(|site| sites.row(site)) {
        if let Ok(own) = row.plan.words(row.state) {
            words.extend(own.into_iter().flatten());
        }
    }
    words.sort_unstable_by_key(|word| word.at);
    words
}

/// The rows of a module's sites that have a redirect stub, each with its stub.
#[optimize(size)]
pub fn redirect_stubs(module: ModuleId) -> Vec<(Vaddr, Row)> {
    let sites = SITES.lock();
    let rows = sites.sites_of(module).filter_map(|site| sites.row(site));
    rows.filter_map(|row| Some((row.plan.redirect?, row))).collect()
}

/// The redirect stub whose slot contains an address, and whose it is; nothing if
/// the table is being changed, for the report of a fault asks too.
#[optimize(size)]
pub fn redirect_stub_at(at: Vaddr) -> Option<(ModuleId, Vaddr)> {
    let slot = StubKind::Redirect.slot_bytes().cast_signed();
    let sites = briefly(&SITES)?;
    let mut rows = sites.all().filter_map(|site| Some((site, sites.row(site)?.plan.redirect?)));
    let found = rows.find(|(_, stub)| (*stub..stub.offset(slot)).contains(&at));
    found.map(|(site, stub)| (site.module(), stub))
}

/// Runs `work` while sites and tracer are locked.
pub fn while_locked(work: &mut dyn FnMut()) {
    let _sites = SITES.lock();
    let _tracer = TRACER.lock();
    work();
}

/// Writes words to a filter's file: all of them, or none if one is refused. At once
/// if the tracer is on.
#[optimize(size)]
pub fn write_filter(which: Which, text: &str, append: bool) -> Result<(), String> {
    let given: Vec<&str> = text.split_ascii_whitespace().collect();
    let mut words = Vec::with_capacity(given.len());
    for word in &given {
        words.push(FilterWord::parse(word).map_err(|error| error.to_string())?);
    }
    let functions = Loaded::now();
    let mut triggered = false;
    let mut sites = SITES.lock();
    let on = {
        let mut tracer = TRACER.lock();
        let new = tracer.choice(which).written(&words, append, &sites, &functions)?;
        let mut triggers = None;
        for word in &words {
            let FilterWord::Trigger(word) = word else { continue };
            if which == Which::Notrace {
                return Err(format!("{}: triggers are set through set_ftrace_filter", word.text));
            }
            let so_far = triggers.as_ref().unwrap_or(&tracer.triggers);
            triggers = Some(so_far.written(word, &sites, &functions)?);
        }
        if let Some(new) = triggers {
            // All is refused together, so this comes first.
            if let Err(why) = aim_stubs(&new.sites(), &functions, true, tracer.stacks) {
                let before = tracer.triggers.sites();
                let _ = aim_stubs(&before, &functions, false, tracer.stacks);
                return Err(why);
            }
            tracer.triggers = new;
            triggered = true;
        }
        if which == Which::Notrace {
            tracer.notrace = new;
        } else {
            if !append || new.chosen().is_none() {
                tracer.words.clear();
            }
            if new.chosen().is_some() {
                let is_trigger = |word: &FilterWord| matches!(word, FilterWord::Trigger(_));
                let said = given.iter().zip(&words).filter(|(_, word)| !is_trigger(word));
                tracer.words.extend(said.map(|(text, _)| (*text).to_owned()));
            }
            tracer.filter = new;
        }
        tracer.on
    };
    if on || triggered {
        switch(&mut sites, on)?;
    }
    if triggered {
        let (wanted, stacks) = {
            let tracer = TRACER.lock();
            (tracer.triggers.sites(), tracer.stacks)
        };
        aim_stubs(&wanted, &functions, false, stacks)?;
    }
    drop(sites);
    if on {
        graph::refresh();
    }
    Ok(())
}

/// True if any site is on, for whatever tool.
pub fn any_traced() -> bool {
    SITES.lock().counts(None).traced > 0
}

/// True while the function tracer is on.
pub fn is_on() -> bool {
    TRACER.lock().on
}

/// What `trace status` says: one fact a line.
#[optimize(size)]
pub fn status() -> String {
    let (on, words) = {
        let tracer = TRACER.lock();
        (tracer.on, tracer.words.join(" "))
    };
    let counts = counts(None);
    let own = own::id().map(|own| self::counts(Some(own))).unwrap_or_default();
    let own = if own.traced > 0 {
        format!("kernel sites {} traced {}\n", own.sites, own.traced)
    } else {
        String::new()
    };
    let (there, written) = records::counts();
    let filter = match (on, words.is_empty()) {
        (false, _) => "none",
        (true, true) => "*",
        (true, false) => &words,
    };
    format!(
        "tracer {}\nfilter {filter}\nsites {} traced {} redirected {}\n{own}records {there} lost {}\n",
        if on { graph::tracer_name() } else { "nop" },
        counts.sites,
        counts.traced,
        counts.redirected,
        written - there,
    )
}

/// The trace of all CPUs, or of one, as Linux's `trace` file shows it, handed over in
/// pieces.
pub fn show(only: Option<u16>, out: &mut dyn FnMut(&str)) {
    records::show(is_on(), only, out);
}
