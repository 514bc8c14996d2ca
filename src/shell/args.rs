//! What a word stands for: integers, the arguments of `call`, symbol names.
//!
//! ```text
//!  word        means                               in a register
//!  17 0x11 -1  an integer; U+00e7 is 0xe7          its value
//!  "text"      these bytes and a NUL, writable     their address
//!  hex:00ff    these bytes and a NUL, writable     their address
//!  @64         64 zero bytes, printed afterwards   their address
//!  &name       the buffer that `buf name` made     its address
//! ```
//!
//! Buffers live as long as the call; `kernel/` makes them from [`Arg`].

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::error::{self, Problem};
use super::lex::{Word, hex_digit};

/// Most arguments of one `call`: eight registers and eight stack slots.
pub const MAX_ARGS: usize = 16;

/// Largest buffer that `@N` and `buf` make, in bytes.
pub const MAX_BUFFER: u64 = 16 << 20;

/// Why a word is not an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntError {
    /// Not digits.
    NotAnInteger,
    /// More than 64 bits hold.
    TooLarge,
}

impl fmt::Display for IntError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnInteger => "not an integer (write 17, 0x11 or -17)",
            Self::TooLarge => "does not fit 64 bits (use -2^63 to 2^64-1)",
        })
    }
}

/// Reads decimal or `0x…` (or `U+…`) digits with an optional leading `-`.
///
/// A negative number becomes its two's complement. A leading zero means nothing:
/// there is no octal.
pub fn parse_int(word: &[u8]) -> Result<u64, IntError> {
    let (negative, digits) = match word {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, word),
    };
    let (radix, digits) = match digits {
        [b'0', b'x', rest @ ..] | [b'U', b'+', rest @ ..] => (16, rest),
        _ => (10, digits),
    };
    if digits.is_empty() {
        return Err(IntError::NotAnInteger);
    }
    let mut value = Some(0u64);
    for &byte in digits {
        let digit = hex_digit(byte).filter(|&digit| u64::from(digit) < radix);
        let digit = digit.ok_or(IntError::NotAnInteger)?;
        value = value.and_then(|v| v.checked_mul(radix)?.checked_add(u64::from(digit)));
    }
    match value {
        Some(value) if !negative => Ok(value),
        Some(value) if value <= 1 << 63 => Ok(value.wrapping_neg()),
        _ => Err(IntError::TooLarge),
    }
}

/// Reads `hex:` and pairs of digits; an empty list is a buffer of no bytes.
pub fn parse_hex(word: &[u8]) -> Result<Vec<u8>, Problem> {
    let bad = || Problem::BadHex { word: word.to_vec() };
    let digits = word.strip_prefix(b"hex:").ok_or_else(bad)?;
    if !digits.len().is_multiple_of(2) {
        return Err(bad());
    }
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some(hex_digit(high)? << 4 | hex_digit(low)?),
        _ => None,
    };
    digits.chunks(2).map(|p| pair(p).ok_or_else(bad)).collect()
}

/// One argument of `call`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// Passed as it is.
    Int(u64),
    /// A writable copy of these bytes with a NUL after them.
    Text(Vec<u8>),
    /// The same, written as digits.
    Hex(Vec<u8>),
    /// This many zero bytes, printed after the call.
    Zeroed(usize),
    /// The address of a buffer that `buf` made.
    Named(String),
}

impl Arg {
    /// Reads one argument.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn parse(word: &Word) -> Result<Self, Problem> {
        if word.quoted {
            return Ok(Self::Text(word.bytes.clone()));
        }
        match word.bytes.as_slice() {
            bytes if bytes.starts_with(b"hex:") => parse_hex(bytes).map(Self::Hex),
            [b'@', size @ ..] => parse_size("@SIZE", size).map(Self::Zeroed),
            [b'&', rest @ ..] => error::name("&NAME", rest).map(Self::Named),
            bytes => match parse_int(bytes) {
                Ok(value) => Ok(Self::Int(value)),
                Err(IntError::NotAnInteger) => Err(Problem::BadArgument { word: bytes.to_vec() }),
                Err(why) => Err(Problem::BadInt { what: "ARG", word: bytes.to_vec(), why }),
            },
        }
    }

    /// The bytes that a buffer argument points at before the call, NUL included;
    /// `None` if the argument makes no buffer.
    #[must_use]
    pub fn initial_bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Int(_) | Self::Named(_) => None,
            Self::Text(bytes) | Self::Hex(bytes) => {
                let mut bytes = bytes.clone();
                bytes.push(0);
                Some(bytes)
            }
            Self::Zeroed(len) => Some(vec![0; *len]),
        }
    }
}

