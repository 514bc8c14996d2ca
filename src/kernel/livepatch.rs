//! Live patches: what `livepatch::set` plans, carried out on the machine.
//!
//! ```text
//!  patch module's init ─ klp_enable_patch ─ compat::klp reads it ─ LivePatches plans
//!      Redirect   a redirect stub in an island near the module, then the site
//!      Retarget   the stub's data word
//!      Restore    the site
//! ```
//!
//! An island is a page of redirect stubs and a page of their target words, within
//! reach of the sites. Its stubs stay while their module is loaded: a call may be
//! in one.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::call::{self, CallEnd};
use super::compat::print::Machine;
use super::modules::{self, Module};
use super::{symbols, tracing};
use crate::addr::Vaddr;
use crate::compat::klp::{self, Callbacks};
use crate::isa::Insn;
use crate::kprintln;
use crate::livepatch::desc::{FuncDesc, ObjectDesc, PatchDesc, Site, World};
use crate::livepatch::set::{LivePatches, Missing, PatchId, Plan, PlanStep};
use crate::loader::SiteKind;
use crate::loader::stubs::{Stub, StubKind};
use crate::machine::lock::Mutex;
use crate::machine::memory::{Pages, read_u64};
use crate::machine::text;
use crate::memory::PAGE;
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, ColdEdit, NotLive, TargetEdit};

/// How far an island may lie from its module's text: `bl` reaches 32 MiB both
/// ways, from the site and from the stub back to the module's other stubs.
const NEAR: i64 = 0x100_0000;

static PATCHES: Mutex<LivePatches> = Mutex::new(LivePatches::new());
static ISLANDS: Mutex<Vec<Island>> = Mutex::new(Vec::new());
static CALLBACKS: Mutex<Vec<(String, Option<String>, Callbacks)>> = Mutex::new(Vec::new());
/// Why the last `klp_enable_patch` refused: for the command that led to it.
static REFUSED: Mutex<Option<String>> = Mutex::new(None);

/// Redirect stubs for one module.
struct Island {
    module: u32,
    pages: Pages,
    used: u64,
}

impl Island {
    fn new(module: &Module) -> Option<Self> {
        let (start, end) = module.text();
        let low = Vaddr(end.0.saturating_sub(NEAR as u64));
        let pages = Pages::take_within(2 * PAGE, low, start.offset(NEAR))?;
        let island = Self { module: module.number, pages, used: 0 };
        let (stubs, words) = island.ranges();
        text::publish(&module.name, &island.pages, stubs, words, words);
        Some(island)
    }

    /// The stubs' page and the target words' page.
    fn ranges(&self) -> ((Vaddr, Vaddr), (Vaddr, Vaddr)) {
        let start = self.pages.start();
        let middle = start.offset(PAGE.cast_signed());
        ((start, middle), (middle, middle.offset(PAGE.cast_signed())))
    }

    /// The next free slot and its target word.
    fn take_slot(&mut self) -> Option<(Vaddr, Vaddr)> {
        let slot_bytes = StubKind::Redirect.slot_bytes();
        let ((stubs, end), (words, _)) = self.ranges();
        let stub = stubs.offset((self.used * slot_bytes).cast_signed());
        let word = words.offset((self.used * 8).cast_signed());
        (stub.offset(slot_bytes.cast_signed()) <= end).then(|| {
            self.used += 1;
            (stub, word)
        })
    }
}

/// A module's name, its redirect stubs, and their target words.
pub type IslandPlace = (String, (Vaddr, Vaddr), (Vaddr, Vaddr));

/// Every island.
pub fn islands() -> Vec<IslandPlace> {
    let modules = modules::all();
    let name = |number| modules.iter().find(|module| module.number == number);
    let islands = ISLANDS.lock();
    let place = |island: &Island| {
        let (stubs, words) = island.ranges();
        (name(island.module).map_or(String::new(), |module| module.name.clone()), stubs, words)
    };
    islands.iter().map(place).collect()
}

/// True if the address lies in a redirect stub.
pub fn is_redirect_stub(at: Vaddr) -> bool {
    let islands = ISLANDS.try_lock();
    islands.is_some_and(|islands| islands.iter().any(|island| island.pages.contains(at, 1)))
}

/// What the loaded modules look like to the planner.
struct Loaded;

impl World for Loaded {
    fn is_loaded(&self, module: &str) -> bool {
        modules::find(module).is_some()
    }

