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

use super::{Module, ModuleId, SiteId, SiteTable};
use crate::addr::Vaddr;
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

    /// Where the functions of that name lie in `module`; static ones may share
    /// it. `None` if there is no index by name: then every site is looked at.
    fn ranges(&self, _module: ModuleId, _name: &str) -> Option<Vec<Range<Vaddr>>> {
        None
    }
}

impl SiteTable {
    /// The sites that a filter means, and a reason for each of its words that
    /// means none.
    pub fn select(&self, filter: &Filter, functions: &impl Functions) -> Selection {
        let mut sites = Vec::new();
        for module in &self.modules {
            self.select_in(module, filter, functions, &mut sites);
        }
        let adding = filter.patterns().iter().filter(|pattern| !pattern.is_negative());
        let misses = adding.filter_map(|pattern| self.miss(pattern, functions)).collect();
        Selection { sites, misses }
    }

    fn select_in(
        &self,
        module: &Module,
        filter: &Filter,
        functions: &impl Functions,
        sites: &mut Vec<SiteId>,
    ) {
        if filter.is_everything() {
            sites.extend(self.sites_of(module.id));
            return;
        }
        if let Some(found) = indexed(module, filter, functions) {
            sites.extend(found.into_iter().map(|index| module.id_of(index)));
            return;
        }
        for (index, site) in module.numbered() {
            let name = functions.name_of(module.id, site.function());
            let wanted = |name: Cow<'_, str>| {
                filter.wants_any(&module.name, &[&name, &functions.readable(&name)])
            };
            if name.is_some_and(wanted) {
                sites.push(module.id_of(index));
            }
        }
    }

    /// Why `pattern` means no site, or `None` if it does mean one.
    fn miss(&self, pattern: &Pattern, functions: &impl Functions) -> Option<Miss> {
        let refuse = |why| Some(Miss { pattern: pattern.text().to_owned(), why });
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
            let found = match pattern.literal().and_then(|name| functions.ranges(module.id, name)) {
                Some(ranges) => ranges.iter().any(|range| site_in(module, range).is_some()),
                None => module.sites.iter().any(|site| matches(site.function())),
            };
            if found {
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

/// The sites of a filter that names functions without wildcards only, through the
/// index by name; `None` if it is no such filter or there is no index.
fn indexed(module: &Module, filter: &Filter, functions: &impl Functions) -> Option<Vec<u32>> {
    let mut sites = Vec::new();
    for pattern in filter.patterns() {
        let name = pattern.literal().filter(|_| !pattern.is_negative())?;
        if pattern.covers(&module.name) {
            let ranges = functions.ranges(module.id, name)?;
            sites.extend(ranges.iter().filter_map(|range| site_in(module, range)));
        }
    }
    sites.sort_unstable();
    sites.dedup();
    Some(sites)
}

/// Number of the first site in `range`.
fn site_in(module: &Module, range: &Range<Vaddr>) -> Option<u32> {
    let index = module.lower_bound(range.start);
    (module.sites.get(index)?.at(module.base) < range.end).then_some(module.first + index as u32)
}

/// What a filter means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The sites, module by module, ascending.
    pub sites: Vec<SiteId>,
    /// The words that mean no site.
    pub misses: Vec<Miss>,
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
