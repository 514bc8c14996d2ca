//! Which functions a person means: patterns as Linux's `set_ftrace_filter` has
//! them, and Tocsin's own `MOD:NAME`.
//!
//! ```text
//!   word    = ["!"] what
//!   what    = GLOB                  functions of any module
//!           | GLOB ":" GLOB         module, function (the shell's [MOD:]NAME)
//!           | [GLOB] ":mod:" [MODS] function, modules (Linux's form)
//!   MODS    = ["!"] GLOB            these, or all but these; nothing: all
//!   GLOB    = { "*" | "?" | "[" ["!"] CLASS "]" | "\" CHAR | CHAR }
//! ```
//!
//! Words work from left to right: each adds what it matches, one with `!` takes
//! away. A list that has only `!` words starts from everything; so does an empty
//! list. `-` and `_` are equal in module names, as in file and symbol names.
//!
//! # Invariants
//! A glob is cut up once; matching allocates nothing, remembers one `*` and so
//! takes at most length times length steps.
//!
//! # References
//! Linux, Documentation/trace/ftrace.rst, "Filter commands"; `glob(7)` for
//! classes. As in Linux, a `[` that is never closed is an ordinary character.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::text;

/// Longest word accepted, in bytes; Linux's symbol names end at 512.
pub const WORD_MAX: usize = 512;

/// A pattern for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Arc<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    AnyByte,
    AnyBytes,
    Class { inverted: bool, ranges: Vec<(u8, u8)> },
}

impl Piece {
    fn accepts(&self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => *own == byte,
            Self::AnyByte => true,
            Self::AnyBytes => false,
            Self::Class { inverted, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *inverted
            }
        }
    }
}

impl Glob {
    /// The glob that matches everything.
    #[must_use]
    pub fn all() -> Self {
        Self([Piece::AnyBytes].into())
    }

    /// Cuts `text` into pieces; every text is a pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Self::pieces(text).into())
    }

    /// The pattern for this text alone, whatever is in it.
    #[must_use]
    pub fn exactly(text: &str) -> Self {
        Self(text.bytes().map(Piece::Byte).collect())
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn pieces(text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            rest = tail;
            let piece = match *first {
                b'*' => Piece::AnyBytes,
                b'?' => Piece::AnyByte,
                b'[' => match parse_class(tail) {
                    Some((class, after)) => {
                        rest = after;
                        class
                    }
                    None => Piece::Byte(b'['),
                },
                b'\\' => match tail {
                    [quoted, after @ ..] => {
                        rest = after;
                        Piece::Byte(*quoted)
                    }
                    [] => Piece::Byte(b'\\'),
                },
                byte => Piece::Byte(byte),
            };
            if piece != Piece::AnyBytes || pieces.last() != Some(&Piece::AnyBytes) {
                pieces.push(piece);
            }
        }
        pieces
    }

    /// The same glob for module names, where `-` is `_`.
    fn for_module(text: &str) -> Self {
        let mut pieces = Self::pieces(text);
        for piece in &mut pieces {
            if *piece == Piece::Byte(b'-') {
                *piece = Piece::Byte(b'_');
            }
        }
        Self(pieces.into())
    }

    /// True if `name` matches from its first byte to its last.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.matches_bytes(name.as_bytes(), b'-')
    }

    /// The same of bytes that may be no text.
    #[must_use]
    pub fn fits(&self, name: &[u8]) -> bool {
        self.matches_bytes(name, b'-')
    }

    fn matches_module(&self, name: &str) -> bool {
        self.matches_bytes(name.as_bytes(), b'_')
    }

    /// As [`Self::matches`], for a name in which `dash` stands for every `-`.
    fn matches_bytes(&self, name: &[u8], dash: u8) -> bool {
        let same = |byte| if byte == b'-' { dash } else { byte };
        let (mut pieces, mut name) = (&*self.0, name);
        // After a `*`: the pieces behind it, and the name where they were last
        // tried. An earlier `*` need not be remembered, because the later one
        // can take whatever the earlier would have left.
        let mut retry = None;
        loop {
            match (pieces, name) {
                ([Piece::AnyBytes], _) | ([], []) => return true,
                ([Piece::AnyBytes, after @ ..], _) => {
                    pieces = after;
                    retry = Some((after, name));
                    continue;
                }
                ([piece, after @ ..], [byte, rest @ ..]) if piece.accepts(same(*byte)) => {
                    (pieces, name) = (after, rest);
                    continue;
                }
                (_, []) => return false,
                _ => {}
            }
            // On to where the piece behind the `*` can be.
            let Some((after @ [piece, ..], [_, tail @ ..])) = retry else { return false };
            let place = match piece {
                Piece::Byte(own) => tail.iter().position(|byte| same(*byte) == *own),
                _ => tail.iter().position(|byte| piece.accepts(same(*byte))),
            };
            let Some(place) = place else { return false };
            (pieces, name) = (after, &tail[place..]);
            retry = Some((after, name));
        }
    }

    /// The one name that this glob matches, if it has no wildcard.
    fn literal(&self) -> Option<String> {
        let prefix = self.prefix();
        if prefix.len() < self.0.len() { None } else { String::from_utf8(prefix).ok() }
    }

    /// What stands before the first wildcard.
    fn prefix(&self) -> Vec<u8> {
        let bytes = self.0.iter().map_while(|piece| match piece {
            Piece::Byte(byte) => Some(*byte),
            _ => None,
        });
        bytes.collect()
    }
}