/// Reads the size of a buffer in bytes, 1 to [`MAX_BUFFER`].
pub fn parse_size(what: &'static str, word: &[u8]) -> Result<usize, Problem> {
    let size = parse_ranged(what, word, 1, MAX_BUFFER)?;
    usize::try_from(size).map_err(|_| Problem::OutOfRange {
        what,
        word: word.to_vec(),
        low: 1,
        high: MAX_BUFFER,
    })
}

/// Reads an integer from `low` to `high`, both allowed.
pub fn parse_ranged(what: &'static str, word: &[u8], low: u64, high: u64) -> Result<u64, Problem> {
    match parse_int(word) {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        Ok(_) | Err(IntError::TooLarge) => {
            Err(Problem::OutOfRange { what, word: word.to_vec(), low, high })
        }
        Err(why) => Err(Problem::BadInt { what, word: word.to_vec(), why }),
    }
}

/// `[MOD:]NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolName {
    /// The module, if the word named one.
    pub module: Option<String>,
    /// The function's name.
    pub name: String,
}

impl SymbolName {
    /// Splits at the first colon that stands alone: Rust's paths have two.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn parse(word: &[u8]) -> Result<Self, Problem> {
        let text = error::name("SYMBOL", word)?;
        let alone = |&(at, byte): &(usize, u8)| {
            byte == b':' && word.get(at + 1) != Some(&b':') && (at == 0 || word[at - 1] != b':')
        };
        let Some((at, _)) = word.iter().copied().enumerate().find(alone) else {
            return Ok(Self { module: None, name: text });
        };
        // `get` cannot miss: a colon is one byte of UTF-8.
        let module = text.get(..at).unwrap_or_default();
        let name = text.get(at + 1..).unwrap_or_default();
        Ok(Self {
            module: Some(error::name("MOD", module.as_bytes())?),
            name: error::name("SYMBOL", name.as_bytes())?,
        })
    }
}

impl fmt::Display for SymbolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(module) = &self.module {
            write!(f, "{module}:")?;
        }
        f.write_str(&self.name)
    }
}

/// True if two module names are the same: `-` and `_` are, as for Linux's tools.
#[must_use]
pub fn module_name_eq(a: &[u8], b: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'-' { b'_' } else { *byte };
    a.iter().map(plain).eq(b.iter().map(plain))
}

/// Shows a buffer after its call: `@K = hex:…`, K counting arguments from 1.
#[derive(Clone, Copy, Debug)]
pub struct BufferLine<'a> {
    /// The argument's number, from 1.
    pub number: usize,
    /// What the buffer holds now.
    pub bytes: &'a [u8],
}

