//! The time between a patch's beginning and its end: CPUs change over, one by one.
//!
//! ```text
//!  begin   stubs lead to choosers, sites to stubs; nothing runs differently yet
//!  ask     each CPU: none of what changes is on my stack ─> the new side is mine
//!  finish  all have: stubs lead past the choosers, sites without a patch are off
//!  turn    in between: the other way round
//! ```
//!
//! # Invariants
//! - One transition at a time. It is finished by whoever finds that all CPUs have
//!   answered: the command that began it, or the shell before and after later ones.
//! - Between `begin` and `finish` a call runs what was or what will be from its
//!   beginning to its end, and a CPU goes from one to the other only between calls of
//!   what changes.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::callbacks::{self, When};
use super::islands::{self, Change};
use super::stacks::{self, Found, Range};
use super::{OneChange, PATCHES, burn, mirror};
use crate::addr::Vaddr;
use crate::kernel::{jobs, modules, own, symbols, tracing};
use crate::kprintln;
use crate::livepatch::desc::part_of;
use crate::livepatch::set::{Plan, PlanStep};
use crate::machine::lock::{Mutex, pause};
use crate::machine::quiesce::{self, Kind};
use crate::machine::{smp, spr, tick};
use crate::patch::journal::Why;

/// Seconds that a command waits for a transition that it has begun, or found, and for
/// what is about to go to be left.
const PATIENCE: u64 = 1;

/// A transition that is under way.
struct Open {
    patch: String,
    enabling: bool,
    changes: Vec<Change>,
    /// No command has said yet that it goes on.
    fresh: bool,
}

static OPEN: Mutex<Option<Open>> = Mutex::new(None);

/// Whether [`OPEN`] holds one, changed under its lock: each command asks twice, and
/// there seldom is.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// True while CPUs may differ in what they run.
pub fn is_under_way() -> bool {
    IS_OPEN.load(Ordering::Relaxed)
}

/// The patch in transition, and whether it is being enabled.
pub fn open() -> Option<(String, bool)> {
    OPEN.lock().as_ref().map(|open| (open.patch.clone(), open.enabling))
}

/// True if that patch is in transition.
pub fn is_open(patch: &str) -> bool {
    open().is_some_and(|(name, _)| name == patch)
}

const fn why(enabling: bool) -> Why {
    if enabling { Why::PatchOn } else { Why::PatchOff }
}

/// Leads the sites of changes to their stubs, or to their functions again.
#[optimize(size)]
fn switch<'c>(
    who: &str,
    changes: impl Iterator<Item = &'c Change>,
    on: bool,
) -> Result<u64, String> {
    let site = |change: &Change| {
        let found = tracing::site_at(change.target.site);
        found.map(|(site, _)| site).ok_or("a call site is gone")
    };
    tracing::redirect(who, changes.map(site).collect::<Result<_, _>>()?, on)
}

/// Aims stubs, `old` being the side of CPUs that have not changed over, and switches on
/// the sites that had none; on an error all is as it was.
#[optimize(size)]
fn lead(who: &str, why: Why, changes: &[Change], old: u64, all: bool) -> Result<(), String> {
    let aimed = islands::aim(who, why, changes, old)?;
    let new = changes.iter().filter(|change| all || change.from.is_none());
    switch(who, new, true).map(|_| ()).inspect_err(|_| aimed.undo(who))
}

/// Begins what `plan` says for `patch`. On an error all is as it was.
#[optimize(size)]
pub fn begin(patch: &str, enabling: bool, plan: Plan) -> Result<(), String> {
    let changes: Vec<_> = plan.steps().iter().map(Change::of).collect();
    PATCHES.lock().check(&plan).map_err(|refusal| refusal.to_string())?;
    lead(patch, why(enabling), &changes, quiesce::side(), false)?;
    PATCHES.lock().begin(plan).map_err(|refusal| refusal.to_string())?;
    let open = Open { patch: patch.to_string(), enabling, changes, fresh: true };
    ask(&open.changes, 8 - quiesce::side());
    let mut held = OPEN.lock();
    *held = Some(open);
    IS_OPEN.store(true, Ordering::Relaxed);
    Ok(())
}

