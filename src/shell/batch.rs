//! The rules of a run: when it stops, and what its verdict is.
//!
//! ```text
//!  statement ─> refused ───────────────┐
//!      └──────> Host::run ─> outcome ──┴─> `!` turns it round ─> settle
//!                                                                  │
//!            next statement <── went well, or `set +e` ────────────┤
//!            end of the run <── failed ────────────────────────────┘
//! ```
//!
//! - The first failing command ends the run and is its verdict.
//! - `! COMMAND` succeeds exactly if COMMAND fails; an oops is a failure, and
//!   so is a command that does not exist.
//! - After `set +e` the run goes on, and the verdict is the last command's.
//! - `set -x` prints `> COMMAND` before each command, as a person would see it.
//! - `repeat` runs its script as often as it is told, and fails as its last round did.
//! - `poweroff` and `reboot` end the run and leave the verdict as it was, as a
//!   Unix shell's `exit` does.
//!
//! One [`Batch`] serves a script, or all the lines of a person's session.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Write as _};

use super::command::{BatchFlag, Command, Repeat, Until};
use super::error::{Problem, Refusal, Shown};
use super::lex::{Malformed, Statement, statements};
use super::parse::parse;

/// Who carries out commands: `kernel/`, or a test.
pub trait Host {
    /// Prints one line; it has no line end.
    fn print_line(&mut self, line: &str);

    /// Prints one line that tells of a mistake.
    fn complain(&mut self, line: &str) {
        self.print_line(line);
    }

    /// Carries out `command` and prints its results, but not why it failed.
    /// `Set`, `Repeat`, `Reboot` and `Poweroff` never come here.
    fn run(&mut self, command: &Command) -> Outcome;

    /// What commands print from now on is not shown (or shown again); faults are.
    fn quiet(&mut self, on: bool);

    /// Microseconds since some moment.
    fn micros(&self) -> u64;

    /// So many rounds are done, of so many if that is known; 0 and 0: no more of this.
    fn rounds(&mut self, done: u64, of: u64);

    /// True if a person has asked, between two commands, that it ends.
    fn interrupted(&mut self) -> bool;
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked.
    Done,
    /// It did not. The text says why and does not begin with the command's name.
    Failed(String),
    /// It faulted, and the oops has been printed. The text is its cause in words.
    Oops(String),
}

/// What the last line of a run says; [`fmt::Display`] makes that line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Every command succeeded.
    #[default]
    Ok,
    /// `COMMAND: REASON`.
    Failed(String),
    /// `COMMAND: CAUSE`.
    Oops(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("tocsin: ok"),
            Self::Failed(why) => write!(f, "tocsin: failed: {why}"),
            Self::Oops(why) => write!(f, "tocsin: oops in {why}"),
        }
    }
}

/// Whether to go on after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Take the next statement.
    Continue,
    /// The run is over.
    Stop,
}

/// Why [`Batch::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// No statement is left.
    Finished,
    /// A command failed; the statements after it were not looked at.
    Stopped,
    /// `poweroff`: print the verdict, then switch off.
    Poweroff,
    /// `reboot`: print the verdict, then start again.
    Reboot,
}

/// The state of a run.
#[derive(Clone, Debug)]
pub struct Batch {
    stop_at_failure: bool,
    print_commands: bool,
    verdict: Verdict,
    /// The memory of the verdict's text while there is none.
    spare: String,
    /// How many `repeat` are running, one in the other.
    depth: u32,
    /// One of them is to be quiet.
    quiet: bool,
}

/// Most `repeat` in one another: each takes room on the stack.
const MAX_DEPTH: u32 = 8;

