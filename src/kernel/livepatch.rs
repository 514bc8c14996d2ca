//! Live patches: what `livepatch::set` plans, carried out on the machine.
//!
//! ```text
//!  patch module's init ─ klp_enable_patch ─ compat::klp reads it ─ LivePatches plans
//!   ─ callbacks: pre_patch ─ transition: begin ... finish ─ callbacks: post_patch
//! ```
//!
//! | file | |
//! |---|---|
//! | `transition` | a change from beginning to end; who is in the way |
//! | `stacks` | what is on a CPU's stack |
//! | `islands` | redirect stubs, choosers, where they lead |
//! | `burn` | calls aimed straight at replacements, between changes |
//! | `callbacks` | what the patch wants called before and after |
//! | `late` | what patches borrow from modules that come and go |
//! | `states`, `shadow` | Linux's `klp_state`, shadow variables |
//! | `mirror` | fields that callbacks may read |
//! | `sysfs` | the files under `/sys/kernel/livepatch` |
//!
//! # Invariants
//! - All words are checked before anything is made, and what fails after that is
//!   taken back: a patch that is refused leaves text and memory as they were.
//! - A callback's fault ends the command as an oops, after the change is done.
//! - One change at a time: whoever plans one, carries one out, or brings or takes a module
//!   has [`OneChange`]. What callbacks and exit functions ask for meanwhile is refused.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use super::compat::print::Machine;
use super::modules::{self, Failure, Module};
use super::{own, symbols, tracing};
use crate::addr::Vaddr;
use crate::compat::klp;
use crate::kprintln;
use crate::livepatch::desc::{Code, ObjectDesc, PatchDesc, Site, World};
use crate::livepatch::refusal::Refusal;
use crate::livepatch::set::{LivePatches, Missing, PatchId, PlanStep};
use crate::loader::modinfo::Modinfo;
use crate::loader::{SiteKind, borrow};
use crate::machine::lock::{Mutex, pause};
use crate::machine::{paca, quiesce, spr, tick};
use callbacks::When;

pub mod burn;
mod callbacks;
pub mod islands;
mod late;
pub mod mirror;
pub mod shadow;
mod stacks;
pub mod states;
pub mod sysfs;
mod transition;

pub use islands::{is_redirect_stub, islands};
pub use late::may_go;
pub use transition::{init, is_changing, nobody_in, nobody_in_hooks, settle};

static PATCHES: Mutex<LivePatches> = Mutex::new(LivePatches::new());
/// Why the last `klp_enable_patch` refused, while a command runs an init function that may
/// lead to it, and will ask.
static REFUSED: Mutex<Option<Option<String>>> = Mutex::new(None);
/// The patch whose callback faulted in `klp_enable_patch`, and the cause.
static OOPS: Mutex<Option<(String, String)>> = Mutex::new(None);

/// r13 of the CPU that has [`OneChange`], or 0.
static CHANGING: AtomicU64 = AtomicU64::new(0);

/// Nothing else of patches changes as long as it is held.
pub struct OneChange(());

impl Drop for OneChange {
    fn drop(&mut self) {
        CHANGING.store(0, Ordering::Release);
    }
}

impl OneChange {
    /// Takes it if nobody has it.
    fn at_once() -> Option<Self> {
        let own = paca::r13().0;
        let taken = CHANGING.compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed);
        taken.ok().map(|_| Self(()))
    }

    /// Waits a second for another CPU's; this CPU's own is under way below.
    #[optimize(size)]
    #[inline(never)]
    pub fn begin() -> Result<Self, String> {
        let since = spr::timebase();
        loop {
            if let Some(change) = Self::at_once() {
                return Ok(change);
            }
            let nested = CHANGING.load(Ordering::Relaxed) == paca::r13().0;
            if nested || spr::timebase() - since > tick::timebase_hz() {
                return Err(
                    "live patches or modules are being changed (try again when that is done)"
                        .into(),
                );
            }
            quiesce::here();
            pause();
        }
    }
}

/// What the loaded modules look like to the planner.
struct Loaded;

impl World for Loaded {
    fn is_loaded(&self, module: &str) -> bool {
        modules::find(module).is_some()
    }

