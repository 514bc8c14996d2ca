//! A function's two entry points.
//!
//! ```text
//!  global entry:  addis r2,r12,...   callers from elsewhere: r12 = this address
//!                 addi  r2,r2,...
//!  local entry:   mflr  r0           callers with the same TOC: r2 is right already
//! ```
//!
//! A symbol's value is the global entry. How far the local one lies behind it
//! is in the three top bits of `st_other`: a code, not a number of bytes.
//!
//! # References
//! OpenPOWER ELFv2 ABI, "Symbol Values" (the `st_other` table).

use core::fmt;

/// What `st_other` says of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalEntry {
    /// Bytes from the global to the local entry: 0, 4, 8, 16, 32 or 64.
    pub offset: u8,
    /// False if the function may return with another r2 (code 1: it was
    /// compiled for PC-relative addressing). Even a caller next door then has
    /// to save and restore its own.
    pub keeps_r2: bool,
}

/// An `st_other` whose code the ABI keeps for the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedEntry {
    /// The whole byte, as found.
    pub st_other: u8,
}

impl fmt::Display for ReservedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.st_other;
        write!(f, "st_other {found:#04x}: local entry code 7 is reserved")
    }
}

impl LocalEntry {
    /// Reads the code in `st_other`; the other five bits (visibility) are ignored.
    ///
    /// # Errors
    /// The code is 7, which has no meaning yet.
    pub const fn from_st_other(st_other: u8) -> Result<Self, ReservedEntry> {
        let (offset, keeps_r2) = match st_other >> 5 {
            0 => (0, true),
            1 => (0, false),
            code @ 2..=6 => (1 << code, true),
            _ => return Err(ReservedEntry { st_other }),
        };
        Ok(Self { offset, keeps_r2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ABI's table: code, bytes.
    #[test]
    fn the_code_is_not_a_number_of_bytes() {
        let table = [(0, 0), (1, 0), (2, 4), (3, 8), (4, 16), (5, 32), (6, 64)];
        for (code, offset) in table {
            for visibility in [0, 1, 2, 3, 0x1f] {
                let entry = LocalEntry::from_st_other(code << 5 | visibility).unwrap();
                assert_eq!(entry.offset, offset);
                assert_eq!(entry.keeps_r2, code != 1);
            }
        }
    }

    #[test]
    fn the_reserved_code_is_refused() {
        for st_other in [0xe0, 0xff] {
            let refused = LocalEntry::from_st_other(st_other);
            assert_eq!(refused, Err(ReservedEntry { st_other }));
        }
    }
}
