//! Is a function in use? Each CPU looks at its own stack.
//!
//! ```text
//!  nip LR 16(r1) r0 r3-r11   what runs, and whom it returns to before there is a frame,
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
use crate::machine::quiesce::{self, Kind};
use crate::machine::{call, hooks, memory, paca, probes, step, trap, trigger};

/// From the first address to the one above the last.
pub type Range = (Vaddr, Vaddr);

/// What must not be in use.
struct Question {
    /// Which one it is: see [`quiesce::next`].
    number: u64,
    /// Code that stands in the way.
    code: Vec<Range>,
    /// Stubs: nobody can tell where a CPU goes that is in one.
    stubs: Vec<Range>,
    /// From the first of them all to the last: most addresses are outside.
    hull: Range,
}

static QUESTIONS: [Mutex<Question>; 2] = [const { Mutex::new(Question::none(0)) }; 2];

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
    const fn none(number: u64) -> Self {
        Self { number, code: Vec::new(), stubs: Vec::new(), hull: (Vaddr(u64::MAX), Vaddr(0)) }
    }

    /// What stands in the way, for code that is at `nip`.
    fn find(&self, nip: Vaddr, lr: Vaddr, r1: Vaddr, registers: &[u64]) -> u64 {
        let mut found = 0;
        let mut see = |at: Vaddr, is_return: bool| {
            if found == 0 {
                found = self.meaning(at).filter(|_| !is_return || !stands_in(at)).unwrap_or(0);
            }
        };
        let mut last = r1;
        let end = unwind::walk_whole(nip, lr, r1, &mut |frame| {
            last = frame.stack;
            let Frame { at, stack, is_there, .. } = frame;
            match probes::goes_on(at, stack).or_else(|| trigger::goes_on(at, stack)) {
                // A probe or a trigger asks the kernel: its function has no frame yet.
                Some(places) => places.into_iter().for_each(|to| see(to, true)),
                // What no call returns to is an old word where an address will be, and may
                // look like one of a stub: the kernel's TOC pointer lies among its own.
                None if is_there || stands_in(at) || is_behind_call(at) => see(at, false),
                None => {}
            }
        });
        // Before it has a frame, and when it has none any more, a function may have its
        // return address in 16(r1) or in a register: `mflr r0; bl _savegpr0_N`, `mflr r11`
        // in assembly. What lies there of old stands in the way as well, for as long as
        // what runs neither calls nor returns.
        let slot = (!registers.is_empty()).then(|| memory::read_u64(r1.offset(16))).flatten();
        for to in registers.iter().copied().chain(slot).map(Vaddr) {
            let is_in = |(start, end): &Range| to > *start && to <= *end;
            if self.code.iter().any(is_in) && is_behind_call(to) {
                see(to, false);
            }
        }
        for calls in [paca::shadow_entries(), paca::graph_entries(), paca::probe_entries()] {
            calls.for_each(|entry| see(Vaddr(entry.lr), true));
        }
        let whole = end == End::Whole && outwards(last, &mut |to| see(to, true));
        if found == 0 && !whole { nip.0 | LOST } else { found }
    }

    /// What it means that an address was found, if it stands in the way.
    fn meaning(&self, at: Vaddr) -> Option<u64> {
        let (start, end) = self.hull;
        let is_near = at >= start && at <= end;
        if is_near && inside(&self.code, at) {
            return Some(at.0 & !(UNCLEAR | LOST));
        }
        (is_near && inside(&self.stubs, at) || hooks::contains(at)).then_some(at.0 | UNCLEAR)
    }

    /// Asks about more; both lists lie in the hull.
    fn add(&mut self, code: Vec<Range>, stubs: Vec<Range>) {
        for (start, end) in code.iter().chain(&stubs) {
            self.hull = (self.hull.0.min(*start), self.hull.1.max(*end));
        }
        self.code.extend(code);
        self.stubs.extend(stubs);
    }
}

/// At the end of code too: where a call that is its last word returns to.
fn inside(ranges: &[Range], at: Vaddr) -> bool {
    ranges.iter().any(|(start, end)| at >= *start && at <= *end)
}

/// True if the word before it is a branch that sets LR: it may be where a call returns to.
fn is_behind_call(to: Vaddr) -> bool {
    let word = to.is_aligned(4).then(|| memory::read_u32(to.offset(-4))).flatten();
    word.is_some_and(|word| matches!(word >> 26, 16 | 18 | 19) && word & 1 != 0)
}

/// True for a return address that stands for another one.
fn stands_in(to: Vaddr) -> bool {
    hooks::is_hook_return(to)
        || [hooks::shadow_return_address(), step::return_address(), call::return_address()]
            .contains(&to)
}

/// The frames from `stack` on, to where the CPU began; false if that is not found.
fn outwards(mut stack: Vaddr, see: &mut dyn FnMut(Vaddr)) -> bool {
    let Some((_, high)) = paca::stack_around(stack) else { return false };
    let Some(mut caller) = memory::read_u64(stack).map(Vaddr) else { return false };
    // Each frame lies above the one before, in one stack: there is an end.
    loop {
        if caller.0 == 0 {
            return true;
        }
        if caller <= stack || caller >= high || !caller.is_aligned(16) {
            return false;
        }
        // Its back chain, CR and LR.
        let mut words = [0; 24];
        let whole = memory::read(caller, &mut words);
        let [next, _, to] = words.as_chunks().0 else { return false };
        let to = Vaddr(u64::from_le_bytes(*to));
        if !whole || to == trap::return_address() {
            return false;
        }
        if is_behind_call(to) {
            see(to);
        }
        (stack, caller) = (caller, Vaddr(u64::from_le_bytes(*next)));
    }
}

/// What a CPU finds on its own stack: see [`crate::machine::quiesce::set_look`].
pub fn look(
    kind: Kind,
    number: u64,
    nip: Vaddr,
    lr: Vaddr,
    r1: Vaddr,
    registers: &[u64],
) -> Option<u64> {
    let question = QUESTIONS[kind as usize].try_lock()?;
    (question.number == number).then(|| question.find(nip, lr, r1, registers))
}

/// Says what the next question is about, before it is asked.
pub fn about(kind: Kind, code: Vec<Range>, stubs: Vec<Range>) {
    let mut question = Question::none(quiesce::next(kind));
    question.add(code, stubs);
    *QUESTIONS[kind as usize].lock() = question;
}

/// Adds to what the question is about.
pub fn about_too(kind: Kind, code: Vec<Range>, stubs: Vec<Range>) {
    QUESTIONS[kind as usize].lock().add(code, stubs);
}

/// Forgets what the question was about.
pub fn forget(kind: Kind) {
    let mut question = QUESTIONS[kind as usize].lock();
    *question = Question::none(question.number);
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
