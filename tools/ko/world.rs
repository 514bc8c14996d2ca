//! The world that a module would meet: the kernel's exports, and those of modules
//! that are loaded before it.
//!
//! The kernel's names come from the list that the kernel itself is compiled from
//! (`tocsin::compat::exports`). Addresses are stand-ins, since the real ones are
//! known only on the machine: each export gets one of its own, near enough for
//! every relocation that reaches it there.

use std::collections::HashMap;

use tocsin::addr::Vaddr;
use tocsin::compat::exports;
use tocsin::loader::exports::{self as exports_of, Closed};
use tocsin::loader::stubs::StubAbi;
use tocsin::loader::{KernelAbi, Object, Owner, Resolved, Resolver};

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
}

/// What is exported, by name.
pub struct World {
    exports: HashMap<String, Resolved>,
    /// Of those that are not for everybody.
    namespaces: HashMap<String, String>,
    /// Names of the modules, by number.
    modules: Vec<String>,
    next: u64,
}

impl World {
    /// The kernel alone.
    pub fn new() -> Self {
        let kernel = (KERNEL_AT..).step_by(STEP as usize).zip(exports::names());
        let exports = kernel.map(|(at, name)| {
            let owner = Owner::Kernel;
            (name.to_string(), Resolved { addr: Vaddr(at), owner, gpl_only: false })
        });
        Self {
            exports: exports.collect(),
            namespaces: HashMap::new(),
            modules: Vec::new(),
            next: MODULES_AT,
        }
    }

    /// Adds a module with its exports, each for everybody or for GPL-compatible
    /// modules. The first one that exports a name keeps it.
    pub fn add(&mut self, module: &str, exports: &[Offer]) {
        let owner = Owner::Module(self.modules.len() as u32);
        self.modules.push(module.into());
        for Offer { name, gpl_only, namespace } in exports {
            let found = Resolved { addr: Vaddr(self.next), owner, gpl_only: *gpl_only };
            if !self.exports.contains_key(name) && !namespace.is_empty() {
                self.namespaces.insert(name.clone(), namespace.clone());
            }
            self.exports.entry(name.clone()).or_insert(found);
            self.next += STEP;
        }
    }

    /// The first import of a module that another keeps for others, in a line.
    pub fn closed(&self, object: &Object, module: &str) -> Option<String> {
        // Views of the file and of this world meet in the answer: a text owns what it says.
        let namespaces = |name: &str| self.namespaces.get(name).map(String::as_str);
        exports_of::closed(object, module, namespaces).map(|closed| closed.to_string())
    }

    /// The same of one import, and a module that imports these namespaces.
    pub fn closed_to<'i>(
        &self,
        name: &str,
        module: &str,
        imports: impl Iterator<Item = &'i str>,
    ) -> Option<String> {
        let namespace = self.namespaces.get(name)?;
        let closed = Closed { name, namespace };
        (!exports_of::is_open(namespace, module, imports)).then(|| closed.to_string())
    }

    /// The name of the module with this number.
    pub fn module(&self, number: u32) -> String {
        self.modules.get(number as usize).cloned().unwrap_or_else(|| "?".into())
    }

    /// Who exports the name: `kernel`, or a module.
    pub fn owner(&self, name: &str) -> Option<String> {
        self.exports.get(name).map(|found| match found.owner {
            Owner::Kernel => "kernel".into(),
            Owner::Module(number) => self.module(number),
        })
    }
}

impl Resolver for World {
    fn resolve(&self, name: &str) -> Option<Resolved> {
        self.exports.get(name).copied()
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
