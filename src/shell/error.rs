//! Every way in which a line can be refused, each shown as one line.
//!
//! ```text
//!  insmo: unknown command (did you mean insmod? see help)
//!  paca: CPU 4096: must be 0 to 4095 (usage: paca [CPU])
//!  └──┘  └──────┘  └──────────────┘  └─────────────────┘
//!  command  thing       reason             remedy
//! ```
//!
//! The kernel's own refusals have the same shape; `batch` puts the command's
//! name before them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::args::IntError;
use super::lex::LexError;
use super::near;

/// A statement that is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The statement's first word, whatever it was.
    pub command: Vec<u8>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The words could not be told apart.
    Lex(LexError),
    /// No such command; `near` is spelled much like it.
    Unknown {
        /// The command that was perhaps meant.
        near: Option<&'static str>,
    },
    /// `help` for a command that is none; `near` is spelled much like it.
    NoSuchCommand {
        /// The word.
        word: Vec<u8>,
        /// The command that was perhaps meant.
        near: Option<&'static str>,
    },
    /// The command that another one was to run is refused.
    Of(Box<Refusal>),
    /// `!` with nothing to negate, or with what ends the run.
    CannotNegate,
    /// The word that `what` stands for in the usage line is not there.
    Missing {
        /// The place-holder in the usage line.
        what: &'static str,
        /// The command's usage line.
        usage: &'static str,
    },
    /// A word too many.
    Extra {
        /// The word.
        word: Vec<u8>,
        /// The command's usage line.
        usage: &'static str,
    },
    /// An option, or a choice among words, that the command does not have.
    NoSuchOption {
        /// The word.
        word: Vec<u8>,
        /// The command's usage line.
        usage: &'static str,
    },
    /// `&&` or `||`, as in other shells.
    Operator {
        /// The word.
        word: Vec<u8>,
    },
    /// An address where a function's name is needed.
    AddressCalled {
        /// The word.
        word: Vec<u8>,
    },
    /// A module for a command that is about all of them.
    AllModules {
        /// The word.
        word: Vec<u8>,
        /// The command's usage line.
        usage: &'static str,
    },
    /// A number is needed here.
    BadInt {
        /// The place-holder in the usage line.
        what: &'static str,
        /// The word.
        word: Vec<u8>,
        /// Why it is no number.
        why: IntError,
    },
    /// A number outside its limits, both of which are allowed.
    OutOfRange {
        /// The place-holder in the usage line.
        what: &'static str,
        /// The word.
        word: Vec<u8>,
        /// Least value.
        low: u64,
        /// Greatest value.
        high: u64,
    },
    /// `hex:` must be followed by pairs of digits.
    BadHex {
        /// The word.
        word: Vec<u8>,
    },
    /// An unquoted word that is neither a number nor a buffer.
    BadArgument {
        /// The word.
        word: Vec<u8>,
    },
    /// More arguments than a call can take.
    TooManyArguments {
        /// How many there can be.
        limit: usize,
    },
    /// A name is empty, or has bytes that no name has.
    BadName {
        /// The place-holder in the usage line.
        what: &'static str,
        /// The word.
        word: Vec<u8>,
    },
    /// `name=value` or `name` is needed here.
    BadParam {
        /// The word.
        word: Vec<u8>,
    },
    /// `>` or `>>` without exactly one file after it.
    BadRedirect,
}

impl fmt::Display for Refusal {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Shown(&self.command), self.problem)
    }
}

impl fmt::Display for Problem {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lex(error) => error.fmt(f),
            Self::Unknown { near: None } => f.write_str("unknown command (see help)"),
            Self::Unknown { near: Some(near) } => {
                write!(f, "unknown command (did you mean {near}? see help)")
            }
            Self::NoSuchCommand { word, near: None } => {
                write!(f, "{}: no such command (help lists them)", Shown(word))
            }
            Self::NoSuchCommand { word, near: Some(near) } => {
                write!(f, "{}: no such command (did you mean {near}?)", Shown(word))
            }
            Self::Of(refusal) => refusal.fmt(f),
            Self::CannotNegate => f.write_str(
                "nothing here that can fail (write `! COMMAND`, not with reboot or poweroff)",
            ),
            Self::Missing { what, usage } => write!(f, "{what} is missing (usage: {usage})"),
            Self::Extra { word, usage } => {
                write!(f, "{}: one word too many (usage: {usage})", Shown(word))
            }
            Self::NoSuchOption { word, usage } => {
                let meant = near::of_usage(word, usage);
                write!(f, "{}: not an option here ({meant}usage: {usage})", Shown(word))
            }
            Self::Operator { word } => write!(
                f,
                "{}: there is no such operator: ; separates commands, and the first that fails \
                 ends the run (quote it if it is an argument)",
                Shown(word)
            ),
            Self::AddressCalled { word } => {
                let word = Shown(word);
                write!(f, "{word}: an address; functions go by name (sym {word} says whose it is)")
            }
            Self::AllModules { word, usage } => {
                write!(
                    f,
                    "{}: takes no name, all modules are looked at (usage: {usage})",
                    Shown(word)
                )
            }
            Self::BadInt { what, word, why } => write!(f, "{what} {}: {why}", Shown(word)),
            Self::OutOfRange { what, word, low, high: u64::MAX } => {
                write!(f, "{what} {}: out of range (use {low} or more)", Shown(word))
            }
            Self::OutOfRange { what, word, low, high } => {
                write!(f, "{what} {}: out of range (use {low} to {high})", Shown(word))
            }
            Self::BadHex { word } => {
                write!(f, "{}: not pairs of hexadecimal digits (write hex:00ff)", Shown(word))
            }
            Self::BadArgument { word } => write!(
                f,
                "{}: not an argument (write an integer, \"text\", hex:00ff, @SIZE or &NAME)",
                Shown(word)
            ),
            Self::TooManyArguments { limit } => {
                write!(f, "too many arguments (at most {limit} can be passed)")
            }
            Self::BadName { what, word } => write!(
                f,
                "{what} \"{}\": not a name (use printable characters, at least one)",
                Shown(word)
            ),
            Self::BadParam { word } => {
                write!(f, "{}: not a parameter (write name=value, or name)", Shown(word))
            }
            Self::BadRedirect => f.write_str(
                "exactly one file must follow > (write `> FILE` with a blank; quote a plain \">\")",
            ),
        }
    }
}

/// Shows bytes from outside on one line: text as it is, all else as `\xHH`.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() {
                    let mut buffer = [0; 4];
                    for byte in c.encode_utf8(&mut buffer).bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                } else {
                    write!(f, "{c}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Text for a name or a path: UTF-8, not empty, no control characters.
pub(super) fn name(what: &'static str, word: &[u8]) -> Result<String, Problem> {
    match core::str::from_utf8(word) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => Ok(text.into()),
        _ => Err(Problem::BadName { what, word: word.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_from_outside_cannot_break_the_line_they_are_shown_on() {
        assert_eq!(Shown(b"a\n\xff\x1b[2J").to_string(), r"a\x0a\xff\x1b[2J");
        assert_eq!(Shown("é\u{85}".as_bytes()).to_string(), r"é\xc2\x85");
    }

    #[test]
    fn a_name_is_printable_and_not_empty() {
        assert_eq!(name("MOD", b"crc7"), Ok("crc7".into()));
        assert!(name("MOD", b"").is_err());
        assert!(name("MOD", b"a\0b").is_err());
        assert!(name("MOD", b"\xff").is_err());
    }
}
