//! Which sites a filter means, and why a word of it means none.
//!
//! ```text
//!   crc16       a name without wildcards: from the index by name, then by address
//!   scsi_*      anything else: the name of each site's function is matched
//! ```
//!
//! A word that adds nothing is an error for whoever typed it, and the reasons
//! differ: a misspelt name, a module that is not loaded, or a function that was
//! built without a call site, which no spelling will help.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::{Module, ModuleId, Run, SiteId, SiteTable};
use crate::addr::Vaddr;
use crate::loader::Name;
use crate::trace::filter::{Filter, Pattern};

/// Names of functions, from whoever holds the symbols.
pub trait Functions {
    /// The name of the function with symbol number `function` in `module`.
    fn name_of(&self, module: ModuleId, function: u32) -> Option<Cow<'_, str>>;

    /// The name as people read it, by which it may be asked for too.
    fn readable<'n>(&self, name: &'n str) -> Cow<'n, str> {
        Cow::Borrowed(name)
    }

    /// Hands over the name of every function of `module`, with a site or without.
    fn each(&self, module: ModuleId, visit: &mut dyn FnMut(&str));

    /// Hands over where each function of that name lies in `module`; static ones
    /// may share it. False if there is no index by name: then every site is looked
    /// at.
    fn ranges(
        &self,
        _module: ModuleId,
        _name: &Name<'_>,
        _see: &mut dyn FnMut(Range<Vaddr>),
    ) -> bool {
        false
    }
}

impl SiteTable {
    /// The sites that a filter means, and a reason for each of its words that
    /// means none.
    pub fn select(&self, filter: &Filter, functions: &impl Functions) -> Selection {
        let (runs, suspects) = select_in(&self.modules, filter, functions);
        let misses = suspects.into_iter().filter_map(|word| self.miss(word, functions)).collect();
        Selection { runs, misses }
    }

    /// The sites of one module that a filter means.
    pub fn select_of(&self, id: ModuleId, filter: &Filter, functions: &impl Functions) -> Vec<Run> {
        let module = self.module(id).map(core::slice::from_ref);
        select_in(module.unwrap_or_default(), filter, functions).0
    }

    /// Why `pattern` means no site, or `None` if it does mean one.
    fn miss(&self, pattern: &Pattern, functions: &impl Functions) -> Option<Miss> {
        let refuse = |why| Some(Miss { pattern: pattern.text().to_owned(), why });
        let name = pattern.literal().map(Name::new);
        let mut without_site: Option<(String, &Module)> = None;
        let mut others = 0;
        let mut covered = false;
        for module in self.modules.iter().filter(|module| pattern.covers(&module.name)) {
            covered = true;
            let means = |name: &str| {
                let readable = functions.readable(name);
                [name, &readable].into_iter().any(|name| pattern.matches(&module.name, name))
            };
            let matches = |function| {
                let name = functions.name_of(module.id, function);
                name.is_some_and(|name| means(&name))
            };
            let mut found = false;
            let mut see = |range| found |= site_in(module, &range).is_some();
            let indexed =
                name.as_ref().is_some_and(|name| functions.ranges(module.id, name, &mut see));
            let there = module.sites.get(module.first as usize..).unwrap_or_default();
            if found || !indexed && there.iter().any(|site| matches(site.function())) {
                return None;
            }
            functions.each(module.id, &mut |name| {
                if means(name) {
                    match &without_site {
                        Some(_) => others += 1,
                        None => {
                            without_site = Some((functions.readable(name).into_owned(), module));
                        }
                    }
                }
            });
        }
        let Some((function, module)) = without_site else {
            return refuse(if covered || !pattern.names_module() {
                MissReason::NoFunction
            } else {
                MissReason::NoModule
            });
        };
        let module_has_sites = !module.sites.is_empty();
        let module = module.name.clone();
        refuse(MissReason::NoSite { function, module, others, module_has_sites })
    }
}

