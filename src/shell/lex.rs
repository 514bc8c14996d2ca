//! Text to statements, statements to words.
//!
//! ```text
//!  insmod crc7; call crc7_be 0 "1;2 3" 9      two statements
//!  └────────┘   └──────────────────────┘
//!               call  crc7_be  0  1;2 3  9    five words, the fourth quoted
//! ```
//!
//! Words split at blanks, statements at `;` and line ends. `"…"` keeps blanks
//! and `;`, and knows `\"`, `\\`, `\n`, `\t` and `\xHH`. Nothing else is
//! special: no variables, no comments, no backslash outside quotes, and a
//! carriage return counts as a blank so that any editor's files will do.
//!
//! # Invariants
//! - A word is bytes, not text: `"\xff"` is one byte.
//! - A quoted word stays marked, for `"123"` is a text and not an integer, and
//!   `">"` does not redirect.
//! - A quote ends on its own line. A fault therefore never swallows the lines
//!   after it; it does swallow the rest of its line, where nobody can tell any
//!   more what was inside quotes.
//!
//! Statements are made one at a time, so that a fault in the last one is
//! reported after the others ran, in the order in which a person reads them.

use alloc::vec::Vec;
use core::fmt;

/// One word, with its quotes and escapes already resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What the word stands for; any byte may occur.
    pub bytes: Vec<u8>,
    /// The word began with `"`.
    pub quoted: bool,
    /// Where the word begins in its line, in bytes from 1.
    pub column: usize,
}

/// One statement: what stands between two separators, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Its words, in order.
    pub words: Vec<Word>,
    /// The source, without the blanks around it.
    pub text: &'a [u8],
}

/// A statement that could not be split into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed<'a> {
    /// The words before the fault, and the source up to the end of the line.
    pub before: Statement<'a>,
    /// What is wrong.
    pub fault: LexError,
}

/// Why text could not be split into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexError {
    /// A `"` opened at this column is still open at the line's end.
    OpenQuote {
        /// Bytes from 1.
        column: usize,
    },
    /// The backslash at this column begins no escape that exists.
    BadEscape {
        /// Bytes from 1.
        column: usize,
    },
}

impl fmt::Display for LexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenQuote { column } => write!(
                f,
                "column {column}: quote is never closed (end it with \" on the same line)"
            ),
            Self::BadEscape { column } => write!(
                f,
                "column {column}: unknown escape (inside quotes use \\\" \\\\ \\n \\t \\xHH)"
            ),
        }
    }
}

/// A statement's text, made of its words again: it splits into the same ones.
#[must_use]
pub fn source(words: &[Word]) -> Vec<u8> {
    let mut text = Vec::new();
    for word in words {
        if !text.is_empty() {
            text.push(b' ');
        }
        // What was quoted in part is quoted whole.
        let plain = |byte: &u8| !is_blank(*byte) && !matches!(byte, b'"' | b';' | b'\n');
        if !word.quoted && word.bytes.iter().all(plain) {
            text.extend_from_slice(&word.bytes);
            continue;
        }
        text.push(b'"');
        for byte in &word.bytes {
            match byte {
                b'"' | b'\\' => text.extend_from_slice(&[b'\\', *byte]),
                b'\n' => text.extend_from_slice(b"\\n"),
                _ => text.push(*byte),
            }
        }
        text.push(b'"');
    }
    text
}

/// The statements of `script`, in order; empty ones are left out.
#[must_use]
pub fn statements(script: &[u8]) -> Statements<'_> {
    Statements { script, at: 0, line_start: 0 }
}

/// Iterator made by [`statements`].
#[derive(Clone, Debug)]
pub struct Statements<'a> {
    script: &'a [u8],
    at: usize,
    line_start: usize,
}

impl<'a> Iterator for Statements<'a> {
    type Item = Result<Statement<'a>, Malformed<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_to_word()?;
        let start = self.at;
        let mut words = Vec::new();
        let fault = loop {
            match self.peek() {
                None | Some(b';' | b'\n') => break None,
                Some(byte) if is_blank(byte) => self.at += 1,
                Some(_) => match self.word() {
                    Ok(word) => words.push(word),
                    Err(fault) => break Some(fault),
                },
            }
        };
        if fault.is_some() {
            let rest = self.script.get(self.at..).unwrap_or_default();
            self.at += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        }
        let text = self.script.get(start..self.at).unwrap_or_default();
        let before = Statement { words, text: text.trim_ascii_end() };
        Some(match fault {
            None => Ok(before),
            Some(fault) => Err(Malformed { before, fault }),
        })
    }
}

