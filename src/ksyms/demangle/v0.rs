//! Today's mangling: a path as a tree, each kind of part with its letter.
//!
//! ```text
//!  Nv C5crate 3fun            crate::fun
//!  Nv M C5crate m 3fun        <u32>::fun, from an impl in `crate`
//!  Iv Nv C1a1f R m E          a::f::<&u32>
//!  Nv B_ 3fun                 itself::fun::fun...: a name within itself
//! ```
//!
//! `B` refers to an earlier part of the name; one that refers to a part which it is
//! still in has no end. So parts within each other are counted, and parts in all.
//!
//! Every method gives up with `None` where the name goes too deep, or is none.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::Out;

/// Most parts within each other; nearly all of `std` stay below.
const DEPTH_MAX: u32 = 32;
/// Most parts in all, counting those that are referred to each time.
const PARTS_MAX: u32 = 1000;

/// Writes the name that begins behind `_R`, and gives what is behind it.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn read<'n>(name: &'n [u8], out: &mut Out) -> Option<&'n [u8]> {
    let mut it =
        Name { name, at: 0, depth: 0, parts: 0, lifetimes: 0, hidden: false, open: false, out };
    it.path(true)?;
    // Who made a generic function what it is: another crate, and of no interest.
    if it.peek().is_some_and(|byte| byte.is_ascii_uppercase()) {
        it.hidden = true;
        it.path(false)?;
    }
    name.get(it.at..)
}

/// A place in a name.
struct Name<'n, 'o> {
    name: &'n [u8],
    at: usize,
    /// Parts that this place is in.
    depth: u32,
    /// Parts so far.
    parts: u32,
    /// Lifetimes that have a name here.
    lifetimes: u64,
    /// What is read is not written.
    hidden: bool,
    /// The last path left open has a `<`.
    open: bool,
    out: &'o mut Out,
}

type Part<'n, 'o> = fn(&mut Name<'n, 'o>) -> Option<()>;

impl<'n, 'o> Name<'n, 'o> {
    #[inline(never)]
    fn say(&mut self, text: &str) -> Option<()> {
        if self.hidden { Some(()) } else { self.out.text(text) }
    }

    #[inline(never)]
    fn peek(&self) -> Option<u8> {
        self.name.get(self.at).copied()
    }

    #[inline(never)]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Passes over `byte`, if it is next.
    #[inline(never)]
    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Another part begins: its letter.
    #[inline(never)]
    fn begin(&mut self) -> Option<u8> {
        self.parts += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX || self.parts > PARTS_MAX {
            return None;
        }
        self.next()
    }

