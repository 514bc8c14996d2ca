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
//! A change takes time: from `begin` to `finish` some CPUs run what was and some what
//! will be, and `reverse` leads back. One change at a time.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::desc::{Code, FuncDesc, FuncName, ObjectDesc, PatchDesc, World};
use super::refusal::{Fault, Refusal};
use crate::addr::Vaddr;
use crate::ksyms::readable::{may_be_made, readable};

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
    /// Its module comes in the middle of a transition: CPUs that have not changed over
    /// run `before`, the others `after`; `None` is the function itself.
    Arrive {
        /// The function.
        target: Target,
        /// What it was replaced with.
        before: Option<Vaddr>,
        /// What it will be replaced with.
        after: Option<Vaddr>,
    },
}

impl PlanStep {
    /// The function that changes.
    #[must_use]
    pub const fn target(&self) -> &Target {
        match self {
            Self::Redirect { target, .. }
            | Self::Retarget { target, .. }
            | Self::Restore { target, .. }
            | Self::Arrive { target, .. } => target,
        }
    }

    /// What runs before and after the change; `None` is the function itself.
    #[must_use]
    pub const fn ends(&self) -> (Option<Vaddr>, Option<Vaddr>) {
        match self {
            Self::Redirect { to, .. } => (None, Some(*to)),
            Self::Retarget { from, to, .. } => (Some(*from), Some(*to)),
            Self::Restore { from, .. } => (Some(*from), None),
            Self::Arrive { before, after, .. } => (*before, *after),
        }
    }
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

    fn has(&self, id: PatchId) -> bool {
        self.layers.iter().any(|(by, _)| *by == id)
    }
}

/// Stacks by rising address of their functions. A list, for they are few, and the code of
/// a tree is large.
#[derive(Clone, Debug, Default)]
struct Stacks(Vec<Stack>);

impl Stacks {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn place(&self, entry: Vaddr) -> Result<usize, usize> {
        self.0.binary_search_by_key(&entry, |stack| stack.target.entry)
    }

    fn get(&self, entry: Vaddr) -> Option<&Stack> {
        self.place(entry).ok().map(|place| &self.0[place])
    }

    fn top(&self, entry: Vaddr) -> Option<Vaddr> {
        self.get(entry)?.top()
    }

