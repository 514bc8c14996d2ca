//! The registers that `step` watches, and which of them an instruction changed.

use core::fmt;

/// General registers that are watched: r0 to r13, those that a call may change,
/// with r1, r2 and r13, which say on which stack, with which TOC and where.
pub const WATCHED: usize = 14;

/// What is looked at before and after an instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// r0 to r13.
    pub gpr: [u64; WATCHED],
    /// Link register.
    pub lr: u64,
    /// Count register.
    pub ctr: u64,
    /// Condition register.
    pub cr: u64,
}

impl Registers {
    /// What `after` has that `self` has not; prints as `r0=0x1 lr=0x2`, nothing if
    /// they are equal.
    #[must_use]
    pub const fn changes<'a>(&'a self, after: &'a Self) -> Changes<'a> {
        Changes { before: self, after }
    }
}

/// The difference of two sets; made by [`Registers::changes`].
pub struct Changes<'a> {
    before: &'a Registers,
    after: &'a Registers,
}

impl fmt::Display for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        let pairs = self.before.gpr.iter().zip(&self.after.gpr).enumerate();
        for (number, (_, after)) in pairs.filter(|(_, (before, after))| before != after) {
            write!(f, "{gap}r{number}={after:#x}")?;
            gap = " ";
        }
        let special = [
            ("lr", self.before.lr, self.after.lr),
            ("ctr", self.before.ctr, self.after.ctr),
            ("cr", self.before.cr, self.after.cr),
        ];
        for (name, _, after) in special.iter().filter(|(_, before, after)| before != after) {
            write!(f, "{gap}{name}={after:#x}")?;
            gap = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_in_the_order_of_the_numbers() {
        let before = Registers { gpr: [7; WATCHED], lr: 1, ctr: 2, cr: 3 };
        assert_eq!(before.changes(&before).to_string(), "");
        let mut after = before;
        (after.gpr[0], after.gpr[13]) = (0, u64::MAX);
        assert_eq!(before.changes(&after).to_string(), "r0=0x0 r13=0xffffffffffffffff");
        let after = Registers { gpr: before.gpr, lr: 2, ctr: 3, cr: 0x2400_0048 };
        assert_eq!(before.changes(&after).to_string(), "lr=0x2 ctr=0x3 cr=0x24000048");
    }
}