    fn functions(&self, module: Option<&str>, name: &str) -> Vec<Vaddr> {
        module
            .and_then(modules::find)
            .map(|module| module.functions_named(name))
            .unwrap_or_default()
    }

    fn site_of(&self, entry: Vaddr) -> Option<Site> {
        let (_, row) = tracing::site_of(entry)?;
        Some(Site { at: row.at, late: row.kind == SiteKind::Late })
    }

    fn has_sites(&self, module: Option<&str>) -> bool {
        let module = module.and_then(modules::find);
        module.is_some_and(|module| tracing::counts(Some(module.sites)).sites > 0)
    }
}

/// Builds the redirect stub of the site at `at`, aimed at `to`; it has one
/// already if the function was patched before.
fn redirect_stub(at: Vaddr, to: Vaddr) -> Result<(), String> {
    let (site, row) = tracing::site_at(at).ok_or("its call site is gone")?;
    let module = modules::by_sites(site.module()).ok_or("its module is gone")?;
    let (stub, word) = match row.plan.redirect {
        Some(stub) => (stub, target_word(stub).ok_or("its redirect stub is gone")?),
        None => new_stub(&module)?,
    };
    let expect = read_u64(word).unwrap_or(0);
    text::retarget(&module.name, Why::PatchOn, TargetEdit { at: word, expect, write: to.0 })
        .map_err(|refusal| refusal.to_string())?;
    if row.plan.redirect.is_none() {
        let abi = modules::stub_abi(module.linked.toc);
        let words = Stub::Redirect { word, traced: None }
            .encode(stub, &abi)
            .map_err(|error| error.to_string())?;
        let edits = (0_i64..).zip(words.iter()).map(|(index, word)| ColdEdit {
            at: stub.offset(index * 4),
            expect: Insn(0),
            write: Insn(*word),
        });
        let end = stub.offset(StubKind::Redirect.slot_bytes().cast_signed());
        let proof = NotLive { first: stub, end };
        let batch = Batch::cold(&module.name, Why::PatchOn, &proof, edits.collect())
            .map_err(|edit| format!("{}: outside of its slot", edit.at))?;
        text::apply(batch).map_err(|refusal| refusal.to_string())?;
        tracing::set_redirect_stub(site, stub);
    }
    Ok(())
}

/// A free slot in an island of the module's.
fn new_stub(module: &Module) -> Result<(Vaddr, Vaddr), String> {
    let mut islands = ISLANDS.lock();
    let mut own = islands.iter_mut().filter(|island| island.module == module.number);
    if let Some(slot) = own.find_map(Island::take_slot) {
        return Ok(slot);
    }
    let mut island = Island::new(module).ok_or_else(|| {
        format!(
            "no room for redirect stubs within 16 MiB of {}; unload what lies near it",
            module.name
        )
    })?;
    let slot = island.take_slot().ok_or("a new island has no room")?;
    islands.reserve_exact(1); // `module_gone` gives back what this takes
    islands.push(island);
    Ok(slot)
}

/// The target word of a redirect stub.
pub fn target_word(stub: Vaddr) -> Option<Vaddr> {
    let islands = ISLANDS.lock();
    let island = islands.iter().find(|island| island.pages.contains(stub, 4))?;
    let ((stubs, _), (words, _)) = island.ranges();
    let index = stub.since(stubs) / StubKind::Redirect.slot_bytes().cast_signed();
    Some(words.offset(index * 8))
}

/// Does what a plan says, then commits it. Sites are switched in one batch for
/// what begins and one for what ends.
fn carry_out(who: &str, plan: Plan) -> Result<(), String> {
    let (mut begin, mut end) = (Vec::new(), Vec::new());
    let site = |at: Vaddr| tracing::site_at(at).map(|(site, _)| site).ok_or("a call site is gone");
    for step in plan.steps() {
        match step {
            PlanStep::Redirect { target, to } => {
                redirect_stub(target.site, *to).map_err(|why| format!("{}: {why}", target.name))?;
                begin.push(site(target.site)?);
            }
            PlanStep::Retarget { .. } => {}
            PlanStep::Restore { target, .. } => end.push(site(target.site)?),
        }
    }
    tracing::redirect(who, begin, true)?;
    for step in plan.steps() {
        if let PlanStep::Retarget { target, to, .. } = step {
            redirect_stub(target.site, *to).map_err(|why| format!("{}: {why}", target.name))?;
        }
    }
    tracing::redirect(who, end, false)?;
    PATCHES.lock().commit(plan).map_err(|refusal| refusal.to_string())
}