/// Asks every CPU to change over.
#[optimize(size)]
fn ask(changes: &[Change], side: u64) {
    let mut code = Vec::new();
    changes.iter().for_each(|change| add_code(&mut code, change));
    stacks::about(Kind::Change, code, stubs());
    quiesce::ask(Kind::Change, side);
}

/// Adds where the code lies that was called till now: a replacement's, or the function's
/// own; and what the compiler has put elsewhere of it, whose end leads back into it.
#[optimize(size)]
#[inline(never)]
fn add_code(code: &mut Vec<Range>, change: &Change) {
    let at = change.from.unwrap_or(change.target.entry);
    let mut add = |entry: Vaddr, size: u64| {
        code.push((entry, entry.offset(size.max(4).cast_signed())));
    };
    let Some(module) = modules::containing(at) else {
        return own::function_at(at).into_iter().for_each(|(entry, size)| add(entry, size));
    };
    let Some((_, entry, size)) = module.function_at(at) else { return };
    add(entry, size);
    for part in module.functions() {
        let Some(of) = part_of(module.symbol_name(part.symbol)) else { continue };
        if module.functions_named(of).contains(&entry)
            && let Some((_, entry, size)) = module.function_at(module.address(part.at))
        {
            add(entry, size);
        }
    }
}

/// Every stub that a call may be in before it is where it goes.
#[optimize(size)]
fn stubs() -> Vec<Range> {
    let islands = islands::islands().into_iter().map(|(_, stubs, _)| stubs);
    islands.chain(modules::all().iter().map(|module| module.stubs())).collect()
}

/// Waits for the CPUs to answer, at most so many ticks of the time base.
fn wait(kind: Kind, patience: u64) -> bool {
    if patience == 0 {
        return wait_for(kind, patience);
    }
    quiesce::hurry(true);
    let answered = wait_for(kind, patience);
    quiesce::hurry(false);
    answered
}

#[optimize(size)]
fn wait_for(kind: Kind, patience: u64) -> bool {
    let since = spr::timebase();
    let mut woken = false;
    loop {
        quiesce::here();
        let mut late = smp::visit().filter(|cpu| !quiesce::has_answered(cpu.paca, kind));
        if late.next().is_none() {
            return true;
        }
        let waited = spr::timebase() - since;
        if waited > patience {
            return false;
        }
        if !woken {
            smp::visit().for_each(|cpu| smp::wake(cpu.number));
            woken = true;
        }
        // CPUs that share an emulator's thread take turns: where this one always passes its
        // turn on at once, the rest of it may always be one and the same CPU's.
        if waited / tick::period() % 4 != 3 {
            pause();
        }
    }
}

#[optimize(size)]
fn place(at: Vaddr) -> String {
    symbols::place(at, None).unwrap_or_else(|| at.to_string())
}

/// Who has not answered, and what it is in.
#[optimize(size)]
fn blockers(kind: Kind) -> Vec<String> {
    let late = smp::cpus().into_iter().filter(|cpu| !quiesce::has_answered(cpu.paca, kind));
    let line = |cpu: smp::Cpu| {
        let doing = jobs::doing(cpu.number);
        let why = match quiesce::blocker(cpu.paca, kind).map(stacks::found) {
            Some((at, Found::Inside)) => format!("in {}", place(at)),
            Some((at, Found::Unclear)) => format!("its stack cannot be told at {}", place(at)),
            Some((at, Found::Lost)) => format!(
                "at {}, its stack has no end: damaged, or a frame is missing (stop the job)",
                place(at)
            ),
            None => "has not looked at its stack yet".to_string(),
        };
        format!("cpu {} {doing}: {why}", cpu.number)
    };
    late.map(line).collect()
}

/// The first of those who keep the transition that is under way from its end.
pub fn blocker() -> Option<String> {
    blockers(Kind::Change).into_iter().next()
}

