//! Call sites on and off; what they recorded is `records`' affair.
//!
//! `trace::sites` decides which sites a filter means and which words change;
//! `machine::text` changes them; `boot/mcount.S` records.
//!
//! # Invariants
//! - The site table's lock is taken before the text engine's, never after, and
//!   neither is held while module code runs.
//! - While the tracer is on, its filter also holds for modules that come later.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use super::modules::{self, Module, Snapshot};
use super::{graph, own, records};
use crate::addr::Vaddr;
use crate::ksyms::readable::readable;
use crate::loader::Name;
use crate::loader::stubs::StubKind;
use crate::machine::hooks::{self, Tool};
use crate::machine::lock::{Mutex, briefly};
use crate::machine::text;
use crate::patch::journal::Why;
use crate::patch::plan::Batch;
use crate::patch::state::Word;
use crate::trace::filter::Filter;
use crate::trace::sites::{
    AddError, Change, Counts, Functions, ModuleId, NewModule, Plan, Row, Run, SiteId, SiteTable,
};

static SITES: Mutex<SiteTable> = Mutex::new(SiteTable::new());
static TRACER: Mutex<Tracer> = Mutex::new(Tracer::new());

struct Tracer {
    /// What is traced, or will be when the tracer is on again; nothing was ever
    /// said if it is `None`, and that means everything.
    filter: Option<Arc<Filter>>,
    /// The sites that it meant when the table had changed this often.
    meant: (u64, Vec<Run>),
    on: bool,
}

impl Tracer {
    const fn new() -> Self {
        Self { filter: None, meant: (0, Vec::new()), on: false }
    }

    /// The filter, if the tracer is on.
    fn active(&self) -> Option<Arc<Filter>> {
        self.filter.clone().filter(|_| self.on)
    }
}

