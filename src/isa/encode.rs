//! The few instructions with operands that stubs and entry code are made of.
//!
//! Named and ordered as the assembler writes them. Operands are types that can
//! only hold what the field can: no encoder here can fail.
//!
//! # References
//! Power ISA Book I, "Fixed-Point Facility".

use super::Insn;
use super::dform::Ds;

/// A general purpose register's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpr(u8);

impl Gpr {
    /// Free between calls. As a base register it reads as the number 0.
    pub const R0: Self = Self(0);
    /// The stack.
    pub const R1: Self = Self(1);
    /// The table of contents (TOC) of the code that runs.
    pub const R2: Self = Self(2);
    /// The environment pointer of a call, free in most.
    pub const R11: Self = Self(11);
    /// The callee's global entry, in a call that leaves; free behind it.
    pub const R12: Self = Self(12);
    /// This CPU's PACA.
    pub const R13: Self = Self(13);

    /// Register `number`, if there is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 32 { Some(Self(number)) } else { None }
    }
}

const fn d_form(opcode: u32, rt: Gpr, ra: Gpr, field: u16) -> Insn {
    Insn(opcode << 26 | (rt.0 as u32) << 21 | (ra.0 as u32) << 16 | field as u32)
}

/// `addi rt,ra,si`: rt = ra + si; with r0 as ra, rt = si.
#[must_use]
pub const fn addi(rt: Gpr, ra: Gpr, si: i16) -> Insn {
    d_form(14, rt, ra, si.cast_unsigned())
}

/// `addis rt,ra,si`: rt = ra + si * 65536; with r0 as ra, rt = si * 65536.
#[must_use]
pub const fn addis(rt: Gpr, ra: Gpr, si: i16) -> Insn {
    d_form(15, rt, ra, si.cast_unsigned())
}

/// `lis rt,si`: rt = si * 65536.
#[must_use]
pub const fn lis(rt: Gpr, si: i16) -> Insn {
    addis(rt, Gpr::R0, si)
}

/// `ori ra,rs,ui`: ra = rs | ui.
#[must_use]
pub const fn ori(ra: Gpr, rs: Gpr, ui: u16) -> Insn {
    d_form(24, rs, ra, ui)
}

/// `oris ra,rs,ui`: ra = rs | ui * 65536.
#[must_use]
pub const fn oris(ra: Gpr, rs: Gpr, ui: u16) -> Insn {
    d_form(25, rs, ra, ui)
}

/// `ld rt,ds(ra)`: rt = the doubleword at ra + ds.
#[must_use]
pub const fn ld(rt: Gpr, ds: Ds, ra: Gpr) -> Insn {
    d_form(58, rt, ra, ds.bits())
}

/// `std rs,ds(ra)`: the doubleword at ra + ds = rs.
#[must_use]
pub const fn std(rs: Gpr, ds: Ds, ra: Gpr) -> Insn {
    d_form(62, rs, ra, ds.bits())
}

/// `tdlgt ra,rb`: trap if ra > rb, both unsigned 64-bit.
#[must_use]
pub const fn tdlgt(ra: Gpr, rb: Gpr) -> Insn {
    const LOGICALLY_GREATER: u32 = 1;
    const TD: u32 = 31 << 26 | 68 << 1;
    Insn(TD | LOGICALLY_GREATER << 21 | (ra.0 as u32) << 16 | (rb.0 as u32) << 11)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_32_registers() {
        assert_eq!(Gpr::new(12), Some(Gpr::R12));
        assert!(Gpr::new(31).is_some() && Gpr::new(32).is_none());
    }
}
