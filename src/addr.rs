//! Addresses and offsets as types, so that none is added to another by mistake.
#![forbid(unsafe_code)]

use core::fmt;

/// An effective address in the running machine.
///
/// Effective and real addresses are equal for everything that the kernel and
/// its modules own (the mapping is the identity), so one type serves both.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vaddr(pub u64);

impl Vaddr {
    /// The address `by` bytes further on; wraps, as address arithmetic does.
    #[must_use]
    pub const fn offset(self, by: i64) -> Self {
        Self(self.0.wrapping_add_signed(by))
    }

    /// Bytes from `from` to `self`, negative if `self` lies below.
    #[must_use]
    pub const fn since(self, from: Self) -> i64 {
        self.0.wrapping_sub(from.0).cast_signed()
    }

    /// True if the address is a multiple of `align`, a power of two.
    #[must_use]
    pub const fn is_aligned(self, align: u64) -> bool {
        self.0 & (align - 1) == 0
    }
}

impl fmt::Debug for Vaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Vaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