/// The class behind a `[`, and what follows its `]`. A `]` in the first place
/// stands for itself.
fn parse_class(text: &[u8]) -> Option<(Piece, &[u8])> {
    let (inverted, mut rest) = match text {
        [b'!', tail @ ..] => (true, tail),
        _ => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        rest = match rest {
            [b']', after @ ..] if !ranges.is_empty() => {
                return Some((Piece::Class { inverted, ranges }, after));
            }
            [low, b'-', high, after @ ..] if *high != b']' => {
                ranges.push((*low, *high));
                after
            }
            [byte, after @ ..] => {
                ranges.push((*byte, *byte));
                after
            }
            [] => return None,
        };
    }
}

/// What stands before and after the first `sign`, colons at both ends, that does
/// not touch another colon: paths of Rust have two.
pub(super) fn split_at<'w>(word: &'w str, sign: &str) -> Option<(&'w str, &'w str)> {
    if !word.as_bytes().contains(&b':') {
        return None; // found out sooner than a text is searched for a text
    }
    let mut from = 0;
    loop {
        let at = from + text::find(&word[from..], sign)?;
        let (before, after) = (&word[..at], &word[at + sign.len()..]);
        if !before.ends_with(':') && !after.starts_with(':') {
            return Some((before, after));
        }
        from = at + sign.len();
    }
}

/// One word of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    negative: bool,
    module: Option<Modules>,
    function: Functions,
}

/// Which modules a word means.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Modules {
    glob: Glob,
    /// `:mod:!GLOB`: all others.
    inverted: bool,
}

/// What stands for the kernel itself where a word names a module. No wildcard means
/// it, as on Linux, where the kernel is no module: only its name, and `!` with others.
pub const KERNEL: &str = "tocsin";

impl Modules {
    fn matches(&self, module: &str) -> bool {
        let meant = match module == KERNEL {
            true => self.glob.literal().as_deref() == Some(KERNEL),
            false => self.glob.matches_module(module),
        };
        meant != self.inverted
    }

    fn new(text: &str) -> Self {
        let (text, inverted) = text.strip_prefix('!').map_or((text, false), |text| (text, true));
        let glob = if text.is_empty() { Glob::all() } else { Glob::for_module(text) };
        Self { glob, inverted }
    }
}

/// Which functions a word means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Functions {
    /// Those of one name: there was no wildcard.
    Named(String),
    Matching(Glob),
}

impl Functions {
    fn new(text: &str) -> Self {
        let is_plain = !text.bytes().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
        if is_plain {
            return Self::Named(text.to_owned());
        }
        let glob = Glob::new(text);
        match glob.literal() {
            Some(name) => Self::Named(name),
            None => Self::Matching(glob),
        }
    }

