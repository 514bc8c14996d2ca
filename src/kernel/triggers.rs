//! Triggers at work: stubs aimed at `boot/trigger.S`, and what is done at a call.
//!
//! ```text
//!   site --> profiling stub --> _mcount                       a module without triggers
//!                          '--> trigger_hook --> entered()    a module with one
//!                                           '--> _mcount, if the call is to be recorded
//! ```
//!
//! # Invariants
//! - Module code runs while no lock of the kernel's is held, so a call may take any;
//!   the sites are let go before the records are asked for.
//! - A module's stubs are aimed before a site of it is on for a trigger's sake, and
//!   back after; a call that meets no trigger there is recorded as ever.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::modules::Module;
use super::{graph, records, symbols, tracing, unwind};
use crate::addr::Vaddr;
use crate::machine::memory::read_u64;
use crate::machine::{hooks, text, trigger};
use crate::patch::journal::Why;
use crate::patch::plan::TargetEdit;
use crate::trace::words::Action;

/// What a module's profiling stubs lead to, with triggers or without.
fn target(triggers: bool) -> Vaddr {
    if triggers { trigger::hook_address() } else { hooks::mcount_address() }
}

/// Aims a module's profiling stubs; an error if there are none that can be aimed.
#[optimize(size)]
pub fn aim(module: &Arc<Module>, triggers: bool) -> Result<(), String> {
    let (from, to) = (target(!triggers).0, target(triggers).0);
    let (start, end) = module.range(module.layout.targets);
    let mut edits = Vec::new();
    let mut there = false;
    for at in (start.0..end.0).step_by(8).map(Vaddr) {
        let word = read_u64(at);
        there |= word == Some(to);
        if word == Some(from) {
            edits.push(TargetEdit { at, expect: from, write: to });
        }
    }
    if !edits.is_empty() {
        let why = if triggers { Why::TraceOn } else { Why::TraceOff };
        return text::retarget("trigger", why, &edits).map_err(|refusal| refusal.to_string());
    }
    if triggers && !there {
        let name = &module.name;
        return Err(format!("{name}: its profiling stubs keep their target in instructions"));
    }
    Ok(())
}

/// What a stub's target word should be, if it was linked as `linked`.
pub fn expected(module: &Module, linked: u64) -> u64 {
    if linked == target(false).0 && tracing::has_triggers(module.sites) {
        target(true).0
    } else {
        linked
    }
}

/// A call at a site of a module in which there are triggers; true if it is to be
/// recorded.
#[optimize(size)]
pub fn entered(ip: Vaddr, parent: Vaddr, r1: Vaddr) -> bool {
    let Some(fired) = tracing::fire(ip, records::recording()) else { return false };
    for action in fired.actions {
        match action {
            Action::Traceon => records::set_recording(true),
            Action::Traceoff => records::set_recording(false),
            Action::Stacktrace => {
                // It is not told if nothing is recorded any more.
                let _ = records::note(stack(ip, parent, r1));
            }
        }
    }
    if !fired.stack || graph::is_chosen() {
        return fired.wanted;
    }
    // The call's own line comes first, so the hook is spared it; its probes are the hook's.
    if graph::is_meant() {
        let _ = records::call(ip, parent).and_then(|()| records::note(stack(ip, parent, r1)));
    }
    fired.probed
}

/// Who led to a call, from its caller on, as Linux writes it.
#[optimize(size)]
fn stack(ip: Vaddr, parent: Vaddr, r1: Vaddr) -> String {
    let mut text = String::from("<stack trace>\n");
    for frame in unwind::back_trace(ip, parent, r1).iter().skip(1) {
        let name = symbols::function(frame.at).unwrap_or_else(|| format!("{:#x}", frame.at.0));
        text.push_str(" => ");
        text.push_str(&name);
        text.push('\n');
    }
    text
}
