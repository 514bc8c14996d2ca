//! Calls that are shown one instruction at a time: the shell's `step`.
//!
//! ```text
//!  commands/step.rs   arguments and result, as for `call`
//!  this file          at each stop: whose code, which registers, what to do
//!  copies.rs          pages for copies of larx ... stcx.
//!  crate::step        what to do and what to say (pure)
//!  machine::step      how it is done
//! ```
//!
//! # Invariants
//! - A stop is an exception, and still it prints, allocates and writes text. That
//!   is right because this CPU then holds no lock of the kernel's: the command holds
//!   none, and kernel code that may hold one is not stepped (`crate::step::decide`).
//! - What faults or is ended in the stepped call is reported as in any call; the
//!   line that was begun is printed before that.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

mod copies;

use super::call::{self, CallEnd};
use super::compat::print;
use super::{exports, modules, symbols};
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::disasm::{Disassembly, disassemble};
use crate::kprintln;
use crate::machine::lock::Mutex;
use crate::machine::step::{self, Event, Go, Stepper};
use crate::machine::trap::TrapFrame;
use crate::machine::{boot, cstring, hooks, memory};
use crate::step::decide::{Code, Decider, Next};
use crate::step::registers::{Registers, WATCHED};
use crate::step::sequence::{self, Sequence};
use crate::step::story::{Owner, Place, Story};
use copies::Copies;

/// Instructions that are shown if no count is given.
pub const LINES: u64 = 10_000;

/// The call that is stepped.
struct Session {
    decider: Decider,
    story: Story,
    copies: Copies,
    /// Instructions that may still be shown.
    lines: u64,
    /// The line that is open is that of hooks which are stepped unseen.
    unseen: bool,
    /// What ran last was the first of the two instructions that make r2.
    half: bool,
}

/// The upper half of `addis r2,RA,N`, without RA.
const ADDIS_R2: u32 = 15 << 10 | 2 << 5;

/// One call at a time is stepped: the shell's.
static SESSION: Mutex<Option<Session>> = Mutex::new(None);

/// Becomes the machine's stepper.
pub fn connect() {
    step::on_step(Stepper { stop, interrupted });
}

/// What is shown of a call.
#[derive(Clone, Copy)]
pub struct How {
    /// The kernel's lock-free routines and what call sites run through, too.
    pub all: bool,
    /// Only what changes r2.
    pub watch: bool,
    /// Most instructions.
    pub lines: u64,
}

/// Calls the function whose global entry is `entry` and shows what it does; `limit` as
/// for [`call::run_limited`].
///
/// With `all`, or if the function itself is the kernel's, the kernel's lock-free
/// routines and what call sites run through are shown too.
pub fn run(entry: Vaddr, args: &[u64], limit: Option<u64>, how: How) -> CallEnd {
    let How { all, watch, lines } = how;
    *SESSION.lock() = Some(Session {
        decider: Decider::new(all || in_kernel(entry)),
        story: Story::new(watch),
        copies: Copies::new(),
        lines,
        unseen: false,
        half: false,
    });
    let end = step::stepped(entry, |begin| call::run_limited(begin, args, limit));
    let session = SESSION.lock().take();
    if let Some(line) = session.and_then(|mut session| session.story.interrupted()) {
        kprintln!("{line} ; the shadow stack is full: from here on without steps");
    }
    end
}

fn in_kernel(at: Vaddr) -> bool {
    boot::is_code(at)
}

fn watched(frame: &TrapFrame) -> Registers {
    let mut gpr = [0; WATCHED];
    gpr.copy_from_slice(&frame.gpr[..WATCHED]);
    Registers { gpr, lr: frame.lr, ctr: frame.ctr, cr: frame.cr }
}

/// Whose code it is.
fn code_at(at: Vaddr) -> (Code, Place) {
    if at == crate::machine::call::return_address() {
        return (Code::Caller, Place::Kernel);
    }
    if hooks::contains(at) {
        return (Code::Hook, Place::Kernel);
    }
    if in_kernel(at) {
        let lock_free =
            memory::is_mem_routine(at) || cstring::exports().any(|(_, entry)| entry == at);
        return (Code::Kernel { lock_free }, Place::Kernel);
    }
    let place = match symbols::stub(at) {
        Some((of, kind, to)) => Place::Stub { of, kind, to },
        None => match modules::containing(at) {
            Some(module) => Place::Module(module.name.clone()),
            None => Place::Nowhere(at),
        },
    };
    (Code::Foreign, place)
}

