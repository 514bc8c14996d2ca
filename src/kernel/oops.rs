//! What an exception means: a report, and who has to end.
//!
//! A fault in a module's code (or in a kernel routine that a module called with
//! bad arguments) ends the guarded call that it ran in; the shell goes on. A
//! fault in the kernel itself ends the machine with a failing verdict.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;

use super::modules::{self, Module};
use super::symbols::Symbolised;
use super::{call as job, console, livepatch, tables, unwind};
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::disasm::disassemble;
use crate::loader::stubs::StubKind;
use crate::machine::lock::Mutex;
use crate::machine::trap::{Outcome, TrapFrame};
use crate::machine::{boot, call, cstring, hooks, memory, paca, platform, step, text, tick};
use crate::{kprint, kprintln};

/// SRR1 bits of a program interrupt (Power ISA Book III, "Program Interrupt").
const PROGRAM_ILLEGAL: u64 = 0x8_0000;
const PROGRAM_PRIVILEGED: u64 = 0x4_0000;
const PROGRAM_TRAP: u64 = 0x2_0000;
/// DSISR bits (Book III, "Data Storage Interrupt").
const DSISR_NO_TRANSLATION: u64 = 0x4000_0000;
const DSISR_PROTECTION: u64 = 0x0800_0000;
const DSISR_STORE: u64 = 0x0200_0000;
/// SRR1 bits of an instruction storage interrupt.
const ISI_NO_EXECUTE: u64 = 0x1000_0000;

/// The cause of an exception in words.
struct Cause<'a>(&'a TrapFrame);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.0;
        match frame.vector {
            0x100 => f.write_str("system reset"),
            0x200 => f.write_str("machine check"),
            0x300 => {
                let how = if frame.dsisr & DSISR_STORE != 0 { "store to" } else { "load from" };
                let why = match frame.dsisr {
                    bits if bits & DSISR_NO_TRANSLATION != 0 => "which is not mapped",
                    bits if bits & DSISR_PROTECTION != 0 => "which is protected",
                    _ => "refused",
                };
                write!(f, "{how} {:#x}, {why}", frame.dar)
            }
            0x380 => write!(f, "access to {:#x}, outside every segment", frame.dar),
            0x400 | 0x480 if frame.msr & ISI_NO_EXECUTE != 0 => {
                write!(f, "jump to {:#x}, which may not be executed", frame.nip)
            }
            0x400 | 0x480 => write!(f, "jump to {:#x}, which is not mapped", frame.nip),
            0x600 => write!(f, "alignment: access to {:#x}", frame.dar),
            0x700 => match frame.msr {
                bits if bits & PROGRAM_TRAP != 0 => f.write_str("trap instruction"),
                bits if bits & PROGRAM_PRIVILEGED != 0 => f.write_str("privileged instruction"),
                bits if bits & PROGRAM_ILLEGAL != 0 => f.write_str("illegal instruction"),
                _ => f.write_str("program interrupt"),
            },
            0x800 => f.write_str("floating point used, but it is off in the kernel"),
            0x900 if tick::end_was_asked() => f.write_str("stopped by hand"),
            0x900 => f.write_str("time limit reached"),
            0xc00 => f.write_str("system call instruction"),
            0xd00 => f.write_str("single step"),
            0xf20 | 0xf40 => f.write_str("vector unit used, but it is off in the kernel"),
            other => write!(f, "exception {other:#x}"),
        }
    }
}

/// Decides and reports: the kernel's [`Handler`](crate::machine::trap::Handler).
pub fn on_trap(frame: &mut TrapFrame, depth: u64) -> Outcome {
    if depth > 1 {
        // The report itself faulted: say the least that helps, and end.
        die(format_args!("{} at {:#x} while another was reported", Cause(frame), frame.nip));
    }
    if tables::resume(frame) {
        return Outcome::Resume;
    }
    let given_up = call::given_up(Vaddr(frame.nip));
    let cause = given_up.clone().unwrap_or_else(|| cause_text(frame));
    report(frame, &cause);
    let (text_start, text_end) = boot::text();
    let in_kernel = (text_start..text_end).contains(&Vaddr(frame.nip));
    let ends_job =
        !in_kernel || given_up.is_some() || is_overflow(frame) || on_behalf_of_module(frame);
    if call::job_runs() && ends_job {
        if let Some(module) = blamed(frame) {
            module.mark_faulty();
        }
        job::note_cause(cause);
        return Outcome::EndJob;
    }
    die(format_args!("{cause} at {}", Symbolised(Vaddr(frame.nip))));
}

/// True if the kernel's code that faulted did so with a module's arguments, and
/// holds nothing: a routine of C's library that a module called.
fn on_behalf_of_module(frame: &TrapFrame) -> bool {
    let (nip, caller) = (Vaddr(frame.nip), Vaddr(frame.lr));
    if memory::is_mem_routine(nip) {
        let callers = [call::return_address(), step::return_address()];
        return callers.contains(&caller) || modules::containing(caller).is_some();
    }
    // By name: the compiler may have put its own `strlen` behind ours.
    let symbol = super::ksyms::lookup(nip);
    let name = symbol.as_ref().and_then(|symbol| symbol.name.rsplit("::").next());
    cstring::exports().any(|(known, _)| Some(known) == name)
}

/// The trap of a full shadow stack, in a tail call or a redirect stub.
fn is_overflow(frame: &TrapFrame) -> bool {
    let nip = Vaddr(frame.nip);
    let trapped = frame.vector == 0x700 && frame.msr & PROGRAM_TRAP != 0;
    trapped && (nip == hooks::sibling_overflow_address() || livepatch::is_redirect_stub(nip))
}

