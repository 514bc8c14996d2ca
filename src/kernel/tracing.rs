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

use super::modules::{self, Module};
use super::records;
use crate::addr::Vaddr;
use crate::ksyms::readable::readable;
use crate::loader::stubs::StubKind;
use crate::machine::lock::Mutex;
use crate::machine::text;
use crate::patch::state::{SiteState, Word};
use crate::trace::filter::Filter;
use crate::trace::sites::{
    AddError, Change, Counts, Functions, ModuleId, NewModule, Row, SiteId, SiteTable,
};

static SITES: Mutex<SiteTable> = Mutex::new(SiteTable::new());
static TRACER: Mutex<Tracer> = Mutex::new(Tracer::new());

struct Tracer {
    /// What is traced; `None` while the tracer is off.
    filter: Option<Filter>,
    /// The filter's words, for `set_ftrace_filter`.
    words: Vec<String>,
}

impl Tracer {
    const fn new() -> Self {
        Self { filter: None, words: Vec::new() }
    }
}

/// Function names out of the loaded modules' symbol tables.
struct Loaded(Vec<Arc<Module>>);

impl Loaded {
    fn now() -> Self {
        Self(modules::all())
    }

    fn module(&self, id: ModuleId) -> Option<&Arc<Module>> {
        self.0.iter().find(|module| module.sites == id)
    }
}

impl Functions for Loaded {
    fn name_of(&self, module: ModuleId, function: u32) -> Option<Cow<'_, str>> {
        self.module(module).map(|module| Cow::Borrowed(module.symbol_name(function)))
    }

    fn readable<'n>(&self, name: &'n str) -> Cow<'n, str> {
        readable(name)
    }

    fn each(&self, module: ModuleId, visit: &mut dyn FnMut(&str)) {
        let Some(module) = self.module(module) else { return };
        for function in module.functions() {
            visit(module.symbol_name(function.symbol));
        }
    }

    fn ranges(&self, module: ModuleId, name: &str) -> Option<Vec<Range<Vaddr>>> {
        let module = self.module(module)?;
        let entries = module.functions_named(name).into_iter();
        Some(entries.map(|entry| entry..entry.offset(function_len(module, entry))).collect())
    }
}

/// Bytes of the function at `entry`, at least one instruction.
fn function_len(module: &Module, entry: Vaddr) -> i64 {
    module.function_at(entry).map_or(4, |(_, _, size)| size.cast_signed().max(4))
}

/// Adds a module's sites, all off.
pub fn add(new: NewModule) -> Result<ModuleId, AddError> {
    SITES.lock().add(new)
}

/// Traces a module that has just been listed, if the filter means it.
pub fn module_came(module: &Module) {
    let filter = TRACER.lock().filter.clone();
    if let Some(filter) = filter {
        let functions = Loaded::now();
        let mut sites = SITES.lock();
        let mut wanted = sites.select(&filter, &functions).sites;
        wanted.retain(|site| site.module() == module.sites);
        // A refusal here leaves the module untraced, as the journal shows.
        let _ = change(&mut sites, &module.name, wanted, Change::Trace(true));
    }
}

/// Forgets a module's sites, and keeps what was recorded of it as text.
pub fn module_goes(module: &Module) {
    records::archive();
    SITES.lock().remove(module.sites);
}

/// Forgets a module's sites below `end`, where its init code was; true if nothing is
/// left that leads there.
pub fn init_goes(module: &Module, end: Vaddr) -> bool {
    let mut sites = SITES.lock();
    let first = sites.first_in(module.linked.base..end);
    if first.is_none() {
        return true;
    }
    drop(sites);
    records::archive();
    sites = SITES.lock();
    sites.drop_below(module.sites, end) > 0
}

/// Changes the state of sites through the text engine: all or nothing.
fn change(
    sites: &mut SiteTable,
    who: &str,
    which: Vec<SiteId>,
    change: Change,
) -> Result<u64, String> {
    let plan = sites.plan(who, which, change).map_err(|error| error.to_string())?;
    let (batch, changed, change) = plan.into_parts();
    let words = text::apply(batch).map_err(|refusal| refusal.to_string())?;
    sites.commit(&changed, change);
    Ok(words)
}