/// Bytes set aside for a verdict, so that a failure that fits does not change
/// how much memory is in use.
const VERDICT_ROOM: usize = 1024;

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// A run that stops at the first failure and does not print commands.
    #[must_use]
    pub fn new() -> Self {
        let spare = String::with_capacity(VERDICT_ROOM);
        let (verdict, depth, quiet) = (Verdict::Ok, 0, false);
        Self { stop_at_failure: true, print_commands: false, verdict, spare, depth, quiet }
    }

    /// What the run's last line says if it ends here.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Applies `set`.
    pub const fn set(&mut self, flag: BatchFlag) {
        match flag {
            BatchFlag::StopAtFailure(on) => self.stop_at_failure = on,
            BatchFlag::PrintCommands(on) => self.print_commands = on,
        }
    }

    /// Takes note of how a command ended.
    ///
    /// `name` is the command's first word, `text` the whole statement.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn settle(&mut self, name: &[u8], text: &[u8], negated: bool, outcome: Outcome) -> Flow {
        self.forget_verdict();
        let mut line = |text: fmt::Arguments<'_>| {
            let mut line = core::mem::take(&mut self.spare);
            line.clear();
            let _ = line.write_fmt(text); // a String takes everything
            line
        };
        self.verdict = match (outcome, negated) {
            (Outcome::Done, false) | (Outcome::Failed(_) | Outcome::Oops(_), true) => Verdict::Ok,
            (Outcome::Failed(why), false) => {
                Verdict::Failed(line(format_args!("{}: {}", Shown(name), Shown(why.as_bytes()))))
            }
            (Outcome::Oops(why), false) => {
                Verdict::Oops(line(format_args!("{}: {}", Shown(name), Shown(why.as_bytes()))))
            }
            (Outcome::Done, true) => Verdict::Failed(line(format_args!(
                "{}: it succeeded (and ! wants it to fail)",
                Shown(text)
            ))),
        };
        if self.verdict != Verdict::Ok && self.stop_at_failure {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }

    fn forget_verdict(&mut self) {
        if let Verdict::Failed(old) | Verdict::Oops(old) = core::mem::take(&mut self.verdict) {
            self.spare = old;
        }
    }

    /// Runs a script again and again; an error if the run is to end there.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn repeat(&mut self, repeat: &Repeat, host: &mut impl Host) -> Result<Outcome, Ending> {
        if self.depth == MAX_DEPTH {
            return Ok(Outcome::Failed(format!("more than {MAX_DEPTH} in one another (use two)")));
        }
        let (outer, begun, mut rounds) = (self.quiet, host.micros(), 0);
        self.quiet |= repeat.quiet;
        self.depth += 1;
        let ended = loop {
            rounds += 1;
            self.forget_verdict();
            match self.run(&repeat.script, host) {
                Ending::Finished => {}
                Ending::Stopped => break None,
                off => return Err(off),
            }
            if self.depth == 1 {
                host.rounds(rounds, repeat.until.rounds());
            }
            if host.interrupted() {
                break Some(Outcome::Failed(format!("stopped by hand in round {rounds}")));
            }
            let enough = match repeat.until {
                Until::Rounds(count) => rounds >= count,
                Until::Seconds(seconds) => {
                    host.micros().saturating_sub(begun) >= u64::from(seconds) * 1_000_000
                }
            };
            if enough {
                break None;
            }
        };
        self.depth -= 1;
        self.quiet = outer;
        if self.depth == 0 {
            host.rounds(0, 0);
        }
        Ok(ended.unwrap_or_else(|| match &self.verdict {
            Verdict::Ok => {
                if !self.quiet {
                    host.print_line(&format!("{rounds} rounds"));
                }
                Outcome::Done
            }
            Verdict::Failed(why) => Outcome::Failed(format!("round {rounds}: {why}")),
            Verdict::Oops(why) => Outcome::Oops(format!("round {rounds}: {why}")),
        }))
    }

    /// Runs the statements of `script` until the rules say stop.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn run(&mut self, script: &[u8], host: &mut impl Host) -> Ending {
        for statement in statements(script) {
            let (statement, fault) = match statement {
                Ok(statement) => (statement, None),
                Err(Malformed { before, fault }) => (before, Some(Problem::Lex(fault))),
            };
            if self.print_commands && !self.quiet {
                host.print_line(&format!("> {}", Shown(statement.text)));
            }
            let (negated, parsed) = parse(&statement.words);
            // What is timed fails under its own name.
            let timed = matches!(parsed, Ok(Command::Time(Some(_))));
            let name = command_name(&statement, usize::from(negated) + usize::from(timed));
            let parsed = match fault {
                None => parsed,
                Some(problem) => Err(Refusal { command: name.into(), problem }),
            };
            let outcome = match &parsed {
                Ok(Command::Poweroff) => return Ending::Poweroff,
                Ok(Command::Reboot) => return Ending::Reboot,
                Ok(Command::Set(flag)) => {
                    self.set(*flag);
                    Outcome::Done
                }
                Ok(Command::Repeat(repeat)) => match self.repeat(repeat, host) {
                    Ok(outcome) => outcome,
                    Err(ending) => return ending,
                },
                Ok(command) if self.quiet => {
                    host.quiet(true);
                    let outcome = host.run(command);
                    host.quiet(false);
                    outcome
                }
                Ok(command) => host.run(command),
                Err(refusal) => Outcome::Failed(refusal.problem.to_string()),
            };
            // A reason may quote names out of a file, which are any bytes.
            if let Outcome::Failed(why) = &outcome {
                host.complain(&format!("{}: {}", Shown(name), Shown(why.as_bytes())));
            }
            let flow = self.settle(name, statement.text, negated, outcome);
            if let (true, Verdict::Failed(why)) = (negated, &self.verdict) {
                host.complain(why);
            }
            if flow == Flow::Stop {
                return Ending::Stopped;
            }
        }
        Ending::Finished
    }
}

