//! All known patches, and for each patched function the stack of those that
//! replace it: the one enabled last wins.
//!
//! ```text
//!   demo:answer   [ fix1: 0x..100 ][ fix2: 0x..200 ]    calls run 0x..200
//!                                     ^ disable fix2     Retarget to 0x..100
//!                    ^ disable fix1                       nothing changes in text
//!                 [ ]                                     Restore
//! ```
//!
//! # Rules
//! - Patches may be disabled in any order (as in Linux since 5.1); what lies
//!   above a disabled one stays as it is.
//! - A patch with `replace` disables all others while it is enabled.
//! - Functions of modules that are not loaded wait, if the caller allows it:
//!   [`LivePatches::plan_coming`] catches up when the module arrives.
//!
//! # Invariants
//! - `plan_` changes nothing, and refuses before the kernel does anything.
//!   [`LivePatches::commit`] takes only a plan that was made since the last one.
//! - A function is replaced in text exactly if its stack is not empty, and by
//!   the stack's top.
//!
//! Each change works from the next call on; who runs an old version stays in it.
//! A patch module can therefore not be unloaded at once, whatever its state.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::desc::{FuncDesc, FuncName, ObjectDesc, PatchDesc, World};
use super::refusal::{Fault, Refusal};
use crate::addr::Vaddr;

/// A patch in the set; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PatchId(u32);

/// What to do with an object whose module is not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Refuse the whole patch.
    Refuse,
    /// Patch it when it is loaded.
    Wait,
}

/// A function that is patched, or shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: FuncName,
    /// Its global entry.
    pub entry: Vaddr,
    /// Its call site.
    pub site: Vaddr,
}

/// One thing for the kernel to do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanStep {
    /// The function was not patched: aim its redirect stub (a new one, or the one
    /// left from before) at `to`, then switch its site to that stub.
    Redirect {
        /// The function.
        target: Target,
        /// What runs from now on.
        to: Vaddr,
    },
    /// It is redirected already: swing the data word of its redirect stub.
    Retarget {
        /// The function.
        target: Target,
        /// What ran till now.
        from: Vaddr,
        /// What runs from now on.
        to: Vaddr,
    },
    /// No patch replaces it any more: switch its site back.
    Restore {
        /// The function.
        target: Target,
        /// What ran till now.
        from: Vaddr,
    },
}

#[derive(Clone, Debug)]
struct Stack {
    target: Target,
    /// Who replaces it by what; the last wins.
    layers: Vec<(PatchId, Vaddr)>,
}

impl Stack {
    fn top(&self) -> Option<Vaddr> {
        self.layers.last().map(|(_, new)| *new)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Enable,
    Disable,
    Coming,
}

/// A change of the set, to be carried out and then committed.
#[derive(Clone, Debug)]
#[must_use = "a plan changes nothing"]
pub struct Plan {
    steps: Vec<PlanStep>,
    /// The stacks of all functions concerned, as they will be.
    stacks: BTreeMap<Vaddr, Stack>,
    enabled: Vec<PatchId>,
    waiting: Vec<String>,
    generation: u64,
}

impl Plan {
    /// What the kernel must do. May be empty: a patch that lies under another
    /// goes without a trace.
    #[must_use]
    pub fn steps(&self) -> &[PlanStep] {
        &self.steps
    }

    /// Modules that the patch will change when they are loaded.
    #[must_use]
    pub fn waiting(&self) -> &[String] {
        &self.waiting
    }
}

#[derive(Debug)]
struct Patch {
    id: PatchId,
    desc: PatchDesc,
}

/// What is known of one patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// The patch.
    pub id: PatchId,
    /// Its name.
    pub name: &'a str,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Functions that it replaces, in loaded objects, also under others.
    pub functions: usize,
    /// Those of them where it is on top.
    pub on_top: usize,
}

/// The patches.
#[derive(Debug, Default)]
pub struct LivePatches {
    patches: Vec<Patch>,
    /// The enabled ones in the order of being enabled.
    enabled: Vec<PatchId>,
    /// By global entry; none is empty.
    stacks: BTreeMap<Vaddr, Stack>,
    next_id: u32,
    generation: u64,
}