    /// Everything up to `E`, and how much that is.
    #[cfg_attr(target_os = "none", optimize(size))]
    #[inline(never)]
    fn list(&mut self, between: &str, part: Part<'n, 'o>) -> Option<u32> {
        let mut count = 0;
        while !self.eat(b'E') {
            if count != 0 {
                self.say(between)?;
            }
            part(self)?;
            count += 1;
        }
        Some(count)
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn base_62(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        let mut one_more = 0;
        loop {
            let digit = match self.next()? {
                b'_' => return value.checked_add(one_more),
                byte @ b'0'..=b'9' => byte - b'0',
                byte @ b'a'..=b'z' => byte - b'a' + 10,
                byte @ b'A'..=b'Z' => byte - b'A' + 36,
                _ => return None,
            };
            value = value.checked_mul(62)?.checked_add(digit.into())?;
            one_more = 1;
        }
    }

    /// A number behind a letter, and 0 without that letter.
    #[inline(never)]
    fn tagged(&mut self, tag: u8) -> Option<u64> {
        if self.eat(tag) { self.base_62()?.checked_add(1) } else { Some(0) }
    }

    /// A word with its length, and the number that tells it from others.
    #[inline(never)]
    fn told_apart(&mut self) -> Option<(u64, Word<'n>)> {
        Some((self.tagged(b's')?, self.word()?))
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn word(&mut self) -> Option<Word<'n>> {
        let coded = self.eat(b'u');
        let mut len = usize::from(self.next().filter(u8::is_ascii_digit)? - b'0');
        while len != 0 && self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            len = len.checked_mul(10)?.checked_add(usize::from(self.next()? - b'0'))?;
        }
        self.eat(b'_');
        let text = str::from_utf8(self.name.get(self.at..)?.get(..len)?).ok()?;
        self.at += len;
        if !coded {
            return Some(Word { ascii: text, code: "" });
        }
        let (ascii, code) = match text.bytes().rposition(|byte| byte == b'_') {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => ("", text),
        };
        (!code.is_empty()).then_some(Word { ascii, code })
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    #[inline(never)]
    fn say_word(&mut self, word: &Word<'_>) -> Option<()> {
        if word.code.is_empty() {
            return self.say(word.ascii);
        }
        if let Some(letters) = word.letters() {
            return self.say(&letters.iter().collect::<String>());
        }
        self.say("punycode{")?;
        if !word.ascii.is_empty() {
            self.say(word.ascii)?;
            self.say("-")?;
        }
        self.say(word.code)?;
        self.say("}")
    }

    #[inline(never)]
    fn number(&mut self, value: u64) -> Option<()> {
        if self.hidden {
            return Some(());
        }
        write!(self.out.0, "{value}").ok()
    }

    /// An earlier part once more; its letter has been read.
    #[cfg_attr(target_os = "none", optimize(size))]
    #[inline(never)]
    fn again(&mut self, part: Part<'n, 'o>) -> Option<()> {
        let start = self.at - 1;
        let target = self.base_62()?;
        let target = usize::try_from(target).ok().filter(|&target| target < start)?;
        if !self.hidden {
            let behind = core::mem::replace(&mut self.at, target);
            part(self)?;
            self.at = behind;
        }
        Some(())
    }

    fn value_path(&mut self) -> Option<()> {
        self.path(true)
    }

    fn type_path(&mut self) -> Option<()> {
        self.path(false)
    }

    /// A path; in one to a value `::` stands before generic arguments.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn path(&mut self, value: bool) -> Option<()> {
        match self.begin()? {
            b'C' => {
                let (_, word) = self.told_apart()?;
                self.say_word(&word)?;
            }
            b'N' => {
                let space = self.next().filter(u8::is_ascii_alphabetic)?;
                self.path(value)?;
                let (number, word) = self.told_apart()?;
                self.inner(space, number, &word)?;
            }
            tag @ (b'M' | b'X' | b'Y') => {
                if tag != b'Y' {
                    self.tagged(b's')?;
                    // Where the `impl` stands.
                    let hidden = core::mem::replace(&mut self.hidden, true);
                    self.path(false)?;
                    self.hidden = hidden;
                }
                self.say("<")?;
                self.kind()?;
                if tag != b'M' {
                    self.say(" as ")?;
                    self.path(false)?;
                }
                self.say(">")?;
            }
            b'I' => {
                self.path(value)?;
                self.say(if value { "::<" } else { "<" })?;
                self.list(", ", Self::argument)?;
                self.say(">")?;
            }
            b'B' => self.again(if value { Self::value_path } else { Self::type_path })?,
            _ => return None,
        }
        self.depth -= 1;
        Some(())
    }

    /// The last word of a path. Those of closures and the like have a number.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn inner(&mut self, space: u8, number: u64, word: &Word<'_>) -> Option<()> {
        let named = !word.ascii.is_empty() || !word.code.is_empty();
        if space.is_ascii_lowercase() {
            if named {
                self.say("::")?;
                self.say_word(word)?;
            }
            return Some(());
        }
        self.say("::{")?;
        match space {
            b'C' => self.say("closure")?,
            b'S' => self.say("shim")?,
            _ => self.say(str::from_utf8(&[space]).ok()?)?,
        }
        if named {
            self.say(":")?;
            self.say_word(word)?;
        }
        self.say("#")?;
        self.number(number)?;
        self.say("}")
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn argument(&mut self) -> Option<()> {
        if self.eat(b'L') {
            let index = self.base_62()?;
            self.lifetime(index)
        } else if self.eat(b'K') {
            self.constant(false)
        } else {
            self.kind()
        }
    }