    fn functions(&self, module: Option<&str>, name: &str) -> Vec<Vaddr> {
        match module {
            Some(module) => {
                modules::find(module).map(|module| module.functions_named(name)).unwrap_or_default()
            }
            None => own::named(name),
        }
    }

    fn site_of(&self, entry: Vaddr) -> Option<Site> {
        let (_, row) = tracing::site_of(entry)?;
        Some(Site { at: row.at, late: row.kind == SiteKind::Late })
    }

    #[optimize(size)]
    fn code_at(&self, patch: &str, at: Vaddr) -> Code {
        let Some(module) = modules::find(patch).filter(|module| module.is_code(at)) else {
            return Code::None;
        };
        match module.function_at(at) {
            // Of assembly that has no size nobody knows how far it goes.
            Some((name, entry, size)) if entry != at && size != 0 => Code::Inside(name.into()),
            _ => Code::Entry,
        }
    }

    fn has_sites(&self, module: Option<&str>) -> bool {
        let Some(name) = module else { return true };
        modules::find(name).is_some_and(|module| tracing::counts(Some(module.sites)).sites > 0)
    }
}

/// `klp_enable_patch(patch)`: called by a patch module's init; 0 or a negative
/// error number, with the reason on the console.
#[optimize(size)]
pub extern "C" fn klp_enable_patch(patch: u64) -> i32 {
    let one = OneChange::begin();
    if let Err(reason) = &one {
        // At once: it need not be the module that a command is about.
        kprintln!("klp_enable_patch: {reason}");
        return -16; // EBUSY
    }
    match enable_from_module(Vaddr(patch)) {
        Ok(()) => 0,
        Err(reason) => {
            match &mut *REFUSED.lock() {
                Some(kept) => *kept = Some(reason),
                None => kprintln!("klp_enable_patch: live patch refused: {reason}"),
            }
            -22 // EINVAL
        }
    }
}

#[optimize(size)]
fn enable_from_module(at: Vaddr) -> Result<(), String> {
    let read = klp::read_patch(&Machine, at).map_err(|error| error.to_string())?;
    let own = |module: &Arc<Module>| module.linked().this_module == Some(read.mod_ptr);
    let module = modules::all()
        .into_iter()
        .find(own)
        .ok_or("klp_patch.mod is no loaded module (set it to THIS_MODULE)")?;
    if Modinfo::of(module.object()).get("livepatch").is_none() {
        return Err("not marked as a live patch (add MODULE_INFO(livepatch, \"Y\"))".into());
    }
    if let Some(why) = lacks(&module) {
        return Err(why);
    }
    let states = states::read(&read)?;
    let desc = PatchDesc {
        name: module.name.clone(),
        replace: read.replace,
        objects: read
            .objects
            .iter()
            .map(|object| ObjectDesc { module: object.name.clone(), funcs: object.funcs.clone() })
            .collect(),
    };
    let id = PATCHES.lock().register(desc).map_err(|refusal| refusal.to_string())?;
    callbacks::add(&module.name, &read.objects);
    mirror::add(&module.name, at, &read);
    states::add(&module.name, states);
    let oops = match enable(id, &module.name) {
        Ok(oops) => {
            note_oops(&module.name, oops);
            return Ok(());
        }
        Err(Failure::Oops(cause)) => Some(cause),
        Err(Failure::Refused(reason)) => {
            forget(&module.name);
            return Err(reason);
        }
    };
    forget(&module.name);
    note_oops(&module.name, oops.clone());
    Err(oops.unwrap_or_default())
}

/// What a patch borrows from a module that is there, and does not have it: it was made of
/// another source than the one that runs.
#[optimize(size)]
#[inline(never)]
fn lacks(patch: &Module) -> Option<String> {
    let object = patch.object();
    object.symbols().filter(|symbol| symbol.st_shndx == 0).find_map(|symbol| {
        let borrowed = borrow::parse(object.name(&symbol))?;
        let of = borrowed.module.unwrap_or("vmlinux");
        let there = borrowed.module.is_none() || modules::find(of).is_some();
        if !there || modules::borrowed_from(&borrowed).is_some() {
            return None;
        }
        let (name, position) = (borrowed.name, borrowed.position);
        Some(format!(
            "{of} has no {name} (number {position}), which it borrows (make it of the source that runs)"
        ))
    })
}