impl fmt::Display for BufferLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{} = hex:", self.number)?;
        self.bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arg(text: &str) -> Result<Arg, Problem> {
        let statement = crate::shell::lex::statements(text.as_bytes()).next();
        Arg::parse(&statement.unwrap().unwrap().words[0])
    }

    #[test]
    fn integers_reach_both_ends_of_64_bits_and_not_one_further() {
        assert_eq!(parse_int(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_int(b"18446744073709551616"), Err(IntError::TooLarge));
        assert_eq!(parse_int(b"0xffffffffffffffff"), Ok(u64::MAX));
        assert_eq!(parse_int(b"0x10000000000000000"), Err(IntError::TooLarge));
        assert_eq!(parse_int(b"-9223372036854775808"), Ok(1 << 63));
        assert_eq!(parse_int(b"-9223372036854775809"), Err(IntError::TooLarge));
        assert_eq!(parse_int(b"-1"), Ok(u64::MAX));
        assert_eq!(parse_int(b"-0x10"), Ok(16u64.wrapping_neg()));
        assert_eq!(parse_int(b"-0"), Ok(0));
        assert_eq!(parse_int(b"U+00C7"), Ok(0xc7));
        assert_eq!(parse_int(b"010"), Ok(10));
    }

    #[test]
    fn what_is_not_all_digits_is_no_integer() {
        for word in [
            "",
            "-",
            "U+",
            "u+1",
            "0x",
            "-0x",
            "--1",
            "+1",
            "1a",
            "0xg",
            "0X1",
            " 1",
            "99999999999999999999x",
        ] {
            assert_eq!(parse_int(word.as_bytes()), Err(IntError::NotAnInteger), "{word:?}");
        }
    }

    #[test]
    fn each_kind_of_argument_is_told_by_its_first_characters() {
        assert_eq!(arg("-2"), Ok(Arg::Int(u64::MAX - 1)));
        assert_eq!(arg("\"123\""), Ok(Arg::Text(b"123".to_vec())));
        assert_eq!(arg("\"\""), Ok(Arg::Text(vec![])));
        assert_eq!(arg("hex:00fF"), Ok(Arg::Hex(vec![0, 0xff])));
        assert_eq!(arg("hex:"), Ok(Arg::Hex(vec![])));
        assert_eq!(arg("\"hex:00\""), Ok(Arg::Text(b"hex:00".to_vec())));
        assert_eq!(arg("@0x10"), Ok(Arg::Zeroed(16)));
        assert_eq!(arg("&key"), Ok(Arg::Named("key".into())));
    }

    #[test]
    fn arguments_that_mean_nothing_are_refused() {
        for word in ["hex:0", "hex:0g", "abc", "@", "@0", "@x", "&", "18446744073709551616"] {
            assert!(arg(word).is_err(), "{word}");
        }
        assert_eq!(arg("@16777216"), Ok(Arg::Zeroed(16 << 20)));
        assert!(arg("@16777217").is_err());
    }

    #[test]
    fn text_and_hex_end_in_a_nul_and_zeroed_does_not() {
        assert_eq!(arg("\"ab\"").unwrap().initial_bytes(), Some(b"ab\0".to_vec()));
        assert_eq!(arg("hex:01").unwrap().initial_bytes(), Some(vec![1, 0]));
        assert_eq!(arg("@3").unwrap().initial_bytes(), Some(vec![0; 3]));
        assert_eq!(arg("3").unwrap().initial_bytes(), None);
    }

    #[test]
    fn a_module_comes_before_a_single_colon_and_rust_paths_stay_whole() {
        let parse = |text: &str| {
            let symbol = SymbolName::parse(text.as_bytes()).unwrap();
            (symbol.module.unwrap_or_default(), symbol.name)
        };
        let pair = |m: &str, n: &str| (m.to_owned(), n.to_owned());
        assert_eq!(parse("crc7_be"), pair("", "crc7_be"));
        assert_eq!(parse("crc7:crc7_be"), pair("crc7", "crc7_be"));
        assert_eq!(parse("a::b"), pair("", "a::b"));
        assert_eq!(parse("hello_rs:a::b"), pair("hello_rs", "a::b"));
        for bad in ["", ":f", "m:", "a\u{7}b"] {
            assert!(SymbolName::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn dash_and_underscore_are_one_in_module_names() {
        assert!(module_name_eq(b"crc-itu_t", b"crc_itu-t"));
        assert!(!module_name_eq(b"crc7", b"crc77"));
        assert!(!module_name_eq(b"crc7", b"crc8"));
    }

    #[test]
    fn a_buffer_is_shown_with_its_arguments_number() {
        let line = BufferLine { number: 2, bytes: &[0, 0xff, 0x1a] };
        assert_eq!(line.to_string(), "@2 = hex:00ff1a");
    }
}
