//! What an exception means: a report, and who has to end.
//!
//! A fault in a module's code (or in a kernel routine that a module called with
//! bad arguments) ends the guarded call that it ran in; the shell goes on. A
//! fault in the kernel itself ends the machine with a failing verdict.
//!
//! ```text
//!   fault ─ report ─ job ends
//!             |  \── the kernel's own: others stop, report, verdict, end
//!             └ fault in the report ─ shorter report, verdict
//!                  └ fault in that ─ verdict └ fault in that ─ end
//! ```
//!
//! # Invariants
//! - A report ends. It takes memory from `machine::scratch`, waits for no lock for
//!   long, and each fault in it is answered with less.
//! - One report at a time (`console::turn`), one verdict (`machine::ending`).

mod cause;
pub mod last;
mod report;

use alloc::string::String;
use core::fmt;

use self::cause::{Cause, SYSTEM_CALL, SYSTEM_RESET, in_words, is_overflow, is_wild_jump};
use super::symbols::{Plain, Symbolised};
use super::{call as job, console, modules, tables, unwind};
use crate::addr::Vaddr;
use crate::machine::spr::msr;
use crate::machine::trap::{Outcome, TrapFrame};
use crate::machine::{boot, call, cstring, ending, hooks, memory, platform, scratch, step, tick};
use crate::{kprint, kprintln};

/// Decides and reports: the kernel's [`Handler`](crate::machine::trap::Handler).
#[optimize(size)]
pub fn on_trap(frame: &mut TrapFrame) -> Outcome {
    if !scratch::is_reporting() && tables::resume(frame) {
        return Outcome::Resume;
    }
    // Text on the heap: taken before the report has memory of its own.
    let given_up = call::given_up(Vaddr(frame.nip));
    let nested = scratch::begin();
    console::set_quiet(false);
    if frame.vector == SYSTEM_CALL {
        frame.nip -= 4; // of all faults it alone tells where it would have gone on
    }
    if frame.vector == SYSTEM_RESET && only_asks(frame) {
        if nested == 0 && !tick::must_end() {
            let _turn = console::turn();
            report::place(frame);
        }
        scratch::end();
        return Outcome::Resume;
    }
    if nested > 0 {
        again(frame, nested);
    }
    let cause = match &given_up {
        Some(reason) => reason.clone(),
        None => in_words(frame),
    };
    if !call::job_runs() || !(given_up.is_some() || is_modules(frame)) {
        ending::claim();
        let _turn = console::turn();
        console::greet_if_silent();
        report::described(frame, &cause);
        report::others();
        verdict(format_args!("{cause} at {}", Plain(Vaddr(frame.nip))), nested);
    }
    let turn = console::turn();
    report::described(frame, &cause);
    last::note(frame, &cause);
    if let Some(module) = report::blamed(frame) {
        module.mark_faulty();
    }
    drop(turn);
    scratch::end();
    // Module code ran, so nobody on this CPU holds the heap: a text that stays.
    job::note_cause(String::from(cause.as_str()));
    Outcome::EndJob
}

fn in_kernel(at: Vaddr) -> bool {
    boot::is_code(at)
}

/// True if a system reset is only to tell where the CPU is: what it interrupted can
/// go on, and is not a call that nothing else could end.
fn only_asks(frame: &TrapFrame) -> bool {
    let calls = call::job_runs() && !in_kernel(Vaddr(frame.nip));
    let ends = calls && (tick::must_end() || frame.msr & msr::EE == 0);
    frame.msr & msr::RI != 0 && !ends
}