    /// A type.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn kind(&mut self) -> Option<()> {
        match self.begin()? {
            tag @ b'a'..=b'z' => self.say(basic(tag)?)?,
            tag @ (b'R' | b'Q') => {
                self.say("&")?;
                if let more @ 2.. = self.tagged(b'L')? {
                    self.lifetime(more - 1)?;
                    self.say(" ")?;
                }
                self.say(if tag == b'R' { "" } else { "mut " })?;
                self.kind()?;
            }
            tag @ (b'P' | b'O') => {
                self.say(if tag == b'P' { "*const " } else { "*mut " })?;
                self.kind()?;
            }
            tag @ (b'A' | b'S') => {
                self.say("[")?;
                self.kind()?;
                if tag == b'A' {
                    self.say("; ")?;
                    self.constant(true)?;
                }
                self.say("]")?;
            }
            b'T' => self.tuple(Self::kind)?,
            b'F' => self.bound(Self::function)?,
            b'D' => {
                self.say("dyn ")?;
                self.bound(|it| it.list(" + ", Self::trait_of_dyn).map(drop))?;
                if !self.eat(b'L') {
                    return None;
                }
                if let index @ 1.. = self.base_62()? {
                    self.say(" + ")?;
                    self.lifetime(index)?;
                }
            }
            b'B' => self.again(Self::kind)?,
            _ => {
                self.at -= 1;
                self.path(false)?;
            }
        }
        self.depth -= 1;
        Some(())
    }

    #[inline(never)]
    fn tuple(&mut self, part: Part<'n, 'o>) -> Option<()> {
        self.say("(")?;
        let count = self.list(", ", part)?;
        self.say(if count == 1 { ",)" } else { ")" })
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn function(&mut self) -> Option<()> {
        if self.eat(b'U') {
            self.say("unsafe ")?;
        }
        if self.eat(b'K') {
            self.say("extern \"")?;
            if self.eat(b'C') {
                self.say("C")?;
            } else {
                let word = self.word().filter(|it| it.code.is_empty() && !it.ascii.is_empty())?;
                self.say(&word.ascii.replace('_', "-"))?;
            }
            self.say("\" ")?;
        }
        self.say("fn(")?;
        self.list(", ", Self::kind)?;
        self.say(")")?;
        if self.eat(b'u') {
            return Some(());
        }
        self.say(" -> ")?;
        self.kind()
    }

    /// What lifetimes belong to: `for<'a> fn(&'a u8)`.
    #[cfg_attr(target_os = "none", optimize(size))]
    #[inline(never)]
    fn bound(&mut self, part: Part<'n, 'o>) -> Option<()> {
        let outside = self.lifetimes;
        let count = self.tagged(b'G')?;
        if !self.hidden && count != 0 {
            self.say("for<")?;
            for i in 0..count {
                self.say(if i == 0 { "" } else { ", " })?;
                self.lifetimes += 1;
                self.lifetime(1)?;
            }
            self.say("> ")?;
        }
        part(self)?;
        self.lifetimes = outside;
        Some(())
    }

    /// A lifetime by how many more have been named since; 0 is one without a name.
    #[cfg_attr(target_os = "none", optimize(size))]
    #[inline(never)]
    fn lifetime(&mut self, index: u64) -> Option<()> {
        if self.hidden {
            return Some(());
        }
        if index == 0 {
            return self.say("'_");
        }
        let number = self.lifetimes.checked_sub(index)?;
        if number >= 26 {
            self.say("'_")?;
            return self.number(number);
        }
        self.say("'")?;
        self.say(str::from_utf8(&[b'a' + number as u8]).ok()?)
    }

    /// One trait of a `dyn`, with what it says of associated types: in the same `<>`.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn trait_of_dyn(&mut self) -> Option<()> {
        self.path_left_open()?;
        let mut open = self.open;
        while self.eat(b'p') {
            self.say(if open { ", " } else { "<" })?;
            open = true;
            let word = self.word()?;
            self.say_word(&word)?;
            self.say(" = ")?;
            if self.eat(b'K') { self.constant(false)? } else { self.kind()? }
        }
        self.say(if open { ">" } else { "" })
    }

    /// A path, of which the last `>` is not written.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn path_left_open(&mut self) -> Option<()> {
        match self.begin()? {
            b'B' => self.again(Self::path_left_open)?,
            b'I' => {
                self.path(false)?;
                self.say("<")?;
                self.list(", ", Self::argument)?;
                self.open = true;
            }
            _ => {
                self.at -= 1;
                self.path(false)?;
                self.open = false;
            }
        }
        self.depth -= 1;
        Some(())
    }

    fn constant_inside(&mut self) -> Option<()> {
        self.constant(true)
    }

    fn constant_argument(&mut self) -> Option<()> {
        self.constant(false)
    }

    /// A constant; what is no literal has braces round it, unless it is `inside` another.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn constant(&mut self, inside: bool) -> Option<()> {
        let tag = self.begin()?;
        let braces = !inside
            && (matches!(tag, b'e' | b'Q' | b'A' | b'T' | b'V')
                || tag == b'R' && self.peek() != Some(b'e'));
        self.say(if braces { "{" } else { "" })?;
        match tag {
            b'p' => self.say("_")?,
            b'h' | b't' | b'm' | b'y' | b'o' | b'j' => self.integer()?,
            b'a' | b's' | b'l' | b'x' | b'n' | b'i' => {
                let negative = self.eat(b'n');
                self.say(if negative { "-" } else { "" })?;
                self.integer()?;
            }
            b'b' => {
                let value = value_of(self.digits()?).filter(|&value| value < 2)?;
                self.say(if value == 0 { "false" } else { "true" })?;
            }
            b'c' => {
                let letter = char::from_u32(value_of(self.digits()?)?.try_into().ok()?)?;
                self.literal('\'', letter.encode_utf8(&mut [0; 4]))?;
            }
            b'e' => {
                self.say("*")?;
                self.text_literal()?;
            }
            b'R' if self.eat(b'e') => self.text_literal()?,
            b'R' | b'Q' => {
                self.say(if tag == b'R' { "&" } else { "&mut " })?;
                self.constant(true)?;
            }
            b'A' => {
                self.say("[")?;
                self.list(", ", Self::constant_inside)?;
                self.say("]")?;
            }
            b'T' => self.tuple(Self::constant_inside)?,
            b'V' => {
                self.path(true)?;
                match self.next()? {
                    b'U' => {}
                    b'T' => {
                        self.say("(")?;
                        self.list(", ", Self::constant_inside)?;
                        self.say(")")?;
                    }
                    b'S' => {
                        self.say(" { ")?;
                        self.list(", ", Self::field)?;
                        self.say(" }")?;
                    }
                    _ => return None,
                }
            }
            b'B' => {
                self.again(if inside { Self::constant_inside } else { Self::constant_argument })?;
            }
            _ => return None,
        }
        self.depth -= 1;
        self.say(if braces { "}" } else { "" })
    }

    /// One field of a constant structure.
    fn field(&mut self) -> Option<()> {
        let (_, word) = self.told_apart()?;
        self.say_word(&word)?;
        self.say(": ")?;
        self.constant(true)
    }

    /// Hexadecimal digits up to `_`.
    #[inline(never)]
    fn digits(&mut self) -> Option<&'n str> {
        let start = self.at;
        while let b'0'..=b'9' | b'a'..=b'f' = self.peek()? {
            self.at += 1;
        }
        let digits = &self.name[start..self.at];
        if self.eat(b'_') { str::from_utf8(digits).ok() } else { None }
    }

    /// In decimal if it fits into 64 bits.
    fn integer(&mut self) -> Option<()> {
        let digits = self.digits()?;
        if let Some(value) = value_of(digits) {
            return self.number(value);
        }
        self.say("0x")?;
        self.say(digits)
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn text_literal(&mut self) -> Option<()> {
        let digits = self.digits()?;
        let pairs = digits.as_bytes().chunks(2);
        let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = pairs.map(pair).collect();
        let text = String::from_utf8(bytes.filter(|_| digits.len() % 2 == 0)?).ok()?;
        self.literal('"', &text)
    }

    /// As it stands in a source, but that only control characters are escaped: the
    /// tables of all that cannot be shown are larger than this file's code.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn literal(&mut self, quote: char, text: &str) -> Option<()> {
        if self.hidden {
            return Some(());
        }
        self.out.letter(quote)?;
        for letter in text.chars() {
            match letter {
                '\0' => self.say("\\0")?,
                '\t' => self.say("\\t")?,
                '\n' => self.say("\\n")?,
                '\r' => self.say("\\r")?,
                _ if letter.is_control() => {
                    write!(self.out.0, "\\u{{{:x}}}", letter as u32).ok()?
                }
                _ => {
                    self.say(if letter == quote || letter == '\\' { "\\" } else { "" })?;
                    self.out.letter(letter)?;
                }
            }
        }
        self.out.letter(quote)
    }
}

