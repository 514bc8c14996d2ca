//! What is printed of a fault.
//!
//! ```text
//!  described        all that is known; names need memory (machine::scratch) and look
//!                   into lists that somebody may have locked
//!  described_again  the report itself faulted: registers and the kernel's names
//! ```

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::cause::{Cause, is_wild_jump};
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::disasm::disassemble;
use crate::kernel::modules::{self, Module};
use crate::kernel::symbols::{self, Plain, Symbolised};
use crate::kernel::unwind::{self, End, Frame};
use crate::kernel::{console, initrd, livepatch};
use crate::kprintln;
use crate::loader::Group;
use crate::machine::faults::{self, Place};
use crate::machine::trap::TrapFrame;
use crate::machine::{boot, call, ending, hooks, memory, paca, smp};
use crate::step::story::Owner;

/// Low memory that holds the exception vectors.
const VECTORS: core::ops::Range<u64> = 0x100..0x3000;

/// All that is known of a fault.
#[optimize(size)]
pub fn described(frame: &TrapFrame, cause: &str) {
    let nip = Vaddr(frame.nip);
    crate::kernel::compat::print::end_open_line();
    console::fresh_line();
    kprintln!("oops: {cause} at {}", Symbolised(nip));
    who();
    registers(frame);
    faults::if_due(Place::Report);
    faults::if_due(Place::ReportStack);
    kprintln!("r2 is {}", toc_owner(frame));
    if paca::stack_around(Vaddr(frame.gpr[1])).is_none() {
        kprintln!("r1 is outside this CPU's stacks");
    }
    if let Some(at) = accessed(frame)
        && let Some(place) = place_of(at)
    {
        kprintln!("{:#x} is in {place}", at.0);
    }
    if let Some(word) = memory::read_u32(nip) {
        let next = memory::read_u32(nip.offset(4)).map(Insn);
        kprintln!("instruction {word:08x} {}", disassemble(nip, Insn(word), next));
    }
    back_trace(nip, Vaddr(frame.lr), Vaddr(frame.gpr[1]));
}

/// The same with what needs no memory and no lock.
pub fn described_again(frame: &TrapFrame) {
    console::fresh_line();
    kprintln!("oops: {} at {}", Cause(frame), Plain(Vaddr(frame.nip)));
    kprintln!("this came while another fault was being reported");
    who();
    registers(frame);
    faults::if_due(Place::Report);
    kprintln!("back trace:");
    let (nip, lr, r1) = (Vaddr(frame.nip), Vaddr(frame.lr), Vaddr(frame.gpr[1]));
    let end = unwind::walk(nip, lr, r1, &mut |step| line(&step, Plain(step.at)));
    told(end);
}

/// Where a CPU is: for a machine that hangs.
pub fn place(frame: &TrapFrame) {
    crate::kernel::compat::print::end_open_line();
    console::fresh_line();
    let (nip, lr) = (Vaddr(frame.nip), Vaddr(frame.lr));
    kprintln!("cpu {}: system reset at {}", smp::this_cpu(), Symbolised(nip));
    back_trace(nip, lr, Vaddr(frame.gpr[1]));
}

/// What the other CPUs were doing when the end of the machine stopped them.
pub fn others() {
    for cpu in smp::visit().filter(|cpu| cpu.paca != paca::r13()) {
        let (nip, lr) = paca::was_at(cpu.paca);
        match paca::stopped(cpu.paca) {
            true if nip.0 != 0 => {
                kprintln!("cpu {} was at {}, lr {}", cpu.number, Symbolised(nip), Symbolised(lr));
            }
            true => {}
            false => kprintln!("cpu {} does not stop", cpu.number),
        }
    }
}

fn who() {
    match call::current() {
        0 => kprintln!("cpu {}, no call", smp::this_cpu()),
        call => kprintln!("cpu {}, call {call}", smp::this_cpu()),
    }
}

fn registers(frame: &TrapFrame) {
    let TrapFrame { nip, msr, ctr, lr, xer, cr, dar, dsisr, vector, gpr } = frame;
    kprintln!("nip {nip:016x} msr {msr:016x} lr  {lr:016x} ctr {ctr:016x}");
    kprintln!("cr  {cr:08x} xer {xer:08x} dar {dar:016x} dsisr {dsisr:08x} vector {vector:#x}");
    for (row, [a, b, c, d]) in gpr.as_chunks::<4>().0.iter().enumerate() {
        kprintln!("r{:<2} {a:016x} {b:016x} {c:016x} {d:016x}", row * 4);
    }
}

/// The back trace of code that stands at `nip`.
pub fn back_trace(nip: Vaddr, lr: Vaddr, r1: Vaddr) {
    kprintln!("back trace:");
    let end = unwind::walk(nip, lr, r1, &mut |step| line(&step, Symbolised(step.at)));
    told(end);
}