/// Goes on with a transition if there is one: finishes it if every CPU has changed
/// over. With `patience`, waits for that. What a callback's fault was.
#[optimize(size)]
fn go_on(patience: u64) -> Option<String> {
    if OPEN.lock().is_none() || !wait(Kind::Change, patience) {
        return None;
    }
    finish()
}

/// Ends a transition that every CPU has gone through.
#[optimize(size)]
fn finish() -> Option<String> {
    let open = {
        let mut held = OPEN.lock();
        IS_OPEN.store(false, Ordering::Relaxed);
        held.take()?
    };
    let Open { patch, enabling, changes, .. } = &open;
    stacks::forget(Kind::Change);
    let settled = islands::settle(patch, why(*enabling), changes).and_then(|()| {
        switch(patch, changes.iter().filter(|change| change.to.is_none()), false).map(|_| ())
    });
    if let Err(reason) = settled {
        // The stub leads where it should all the same: through the chooser.
        kprintln!("{patch}: {reason}");
    }
    mirror::enabled(patch, *enabling);
    if !open.fresh {
        kprintln!("{patch}: {}", if *enabling { "enabled" } else { "disabled" });
    }
    let enabled = PATCHES.lock().enabled_names();
    let oops = if *enabling {
        callbacks::replaced(&enabled);
        callbacks::notify(patch, None, When::PostPatch)
    } else {
        callbacks::notify(patch, None, When::PostUnpatch)
    };
    mirror::lost_but(&enabled);
    burn::want();
    PATCHES.lock().finish(); // till now `klp_get_prev_state` finds what was before
    oops
}

/// True if a function is changing over: calls of it run through its chooser.
pub fn is_changing(entry: Vaddr) -> bool {
    let open = OPEN.lock();
    let changes = open.iter().flat_map(|open| &open.changes);
    changes.into_iter().any(|change| change.target.entry == entry)
}

/// Before `klp_enable_patch` returns: finishes what no CPU is in the way of.
pub fn try_now() -> Option<String> {
    go_on(tick::period() * 2)
}

/// Before and after a command: finishes a transition, or says who keeps it from that,
/// once. What a callback's fault was.
pub fn settle() -> Option<String> {
    // Where another CPU changes something: after the next command.
    let _one = OneChange::at_once()?;
    if !is_under_way() {
        burn::settle();
        return None;
    }
    let fresh = OPEN.lock().as_ref()?.fresh;
    let patch = open()?.0;
    let oops = go_on(if fresh { PATIENCE * tick::timebase_hz() } else { 0 });
    let mut open = OPEN.lock();
    if let Some(open) = open.as_mut().filter(|open| open.fresh) {
        open.fresh = false;
        let what = if open.enabling { "enabling" } else { "disabling" };
        kprintln!("{}: {what} goes on (livepatch transition)", open.patch);
        blockers(Kind::Change).iter().for_each(|line| kprintln!("{}: {line}", open.patch));
    }
    oops.map(|cause| format!("{patch}: {cause}"))
}

/// Gives a transition that is under way the time to end, before another one begins.
pub fn let_end() -> Option<String> {
    go_on(PATIENCE * tick::timebase_hz())
}

/// What `livepatch transition` says.
#[optimize(size)]
pub fn lines() -> Vec<String> {
    match open() {
        None => alloc::vec!["no transition".to_string()],
        Some((patch, enabling)) => {
            let what = if enabling { "enabling" } else { "disabling" };
            let blockers = blockers(Kind::Change).into_iter();
            core::iter::once(format!("{patch} {what}")).chain(blockers).collect()
        }
    }
}

/// Turns a transition round, if it is this patch's and leads the other way.
#[optimize(size)]
pub fn turn(patch: &str, enabling: bool) -> bool {
    let mut open = OPEN.lock();
    let Some(open) = open.as_mut().filter(|open| open.patch == patch) else { return false };
    if open.enabling == enabling {
        return false;
    }
    open.enabling = enabling;
    open.fresh = true;
    open.changes.iter_mut().for_each(Change::turn);
    PATCHES.lock().reverse();
    ask(&open.changes, 8 - quiesce::side());
    true
}