impl Statements<'_> {
    fn peek(&self) -> Option<u8> {
        self.script.get(self.at).copied()
    }

    fn column(&self) -> usize {
        self.at - self.line_start + 1
    }

    /// Steps over separators and blanks; `None` at the end of the script.
    fn skip_to_word(&mut self) -> Option<()> {
        loop {
            match self.peek()? {
                b'\n' => {
                    self.at += 1;
                    self.line_start = self.at;
                }
                byte if byte == b';' || is_blank(byte) => self.at += 1,
                _ => return Some(()),
            }
        }
    }

    /// Reads one word; the position is at its first byte.
    fn word(&mut self) -> Result<Word, LexError> {
        let mut word =
            Word { bytes: Vec::new(), quoted: self.peek() == Some(b'"'), column: self.column() };
        while let Some(byte) = self.peek() {
            match byte {
                b';' | b'\n' => break,
                b'"' => self.quoted(&mut word.bytes)?,
                _ if is_blank(byte) => break,
                _ => {
                    word.bytes.push(byte);
                    self.at += 1;
                }
            }
        }
        Ok(word)
    }

    /// Reads from one `"` to the next.
    fn quoted(&mut self, out: &mut Vec<u8>) -> Result<(), LexError> {
        let open = LexError::OpenQuote { column: self.column() };
        self.at += 1;
        loop {
            match self.peek() {
                None | Some(b'\n') => return Err(open),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(byte) => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    /// Reads one escape; the position is at its backslash.
    fn escape(&mut self) -> Result<u8, LexError> {
        let rest = self.script.get(self.at + 1..).unwrap_or_default();
        let (byte, len) = match rest {
            [b'"', ..] => (b'"', 2),
            [b'\\', ..] => (b'\\', 2),
            [b'n', ..] => (b'\n', 2),
            [b't', ..] => (b'\t', 2),
            [b'x', high, low, ..] => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => return Err(self.bad_escape()),
            },
            _ => return Err(self.bad_escape()),
        };
        self.at += len;
        Ok(byte)
    }

    fn bad_escape(&self) -> LexError {
        LexError::BadEscape { column: self.column() }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// The value of one hexadecimal digit, in either case.
#[must_use]
pub fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &[u8]) -> Vec<Vec<u8>> {
        let all: Vec<_> = statements(text).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone().unwrap().words.into_iter().map(|w| w.bytes).collect()
    }

    fn fault(text: &[u8]) -> LexError {
        statements(text).find_map(Result::err).unwrap().fault
    }

    #[test]
    fn blanks_split_words_and_semicolons_and_line_ends_split_statements() {
        let texts: Vec<_> =
            statements(b" a\tb ;; c\r\n\n;d  e ;").map(|s| s.unwrap().text.to_vec()).collect();
        assert_eq!(texts, [&b"a\tb"[..], b"c", b"d  e"]);
        assert_eq!(words(b" a\tb "), [&b"a"[..], b"b"]);
        assert_eq!(statements(b" ;\n; ").count(), 0);
    }

    #[test]
    fn quotes_keep_blanks_and_semicolons_and_everything_else_is_ordinary() {
        assert_eq!(words(br#""a; b" c"#), [&b"a; b"[..], b"c"]);
        assert_eq!(words(br"a\n $x # 'b c' `"), [&br"a\n"[..], b"$x", b"#", b"'b", b"c'", b"`"]);
        assert_eq!(words(br#"name="a b"c"#), [b"name=a bc"]);
        assert_eq!(words(br#"x """#), [&b"x"[..], b""]);
    }

    #[test]
    fn the_five_escapes_give_bytes_and_xhh_any_byte() {
        assert_eq!(words(br#""\"\\\n\t\x00\xfF""#), [b"\"\\\n\t\x00\xff"]);
    }

    #[test]
    fn a_word_remembers_whether_it_was_quoted_and_where_it_began() {
        let statement = statements(br#"a;  call "1" 2"#).nth(1).unwrap().unwrap();
        let seen: Vec<_> = statement.words.iter().map(|w| (w.quoted, w.column)).collect();
        assert_eq!(seen, [(false, 5), (true, 10), (false, 14)]);
    }

    #[test]
    fn a_fault_names_its_column_and_costs_only_its_own_line() {
        assert_eq!(fault(b"echo \"abc"), LexError::OpenQuote { column: 6 });
        assert_eq!(fault(b"x\necho \"abc\ny"), LexError::OpenQuote { column: 6 });
        assert_eq!(fault(br#"echo "a\q""#), LexError::BadEscape { column: 8 });
        assert_eq!(fault(br#"echo "\x4""#), LexError::BadEscape { column: 7 });
        assert_eq!(fault(b"echo \"\\"), LexError::BadEscape { column: 7 });
        let all: Vec<_> = statements(b"echo \"a; b\nc").collect();
        assert_eq!(all.len(), 2);
        let broken = all[0].clone().unwrap_err();
        assert_eq!(broken.before.text, b"echo \"a; b");
        assert_eq!(broken.before.words.len(), 1);
        assert_eq!(all[1].clone().unwrap().text, b"c");
    }

    proptest! {
        #[test]
        fn quoted_bytes_come_back_as_they_were(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut text = b"\"".to_vec();
            for b in &bytes {
                text.extend(format!("\\x{b:02x}").bytes());
            }
            text.push(b'"');
            prop_assert_eq!(words(&text), [bytes]);
        }

        #[test]
        fn no_text_stops_the_splitter(text in prop::collection::vec(any::<u8>(), 0..200)) {
            for statement in statements(&text) {
                let words = match statement {
                    Ok(s) => { prop_assert!(!s.words.is_empty()); s.words }
                    Err(m) => m.before.words,
                };
                prop_assert!(words.iter().all(|w| w.column >= 1));
            }
        }
    }
}
