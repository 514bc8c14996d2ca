//! What modules built for Linux expect of C: its printf, its layouts, its errors.
//!
//! - [`printf`] formats as the kernel's `printk` and `snprintf` do;
//! - [`klp`] reads a live patch out of a module's memory;
//! - [`exports`] lists the names that the kernel offers them;
//! - [`errno`] names the numbers that functions return.
//!
//! All of it works on addresses that a module handed over, so nothing is
//! dereferenced here: [`Memory`] is asked, and may say no.
#![forbid(unsafe_code)]

pub mod errno;
pub mod exports;
pub mod klp;
pub mod printf;

use crate::addr::Vaddr;

/// Memory that may not be there: `machine/` answers it fault-safely.
pub trait Memory {
    /// Copies from `at` into `out` and returns how many of the first bytes could
    /// be read; fewer than `out.len()` means that the next one cannot.
    fn read(&self, at: Vaddr, out: &mut [u8]) -> usize;

    /// The little-endian doubleword at `at`.
    fn read_u64(&self, at: Vaddr) -> Option<u64> {
        let mut bytes = [0; 8];
        (self.read(at, &mut bytes) == 8).then(|| u64::from_le_bytes(bytes))
    }
}

/// Reads the string at `at` in pieces up to its NUL, at most `max` bytes of it.
///
/// Returns how many bytes `piece` was given, and whether the string ended well:
/// by its NUL or at `max`, not at a place that cannot be read.
pub(crate) fn read_str(
    memory: &dyn Memory,
    at: Vaddr,
    max: usize,
    piece: &mut dyn FnMut(&[u8]),
) -> (usize, bool) {
    let mut chunk = [0; 64];
    let mut len = 0;
    while len < max {
        let want = chunk.len().min(max - len);
        let got = memory.read(at.offset(len as i64), &mut chunk[..want]).min(want);
        if let Some(end) = chunk[..got].iter().position(|&b| b == 0) {
            piece(&chunk[..end]);
            return (len + end, true);
        }
        piece(&chunk[..got]);
        len += got;
        if got < want {
            return (len, false);
        }
    }
    (len, true)
}

/// Memory for tests: pieces at addresses, everything between unreadable.
#[cfg(test)]
pub(crate) struct Pieces(pub Vec<(u64, Vec<u8>)>);

#[cfg(test)]
impl Memory for Pieces {
    fn read(&self, at: Vaddr, out: &mut [u8]) -> usize {
        let byte = |at: u64| {
            let inside = |(start, bytes): &(u64, Vec<u8>)| {
                bytes.get(usize::try_from(at.checked_sub(*start)?).ok()?).copied()
            };
            self.0.iter().find_map(inside)
        };
        for (i, slot) in out.iter_mut().enumerate() {
            match byte(at.0.wrapping_add(i as u64)) {
                Some(value) => *slot = value,
                None => return i,
            }
        }
        out.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(memory: &Pieces, at: u64, max: usize) -> (String, bool) {
        let mut text = Vec::new();
        let (len, well) = read_str(memory, Vaddr(at), max, &mut |p| text.extend_from_slice(p));
        assert_eq!(len, text.len());
        (String::from_utf8(text).unwrap(), well)
    }

    #[test]
    fn a_string_ends_at_its_nul_at_the_limit_or_at_a_hole() {
        let long = "x".repeat(130);
        let memory =
            Pieces(vec![(100, b"abc\0def".to_vec()), (1000, format!("{long}\0").into_bytes())]);
        assert_eq!(read(&memory, 100, 50), ("abc".into(), true));
        assert_eq!(read(&memory, 100, 2), ("ab".into(), true));
        assert_eq!(read(&memory, 104, 3), ("def".into(), true));
        assert_eq!(read(&memory, 104, 4), ("def".into(), false));
        assert_eq!(read(&memory, 1000, 130), (long.clone(), true));
        assert_eq!(read(&memory, 1000, 1000), (long, true));
        assert_eq!(read(&memory, 5, 10), (String::new(), false));
    }
}
