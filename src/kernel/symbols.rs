//! Addresses to names.

use core::fmt;

use crate::addr::Vaddr;
use crate::machine::boot;

/// Prints an address with the name that it belongs to, `[MOD:]NAME+0xOFF/0xSIZE`.
pub struct Symbolised(pub Vaddr);

impl fmt::Display for Symbolised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = boot::text();
        if self.0 >= start && self.0 < end {
            return write!(f, "{} [kernel+{:#x}]", self.0, self.0.since(start));
        }
        write!(f, "{}", self.0)
    }
}