/// `klp_enable_patch(patch)`: called by a patch module's init; 0 or a negative
/// error number, with the reason on the console.
pub extern "C" fn klp_enable_patch(patch: u64) -> i32 {
    match enable_from_module(Vaddr(patch)) {
        Ok(()) => 0,
        Err(reason) => {
            *REFUSED.lock() = Some(reason);
            -22 // EINVAL
        }
    }
}

fn enable_from_module(at: Vaddr) -> Result<(), String> {
    let read = klp::read_patch(&Machine, at).map_err(|error| error.to_string())?;
    let own = |module: &Arc<Module>| module.linked.this_module == Some(read.mod_ptr);
    let module = modules::all()
        .into_iter()
        .find(own)
        .ok_or("klp_patch.mod is no loaded module (set it to THIS_MODULE)")?;
    let desc = PatchDesc {
        name: module.name.clone(),
        replace: read.replace,
        objects: read
            .objects
            .iter()
            .map(|object| ObjectDesc {
                module: object.name.clone(),
                funcs: object
                    .funcs
                    .iter()
                    .map(|func| FuncDesc {
                        old_name: func.old_name.clone(),
                        new_func: func.new_func,
                        sympos: u32::try_from(func.sympos).unwrap_or(u32::MAX),
                    })
                    .collect(),
            })
            .collect(),
    };
    let id = PATCHES.lock().register(desc).map_err(|refusal| refusal.to_string())?;
    CALLBACKS.lock().extend(
        read.objects
            .iter()
            .map(|object| (module.name.clone(), object.name.clone(), object.callbacks)),
    );
    enable(id, &module.name).inspect_err(|_| forget(&module.name))
}

fn forget(name: &str) {
    let mut patches = PATCHES.lock();
    if let Some(id) = patches.find(name) {
        // It cannot be enabled: enabling it failed, or it was disabled before.
        let _ = patches.unregister(id);
    }
    let mut callbacks = CALLBACKS.lock();
    callbacks.retain(|(patch, ..)| patch != name);
    callbacks.shrink_to_fit();
}

/// Calls one of a patch's callbacks for every loaded object that has it.
fn run_callbacks(patch: &str, which: impl Fn(&Callbacks) -> Option<Vaddr>) -> Result<(), String> {
    let callbacks = CALLBACKS.lock().clone();
    for (owner, object, callbacks) in callbacks {
        let present = object.as_deref().is_none_or(|name| modules::find(name).is_some());
        let Some(function) = which(&callbacks).filter(|_| owner == patch && present) else {
            continue;
        };
        match call::run(function, &[callbacks.object.0]) {
            CallEnd::Returned(result) if result as i32 == 0 => {}
            CallEnd::Returned(result) => {
                return Err(format!("its callback returned {}", result as i32));
            }
            CallEnd::Oops(cause) => return Err(format!("its callback: {cause}")),
        }
    }
    Ok(())
}

fn enable(id: PatchId, name: &str) -> Result<(), String> {
    let plan = PATCHES
        .lock()
        .plan_enable(id, &Loaded, Missing::Wait)
        .map_err(|refusal| refusal.to_string())?;
    let waiting = plan.waiting().to_vec();
    run_callbacks(name, |callbacks| callbacks.pre_patch)?;
    let shown: Vec<_> = plan.steps().iter().filter_map(shown).collect();
    carry_out(name, plan)?;
    for (target, new) in shown {
        kprintln!("{target} -> {new}");
    }
    for module in waiting {
        kprintln!("{name}: waits for module {module}");
    }
    // void functions: what is in r3 afterwards means nothing.
    let _ = run_callbacks(name, |callbacks| callbacks.post_patch);
    Ok(())
}

fn shown(step: &PlanStep) -> Option<(String, String)> {
    match step {
        PlanStep::Redirect { target, to } | PlanStep::Retarget { target, to, .. } => {
            Some((target.name.to_string(), symbols::qualified(*to)))
        }
        PlanStep::Restore { .. } => None,
    }
}