fn word(at: Vaddr) -> Option<Insn> {
    memory::read_u32(at).map(Insn)
}

/// The instruction's text, with names that the module itself would use.
fn text(at: Vaddr, insn: &Disassembly) -> String {
    let module = || modules::containing(at).map(|module| module.name.clone());
    let home = symbols::stub(at).map(|(of, _, _)| of).or_else(module);
    let name = move |to: Vaddr, f: &mut fmt::Formatter<'_>| {
        symbols::place(to, home.as_deref()).map_or(Ok(()), |place| write!(f, " <{place}>"))
    };
    insn.named(&name).to_string()
}

/// The function of the kernel that begins at, or contains, an address.
fn kernel_name(at: Vaddr) -> String {
    let name = exports::name_of(at).map(ToString::to_string).or_else(|| symbols::function(at));
    name.unwrap_or_else(|| at.to_string())
}

/// The machine asks what to do.
#[optimize(size)]
fn stop(frame: &mut TrapFrame, event: Event) -> Option<Go> {
    let mut session = SESSION.lock();
    let session = session.as_mut()?;
    if event == Event::Trapped {
        let (at, early) = session.copies.left(Vaddr(frame.nip))?;
        frame.nip = at.0;
        if early && !session.unseen {
            session.story.add(", left before its end");
        }
    }
    Some(session.next(frame))
}

/// An exception in the stepped call is about to be reported.
fn interrupted(frame: &mut TrapFrame) {
    let mut session = SESSION.lock();
    let Some(session) = session.as_mut() else { return };
    frame.nip = session.copies.place(Vaddr(frame.nip)).0;
    if let Some(line) = session.story.interrupted() {
        say(&line);
    }
}

fn say(line: &str) {
    print::end_open_line();
    kprintln!("{line}");
}

impl Session {
    fn next(&mut self, frame: &mut TrapFrame) -> Go {
        let at = Vaddr(frame.nip);
        let (code, place) = code_at(at);
        let next = self.decider.next(code, frame.nip == frame.lr);
        let here = word(at).filter(|word| sequence::is_load_reserve(*word));
        let copy = here.and_then(|_| sequence::find(at, word));
        if !(self.unseen && next == (Next::Step { shown: false })) {
            let now = watched(frame);
            let told = next != Next::Step { shown: true };
            // Half of one may be another's by chance.
            let r2 = if self.half { Owner::Nobody } else { symbols::toc_owner(now.gpr[2]) };
            let lines = self.story.arrive(&now, place, r2, told);
            lines.iter().for_each(|line| say(line));
            if next != Next::Finish && self.lines == 0 {
                say("step: that was the last line; the rest runs without steps (-n COUNT)");
                return Go::End;
            }
            self.lines = self.lines.saturating_sub(1);
            self.begin(at, next, &now, copy.as_ref());
        }
        self.unseen = next == Next::Step { shown: false };
        self.half = matches!(next, Next::Step { .. })
            && word(at).is_some_and(|word| word.0 >> 16 & !31 == ADDIS_R2);
        match next {
            Next::Finish => Go::End,
            Next::Over => Go::Function,
            Next::Step { .. } => match copy.and_then(|copy| self.copies.enter(copy)) {
                Some(copy) => {
                    frame.nip = copy.0;
                    Go::Copy
                }
                None => Go::One,
            },
        }
    }

    /// Begins the line of what comes next.
    fn begin(&mut self, at: Vaddr, next: Next, now: &Registers, copy: Option<&Sequence>) {
        if next == Next::Finish {
            return;
        }
        if next != (Next::Step { shown: true }) {
            self.story.kernel(&kernel_name(at), now);
            return;
        }
        let Some(first) = word(at) else { return };
        let insn = disassemble(at, first, word(at.offset(4)));
        let mut text = text(at, &insn);
        if let Some(copy) = copy {
            let last = copy.insns as i64 - 1;
            let store = at.offset(4 * last);
            let store = word(store).map(|word| disassemble(store, word, None));
            let store = store.map_or_else(String::new, |store| store.to_string());
            text = format!("{text} .. {store} ({} instructions as one)", copy.insns);
        }
        let symbol = symbols::inside(at).unwrap_or_default();
        self.story.instruction(at, &symbol, &text, now);
    }
}
