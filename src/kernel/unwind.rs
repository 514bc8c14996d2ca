//! Walking the stack: return addresses from the innermost frame outwards.
//!
//! ```text
//!   r1 -> [ back chain ] -> [ back chain ] -> ... -> guarded_call
//!            16(r1 of the caller) holds where the callee returns to
//! ```
//!
//! Some return addresses are the kernel's own doing. `shadow_return` and `step`'s
//! stand for the entry of the shadow stack that has the same place in the order of
//! calls; `graph_return` stands for the entry of the graph stack with the same r1, and
//! `probe_return` for one of the stack of probes;
//! `trap_return` marks a frame that holds interrupted registers.
//!
//! # Invariants
//! - Whatever is on the stack, a walk ends: each frame lies above the one before and
//!   in the same stack, but for a few crossings at trap frames.
//! - No lock, no heap, and no read that faults: a walk may be of a broken machine.
//!
//! Reference: ELFv2 ABI, "The Stack Frame".

use alloc::vec::Vec;
use core::mem::offset_of;

use crate::addr::Vaddr;
use crate::machine::trap::TrapFrame;
use crate::machine::{call, hooks, memory, paca, step, trap};

/// Most frames that a walk for people follows.
const MAX_FRAMES: usize = 64;

/// Most trap frames that a walk passes.
const MAX_TRAPS: usize = 4;

/// One step of a back trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// r1 of the frame.
    pub stack: Vaddr,
    /// An address in the code that runs, or that is returned to.
    pub at: Vaddr,
    /// The return passes through the shadow stack (live patch, tail call).
    pub shadowed: bool,
    /// The address came from LR or from a slot that may be stale.
    pub doubtful: bool,
    /// The code is there: it was interrupted. Else it is returned to.
    pub is_there: bool,
}

/// True for a return address whose place has been taken on the shadow stack.
fn stands_for_entry(at: Vaddr) -> bool {
    at == hooks::shadow_return_address() || at == step::return_address()
}

/// True if a function whose LR is this one, and whose r1 is `r1`, has not saved LR yet:
/// many calls have that LR, and theirs is to come if r1 is as it was when the innermost
/// of them began.
fn waits_at_entry(lr: Vaddr, r1: Vaddr) -> bool {
    let mut calls = if hooks::is_graph_return(lr) {
        paca::graph_entries()
    } else if lr == hooks::probe_return_address() {
        paca::probe_entries()
    } else {
        return paca::shadow_entries().next().is_some_and(|entry| entry.r1 == r1.0);
    };
    calls.find(|entry| entry.r1 >= r1.0).is_some_and(|entry| entry.r1 == r1.0)
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the call that the kernel made, or where the CPU started.
    Whole,
    /// After [`MAX_FRAMES`], or behind [`MAX_TRAPS`].
    Long,
    /// What lies at this address is no frame: the stack is damaged there.
    Broken(Vaddr),
}

/// The back trace of code that stands at `nip` with `lr` and `r1`, whole.
pub fn back_trace(nip: Vaddr, lr: Vaddr, r1: Vaddr) -> Vec<Frame> {
    let mut frames = Vec::new();
    walk(nip, lr, r1, &mut |frame| frames.push(frame));
    frames
}

/// Hands each frame of the code that stands at `nip` to `visit`, innermost first: the
/// first [`MAX_FRAMES`].
pub fn walk(nip: Vaddr, lr: Vaddr, r1: Vaddr, visit: &mut dyn FnMut(Frame)) -> End {
    follow(MAX_FRAMES, nip, lr, r1, visit)
}

/// As [`walk`], however many there are: a stack has room for two thousand.
pub fn walk_whole(nip: Vaddr, lr: Vaddr, r1: Vaddr, visit: &mut dyn FnMut(Frame)) -> End {
    follow(usize::MAX, nip, lr, r1, visit)
}