impl LivePatches {
    /// No patches.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            patches: Vec::new(),
            enabled: Vec::new(),
            stacks: BTreeMap::new(),
            next_id: 0,
            generation: 0,
        }
    }

    /// Takes a patch in, disabled.
    pub fn register(&mut self, desc: PatchDesc) -> Result<PatchId, Refusal> {
        check(&desc).map_err(Refusal::Malformed)?;
        if self.find(&desc.name).is_some() {
            return Err(Refusal::Duplicate);
        }
        let id = PatchId(self.next_id);
        self.next_id += 1;
        self.patches.reserve_exact(1); // `unregister` gives back what this takes
        self.patches.push(Patch { id, desc });
        Ok(id)
    }

    /// Forgets a patch that is disabled.
    pub fn unregister(&mut self, id: PatchId) -> Result<(), Refusal> {
        if self.is_enabled(id) {
            return Err(Refusal::Enabled);
        }
        let before = self.patches.len();
        self.patches.retain(|patch| patch.id != id);
        self.patches.shrink_to_fit();
        if self.patches.len() == before { Err(Refusal::UnknownPatch) } else { Ok(()) }
    }

    /// The patch of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PatchId> {
        self.patches.iter().find(|patch| patch.desc.name == name).map(|patch| patch.id)
    }

    /// Whether a patch is enabled.
    #[must_use]
    pub fn is_enabled(&self, id: PatchId) -> bool {
        self.enabled.contains(&id)
    }

    /// All patches in the order of their registration.
    pub fn status(&self) -> impl Iterator<Item = Status<'_>> {
        self.patches.iter().map(|patch| {
            let id = patch.id;
            let own = self.stacks.values().filter(|s| s.layers.iter().any(|(by, _)| *by == id));
            let top = |stack: &&Stack| stack.layers.last().is_some_and(|(by, _)| *by == id);
            Status {
                id,
                name: &patch.desc.name,
                enabled: self.is_enabled(id),
                functions: own.clone().count(),
                on_top: own.filter(top).count(),
            }
        })
    }

    /// The function with this global entry, and what replaces it now.
    #[must_use]
    pub fn replacement(&self, entry: Vaddr) -> Option<(&Target, Vaddr)> {
        let stack = self.stacks.get(&entry)?;
        Some((&stack.target, stack.top()?))
    }

    /// Names of the enabled patches that change functions of a module.
    pub fn patches_of<'a>(&'a self, module: &'a str) -> impl Iterator<Item = &'a str> {
        self.enabled_patches()
            .filter(move |patch| objects_of(patch, Some(module)).next().is_some())
            .map(|patch| patch.desc.name.as_str())
    }

    /// Plans to enable a patch.
    pub fn plan_enable(
        &self,
        id: PatchId,
        world: &impl World,
        missing: Missing,
    ) -> Result<Plan, Refusal> {
        let patch = self.patch(id)?;
        if self.is_enabled(id) {
            return Err(Refusal::AlreadyEnabled);
        }
        let mut plan = self.unchanged();
        if patch.desc.replace {
            plan.enabled.clear();
            plan.stacks = self.stacks.clone();
            plan.stacks.values_mut().for_each(|stack| stack.layers.clear());
        }
        for object in &patch.desc.objects {
            for func in &object.funcs {
                if !world.is_code_of(&patch.desc.name, func.new_func) {
                    let (function, patch) = (name_of(object, func), patch.desc.name.clone());
                    return Err(Refusal::NotItsCode { function, patch, at: func.new_func });
                }
            }
            match &object.module {
                Some(module) if !world.is_loaded(module) => match missing {
                    Missing::Refuse => return Err(Refusal::ModuleNotLoaded(module.clone())),
                    Missing::Wait => plan.waiting.push(module.clone()),
                },
                _ => self.add_layers(&mut plan, id, object, world)?,
            }
        }
        plan.enabled.push(id);
        Ok(self.with_steps(plan, Verb::Enable))
    }

    /// Plans to disable a patch, wherever in the stacks it lies.
    pub fn plan_disable(&self, id: PatchId) -> Result<Plan, Refusal> {
        self.patch(id)?;
        if !self.is_enabled(id) {
            return Err(Refusal::NotEnabled);
        }
        let mut plan = self.unchanged();
        plan.enabled.retain(|enabled| *enabled != id);
        for (entry, stack) in &self.stacks {
            if stack.layers.iter().any(|(by, _)| *by == id) {
                let mut stack = stack.clone();
                stack.layers.retain(|(by, _)| *by != id);
                plan.stacks.insert(*entry, stack);
            }
        }
        Ok(self.with_steps(plan, Verb::Disable))
    }

    /// Plans what the enabled patches have to change in a module that has just
    /// been loaded and has not run yet.
    pub fn plan_coming(&self, module: &str, world: &impl World) -> Result<Plan, Refusal> {
        let mut plan = self.unchanged();
        for patch in self.enabled_patches() {
            for object in objects_of(patch, Some(module)) {
                self.add_layers(&mut plan, patch.id, object, world)?;
            }
        }
        Ok(self.with_steps(plan, Verb::Coming))
    }

    /// Forgets the patched functions of a module that has gone with its text.
    /// Its patches stay enabled, and wait for it to come again.
    pub fn module_gone(&mut self, module: &str) {
        self.stacks.retain(|_, stack| stack.target.name.module.as_deref() != Some(module));
        self.let_go();
        self.generation += 1;
    }

    /// A map that has become empty keeps a node; a new one has none.
    fn let_go(&mut self) {
        if self.stacks.is_empty() {
            self.stacks = BTreeMap::new();
        }
    }

    /// Notes that the kernel has done every step of a plan.
    pub fn commit(&mut self, plan: Plan) -> Result<(), Refusal> {
        if plan.generation != self.generation {
            return Err(Refusal::Stale);
        }
        self.enabled = plan.enabled;
        self.enabled.shrink_to_fit();
        self.stacks.extend(plan.stacks);
        self.stacks.retain(|_, stack| !stack.layers.is_empty());
        self.let_go();
        self.generation += 1;
        Ok(())
    }

    fn unchanged(&self) -> Plan {
        Plan {
            steps: Vec::new(),
            stacks: BTreeMap::new(),
            enabled: self.enabled.clone(),
            waiting: Vec::new(),
            generation: self.generation,
        }
    }

    fn patch(&self, id: PatchId) -> Result<&Patch, Refusal> {
        self.patches.iter().find(|patch| patch.id == id).ok_or(Refusal::UnknownPatch)
    }

    fn enabled_patches(&self) -> impl Iterator<Item = &Patch> {
        self.enabled.iter().filter_map(|id| self.patch(*id).ok())
    }

    /// Puts the functions of `object` on their stacks in `plan`.
    fn add_layers(
        &self,
        plan: &mut Plan,
        id: PatchId,
        object: &ObjectDesc,
        world: &impl World,
    ) -> Result<(), Refusal> {
        for func in &object.funcs {
            let target = resolve(object, func, world)?;
            let stack = plan.stacks.entry(target.entry).or_insert_with(|| {
                let present = self.stacks.get(&target.entry).cloned();
                present.unwrap_or(Stack { target: target.clone(), layers: Vec::new() })
            });
            if stack.layers.iter().any(|(by, _)| *by == id) {
                return Err(Refusal::Twice(target.name));
            }
            stack.layers.push((id, func.new_func));
        }
        Ok(())
    }

    /// Compares the tops of the stacks before and after. What begins comes before
    /// what ends, so that a replacing patch leaves no function with neither.
    fn with_steps(&self, mut plan: Plan, verb: Verb) -> Plan {
        let mut ends = Vec::new();
        for (entry, stack) in &plan.stacks {
            let target = stack.target.clone();
            // A module that has just come has fresh text, whatever was before.
            let present = self.stacks.get(entry).filter(|_| verb != Verb::Coming);
            match (present.and_then(Stack::top), stack.top()) {
                (None, Some(to)) => plan.steps.push(PlanStep::Redirect { target, to }),
                (Some(from), Some(to)) if from != to => {
                    plan.steps.push(PlanStep::Retarget { target, from, to });
                }
                (Some(from), None) => ends.push(PlanStep::Restore { target, from }),
                _ => {}
            }
        }
        plan.steps.append(&mut ends);
        plan
    }
}