/// The cause in words, with what the kernel knows beyond the vector.
fn cause_text(frame: &TrapFrame) -> String {
    if frame.vector == 0x300 && paca::in_guard(frame.dar) {
        return format!("stack overflow: the guard page at {:#x} was reached", frame.dar);
    }
    if is_overflow(frame) {
        return "the shadow stack is full: redirected calls or tail calls nest too deep"
            .to_string();
    }
    // Translation off: what lies there is fetched and found to be no instruction.
    if frame.vector == 0x700 && !text::is_executable(Vaddr(frame.nip)) {
        return format!("jump to {:#x}, which is no code", frame.nip);
    }
    let trapped = frame.vector == 0x700 && frame.msr & PROGRAM_TRAP != 0;
    if let Some(bug) = tables::bug_text(Vaddr(frame.nip)).filter(|_| trapped) {
        return bug;
    }
    let stub = modules::containing(Vaddr(frame.nip)).filter(|_| trapped).and_then(|module| {
        let entry = module.linked.stubs.find(Vaddr(frame.nip))?;
        (entry.kind == StubKind::Missing).then(|| module.readable_name(entry.owner))
    });
    match stub {
        Some(symbol) => format!("call of {symbol}, which nobody exports"),
        None => Cause(frame).to_string(),
    }
}

/// The module whose code stood innermost when the fault came.
fn blamed(frame: &TrapFrame) -> Option<Arc<Module>> {
    let steps = unwind::back_trace(Vaddr(frame.nip), Vaddr(frame.lr), Vaddr(frame.gpr[1]));
    steps.iter().find_map(|step| modules::containing(step.at))
}

/// Whose TOC r2 holds, and whether it is that of the code that ran.
fn toc_owner(frame: &TrapFrame) -> String {
    let toc = frame.gpr[2];
    let ran = modules::containing(Vaddr(frame.nip));
    let owner = if toc == boot::kernel_toc().0 {
        "the kernel's TOC".to_string()
    } else {
        let modules = modules::all_if_free();
        match modules.iter().find(|module| module.linked.toc.0 == toc) {
            Some(module) => format!("the TOC of {}", module.name),
            None => "nobody's TOC".to_string(),
        }
    };
    match ran {
        Some(module) if module.linked.toc.0 == toc => {
            format!("{owner}, which fits the code that ran")
        }
        Some(module) if !module.sets_toc(Vaddr(frame.nip)) => {
            format!("{owner}, and the function of {} that ran uses none", module.name)
        }
        Some(module) => format!("{owner}, but {} ran", module.name),
        None => owner,
    }
}

/// One report at a time: lines of two CPUs would not be told apart.
static REPORTING: Mutex<()> = Mutex::new(());

fn report(frame: &TrapFrame, cause: &str) {
    let _only = REPORTING.lock();
    let nip = Vaddr(frame.nip);
    crate::kernel::compat::print::end_open_line();
    kprintln!("oops: {cause} at {}", Symbolised(nip));
    kprintln!(
        "nip {:016x} msr {:016x} lr  {:016x} ctr {:016x}",
        frame.nip,
        frame.msr,
        frame.lr,
        frame.ctr
    );
    kprintln!(
        "cr  {:08x} xer {:08x} dar {:016x} dsisr {:08x} vector {:#x}",
        frame.cr,
        frame.xer,
        frame.dar,
        frame.dsisr,
        frame.vector
    );
    for row in 0..8 {
        let gpr = |index: usize| frame.gpr[row * 4 + index];
        kprintln!(
            "r{:<2} {:016x} {:016x} {:016x} {:016x}",
            row * 4,
            gpr(0),
            gpr(1),
            gpr(2),
            gpr(3)
        );
    }
    kprintln!("r2 is {}", toc_owner(frame));
    if let Some(word) = memory::read_u32(nip) {
        let next = memory::read_u32(nip.offset(4)).map(Insn);
        kprintln!("instruction {word:08x} {}", disassemble(nip, Insn(word), next));
    }
    print_steps(frame);
}

/// Prints where the code stands that goes on afterwards, in a line that `first`
/// makes of it, and who called it.
pub fn back_trace(frame: &TrapFrame, first: impl FnOnce(Symbolised)) {
    let _only = REPORTING.lock();
    crate::kernel::compat::print::end_open_line();
    first(Symbolised(Vaddr(frame.nip)));
    print_steps(frame);
}

fn print_steps(frame: &TrapFrame) {
    let nip = Vaddr(frame.nip);
    kprintln!("back trace:");
    for step in unwind::back_trace(nip, Vaddr(frame.lr), Vaddr(frame.gpr[1])) {
        let note = match (step.shadowed, step.doubtful) {
            (true, _) => " (through the shadow stack)",
            (_, true) => " (from lr)",
            _ => "",
        };
        kprintln!("  [{}] {}{note}", step.stack, Symbolised(step.at));
    }
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
pub fn die(reason: fmt::Arguments<'_>) -> ! {
    step::give_up();
    console::greet_if_silent();
    kprint!("tocsin: panic ");
    let _ = fmt::write(&mut OneLine, reason); // a Display that fails has printed what it could
    kprintln!();
    match platform::get() {
        Some(platform) => platform.fail("panic"),
        None => loop {
            core::hint::spin_loop();
        },
    }
}