/// The value of hexadecimal digits, if it fits; of none 0.
#[cfg_attr(target_os = "none", optimize(size))]
fn value_of(digits: &str) -> Option<u64> {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 16).ok() }
}

/// Types of one letter.
#[cfg_attr(target_os = "none", optimize(size))]
fn basic(tag: u8) -> Option<&'static str> {
    // In the order of their letters, from `a`.
    let names = "i8 bool char f64 str f32 - u8 isize usize - i32 u32 i128 u128 _ - - i16 u16 () ... \
                 - i64 u64 !";
    names.split(' ').nth((tag - b'a').into()).filter(|&name| name != "-")
}

/// A word: what of it is ASCII, and where the other letters go, in Punycode.
struct Word<'n> {
    ascii: &'n str,
    code: &'n str,
}

impl Word<'_> {
    /// The letters of a coded word; none if there are more than `MOST`, or no such.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn letters(&self) -> Option<Vec<char>> {
        const MOST: usize = 128;
        let mut letters: Vec<char> = self.ascii.chars().collect();
        let (mut at, mut letter, mut bias, mut damp) = (0_usize, 0x80_u32, 72, 700);
        let mut code = self.code.bytes().peekable();
        while code.peek().is_some() {
            // How far to go on, in base 36 with the lowest digit first; which digit is
            // the last depends on what was usual before.
            let (mut delta, mut weight) = (0_usize, 1_usize);
            for place in 1.. {
                let digit = match code.next()? {
                    byte @ b'a'..=b'z' => byte - b'a',
                    byte @ b'0'..=b'9' => byte - b'0' + 26,
                    _ => return None,
                };
                let digit = usize::from(digit);
                delta = delta.checked_add(digit.checked_mul(weight)?)?;
                let least = (36_usize * place).saturating_sub(bias).clamp(1, 26);
                if digit < least {
                    break;
                }
                weight = weight.checked_mul(36 - least)?;
            }
            let len = letters.len() + 1;
            at = at.checked_add(delta)?;
            letter = letter.checked_add((at / len).try_into().ok()?)?;
            at %= len;
            if len > MOST {
                return None;
            }
            letters.insert(at, char::from_u32(letter)?);
            at += 1;

            delta /= damp;
            damp = 2;
            delta += delta / len;
            let mut places = 0;
            while delta > 455 {
                delta /= 35;
                places += 36;
            }
            bias = places + 36 * delta / (delta + 38);
        }
        Some(letters)
    }
}