/// The word that an error line begins with, behind so many that belong to no command.
fn command_name<'a>(statement: &'a Statement<'_>, skip: usize) -> &'a [u8] {
    let word = statement.words.get(skip).or(statement.words.first());
    // Not even one word: the fault lies in the first.
    word.map_or(b"tocsin", |word| &word.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows `cat` (fails), `audit` (oopses); all else prints and succeeds.
    #[derive(Default)]
    struct Machine {
        lines: Vec<String>,
        quiet: bool,
        /// Each look at the clock takes half a second.
        clock: core::cell::Cell<u64>,
        /// What it was told of rounds.
        told: Vec<(u64, u64)>,
        /// Asks for an end when so many rounds have been run.
        interrupt_after: Option<u32>,
    }

    impl Host for Machine {
        fn print_line(&mut self, line: &str) {
            self.lines.push(line.into());
        }

        fn quiet(&mut self, on: bool) {
            self.quiet = on;
        }

        fn micros(&self) -> u64 {
            self.clock.set(self.clock.get() + 500_000);
            self.clock.get()
        }

        fn rounds(&mut self, done: u64, of: u64) {
            self.told.push((done, of));
        }

        fn interrupted(&mut self) -> bool {
            self.interrupt_after = self.interrupt_after.map(|rounds| rounds - 1);
            self.interrupt_after == Some(0)
        }

        fn run(&mut self, command: &Command) -> Outcome {
            match command {
                Command::Time(Some(inner)) => self.run(inner),
                Command::Cat { file } => Outcome::Failed(format!("{file}: no such file (see ls)")),
                Command::Audit { .. } => Outcome::Oops("illegal instruction".into()),
                Command::Echo { text, .. } => {
                    if !self.quiet {
                        self.print_line(core::str::from_utf8(text).unwrap());
                    }
                    Outcome::Done
                }
                _ => Outcome::Done,
            }
        }
    }

    fn run(script: &str) -> (Ending, String, Vec<String>) {
        let mut batch = Batch::new();
        let mut machine = Machine::default();
        let ending = batch.run(script.as_bytes(), &mut machine);
        (ending, batch.verdict().to_string(), machine.lines)
    }

    #[test]
    fn repeat_runs_its_script_as_often_as_it_is_told() {
        let (ending, verdict, lines) = run(r#"repeat 3 echo "a;  b"; repeat 1 "echo c; echo d""#);
        assert_eq!((ending, verdict.as_str()), (Ending::Finished, "tocsin: ok"));
        assert_eq!(lines, ["a;  b", "a;  b", "a;  b", "3 rounds", "c", "d", "1 rounds"]);
        // The clock says 0.5 s at the beginning, then 1.0, 1.5, ...
        let (_, _, lines) = run("repeat -t 2 echo a");
        assert_eq!(lines, ["a", "a", "a", "a", "4 rounds"]);
    }

    #[test]
    fn a_failure_ends_repeat_and_says_in_which_round() {
        let (ending, verdict, lines) = run("repeat 9 \"echo a; cat /x; echo b\"; echo c");
        let why = "cat: /x: no such file (see ls)";
        assert_eq!(ending, Ending::Stopped);
        assert_eq!(verdict, format!("tocsin: failed: repeat: round 1: {why}"));
        assert_eq!(lines, ["a", why, &format!("repeat: round 1: {why}")]);
        let (_, verdict, _) = run("repeat 9 audit");
        assert_eq!(verdict, "tocsin: oops in repeat: round 1: audit: illegal instruction");
        let (_, verdict, lines) = run("! repeat 9 cat /x; repeat 2 \"! cat /x\"");
        assert_eq!((verdict.as_str(), lines.len()), ("tocsin: ok", 5));
        // After `set +e` all rounds are run, and the last command decides.
        let (_, verdict, lines) = run("set +e; cat /x; repeat 2 \"cat /x; echo a\"");
        assert_eq!((verdict.as_str(), lines.len()), ("tocsin: ok", 6));
        let (_, verdict, _) = run("set +e; repeat 2 \"echo a; cat /x\"");
        assert_eq!(verdict, format!("tocsin: failed: repeat: round 2: {why}"));
    }

    #[test]
    fn a_quiet_repeat_shows_what_fails_and_nothing_else() {
        let (_, _, lines) = run("set -x; repeat -q 2 \"echo a; repeat 2 echo b\"; echo c");
        let typed = "> repeat -q 2 \"echo a; repeat 2 echo b\"";
        assert_eq!(lines, ["> set -x", typed, "2 rounds", "> echo c", "c"][1..]);
        let (_, _, lines) = run("repeat -q 2 \"echo a; cat /x\"");
        assert_eq!(lines[0], "cat: /x: no such file (see ls)");
    }

    #[test]
    fn repeat_ends_where_the_run_does_and_when_a_person_wants_it() {
        let (ending, verdict, lines) = run("repeat 5 \"echo a; poweroff\"; echo b");
        assert_eq!((ending, verdict.as_str()), (Ending::Poweroff, "tocsin: ok"));
        assert_eq!(lines, ["a"]);
        let mut machine = Machine { interrupt_after: Some(2), ..Machine::default() };
        let mut batch = Batch::new();
        batch.run(b"repeat 5 echo a", &mut machine);
        assert_eq!(machine.lines, ["a", "a", "repeat: stopped by hand in round 2"]);
    }

    #[test]
    fn who_waits_is_told_of_the_rounds_of_the_outermost_repeat() {
        let mut machine = Machine::default();
        Batch::new().run(b"repeat 2 \"repeat 2 echo a\"; repeat -t 1 echo b", &mut machine);
        assert_eq!(machine.told, [(1, 2), (2, 2), (0, 0), (1, 0), (2, 0), (0, 0)]);
    }

    #[test]
    fn repeats_in_one_another_have_a_limit() {
        let nested = |depth: usize| run(&format!("{} echo a", "repeat 1 ".repeat(depth)));
        assert_eq!(nested(8).1, "tocsin: ok");
        let (_, verdict, lines) = nested(9);
        assert!(verdict.ends_with("repeat: more than 8 in one another (use two)"), "{verdict}");
        assert_eq!(lines.first().unwrap(), "repeat: more than 8 in one another (use two)");
    }

    #[test]
    fn what_is_timed_fails_under_its_own_name() {
        for (script, verdict) in [
            ("time cat /x", "tocsin: failed: cat: /x: no such file (see ls)"),
            ("! time cat /x", "tocsin: ok"),
        ] {
            let ended = run(script);
            assert_eq!(ended.1, verdict, "{script}");
            assert_eq!(ended.2[0], "cat: /x: no such file (see ls)", "{script}");
        }
        assert!(run("time audit").1.starts_with("tocsin: oops in audit: "));
        assert!(run("time ca /x").2[0].starts_with("time: ca: unknown command"));
    }

    #[test]
    fn the_first_failing_command_ends_the_run_and_is_the_verdict() {
        let (ending, verdict, lines) = run("echo 1; cat /x; echo 2");
        assert_eq!(ending, Ending::Stopped);
        assert_eq!(verdict, "tocsin: failed: cat: /x: no such file (see ls)");
        assert_eq!(lines, ["1", "cat: /x: no such file (see ls)"]);
    }

    #[test]
    fn a_run_of_successes_is_ok_and_so_is_an_empty_one() {
        for script in ["echo 1\necho 2", "", " ; \n;"] {
            let (ending, verdict, _) = run(script);
            assert_eq!((ending, verdict.as_str()), (Ending::Finished, "tocsin: ok"));
        }
    }

    #[test]
    fn a_bang_wants_failure_of_any_kind() {
        for script in ["! cat /x", "! audit", "! insmo", "! insmod", "! echo \"open"] {
            let (ending, verdict, _) = run(script);
            assert_eq!((ending, verdict.as_str()), (Ending::Finished, "tocsin: ok"), "{script}");
        }
        let (ending, verdict, lines) = run("! echo 1; echo 2");
        assert_eq!(ending, Ending::Stopped);
        assert_eq!(verdict, "tocsin: failed: ! echo 1: it succeeded (and ! wants it to fail)");
        assert_eq!(lines, ["1", "! echo 1: it succeeded (and ! wants it to fail)"]);
    }

    #[test]
    fn an_oops_is_a_verdict_of_its_own() {
        let (ending, verdict, _) = run("audit; echo 1");
        assert_eq!(ending, Ending::Stopped);
        assert_eq!(verdict, "tocsin: oops in audit: illegal instruction");
    }

    #[test]
    fn after_set_plus_e_the_last_command_decides() {
        let (ending, verdict, lines) = run("set +e; cat /x; echo 1");
        assert_eq!((ending, verdict.as_str()), (Ending::Finished, "tocsin: ok"));
        assert_eq!(lines.last().unwrap(), "1");
        let (ending, verdict, _) = run("set +e; echo 1; cat /x");
        assert_eq!(ending, Ending::Finished);
        assert_eq!(verdict, "tocsin: failed: cat: /x: no such file (see ls)");
        let (ending, ..) = run("set +e; cat /x; set -e; cat /y; echo 1");
        assert_eq!(ending, Ending::Stopped);
    }

    #[test]
    fn set_minus_x_prints_each_command_as_it_was_written() {
        let (_, _, lines) = run("set -x; echo  \"a b\" ;! cat /x\nset +x; echo c");
        assert_eq!(
            lines,
            [
                "> echo  \"a b\"",
                "a b",
                "> ! cat /x",
                "cat: /x: no such file (see ls)",
                "> set +x",
                "c"
            ]
        );
    }

    #[test]
    fn refusals_begin_with_the_commands_name_even_behind_a_bang() {
        let (_, verdict, lines) = run("insmo crc7");
        let line = "insmo: unknown command (did you mean insmod? see help)";
        assert_eq!(lines, [line]);
        assert_eq!(verdict, format!("tocsin: failed: {line}"));
        let (_, _, lines) = run("! rmmod");
        assert_eq!(lines, ["rmmod: MOD is missing (usage: rmmod MOD)"]);
        let (_, _, lines) = run("echo \"a");
        assert!(lines[0].starts_with("echo: column 6: quote is never closed"));
        let (_, _, lines) = run("\"a");
        assert!(lines[0].starts_with("tocsin: column 1: quote"));
    }

    #[test]
    fn a_reason_cannot_break_its_line_or_forge_a_verdict() {
        let mut batch = Batch::new();
        let outcome = Outcome::Failed("unresolved: a\ntocsin: ok".into());
        batch.settle(b"insmod", b"", false, outcome);
        let line = batch.verdict().to_string();
        assert_eq!(line, r"tocsin: failed: insmod: unresolved: a\x0atocsin: ok");
    }

    #[test]
    fn failures_take_no_memory_that_was_not_set_aside() {
        let mut batch = Batch::new();
        let room = batch.spare.as_ptr();
        for reason in ["short", "a good deal longer than the one before it", "short"] {
            batch.settle(b"insmod", b"", false, Outcome::Failed(reason.into()));
            let Verdict::Failed(line) = batch.verdict() else { panic!("not failed") };
            assert_eq!((line.as_ptr(), line.as_str()), (room, &*format!("insmod: {reason}")));
        }
        batch.settle(b"insmod", b"", false, Outcome::Done);
        assert_eq!(batch.spare.as_ptr(), room);
    }

    #[test]
    fn powering_off_ends_the_run_and_keeps_the_verdict() {
        let (ending, verdict, _) = run("echo 1; poweroff; cat /x");
        assert_eq!((ending, verdict.as_str()), (Ending::Poweroff, "tocsin: ok"));
        let (ending, verdict, _) = run("set +e; cat /x; reboot");
        assert_eq!(ending, Ending::Reboot);
        assert!(verdict.starts_with("tocsin: failed: cat"));
    }
}
