//! selftest fault: the kernel itself goes wrong, in one of many ways.
//!
//! Each ends the machine, but `reset`: what is tested is that the report comes, and
//! the verdict, and in time.

use alloc::format;
use alloc::vec::Vec;

use super::Done;
use crate::addr::Vaddr;
use crate::kernel::jobs::{self, Work};
use crate::kernel::livepatch::islands;
use crate::kernel::{console, modules, tracing};
use crate::kprintln;
use crate::machine::faults::{self, Place};
use crate::machine::{memory, platform, smp, spr, text};

/// What can go wrong: its name, what it is, who does it.
type Kind = (&'static str, &'static str, fn());

const KINDS: [Kind; 21] = [
    ("load", "a load from nowhere", faults::load),
    ("text", "a store to the kernel's text", faults::store_text),
    ("jump", "a jump to nowhere", faults::jump),
    ("illegal", "an illegal instruction", faults::illegal),
    ("misaligned", "a misaligned load with reservation", faults::misaligned),
    ("panic", "a panic while everything is locked", panic),
    ("heap", "a fault while the heap is locked", || memory::while_locked(&mut faults::load)),
    ("console", "a fault while it prints", || console::while_locked(&mut faults::load)),
    ("modules", "a fault with the modules locked", || modules::while_locked(&mut faults::load)),
    ("locks", "a fault while everything is locked", || locked(&mut faults::load)),
    ("stack", "the stack is run off", faults::recurse),
    ("frame", "a frame larger than the stack", faults::large_frame),
    ("r1", "r1 is lost", faults::lose_stack),
    ("r13", "r13 is lost", faults::lose_paca),
    ("tick", "a fault in a tick", || {
        faults::arm(Place::Tick, 1);
        faults::await_tick();
    }),
    ("report", "a fault in the report of a fault", || in_report(Place::Report, 1)),
    ("reports", "a fault in the report of that, too", || in_report(Place::Report, 2)),
    ("emergency", "the stack of last resort is run off", || {
        faults::arm(Place::ReportStack, 1);
        faults::lose_stack();
    }),
    ("check", "a machine check", faults::machine_check),
    ("cpu", "a fault on another CPU, while this one prints", on_another_cpu),
    ("stuck", "a fault while another CPU holds everything and hangs", stuck),
];

/// Makes the kernel go wrong; without a kind, lists them.
#[optimize(size)]
pub fn fault(kind: Option<&str>) -> Done {
    if kind == Some("reset") {
        return reset();
    }
    let found = KINDS.iter().find(|(name, ..)| kind == Some(*name));
    match (found, kind) {
        (Some((name, _, run)), _) => {
            run();
            Err(format!("{name}: nothing came of it").into())
        }
        (None, Some(kind)) => Err(format!("{kind}: no such fault (see selftest fault)").into()),
        (None, None) => {
            for (name, what, _) in KINDS {
                kprintln!("{name:<10} {what}");
            }
            kprintln!("{:<10} a system reset to every CPU, which all survive", "reset");
            Ok(())
        }
    }
}

/// Runs `work` while this CPU has every lock that a report may want.
fn locked(work: &mut dyn FnMut()) {
    modules::while_locked(&mut || {
        jobs::while_locked(&mut || {
            tracing::while_locked(&mut || {
                islands::while_locked(&mut || {
                    text::while_locked(&mut || {
                        smp::while_locked(&mut || {
                            console::while_locked(&mut || memory::while_locked(work));
                        });
                    });
                });
            });
        });
    });
}

fn panic() {
    locked(&mut || panic!("on purpose: {}", 1));
}

fn in_report(place: Place, times: u64) {
    faults::arm(place, times);
    faults::load();
}

/// Runs a function of the kernel on the last CPU.
fn start_elsewhere(function: extern "C" fn()) -> bool {
    let Some(cpu) = smp::cpus().last().map(|cpu| cpu.number).filter(|number| *number != 0) else {
        return false;
    };
    let entry = Vaddr(function as *const () as u64);
    let work = Work {
        name: "selftest".into(),
        entry,
        args: Vec::new(),
        count: 1,
        limit: None,
        shown: Vec::new(),
    };
    jobs::start(cpu, work, Vec::new());
    true
}

extern "C" fn load_here() {
    faults::load();
}

fn on_another_cpu() {
    if start_elsewhere(load_here) {
        loop {
            kprintln!("this CPU prints, and goes on printing");
        }
    }
}

extern "C" fn hang_here() {
    locked(&mut || faults::spin());
}

fn stuck() {
    if start_elsewhere(hang_here) {
        // It has them all once the last is gone.
        while memory::is_free() {
            crate::machine::lock::pause();
        }
        faults::load();
    }
}

/// Every CPU says where it is, and goes on.
fn reset() -> Done {
    if let Some(platform) = platform::get() {
        for cpu in smp::visit() {
            platform.reset_cpu(cpu.hardware);
        }
    }
    let since = spr::timebase();
    while spr::timebase() - since < 1 << 26 {
        crate::machine::lock::pause();
    }
    Ok(())
}
