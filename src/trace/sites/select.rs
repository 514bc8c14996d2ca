//! Which sites a filter means, and why a word of it means none.
//!
//! ```text
//!   crc16       a name without wildcards: from the index by name, then by address
//!   scsi_*      anything else: the name of each site's function is matched
//! ```
//!
//! The kernel's own names are packed, and matching them would cost more than all else:
//! they are walked through once for all words, and only those become text that begin
//! as a word does.
//!
//! A word that adds nothing is an error for whoever typed it, and the reasons
//! differ: a misspelt name, a module that is not loaded, or a function that was
//! built without a call site, which no spelling will help.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::runs;
use super::{Module, ModuleId, Run, SiteId, SiteTable};
use crate::addr::Vaddr;
use crate::loader::Name;
use crate::trace::filter::{Filter, Pattern};

/// Names of functions, from whoever holds the symbols.
pub trait Functions {
    /// Hands over the names of the functions with these symbol numbers in `module`,
    /// each with its place among them. Left out may be those that begin in another way
    /// than `prefix` in both their forms. The numbers are in the order of the sites.
    fn names_of(
        &self,
        module: ModuleId,
        functions: &[u32],
        prefix: &[u8],
        visit: &mut dyn FnMut(usize, &str),
    );

    /// The name as people read it, by which it may be asked for too; borrowed if that
    /// is the same.
    fn readable<'n>(&self, name: &'n str) -> Cow<'n, str> {
        Cow::Borrowed(name)
    }

    /// Hands over the name of every function of `module`, with a site or without; but
    /// see [`Self::names_of`] for `prefix`.
    fn each(&self, module: ModuleId, prefix: &[u8], visit: &mut dyn FnMut(&str));

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
        let prefix = pattern.prefix();
        let mut without_site: Option<(String, &Module)> = None;
        let mut others = 0;
        let mut covered = false;
        for module in self.modules.iter().filter(|module| pattern.covers(&module.name)) {
            covered = true;
            let means = |name: &str| means(functions, pattern, name);
            let mut found = false;
            let mut see = |range| found |= site_in(module, &range).is_some();
            let indexed =
                name.as_ref().is_some_and(|name| functions.ranges(module.id, name, &mut see));
            if !found && !indexed {
                let mut see = |_, name: &str| found |= !found && means(name);
                functions.names_of(module.id, &module.functions(), &prefix, &mut see);
            }
            if found {
                return None;
            }
            functions.each(module.id, &prefix, &mut |name| {
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
    let mut found = Vec::new();
    // The adding words that have not had their way with any site.
    let mut idle: Vec<_> = filter.patterns().iter().map(|word| !word.is_negative()).collect();
    let initial = filter.initial();
    for module in modules {
        let words = filter.patterns().iter().zip(&mut idle);
        let mut words: Vec<_> = words.filter(|(word, _)| word.covers(&module.name)).collect();
        let adding = words.iter().filter(|(word, _)| !word.is_negative());
        let prefix = adding.map(|(word, _)| word.prefix()).reduce(common);
        // Where nothing is added, all is there to be taken from: but of modules alone.
        let prefix = prefix.or_else(|| (initial && !module.own).then(Vec::new));
        let Some(prefix) = prefix else { continue };
        let mut see = |place, name: &str| {
            // The last word that matches decides.
            let mut words = words.iter_mut().rev();
            let deciding = words.find(|(word, _)| means(functions, word, name));
            let wanted = deciding.map_or(initial, |(word, idle)| {
                **idle = false;
                !word.is_negative()
            });
            if wanted {
                runs::add(&mut found, module.id_of(module.first + place as u32));
            }
        };
        functions.names_of(module.id, &module.functions(), &prefix, &mut see);
    }
    let words = filter.patterns().iter().zip(idle);
    (found, words.filter_map(|(word, idle)| idle.then_some(word)).collect())
}

/// True if a word means a function of a module that it covers, by either form of its name.
fn means(functions: &impl Functions, word: &Pattern, name: &str) -> bool {
    let readable = || match functions.readable(name) {
        Cow::Owned(readable) => word.matches_name(&readable),
        Cow::Borrowed(_) => false, // the same again
    };
    word.matches_name(name) || readable()
}

/// What two beginnings have in common.
fn common(mut one: Vec<u8>, other: Vec<u8>) -> Vec<u8> {
    one.truncate(one.iter().zip(&other).take_while(|(one, other)| one == other).count());
    one
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
        let mut found = false;
        for module in modules.iter().filter(|module| pattern.covers(&module.name)) {
            let mut see = |range| {
                if let Some(index) = site_in(module, &range) {
                    sites = runs::union(&sites, &[module.id_of(index).into()]);
                    found = true;
                }
            };
            if !functions.ranges(module.id, &name, &mut see) {
                return None;
            }
        }
        if !found {
            without.push(pattern);
        }
    }
    Some((sites, without))
}

impl Module {
    /// The symbol number of each site's function.
    fn functions(&self) -> Vec<u32> {
        self.sites[self.first as usize..].iter().map(|site| site.function()).collect()
    }
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
                        "module {module}'s file has none, compiled without -mprofile-kernel or \
                         patchable entries (its vermagic tells of the kernel, not of it)"
                    )
                }
            }
        }
    }
}
