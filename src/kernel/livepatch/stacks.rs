//! Is a function in use? Each CPU looks at its own stack.
//!
//! ```text
//!  nip LR 16(r1) r0 r3-r12   what runs, and whom it returns to before there is a frame,
//!                         or when there is none any more
//!  frames                 through traps, the graph tracer's and redirected returns
//!  shadow, graph entries  every one is a return that is to come
//!  frames of the kernel   behind the innermost call of a module, and so on outwards
//! ```
//!
//! # Invariants
//! - What cannot be told stands in the way: a stack that does not end, code between a
//!   call site and its target, where registers hold what no stack shows.
//! - No waiting, no heap: this runs in ticks.
//!
//! Linux looks at the graph tracer's entries only, so that the caller of a function that
//! is patched already is not seen: its return address is in the shadow entry.

use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::kernel::unwind::{self, End, Frame};
use crate::machine::lock::Mutex;
use crate::machine::quiesce::Kind;
use crate::machine::{call, hooks, memory, paca, probes, step, trap, trigger};

/// From the first address to the one above the last.
pub type Range = (Vaddr, Vaddr);

/// What must not be in use.
struct Question {
    /// Code that stands in the way.
    code: Vec<Range>,
    /// Stubs: nobody can tell where a CPU goes that is in one.
    stubs: Vec<Range>,
}

static QUESTIONS: [Mutex<Question>; 2] = [const { Mutex::new(Question::none()) }; 2];

/// In the lowest bits of what [`look`] finds: it cannot be told from there.
const UNCLEAR: u64 = 1;
/// Nor does the stack lead from there to its end.
const LOST: u64 = 2;

/// What the address means that a CPU has found.
pub enum Found {
    /// It is in what was asked for.
    Inside,
    /// Nobody can tell where a CPU goes from there.
    Unclear,
    /// The CPU is there, and its stack does not lead to its end.
    Lost,
}

impl Question {
    const fn none() -> Self {
        Self { code: Vec::new(), stubs: Vec::new() }
    }

    /// What stands in the way, for code that is at `nip`.
    fn find(&self, nip: Vaddr, lr: Vaddr, r1: Vaddr, registers: &[u64]) -> u64 {
        let mut found = 0;
        let mut see = |at: Vaddr| {
            if found == 0 {
                if inside(&self.code, at) {
                    found = at.0 & !(UNCLEAR | LOST);
                } else if hooks::contains(at) || inside(&self.stubs, at) {
                    found = at.0 | UNCLEAR;
                }
            }
        };
        let mut last = r1;
        let end = unwind::walk_whole(nip, lr, r1, &mut |frame| {
            last = frame.stack;
            let Frame { at, stack, .. } = frame;
            match probes::goes_on(at, stack).or_else(|| trigger::goes_on(at, stack)) {
                // A probe or a trigger asks the kernel: its function has no frame yet.
                Some(places) => places.into_iter().for_each(|to| returns(to, &mut see)),
                None => see(at),
            }
        });
        // Before it has a frame, and when it has none any more, a function may have its
        // return address in 16(r1) or in a register: `mflr r0; bl _savegpr0_N`, `mflr r11`
        // in assembly. What is there of old stands in the way for a while at most.
        let slot = (!registers.is_empty()).then(|| memory::read_u64(r1.offset(16))).flatten();
        let volatile = registers.iter().take(13).copied(); // r1 and r2 are no code's
        for to in volatile.chain(slot).map(Vaddr).filter(|to| to.is_aligned(4)) {
            if self.code.iter().any(|(start, end)| to > *start && to <= *end) {
                see(to);
            }
        }
        for to in paca::shadow_entries().map(|entry| entry.lr) {
            returns(Vaddr(to), &mut see);
        }
        for to in paca::graph_entries().map(|entry| entry.lr) {
            returns(Vaddr(to), &mut see);
        }
        for to in paca::probe_entries().map(|entry| entry.lr) {
            returns(Vaddr(to), &mut see);
        }
        let whole = end == End::Whole && outwards(last, &mut see);
        if found == 0 && !whole { nip.0 | LOST } else { found }
    }
}

/// At the end of code too: where a call that is its last word returns to.
fn inside(ranges: &[Range], at: Vaddr) -> bool {
    ranges.iter().any(|(start, end)| at >= *start && at <= *end)
}

/// Sees a return address, unless it is one that stands for another.
fn returns(to: Vaddr, see: &mut dyn FnMut(Vaddr)) {
    let stands = [hooks::shadow_return_address(), step::return_address(), call::return_address()];
    if !hooks::is_hook_return(to) && !stands.contains(&to) {
        see(to);
    }
}

/// The frames from `stack` on, to where the CPU began; false if that is not found.
fn outwards(mut stack: Vaddr, see: &mut dyn FnMut(Vaddr)) -> bool {
    // Each frame lies above the one before, in one stack: there is an end.
    loop {
        let Some((_, high)) = paca::stack_around(stack) else { return false };
        let Some(caller) = memory::read_u64(stack).map(Vaddr) else { return false };
        if caller.0 == 0 {
            return true;
        }
        if caller <= stack || caller >= high || !caller.is_aligned(16) {
            return false;
        }
        match memory::read_u64(caller.offset(16)).map(Vaddr) {
            Some(to) if to != trap::return_address() => returns(to, see),
            _ => return false,
        }
        stack = caller;
    }
}

/// What a CPU finds on its own stack: see [`crate::machine::quiesce::set_look`].
pub fn look(kind: Kind, nip: Vaddr, lr: Vaddr, r1: Vaddr, registers: &[u64]) -> Option<u64> {
    Some(QUESTIONS[kind as usize].try_lock()?.find(nip, lr, r1, registers))
}

/// Says what the next question is about.
pub fn about(kind: Kind, code: Vec<Range>, stubs: Vec<Range>) {
    *QUESTIONS[kind as usize].lock() = Question { code, stubs };
}

/// Adds to what the question is about.
pub fn about_too(kind: Kind, code: Vec<Range>, stubs: Vec<Range>) {
    let mut question = QUESTIONS[kind as usize].lock();
    question.code.extend(code);
    question.stubs.extend(stubs);
}

/// Forgets what the question was about.
pub fn forget(kind: Kind) {
    *QUESTIONS[kind as usize].lock() = Question::none();
}

/// The address that a CPU has found, and what it means.
pub fn found(what: u64) -> (Vaddr, Found) {
    let meaning = match what & (UNCLEAR | LOST) {
        0 => Found::Inside,
        UNCLEAR => Found::Unclear,
        _ => Found::Lost,
    };
    (Vaddr(what & !(UNCLEAR | LOST)), meaning)
}