/// Ends a transition although CPUs are in what changes; says which, and in what.
#[optimize(size)]
pub fn force(patch: &str) -> Result<Option<String>, String> {
    let late = blockers(Kind::Change);
    {
        let mut open = OPEN.lock();
        let Some(open) = open.as_mut().filter(|open| open.patch == patch) else {
            return Err("not in transition: there is nothing to force".to_string());
        };
        open.fresh = false;
    }
    for line in late {
        kprintln!("{patch}: forced: {line}, and goes on there while others run what is new");
    }
    quiesce::force(Kind::Change);
    Ok(finish())
}

/// Steps for a module that comes while patches wait for it: at once, or in the middle
/// of a transition, as part of that. On an error all is as it was.
#[optimize(size)]
pub fn arrive(module: &str, plan: Plan) -> Result<(), String> {
    let mut open = OPEN.lock();
    let changes: Vec<_> = plan
        .steps()
        .iter()
        .map(|step| match step {
            PlanStep::Redirect { target, to } => {
                Change { target: target.clone(), from: Some(*to), to: Some(*to) }
            }
            step => Change::of(step),
        })
        .collect();
    PATCHES.lock().check(&plan).map_err(|refusal| refusal.to_string())?;
    // In a transition CPUs are on their way to the newest side.
    lead(module, Why::PatchOn, &changes, 8 - quiesce::side(), true)?;
    PATCHES.lock().begin(plan).map_err(|refusal| refusal.to_string())?;
    if let Some(open) = open.as_mut() {
        // Nobody is in a module that has not run, but CPUs that have not changed over may
        // be soon, on the side that was.
        let mut code = Vec::new();
        for change in changes.into_iter().filter(|change| change.from != change.to) {
            add_code(&mut code, &change);
            open.changes.push(change);
        }
        stacks::about_too(Kind::Change, code, stubs());
    }
    Ok(())
}

/// A module's text is about to go, and its sites with it.
pub fn module_gone(module: &str) {
    if let Some(open) = OPEN.lock().as_mut() {
        open.changes.retain(|change| change.target.name.module.as_deref() != Some(module));
    }
}

/// Whether no CPU is in a module or on the way there; else who is, and where.
pub fn nobody_in(module: &modules::Module) -> Result<(), String> {
    // Not its data: a register may keep the address of some for as long as a job likes.
    nobody(alloc::vec![module.text()], stubs())
}

/// Whether no CPU is in what call sites run through, or has left it since this was
/// asked; else who is, and where.
pub fn nobody_in_hooks() -> Result<(), String> {
    nobody(Vec::new(), Vec::new())
}

/// As long as it is held every other CPU stays where it is, outside of a module.
pub struct Held(());

impl Drop for Held {
    fn drop(&mut self) {
        quiesce::hold(false);
    }
}

/// Keeps every other CPU outside of a module, whose code is about to be written; else who
/// is in it, and where.
#[optimize(size)]
pub fn keep_out(module: &modules::Module) -> Result<Held, String> {
    quiesce::hold(true);
    let held = Held(());
    nobody_in(module)?;
    Ok(held)
}

#[optimize(size)]
fn nobody(code: Vec<stacks::Range>, stubs: Vec<stacks::Range>) -> Result<(), String> {
    stacks::about(Kind::Going, code, stubs);
    quiesce::ask(Kind::Going, 0);
    let gone = wait(Kind::Going, PATIENCE * tick::timebase_hz());
    let late = if gone { Vec::new() } else { blockers(Kind::Going) };
    stacks::forget(Kind::Going);
    match late.first() {
        None => Ok(()),
        Some(line) => Err(format!("{line} (wait for it, or stop it)")),
    }
}

/// Gives every CPU something to look at its stack with.
pub fn init() {
    quiesce::set_look(stacks::look);
}
