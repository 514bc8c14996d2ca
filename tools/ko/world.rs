//! The world that a module would meet: the kernel's exports, and those of modules
//! that are loaded before it, or could be.
//!
//! The kernel's names come from the list that the kernel itself is compiled from
//! (`tocsin::compat::exports`). Addresses are stand-ins, since the real ones are
//! known only on the machine: each export gets one of its own, near enough for
//! every relocation that reaches it there.

use std::collections::HashMap;

use tocsin::addr::Vaddr;
use tocsin::compat::exports;
use tocsin::loader::borrow::{self, Borrowed};
use tocsin::loader::exports as exports_of;
use tocsin::loader::stubs::StubAbi;
use tocsin::loader::versions::{self, Mismatch};
use tocsin::loader::{KernelAbi, Object, Owner, Resolved, Resolver};
use tocsin::shell::args::module_name_eq;

/// Where modules are linked to run: about where the first one lies in a machine
/// with 1 GiB.
pub const MODULE_BASE: Vaddr = Vaddr(0x1300_0000);
/// The kernel's first export.
const KERNEL_AT: u64 = 0x0440_0000;
/// The kernel's r2.
const KERNEL_TOC: u64 = 0x0450_8000;
/// The first export of other modules.
const MODULES_AT: u64 = 0x1000_0000;
/// From one export to the next.
const STEP: u64 = 0x40;

/// What a module offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The name.
    pub name: String,
    /// For GPL-compatible modules only.
    pub gpl_only: bool,
    /// For modules that import this; empty for all.
    pub namespace: String,
    /// Its version, if the module has checksums.
    pub checksum: Option<u32>,
}

/// Whether a module is there, or only could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is loaded (`--with`): what it exports nobody else may.
    Loaded,
    /// It would be loaded if somebody needed it.
    Available,
}

/// An export, and who may use it.
struct Known {
    found: Resolved,
    namespace: String,
    checksum: Option<u32>,
}

/// What is exported, by name.
pub struct World {
    exports: HashMap<String, Known>,
    /// Names of the modules, by number: first those that are loaded.
    modules: Vec<String>,
    loaded: u32,
    next: u64,
}

impl World {
    /// The kernel alone.
    pub fn new() -> Self {
        let kernel = (KERNEL_AT..).step_by(STEP as usize).zip(exports::names());
        let exports = kernel.map(|(at, name)| {
            let found = Resolved { addr: Vaddr(at), owner: Owner::Kernel, gpl_only: false };
            (name.to_string(), Known { found, namespace: String::new(), checksum: None })
        });
        Self { exports: exports.collect(), modules: Vec::new(), loaded: 0, next: MODULES_AT }
    }

    /// Adds a module with its exports. The first one that exports a name keeps it.
    /// Those that are loaded come first.
    pub fn add(&mut self, module: &str, exports: &[Offer], presence: Presence) {
        let number = self.modules.len() as u32;
        self.modules.push(module.into());
        if presence == Presence::Loaded {
            self.loaded = number + 1;
        }
        for Offer { name, gpl_only, namespace, checksum } in exports {
            let owner = Owner::Module(number);
            let found = Resolved { addr: Vaddr(self.next), owner, gpl_only: *gpl_only };
            let known = Known { found, namespace: namespace.clone(), checksum: *checksum };
            self.exports.entry(name.clone()).or_insert(known);
            self.next += STEP;
        }
    }

    /// What is loaded of it: the exports that no other module may have.
    pub fn loaded(&self) -> Loaded<'_> {
        Loaded(self)
    }

    /// The first import of a module that another keeps for others, in a line.
    pub fn closed(&self, object: &Object, module: &str) -> Option<String> {
        // Views of the file and of this world meet in the answer: a text owns what it says.
        let namespaces = |name: &str| {
            let namespace = &self.exports.get(name)?.namespace;
            Some(namespace.as_str()).filter(|it| !it.is_empty())
        };
        exports_of::closed(object, module, namespaces).map(|closed| closed.to_string())
    }

    /// The first import of which one of the modules that `asked` says has another
    /// version, and that module's name.
    pub fn mismatch<'f>(
        &self,
        object: &Object<'f>,
        asked: impl Fn(u32) -> bool,
    ) -> Option<(Mismatch<'f>, String)> {
        let checksum_of = |name: &str| {
            let known = self.exports.get(name)?;
            let used = matches!(known.found.owner, Owner::Module(number) if asked(number));
            known.checksum.filter(|_| used)
        };
        let found = versions::mismatch(object, checksum_of)?;
        Some((found, self.owner(found.name).unwrap_or_default()))
    }

    /// The name of the module with this number.
    pub fn module(&self, number: u32) -> String {
        self.modules.get(number as usize).cloned().unwrap_or_else(|| "?".into())
    }

    /// True if a module of that name is there, or could be.
    pub fn has_module(&self, name: &str) -> bool {
        self.modules.iter().any(|other| module_name_eq(other.as_bytes(), name.as_bytes()))
    }

    /// Who has the name: `kernel`, or a module. What a live patch borrows is of whom it
    /// names, who may come later.
    pub fn owner(&self, name: &str) -> Option<String> {
        match (self.exports.get(name), borrow::parse(name)) {
            (Some(known), _) => Some(match known.found.owner {
                Owner::Kernel => "kernel".into(),
                Owner::Module(number) => self.module(number),
            }),
            (None, Some(Borrowed { module, .. })) => Some(module.unwrap_or("kernel").into()),
            (None, None) => None,
        }
    }
}

impl Resolver for World {
    fn resolve(&self, name: &str) -> Option<Resolved> {
        self.exports.get(name).map(|known| known.found)
    }
}

/// See [`World::loaded`].
pub struct Loaded<'w>(&'w World);

impl Resolver for Loaded<'_> {
    fn resolve(&self, name: &str) -> Option<Resolved> {
        let loaded = |owner| !matches!(owner, Owner::Module(number) if number >= self.0.loaded);
        self.0.resolve(name).filter(|found| loaded(found.owner))
    }
}

/// What stubs rely on. The words of a stub depend on it, so they are not shown.
pub fn abi() -> KernelAbi {
    KernelAbi {
        stubs: StubAbi::stand_in(Vaddr(KERNEL_TOC)),
        mcount: Vaddr(KERNEL_AT - 2 * STEP),
        mcount_late: Vaddr(KERNEL_AT - STEP),
        prefixed: true,
    }
}
