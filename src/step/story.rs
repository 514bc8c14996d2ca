//! The lines that `step` prints: what ran and what it changed, and where it went.
//!
//! ```text
//!  -> [demo] (r2: kernel's)                                    a mark: into a module
//!  0x2280 answer [demo]    mflr    r0            r0=0x1c40     what ran, what changed
//!  0x2284 answer+0x4 ...   bl      0x3380 ...    lr=0x2288
//!  -> profiling stub of demo to _mcount (r2: kernel's)         a mark: into a stub
//!  ...
//!  kernel: _mcount                               ctr=0x2288    ran as one
//! ```
//!
//! A line is begun before its instruction runs, for afterwards the word may be
//! another, and ended when the registers are known. If the instruction faults, the
//! line stays without changes, and the oops says the rest.
//!
//! r2 is set up by two instructions. In between it is nobody's; that is told only
//! if it is still so after the second.
//!
//! `watch r2` tells less: the lines of what changed r2, each with whose it is then.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::registers::Registers;
use crate::addr::Vaddr;
use crate::loader::stubs::StubKind;

/// Columns up to a line's changes.
const CHANGES_AT: usize = 84;
/// Columns of a symbol.
const SYMBOL: usize = 34;

/// Whose TOC is in r2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The kernel's.
    Kernel,
    /// A module's.
    Module(String),
    /// No TOC of anybody.
    Nobody,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => f.write_str("kernel's"),
            Self::Module(name) => write!(f, "{name}'s"),
            Self::Nobody => f.write_str("nobody's"),
        }
    }
}

/// What kind of code is at an address; to go from one to another is a crossing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A module's code.
    Module(String),
    /// A stub.
    Stub {
        /// The module that it was made for.
        of: String,
        /// Its kind.
        kind: StubKind,
        /// Where it leads.
        to: String,
    },
    /// The kernel's code.
    Kernel,
    /// No code.
    Nowhere(Vaddr),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module(name) => write!(f, "[{name}]"),
            Self::Stub { of, kind, to } => {
                let kind = match kind {
                    StubKind::Profile => "profiling",
                    StubKind::SeedProfile => "seed's profiling",
                    StubKind::LinuxProfile => "Linux's profiling",
                    StubKind::External => "external",
                    StubKind::SeedExternal => "seed's external",
                    StubKind::LinuxExternal => "Linux's external",
                    StubKind::Sibling => "sibling",
                    StubKind::Notoc => "notoc",
                    StubKind::OutOfLine => "out-of-line",
                    StubKind::Redirect => "redirect",
                    StubKind::Missing => "missing",
                };
                write!(f, "{kind} stub of {of} to {to}")
            }
            Self::Kernel => f.write_str("kernel"),
            Self::Nowhere(at) => write!(f, "{at}, which is nobody's code"),
        }
    }
}

/// A line whose instruction has not run yet.
#[derive(Clone, Debug)]
struct Open {
    head: String,
    before: Registers,
}

/// What has been told so far.
#[derive(Clone, Debug)]
pub struct Story {
    place: Option<Place>,
    /// Whose r2 was when that was last told.
    toc: Option<Owner>,
    /// r2 was nobody's at the last stop already.
    was_nobodys: bool,
    /// Only what changes r2 is told.
    watch: bool,
    open: Option<Open>,
}

impl Default for Story {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Story {
    /// Nothing yet; `watch`: only what changes r2 is to be told.
    #[must_use]
    pub const fn new(watch: bool) -> Self {
        Self { place: None, toc: None, was_nobodys: false, watch, open: None }
    }

    /// Ends the line that is open, and marks what was crossed on the way to
    /// `place`, unless what comes is `told` as a whole.
    pub fn arrive(&mut self, now: &Registers, place: Place, r2: Owner, told: bool) -> Vec<String> {
        let mut lines = Vec::new();
        if self.watch {
            let toc = now.gpr[2];
            match self.open.take() {
                Some(Open { head, before }) if before.gpr[2] != toc => {
                    lines.push(format!("{head:<CHANGES_AT$} r2={toc:#x} ({r2})"));
                }
                None if self.toc.is_none() => lines.push(format!("at the call r2={toc:#x} ({r2})")),
                _ => {}
            }
            self.toc = Some(r2);
            return lines;
        }
        if let Some(Open { head, before }) = self.open.take() {
            let line = format!("{head:<CHANGES_AT$} {}", before.changes(now));
            lines.push(line.trim_ascii_end().into());
        }
        let nobodys = r2 == Owner::Nobody;
        let first = self.toc.is_none();
        let settled = !nobodys || self.was_nobodys || first;
        self.was_nobodys = nobodys;
        if settled && self.toc.as_ref() != Some(&r2) {
            if let Some(before) = &self.toc {
                lines.push(format!("   r2: {before} -> {r2}"));
            }
            self.toc = Some(r2.clone());
        }
        if self.place.as_ref() != Some(&place) {
            if !told {
                lines.push(format!("-> {place} (r2: {r2})"));
            }
            self.place = Some(place);
        }
        lines
    }

    /// Begins the line of an instruction.
    pub fn instruction(&mut self, at: Vaddr, symbol: &str, text: &str, now: &Registers) {
        let head = format!("{at} {symbol:<SYMBOL$} {text}");
        self.open = Some(Open { head, before: *now });
    }

