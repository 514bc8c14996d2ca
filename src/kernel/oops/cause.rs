//! Why an exception came, in words.
//!
//! Reference: Power ISA Book III, "Interrupts": what SRR1 and DSISR say of each.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use crate::addr::Vaddr;
use crate::kernel::{livepatch, modules, tables};
use crate::loader::stubs::StubKind;
use crate::machine::boot::GUARD_BYTES;
use crate::machine::spr::msr;
use crate::machine::trap::TrapFrame;
use crate::machine::{hooks, memory, mmu, paca, text, tick};

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

/// The vector of the `sc` instruction.
pub const SYSTEM_CALL: u64 = 0xc00;
/// The vector of a system reset.
pub const SYSTEM_RESET: u64 = 0x100;

/// The cause of an exception in words, as the registers tell it. Needs neither the
/// heap nor a lock.
pub struct Cause<'a>(pub &'a TrapFrame);

impl fmt::Display for Cause<'_> {
    #[optimize(size)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.0;
        match frame.vector {
            SYSTEM_RESET => f.write_str(reset(frame)),
            0x200 => f.write_str("machine check"),
            0x300 if is_stack_end(frame) => {
                write!(f, "stack overflow: the guard page at {:#x} was reached", frame.dar)
            }
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
            0x500 => f.write_str("external interrupt, which no device was asked for"),
            0x600 => write!(f, "alignment: access to {:#x}", frame.dar),
            0x700 => match frame.msr {
                bits if bits & PROGRAM_TRAP != 0 => f.write_str("trap instruction"),
                bits if bits & PROGRAM_PRIVILEGED != 0 => f.write_str("privileged instruction"),
                bits if bits & PROGRAM_ILLEGAL != 0 => f.write_str("illegal instruction"),
                _ => f.write_str("program interrupt"),
            },
            0x800 => f.write_str(
                "floating point used, but it is off in the kernel (build with -msoft-float)",
            ),
            0x900 => f.write_str(end(frame)),
            SYSTEM_CALL => f.write_str("system call instruction, and there is no system to call"),
            0xd00 => f.write_str("single step"),
            0xe40 => f.write_str("illegal instruction"),
            0xf20 => f.write_str(
                "vector unit used, but it is off in the kernel (build with -mno-altivec)",
            ),
            0xf40 => {
                f.write_str("VSX unit used, but it is off in the kernel (build with -mno-vsx)")
            }
            0xf60 | 0xf80 => f.write_str("a facility used that is off in the kernel"),
            other => write!(f, "exception {other:#x}"),
        }
    }
}

/// Why a tick ends a call.
fn end(frame: &TrapFrame) -> &'static str {
    if tick::end_was_asked() {
        "stopped by hand"
    } else if tick::must_end() || !tick::off_stack(frame) {
        "time limit reached"
    } else {
        "r1 is lost: it is outside this CPU's stacks"
    }
}

/// What a system reset is about.
fn reset(frame: &TrapFrame) -> &'static str {
    if frame.msr & msr::RI == 0 {
        "system reset, at a moment that cannot be returned to"
    } else if tick::end_was_asked() {
        "stopped by hand, with interrupts off"
    } else if tick::must_end() {
        "time limit reached, with interrupts off"
    } else if frame.msr & msr::EE == 0 {
        "system reset, with interrupts off"
    } else {
        "system reset"
    }
}

/// The cause in words, with what the kernel knows beyond the registers.
pub fn in_words(frame: &TrapFrame) -> String {
    let nip = Vaddr(frame.nip);
    let storage = matches!(frame.vector, 0x300 | 0x380) && !paca::in_guard(frame.dar);
    if storage && makes_frame(nip) {
        return format!(
            "stack overflow: a frame from {:#x} down to {:#x}, where there is no stack",
            frame.gpr[1], frame.dar
        );
    }
    if is_overflow(frame) {
        return "the shadow stack is full: redirected calls or tail calls nest too deep"
            .to_string();
    }
    // Translation off: what lies there is fetched and found to be no instruction.
    if frame.vector == 0x700 && mmu::kind().is_none() && !text::is_executable(nip) {
        return format!("jump to {:#x}, which is no code", frame.nip);
    }
    if let Some(bug) = tables::bug_text(nip).filter(|_| trapped(frame)) {
        return bug;
    }
    let stub = modules::containing(nip).filter(|_| trapped(frame)).and_then(|module| {
        let entry = module.linked().stubs.find(nip)?;
        (entry.kind == StubKind::Missing).then(|| module.readable_name(entry.owner).into_owned())
    });
    match stub {
        Some(symbol) => format!("call of {symbol}, which nobody exports"),
        None => Cause(frame).to_string(),
    }
}

/// True if the access went to a guard page because the stack had come to its end, and
/// not because some pointer led there.
fn is_stack_end(frame: &TrapFrame) -> bool {
    let near = frame.gpr[1].abs_diff(frame.dar) <= GUARD_BYTES as u64;
    paca::in_guard(frame.dar) && (near || makes_frame(Vaddr(frame.nip)))
}

/// True for `stdu r1,D(r1)` and `stdux r1,r1,RB`: how every frame is made.
fn makes_frame(at: Vaddr) -> bool {
    let word = memory::read_u32(at).unwrap_or(0);
    word & 0xffff_0003 == 0xf821_0001 || word & 0xffff_07fe == 0x7c21_016a
}

fn trapped(frame: &TrapFrame) -> bool {
    frame.vector == 0x700 && frame.msr & PROGRAM_TRAP != 0
}

/// The trap of a full shadow stack, in a tail call or a redirect stub.
pub fn is_overflow(frame: &TrapFrame) -> bool {
    let nip = Vaddr(frame.nip);
    trapped(frame) && (nip == hooks::sibling_overflow_address() || livepatch::is_redirect_stub(nip))
}

/// True if nothing could be fetched where the exception stands: it is not the code
/// there that is at fault, but who jumped.
pub fn is_wild_jump(frame: &TrapFrame) -> bool {
    matches!(frame.vector, 0x400 | 0x480) || !text::is_executable(Vaddr(frame.nip))
}
