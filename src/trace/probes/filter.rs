//! Filters of probes: what a record's values must be for it to be kept.
//!
//! ```text
//!   len > 16 && !(name ~ "scsi*" || flags & 0x80)       events/GROUP/EVENT/filter
//!
//!   ops    len>16  name~scsi*  flags&0x80  Or  Not  And     as they are done
//! ```
//!
//! # Invariants
//! - It is asked wherever a probed function may be called: it allocates nothing, and its
//!   stack of answers is one word.
//! - What could not be read fits nothing, not even `!=`.
//!
//! # References
//! Linux, Documentation/trace/events.rst, "Event filtering": `&&` before `||`; `==` and
//! `!=` of texts, `~` of globs. Numbers compare as their type says, with its bytes.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::program::{Field, From, Shape, TEXT_MAX};
use super::{Base, Probe, Type};
use crate::trace::filter::Glob;
use crate::trace::record::PAYLOAD_WORDS;

/// What stands in the place of a filter that there is not.
pub const NONE: &str = "none";
/// Most parentheses and `!` inside each other; the stack of answers has one bit each.
const DEPTH_MAX: usize = 32;

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// As it was written.
    pub text: String,
    ops: Vec<Op>,
}

/// One step: a comparison leaves an answer, the others join answers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Op {
    how: How,
    /// Which argument is compared; with what, if it is a number.
    field: usize,
    number: u64,
    /// With what, if it is a text.
    text: Option<Glob>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Equal,
    Unequal,
    AtMost,
    AtLeast,
    Below,
    Above,
    Bits,
    Like,
    And,
    Or,
    Not,
}

/// The longer ones first.
const HOWS: [(&str, How); 8] = [
    ("==", How::Equal),
    ("!=", How::Unequal),
    ("<=", How::AtMost),
    (">=", How::AtLeast),
    ("<", How::Below),
    (">", How::Above),
    ("&", How::Bits),
    ("~", How::Like),
];

/// What is left to be read.
struct Parser<'t> {
    rest: &'t str,
    probe: &'t Probe,
    ops: Vec<Op>,
    depth: usize,
}

type Read = Result<(), String>;

impl<'t> Parser<'t> {
    /// Takes a sign off the front, if it stands there.
    #[inline(never)]
    fn takes(&mut self, sign: &str) -> bool {
        self.rest = self.rest.trim_ascii_start();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes as many letters off the front as `fit`.
    #[inline(never)]
    fn word(&mut self, fit: fn(&u8) -> bool) -> &'t str {
        let len = self.rest.bytes().take_while(fit).count();
        // What `fit` are ASCII, or all up to a quotation mark.
        let (word, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        word
    }

    #[inline(never)]
    fn refuse(&self, why: &str) -> Read {
        let rest = self.rest.trim_ascii();
        Err(format!("{}: {why}", if rest.is_empty() { "at the end" } else { rest }))
    }

    #[inline(never)]
    fn push(&mut self, how: How, field: usize, number: u64, text: Option<Glob>) {
        self.ops.push(Op { how, field, number, text });
    }

    /// What `||` joins, and inside of that what `&&` does.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn joined(&mut self, or: bool) -> Read {
        let mut joins = false;
        loop {
            if or {
                self.joined(false)?
            } else {
                self.one()?
            };
            if joins {
                self.push(if or { How::Or } else { How::And }, 0, 0, None);
            }
            joins = self.takes(if or { "||" } else { "&&" });
            if !joins {
                return Ok(());
            }
        }
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn one(&mut self) -> Read {
        let negated = self.takes("!");
        if !negated && !self.takes("(") {
            return self.test();
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.refuse("too many parentheses");
        }
        if negated {
            self.one()?;
            self.push(How::Not, 0, 0, None);
        } else {
            self.joined(true)?;
            if !self.takes(")") {
                return self.refuse("a ) is missing");
            }
        }
        self.depth -= 1;
        Ok(())
    }

    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    fn test(&mut self) -> Read {
        let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-*?".contains(byte);
        self.takes(""); // blanks
        let before = self.rest;
        let name = self.word(letter);
        let Some(field) = self.probe.args.iter().position(|arg| arg.name == name) else {
            self.rest = before;
            return self.refuse("no such argument of this probe");
        };
        let Some((_, how)) = HOWS.into_iter().find(|(sign, _)| self.takes(sign)) else {
            return self.refuse("wants == != < <= > >= & or ~");
        };
        let arg = &self.probe.args[field];
        let is_text =
            arg.kind == Type::Text || matches!(arg.fetch.base, Base::Comm | Base::Text(_));
        let quoted = self.takes("\""); // or blanks
        let before = self.rest;
        if is_text {
            let text = self.word(if quoted { |byte| *byte != b'"' } else { letter });
            if quoted && !self.takes("\"") {
                self.rest = before;
                return self.refuse("the text has no end");
            }
            let glob = if how == How::Like { Glob::new(text) } else { Glob::exactly(text) };
            if matches!(how, How::Equal | How::Unequal | How::Like) {
                self.push(how, field, 0, Some(glob));
                return Ok(());
            }
        } else {
            let word = self.word(letter);
            let digits = word.strip_prefix('-').unwrap_or(word);
            let value = match digits.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            if let Ok(value) = value
                && how != How::Like
                && !quoted
            {
                let value = if digits == word { value } else { value.wrapping_neg() };
                self.push(how, field, value, None);
                return Ok(());
            }
        }
        self.rest = before;
        let texts = "a text is compared by == != or ~";
        self.refuse(if is_text { texts } else { "not a number to compare with" })
    }
}

impl Filter {
    /// Reads one for a probe; `0` takes it away.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn parse(text: &str, probe: &Probe) -> Result<Option<Self>, String> {
        let text = text.trim_ascii();
        if text == "0" {
            return Ok(None);
        }
        let mut parser = Parser { rest: text, probe, ops: Vec::new(), depth: 0 };
        parser.joined(true)?;
        if !parser.rest.is_empty() {
            parser.refuse("wants && or ||")?;
        }
        Ok(Some(Self { text: text.to_string(), ops: parser.ops }))
    }