fn objects_of<'a>(
    patch: &'a Patch,
    module: Option<&'a str>,
) -> impl Iterator<Item = &'a ObjectDesc> {
    patch.desc.objects.iter().filter(move |object| object.module.as_deref() == module)
}

/// Checks what needs no knowledge of the system.
fn check(desc: &PatchDesc) -> Result<(), Fault> {
    if desc.name.is_empty() {
        return Err(Fault::NoName);
    }
    if desc.objects.is_empty() {
        return Err(Fault::NoObjects);
    }
    let mut modules = BTreeSet::new();
    for object in &desc.objects {
        let module = object.module.clone();
        if module.as_deref() == Some("") {
            return Err(Fault::NoName);
        }
        if !modules.insert(&object.module) {
            return Err(Fault::ObjectTwice { module });
        }
        if object.funcs.is_empty() {
            return Err(Fault::NoFunctions { module });
        }
        for func in &object.funcs {
            if func.old_name.is_empty() {
                return Err(Fault::NoName);
            }
            if func.new_func.0 == 0 || !func.new_func.is_aligned(4) {
                return Err(Fault::BadReplacement(name_of(object, func)));
            }
        }
    }
    Ok(())
}

fn name_of(object: &ObjectDesc, func: &FuncDesc) -> FuncName {
    FuncName { module: object.module.clone(), name: func.old_name.to_owned() }
}

/// Finds the function that is meant, and its site.
fn resolve(object: &ObjectDesc, func: &FuncDesc, world: &impl World) -> Result<Target, Refusal> {
    let name = name_of(object, func);
    let module = object.module.as_deref();
    let found = world.functions(module, &func.old_name);
    let (count, sympos) = (found.len(), func.sympos);
    let entry = match (found.as_slice(), sympos) {
        ([], _) => return Err(Refusal::UnknownFunction(name)),
        ([only], 0) => *only,
        (_, 0) => {
            return Err(Refusal::Ambiguous { function: name, count });
        }
        (several, _) => match several.get(sympos as usize - 1) {
            Some(entry) => *entry,
            None => {
                return Err(Refusal::NoSuchPosition { function: name, sympos, count });
            }
        },
    };
    if entry == func.new_func {
        return Err(Refusal::ReplacesItself(name));
    }
    let Some(site) = world.site_of(entry) else {
        let object_has_sites = world.has_sites(module);
        return Err(Refusal::NoCallSite { function: name, object_has_sites });
    };
    if site.late {
        return Err(Refusal::LateSite(name));
    }
    Ok(Target { name, entry, site: site.at })
}

#[cfg(test)]
mod tests;