    /// Puts a stack in the place of the one of the same function.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn put(&mut self, stack: Stack) {
        match self.place(stack.target.entry) {
            Ok(place) => self.0[place] = stack,
            Err(place) => self.0.insert(place, stack),
        }
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn retain(&mut self, keep: impl Fn(&Stack) -> bool) {
        self.0.retain(keep);
        self.0.shrink_to_fit(); // `mem` is the same before and after
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
    stacks: Stacks,
    enabled: Vec<PatchId>,
    waiting: Vec<String>,
    /// What a module that comes gets in the state before the transition.
    before: Stacks,
    verb: Verb,
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
    /// Whether it is enabled, or about to be.
    pub enabled: bool,
    /// Functions that it replaces, in loaded objects, also under others.
    pub functions: usize,
    /// Those of them where it is on top.
    pub on_top: usize,
}

/// What is enabled, and what that makes of each function.
#[derive(Clone, Debug, Default)]
struct State {
    enabled: Vec<PatchId>,
    stacks: Stacks,
}

/// The patches.
#[derive(Debug, Default)]
pub struct LivePatches {
    patches: Vec<Patch>,
    /// The enabled ones in the order of being enabled.
    enabled: Vec<PatchId>,
    /// By global entry; none is empty.
    stacks: Stacks,
    /// During a transition: how it was, and for CPUs that have not changed over still is.
    before: Option<State>,
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
            stacks: Stacks::new(),
            before: None,
            next_id: 0,
            generation: 0,
        }
    }

    /// Takes a patch in, disabled.
    #[cfg_attr(target_os = "none", optimize(size))]
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
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn unregister(&mut self, id: PatchId) -> Result<(), Refusal> {
        if self.is_enabled(id) || self.was_enabled(id) {
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

    /// Whether a patch was enabled before the transition that is under way.
    #[must_use]
    pub fn was_enabled(&self, id: PatchId) -> bool {
        self.before.as_ref().is_some_and(|before| before.enabled.contains(&id))
    }

    /// Its place among the enabled patches, from 1.
    #[must_use]
    pub fn stack_order(&self, id: PatchId) -> Option<usize> {
        self.enabled.iter().position(|enabled| *enabled == id).map(|place| place + 1)
    }

    /// What a patch says of itself.
    #[must_use]
    pub fn desc(&self, id: PatchId) -> Option<&PatchDesc> {
        self.patch(id).ok().map(|patch| &patch.desc)
    }

    /// The enabled patches in their order, the one in transition among them.
    #[must_use]
    pub fn enabled_names(&self) -> Vec<String> {
        self.enabled_patches().map(|patch| patch.desc.name.clone()).collect()
    }

    /// The patches that are, or were before the transition, enabled and older than this
    /// one, in their order.
    #[must_use]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn before(&self, name: &str) -> Vec<String> {
        let Some(id) = self.find(name) else { return Vec::new() };
        let both = self.before.iter().flat_map(|state| &state.enabled).chain(&self.enabled);
        let mut older: Vec<PatchId> = Vec::new();
        for other in both.take_while(|other| **other != id) {
            if !older.contains(other) {
                older.push(*other);
            }
        }
        let name = |id: PatchId| self.patch(id).ok().map(|patch| patch.desc.name.clone());
        older.into_iter().filter_map(name).collect()
    }

    /// All patches in the order of their registration.
    pub fn status(&self) -> impl Iterator<Item = Status<'_>> {
        self.patches.iter().map(|patch| {
            let id = patch.id;
            let own = self.stacks.0.iter().filter(|stack| stack.has(id));
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
        let stack = self.stacks.get(entry)?;
        Some((&stack.target, stack.top()?))
    }

    /// Visits all replaced functions, and what replaces them now.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn each_replacement(&self, see: &mut dyn FnMut(&Target, Vaddr)) {
        for stack in &self.stacks.0 {
            if let Some(to) = stack.top() {
                see(&stack.target, to);
            }
        }
    }

    /// Names of the enabled patches that change functions of a module.
    pub fn patches_of<'a>(&'a self, module: &'a str) -> impl Iterator<Item = &'a str> {
        self.enabled_patches()
            .filter(move |patch| objects_of(patch, Some(module)).next().is_some())
            .map(|patch| patch.desc.name.as_str())
    }

    /// Plans to enable a patch.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn plan_enable(
        &self,
        id: PatchId,
        world: &impl World,
        missing: Missing,
    ) -> Result<Plan, Refusal> {
        let patch = self.patch(id)?;
        if self.in_transition() {
            return Err(Refusal::Busy);
        }
        if self.is_enabled(id) {
            return Err(Refusal::AlreadyEnabled);
        }
        let mut plan = self.unchanged();
        if patch.desc.replace {
            plan.enabled.clear();
            plan.stacks = self.stacks.clone();
            plan.stacks.0.iter_mut().for_each(|stack| stack.layers.clear());
        }
        for object in &patch.desc.objects {
            for func in &object.funcs {
                let at = func.new_func;
                let (of, inside) = match world.code_at(&patch.desc.name, at) {
                    Code::Entry => continue,
                    Code::Inside(of) => (of, true),
                    Code::None => (patch.desc.name.clone(), false),
                };
                let function = name_of(object, func);
                return Err(Refusal::NotItsCode { function, of, inside, at });
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
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn plan_disable(&self, id: PatchId) -> Result<Plan, Refusal> {
        self.patch(id)?;
        if self.in_transition() {
            return Err(Refusal::Busy);
        }
        if !self.is_enabled(id) {
            return Err(Refusal::NotEnabled);
        }
        let mut plan = self.unchanged();
        plan.enabled.retain(|enabled| *enabled != id);
        for stack in self.stacks.0.iter().filter(|stack| stack.has(id)) {
            let mut stack = stack.clone();
            stack.layers.retain(|(by, _)| *by != id);
            plan.stacks.put(stack);
        }
        Ok(self.with_steps(plan, Verb::Disable))
    }

    /// Plans what the enabled patches have to change in a module that has just
    /// been loaded and has not run yet.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn plan_coming(&self, module: &str, world: &impl World) -> Result<Plan, Refusal> {
        let Some(before) = &self.before else {
            let plan = self.layers_of(&self.enabled, module, world)?;
            return Ok(self.with_steps(plan, Verb::Coming));
        };
        let mut plan = self.layers_of(&self.enabled, module, world)?;
        plan.verb = Verb::Coming;
        plan.before = self.layers_of(&before.enabled, module, world)?.stacks;
        let only_before =
            plan.before.0.iter().filter(|s| plan.stacks.get(s.target.entry).is_none());
        for stack in plan.stacks.0.iter().chain(only_before) {
            let target = stack.target.clone();
            let (before, after) = (plan.before.top(target.entry), plan.stacks.top(target.entry));
            plan.steps.push(match after {
                Some(to) if before == after => PlanStep::Redirect { target, to },
                _ => PlanStep::Arrive { target, before, after },
            });
        }
        Ok(plan)
    }

    /// The functions of a module that has come as `patches` leave them.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn layers_of(
        &self,
        patches: &[PatchId],
        module: &str,
        world: &impl World,
    ) -> Result<Plan, Refusal> {
        let mut plan = self.unchanged();
        for patch in patches.iter().filter_map(|id| self.patch(*id).ok()) {
            for object in objects_of(patch, Some(module)) {
                self.add_layers(&mut plan, patch.id, object, world)?;
            }
        }
        Ok(plan)
    }

    /// Forgets the patched functions of a module that has gone with its text.
    /// Its patches stay enabled, and wait for it to come again.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn module_gone(&mut self, module: &str) {
        let others = |stack: &Stack| stack.target.name.module.as_deref() != Some(module);
        self.stacks.retain(others);
        if let Some(before) = &mut self.before {
            before.stacks.retain(others);
        }
        self.generation += 1;
    }

    /// Refuses a plan that was made before something else was committed.
    pub fn check(&self, plan: &Plan) -> Result<(), Refusal> {
        if plan.generation == self.generation { Ok(()) } else { Err(Refusal::Stale) }
    }

    /// Notes that the kernel has begun a plan: from now on the patches are as they will
    /// be, and what was is kept until [`finish`](Self::finish). A plan for a module that
    /// has come is done at once.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn begin(&mut self, plan: Plan) -> Result<(), Refusal> {
        self.check(&plan)?;
        if plan.verb != Verb::Coming {
            self.before =
                Some(State { enabled: self.enabled.clone(), stacks: self.stacks.clone() });
        }
        if let Some(before) = &mut self.before {
            plan.before.0.into_iter().for_each(|stack| before.stacks.put(stack));
        }
        self.enabled = plan.enabled;
        self.enabled.shrink_to_fit();
        plan.stacks.0.into_iter().for_each(|stack| self.stacks.put(stack));
        self.stacks.retain(|stack| !stack.layers.is_empty());
        self.generation += 1;
        Ok(())
    }

    /// True from [`begin`](Self::begin) to [`finish`](Self::finish).
    #[must_use]
    pub const fn in_transition(&self) -> bool {
        self.before.is_some()
    }

    /// Turns a transition round: it leads back to how things were.
    pub fn reverse(&mut self) {
        if let Some(before) = &mut self.before {
            core::mem::swap(&mut before.enabled, &mut self.enabled);
            core::mem::swap(&mut before.stacks, &mut self.stacks);
            self.generation += 1;
        }
    }

    /// Notes that every CPU has changed over.
    pub fn finish(&mut self) {
        self.before = None;
    }

    /// [`begin`](Self::begin) and [`finish`](Self::finish) in one.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn commit(&mut self, plan: Plan) -> Result<(), Refusal> {
        let coming = plan.verb == Verb::Coming;
        self.begin(plan)?;
        if !coming {
            self.finish();
        }
        Ok(())
    }

    fn unchanged(&self) -> Plan {
        Plan {
            steps: Vec::new(),
            stacks: Stacks::new(),
            enabled: self.enabled.clone(),
            waiting: Vec::new(),
            before: Stacks::new(),
            verb: Verb::Enable,
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
    #[cfg_attr(target_os = "none", optimize(size))]
    fn add_layers(
        &self,
        plan: &mut Plan,
        id: PatchId,
        object: &ObjectDesc,
        world: &impl World,
    ) -> Result<(), Refusal> {
        for func in &object.funcs {
            let target = resolve(object, func, world)?;
            let present = plan.stacks.get(target.entry).or(self.stacks.get(target.entry)).cloned();
            let mut stack = present.unwrap_or(Stack { target, layers: Vec::new() });
            if stack.has(id) {
                return Err(Refusal::Twice(stack.target.name));
            }
            let goes_on =
                |at: Vaddr| plan.stacks.get(at).or(self.stacks.get(at)).and_then(Stack::top);
            // A replacement may be replaced, but not in the end by the function itself.
            let mut ways = core::iter::successors(Some(func.new_func), |at| goes_on(*at)).take(64);
            if ways.any(|at| at == stack.target.entry) {
                return Err(Refusal::ReplacesItself(stack.target.name));
            }
            stack.layers.push((id, func.new_func));
            plan.stacks.put(stack);
        }
        Ok(())
    }

    /// Compares the tops of the stacks before and after. What begins comes before
    /// what ends, so that a replacing patch leaves no function with neither.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn with_steps(&self, mut plan: Plan, verb: Verb) -> Plan {
        let mut ends = Vec::new();
        plan.verb = verb;
        for stack in &plan.stacks.0 {
            let target = stack.target.clone();
            // A module that has just come has fresh text, whatever was before.
            let present = self.stacks.get(target.entry).filter(|_| verb != Verb::Coming);
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
#[cfg_attr(target_os = "none", optimize(size))]
fn check(desc: &PatchDesc) -> Result<(), Fault> {
    if desc.name.is_empty() {
        return Err(Fault::NoName);
    }
    if desc.objects.is_empty() {
        return Err(Fault::NoObjects);
    }
    for (index, object) in desc.objects.iter().enumerate() {
        let module = object.module.clone();
        if module.as_deref() == Some("") {
            return Err(Fault::NoName);
        }
        if desc.objects[..index].iter().any(|other| other.module == object.module) {
            return Err(Fault::ObjectTwice { module });
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

/// Parts of the kernel by which it traces and changes code. Words of one text, which has
/// no address to be moved for each.
const IN_THE_PATH: &str = "machine:: mmu:: patch:: livepatch:: memory:: address_map:: addr:: \
    sorted:: slack:: isa:: trace:: ksyms:: loader:: kernel::call:: kernel::ksyms:: \
    kernel::livepatch:: kernel::modules:: kernel::own:: kernel::symbols:: kernel::tracing:: \
    kernel::unwind::";

/// True for functions of the kernel by which it traces and changes code: in ticks, in
/// traps, with locks held that a replacement might want; and of libraries, which those
/// call.
#[cfg_attr(target_os = "none", optimize(size))]
fn is_in_the_path(name: &str) -> bool {
    let name = readable(name);
    let Some(path) = name.trim_start_matches('<').strip_prefix("tocsin::") else {
        return may_be_made(&name); // a library's: it has `::`
    };
    IN_THE_PATH.split(' ').any(|part| path.starts_with(part))
}

/// Finds the function that is meant, and its site.
#[cfg_attr(target_os = "none", optimize(size))]
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
    if module.is_none() && is_in_the_path(&name.name) {
        return Err(Refusal::InThePath(name));
    }
    Ok(Target { name, entry, site: site.at })
}

#[cfg(test)]
mod tests;
