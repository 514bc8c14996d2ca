//! Rust's symbol names, unmangled: the path that a person wrote, without hashes.
//!
//! ```text
//!  _RNvCs9DzdQh44P4I_10rust_hello6sum_to      v0      ->  rust_hello::sum_to
//!  _ZN4core3fmt5write17h0123456789abcdefE     legacy  ->  core::fmt::write
//!  _RNvC1a1b.llvm.0123                        LLVM's addition is left out,
//!  _RNvC1a1b.cold                             any other stays: a::b.cold
//! ```
//!
//! [`v0`] is the form that today's compilers make, [`legacy`] the one before. Names
//! of modules are anybody's: what is neither, goes too deep or gets too long has no
//! other form than its own, and takes no more stack or time to find that out.
//!
//! # References
//! The rustc book, "v0 Symbol Format" and "Legacy Symbol Mangling".
//!
//! The crate `rustc-demangle` does the same in four times the code and, for names
//! that refer to themselves, with more stack than a CPU has here; tests compare.

mod legacy;
mod v0;

use alloc::string::String;

/// Most bytes that a name may become.
const LONGEST: usize = 1 << 14;

/// What a mangled name stands for; none if it is not mangled, or not as it should be.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn demangle(raw: &str) -> Option<String> {
    // First what tells most names from it: every symbol of a module is asked about.
    let legacy = raw.starts_with("_ZN");
    if !(legacy || raw.starts_with("_R")) || !raw.is_ascii() {
        return None;
    }
    let name = without_llvm(raw).as_bytes();
    let mut out = Out(String::new());
    let rest = if legacy {
        legacy::read(name.get(3..)?, &mut out)?
    } else {
        v0::read(name.get(2..)?, &mut out)?
    };
    let ([] | [b'.', ..]) = rest else { return None };
    for &byte in rest {
        out.letter(byte.is_ascii_graphic().then_some(byte.into())?)?;
    }
    Some(out.0)
}

/// A name without what LLVM puts behind those that were local once.
#[cfg_attr(target_os = "none", optimize(size))]
fn without_llvm(raw: &str) -> &str {
    const MARK: &[u8] = b".llvm.";
    let bytes = raw.as_bytes();
    let Some(at) = bytes.windows(MARK.len()).position(|there| there == MARK) else { return raw };
    let behind = &bytes[at + MARK.len()..];
    let made = behind.iter().all(|byte| matches!(byte, b'A'..=b'F' | b'0'..=b'9' | b'@'));
    if made { &raw[..at] } else { raw }
}

/// The name as far as it is known.
struct Out(String);

impl Out {
    /// Adds `text`; none if that makes the name too long.
    #[inline(never)]
    fn text(&mut self, text: &str) -> Option<()> {
        (self.0.len() + text.len() <= LONGEST).then(|| self.0.push_str(text))
    }

    /// Adds one letter.
    #[inline(never)]
    fn letter(&mut self, letter: char) -> Option<()> {
        self.text(letter.encode_utf8(&mut [0; 4]))
    }
}

#[cfg(test)]
mod tests;
