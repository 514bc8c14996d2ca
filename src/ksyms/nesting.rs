//! How deep a mangled Rust name goes, before a demangler goes there.
//!
//! ```text
//!  _R Nv C5crate 3fun        crate::fun              depth 2
//!  _R Nv B_ 3fun             itself::fun::fun...     a name within itself
//! ```
//!
//! A name of the second form (mangling "v0") refers to earlier parts of itself, and
//! one that refers to a part which it is still in has no end: `rustc_demangle` stops
//! five hundred calls later, which is more stack than the kernel has. Names of
//! modules are anybody's, so each is walked through first, in the same order.
//!
//! # References
//! The rustc book, "v0 Symbol Format".

/// Most parts within each other; nearly all of `std` stay below.
const DEPTH_MAX: u32 = 32;
/// Most parts in all, counting those that are referred to each time.
const PARTS_MAX: u32 = 1000;

/// True if a v0 name, without its `_R`, is one that may be demangled.
pub(super) fn is_shallow(name: &[u8]) -> bool {
    let mut walk = Walk { name, at: 0, parts: 0 };
    walk.path(0).is_some()
        && (!walk.peek().is_some_and(|byte| byte.is_ascii_uppercase()) || walk.path(0).is_some())
}

/// A place in a name. Every method gives up with `None` if the name goes too deep,
/// or is none.
struct Walk<'n> {
    name: &'n [u8],
    at: usize,
    parts: u32,
}

type Part<'n> = fn(&mut Walk<'n>, u32) -> Option<()>;

impl<'n> Walk<'n> {
    fn peek(&self) -> Option<u8> {
        self.name.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Passes over `byte`, if it is next.
    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Another part begins, inside `depth` others.
    fn begin(&mut self, depth: u32) -> Option<u8> {
        self.parts += 1;
        if depth >= DEPTH_MAX || self.parts > PARTS_MAX {
            return None;
        }
        self.next()
    }

    /// Everything up to `E`.
    fn list(&mut self, depth: u32, part: Part<'n>) -> Option<()> {
        while !self.eat(b'E') {
            part(self, depth)?;
        }
        Some(())
    }

    fn base_62(&mut self) -> Option<usize> {
        if self.eat(b'_') {
            return Some(0);
        }
        let mut value = 0_usize;
        loop {
            let digit = match self.next()? {
                byte @ b'0'..=b'9' => byte - b'0',
                byte @ b'a'..=b'z' => byte - b'a' + 10,
                byte @ b'A'..=b'Z' => byte - b'A' + 36,
                b'_' => return value.checked_add(1),
                _ => return None,
            };
            value = value.checked_mul(62)?.checked_add(digit.into())?;
        }
    }

    /// A number behind a letter, if the letter is there.
    fn tagged(&mut self, tag: u8) -> Option<()> {
        if self.eat(tag) { self.base_62().map(drop) } else { Some(()) }
    }

    /// A word with its length, and the number that tells it from others.
    fn ident(&mut self) -> Option<()> {
        self.tagged(b's')?;
        self.eat(b'u');
        let mut len = usize::from(self.next().filter(u8::is_ascii_digit)? - b'0');
        while len != 0 && self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            len = len.checked_mul(10)?.checked_add(usize::from(self.next()? - b'0'))?;
        }
        self.eat(b'_');
        self.at = self.at.checked_add(len).filter(|&end| end <= self.name.len())?;
        Some(())
    }

    /// Hexadecimal digits up to `_`.
    fn digits(&mut self) -> Option<()> {
        while self.next()? != b'_' {}
        Some(())
    }

    /// An earlier part once more; its letter has been read.
    fn again(&mut self, depth: u32, part: Part<'n>) -> Option<()> {
        let start = self.at - 1;
        let target = self.base_62().filter(|&target| target < start)?;
        let behind = core::mem::replace(&mut self.at, target);
        part(self, depth + 1)?;
        self.at = behind;
        Some(())
    }

    fn path(&mut self, depth: u32) -> Option<()> {
        let deeper = depth + 1;
        match self.begin(depth)? {
            b'C' => self.ident(),
            b'N' => {
                self.next()?;
                self.path(deeper)?;
                self.ident()
            }
            tag @ (b'M' | b'X' | b'Y') => {
                if tag != b'Y' {
                    self.tagged(b's')?;
                    self.path(deeper)?;
                }
                self.kind(deeper)?;
                if tag == b'M' { Some(()) } else { self.path(deeper) }
            }
            b'I' => {
                self.path(deeper)?;
                self.list(deeper, Self::argument)
            }
            b'B' => self.again(depth, Self::path),
            _ => None,
        }
    }

