//! What a word written to `set_ftrace_filter` says: functions, or what shall
//! happen at them.
//!
//! ```text
//!   word    = ["!"] what
//!   what    = PATTERN                      functions (see filter.rs)
//!           | NUMBER                       line of available_filter_functions, from 1
//!           | PATTERN ":" ACTION [":" N]   a trigger: done at most N times
//!   ACTION  = "traceon" | "traceoff" | "stacktrace"
//! ```
//!
//! A `!` takes out what the rest of the word means. Without a count a trigger is
//! another one than with any, so `!f:traceoff` and `!f:traceoff:0` take away
//! different ones, the second whatever its count is.
//!
//! # References
//! Linux, Documentation/trace/ftrace.rst, "Filter commands"; Debian's 6.1 was
//! asked about each rule. Its `snapshot`, `dump`, `cpudump`, `enable_event` and
//! `disable_event` need what Tocsin has not, and are refused by name.

use alloc::string::String;
use core::fmt;

use super::filter::{FilterError, Pattern, Why, split_at};

/// What a trigger does when its function is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Recording goes on, on all CPUs.
    Traceon,
    /// Recording stops, on all CPUs.
    Traceoff,
    /// The functions that lead here are recorded.
    Stacktrace,
}

impl Action {
    const ALL: [Self; 3] = [Self::Traceon, Self::Traceoff, Self::Stacktrace];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traceon => "traceon",
            Self::Traceoff => "traceoff",
            Self::Stacktrace => "stacktrace",
        }
    }
}

/// Linux's other filter commands.
const FOREIGN: [&str; 5] = ["snapshot", "dump", "cpudump", "enable_event", "disable_event"];

/// How often a trigger acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Always.
    Unlimited,
    /// This often, and then no more.
    Count(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Count(left) => write!(f, "count={left}"),
        }
    }
}

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Functions to add, or to take out.
    Functions(Pattern),
    /// The function on a line of `available_filter_functions`.
    Line {
        /// The word began with `!`.
        negative: bool,
        /// From 1.
        number: u64,
        /// The word.
        text: String,
    },
    /// A trigger to set, or to take away.
    Trigger(TriggerWord),
}

/// A word that is about triggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerWord {
    /// The word began with `!`.
    pub negative: bool,
    /// Where.
    pub functions: Pattern,
    /// What.
    pub action: Action,
    /// How often.
    pub limit: Limit,
    /// The word.
    pub text: String,
}

impl Word {
    /// Reads one word.
    pub fn parse(word: &str) -> Result<Self, FilterError> {
        let (negative, what) = match word.strip_prefix('!') {
            Some(what) => (true, what),
            None => (false, word),
        };
        if what.starts_with(|first: char| first.is_ascii_digit()) {
            let number = number(what).ok_or_else(|| FilterError::new(word, Why::NoNumber))?;
            return Ok(Self::Line { negative, number, text: word.into() });
        }
        let mut before = 0;
        while let Some((first, after)) = split_at(what.get(before..).unwrap_or_default(), ":") {
            let (name, rest) = match split_at(after, ":") {
                Some((name, rest)) => (name, Some(rest)),
                None => (after, None),
            };
            let functions = &what[..before + first.len()];
            if let Some(action) = Action::ALL.into_iter().find(|action| action.name() == name) {
                let limit = match rest {
                    None => Limit::Unlimited,
                    Some(count) => match number(count) {
                        Some(count) => Limit::Count(count),
                        None => return Err(FilterError::new(word, Why::BadCount)),
                    },
                };
                let functions = Pattern::parse(functions).map_err(|error| error.of(word))?;
                let text = word.into();
                return Ok(Self::Trigger(TriggerWord { negative, functions, action, limit, text }));
            }
            if FOREIGN.contains(&name) {
                return Err(FilterError::new(word, Why::Foreign));
            }
            before = functions.len() + 1;
        }
        Pattern::parse(word).map(Self::Functions)
    }
}

/// Decimal, or hexadecimal behind `0x`.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let all_digits = digits.chars().all(|digit| digit.is_digit(radix));
    if all_digits { u64::from_str_radix(digits, radix).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn why(word: &str) -> Why {
        Word::parse(word).unwrap_err().why
    }

    #[test]
    fn a_number_is_a_line() {
        let line = |word: &str| match Word::parse(word) {
            Ok(Word::Line { negative, number, .. }) => Some((negative, number)),
            _ => None,
        };
        assert_eq!(line("1"), Some((false, 1)));
        assert_eq!(line("!0x10"), Some((true, 16)));
        assert_eq!(line("18446744073709551615"), Some((false, u64::MAX)));
        for bad in ["5x", "18446744073709551616", "0x", "1:mod:m"] {
            assert_eq!(why(bad), Why::NoNumber, "{bad}");
        }
        assert_eq!(line("crc16"), None);
    }

    #[test]
    fn a_trigger_has_functions_an_action_and_perhaps_a_count() {
        let read = |word: &str| match Word::parse(word) {
            Ok(Word::Trigger(it)) => {
                let (text, sign) = (it.functions.text().to_string(), it.negative);
                Some((sign, text, it.action.name(), it.limit.to_string()))
            }
            _ => None,
        };
        let is = |word: &str, sign, functions: &str, action, limit: &str| {
            assert_eq!(read(word), Some((sign, functions.into(), action, limit.into())), "{word}");
        };
        is("f:traceoff", false, "f", "traceoff", "unlimited");
        is("!f*:traceon:0", true, "f*", "traceon", "count=0");
        is("demo:f:stacktrace:3", false, "demo:f", "stacktrace", "count=3");
        is("f:mod:demo:traceoff", false, "f:mod:demo", "traceoff", "unlimited");
        is("a::traceon:traceoff", false, "a::traceon", "traceoff", "unlimited");
        // No trigger: a path of Rust, and a function of the module `traceon`.
        assert_eq!(read("a::traceon"), None);
        assert_eq!(read("traceon:f"), None);
    }

    /// Debian's 6.1 answers EINVAL to each of these but the last five, which it has.
    #[test]
    fn words_that_are_no_triggers_are_refused() {
        for bad in ["f:traceon:x", "f:traceon:-1", "f:traceon:", "f:traceon:5:6", "f:traceon:+1"] {
            assert_eq!(why(bad), Why::BadCount, "{bad}");
        }
        assert_eq!(why(":traceon"), Why::Empty);
        for foreign in FOREIGN {
            assert_eq!(why(&std::format!("f:{foreign}")), Why::Foreign);
        }
        assert_eq!(why("f:enable_event:sched:sched_switch"), Why::Foreign);
    }
}
