//! What an exception means: a report, and who has to end.
//!
//! A fault in a module's code (or in a kernel routine that a module called with
//! bad arguments) ends the guarded call that it ran in; the shell goes on. A
//! fault in the kernel itself ends the machine with a failing verdict.

use core::fmt;

use super::symbols::Symbolised;
use super::unwind;
use crate::addr::Vaddr;
use crate::kprintln;
use crate::machine::trap::{Outcome, TrapFrame};
use crate::machine::{boot, call, memory, platform};

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
            0xc00 => f.write_str("system call instruction"),
            0xd00 => f.write_str("single step"),
            0xf20 | 0xf40 => f.write_str("vector unit used, but it is off in the kernel"),
            other => write!(f, "exception {other:#x}"),
        }
    }
}

/// Decides and reports; called by the trap handler with its nesting depth.
pub fn on_trap(frame: &mut TrapFrame, depth: u64) -> Outcome {
    if depth > 1 {
        // The report itself faulted: say the least that helps, and end.
        die(format_args!("{} at {:#x} while another was reported", Cause(frame), frame.nip));
    }
    report(frame);
    let (text_start, text_end) = boot::text();
    let in_kernel = (text_start..text_end).contains(&Vaddr(frame.nip));
    if call::job_runs() && !in_kernel {
        return Outcome::EndJob;
    }
    die(format_args!("{} at {}", Cause(frame), Symbolised(Vaddr(frame.nip))));
}

fn report(frame: &TrapFrame) {
    let nip = Vaddr(frame.nip);
    kprintln!("oops: {} at {}", Cause(frame), Symbolised(nip));
    kprintln!("nip {:016x} msr {:016x} lr  {:016x} ctr {:016x}", frame.nip, frame.msr, frame.lr, frame.ctr);
    kprintln!("cr  {:08x} xer {:08x} dar {:016x} dsisr {:08x} vector {:#x}", frame.cr, frame.xer, frame.dar, frame.dsisr, frame.vector);
    for row in 0..8 {
        let gpr = |index: usize| frame.gpr[row * 4 + index];
        kprintln!("r{:<2} {:016x} {:016x} {:016x} {:016x}", row * 4, gpr(0), gpr(1), gpr(2), gpr(3));
    }
    if let Some(word) = memory::read_u32(nip) {
        kprintln!("instruction {word:08x}");
    }
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

/// Ends the machine: the kernel itself is at fault.
pub fn die(reason: fmt::Arguments<'_>) -> ! {
    kprintln!("tocsin: panic {reason}");
    match platform::get() {
        Some(platform) => platform.fail("panic"),
        None => loop {
            core::hint::spin_loop();
        },
    }
}