    fn argument(&mut self, depth: u32) -> Option<()> {
        if self.eat(b'L') {
            self.base_62().map(drop)
        } else if self.eat(b'K') {
            self.constant(depth)
        } else {
            self.kind(depth)
        }
    }

    /// A type.
    fn kind(&mut self, depth: u32) -> Option<()> {
        let deeper = depth + 1;
        match self.begin(depth)? {
            b'a'..=b'z' => Some(()),
            b'R' | b'Q' => {
                self.tagged(b'L')?;
                self.kind(deeper)
            }
            b'P' | b'O' | b'S' => self.kind(deeper),
            b'A' => {
                self.kind(deeper)?;
                self.constant(deeper)
            }
            b'T' => self.list(deeper, Self::kind),
            b'F' => {
                self.tagged(b'G')?;
                self.eat(b'U');
                if self.eat(b'K') && !self.eat(b'C') {
                    self.ident()?;
                }
                self.list(deeper, Self::kind)?;
                self.kind(deeper)
            }
            b'D' => {
                self.tagged(b'G')?;
                self.list(deeper, Self::bound)?;
                self.next().filter(|&byte| byte == b'L')?;
                self.base_62().map(drop)
            }
            b'B' => self.again(depth, Self::kind),
            _ => {
                self.at -= 1;
                self.path(deeper)
            }
        }
    }

    /// One trait of a `dyn`, with what it says of associated types.
    fn bound(&mut self, depth: u32) -> Option<()> {
        self.path(depth)?;
        while self.eat(b'p') {
            self.ident()?;
            self.kind(depth)?;
        }
        Some(())
    }

    fn constant(&mut self, depth: u32) -> Option<()> {
        let deeper = depth + 1;
        match self.begin(depth)? {
            b'p' => Some(()),
            b'a'..=b'z' => self.digits(),
            b'R' | b'Q' => self.constant(deeper),
            b'A' | b'T' => self.list(deeper, Self::constant),
            b'V' => {
                self.path(deeper)?;
                match self.next()? {
                    b'U' => Some(()),
                    b'T' => self.list(deeper, Self::constant),
                    b'S' => self.list(deeper, Self::field),
                    _ => None,
                }
            }
            b'B' => self.again(depth, Self::constant),
            _ => None,
        }
    }

    /// One field of a constant structure.
    fn field(&mut self, depth: u32) -> Option<()> {
        self.ident()?;
        self.constant(depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `rustc_demangle` takes is taken, up to the depth.
    #[test]
    fn a_name_as_deep_as_can_be_is_walked_and_a_deeper_one_is_not() {
        let nested =
            |depth: usize| [&b"Nv".repeat(depth)[..], b"C1a", &b"1b".repeat(depth)[..]].concat();
        let most = DEPTH_MAX as usize - 1;
        assert!(is_shallow(&nested(most)));
        assert!(!is_shallow(&nested(most + 1)));
    }

    #[test]
    fn a_name_within_itself_is_seen() {
        assert!(!is_shallow(b"NvB_1a"));
        assert!(!is_shallow(b"INvC1a1bTB7_EE"));
        assert!(is_shallow(b"INvC1a1bTC1cB8_EE")); // the crate once more
    }

    #[test]
    fn a_name_of_a_thousand_parts_is_too_long() {
        let with = |count: usize| [b"INvC1a1b", &b"u".repeat(count)[..], b"E"].concat();
        let most = PARTS_MAX as usize - 3;
        assert!(is_shallow(&with(most)));
        assert!(!is_shallow(&with(most + 1)));
    }

    /// The compiler's own: every name in this test, with all of `core` and `std`.
    #[test]
    fn every_name_of_this_program_may_be_demangled() {
        let program = std::env::current_exe().and_then(std::fs::read).expect("readable");
        let names = program.split(|&byte| byte == 0).filter_map(|name| str::from_utf8(name).ok());
        let names = names.filter(|name| name.starts_with("_R") && !name.contains('.'));
        let names = names.filter(|name| rustc_demangle::try_demangle(name).is_ok());
        let (mut all, mut deep) = (0, Vec::new());
        for name in names {
            all += 1;
            if !is_shallow(&name.as_bytes()[2..]) {
                deep.push(name);
            }
        }
        assert!(all > 1000, "{all}");
        assert!(deep.len() * 100 < all, "{} of {all}: {deep:#?}", deep.len());
    }
}
