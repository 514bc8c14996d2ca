//! Words written to `kprobe_events`, one definition a line.
//!
//! ```text
//!   line  = "p" [":" EVENT] PLACE ARG...           at the entry
//!         | "r" [MAX] [":" EVENT] PLACE ARG...     at the return
//!         | "-" ":" EVENT [PLACE ARG...]           takes it away; what follows is not read
//!   EVENT = [GROUP "/"] NAME
//!   PLACE = [MOD ":"] FUNCTION ["+0"]
//!   ARG   = [NAME "="] FETCH [":" TYPE]
//!   FETCH = "$arg" N | "$retval" | "$stack" [N] | "$comm" | "%" REGISTER
//!         | "+" N "(" FETCH ")" | "-" N "(" FETCH ")" | "@" SYMBOL ["+" N] | "@" ADDRESS
//!         | "\" NUMBER | "\" '"' TEXT '"'
//! ```
//!
//! # Invariants
//! A refusal names the token and its place in the line: [`ProbeError::at`] is what
//! `error_log` puts its mark under.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::{ARGS_MAX, Arg, Base, Fetch, GROUP, Place, Probe, Special, Type};

/// Longest name of an event or a group, in bytes.
const NAME_MAX: usize = 63;
/// Deepest nesting of `+N(...)`.
const STEPS_MAX: usize = 8;
/// Most calls that may be under way at a return, as on Linux.
const ACTIVE_MAX: u16 = 4096;
/// Arguments in registers, of all that have a number.
const ARG_REGISTERS: u64 = 8;
const ARG_MAX: u64 = 32;
/// Offset in bytes of the first argument's slot in the caller's frame (ELFv2).
const ARG_SAVE_AREA: i64 = 32;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A probe.
    Add(Probe),
    /// Takes away an event; without a group, of whichever it is.
    Remove {
        /// The group, if it was named.
        group: Option<String>,
        /// The event.
        event: String,
    },
}

/// Why a line was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeError {
    /// Where in the line, in bytes.
    pub at: usize,
    /// What stands there.
    pub token: String,
    /// The reason, and the cure.
    pub why: String,
}

impl ProbeError {
    /// Why, of a token and its place.
    #[cold]
    #[inline(never)]
    pub fn new(at: usize, token: &str, why: fmt::Arguments<'_>) -> Box<Self> {
        Box::new(Self { at, token: token.to_string(), why: why.to_string() })
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.token, self.why)
    }
}

/// A piece of the line, and where it stands.
#[derive(Clone, Copy)]
struct Token<'l> {
    at: usize,
    text: &'l str,
}

impl<'l> Token<'l> {
    fn refuse<T>(self, why: fmt::Arguments<'_>) -> Result<T, Box<ProbeError>> {
        Err(ProbeError::new(self.at, self.text, why))
    }

    /// What is left behind the first `skip` bytes.
    fn behind(self, skip: usize) -> Self {
        Self { at: self.at + skip, text: self.text.get(skip..).unwrap_or_default() }
    }

    /// What stands before and behind the first `sign`.
    fn split(self, sign: char) -> Option<(Self, Self)> {
        let place = self.text.find(sign)?;
        let before = Self { text: &self.text[..place], ..self };
        Some((before, self.behind(place + sign.len_utf8())))
    }