    /// True if a record with these words is kept. `kept` copies a text that a word stands
    /// for, and says how long it is; `site` and `task` are where and who.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn passes(
        &self,
        shape: &Shape,
        words: &[u64; PAYLOAD_WORDS],
        kept: &dyn Fn(u64, &mut [u8; TEXT_MAX]) -> usize,
        (site, task): (u64, &str),
    ) -> bool {
        let mut answers = 0_u64;
        let mut buffer = [0; TEXT_MAX];
        for Op { how, field, number, text: wanted } in &self.ops {
            let top = answers & 1;
            answers = match how {
                How::And => answers >> 1 & (top | !1),
                How::Or => answers >> 1 | top,
                How::Not => answers ^ 1,
                _ => {
                    let Some(Field { kind, from, .. }) = shape.fields.get(*field) else { break };
                    let (mut value, mut text) = (site, None);
                    let mut fits = true;
                    match from {
                        From::Word(word) => {
                            fits = words[PAYLOAD_WORDS - 1] >> word & 1 == 0;
                            value = words.get(*word).copied().unwrap_or_default();
                        }
                        From::Number(number) => value = *number,
                        From::Site | From::Record => {}
                        From::Comm => text = Some(task),
                        From::Text(own) => text = Some(own.as_str()),
                    }
                    if fits {
                        fits = match (wanted, text) {
                            (None, _) => how.holds(*kind, value, *number),
                            (Some(glob), Some(text)) => {
                                glob.fits(text.as_bytes()) != (*how == How::Unequal)
                            }
                            (Some(glob), None) => {
                                let len = kept(value, &mut buffer);
                                let bytes = buffer.get(..len).unwrap_or_default();
                                glob.fits(bytes) != (*how == How::Unequal)
                            }
                        };
                    }
                    answers << 1 | u64::from(fits)
                }
            };
        }
        answers & 1 != 0
    }
}

