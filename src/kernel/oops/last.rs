//! The last oops that did not end the machine: kept for `explain`.
//!
//! ```text
//!   note      in the report of a fault: no heap, no lock that somebody may hold
//!   explain   which instruction, which registers were wrong, whose TOC r2 held
//!   explain_frame   what the slots at r1 hold
//! ```
//!
//! Names are looked up when they are told: a module that has gone has none left, and one
//! that has come since gives none.

use core::fmt;

use super::report;
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::disasm::disassemble;
use crate::kernel::modules;
use crate::kernel::symbols::{self, Symbolised};
use crate::machine::lock::Mutex;
use crate::machine::trap::TrapFrame;
use crate::machine::{memory, spr};
use crate::step::story::Owner;
use crate::{kprint, kprintln};

/// Bytes of the cause that are kept.
const CAUSE: usize = 128;

/// A fault; none if its vector is 0.
#[derive(Clone)]
struct Last {
    frame: TrapFrame,
    /// [`slots`], as they were.
    slots: [u64; 3],
    /// The instruction, if it could be read, and the word behind it.
    words: [Option<Insn>; 2],
    /// What the next module's number was.
    next_module: u32,
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
    words: [None; 2],
    next_module: 0,
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
    last.words = [0, 4].map(|more| memory::read_u32(Vaddr(frame.nip).offset(more)).map(Insn));
    last.next_module = modules::next_number();
}

impl Last {
    /// True if names of now are those of then; else it is said. What lies at the addresses
    /// may be a module that has come since.
    #[inline(never)]
    #[optimize(size)]
    fn has_names(&self) -> bool {
        let Self { frame, slots, .. } = self;
        let places = [frame.nip, frame.lr, frame.dar, slots[1]];
        let other = modules::first(|module| {
            let toc = module.linked().toc.0;
            module.number >= self.next_module
                && (toc == frame.gpr[2]
                    || toc == slots[2]
                    || places.iter().any(|at| module.pages.contains(Vaddr(*at), 1)))
        });
        if other.is_some() {
            kprintln!("a module that came since lies there: no names");
        }
        other.is_none()
    }
}

/// An address, with its name if it has the one that it had.
struct Named(u64, bool);

impl fmt::Display for Named {
    #[optimize(size)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Vaddr(self.0);
        if self.1 { Symbolised(at).fmt(f) } else { at.fmt(f) }
    }
}

/// Tells of the last oops.
#[optimize(size)]
pub fn explain() {
    let last = LAST.lock().clone();
    let Last { frame, words, .. } = &last;
    if frame.vector == 0 {
        return kprintln!("there was no oops yet");
    }
    let names = last.has_names();
    let cause = core::str::from_utf8(&last.cause[..last.cause_len]).unwrap_or_default();
    kprintln!("{cause}, at {}", Named(frame.nip, names));
    let word = words[0].unwrap_or(Insn(0)).0;
    if let Some(insn) = words[0] {
        kprintln!("instruction: {}", disassemble(Vaddr(frame.nip), insn, words[1]));
    }
    // RA, and a number or RB, make the address of every load and store; r0 as RA is 0. A
    // prefix has them behind it, or means the place of the instruction.
    let indexed = word >> 26 == 31;
    let (mut ra, rb) = (word >> 16 & 31, word >> 11 & 31);
    if indexed && ra == 0 {
        ra = rb;
    }
    // What was fetched then may be gone by now.
    if words[0].is_none() || matches!(frame.vector, 0x400 | 0x480) {
        kprintln!("a jump led there: ctr = {:#x}, lr = {}", frame.ctr, Named(frame.lr, names));
    } else if let Some(at) = report::accessed(frame).filter(|_| ra != 0 && word >> 26 != 1) {
        let value = frame.gpr[ra as usize];
        let place = report::place_of(at).filter(|_| names);
        let place = place.as_deref().unwrap_or("no known place");
        kprint!("the address {at} is r{ra} = {value:#x} and ");
        // With r0 as RA it is RB alone. A cache block is accessed at its first byte.
        let more = match indexed {
            true if ra == rb => 0,
            true => {
                kprint!("r{rb} = ");
                frame.gpr[rb as usize]
            }
            false => at.0.wrapping_sub(value),
        };
        let less = if more.cast_signed() < 0 { "less" } else { "more" };
        kprintln!("{:#x} {less}, in {place}", more.cast_signed().unsigned_abs());
    }
    let toc = frame.gpr[2];
    if names {
        kprintln!("r2 = {toc:#x} is {}", report::toc_owner(frame));
    }
}

/// Tells what the slots of a frame hold: the last oops', or this command's.
#[optimize(size)]
pub fn explain_frame() {
    let last = LAST.lock().clone();
    let Last { frame, slots: kept, .. } = &last;
    let mut names = true;
    let (r1, [back, saved, toc]) = if frame.vector == 0 {
        let r1 = spr::stack_pointer();
        (r1, slots(r1))
    } else {
        names = last.has_names();
        let (nip, lr) = (Named(frame.nip, names), Named(frame.lr, names));
        kprintln!(
            "stopped by the last oops: {nip}\nlr {lr}: where a function without a frame returns"
        );
        (frame.gpr[1], *kept)
    };
    let owner = if names { symbols::toc_owner(toc) } else { Owner::Nobody };
    let saved = Named(saved, names);
    kprintln!(
        "r1 = {r1:#x}: back chain {back:#x}, the caller's frame\n\
         16 above that, LR save: {saved}\n\
         24 above r1: TOC save, {toc:#x} ({owner}); written by stubs alone, else left over"
    );
}
