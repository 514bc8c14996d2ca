//! Would the kernel load it? For one module, and for a folder of them.
//!
//! In a folder, modules may import from each other: as `modprobe` would, those that
//! need nothing but the kernel are taken first, then those that need these, until no
//! more can be. Each round looks at names only; every file is linked once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tocsin::loader::borrow;
use tocsin::loader::{LoadError, Resolver};

use crate::file::{File, Refusal, UNRESOLVED};
use crate::table::{Cell, Table};
use crate::views::imports;
use crate::world::{Offer, Presence, World};

/// What is remembered of a module.
#[derive(Default)]
pub struct Facts {
    /// Its file.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// What the kernel does not export and it cannot do without.
    wants: Vec<String>,
    exports: Vec<Offer>,
    /// The modules that it patches and borrows from.
    borrows: BTreeSet<String>,
    /// What should be known of it.
    notes: Vec<String>,
    /// Why it would not load; `None` if it would, once others are there.
    pub refusal: Option<Refusal>,
    /// It was taken: everything that it wants is there.
    pub taken: bool,
    /// It needed others.
    after_others: bool,
}

impl Facts {
    /// Reads a module's file and links it against what is loaded.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of(path: &Path, world: &World) -> Result<Self, String> {
        let mut facts = Self { path: path.into(), ..Self::default() };
        facts.refusal = match File::read(path)? {
            Err(refusal) => Some(refusal),
            Ok(file) => facts.fill(&file, world).err(),
        };
        Ok(facts)
    }

    /// The same of one of many files: what cannot be read is one more that would not load.
    pub fn of_many(path: &Path, world: &World) -> Self {
        Self::of(path, world).unwrap_or_else(|text| {
            let refusal = Some(Refusal { kind: "unreadable files", text });
            Self { path: path.into(), refusal, ..Self::default() }
        })
    }

    fn fill(&mut self, file: &File, world: &World) -> Result<(), Refusal> {
        let loaded = file.look(world)?;
        let (object, linked) = (&loaded.object, &loaded.linked);
        self.name = file.name(object);
        let exports = linked.exports.iter().map(|export| Offer {
            name: export.name.into(),
            gpl_only: export.gpl_only,
            namespace: export.namespace.into(),
            checksum: export.checksum,
        });
        self.exports = exports.collect();
        self.borrows = borrowed_from(imports(object).map(|(_, _, name)| name));
        let needed = imports(object).filter(|(_, symbol, _)| symbol.st_info >> 4 != 2);
        let missing = needed.filter(|(_, _, name)| world.owner(name).is_none());
        self.wants = missing.map(|(_, _, name)| name.to_string()).collect();
        match file.verdict(world) {
            Err(refusal) if refusal.kind != UNRESOLVED => Err(refusal),
            Err(_) => Ok(()),
            Ok(notes) => {
                self.notes = notes;
                Ok(())
            }
        }
    }

    /// Would it load now that others are there? Most modules need none, and have been asked.
    fn ask_again(&mut self, world: &World) -> Result<(), Refusal> {
        let unreadable = |text| Refusal { kind: "unreadable files", text };
        self.notes = File::read(&self.path).map_err(unreadable)??.verdict(world)?;
        Ok(())
    }

    /// What should be known of it in that world, a line each.
    fn notes(&self, world: &World) -> Vec<String> {
        let waits = waits(&self.borrows, world);
        self.notes.iter().cloned().chain(waits).collect()
    }
}

/// The modules that names are borrowed from.
pub fn borrowed_from<'n>(names: impl Iterator<Item = &'n str>) -> BTreeSet<String> {
    names.filter_map(|name| Some(borrow::parse(name)?.module?.to_string())).collect()
}

/// What `insmod` says of a live patch whose modules are not there yet.
pub fn waits(borrows: &BTreeSet<String>, world: &World) -> impl Iterator<Item = String> {
    let away = borrows.iter().filter(|module| !world.has_module(module));
    away.map(|module| format!("waits for module {module}"))
}

/// Adds to `world` every module that would load, and says so in its facts.
pub fn settle(modules: &mut [Facts], world: &mut World, presence: Presence) {
    loop {
        let mut more = false;
        for module in modules.iter_mut().filter(|it| !it.taken && it.refusal.is_none()) {
            if module.wants.iter().any(|name| world.resolve(name).is_none()) {
                continue;
            }
            module.after_others = !module.wants.is_empty();
            if (module.after_others || presence == Presence::Loaded)
                && let Err(refusal) = module.ask_again(world)
            {
                module.refusal = Some(refusal);
                continue;
            }
            module.taken = true;
            world.add(&module.name, &module.exports, presence);
            more = true;
        }
        if !more {
            break;
        }
    }
    for module in modules.iter_mut().filter(|it| !it.taken && it.refusal.is_none()) {
        let missing = module.wants.iter().filter(|name| world.resolve(name).is_none());
        let mut names: Vec<String> = missing.cloned().collect();
        let more = names.len().saturating_sub(NAMES_LISTED);
        names.truncate(NAMES_LISTED);
        module.refusal = Some(LoadError::Unresolved { names, more }.into());
    }
}

/// Names that the loader lists of those that are missing.
const NAMES_LISTED: usize = 8;

/// How many would load, and how many would not for which reason.
pub fn summary(modules: &[Facts]) -> Table {
    let mut table = Table::new("summary", &["modules", "verdict"]);
    let count = |which: &dyn Fn(&Facts) -> bool| modules.iter().filter(|it| which(it)).count();
    table.row([modules.len().into(), "in all".into()]);
    table.row([count(&|it| it.taken && !it.after_others).into(), "would load".into()]);
    let later = count(&|it| it.taken && it.after_others);
    table.row([later.into(), "would load after others of them".into()]);
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for refusal in modules.iter().filter_map(|it| it.refusal.as_ref()) {
        *reasons.entry(refusal.kind).or_default() += 1;
    }
    for (reason, count) in reasons {
        table.row([count.into(), format!("would not: {reason}").into()]);
    }
    table
}

/// The names that keep most modules from loading.
pub fn wanted(modules: &[Facts], world: &World) -> Table {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for name in modules.iter().flat_map(|it| &it.wants) {
        if world.resolve(name).is_none() {
            *names.entry(name).or_default() += 1;
        }
    }
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
    let mut table = Table::new("wanted", &["modules", "want"]);
    names.into_iter().take(10).for_each(|(name, count)| table.row([count.into(), name.into()]));
    table
}

/// A row for each module.
pub fn list(modules: &[Facts], world: &World) -> Table {
    let mut table = Table::new("files", &["loads", "file", "why"]);
    for module in modules {
        let after = module.after_others.then(|| "after others".to_string());
        let why = match &module.refusal {
            Some(refusal) => refusal.text.clone(),
            None => Vec::from_iter(after.into_iter().chain(module.notes(world))).join("; "),
        };
        let why = Some(why).filter(|why| !why.is_empty());
        let path = module.path.display().to_string();
        table.row([Cell::Flag(module.taken), path.into(), why.into()]);
    }
    table
}

/// True if all would load.
pub fn all_load(modules: &[Facts]) -> bool {
    modules.iter().all(|module| module.taken)
}
