//! Single step: a call that traps after each of its instructions.
//!
//! MSR[SE] makes the CPU take a trace interrupt (0xd00) behind each instruction.
//! What to do there is the kernel's to say ([`Stepper`]); here is how it is done.
//!
//! ```text
//!  guarded_call --> step_begin: trap     r12, CTR, NIP = the function; SE on
//!                     |
//!                     v
//!  0xd00 --> stop --> One        SE stays on
//!                     Function   SE off; LR = step_return, the real one on the
//!                                shadow stack:   ... blr --> step_return: trap
//!                     Copy       SE off; NIP = a copy that ends in a trap
//!                     End        SE off for good
//! ```
//!
//! # Invariants
//! - One call at a time is stepped, on the CPU whose PACA is in [`STEPPING`].
//! - SE is in no MSR but the interrupted one: handlers run with `kernel_msr`.
//! - An unwinder meets `step_return` as it meets `shadow_return`, and finds the
//!   real address in the same way: the innermost entry of the shadow stack.
//!
//! # References
//! Power ISA Book III, "Trace Interrupt", "Program Interrupt".

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::lock::Once;
use super::paca::{self, ShadowEntry};
use super::spr::msr;
use super::trap::TrapFrame;
use crate::addr::Vaddr;

global_asm!(
    ".section .text.step, \"ax\", @progbits",
    ".balign 16",
    // Reached by guarded_call in place of the function, and by the return of a
    // function that runs as a whole. Both: in nothing, out nothing, the trap
    // handler goes on elsewhere with every register as it was.
    ".global step_begin",
    ".type step_begin, @function",
    "step_begin:",
    "trap",
    "b step_begin",
    ".size step_begin, . - step_begin",
    ".global step_return",
    ".type step_return, @function",
    "step_return:",
    "trap",
    "b step_return",
    ".size step_return, . - step_return",
);

unsafe extern "C" {
    fn step_begin();
    fn step_return();
}

/// Where the stepped call has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Before its first instruction.
    Begun,
    /// Behind an instruction.
    Stepped,
    /// Behind the function that ran as a whole.
    Returned,
    /// At a trap instruction: perhaps the end of a copy. The stepper then sets NIP
    /// to where the program goes on.
    Trapped,
}

/// How it shall go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// One instruction.
    One,
    /// The function whose first instruction comes next, to its return. The same as
    /// [`End`](Self::End) if the shadow stack is full.
    Function,
    /// From NIP, which the stepper has set, to a trap.
    Copy,
    /// Without stops.
    End,
}

/// The kernel's part.
pub struct Stepper {
    /// Says how to go on; `None` if the trap is not the stepper's.
    pub stop: fn(&mut TrapFrame, Event) -> Option<Go>,
    /// An exception that is about to be reported has come in the stepped call: sets
    /// NIP to the program's own instruction.
    pub interrupted: fn(&mut TrapFrame),
}

static STEPPER: Once<Stepper> = Once::new();

/// Asks `stepper` at each stop.
pub fn on_step(stepper: Stepper) {
    STEPPER.call_once(|| stepper);
}

/// PACA of the CPU whose call is stepped; [`NOBODY`], or [`GIVEN_UP`].
static STEPPING: AtomicU64 = AtomicU64::new(NOBODY);
const NOBODY: u64 = 0;
/// The machine is about to end: trace interrupts that still come are not looked at.
const GIVEN_UP: u64 = 1;
/// Global entry of the function that is stepped.
static ENTRY: AtomicU64 = AtomicU64::new(0);

/// The trace interrupt.
const TRACE: u64 = 0xd00;
/// The program interrupt, and its reason: a trap instruction.
const PROGRAM: u64 = 0x700;
const PROGRAM_TRAP: u64 = 0x2_0000;
/// Bits of SRR1 that tell reasons and are no bits of the MSR.
const REASONS: u64 = 0x783f_0000;

/// Runs `call`, in which a guarded call of the address that it is given stands for
/// one of `entry`: that one is stepped.
pub fn stepped<R>(entry: Vaddr, call: impl FnOnce(Vaddr) -> R) -> R {
    ENTRY.store(entry.0, Ordering::Relaxed);
    STEPPING.store(paca::r13().0, Ordering::Relaxed);
    let result = call(Vaddr(step_begin as *const () as u64));
    STEPPING.store(NOBODY, Ordering::Relaxed);
    result
}

/// No more stops on any CPU: the machine ends.
pub fn give_up() {
    STEPPING.store(GIVEN_UP, Ordering::Relaxed);
}

/// Where a function returns to that the stepper lets run as a whole.
pub fn return_address() -> Vaddr {
    Vaddr(step_return as *const () as u64)
}

fn active() -> bool {
    STEPPING.load(Ordering::Relaxed) == paca::r13().0
}

/// Handles an exception if it is one of stepping.
pub fn handle(frame: &mut TrapFrame) -> bool {
    if frame.vector == TRACE && STEPPING.load(Ordering::Relaxed) == GIVEN_UP {
        frame.msr &= !(msr::SE | REASONS);
        return true;
    }
    let (true, Some(stepper)) = (active(), STEPPER.get()) else { return false };
    let Some(event) = event(frame) else { return false };
    let Some(mut go) = (stepper.stop)(frame, event) else { return false };
    frame.msr &= !(msr::SE | REASONS);
    if go == Go::Function && !run_function(frame) {
        go = Go::End; // no room to remember the return
    }
    match go {
        Go::One => frame.msr |= msr::SE,
        Go::Function | Go::Copy => {}
        Go::End => STEPPING.store(NOBODY, Ordering::Relaxed),
    }
    true
}

fn event(frame: &mut TrapFrame) -> Option<Event> {
    match frame.vector {
        TRACE => Some(Event::Stepped),
        PROGRAM if frame.msr & PROGRAM_TRAP == 0 => None,
        PROGRAM if frame.nip == step_begin as *const () as u64 => {
            let entry = ENTRY.load(Ordering::Relaxed);
            (frame.nip, frame.ctr, frame.gpr[12]) = (entry, entry, entry);
            Some(Event::Begun)
        }
        PROGRAM if frame.nip == return_address().0 => {
            let entry = paca::pop_shadow()?;
            frame.nip = entry.lr;
            if frame.lr == return_address().0 {
                frame.lr = entry.lr; // as `blr` would have left it
            }
            Some(Event::Returned)
        }
        PROGRAM => Some(Event::Trapped),
        _ => None,
    }
}

/// Lets the function at NIP return to us; false if the shadow stack is full.
fn run_function(frame: &mut TrapFrame) -> bool {
    let entry = ShadowEntry { lr: frame.lr, toc: frame.gpr[2], r1: frame.gpr[1], spare: 0 };
    let room = paca::push_shadow(entry);
    if room {
        frame.lr = return_address().0;
    }
    room
}

/// An exception is about to be reported: if it came in the stepped call, the frame
/// becomes that of the program's own instruction.
pub fn interrupted(frame: &mut TrapFrame) {
    if active()
        && let Some(stepper) = STEPPER.get()
    {
        (stepper.interrupted)(frame);
        frame.msr &= !msr::SE;
    }
}
