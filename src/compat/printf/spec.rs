//! Reading a format: literal text, and what stands after a `%`.
//!
//! ```text
//!  %  - + ␣ # 0   12 | *   . 3 | .*   hh h l ll z t j L q   d i u x X o c s p %
//!     flags       width    precision  length                conversion
//! ```

use super::{Args, Format, MAX_FIELD};
use crate::compat::Memory;

/// Longest format that is read from memory, in bytes.
const MAX_FORMAT: usize = 1 << 16;

/// The part of a format that has not been read yet.
pub(super) struct Cursor<'a> {
    format: Format<'a>,
    memory: &'a dyn Memory,
    /// For [`Format::At`]: bytes fetched and not read yet.
    cache: [u8; 64],
    from: usize,
    to: usize,
    fetched: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(format: Format<'a>, memory: &'a dyn Memory) -> Self {
        let format = match format {
            Format::Bytes(bytes) => {
                let end = bytes.iter().position(|&b| b == 0);
                Format::Bytes(&bytes[..end.unwrap_or(bytes.len())])
            }
            at @ Format::At(_) => at,
        };
        Self { format, memory, cache: [0; 64], from: 0, to: 0, fetched: 0 }
    }

    /// The next bytes, as many as are at hand; empty at the end only.
    pub(super) fn window(&mut self) -> &[u8] {
        let at = match self.format {
            Format::Bytes(bytes) => return bytes,
            Format::At(at) => at,
        };
        if self.from == self.to && self.fetched < MAX_FORMAT {
            let got = self.memory.read(at, &mut self.cache).min(self.cache.len());
            let end = self.cache[..got].iter().position(|&b| b == 0);
            (self.from, self.to) = (0, end.unwrap_or(got));
            self.format = Format::At(at.offset(self.to as i64));
            self.fetched += self.to;
        }
        &self.cache[self.from..self.to]
    }

    /// Steps over bytes of the window.
    pub(super) fn skip(&mut self, len: usize) {
        match &mut self.format {
            Format::Bytes(bytes) => *bytes = bytes.get(len..).unwrap_or_default(),
            Format::At(_) => self.from = (self.from + len).min(self.to),
        }
    }

    /// The next byte; 0 at the end.
    fn peek(&mut self) -> u8 {
        self.window().first().copied().unwrap_or(0)
    }

    /// Steps over the next byte if it is `byte`.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        if found {
            self.skip(1);
        }
        found
    }

    /// Reads the letters and digits after `%p`; the first four are kept.
    pub(super) fn suffix(&mut self) -> [u8; 4] {
        let mut suffix = [0; 4];
        let mut len = 0;
        while self.peek().is_ascii_alphanumeric() {
            if let Some(slot) = suffix.get_mut(len) {
                *slot = self.peek();
            }
            len += 1;
            self.skip(1);
        }
        suffix
    }

    /// Reads decimal digits; too many of them give [`MAX_FIELD`].
    fn digits(&mut self) -> usize {
        let mut value = 0usize;
        while let digit @ b'0'..=b'9' = self.peek() {
            value = (value * 10 + usize::from(digit - b'0')).min(MAX_FIELD);
            self.skip(1);
        }
        value
    }
}

/// How wide an integer argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Byte,
    Half,
    Word,
    Double,
}

/// One conversion with its argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) left: bool,
    pub(super) plus: bool,
    pub(super) space: bool,
    pub(super) alternate: bool,
    pub(super) zero: bool,
    pub(super) width: usize,
    /// A width was given, be it 0.
    pub(super) has_width: bool,
    pub(super) precision: Option<usize>,
    pub(super) length: Length,
    /// The letter; 0 if the format ends here.
    pub(super) conversion: u8,
    /// The argument; 0 for conversions that take none.
    pub(super) value: u64,
}

impl Spec {
    /// Reads what follows a `%`, and the arguments that it asks for.
    pub(super) fn parse(cursor: &mut Cursor<'_>, args: &mut dyn Args) -> Self {
        let mut spec = Self {
            left: false,
            plus: false,
            space: false,
            alternate: false,
            zero: false,
            width: 0,
            has_width: false,
            precision: None,
            length: Length::Word,
            conversion: 0,
            value: 0,
        };
        loop {
            match cursor.peek() {
                b'-' => spec.left = true,
                b'+' => spec.plus = true,
                b' ' => spec.space = true,
                b'#' => spec.alternate = true,
                b'0' => spec.zero = true,
                _ => break,
            }
            cursor.skip(1);
        }
        if cursor.take(b'*') {
            let width = args.next_u64() as u32 as i32;
            spec.left |= width < 0;
            spec.width = clamp(width.unsigned_abs());
            spec.has_width = true;
        } else {
            spec.has_width = cursor.peek().is_ascii_digit();
            spec.width = cursor.digits();
        }
        if cursor.take(b'.') {
            spec.precision = Some(if cursor.take(b'*') {
                // A negative one counts as 0, other than in C.
                clamp((args.next_u64() as u32 as i32).max(0).unsigned_abs())
            } else {
                cursor.digits()
            });
        }
        spec.length = match cursor.peek() {
            first @ (b'h' | b'l') => {
                cursor.skip(1);
                match (first, cursor.take(first)) {
                    (b'h', true) => Length::Byte,
                    (b'h', false) => Length::Half,
                    _ => Length::Double,
                }
            }
            b'z' | b't' | b'j' | b'L' | b'q' | b'Z' => {
                cursor.skip(1);
                Length::Double
            }
            _ => Length::Word,
        };
        spec.conversion = cursor.peek();
        cursor.skip(1);
        if matches!(spec.conversion, b'd' | b'i' | b'u' | b'x' | b'X' | b'o' | b'c' | b's' | b'p') {
            spec.value = args.next_u64();
        }
        spec
    }

    /// The same for a conversion that a precision means nothing to.
    pub(super) const fn without_precision(&self) -> Self {
        Self { precision: None, ..*self }
    }

    /// The argument as a character.
    pub(super) const fn char_value(&self) -> u8 {
        self.value as u8
    }
}

fn clamp(value: u32) -> usize {
    usize::try_from(value).unwrap_or(MAX_FIELD).min(MAX_FIELD)
}