#[optimize(size)]
fn note_oops(patch: &str, oops: Option<String>) {
    if let Some(cause) = oops {
        *OOPS.lock() = Some((patch.to_string(), cause));
    }
}

/// What fault a callback of this patch ended with in `klp_enable_patch`, once.
pub fn take_oops(patch: &str) -> Option<String> {
    let noted = OOPS.lock().take();
    noted.filter(|(name, _)| name == patch).map(|(_, cause)| cause)
}

#[optimize(size)]
fn forget(name: &str) {
    let mut patches = PATCHES.lock();
    if let Some(id) = patches.find(name) {
        // It cannot be enabled: enabling it failed, or it was disabled before.
        let _ = patches.unregister(id);
    }
    drop(patches);
    callbacks::forget(name);
    mirror::forget(name);
    states::forget(name);
}

/// Enables a patch, or begins to; a fault of its `post_patch`, after which it is
/// enabled.
#[optimize(size)]
fn enable(id: PatchId, name: &str) -> Result<Option<String>, Failure> {
    if transition::turn(name, true) {
        return Ok(transition::try_now());
    }
    let late = transition::let_end();
    burn::undo()?;
    let plan = PATCHES
        .lock()
        .plan_enable(id, &Loaded, Missing::Wait)
        .map_err(|refusal| refused(&refusal))?;
    states::check(id)?;
    islands::check(plan.steps())?;
    let waiting = plan.waiting().to_vec();
    let shown: Vec<_> = plan.steps().iter().filter_map(shown).collect();
    mirror::found(name, None);
    callbacks::before_patch(name, None)
        .and_then(|()| Ok(transition::begin(name, true, plan)?))
        .map_err(|failure| {
            let oops = callbacks::notify(name, None, When::PostUnpatch);
            mirror::lost(name, None);
            failed(failure, oops)
        })?;
    for (target, new) in shown {
        kprintln!("{target} -> {new}");
    }
    for module in waiting {
        kprintln!("{name}: waits for module {module}");
    }
    mirror::enabled(name, true);
    Ok(late.or(transition::try_now()))
}

/// A refusal, with who is in the way.
#[optimize(size)]
fn refused(refusal: &Refusal) -> String {
    match (refusal, transition::open()) {
        (Refusal::Busy, Some((other, _))) => {
            let late = transition::blocker().map(|line| format!(", {line}")).unwrap_or_default();
            format!("{other} is in transition{late} (livepatch force {other} ends it)")
        }
        _ => refusal.to_string(),
    }
}

/// A failure after which a callback may have faulted as well: that is worse.
#[optimize(size)]
fn failed(failure: Failure, oops: Option<String>) -> Failure {
    match (failure, oops) {
        (Failure::Refused(reason), Some(cause)) => Failure::Oops(format!("{reason}; {cause}")),
        (failure, _) => failure,
    }
}

/// Disables a patch, or begins to; the first fault of its callbacks.
#[optimize(size)]
fn disable(name: &str) -> Result<Option<String>, Failure> {
    if transition::turn(name, false) {
        return Ok(transition::try_now());
    }
    let late = transition::let_end();
    burn::undo()?;
    let plan = {
        let patches = PATCHES.lock();
        let id = patches.find(name).ok_or("no such live patch (see livepatch list)".to_string())?;
        patches.plan_disable(id)
    };
    let plan = plan.map_err(|refusal| refused(&refusal))?;
    islands::check(plan.steps())?;
    let before = callbacks::notify(name, None, When::PreUnpatch);
    if let Err(reason) = transition::begin(name, false, plan) {
        let after = callbacks::notify(name, None, When::PostPatch);
        return Err(failed(reason.into(), before.or(after)));
    }
    Ok(late.or(before).or(transition::try_now()))
}

/// A command's change, and how it ends, with what it was about in front.
#[optimize(size)]
fn verdict(
    word: &str,
    change: &mut dyn FnMut() -> Result<Option<String>, Failure>,
) -> Result<(), Failure> {
    match OneChange::begin().map_err(Failure::Refused).and_then(|_one| change()) {
        Ok(None) => Ok(()),
        Ok(Some(cause)) | Err(Failure::Oops(cause)) => {
            Err(Failure::Oops(format!("{word}: {cause}")))
        }
        Err(Failure::Refused(reason)) => Err(format!("{word}: {reason}").into()),
    }
}