/// The sites of some modules that a filter means, and those of its words that may
/// mean none.
fn select_in<'f>(
    modules: &[Module],
    filter: &'f Filter,
    functions: &impl Functions,
) -> (Vec<Run>, Vec<&'f Pattern>) {
    if filter.is_everything() {
        let named = |module: &&Module| !module.own;
        return (modules.iter().filter(named).map(Module::all).collect(), Vec::new());
    }
    if let Some(found) = named(modules, filter, functions) {
        return found;
    }
    let mut runs = Vec::new();
    for module in modules {
        // Names of the kernel's functions cost more to make than these to ask.
        let names = |word: &Pattern| !word.is_negative() && word.covers(&module.name);
        if module.own && !filter.patterns().iter().any(names) {
            continue;
        }
        for (index, site) in (0_u32..).zip(&module.sites).skip(module.first as usize) {
            let name = functions.name_of(module.id, site.function());
            let wanted = |name: Cow<'_, str>| {
                filter.wants_any(&module.name, &[&name, &functions.readable(&name)])
            };
            if name.is_some_and(wanted) {
                add(&mut runs, module.id_of(index));
            }
        }
    }
    let adding = filter.patterns().iter().filter(|pattern| !pattern.is_negative());
    (runs, adding.collect())
}

/// Adds a site behind all others.
fn add(runs: &mut Vec<Run>, site: SiteId) {
    match runs.last_mut() {
        Some(run) if run.module == site.module && run.end == site.index => run.end += 1,
        _ => runs.push(Run::from(site)),
    }
}

/// As [`select_in`], through the index by name; `None` if there is none, or if the
/// filter has other words than names without wildcards.
fn named<'f>(
    modules: &[Module],
    filter: &'f Filter,
    functions: &impl Functions,
) -> Option<(Vec<Run>, Vec<&'f Pattern>)> {
    let (mut sites, mut without): (Vec<Run>, _) = (Vec::new(), Vec::new());
    for pattern in filter.patterns() {
        let name = Name::new(pattern.literal().filter(|_| !pattern.is_negative())?);
        let before = sites.len();
        for module in modules.iter().filter(|module| pattern.covers(&module.name)) {
            let mut see = |range| {
                let found = site_in(module, &range).map(|index| module.id_of(index));
                sites.extend(found.map(Run::from));
            };
            if !functions.ranges(module.id, &name, &mut see) {
                return None;
            }
        }
        if sites.len() == before {
            without.push(pattern);
        }
    }
    // Modules have ascending numbers in the table.
    sites.sort_unstable();
    sites.dedup();
    Some((sites, without))
}

/// Number of the first site in `range`.
fn site_in(module: &Module, range: &Range<Vaddr>) -> Option<u32> {
    let index = module.lower_bound(range.start);
    (module.sites.get(index)?.at() < range.end).then_some(index as u32)
}

/// What a filter means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The sites, module by module, ascending.
    pub runs: Vec<Run>,
    /// The words that mean no site.
    pub misses: Vec<Miss>,
}

impl Selection {
    /// Each of the sites.
    pub fn sites(&self) -> impl Iterator<Item = SiteId> {
        self.runs.iter().flat_map(|run| run.sites())
    }

    /// How many sites.
    #[must_use]
    pub fn count(&self) -> usize {
        self.runs.iter().map(|run| run.count()).sum()
    }
}

/// A word of a filter that means no site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The word.
    pub pattern: String,
    /// Why.
    pub why: MissReason,
}

/// Why a word means no site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissReason {
    /// No loaded module is called so.
    NoModule,
    /// No function is called so.
    NoFunction,
    /// There are such functions, but none has a call site.
    NoSite {
        /// The first of them.
        function: String,
        /// Its module.
        module: String,
        /// How many more there are.
        others: usize,
        /// Whether the module has sites at all.
        module_has_sites: bool,
    },
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pattern, why } = self;
        match why {
            MissReason::NoModule => write!(f, "{pattern}: no such module is loaded (see lsmod)"),
            MissReason::NoFunction => write!(f, "{pattern}: no loaded function has such a name"),
            MissReason::NoSite { function, module, others, module_has_sites } => {
                write!(f, "{pattern}: {function} ")?;
                if *others > 0 {
                    write!(f, "(and {others} more) ")?;
                }
                write!(f, "has no call site: ")?;
                if *module_has_sites {
                    write!(f, "it is notrace, or assembly, in module {module}")
                } else {
                    write!(
                        f,
                        "module {module} was built without -mprofile-kernel or patchable entries"
                    )
                }
            }
        }
    }
}