    fn matches(&self, function: &str) -> bool {
        match self {
            Self::Named(name) => name == function,
            Self::Matching(glob) => glob.matches(function),
        }
    }
}

impl Pattern {
    /// Reads one word.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn parse(word: &str) -> Result<Self, FilterError> {
        let refuse = |why| FilterError::new(word, why);
        if word.len() > WORD_MAX {
            return Err(refuse(Why::TooLong));
        }
        let (negative, what) = match word.strip_prefix('!') {
            Some(what) => (true, what),
            None => (false, word),
        };
        let (module, function) = if let Some((function, module)) = split_at(what, ":mod:") {
            (Some(module), if function.is_empty() { "*" } else { function })
        } else {
            match split_at(what, ":") {
                Some(("", _)) => return Err(refuse(Why::Empty)),
                Some((module, function)) => (Some(module), function),
                None => (None, what),
            }
        };
        if function.is_empty() {
            return Err(refuse(Why::Empty));
        }
        let more = |name| split_at(name, ":").is_some();
        if more(function) || module.is_some_and(|name| name.contains(':')) {
            return Err(refuse(Why::Command));
        }
        Ok(Self {
            text: word.to_owned(),
            negative,
            module: module.map(Modules::new),
            function: Functions::new(function),
        })
    }

    /// What the word means, as something to add; its text is still the same.
    #[must_use]
    pub fn positive(&self) -> Self {
        Self { negative: false, ..self.clone() }
    }

    /// The one module that the word names, if it has no wildcard there.
    #[must_use]
    pub fn one_module(&self) -> Option<String> {
        self.module.as_ref().filter(|modules| !modules.inverted)?.glob.literal()
    }

    /// True if every function of the modules is meant.
    #[must_use]
    pub fn means_all(&self) -> bool {
        matches!(&self.function, Functions::Matching(glob) if *glob == Glob::all())
    }

    /// True if both mean the same functions of the same modules.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
        self.module == other.module && self.function == other.function
    }

    /// True if both mean the same modules.
    #[must_use]
    pub fn has_modules_of(&self, other: &Self) -> bool {
        self.module == other.module
    }

    /// The word as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if the word takes away.
    #[must_use]
    pub const fn is_negative(&self) -> bool {
        self.negative
    }

    /// The function's name, if the word has no wildcard in it.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match &self.function {
            Functions::Named(name) => Some(name),
            Functions::Matching(_) => None,
        }
    }

    /// How each function begins that is meant.
    #[must_use]
    pub fn prefix(&self) -> Vec<u8> {
        match &self.function {
            Functions::Named(name) => name.as_bytes().to_vec(),
            Functions::Matching(glob) => glob.prefix(),
        }
    }

    /// True if the word says which modules it means.
    #[must_use]
    pub const fn names_module(&self) -> bool {
        self.module.is_some()
    }

    /// True if functions of `module` are meant at all.
    #[must_use]
    pub fn covers(&self, module: &str) -> bool {
        self.module.as_ref().is_none_or(|them| them.matches(module))
    }

    /// True if `function` of `module` is meant, added or taken away.
    #[must_use]
    pub fn matches(&self, module: &str, function: &str) -> bool {
        self.covers(module) && self.matches_name(function)
    }

    /// The same of a module that is known to be meant.
    #[must_use]
    pub fn matches_name(&self, function: &str) -> bool {
        self.function.matches(function)
    }
}

/// A list of patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(Vec<Pattern>);

impl Filter {
    /// No words, and so every function.
    pub const EVERYTHING: Self = Self(Vec::new());

    /// Reads a list of words; none at all means every function.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn parse<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, FilterError> {
        let mut patterns = Vec::new();
        for word in words {
            patterns.push(Pattern::parse(word)?);
        }
        Ok(Self(patterns))
    }

    /// The filter of one word.
    #[must_use]
    pub fn of(pattern: Pattern) -> Self {
        Self([pattern].into())
    }

    /// The words of this filter, and one more.
    #[must_use]
    pub fn and(mut self, pattern: Pattern) -> Self {
        self.0.push(pattern);
        self
    }

    /// The patterns, in order.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.0
    }

    /// True if nothing is named, and so everything is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// What a function is before the first word.
    #[must_use]
    pub fn initial(&self) -> bool {
        self.0.iter().all(Pattern::is_negative)
    }

    /// True if `function` of `module` is wanted when all words have had their say.
    #[must_use]
    pub fn wants(&self, module: &str, function: &str) -> bool {
        // The last word that matches decides.
        let deciding = self.0.iter().rev().find(|pattern| pattern.matches(module, function));
        deciding.map_or_else(|| self.initial(), |pattern| !pattern.negative)
    }
}