#[optimize(size)]
fn shown(step: &PlanStep) -> Option<(String, String)> {
    match step {
        PlanStep::Redirect { target, to } | PlanStep::Retarget { target, to, .. } => {
            Some((target.name.to_string(), symbols::qualified(*to)))
        }
        PlanStep::Restore { .. } | PlanStep::Arrive { .. } => None,
    }
}

/// `livepatch enable MOD`: loads the patch module if needed, and enables it.
#[optimize(size)]
pub fn enable_command(word: &str) -> Result<(), Failure> {
    let loaded = modules::find(word);
    let Some(module) = loaded else {
        listen();
        let done = modules::insmod(word, Default::default(), &[]);
        let why = take_refusal();
        return match done {
            Ok(module) if PATCHES.lock().find(&module.name).is_some() => Ok(()),
            Ok(module) => {
                let name = module.name.clone();
                drop(module);
                if let Err(Failure::Oops(cause)) = modules::rmmod(&name) {
                    return Err(Failure::Oops(cause));
                }
                let why = why.as_deref();
                let why = why.unwrap_or("not a live patch: its init did not call klp_enable_patch");
                Err(format!("{word}: {why}").into())
            }
            Err(Failure::Refused(reason)) => {
                Err(why.map_or(reason, |why| format!("{word}: {why}")).into())
            }
            Err(oops) => Err(oops),
        };
    };
    let id = PATCHES.lock().find(&module.name);
    let id = id.ok_or_else(|| {
        format!("{word}: loaded, but it has enabled no live patch (rmmod {word}, then try again)")
    })?;
    verdict(word, &mut || {
        late::again(&module)?;
        enable(id, &module.name)
    })
}

/// `livepatch disable MOD`: the functions are themselves again.
#[optimize(size)]
pub fn disable_command(word: &str) -> Result<(), Failure> {
    let name =
        modules::find(word).map_or_else(|| word.replace('-', "_"), |module| module.name.clone());
    verdict(word, &mut || disable(&name))
}

/// `livepatch force MOD`: the transition ends although CPUs are in what changes.
#[optimize(size)]
pub fn force_command(word: &str) -> Result<(), Failure> {
    let name = word.replace('-', "_");
    verdict(word, &mut || Ok(transition::force(&name)?))
}

/// `livepatch transition`: what is under way, and who keeps it from ending.
pub fn transition() -> Vec<String> {
    transition::lines()
}

/// True if a patch of that name is on the way from enabled to disabled or back.
pub fn in_transition(name: &str) -> bool {
    transition::is_open(name)
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

/// Keeps for [`take_refusal`] why a `klp_enable_patch` refuses; else it is printed at once.
#[optimize(size)]
#[inline(never)]
pub fn listen() {
    *REFUSED.lock() = Some(None);
}

/// Why the last `klp_enable_patch` since [`listen`] refused, once.
#[optimize(size)]
#[inline(never)]
pub fn take_refusal() -> Option<String> {
    REFUSED.lock().take().flatten()
}

/// What the function with this global entry is replaced with now.
pub fn replacement(entry: Vaddr) -> Option<Vaddr> {
    PATCHES.lock().replacement(entry).map(|(_, to)| to)
}

/// One line a patch.
#[optimize(size)]
pub fn list() -> Vec<String> {
    let patches = PATCHES.lock();
    let line = |status: crate::livepatch::set::Status<'_>| {
        let state = match (transition::is_open(status.name), status.enabled) {
            (true, true) => "enabling",
            (true, false) => "disabling",
            (false, true) => "enabled",
            (false, false) => "disabled",
        };
        format!("{} {state} functions {} on top {}", status.name, status.functions, status.on_top)
    };
    patches.status().map(line).collect()
}