    fn is_name(self) -> bool {
        let mut bytes = self.text.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn name(self, what: &str) -> Result<String, Box<ProbeError>> {
        if !self.is_name() {
            return self.refuse(format_args!("{what} is made of letters, digits and _"));
        }
        if self.text.len() > NAME_MAX {
            return self.refuse(format_args!("{what} has at most {NAME_MAX} letters"));
        }
        Ok(self.text.to_string())
    }

    /// `GROUP/NAME` or `NAME`.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn event(self) -> Result<(Option<String>, String), Box<ProbeError>> {
        let (group, event) = match self.split('/').or_else(|| self.split('.')) {
            Some((group, event)) => (Some(group.name("a group")?), event),
            None => (None, self),
        };
        Ok((group, event.name("an event's name")?))
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn number(self) -> Option<u64> {
        match self.text.strip_prefix("0x").or_else(|| self.text.strip_prefix("0X")) {
            Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
            None if !self.text.starts_with('+') => self.text.parse().ok(),
            _ => None,
        }
    }
}

/// Cuts a line at blanks that are not between quotes.
fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut start, mut quoted) = (None, false);
    for (at, byte) in line.char_indices().chain([(line.len(), ' ')]) {
        quoted ^= byte == '"';
        let ends = at == line.len() || (byte.is_ascii_whitespace() && !quoted);
        match (ends, start) {
            (true, Some(from)) => {
                found.push(Token { at: from, text: &line[from..at] });
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    found
}

/// Reads a line; `None` if nothing is in it, or a comment.
#[cfg_attr(target_os = "none", optimize(size))]
pub fn line(line: &str) -> Result<Option<Line>, Box<ProbeError>> {
    let tokens = tokens(line);
    let Some(first) = tokens.first().filter(|first| !first.text.starts_with('#')) else {
        return Ok(None);
    };
    let (head, event) = first.split(':').map_or((*first, None), |(head, it)| (head, Some(it)));
    if head.text == "-" {
        let Some(event) = event else {
            return first.refuse(format_args!("-:EVENT takes an event away"));
        };
        let (group, event) = event.event()?;
        return Ok(Some(Line::Remove { group, event }));
    }
    let place = match head.text.split_at_checked(1) {
        Some(("p", "")) => Place::Entry,
        Some(("r", digits)) => {
            let number = head.behind(1);
            let active = if digits.is_empty() { Some(0) } else { number.number() };
            let Some(active) = active else {
                return number.refuse(format_args!("not a number of calls"));
            };
            match u16::try_from(active).ok().filter(|active| *active <= ACTIVE_MAX) {
                Some(active) => Place::Return { active },
                None => return number.refuse(format_args!("at most {ACTIVE_MAX} calls")),
            }
        }
        _ => {
            return first.refuse(format_args!(
                "a line begins with p, r or - (see kprobe_events in the book)"
            ));
        }
    };
    let Some(symbol) = tokens.get(1) else {
        return first.refuse(format_args!("which function? p:EVENT [MOD:]FUNCTION ARG..."));
    };
    let symbol = Token { text: function(*symbol)?, ..*symbol };
    let (group, event) = match event {
        Some(event) => event.event()?,
        None => (None, own_name(place, symbol.text)),
    };
    let mut args: Vec<Arg> = Vec::new();
    for (index, token) in tokens.iter().skip(2).enumerate() {
        if index == ARGS_MAX {
            return token.refuse(format_args!("at most {ARGS_MAX} arguments"));
        }
        let arg = arg(*token, place, index)?;
        if args.iter().any(|other| other.name == arg.name) {
            return token.refuse(format_args!("there is an argument {} already", arg.name));
        }
        args.push(arg);
    }
    let group = group.unwrap_or_else(|| GROUP.to_string());
    let symbol = symbol.text.to_string();
    Ok(Some(Line::Add(Probe { place, group, event, symbol, args })))
}

/// The function, without its `+0`.
fn function(token: Token<'_>) -> Result<&str, Box<ProbeError>> {
    let (name, offset) = match token.split('+') {
        Some((name, offset)) => (name, Some(offset)),
        None => (token, None),
    };
    if let Some(offset) = offset {
        match offset.number() {
            Some(0) => {}
            Some(_) => {
                return offset.refuse(format_args!("a probe stands where its function begins: +0"));
            }
            None => return offset.refuse(format_args!("not a number")),
        }
    }
    if name.text.starts_with(|first: char| first.is_ascii_digit()) {
        return name.refuse(format_args!("a probe stands at a function: give its name (see sym)"));
    }
    if name.text.is_empty() || name.text.contains(['*', '?', '!', '[']) {
        return name.refuse(format_args!("give the name of one function"));
    }
    Ok(name.text)
}

/// The name of an event that is given none: `p_FUNCTION_0`.
fn own_name(place: Place, symbol: &str) -> String {
    let letter = if place == Place::Entry { 'p' } else { 'r' };
    let clean = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    // Of a name that is too long the end says more.
    let clean: String = symbol.chars().map(clean).collect();
    let from = clean.len().saturating_sub(NAME_MAX - 4);
    format!("{letter}_{}_0", &clean[from..])
}

#[cfg_attr(target_os = "none", optimize(size))]
fn arg(token: Token<'_>, place: Place, index: usize) -> Result<Arg, Box<ProbeError>> {
    // An `=` may stand in a text.
    let named = token.split('=').filter(|(name, _)| !name.text.contains(['\\', '"']));
    let (name, words) = match named {
        Some((name, words)) => (name.name("an argument's name")?, words),
        None => (format!("arg{}", index + 1), token),
    };
    if words.text.is_empty() {
        return Err(ProbeError::new(words.at, token.text, format_args!("what is it?")));
    }
    // The type stands behind the last colon, unless that is part of a text or a path.
    let (value, kind) = match words.text.rfind([':', '"', ')']) {
        Some(at) if words.text[at..].starts_with(':') && !words.text[..at].ends_with(':') => {
            (Token { text: &words.text[..at], ..words }, Some(words.behind(at + 1)))
        }
        _ => (words, None),
    };
    // `@MOD:NAME` has no type, only a module.
    let of_module =
        |word: Token<'_>| words.text.starts_with('@') && Type::named(word.text).is_none();
    let (value, kind) = if kind.is_some_and(of_module) { (words, None) } else { (value, kind) };
    let fetch = fetch(value, place, 0)?;
    let is_text = matches!(fetch.base, Base::Comm | Base::Text(_)) && fetch.steps.is_empty();
    let kind = match kind {
        None if is_text => Type::Text,
        None => Type::Hex(8),
        Some(word) => match Type::named(word.text) {
            None => {
                return word.refuse(format_args!(
                    "no such type: u8 to u64, s8 to s64, x8 to x64, string, symbol"
                ));
            }
            Some(Type::Text) if !is_text && fetch.steps.is_empty() => {
                return word.refuse(format_args!("a string is in memory: +0(FETCH):string"));
            }
            Some(kind) if is_text && kind != Type::Text => {
                return word.refuse(format_args!("it is a string"));
            }
            Some(kind) => kind,
        },
    };
    Ok(Arg { name, words: words.text.to_string(), fetch, kind })
}

fn plain(base: Base) -> Result<Fetch, Box<ProbeError>> {
    Ok(Fetch { base, steps: Vec::new() })
}

#[cfg_attr(target_os = "none", optimize(size))]
fn fetch(token: Token<'_>, place: Place, depth: usize) -> Result<Fetch, Box<ProbeError>> {
    let Some(first) = token.text.chars().next() else {
        return token.refuse(format_args!("nothing to fetch"));
    };
    let rest = token.behind(first.len_utf8());
    match first {
        '$' => variable(token, rest.text, place),
        '%' => match register(rest.text) {
            Some(base) => plain(base),
            None => token.refuse(format_args!(
                "no such register: %r0 to %r31, %nip, %link, %ctr, %xer, %ccr"
            )),
        },
        '\\' => immediate(token, rest),
        '@' => {
            let (name, offset) = match rest.text.rfind(['+', '-']) {
                Some(at) => (Token { text: &rest.text[..at], ..rest }, rest.behind(at)),
                None => (rest, rest.behind(rest.text.len())),
            };
            let Some(offset) = signed(offset) else {
                return offset.refuse(format_args!("not a number"));
            };
            if name.text.is_empty() {
                return token.refuse(format_args!("@ wants a symbol or an address"));
            }
            let base = match name.number() {
                Some(address) => Base::Number(address.wrapping_add_signed(offset)),
                None => Base::Symbol(name.text.to_string(), offset),
            };
            Ok(Fetch { base, steps: [0].into() })
        }
        '+' | '-' => {
            // `+u4(...)` says that the address is user space's: here it is one memory.
            let Some((offset, inner)) = token.split('(') else {
                return token.refuse(format_args!("+N wants what it is added to: +N(FETCH)"));
            };
            let Some(inner) = inner.text.strip_suffix(')').map(|text| Token { text, ..inner })
            else {
                return inner.refuse(format_args!("a ) is missing"));
            };
            let number = match offset.text.split_at_checked(2) {
                Some((sign @ ("+u" | "-u"), digits)) => format!("{}{digits}", &sign[..1]),
                _ => offset.text.to_string(),
            };
            let Some(step) = signed(Token { text: &number, ..offset }) else {
                return offset.refuse(format_args!("not a number"));
            };
            if depth == STEPS_MAX {
                return token.refuse(format_args!("at most {STEPS_MAX} steps through memory"));
            }
            let mut fetch = fetch(inner, place, depth + 1)?;
            if matches!(fetch.base, Base::Comm | Base::Text(_)) {
                return inner.refuse(format_args!("not an address"));
            }
            fetch.steps.push(step);
            Ok(fetch)
        }
        _ => token.refuse(format_args!(
            "not something to fetch: $arg1, $retval, %r3, +0(...), @NAME, \\1"
        )),
    }
}

/// `+N`, `-N`, or nothing, which is 0.
fn signed(token: Token<'_>) -> Option<i64> {
    let magnitude = || i64::try_from(token.behind(1).number()?).ok();
    match token.text.chars().next() {
        None => Some(0),
        Some('+') => magnitude(),
        Some('-') => magnitude().map(core::ops::Neg::neg),
        _ => None,
    }
}

#[cfg_attr(target_os = "none", optimize(size))]
fn variable(token: Token<'_>, name: &str, place: Place) -> Result<Fetch, Box<ProbeError>> {
    let digits = |prefix| name.strip_prefix(prefix).map(|text| Token { at: 0, text }.number());
    match name {
        "retval" if place == Place::Entry => {
            token.refuse(format_args!("only a probe at the return has it: r"))
        }
        "retval" => plain(Base::Gpr(3)),
        "comm" => plain(Base::Comm),
        "stack" => plain(Base::Gpr(1)),
        _ if digits("stack").is_some() => match digits("stack").flatten() {
            Some(word @ 0..=0xfff) => {
                Ok(Fetch { base: Base::Gpr(1), steps: [word.cast_signed() * 8].into() })
            }
            _ => token.refuse(format_args!("the words of the stack are $stack0 to $stack4095")),
        },
        _ if digits("arg").is_some() => match digits("arg").flatten() {
            Some(1..=ARG_MAX) if place != Place::Entry => {
                token.refuse(format_args!("arguments are there at the entry only: p"))
            }
            Some(number @ 1..=ARG_REGISTERS) => plain(Base::Gpr(number as u8 + 2)),
            // The rest lies in the caller's frame.
            Some(number @ 1..=ARG_MAX) => {
                let step = ARG_SAVE_AREA + 8 * (number.cast_signed() - 1);
                Ok(Fetch { base: Base::Gpr(1), steps: [step].into() })
            }
            _ => token.refuse(format_args!("arguments are $arg1 to $arg{ARG_MAX}")),
        },
        _ => token.refuse(format_args!("no such variable: $argN, $retval, $stack, $stackN, $comm")),
    }
}

/// Linux's names, which `%rN` is another form of.
#[cfg_attr(target_os = "none", optimize(size))]
fn register(name: &str) -> Option<Base> {
    let special = match name {
        "nip" => Some(Special::Nip),
        "link" | "lr" => Some(Special::Link),
        "ctr" => Some(Special::Ctr),
        "xer" => Some(Special::Xer),
        "ccr" | "cr" => Some(Special::Ccr),
        _ => None,
    };
    if let Some(special) = special {
        return Some(Base::Special(special));
    }
    let text = name.strip_prefix("gpr").or_else(|| name.strip_prefix('r'))?;
    let number = Token { at: 0, text }.number().filter(|_| !text.starts_with("0x"))?;
    (number < 32).then_some(Base::Gpr(number as u8))
}

#[cfg_attr(target_os = "none", optimize(size))]
fn immediate(token: Token<'_>, rest: Token<'_>) -> Result<Fetch, Box<ProbeError>> {
    if let Some(text) = rest.text.strip_prefix('"') {
        return match text.strip_suffix('"') {
            Some(text) => plain(Base::Text(text.to_string())),
            None => token.refuse(format_args!("the text has no end")),
        };
    }
    let number = match rest.text.strip_prefix('-') {
        Some(_) => signed(rest).map(i64::cast_unsigned),
        None => rest.number(),
    };
    match number {
        Some(number) => plain(Base::Number(number)),
        None => token.refuse(format_args!("\\ wants a number or a \"text\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> String {
        match line(text) {
            Ok(Some(Line::Add(probe))) => probe.to_string(),
            other => format!("{other:?}"),
        }
    }

    /// Left what was written, right how Debian's 6.1 lists it; registers that it has not
    /// and numbers that it makes up are left out.
    #[test]
    fn definitions_are_listed_as_linux_lists_them() {
        for (written, expected) in [
            ("p sys_getpid", "p:kprobes/p_sys_getpid_0 sys_getpid"),
            ("r sys_getpid", "r:kprobes/r_sys_getpid_0 sys_getpid"),
            (
                "r:mygrp/two sys_getppid $retval ret=$retval:s32",
                "r:mygrp/two sys_getppid arg1=$retval ret=$retval:s32",
            ),
            ("p:kprobes/eight sys_getppid+0x0", "p:kprobes/eight sys_getppid"),
            (
                "r5:five lz4_compress:LZ4_compress_default $retval:u32",
                "r5:kprobes/five lz4_compress:LZ4_compress_default arg1=$retval:u32",
            ),
            (
                "p lz4_compress:LZ4_compress_default",
                "p:kprobes/p_lz4_compress_LZ4_compress_default_0 lz4_compress:LZ4_compress_default",
            ),
            (
                "p:two sys_getppid f=+0(%gpr1):string h=+0(\\16):u32 s=%nip:symbol t=%link:symbol",
                "p:kprobes/two sys_getppid f=+0(%gpr1):string h=+0(\\16):u32 s=%nip:symbol t=%link:symbol",
            ),
            (
                "p:four sys_getppid %ctr %xer %ccr %gpr31:s64",
                "p:kprobes/four sys_getppid arg1=%ctr arg2=%xer arg3=%ccr arg4=%gpr31:s64",
            ),
            (
                "p:x5  sys_getppid a=\\-5:s16 b=\\10 c=\\0x10 t=\\\"hey\"",
                "p:kprobes/x5 sys_getppid a=\\-5:s16 b=\\10 c=\\0x10 t=\\\"hey\"",
            ),
            (
                "p tocsin::shell::x n=@tocsin:a::b:u8 m=@demo:weight",
                "p:kprobes/p_tocsin__shell__x_0 tocsin::shell::x n=@tocsin:a::b:u8 m=@demo:weight",
            ),
        ] {
            assert_eq!(listed(written), expected);
        }
    }

    fn fetch_of(text: &str) -> Fetch {
        match line(&format!("p f {text}")) {
            Ok(Some(Line::Add(mut probe))) => probe.args.remove(0).fetch,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// Of arguments beyond the eighth: ELFv2 ABI, "Parameter Save Area", 32 bytes above
    /// the caller's stack pointer.
    #[test]
    fn fetches_are_read_from_the_inside() {
        let of = |base, steps: &[i64]| Fetch { base, steps: steps.to_vec() };
        for (text, fetch) in [
            ("$arg1", of(Base::Gpr(3), &[])),
            ("$arg8", of(Base::Gpr(10), &[])),
            ("$arg9", of(Base::Gpr(1), &[96])),
            ("%r0", of(Base::Gpr(0), &[])),
            ("%gpr31", of(Base::Gpr(31), &[])),
            ("$stack", of(Base::Gpr(1), &[])),
            ("$stack2", of(Base::Gpr(1), &[16])),
            ("-8(+0x10($arg2)):u16", of(Base::Gpr(4), &[16, -8])),
            ("+u4($arg2)", of(Base::Gpr(4), &[4])),
            ("@jiffies-8:u32", of(Base::Symbol("jiffies".into(), -8), &[0])),
            ("@0x1000+1", of(Base::Number(0x1001), &[0])),
            ("+4(@m:f)", of(Base::Symbol("m:f".into(), 0), &[0, 4])),
            ("\\0xffffffffffffffff", of(Base::Number(u64::MAX), &[])),
            ("\\-1", of(Base::Number(u64::MAX), &[])),
            ("\\\"a = b\"", of(Base::Text("a = b".into()), &[])),
        ] {
            assert_eq!(fetch_of(text), fetch, "{text}");
        }
    }

    #[test]
    fn an_event_is_taken_away_by_its_name() {
        let gone = |group: Option<&str>, event: &str| {
            Ok(Some(Line::Remove { group: group.map(Into::into), event: event.into() }))
        };
        assert_eq!(line("-:one"), gone(None, "one"));
        assert_eq!(line("-:g/one sys_getppid $what"), gone(Some("g"), "one"));
        assert_eq!(line(""), Ok(None));
        assert_eq!(line("  # p:x f"), Ok(None));
    }

    /// Debian's 6.1 refuses each of these too, with its mark under the same letter;
    /// `at` is where, and `token` what is named.
    #[test]
    fn a_refusal_points_at_the_token() {
        for (text, at, token) in [
            ("p:bad sys_getppid a=$foo", 20, "$foo"),
            ("p:bad sys_getppid a=%foo", 20, "%foo"),
            ("p:bad sys_getppid a=%gpr3:u7", 26, "u7"),
            ("p:bad sys_getppid a=", 20, "a="),
            ("p:1bad sys_getppid", 2, "1bad"),
            ("r5000:bad sys_getppid", 1, "5000"),
            ("p:bad sys_getppid a=$retval", 20, "$retval"),
            ("p:bad sys_getppid a-b=%gpr3", 18, "a-b"),
            ("p:bad sys_getppid nonsense", 18, "nonsense"),
            ("p:bad sys_getppid a=+x(%gpr3)", 20, "+x"),
            ("p:bad sys_getppid a=%gpr3 a=%gpr4", 26, "a=%gpr4"),
            ("r:bad3 sys_getppid $arg1", 19, "$arg1"),
        ] {
            let error = line(text).unwrap_err();
            assert_eq!((error.at, error.token.as_str()), (at, token), "{text}");
        }
        // Here Linux marks something else, or accepts it.
        for bad in [
            "q:bad f",
            "p",
            "p:two",
            "-",
            "- f",
            "-:",
            "-:1",
            "p:a/ f",
            "p:/a f",
            "p: f",
            "rx f",
            "p f+4",
            "p f+x",
            "p 0x1000",
            "p f*",
            "p !f",
            "p f $arg0",
            "p f $arg33",
            "p f $stack4096",
            "p f $stackx",
            "p f %r32",
            "p f %r",
            "p f %gpr0x1",
            "p f +8($arg1",
            "p f +8",
            "p f +(",
            "p f @",
            "p f @f+x",
            "p f \\",
            "p f \\x",
            "p f \\\"x",
            "p f $arg1:string",
            "p f $comm:u8",
            "p f +0($comm)",
            "p f =$arg1",
            "p f a=$arg1:",
            "p f +0(+0(+0(+0(+0(+0(+0(+0(+0($arg1)))))))))",
            "p f \\18446744073709551616",
        ] {
            assert!(line(bad).is_err(), "{bad}");
        }
        assert!(line("r4096 f").is_ok() && line("r4097 f").is_err());
        assert!(line("p f +0(+0(+0(+0(+0(+0(+0(+0($arg1))))))))").is_ok());
        let args = |count: usize| format!("p f{}", " $arg1".repeat(count));
        assert!(line(&args(ARGS_MAX)).is_ok() && line(&args(ARGS_MAX + 1)).is_err());
        let event = |len: usize| format!("p:{} f", "e".repeat(len));
        assert!(line(&event(NAME_MAX)).is_ok() && line(&event(NAME_MAX + 1)).is_err());
        assert!(listed(&format!("p {}", "f".repeat(200))).len() > 200);
    }
}
