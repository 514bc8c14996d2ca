//! The last oops that did not end the machine: kept for `explain`.
//!
//! ```text
//!   note      in the report of a fault: no heap, no lock that somebody may hold
//!   explain   which instruction, which registers were wrong, whose TOC r2 held
//!   explain_frame   what the slots at r1 hold
//! ```
//!
//! Names are looked up when they are told: a module that has gone has none left.

use super::report;
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::disasm::disassemble;
use crate::kernel::symbols::{self, Symbolised};
use crate::kprintln;
use crate::machine::lock::Mutex;
use crate::machine::trap::TrapFrame;
use crate::machine::{memory, spr};

/// Bytes of the cause that are kept.
const CAUSE: usize = 128;

/// A fault; none if its vector is 0.
#[derive(Clone)]
struct Last {
    frame: TrapFrame,
    /// [`slots`], as they were.
    slots: [u64; 3],
    /// The instruction; 0 if it could not be read.
    word: u32,
    cause: [u8; CAUSE],
    cause_len: usize,
}

static LAST: Mutex<Last> = Mutex::new(Last {
    frame: TrapFrame {
        gpr: [0; 32],
        nip: 0,
        msr: 0,
        ctr: 0,
        lr: 0,
        xer: 0,
        cr: 0,
        dar: 0,
        dsisr: 0,
        vector: 0,
    },
    slots: [0; 3],
    word: 0,
    cause: [0; CAUSE],
    cause_len: 0,
});

/// The caller's frame, the LR save above it and the TOC save above r1 (ELFv2 ABI, "The
/// Stack Frame").
#[optimize(size)]
fn slots(r1: u64) -> [u64; 3] {
    let read = |at| memory::read_u64(Vaddr(at)).unwrap_or(0);
    let back = read(r1);
    [back, read(back.wrapping_add(16)), read(r1.wrapping_add(24))]
}

/// Keeps what is known of a fault, unless somebody is being told of the one before.
#[optimize(size)]
#[inline(never)]
pub fn note(frame: &TrapFrame, cause: &str) {
    let Some(mut last) = LAST.try_lock() else { return };
    last.cause_len = cause.len().min(CAUSE);
    for (to, from) in last.cause.iter_mut().zip(cause.bytes()) {
        *to = from;
    }
    last.frame = frame.clone();
    last.slots = slots(frame.gpr[1]);
    last.word = memory::read_u32(Vaddr(frame.nip)).unwrap_or(0);
}

/// Tells of the last oops.
#[optimize(size)]
pub fn explain() {
    let last = LAST.lock().clone();
    let Last { frame, word, .. } = &last;
    if frame.vector == 0 {
        return kprintln!("there was no oops yet");
    }
    let cause = core::str::from_utf8(&last.cause[..last.cause_len]).unwrap_or_default();
    let nip = Vaddr(frame.nip);
    let insn = disassemble(nip, Insn(*word), None);
    kprintln!("{cause}, at {}", Symbolised(nip));
    if *word != 0 {
        kprintln!("instruction: {insn}");
    }
    // RA, and a number or RB, make the address of every load and store; r0 as RA is 0.
    let indexed = word >> 26 == 31 && word >> 16 & 31 == 0;
    let base = word >> if indexed { 11 } else { 16 } & 31;
    // What was fetched then may be gone by now.
    if *word == 0 || matches!(frame.vector, 0x400 | 0x480) {
        let lr = Symbolised(Vaddr(frame.lr));
        kprintln!("a jump led there: ctr = {:#x}, lr = {lr}", frame.ctr);
    } else if let Some(at) = report::accessed(frame).filter(|_| base != 0) {
        let value = frame.gpr[base as usize];
        let (more, place) = (at.0.wrapping_sub(value), report::place_of(at));
        let place = place.as_deref().unwrap_or("no known place");
        kprintln!("the address {at} is r{base} = {value:#x} and {more:#x} more, in {place}");
    }
    kprintln!("r2 = {:#x} is {}", frame.gpr[2], report::toc_owner(frame));
}

/// Tells what the slots of a frame hold: the last oops', or this command's.
#[optimize(size)]
pub fn explain_frame() {
    let last = LAST.lock();
    let (nip, lr, r1) = (last.frame.nip, last.frame.lr, last.frame.gpr[1]);
    let (vector, kept) = (last.frame.vector, last.slots);
    drop(last);
    let (r1, [back, saved, toc]) = if vector == 0 {
        let r1 = spr::stack_pointer();
        (r1, slots(r1))
    } else {
        let (nip, lr) = (Symbolised(Vaddr(nip)), Symbolised(Vaddr(lr)));
        kprintln!(
            "stopped by the last oops: {nip}\nlr {lr}: where a function without a frame returns"
        );
        (r1, kept)
    };
    let (owner, saved) = (symbols::toc_owner(toc), Symbolised(Vaddr(saved)));
    kprintln!(
        "r1 = {r1:#x}: back chain {back:#x}, the caller's frame\n\
         16 above that, LR save: {saved}\n\
         24 above r1: TOC save, {toc:#x} ({owner}); written by stubs alone, else left over"
    );
}
