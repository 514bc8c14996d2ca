//! Walking the stack: return addresses from the innermost frame outwards.
//!
//! ```text
//!   r1 -> [ back chain ] -> [ back chain ] -> ... -> guarded_call
//!            16(r1 of the caller) holds where the callee returns to
//! ```
//!
//! Some return addresses are the kernel's own doing. `shadow_return` and `step`'s
//! stand for the entry of the shadow stack that has the same place in the order of
//! calls;
//! `trap_return` marks a frame that holds interrupted registers.
//!
//! Reference: ELFv2 ABI, "The Stack Frame".

use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::machine::{call, hooks, memory, paca, step, trap};

/// Most frames that a walk follows.
const MAX_FRAMES: usize = 64;

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
}

/// True for a return address whose place has been taken on the shadow stack.
fn stands_for_entry(at: Vaddr) -> bool {
    at == hooks::shadow_return_address() || at == step::return_address()
}

/// The back trace of code that stands at `nip` with `lr` and `r1`.
///
/// Ends at the call that the kernel made, at a frame that does not lie above the
/// one before, or after [`MAX_FRAMES`].
pub fn back_trace(nip: Vaddr, lr: Vaddr, r1: Vaddr) -> Vec<Frame> {
    let mut frames = Vec::new();
    // An entry may lead to the next one: a replacement that ends in a tail call.
    let mut shadow = paca::shadow_entries();
    let mut real = |mut at: Vaddr| {
        let shadowed = stands_for_entry(at);
        while stands_for_entry(at) {
            let Some(entry) = shadow.next() else { break };
            at = Vaddr(entry.lr);
        }
        (at, shadowed)
    };
    frames.push(Frame { stack: r1, at: nip, shadowed: false, doubtful: false });

    let saved = |stack: Vaddr| {
        let caller = Vaddr(memory::read_u64(stack)?);
        let at = Vaddr(memory::read_u64(caller.offset(16))?);
        (caller > stack).then_some((caller, at))
    };
    if lr == call::return_address() {
        // The kernel called this very function. It may not have a frame yet, and
        // then the slot that it would save LR in holds something old.
        return frames;
    }
    // A function that has not saved LR yet, or never does, returns to LR. All
    // redirected calls have one LR: theirs is still to come if r1 is as it was
    // when the innermost of them began.
    let first = saved(r1);
    let waits = if stands_for_entry(lr) {
        paca::shadow_entries().next().is_some_and(|entry| entry.r1 == r1.0)
    } else {
        first.is_none_or(|(_, at)| at != lr)
    };
    if lr.0 != 0 && waits && lr != nip {
        let (at, shadowed) = real(lr);
        if at == call::return_address() {
            return frames;
        }
        frames.push(Frame { stack: r1, at, shadowed, doubtful: true });
    }
    let mut next = first;
    while let Some((caller, at)) = next {
        if frames.len() >= MAX_FRAMES || at == call::return_address() || at.0 == 0 {
            break;
        }
        if at == trap::return_address() {
            // `caller` is the trap frame: go on with what was interrupted.
            let field = |offset: usize| {
                memory::read_u64(caller.offset((trap::FRAME_REGS as usize + offset) as i64))
            };
            let nip = field(core::mem::offset_of!(trap::TrapFrame, nip));
            if let Some(nip) = nip {
                frames.push(Frame {
                    stack: caller,
                    at: Vaddr(nip),
                    shadowed: false,
                    doubtful: false,
                });
            }
        } else {
            let (at, shadowed) = real(at);
            if at == call::return_address() {
                break;
            }
            frames.push(Frame { stack: caller, at, shadowed, doubtful: false });
        }
        next = saved(caller);
    }
    frames
}
