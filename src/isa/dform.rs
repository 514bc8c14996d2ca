//! Displacement fields, and a 32-bit offset as two of them.
//!
//! Loads, stores and `addi` hold a signed 16-bit displacement. Some forms spend
//! its lowest bits on the opcode, so it must be a multiple of 4 or 16:
//!
//! ```text
//!  D    | op | RT | RA |           d (16 bits)            |  addi addis lwz stw ...
//!  DS   | op | RT | RA |        ds (14 bits)        | xo  |  ld ldu lwa std stdu ...
//!  DQ   | op | RT | RA |     dq (12 bits)    |T|    xo    |  lq lxv stxv ...
//! ```
//!
//! A farther place needs two instructions, `addis` with the high-adjusted half
//! and one of the above with the low half. Both halves are sign-extended, so
//! the high one is rounded: `ha = (offset + 0x8000) >> 16`.
//!
//! # Invariants
//! - The pair reaches -0x8000_8000 ..= +0x7fff_7fff, not +-2 GiB: from
//!   +0x7fff_8000 on, rounding carries into `ha`'s sign and the sum is 4 GiB
//!   off. Checking for +-2 GiB, as is often done, misses that.
//! - Inserting a field keeps the bits that are not displacement.
//!
//! # References
//! Power ISA Book I, "Instruction Formats"; OpenPOWER ELFv2 ABI, "Relocation
//! Expressions" (#ha, #lo).

use super::Insn;
use super::reach::{RangeError, Reach};

/// What one signed 16-bit displacement reaches.
pub const REACH_D: Reach = Reach {
    min: -0x8000,
    max: 0x7fff,
    step: 1,
};

/// What one DS displacement reaches.
pub const REACH_DS: Reach = Reach {
    min: -0x8000,
    max: 0x7ffc,
    step: 4,
};

/// What one DQ displacement reaches.
pub const REACH_DQ: Reach = Reach {
    min: -0x8000,
    max: 0x7ff0,
    step: 16,
};

/// What `addis` and a D-form instruction reach together.
pub const REACH_HA_D: Reach = Reach {
    min: -0x8000_8000,
    max: 0x7fff_7fff,
    step: 1,
};

/// What `addis` and a DS-form instruction reach together.
pub const REACH_HA_DS: Reach = Reach {
    min: -0x8000_8000,
    max: 0x7fff_7ffc,
    step: 4,
};

/// What `addis` and a DQ-form instruction reach together.
pub const REACH_HA_DQ: Reach = Reach {
    min: -0x8000_8000,
    max: 0x7fff_7ff0,
    step: 16,
};

/// How a word holds its displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All 16 bits are displacement.
    D,
    /// The lowest two are opcode.
    Ds,
    /// The lowest four are opcode and, for VSX, the register number's top bit.
    Dq,
}

impl Form {
    /// The form of `insn`, or `None` if it holds no displacement.
    #[must_use]
    pub const fn of(insn: Insn) -> Option<Self> {
        match (insn.opcode(), insn.0 & 3) {
            // lxvp and stxvp; lq; lxv and stxv, whose xo ends in 01.
            (6 | 56, _) | (61, 1) => Some(Self::Dq),
            // lfdp lxsd lxssp; ld ldu lwa; stfdp stxsd stxssp; std stdu stq.
            (57 | 58 | 61 | 62, _) => Some(Self::Ds),
            // Arithmetic and logic with an immediate; loads and stores.
            (7 | 8 | 10..=15 | 24..=29 | 32..=55, _) => Some(Self::D),
            _ => None,
        }
    }

    /// What the displacement reaches alone.
    #[must_use]
    pub const fn reach(self) -> Reach {
        match self {
            Self::D => REACH_D,
            Self::Ds => REACH_DS,
            Self::Dq => REACH_DQ,
        }
    }

    /// What `addis` and an instruction of this form reach together.
    #[must_use]
    pub const fn reach_with_addis(self) -> Reach {
        match self {
            Self::D => REACH_HA_D,
            Self::Ds => REACH_HA_DS,
            Self::Dq => REACH_HA_DQ,
        }
    }

    /// `insn` with `displacement`'s 16 bits in its field, opcode bits kept.
    ///
    /// # Errors
    /// `displacement` has bits where this form has none.
    pub const fn insert(self, insn: Insn, displacement: u16) -> Result<Insn, RangeError> {
        let reach = self.reach();
        if let Err(range) = reach.check(displacement.cast_signed() as i64) {
            return Err(range);
        }
        let others = reach.step as u32 - 1; // the field's bits that are opcode
        Ok(Insn(insn.0 & (0xffff_0000 | others) | displacement as u32))
    }
}

/// A multiple of 4 within [`REACH_DS`]: what `ld` and `std` can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ds(i16);

impl Ds {
    /// The displacement `offset`, if a DS field can hold it.
    ///
    /// # Errors
    /// `offset` is outside [`REACH_DS`].
    pub const fn new(offset: i64) -> Result<Self, RangeError> {
        match REACH_DS.check(offset) {
            Ok(offset) => Ok(Self(offset as i16)),
            Err(range) => Err(range),
        }
    }

    /// The displacement as the word holds it.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0.cast_unsigned()
    }
}