/// `livepatch enable MOD`: loads the patch module if needed, and enables it.
pub fn enable_command(word: &str) -> Result<(), modules::Failure> {
    let loaded = modules::find(word);
    let Some(module) = loaded else {
        REFUSED.lock().take();
        return match modules::insmod(word, Default::default(), &[]) {
            Ok(module) if PATCHES.lock().find(&module.name).is_some() => Ok(()),
            Ok(module) => {
                let name = module.name.clone();
                drop(module);
                let _ = modules::rmmod(&name);
                Err(format!("{word}: not a live patch: its init did not call klp_enable_patch")
                    .into())
            }
            Err(modules::Failure::Refused(reason)) => {
                let why = REFUSED.lock().take();
                Err(why.map_or(reason, |why| format!("{word}: {why}")).into())
            }
            Err(oops) => Err(oops),
        };
    };
    let id = PATCHES.lock().find(&module.name);
    let id = id.ok_or_else(|| format!("{word}: loaded, but not a live patch"))?;
    enable(id, &module.name).map_err(|why| format!("{word}: {why}").into())
}

/// `livepatch disable MOD`: the functions are themselves again.
pub fn disable_command(word: &str) -> Result<(), String> {
    let name =
        modules::find(word).map_or_else(|| word.replace('-', "_"), |module| module.name.clone());
    let plan = {
        let patches = PATCHES.lock();
        let id = patches
            .find(&name)
            .ok_or_else(|| format!("{word}: no such live patch (see livepatch list)"))?;
        patches.plan_disable(id).map_err(|refusal| format!("{word}: {refusal}"))?
    };
    let _ = run_callbacks(&name, |callbacks| callbacks.pre_unpatch);
    carry_out(&name, plan).map_err(|why| format!("{word}: {why}"))?;
    let _ = run_callbacks(&name, |callbacks| callbacks.post_unpatch);
    Ok(())
}

/// True if a patch of that name is enabled.
pub fn is_enabled(name: &str) -> bool {
    let patches = PATCHES.lock();
    patches.find(name).is_some_and(|id| patches.is_enabled(id))
}

/// True if a patch of that name is known.
pub fn is_patch(name: &str) -> bool {
    PATCHES.lock().find(name).is_some()
}

/// Why the last `klp_enable_patch` refused, once.
pub fn take_refusal() -> Option<String> {
    REFUSED.lock().take()
}

/// What the function with this global entry is replaced with now.
pub fn replacement(entry: Vaddr) -> Option<Vaddr> {
    PATCHES.lock().replacement(entry).map(|(_, to)| to)
}

/// One line a patch.
pub fn list() -> Vec<String> {
    let patches = PATCHES.lock();
    let line = |status: crate::livepatch::set::Status<'_>| {
        let state = if status.enabled { "enabled" } else { "disabled" };
        format!("{} {state} functions {} on top {}", status.name, status.functions, status.on_top)
    };
    patches.status().map(line).collect()
}

/// One line a redirected function: of one patch, or of all.
pub fn show(patch: Option<&str>) -> Result<Vec<String>, String> {
    let owner = match patch {
        Some(word) => Some(modules::find_loaded(word)?),
        None => None,
    };
    let rows = tracing::rows(None)?;
    let patches = PATCHES.lock();
    let lines = rows.into_iter().filter_map(|(module, name, _)| {
        let entry = *module.functions_named(&name).first()?;
        let (target, to) = patches.replacement(entry)?;
        let ours = owner.as_ref().is_none_or(|owner| owner.pages.contains(to, 4));
        ours.then(|| format!("{} -> {}", target.name, symbols::qualified(to)))
    });
    Ok(lines.collect())
}

/// Patches a module that has been listed and has not run yet, if patches wait for it.
pub fn module_comes(name: &str) -> Result<(), String> {
    let plan = PATCHES.lock().plan_coming(name, &Loaded).map_err(|refusal| refusal.to_string())?;
    if plan.steps().is_empty() {
        return Ok(());
    }
    carry_out(name, plan)
}

/// A module is about to go: if it is a patch, its functions come back first.
pub fn module_goes(name: &str) {
    if is_enabled(name) {
        // Only a patch whose own init failed afterwards is still enabled here.
        if let Err(why) = disable_command(name) {
            kprintln!("livepatch: {why}");
        }
    }
    forget(name);
}

/// A module's text is gone: so are the redirects in it, and their stubs.
pub fn module_gone(name: &str) {
    PATCHES.lock().module_gone(name);
    let loaded: Vec<_> = modules::all();
    let gone = |island: &Island| {
        loaded.iter().all(|module| module.number != island.module || module.name == name)
    };
    let mut islands = ISLANDS.lock();
    for island in islands.iter().filter(|island| gone(island)) {
        let (stubs, words) = island.ranges();
        text::withdraw(stubs, words);
    }
    islands.retain(|island| !gone(island));
    islands.shrink_to_fit();
}