/// Redirects sites, or leads them to their functions again: all or nothing.
pub fn redirect(who: &str, which: Vec<SiteId>, on: bool) -> Result<u64, String> {
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
    let module = modules::containing(entry)?;
    let range = entry..entry.offset(function_len(&module, entry));
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

/// The function whose hook left `ip`.
pub fn hooked(ip: Vaddr) -> Option<Cow<'static, str>> {
    let sites = SITES.lock();
    let row = sites.row(sites.hooked_site(ip)?)?;
    let module = row.id.module();
    drop(sites);
    modules::by_sites(module).map(|module| module.readable_name(row.function))
}

/// Counts over one module's sites, or over all.
pub fn counts(only: Option<ModuleId>) -> Counts {
    SITES.lock().counts(only)
}

/// A site with its module and its function's name, as people read it.
pub type NamedRow = (Arc<Module>, Cow<'static, str>, Row);

/// The rows of all sites that a filter means, with module and function.
pub fn rows(filter: Option<&Filter>) -> Result<Vec<NamedRow>, String> {
    let functions = Loaded::now();
    let sites = SITES.lock();
    let chosen = match filter {
        None => sites.all().collect(),
        Some(filter) => {
            let selection = sites.select(filter, &functions);
            if let Some(miss) = selection.misses.first() {
                return Err(miss.to_string());
            }
            selection.sites
        }
    };
    let row = |site: SiteId| {
        let row = sites.row(site)?;
        let module = functions.module(site.module())?.clone();
        let name = module.readable_name(row.function);
        Some((module, name, row))
    };
    Ok(chosen.into_iter().filter_map(row).collect())
}

/// Traces the functions that the words mean, and no others; the number of sites.
pub fn on(words: &[String]) -> Result<usize, String> {
    let filter =
        Filter::parse(words.iter().map(String::as_str)).map_err(|error| error.to_string())?;
    let functions = Loaded::now();
    let mut sites = SITES.lock();
    let selection = sites.select(&filter, &functions);
    if let Some(miss) = selection.misses.first() {
        return Err(miss.to_string());
    }
    let traced: Vec<_> = sites.in_state(SiteState::TRACED).collect();
    let wanted = |site: &SiteId| selection.sites.binary_search(site).is_ok();
    let stop = traced.into_iter().filter(|site| !wanted(site)).collect();
    let count = selection.sites.len();
    records::start()?;
    change(&mut sites, "trace", selection.sites.clone(), Change::Trace(true))?;
    change(&mut sites, "trace", stop, Change::Trace(false))?;
    let mut tracer = TRACER.lock();
    tracer.filter = Some(filter);
    tracer.words = words.to_vec();
    Ok(count)
}

/// Stops tracing; the records stay, and the filter for the next time.
pub fn off() -> Result<(), String> {
    let mut sites = SITES.lock();
    let traced = sites.in_state(SiteState::TRACED).collect();
    change(&mut sites, "trace", traced, Change::Trace(false))?;
    records::stop();
    TRACER.lock().filter = None;
    Ok(())
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
    let sites = SITES.try_lock()?;
    let mut rows = sites.all().filter_map(|site| Some((site, sites.row(site)?.plan.redirect?)));
    let found = rows.find(|(_, stub)| (*stub..stub.offset(slot)).contains(&at));
    found.map(|(site, stub)| (site.module(), stub))
}

/// The words that `current_tracer` starts with.
pub fn pending_words() -> Vec<String> {
    TRACER.lock().words.clone()
}

/// Sets the filter's words, or adds to them; at once if the tracer is on.
pub fn set_words(new: Vec<String>, append: bool) -> Result<(), String> {
    let mut words = if append { pending_words() } else { Vec::new() };
    words.extend(new);
    if TRACER.lock().filter.is_some() {
        return on(&words).map(|_| ());
    }
    let filter =
        Filter::parse(words.iter().map(String::as_str)).map_err(|error| error.to_string())?;
    let selection = SITES.lock().select(&filter, &Loaded::now());
    if let Some(miss) = selection.misses.first() {
        return Err(miss.to_string());
    }
    TRACER.lock().words = words;
    Ok(())
}

/// The words of the filter while the tracer is on.
pub fn filter_words() -> Option<Vec<String>> {
    let tracer = TRACER.lock();
    tracer.filter.as_ref().map(|_| tracer.words.clone())
}

/// What `trace status` says: one fact a line.
pub fn status() -> String {
    let words = filter_words();
    let counts = counts(None);
    let (there, written) = records::counts();
    format!(
        "tracer {}\nfilter {}\nsites {} traced {} redirected {}\nrecords {} lost {}\n",
        if words.is_some() { "function" } else { "nop" },
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
    records::show(TRACER.lock().filter.is_some(), out);
}