impl How {
    /// True if `value` is to `number` as wished, both cut to the bytes of the type.
    fn holds(self, kind: Type, value: u64, number: u64) -> bool {
        let above = 64 - 8 * u32::from(kind.bytes().clamp(1, 8));
        // The highest bit turned over: then signed numbers are in order, too.
        let turned = u64::from(matches!(kind, Type::Signed(_))) << 63;
        let [value, number] = [value, number].map(|it| (it << above) ^ turned);
        match self {
            Self::Equal => value == number,
            Self::Unequal => value != number,
            Self::AtMost => value <= number,
            Self::AtLeast => value >= number,
            Self::Below => value < number,
            Self::Above => value > number,
            _ => (value ^ turned) & (number ^ turned) != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::{Line, line};
    use super::super::program::compile;
    use super::*;

    const PROBE: &str = "p:e f a=$arg1 b=$arg2:s8 c=$arg3:u16 name=+0($arg4):string who=$comm";

    fn probe() -> Probe {
        let Ok(Some(Line::Add(probe))) = line(PROBE) else { panic!() };
        probe
    }

    /// With a = 7, b = -1, c = 0x8001, the name `scsi_io`, in `shell`; the fourth word
    /// of the faults is set if `fault`.
    fn keeps_or_not(text: &str, fault: bool) -> bool {
        let probe = probe();
        let (_, shape) = compile(&probe, &|_| None, true).unwrap();
        let filter = Filter::parse(text, &probe).unwrap().unwrap();
        let mut words = [0; PAYLOAD_WORDS];
        words[..4].copy_from_slice(&[7, 0x1ff, 0x1_8001, 42]);
        words[PAYLOAD_WORDS - 1] = u64::from(fault) << 3;
        let kept = |kept: u64, to: &mut [u8; TEXT_MAX]| {
            assert_eq!(kept, 42);
            to[..7].copy_from_slice(b"scsi_io");
            7
        };
        filter.passes(&shape, &words, &kept, (0, "shell"))
    }

    #[test]
    fn numbers_compare_as_their_types_say() {
        for text in [
            "a == 7",
            "a != 8",
            "a < 8",
            "a <= 7",
            "a > 6",
            "a >= 7",
            "a & 4",
            "a==0x7",
            "a > -0",
            "b == -1",
            "b < 0",
            "b == 0xff",
            "b <= -1",
            "b > -2",
            "b & 0x80",
            "a < -1",
            "c == 0x8001",
            "c > 0x8000",
            "c > 0",
            "c & 0x8000",
        ] {
            assert!(keeps_or_not(text, false), "{text}");
            assert!(!keeps_or_not(&format!("!({text})"), false), "!({text})");
        }
    }

    #[test]
    fn texts_are_equal_or_like() {
        for text in [
            "name == \"scsi_io\"",
            "name == scsi_io",
            "name != scsi",
            "name ~ \"scsi*\"",
            "name ~ *_?o",
            "who == shell",
            "who ~ s*",
        ] {
            assert!(keeps_or_not(text, false), "{text}");
            assert!(!keeps_or_not(&format!("! {text}"), false), "! {text}");
        }
        // What could not be read is neither equal nor unequal.
        assert!(!keeps_or_not("name == scsi_io", true));
        assert!(!keeps_or_not("name != scsi", true));
    }

    /// Linux's order: `&&` binds closer than `||`.
    #[test]
    fn and_comes_before_or() {
        let [yes, no] = ["a == 7", "a == 8"];
        for (text, kept) in [
            (format!("{yes} || {no} && {no}"), true),
            (format!("({yes} || {no}) && {no}"), false),
            (format!("{no} && {no} || {yes}"), true),
            (format!("!{no} && !(!{yes}||{no})"), true),
            (format!("{yes}&&{yes}&&{no}"), false),
            (format!("{no}||{no}||{yes}"), true),
            (format!("{yes}||{yes}"), true),
            (format!("{yes}&&{yes}"), true),
        ] {
            assert_eq!(keeps_or_not(&text, false), kept, "{text}");
        }
        let deep = |n: usize| format!("{}{yes}{}", "(".repeat(n), ")".repeat(n));
        assert!(keeps_or_not(&deep(DEPTH_MAX), false));
        assert!(Filter::parse(&deep(DEPTH_MAX + 1), &probe()).is_err());
    }

    #[test]
    fn what_is_no_filter_is_refused_where_it_ends() {
        for (text, said) in [
            ("", "at the end: no such argument of this probe"),
            ("z == 1", "z == 1: no such argument of this probe"),
            ("a 1", "1: wants == != < <= > >= & or ~"),
            ("a ==", "at the end: not a number to compare with"),
            ("a == x", "x: not a number to compare with"),
            ("a ~ 1", "1: not a number to compare with"),
            ("a == 18446744073709551616", "18446744073709551616: not a number to compare with"),
            ("name < b", "b: a text is compared by == != or ~"),
            ("name == \"b", "b: the text has no end"),
            ("(a == 1", "at the end: a ) is missing"),
            ("a == 1 b == 1", "b == 1: wants && or ||"),
            ("a == 1)", "): wants && or ||"),
            ("a == 1 &&", "at the end: no such argument of this probe"),
        ] {
            assert_eq!(Filter::parse(text, &probe()), Err(said.to_string()), "{text}");
        }
        assert_eq!(Filter::parse(" 0\n", &probe()), Ok(None));
    }
}