/// One line a redirected function: of one patch, or of all.
#[optimize(size)]
#[inline(never)]
pub fn show(patch: Option<&str>) -> Result<Vec<String>, String> {
    let owner = match patch {
        Some(word) => Some(modules::find_loaded(word)?),
        None => None,
    };
    let mut lines = Vec::new();
    PATCHES.lock().each_replacement(&mut |target, to| {
        if owner.as_ref().is_some_and(|owner| !owner.pages.contains(to, 4)) {
            return;
        }
        let (mut line, mut count) = (format!("{} -> {}", target.name, symbols::qualified(to)), 0);
        burn::each(&mut |_, there| count += u32::from(there == to));
        if count > 0 {
            line += &format!(" (burnt in: {count})");
        }
        lines.push(line);
    });
    Ok(lines)
}

/// Patches a module that has been listed and has not run yet, if patches wait for it:
/// each patch's `pre_patch`, the functions, each patch's `post_patch`.
#[optimize(size)]
pub fn module_comes(name: &str) -> Result<(), Failure> {
    if PATCHES.lock().status().next().is_none() {
        return Ok(());
    }
    burn::undo()?;
    burn::want();
    let plan = PATCHES.lock().plan_coming(name, &Loaded).map_err(|refusal| refusal.to_string())?;
    islands::check(plan.steps())?;
    late::settle(name)?;
    let patches = PATCHES.lock().enabled_names();
    let mut begun: Vec<String> = Vec::new();
    let mut done = Ok(());
    for patch in &patches {
        mirror::found(patch, Some(name));
        begun.push(patch.clone());
        if let Err(failure) = callbacks::before_patch(patch, Some(name)) {
            done = Err(match failure {
                Failure::Refused(why) => Failure::Refused(format!("{patch}: {why}")),
                Failure::Oops(why) => Failure::Oops(format!("{patch}: {why}")),
            });
            break;
        }
    }
    if done.is_ok() && !plan.steps().is_empty() {
        done = transition::arrive(name, plan).map_err(Failure::Refused);
    }
    if let Err(failure) = done {
        let oops = begun.iter().rev().fold(None, |oops, patch| {
            let later = callbacks::notify(patch, Some(name), When::PostUnpatch);
            mirror::lost(patch, Some(name));
            oops.or(later)
        });
        return Err(failed(failure, oops));
    }
    let mut oops = None;
    for patch in patches {
        mirror::patched(&patch, Some(name), true);
        if !transition::is_open(&patch) {
            oops = oops.or(callbacks::notify(&patch, Some(name), When::PostPatch));
        }
    }
    match oops {
        Some(cause) => Err(Failure::Oops(cause)),
        None => Ok(()),
    }
}

/// A module that patches change is about to go: they are told, the last first.
#[optimize(size)]
pub fn target_goes(name: &str) -> Option<String> {
    let patches = PATCHES.lock().enabled_names();
    let mut oops = None;
    for patch in patches.into_iter().rev() {
        if !transition::is_open(&patch) {
            oops = oops.or(callbacks::notify(&patch, Some(name), When::PreUnpatch));
        }
        mirror::patched(&patch, Some(name), false);
        oops = oops.or(callbacks::notify(&patch, Some(name), When::PostUnpatch));
        mirror::lost(&patch, Some(name));
    }
    oops
}

/// A module is about to go: if it is a patch, its functions come back first. A
/// fault of its callbacks; an error if they cannot come back, and it must stay.
#[optimize(size)]
pub fn module_goes(name: &str) -> Result<Option<String>, Failure> {
    // Only a patch whose own init failed afterwards is still enabled here.
    let oops = if is_enabled(name) { disable(name)? } else { None };
    let oops = oops.or_else(transition::let_end);
    if transition::is_open(name) {
        let late = transition::blocker().map(|line| format!(", {line}")).unwrap_or_default();
        return Err(Failure::Refused(format!(
            "its live patch is in transition{late} (livepatch force {name} ends that)"
        )));
    }
    if let Some(module) = modules::find(name).filter(|_| is_patch(name)) {
        nobody_in(&module)?;
        islands::give_back_idle(name);
    }
    forget(name);
    Ok(oops)
}

/// A module's text is gone: so are the redirects in it, and their stubs.
#[optimize(size)]
pub fn module_gone(name: &str) {
    transition::module_gone(name);
    if let Err(reason) = late::settle(name) {
        kprintln!("{name}: {reason}");
    }
    PATCHES.lock().module_gone(name);
    callbacks::module_gone(name);
    islands::module_gone(name);
}