/// The two halves of an offset; `lo` is an `i16`, or a [`Ds`] that stands for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HaLo<L> {
    /// For `addis`: the high half, rounded for the sign of `lo`.
    pub ha: i16,
    /// For the instruction after it.
    pub lo: L,
}

/// Splits `offset` for `addis` and a D-form instruction.
///
/// # Errors
/// `offset` is outside [`REACH_HA_D`].
pub const fn split(offset: i64) -> Result<HaLo<i16>, RangeError> {
    match REACH_HA_D.check(offset) {
        Ok(offset) => Ok(HaLo {
            ha: ((offset + 0x8000) >> 16) as i16,
            lo: offset as i16,
        }),
        Err(range) => Err(range),
    }
}

/// Splits `offset` for `addis` and a DS-form instruction.
///
/// # Errors
/// `offset` is outside [`REACH_HA_DS`].
pub const fn split_ds(offset: i64) -> Result<HaLo<Ds>, RangeError> {
    match REACH_HA_DS.check(offset) {
        Ok(offset) => Ok(HaLo {
            ha: ((offset + 0x8000) >> 16) as i16,
            lo: Ds(offset as i16), // a multiple of 4: REACH_HA_DS says so
        }),
        Err(range) => Err(range),
    }
}

/// The high-adjusted half of `offset`, as bits for a field (`#ha`).
///
/// # Errors
/// `offset` is outside [`REACH_HA_D`], so no low half could complete it.
pub const fn ha(offset: i64) -> Result<u16, RangeError> {
    match split(offset) {
        Ok(halves) => Ok(halves.ha.cast_unsigned()),
        Err(range) => Err(range),
    }
}

/// The low half of `offset`, as bits for a field (`#lo`). It is half an answer:
/// whoever uses it has checked the range with [`ha`] or [`Form::reach_with_addis`].
#[must_use]
pub const fn lo(offset: i64) -> u16 {
    offset as u16
}

/// The offset that two fields add up to, as the two instructions compute it.
#[must_use]
pub const fn join(ha: u16, lo: u16) -> i64 {
    ((ha.cast_signed() as i64) << 16) + lo.cast_signed() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_pair_reaches_exactly_this_far() {
        let top = split(0x7fff_7fff).unwrap();
        assert_eq!((top.ha, top.lo), (0x7fff, 0x7fff));
        let bottom = split(-0x8000_8000).unwrap();
        assert_eq!((bottom.ha, bottom.lo), (-0x8000, -0x8000));
        assert!(split(0x7fff_8000).is_err());
        assert!(split(-0x8000_8001).is_err());
        assert!(ha(0x7fff_ffff).is_err()); // below 2 GiB, and still too far
        assert_eq!(ha(0x7fff_7fff), Ok(0x7fff));
    }

    #[test]
    fn a_ds_pair_ends_at_the_last_multiple_of_four() {
        assert_eq!(split_ds(0x7fff_7ffc).unwrap().lo.bits(), 0x7ffc);
        assert_eq!(split_ds(-0x8000_8000).unwrap().lo.bits(), 0x8000);
        for refused in [0x7fff_8000, -0x8000_8004, 0x7fff_7fff, 2, -1] {
            assert_eq!(split_ds(refused).unwrap_err().distance, refused);
        }
    }

    #[test]
    fn a_single_displacement_ends_where_its_form_says() {
        assert!(Ds::new(0x7ffc).is_ok() && Ds::new(-0x8000).is_ok());
        assert!(Ds::new(0x8000).is_err() && Ds::new(-0x8004).is_err());
        assert!(Ds::new(0x7ffe).is_err());
    }

    #[test]
    fn opcode_bits_in_the_field_survive() {
        let lwa = Insn(0xe862_0002);
        assert_eq!(Form::Ds.insert(lwa, 0x1234), Ok(Insn(0xe862_1236)));
        assert!(Form::Ds.insert(lwa, 0x1236).is_err());
        let lxv_vs32 = Insn(0xf403_0009);
        assert_eq!(Form::Dq.insert(lxv_vs32, 0x7ff0), Ok(Insn(0xf403_7ff9)));
        let odd = Form::Dq.insert(lxv_vs32, 8).unwrap_err();
        assert_eq!(odd.to_string(), "+0x8 is not a multiple of 16");
        assert_eq!(Form::D.insert(Insn(0x3862_ffff), 1), Ok(Insn(0x3862_0001)));
    }

    proptest! {
        #[test]
        fn the_halves_add_up_to_the_offset(offset in -0x8000_8000_i64..=0x7fff_7fff) {
            let halves = split(offset).unwrap();
            let sum = i64::from(halves.ha) * 0x1_0000 + i64::from(halves.lo);
            prop_assert_eq!(sum, offset);
            prop_assert_eq!(join(ha(offset).unwrap(), lo(offset)), offset);
        }

        #[test]
        fn near_every_carry_too(high in -0x8000_i64..=0x7fff, near in -2_i64..=2) {
            let offset = high * 0x1_0000 + 0x8000 + near;
            if let Ok(halves) = split(offset) {
                let sum = i64::from(halves.ha) * 0x1_0000 + i64::from(halves.lo);
                prop_assert_eq!(sum, offset);
            } else {
                prop_assert!(offset > 0x7fff_7fff);
            }
        }
    }
}