fn line(step: &Frame, name: impl core::fmt::Display) {
    let note = match (step.shadowed, step.doubtful) {
        (true, _) => " (through the shadow stack)",
        (_, true) => " (from lr)",
        _ => "",
    };
    kprintln!("  [{}] {name}{note}", step.stack);
}

fn told(end: End) {
    match end {
        End::Whole => {}
        End::Long => kprintln!("  ... and more"),
        End::Broken(at) => kprintln!("  the stack is damaged at {at}: no frame there"),
    }
}

/// The module to blame: whose code stood innermost, or was called first.
pub fn blamed(frame: &TrapFrame) -> Option<Arc<Module>> {
    let mut found = None;
    let (nip, lr, r1) = (Vaddr(frame.nip), Vaddr(frame.lr), Vaddr(frame.gpr[1]));
    unwind::walk(nip, lr, r1, &mut |step| {
        if found.is_none() {
            found = modules::containing(step.at);
        }
    });
    found.or_else(|| modules::containing(call::current_entry()))
}

/// Whose TOC r2 holds, and whether it is that of the code that ran.
#[inline(never)]
#[optimize(size)]
pub fn toc_owner(frame: &TrapFrame) -> String {
    let (nip, toc) = (Vaddr(frame.nip), frame.gpr[2]);
    let owner = symbols::toc_owner(toc);
    let (the, whose) = match &owner {
        Owner::Kernel => ("the kernel's TOC", ""),
        Owner::Module(name) => ("the TOC of ", name.as_str()),
        Owner::Nobody => ("nobody's TOC", ""),
    };
    let (start, end) = boot::text();
    let ran = modules::containing(nip);
    let (and, who, what) = match &ran {
        _ if is_wild_jump(frame) => ("", "", ""),
        Some(module) if module.name == whose => (FITS, "", ""),
        Some(module) if !module.sets_toc(nip) => {
            (", and the function of ", module.name.as_str(), " that ran uses none")
        }
        Some(module) => (", but ", module.name.as_str(), " ran"),
        None if !(start..end).contains(&nip) => ("", "", ""),
        None if owner == Owner::Kernel => (FITS, "", ""),
        None if hooks::contains(nip) || memory::is_mem_routine(nip) => {
            (", and the routine of the kernel that ran uses none", "", "")
        }
        None => (", but the kernel ran", "", ""),
    };
    format!("{the}{whose}{and}{who}{what}")
}

const FITS: &str = ", which fits the code that ran";

/// The address that a storage or alignment exception is about.
pub fn accessed(frame: &TrapFrame) -> Option<Vaddr> {
    match frame.vector {
        0x300 | 0x380 | 0x600 => Some(Vaddr(frame.dar)),
        0x400 | 0x480 => Some(Vaddr(frame.nip)),
        _ => None,
    }
}

/// What lies at an address.
pub fn place_of(at: Vaddr) -> Option<String> {
    let within = |(start, end): (Vaddr, Vaddr)| at >= start && at < end;
    if VECTORS.contains(&at.0) {
        return Some("the exception vectors".into());
    }
    if at.0 < crate::memory::PAGE {
        return Some("page 0, which is never mapped".into());
    }
    if paca::in_guard(at.0) {
        return Some("the guard below a stack".into());
    }
    let kernels = [
        (boot::text(), "the kernel's text"),
        (boot::stubs(), "the stubs of the kernel's call sites"),
        (boot::rodata(), "the kernel's constants"),
        (paca::stack_around(at).unwrap_or_default(), "this CPU's stack"),
        (boot::data(), "the kernel's data"),
        (initrd::range(), "the initrd"),
        (memory::heap_range(), "the heap"),
    ];
    if let Some((_, name)) = kernels.into_iter().find(|(range, _)| within(*range)) {
        return Some(name.into());
    }
    if livepatch::is_redirect_stub(at) {
        return Some("a redirect stub".into());
    }
    let module = modules::containing(at)?;
    let part = if within(module.range(module.layout.targets)) {
        "stub targets"
    } else if within(module.text()) {
        "text"
    } else if within(module.range(module.layout.group(Group::Rodata))) {
        "constants"
    } else {
        "data"
    };
    Some(format!("the {part} of {}", module.name))
}

/// Stops the others and prints what a panic leaves to see: the way here.
pub fn panicked(message: core::fmt::Arguments<'_>) {
    ending::claim();
    let _turn = console::turn();
    console::greet_if_silent();
    crate::kernel::compat::print::end_open_line();
    console::fresh_line();
    kprintln!("panic: {message}");
    who();
    let r1 = Vaddr(crate::machine::spr::stack_pointer());
    back_trace(Vaddr(panicked as *const () as u64), Vaddr(0), r1);
    others();
}
