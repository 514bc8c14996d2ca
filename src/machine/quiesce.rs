//! Questions that every CPU answers about its own stack.
//!
//! Whether some code is in use is known only by those who may use it. So nobody looks
//! at another CPU's stack: CPU 0 asks, and each CPU looks at its own, in its next tick
//! or between two calls, until it can say "not I".
//!
//! ```text
//!  CPU 0    ask(Change) ─> number n       every CPU: answered < n ─> look at the stack
//!           all_answered(n)  <────────────   clean: [take the new side,] answered = n
//!                                            not:   blocker = the address found
//! ```
//!
//! # Invariants
//! - Only its own CPU changes a CPU's side, but for [`force`]: code between reading the
//!   side and using it is never overtaken, because its own stack shows it.
//! - Outside of a change all CPUs have the same side.
//! - What is looked for has the number of its question: who still owes an answer to the one
//!   before does not give that to this one.
//!
//! Linux keeps the state with each task and reads it on each call of a patched function
//! (`klp_ftrace_handler`); here it is with each CPU, for a CPU runs one job at a time,
//! and is read only while a change is under way.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::lock::{Once, pause};
use super::trap::TrapFrame;
use super::{boot, call, paca, smp, spr};
use crate::addr::Vaddr;

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Functions change over: who has answered runs the new ones.
    Change = 0,
    /// Code is about to go.
    Going = 1,
}

/// The newest question of each kind.
static ASKED: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// The side that CPUs take with their answer to a [`Kind::Change`].
static SIDE: AtomicU64 = AtomicU64::new(0);

/// Looks at this CPU's stack for the question of this number, from where it stands:
/// address, LR, r1. The registers are those of code that was interrupted, in which it may
/// hold a return address; none of the kernel's own, which says itself where it is. No
/// interrupt comes meanwhile.
type Look = fn(Kind, u64, Vaddr, Vaddr, Vaddr, &[u64]) -> Option<u64>;

static LOOK: Once<Look> = Once::new();

/// Who looks at stacks: says what it found that stands in the way, 0 for nothing, and
/// `None` if it cannot look now.
pub fn set_look(look: Look) {
    LOOK.call_once(|| look);
}

/// The side that all CPUs have, or are about to have.
pub fn side() -> u64 {
    SIDE.load(Ordering::Relaxed)
}

/// The number of the question that will be asked next.
pub fn next(kind: Kind) -> u64 {
    ASKED[kind as usize].load(Ordering::Relaxed) + 1
}

/// Asks a new question; its number. For [`Kind::Change`] with the side to take.
pub fn ask(kind: Kind, side: u64) -> u64 {
    if kind == Kind::Change {
        SIDE.store(side, Ordering::Relaxed);
    }
    ASKED[kind as usize].fetch_add(1, Ordering::SeqCst) + 1
}

/// True if the CPU with this PACA has answered the newest question.
pub fn has_answered(paca: Vaddr, kind: Kind) -> bool {
    let asked = ASKED[kind as usize].load(Ordering::Relaxed);
    paca::answered_of(paca, kind as usize).load(Ordering::Acquire) == asked
}

/// What keeps that CPU from answering, as far as it has said so.
pub fn blocker(paca: Vaddr, kind: Kind) -> Option<u64> {
    let at = paca::blocker_of(paca, kind as usize).load(Ordering::Relaxed);
    (at != 0).then_some(at)
}

/// Answers for all CPUs that have not: what they run goes on as it is.
pub fn force(kind: Kind) {
    for cpu in smp::visit().filter(|cpu| !has_answered(cpu.paca, kind)) {
        answer(cpu.paca, kind, ASKED[kind as usize].load(Ordering::Relaxed), side());
    }
}

fn answer(paca: Vaddr, kind: Kind, number: u64, side: u64) {
    if kind == Kind::Change {
        paca::patch_side_of(paca).store(side, Ordering::Relaxed);
    }
    paca::blocker_of(paca, kind as usize).store(0, Ordering::Relaxed);
    paca::answered_of(paca, kind as usize).store(number, Ordering::Release);
}

/// Answers what this CPU has been asked, if what it runs allows it.
/// How many questions there were.
fn answer_from(nip: Vaddr, lr: Vaddr, r1: Vaddr, registers: &[u64]) -> usize {
    let mut questions = 0;
    let own = paca::r13();
    for kind in [Kind::Change, Kind::Going] {
        let number = ASKED[kind as usize].load(Ordering::Acquire);
        if paca::answered_of(own, kind as usize).load(Ordering::Relaxed) == number {
            continue;
        }
        questions += 1;
        let side = side();
        match LOOK.get().and_then(|look| look(kind, number, nip, lr, r1, registers)) {
            // Of what has been asked since then it has not seen the answer.
            Some(0) if ASKED[kind as usize].load(Ordering::Acquire) != number => {}
            Some(0) => {
                answer(own, kind, number, side);
                stay(own);
            }
            Some(at) => paca::blocker_of(own, kind as usize).store(at, Ordering::Relaxed),
            None => {}
        }
    }
    questions
}

/// r13 of the CPU for which the others stay where they have answered, or 0.
static HOLDS: AtomicU64 = AtomicU64::new(0);

/// From now on who answers stays where it is, with interrupts off, till there is no more of
/// this. So what was asked about is free all the time, and not just once.
pub fn hold(on: bool) {
    HOLDS.store(if on { paca::r13().0 } else { 0 }, Ordering::Release);
}

/// This CPU has answered: stays, if somebody wants that. Not for the next question, which
/// may come before it sees that the last one is over.
fn stay(own: Vaddr) {
    while ![0, own.0].contains(&HOLDS.load(Ordering::Acquire)) && has_answered(own, Kind::Going) {
        pause();
    }
}

/// True if this CPU has a question to answer.
fn is_asked() -> bool {
    let own = paca::r13();
    [Kind::Change, Kind::Going].into_iter().any(|kind| !has_answered(own, kind))
}

/// Somebody waits for answers, and does nothing else.
static HURRY: AtomicBool = AtomicBool::new(false);

/// Says whether somebody waits for answers.
pub fn hurry(on: bool) {
    HURRY.store(on, Ordering::Relaxed);
}

/// r0 to r11 (r1 and r2 are no code's). In r12 and CTR call sites that are on leave where
/// they go on, in the very function that is asked about.
const VOLATILE: usize = 12;

/// In a tick: looks at what it has interrupted. True if a question is left that
/// somebody waits for.
pub fn in_tick(frame: &TrapFrame) -> bool {
    if !is_asked() {
        return false;
    }
    let nip = Vaddr(frame.nip);
    if HOLDS.load(Ordering::Acquire) != 0 && boot::is_code(nip) {
        return true; // it may have a lock, which who holds it may want: soon again
    }
    let volatile = &frame.gpr[..VOLATILE];
    answer_from(nip, Vaddr(frame.lr), Vaddr(frame.gpr[1]), volatile);
    is_asked() && HURRY.load(Ordering::Relaxed)
}

/// Where the kernel itself has control: between calls, and while it waits.
#[inline(never)]
pub fn here() {
    if is_asked() {
        // A function of the kernel, with a frame: its caller is found by that. The result
        // is looked at so that the frame is there to the end.
        let r1 = Vaddr(spr::stack_pointer());
        let nip = Vaddr(here as *const () as u64);
        // What looks has a lock: whoever waits for that shall not wait for a tick.
        let interrupts = spr::interrupts_off();
        let questions = answer_from(nip, call::return_address(), r1, &[]);
        spr::interrupts_restore(interrupts);
        core::hint::black_box(questions);
    }
}