/// A word that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The word, or its beginning.
    pub word: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No function, or no module, is named.
    Empty,
    /// More than [`WORD_MAX`] bytes.
    TooLong,
    /// A third `:`.
    Command,
    /// A word that begins with a digit and is no number.
    NoNumber,
    /// The count of a trigger is none.
    BadCount,
    /// A filter command of Linux that is not here.
    Foreign,
}

impl FilterError {
    pub(super) fn new(word: &str, why: Why) -> Self {
        Self { word: word.chars().take(64).collect(), why }
    }

    /// The same about a longer word.
    pub(super) fn of(self, word: &str) -> Self {
        Self::new(word, self.why)
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Empty => "a name is missing (FUNC, MOD:FUNC or FUNC:mod:MOD)",
            Why::TooLong => "longer than 512 bytes",
            Why::Command => {
                "more than one module, or no filter command (traceon, traceoff, stacktrace)"
            }
            Why::NoNumber => "not the number of a line of available_filter_functions",
            Why::BadCount => "its count is no number (FUNC:traceoff:3)",
            Why::Foreign => "Tocsin has only the filter commands traceon, traceoff and stacktrace",
        };
        write!(f, "{}: {why}", self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_colons_are_a_path_of_rust_and_one_ends_a_module() {
        let is = |word: &str, module: &str, function: &str| {
            Pattern::parse(word).is_ok_and(|pattern| pattern.matches(module, function))
        };
        assert!(is("a::b", "m", "a::b"));
        assert!(is("m:a::b", "m", "a::b") && !is("m:a::b", "n", "a::b"));
        assert!(is("a::mod::b", "m", "a::mod::b"));
        assert!(is("a::b:mod:m", "m", "a::b") && !is("a::b:mod:m", "n", "a::b"));
        assert!(is("m:<a::B as c::D>::e", "m", "<a::B as c::D>::e"));
        for bad in ["a:b:c", "a::b:c:d", ":f", "m:"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    /// Verdicts from glob(7) as Linux's `lib/globtest` understands it: a class
    /// may hold `]` first, `!` inverts, an unclosed `[` is itself.
    #[test]
    fn globs_match_as_linux_matches_them() {
        let yes = [
            ("a", "a"),
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*", "a"),
            ("*c", "abc"),
            ("*b*", "abc"),
            ("a?c", "abc"),
            ("a[b-d]c", "acc"),
            ("a[!b-d]c", "axc"),
            ("[]]", "]"),
            ("[!]]", "x"),
            ("[a-]", "-"),
            ("a[b", "a[b"),
            ("\\*", "*"),
            ("*ab*ab", "xabab"),
            ("*aab", "aaaab"),
            ("a**b", "ab"),
            ("a\\", "a\\"),
            ("scsi_*_cmnd*", "scsi_queue_cmnd_one"),
            ("*[0-9]", "crc16"),
            ("[a-]]", "-]"),
        ];
        let no = [
            ("a", "b"),
            ("a", "ab"),
            ("ab", "a"),
            ("", "x"),
            ("?", ""),
            ("a?c", "ac"),
            ("a[b-d]c", "aec"),
            ("a[!b-d]c", "abc"),
            ("*c", "abcd"),
            ("\\*", "x"),
            ("[z-a]", "m"),
            ("*ab*ab", "ab"),
            ("A", "a"),
            ("[!]]", "]"),
        ];
        for (glob, name) in yes {
            assert!(Glob::new(glob).matches(name), "{glob} should match {name}");
        }
        for (glob, name) in no {
            assert!(!Glob::new(glob).matches(name), "{glob} should not match {name}");
        }
    }

    #[test]
    fn many_stars_against_a_long_name_end_soon() {
        let glob = Glob::new(&"*a".repeat(200));
        assert!(!glob.matches(&"a".repeat(199)));
        assert!(glob.matches(&"a".repeat(400)));
        assert!(!glob.matches(&("a".repeat(400) + "b")));
    }

    fn wants(words: &[&str], module: &str, function: &str) -> bool {
        Filter::parse(words.iter().copied()).unwrap().wants(module, function)
    }

    #[test]
    fn a_module_can_be_named_in_three_ways() {
        for word in ["scsi_mod:scsi_add", "scsi_add:mod:scsi_mod", "s*:mod:scsi-mod", ":mod:scsi*"]
        {
            assert!(wants(&[word], "scsi_mod", "scsi_add"), "{word}");
            assert!(!wants(&[word], "ext4", "scsi_add"), "{word}");
        }
        assert!(wants(&["crc-itu-t:*"], "crc_itu_t", "crc_itu_t"));
        assert!(wants(&["crc_itu_t:*"], "crc-itu-t", "f"));
        // Only module names treat the two alike.
        assert!(!wants(&["a-b"], "m", "a_b"));
    }

    /// As Debian's 6.1 answers.
    #[test]
    fn modules_can_be_all_or_all_but_some() {
        assert!(wants(&["f:mod:"], "m", "f") && !wants(&["f:mod:"], "m", "g"));
        assert!(wants(&[":mod:"], "m", "f"));
        let kernel = |word| wants(&[word], KERNEL, "f");
        assert!(kernel("f") && kernel("tocsin:f") && kernel("f:mod:!crc"));
        assert!(!kernel("f:mod:") && !kernel("f:mod:*") && !kernel("f:mod:!tocsin"));
        assert!(!wants(&["f*:mod:!crc-*"], "crc_x", "f") && wants(&["f*:mod:!crc-*"], "m", "f"));
    }

    #[test]
    fn the_last_word_that_matches_decides() {
        assert!(wants(&[], "m", "f"));
        assert!(!wants(&["g"], "m", "f"));
        assert!(!wants(&["f*", "!f"], "m", "f"));
        assert!(wants(&["f*", "!f"], "m", "ff"));
        assert!(wants(&["!f", "f"], "m", "f"));
        assert!(!wants(&["f", "!:mod:m"], "m", "f"));
    }

    #[test]
    fn a_list_of_exclusions_starts_from_everything() {
        assert!(wants(&["!f"], "m", "g"));
        assert!(!wants(&["!f"], "m", "f"));
    }

    #[test]
    fn a_literal_name_is_known_as_one() {
        assert_eq!(Pattern::parse("m*:crc16").unwrap().literal(), Some("crc16"));
        assert_eq!(Pattern::parse("a\\*b").unwrap().literal(), Some("a*b"));
        assert_eq!(Pattern::parse("crc?6").unwrap().literal(), None);
        assert_eq!(Pattern::parse(":mod:m").unwrap().literal(), None);
    }

    #[test]
    fn what_stands_before_the_first_wildcard_is_the_prefix() {
        let prefix = |word| String::from_utf8(Pattern::parse(word).unwrap().prefix()).unwrap();
        assert_eq!(prefix("m*:crc*6"), "crc");
        assert_eq!(prefix("a\\*b?"), "a*b");
        assert_eq!((prefix("crc16").as_str(), prefix("[c]rc").as_str()), ("crc16", ""));
        assert_eq!(prefix(":mod:m"), "");
    }

    #[test]
    fn words_that_name_nothing_are_refused() {
        let why = |word: &str| Pattern::parse(word).unwrap_err().why;
        for word in ["", "!", ":", "m:", ":f"] {
            assert_eq!(why(word), Why::Empty, "{word}");
        }
        assert_eq!(why("f:traceon:5"), Why::Command);
        assert_eq!(why(&"x".repeat(513)), Why::TooLong);
        assert!(Pattern::parse(&"x".repeat(512)).is_ok());
        let long = Pattern::parse(&"é".repeat(400)).unwrap_err();
        assert_eq!(long.word.chars().count(), 64);
    }
}