    /// Begins the line of a routine of the kernel that runs as one.
    pub fn kernel(&mut self, name: &str, now: &Registers) {
        self.open = Some(Open { head: format!("kernel: {name}"), before: *now });
    }

    /// Adds to the line that is open.
    pub fn add(&mut self, text: &str) {
        if let Some(open) = &mut self.open {
            open.head.push_str(text);
        }
    }

    /// The line that is open, as far as it goes: its instruction did not complete.
    pub fn interrupted(&mut self) -> Option<String> {
        self.open.take().map(|open| open.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo() -> Place {
        Place::Module("demo".into())
    }

    fn of_demo() -> Owner {
        Owner::Module("demo".into())
    }

    fn with(r3: u64) -> Registers {
        let mut registers = Registers::default();
        registers.gpr[3] = r3;
        registers
    }

    #[test]
    fn a_line_tells_what_ran_and_what_it_changed() {
        let mut story = Story::new(false);
        assert_eq!(story.arrive(&with(0), demo(), of_demo(), false), ["-> [demo] (r2: demo's)"]);
        story.instruction(Vaddr(0x2280), "answer [demo]", "li      r3,41", &with(0));
        let head = "0x2280 answer [demo]                      li      r3,41";
        let line = format!("{head:<84} r3=0x29");
        assert_eq!(story.arrive(&with(0x29), demo(), of_demo(), false), [line]);
        story.instruction(Vaddr(0x2284), "answer+0x4 [demo]", "nop", &with(0x29));
        let line = "0x2284 answer+0x4 [demo]                  nop";
        assert_eq!(story.arrive(&with(0x29), demo(), of_demo(), false), [line]);
        assert!(story.arrive(&with(0), demo(), of_demo(), false).is_empty());
    }

    #[test]
    fn crossings_are_marked_but_not_those_into_what_is_told_as_a_whole() {
        let mut story = Story::new(false);
        story.arrive(&with(0), demo(), of_demo(), false);
        let kind = StubKind::Profile;
        let stub = Place::Stub { of: "demo".into(), kind, to: "_mcount".into() };
        assert_eq!(
            story.arrive(&with(0), stub, of_demo(), false),
            ["-> profiling stub of demo to _mcount (r2: demo's)"]
        );
        assert!(story.arrive(&with(0), Place::Kernel, of_demo(), true).is_empty());
        story.kernel("_mcount", &with(0));
        let lines = story.arrive(&with(1), demo(), of_demo(), false);
        assert_eq!(
            lines,
            [format!("{:<84} r3=0x1", "kernel: _mcount"), "-> [demo] (r2: demo's)".into()]
        );
    }

    #[test]
    fn half_of_a_toc_is_not_told_and_a_lost_one_is() {
        let mut story = Story::new(false);
        let at = |story: &mut Story, owner| story.arrive(&with(0), demo(), owner, false);
        at(&mut story, Owner::Kernel);
        assert!(at(&mut story, Owner::Nobody).is_empty());
        assert_eq!(at(&mut story, of_demo()), ["   r2: kernel's -> demo's"]);
        assert!(at(&mut story, of_demo()).is_empty());
        assert!(at(&mut story, Owner::Nobody).is_empty());
        assert_eq!(at(&mut story, Owner::Nobody), ["   r2: demo's -> nobody's"]);
        assert!(at(&mut story, Owner::Nobody).is_empty());
        assert_eq!(at(&mut story, Owner::Kernel), ["   r2: nobody's -> kernel's"]);
    }

    #[test]
    fn when_r2_is_watched_only_what_changed_it_is_told() {
        let mut story = Story::new(true);
        let toc = |r2| {
            let mut registers = with(7);
            registers.gpr[2] = r2;
            registers
        };
        let lines = story.arrive(&toc(0x10), demo(), Owner::Kernel, false);
        assert_eq!(lines, ["at the call r2=0x10 (kernel's)"]);
        story.instruction(Vaddr(0x2280), "f [demo]", "addis   r2,r12,1", &toc(0x10));
        let head = "0x2280 f [demo]                           addis   r2,r12,1";
        let lines = story.arrive(&toc(0x11), demo(), Owner::Nobody, false);
        assert_eq!(lines, [format!("{head:<84} r2=0x11 (nobody's)")]);
        // Another register changes, another place is come to: nothing.
        story.instruction(Vaddr(0x2284), "f+0x4 [demo]", "li      r3,7", &with(0));
        assert!(story.arrive(&with(7), Place::Kernel, of_demo(), false).is_empty());
        story.kernel("strlen", &toc(0x11));
        let lines = story.arrive(&toc(0x20), demo(), of_demo(), true);
        assert_eq!(lines, [format!("{:<84} r2=0x20 (demo's)", "kernel: strlen")]);
        story.instruction(Vaddr(0x2288), "f+0x8 [demo]", "trap", &toc(0x20));
        assert!(story.interrupted().is_some());
    }

    #[test]
    fn a_line_that_was_interrupted_has_no_changes_and_is_told_once() {
        let mut story = Story::new(false);
        story.instruction(Vaddr(0x10), "f [m]", "trap", &with(0));
        story.add(" ; a note");
        assert_eq!(
            story.interrupted().as_deref(),
            Some("0x10 f [m]                              trap ; a note")
        );
        assert_eq!(story.interrupted(), None);
        assert_eq!(story.arrive(&with(1), demo(), of_demo(), false).len(), 1);
    }
}
