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
//! - `poweroff` and `reboot` end the run and leave the verdict as it was, as a
//!   Unix shell's `exit` does.
//!
//! One [`Batch`] serves a script, or all the lines of a person's session.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Write as _};

use super::command::{BatchFlag, Command};
use super::error::{Problem, Refusal, Shown};
use super::lex::{Malformed, Statement, statements};
use super::parse::parse;

/// Who carries out commands: `kernel/`, or a test.
pub trait Host {
    /// Prints one line; it has no line end.
    fn print_line(&mut self, line: &str);

    /// Carries out `command` and prints its results, but not why it failed.
    /// `Set`, `Reboot` and `Poweroff` never come here.
    fn run(&mut self, command: &Command) -> Outcome;
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
}

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
        Self { stop_at_failure: true, print_commands: false, verdict: Verdict::Ok, spare }
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
    pub fn settle(&mut self, name: &[u8], text: &[u8], negated: bool, outcome: Outcome) -> Flow {
        if let Verdict::Failed(old) | Verdict::Oops(old) = core::mem::take(&mut self.verdict) {
            self.spare = old;
        }
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

    /// Runs the statements of `script` until the rules say stop.
    pub fn run(&mut self, script: &[u8], host: &mut impl Host) -> Ending {
        for statement in statements(script) {
            let (statement, fault) = match statement {
                Ok(statement) => (statement, None),
                Err(Malformed { before, fault }) => (before, Some(Problem::Lex(fault))),
            };
            if self.print_commands {
                host.print_line(&format!("> {}", Shown(statement.text)));
            }
            let (negated, parsed) = parse(&statement.words);
            let name = command_name(&statement, negated);
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
                Ok(command) => host.run(command),
                Err(refusal) => Outcome::Failed(refusal.problem.to_string()),
            };
            // A reason may quote names out of a file, which are any bytes.
            if let Outcome::Failed(why) = &outcome {
                host.print_line(&format!("{}: {}", Shown(name), Shown(why.as_bytes())));
            }
            let flow = self.settle(name, statement.text, negated, outcome);
            if let (true, Verdict::Failed(why)) = (negated, &self.verdict) {
                host.print_line(why);
            }
            if flow == Flow::Stop {
                return Ending::Stopped;
            }
        }
        Ending::Finished
    }
}

/// The word that an error line begins with.
fn command_name<'a>(statement: &'a Statement<'_>, negated: bool) -> &'a [u8] {
    let mut words = statement.words.iter();
    let first = words.next();
    let word = if negated { words.next().or(first) } else { first };
    // Not even one word: the fault lies in the first.
    word.map_or(b"tocsin", |word| &word.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows `cat` (fails), `audit` (oopses); all else prints and succeeds.
    #[derive(Default)]
    struct Machine(Vec<String>);

    impl Host for Machine {
        fn print_line(&mut self, line: &str) {
            self.0.push(line.into());
        }

        fn run(&mut self, command: &Command) -> Outcome {
            match command {
                Command::Cat { file } => Outcome::Failed(format!("{file}: no such file (see ls)")),
                Command::Audit { .. } => Outcome::Oops("illegal instruction".into()),
                Command::Echo { text, .. } => {
                    self.print_line(core::str::from_utf8(text).unwrap());
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
        (ending, batch.verdict().to_string(), machine.0)
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
