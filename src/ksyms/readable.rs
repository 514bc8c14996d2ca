//! Symbol names as people read them.
//!
//! ```text
//!  _RNvCs9DzdQh44P4I_10rust_hello6sum_to   ->  rust_hello::sum_to
//!  bad\x1b[2Jname (a raw escape byte)       ->  bad\\x1b[2Jname, all printable
//! ```
//!
//! The one place where that is done: for the kernel's own names when its image is
//! made, and for those of modules whenever one is shown. Whoever asks for a name
//! may use either form.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::ToString;

use super::nesting;
use crate::shell::error::Shown;

/// A symbol's name without Rust's mangling and without control characters; most
/// names are what they were, and borrowed.
#[must_use]
pub fn readable(raw: &str) -> Cow<'_, str> {
    // Nearly all names of C, found out sooner than by what is asked below.
    let plain = |byte: &u8| matches!(byte, b' '..=b'~');
    if !raw.starts_with('_') && raw.as_bytes().iter().all(plain) {
        return Cow::Borrowed(raw);
    }
    let mangled = match raw.strip_prefix("_R") {
        Some(rest) => nesting::is_shallow(rest.as_bytes()),
        None => raw.starts_with("_ZN"),
    };
    let plain = mangled.then(|| rustc_demangle::try_demangle(raw).ok()).flatten();
    let name = plain.map_or(Cow::Borrowed(raw), |plain| Cow::Owned(format!("{plain:#}")));
    if name.chars().any(char::is_control) {
        return Cow::Owned(Shown(name.as_bytes()).to_string());
    }
    name
}

/// True if a name may be one that [`readable`] made out of another.
#[must_use]
pub fn may_be_made(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| pair == b"::" || pair == b"\\x")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: what binutils' `c++filt` says, and what the sources call them.
    #[test]
    fn rust_names_lose_their_mangling_and_others_stay() {
        let cases = [
            ("_RNvCs9DzdQh44P4I_10rust_hello6sum_to", "rust_hello::sum_to"),
            (
                "_RNvMs_NtCs9DzdQh44P4I_10rust_hello6moduleNtB4_4Line5print",
                "<rust_hello::module::Line>::print",
            ),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
        ];
        for (raw, plain) in cases {
            assert_eq!(readable(raw), plain);
            assert!(may_be_made(plain));
        }
        for raw in ["crc16", "_R", "_Reserved", "_ZN", "", "_RNvC", "\u{e9}t\u{e9}"] {
            assert!(matches!(readable(raw), Cow::Borrowed(same) if same == raw), "{raw}");
        }
    }

    /// Demangled they would take a hundred kilobytes of stack, which no CPU has here.
    #[test]
    fn a_name_within_itself_stays_as_it_is() {
        for raw in ["_RNvB_1a", "_RINvC1a1bRRB8_E"] {
            assert!(matches!(readable(raw), Cow::Borrowed(same) if same == raw), "{raw}");
        }
    }

    #[test]
    fn control_characters_are_shown_as_what_they_are() {
        assert_eq!(readable("a\x1b[2J\nb"), r"a\x1b[2J\x0ab");
        assert!(may_be_made(r"a\x1b[2J\x0ab"));
        assert!(!may_be_made("crc16"));
    }
}