/// True if the running call is at fault, and ending it leaves nothing half done.
fn is_modules(frame: &TrapFrame) -> bool {
    let (nip, lr) = (Vaddr(frame.nip), Vaddr(frame.lr));
    if frame.vector == SYSTEM_RESET && frame.msr & msr::RI == 0 {
        return false;
    }
    if in_kernel(nip) {
        return is_overflow(frame) || hooks::contains(nip) || on_behalf_of_module(frame);
    }
    // Who jumped to where there is no code? Calls leave their address in LR.
    let ours = [call::return_address(), hooks::shadow_return_address(), step::return_address()];
    let is_ours = |lr| ours.contains(&lr) || hooks::is_hook_return(lr);
    !(is_wild_jump(frame) && in_kernel(lr) && !is_ours(lr) && lr != nip)
}

/// True if the kernel's code that faulted did so with a module's arguments, and
/// holds nothing: a routine of C's library that a module called.
fn on_behalf_of_module(frame: &TrapFrame) -> bool {
    let is_library = |at: Vaddr| {
        // By name: the compiler may have put its own `strlen` behind ours.
        let symbol = super::ksyms::find(at);
        let name = symbol.as_ref().map_or("", |(found, _)| found.name.as_str());
        let named = |known| match name.strip_suffix(known) {
            Some(path) => path.is_empty() || path.ends_with(':'),
            None => false,
        };
        memory::is_mem_routine(at) || cstring::exports().any(|(known, _)| named(known))
    };
    if !is_library(Vaddr(frame.nip)) {
        return false;
    }
    // The first caller that is none of them: a module, or nobody, if the shell called.
    let mut by_kernel = None;
    let (nip, lr, r1) = (Vaddr(frame.nip), Vaddr(frame.lr), Vaddr(frame.gpr[1]));
    let end = unwind::walk(nip, lr, r1, &mut |step| {
        if by_kernel.is_none() && !is_library(step.at) {
            by_kernel = Some(modules::containing(step.at).is_none());
        }
    });
    !by_kernel.unwrap_or(end != unwind::End::Whole)
}

/// Prints where the code stands that goes on afterwards, in a line that `first`
/// makes of it, and who called it.
pub fn warned(frame: &TrapFrame, first: impl FnOnce(Symbolised)) {
    let nip = Vaddr(frame.nip);
    scratch::begin();
    let turn = console::turn();
    crate::kernel::compat::print::end_open_line();
    console::fresh_line();
    first(Symbolised(nip));
    report::back_trace(nip, Vaddr(frame.lr), Vaddr(frame.gpr[1]));
    drop(turn);
    scratch::end();
}

/// The report faulted: say less, and end.
fn again(frame: &TrapFrame, nested: u64) -> ! {
    ending::claim();
    if nested == 1 {
        report::described_again(frame);
    }
    let at = Plain(Vaddr(frame.nip));
    verdict(format_args!("{} at {at} while another was reported", Cause(frame)), nested)
}

/// A panic of the kernel: what Rust's panic handler calls.
pub fn panic(message: fmt::Arguments<'_>) -> ! {
    let nested = scratch::begin();
    console::set_quiet(false);
    if nested == 0 {
        report::panicked(message);
    }
    verdict(message, nested)
}

/// Writes text with its line ends turned into blanks: a verdict is one line.
struct OneLine;

impl fmt::Write for OneLine {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (index, line) in text.split('\n').enumerate() {
            kprint!("{}{line}", if index == 0 { "" } else { " " });
        }
        Ok(())
    }
}

/// Ends the machine: the kernel itself is at fault.
fn verdict(reason: fmt::Arguments<'_>, nested: u64) -> ! {
    step::give_up();
    ending::claim();
    match nested {
        0 | 1 => {
            console::fresh_line();
            kprint!("tocsin: panic ");
            let _ = fmt::write(&mut OneLine, reason); // a Display that fails has printed what it could
            kprintln!();
        }
        2 => {
            console::fresh_line();
            kprintln!("tocsin: panic its report faulted, and the shorter one too");
        }
        _ => {}
    }
    match platform::get() {
        Some(platform) => platform.fail("panic"),
        None => loop {
            core::hint::spin_loop();
        },
    }
}