/// The words of a filter as they were given.
fn words_of(filter: &Filter) -> Vec<String> {
    filter.patterns().iter().map(|pattern| pattern.text().to_owned()).collect()
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
    fn name_of(&self, module: ModuleId, function: u32) -> Option<Cow<'_, str>> {
        if own::is(module) {
            return own::name(function).map(Cow::Owned);
        }
        self.module(module).map(|module| Cow::Borrowed(module.symbol_name(function)))
    }

    fn readable<'n>(&self, name: &'n str) -> Cow<'n, str> {
        readable(name)
    }

    fn each(&self, module: ModuleId, visit: &mut dyn FnMut(&str)) {
        if own::is(module) {
            return own::each(visit);
        }
        let Some(module) = self.module(module) else { return };
        for function in module.functions() {
            visit(module.symbol_name(function.symbol));
        }
    }

    fn ranges(&self, module: ModuleId, name: &Name<'_>, see: &mut dyn FnMut(Range<Vaddr>)) -> bool {
        if own::is(module) {
            own::range(name.text).into_iter().for_each(see);
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

/// Traces a module that has just been listed, if the filter means it.
pub fn module_came(module: &Module) {
    if let Some(filter) = active_filter() {
        let functions = Loaded::now();
        let mut sites = SITES.lock();
        let wanted = sites.select_of(module.sites, &filter, &functions);
        // A refusal here leaves the module untraced, as the journal shows.
        let _ = change(&mut sites, &module.name, wanted, Change::Trace(true));
    }
}

/// Forgets a module's sites, and keeps what was recorded of it as text.
pub fn module_goes(module: &Module) {
    records::archive();
    let mut sites = SITES.lock();
    sites.remove(module.sites);
    TRACER.lock().meant = (0, Vec::new()); // sites of the past
}

/// Forgets a module's sites below `end`, where its init code was; true if nothing is
/// left that leads there.
pub fn init_goes(module: &Module, end: Vaddr) -> bool {
    let mut sites = SITES.lock();
    if sites.first_in(module.linked().base..end).is_none() {
        return true;
    }
    drop(sites);
    records::archive();
    sites = SITES.lock();
    TRACER.lock().meant = (0, Vec::new()); // sites of the past
    sites.drop_below(module.sites, end) > 0
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
    SITES.lock().set_redirect_stub(site, stub)
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
pub fn own_rows(filter: Option<&Filter>) -> Vec<(String, Row)> {
    let sites = SITES.lock();
    let Some(own) = own::id() else { return Vec::new() };
    let chosen: Vec<SiteId> = match filter {
        None => sites.sites_of(own).collect(),
        Some(filter) => sites
            .select_of(own, filter, &Loaded::now())
            .iter()
            .flat_map(|run| run.sites())
            .collect(),
    };
    let row = |site| {
        let row = sites.row(site)?;
        Some((own::name(row.function)?, row))
    };
    chosen.into_iter().filter_map(row).collect()
}

/// A site with its module and its function's name, as people read it.
pub type NamedRow = (Arc<Module>, String, Row);

/// The rows of all sites that a filter means, with module and function.
pub fn rows(filter: Option<&Filter>) -> Result<Vec<NamedRow>, String> {
    let functions = Loaded::now();
    let sites = SITES.lock();
    let chosen: Vec<SiteId> = match filter {
        None => sites.all().collect(),
        Some(filter) => {
            let selection = sites.select(filter, &functions);
            if let Some(miss) = selection.misses.first() {
                return Err(miss.to_string());
            }
            selection.sites().collect()
        }
    };
    let row = |site: SiteId| {
        let row = sites.row(site)?;
        let module = functions.module(site.module())?.clone();
        let name = module.readable_name(row.function).into_owned();
        Some((module, name, row))
    };
    Ok(chosen.into_iter().filter_map(row).collect())
}

/// The filter, if the tracer is on.
fn active_filter() -> Option<Arc<Filter>> {
    TRACER.lock().active()
}

fn parse(words: &[String]) -> Result<Filter, String> {
    Filter::parse(words.iter().map(String::as_str)).map_err(|error| error.to_string())
}

/// Traces the functions that the words mean, and no others; the number of sites.
pub fn on(words: &[String]) -> Result<usize, String> {
    let filter = parse(words)?;
    let mut sites = SITES.lock();
    set_filter(&sites, filter)?;
    trace_filter(&mut sites)
}

/// Traces what the filter's words mean, as they were left.
pub fn on_again() -> Result<usize, String> {
    let mut sites = SITES.lock();
    let (filter, seen) = {
        let tracer = TRACER.lock();
        (tracer.filter.clone(), tracer.meant.0)
    };
    match filter {
        Some(_) if seen == sites.changes() => {}
        filter => set_filter(&sites, filter.map_or(Filter::EVERYTHING, Arc::unwrap_or_clone))?,
    }
    trace_filter(&mut sites)
}

/// Makes `filter` the tracer's if each of its words means something.
fn set_filter(sites: &SiteTable, filter: Filter) -> Result<(), String> {
    let selection = sites.select(&filter, &Loaded::now());
    if let Some(miss) = selection.misses.first() {
        return Err(miss.to_string());
    }
    let mut tracer = TRACER.lock();
    tracer.filter = Some(Arc::new(filter));
    tracer.meant = (sites.changes(), selection.runs);
    Ok(())
}

/// Traces the sites that the tracer's filter means, and no others.
fn trace_filter(sites: &mut SiteTable) -> Result<usize, String> {
    let wanted = {
        let tracer = TRACER.lock();
        let mut wanted = Vec::with_capacity(tracer.meant.1.len() * 2); // as `plan` needs
        wanted.extend_from_slice(&tracer.meant.1);
        wanted
    };
    let count = wanted.iter().map(|run| run.count()).sum();
    records::start()?;
    let others = (sites.counts(None).traced > 0).then(|| sites.others(&wanted));
    change(sites, "trace", wanted, Change::Trace(true))?;
    if let Some(others) = others
        && sites.counts(None).traced > count
    {
        change(sites, "trace", others, Change::Trace(false))?;
    }
    TRACER.lock().on = true;
    Ok(count)
}

/// Stops tracing; the records stay, and the filter for the next time.
pub fn off() -> Result<(), String> {
    let mut sites = SITES.lock();
    let all = sites.others(&[]);
    change(&mut sites, "trace", all, Change::Trace(false))?;
    records::stop();
    TRACER.lock().on = false;
    Ok(())
}

/// Puts one tool in another's place at every site that is on; what was recorded is
/// forgotten, for the two have different formats.
pub fn choose(from: Tool, to: Tool) -> Result<(), String> {
    let _sites = SITES.lock();
    let mut batch = Batch::new("trace", Why::TraceOn);
    hooks::change_tool(from, to).into_iter().for_each(|edit| batch.push(0, edit));
    text::apply(batch).map(|_| ()).map_err(|refusal| refusal.to_string())
}

/// Every word that the sites of a module and their stubs should hold now, by
/// rising address.
pub fn planned_words(module: ModuleId) -> Vec<Word> {
    let sites = SITES.lock();
    let rows = sites.sites_of(module).filter_map(|site| sites.row(site));
    let words = rows.filter_map(|row| row.plan.words(row.state).ok());
    let mut words: Vec<_> = words.flatten().flatten().collect();
    words.sort_unstable_by_key(|word| word.at);
    words
}

/// The rows of a module's sites that have a redirect stub, each with its stub.
pub fn redirect_stubs(module: ModuleId) -> Vec<(Vaddr, Row)> {
    let sites = SITES.lock();
    let rows = sites.sites_of(module).filter_map(|site| sites.row(site));
    rows.filter_map(|row| Some((row.plan.redirect?, row))).collect()
}

/// The redirect stub whose slot contains an address, and whose it is; nothing if
/// the table is being changed, for the report of a fault asks too.
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

/// The words that `current_tracer` starts with.
pub fn pending_words() -> Vec<String> {
    TRACER.lock().filter.as_ref().map_or_else(Vec::new, |filter| words_of(filter))
}

/// Sets the filter's words, or adds to them; at once if the tracer is on.
pub fn set_words(new: Vec<String>, append: bool) -> Result<(), String> {
    let mut words = if append { pending_words() } else { Vec::new() };
    words.extend(new);
    if TRACER.lock().on {
        return on(&words).map(|_| ());
    }
    set_filter(&SITES.lock(), parse(&words)?)
}

/// The words of the filter while the tracer is on.
pub fn filter_words() -> Option<Vec<String>> {
    active_filter().map(|filter| words_of(&filter))
}

/// What `trace status` says: one fact a line.
pub fn status() -> String {
    let words = filter_words();
    let counts = counts(None);
    let own = own::id().map(|own| self::counts(Some(own))).unwrap_or_default();
    let own = if own.traced > 0 {
        format!("kernel sites {} traced {}\n", own.sites, own.traced)
    } else {
        String::new()
    };
    let (there, written) = records::counts();
    format!(
        "tracer {}\nfilter {}\nsites {} traced {} redirected {}\n{own}records {} lost {}\n",
        if words.is_some() { graph::tracer_name() } else { "nop" },
        words.map_or("none".to_owned(), |words| if words.is_empty() {
            "*".to_owned()
        } else {
            words.join(" ")
        }),
        counts.sites,
        counts.traced,
        counts.redirected,
        there,
        written - there,
    )
}

/// The trace as Linux's `trace` file shows it, handed over in pieces.
pub fn show(out: impl FnMut(&str)) {
    records::show(TRACER.lock().on, out);
}