fn follow(mut left: usize, nip: Vaddr, lr: Vaddr, r1: Vaddr, visit: &mut dyn FnMut(Frame)) -> End {
    let mut visit = |frame| {
        left = left.saturating_sub(1);
        visit(frame);
        left > 0
    };
    // An entry may lead to the next one: a replacement that ends in a tail call.
    let mut shadow = paca::shadow_entries();
    let mut graph = paca::graph_entries();
    let mut probes = paca::probe_entries();
    let mut real = |mut at: Vaddr, r1: Vaddr| {
        let shadowed = stands_for_entry(at);
        loop {
            let calls = if hooks::is_graph_return(at) {
                &mut graph
            } else if at == hooks::probe_return_address() {
                &mut probes
            } else if stands_for_entry(at) {
                let Some(entry) = shadow.next() else { break };
                at = Vaddr(entry.lr);
                continue;
            } else {
                break;
            };
            // By its frame: what reports a fault is on this stack, too.
            let mut rest = calls.clone();
            let Some(entry) = rest.find(|entry| entry.r1 == r1.0) else { break };
            *calls = rest;
            at = Vaddr(entry.lr);
        }
        (at, shadowed)
    };
    let (mut nip, mut lr, mut r1) = (nip, lr, r1);
    for _ in 0..=MAX_TRAPS {
        visit(Frame { stack: r1, at: nip, shadowed: false, doubtful: false, is_there: true });
        if lr == call::return_address() {
            // The kernel called this very function. It may not have a frame yet, and
            // then the slot that it would save LR in holds something old.
            return End::Whole;
        }
        // A function that has not saved LR yet, or never does, returns to LR. All
        // redirected calls have one LR: theirs is still to come if r1 is as it was
        // when the innermost of them began.
        let first = saved(r1);
        let waits = if stands_for_entry(lr) || hooks::is_hook_return(lr) {
            waits_at_entry(lr, r1)
        } else {
            first.is_none_or(|(_, at)| at != lr)
        };
        if lr.0 != 0 && waits && lr != nip {
            let (at, shadowed) = real(lr, r1);
            if at == call::return_address() {
                return End::Whole;
            }
            visit(Frame { stack: r1, at, shadowed, doubtful: true, is_there: false });
        }
        let (mut stack, mut next) = (r1, first);
        let interrupted = loop {
            let Some((caller, at)) = next else {
                // Where a CPU starts, the chain ends with 0.
                let last = paca::stack_around(stack).and_then(|_| memory::read_u64(stack));
                return if last == Some(0) { End::Whole } else { End::Broken(stack) };
            };
            let (at, shadowed) = real(at, caller);
            if at == call::return_address() || at.0 == 0 {
                return End::Whole;
            }
            if at == trap::return_address() {
                break caller;
            }
            if !visit(Frame { stack: caller, at, shadowed, doubtful: false, is_there: false }) {
                return End::Long;
            }
            (stack, next) = (caller, saved(caller));
        };
        // The trap frame: go on with what was interrupted.
        let field = |offset: usize| {
            memory::read_u64(interrupted.offset((trap::FRAME_REGS as usize + offset) as i64))
        };
        let fields = (
            field(offset_of!(TrapFrame, nip)),
            field(offset_of!(TrapFrame, lr)),
            field(offset_of!(TrapFrame, gpr) + 8),
        );
        let (Some(next_nip), Some(next_lr), Some(next_r1)) = fields else {
            return End::Broken(interrupted);
        };
        (nip, lr, r1) = (Vaddr(next_nip), Vaddr(next_lr), Vaddr(next_r1));
    }
    End::Long
}

/// The caller's frame and where it is returned to, by the frame at `stack`.
fn saved(stack: Vaddr) -> Option<(Vaddr, Vaddr)> {
    let (_, high) = paca::stack_around(stack)?;
    let caller = Vaddr(memory::read_u64(stack)?);
    (caller > stack && caller < high && caller.is_aligned(16)).then_some(())?;
    let at = Vaddr(memory::read_u64(caller.offset(16))?);
    Some((caller, at))
}
