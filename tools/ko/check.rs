//! Would the kernel load it? For one module, and for a folder of them.
//!
//! In a folder, modules may import from each other: as `modprobe` would, those that
//! need nothing but the kernel are taken first, then those that need these, until no
//! more can be. Each round looks at names only; every file is linked once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tocsin::loader::{self, Modinfo, Resolver};

use crate::file::{File, Refusal};
use crate::table::{Cell, Table};
use crate::views::imports;
use crate::world::{Offer, World};

/// What is remembered of a module.
pub struct Facts {
    /// Its file.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// What the kernel does not export and it cannot do without.
    wants: Vec<String>,
    gpl_compatible: bool,
    exports: Vec<Offer>,
    /// The namespaces that it imports.
    namespaces: Vec<String>,
    /// Why it would not load; `None` if it would, once others are there.
    refusal: Option<Refusal>,
    /// It was taken: everything that it wants is there.
    taken: bool,
    /// It needed others.
    after_others: bool,
}

impl Facts {
    /// Reads a module's file and links it against the kernel alone.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of(path: &Path, kernel: &World) -> Result<Self, String> {
        let mut facts = Self {
            path: path.into(),
            name: String::new(),
            wants: Vec::new(),
            gpl_compatible: false,
            exports: Vec::new(),
            namespaces: Vec::new(),
            refusal: None,
            taken: false,
            after_others: false,
        };
        match File::read(path)? {
            Err(refusal) => facts.refusal = Some(refusal),
            Ok(file) => facts.refusal = facts.fill(&file, kernel).err(),
        }
        Ok(facts)
    }

    fn fill(&mut self, file: &File, kernel: &World) -> Result<(), Refusal> {
        let loaded = file.look(kernel)?;
        let (object, linked) = (&loaded.object, &loaded.linked);
        self.name = file.name(object);
        self.gpl_compatible = Modinfo::of(object).is_gpl_compatible();
        let exports = linked.exports.iter().map(|export| Offer {
            name: export.name.into(),
            gpl_only: export.gpl_only,
            namespace: export.namespace.into(),
        });
        self.exports = exports.collect();
        self.namespaces = Modinfo::of(object).namespaces().map(Into::into).collect();
        let needed = imports(object).filter(|(_, symbol, _)| symbol.st_info >> 4 != 2);
        let missing = needed.filter(|(_, _, name)| kernel.resolve(name).is_none());
        self.wants = missing.map(|(_, _, name)| name.to_string()).collect();
        loader::exports::refuse_duplicates(&linked.exports, kernel, |_| String::new())?;
        match file.verdict(kernel) {
            Err(refusal) if refusal.kind != "unresolved symbols" => Err(refusal),
            _ => Ok(()),
        }
    }
}

/// Adds to `world` every module that would load, and says so in its facts.
pub fn settle(modules: &mut [Facts], world: &mut World) {
    loop {
        let mut more = false;
        for module in modules.iter_mut().filter(|it| !it.taken && it.refusal.is_none()) {
            let found = |name: &String| world.resolve(name);
            if !module.wants.iter().all(|name| found(name).is_some()) {
                continue;
            }
            let barred = |name: &&String| found(name).is_some_and(|it| it.gpl_only);
            if let Some(name) = module.wants.iter().find(barred).filter(|_| !module.gpl_compatible)
            {
                let text = format!("{name} is for GPL-compatible modules only");
                let kind = "symbols for GPL-compatible modules only";
                module.refusal = Some(Refusal { kind, text });
                continue;
            }
            let imports = || module.namespaces.iter().map(String::as_str);
            let closed = |name: &String| world.closed_to(name, &module.name, imports());
            if let Some(text) = module.wants.iter().find_map(closed) {
                module.refusal = Some(Refusal { kind: "namespaces of exports", text });
                continue;
            }
            module.taken = true;
            module.after_others = !module.wants.is_empty();
            world.add(&module.name, &module.exports);
            more = true;
        }
        if !more {
            break;
        }
    }
    for module in modules.iter_mut().filter(|it| !it.taken && it.refusal.is_none()) {
        let missing = module.wants.iter().filter(|name| world.resolve(name).is_none());
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        let (first, more) = missing.split_at(missing.len().min(8));
        let mut text = format!("unresolved: {}", first.join(", "));
        if !more.is_empty() {
            text += &format!(" and {} more", more.len());
        }
        module.refusal = Some(Refusal { kind: "unresolved symbols", text });
    }
}

/// How many would load, and how many would not for which reason.
pub fn summary(modules: &[Facts]) -> Table {
    let mut table = Table::new("summary", &["modules", "verdict"]);
    let count = |which: &dyn Fn(&Facts) -> bool| modules.iter().filter(|it| which(it)).count();
    table.row([modules.len().into(), "in all".into()]);
    table.row([count(&|it| it.taken && !it.after_others).into(), "would load".into()]);
    table.row([count(&|it| it.after_others).into(), "would load after others of them".into()]);
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
pub fn list(modules: &[Facts]) -> Table {
    let mut table = Table::new("files", &["loads", "file", "why"]);
    for module in modules {
        let why = match &module.refusal {
            Some(refusal) => refusal.text.clone().into(),
            None if module.after_others => "after others".into(),
            None => Cell::None,
        };
        let path = module.path.display().to_string();
        table.row([Cell::Flag(module.taken), path.into(), why]);
    }
    table
}

/// True if all would load.
pub fn all_load(modules: &[Facts]) -> bool {
    modules.iter().all(|module| module.taken)
}
