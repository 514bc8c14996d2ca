//! One relocation's value into its field: ranges, alignment, and which bits of
//! the word are not the field's.
//!
//! ```text
//!  word      S+A or S+A-P         ADDR32 ADDR64 REL32 REL64 TOC
//!  half      S+A-TOC or S+A-P     TOC16* REL16*: a displacement, whole or in halves
//!  branch    S+A-P                REL24 (in super::relocate), REL14
//! ```
//!
//! # Invariants
//! - A value that its field cannot hold is refused, never cut. Low halves are
//!   the exception that the ABI makes: their high half has been checked.
//! - A refused field is as it was.
//! - Fields need not be aligned; every access is by bytes.
//!
//! # References
//! OpenPOWER ELFv2 ABI, "Relocation Types"; the limits are `isa::dform`'s.
//!
//! All take and return the eight bytes from the relocation's place on as one
//! number, whether they need them or not: the caller has asked once if they are
//! there, loads once and stores once.

use goblin::elf64::reloc::{
    R_PPC64_ADDR64, R_PPC64_ENTRY, R_PPC64_GNU_VTENTRY, R_PPC64_GNU_VTINHERIT, R_PPC64_NONE,
    R_PPC64_REL16, R_PPC64_REL16_HA, R_PPC64_REL16_HI, R_PPC64_REL16_LO, R_PPC64_REL64,
    R_PPC64_TOC, R_PPC64_TOC16, R_PPC64_TOC16_HA, R_PPC64_TOC16_HI, R_PPC64_TOC16_LO,
    R_PPC64_TOCSAVE, R_PPC64_UADDR64,
};

use crate::isa::{
    Insn,
    branch::{BranchError, insert_bd},
    dform::{self, Form, REACH_D, REACH_DS},
    reach::{RangeError, Reach},
};

/// The eight bytes from a relocation's place on, read as a little-endian number:
/// the word at the place is the low half.
pub type Field = u64;

/// Markers that change nothing; the PLT ones have no name in goblin.
pub const R_PPC64_PLTSEQ: u32 = 119;
/// See [`R_PPC64_PLTSEQ`].
pub const R_PPC64_PLTCALL: u32 = 120;

/// Why a field was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The value does not fit.
    Range(RangeError),
    /// The word is no branch of the right form.
    NotABranch(u32),
}

impl From<RangeError> for FieldError {
    fn from(range: RangeError) -> Self {
        Self::Range(range)
    }
}

/// How many bytes of a [`Field`] must be in the section for type `kind`.
#[must_use]
pub fn width(kind: u32) -> u32 {
    match kind {
        R_PPC64_NONE
        | R_PPC64_TOCSAVE
        | R_PPC64_PLTSEQ
        | R_PPC64_PLTCALL
        | R_PPC64_GNU_VTINHERIT
        | R_PPC64_GNU_VTENTRY => 0,
        R_PPC64_ADDR64 | R_PPC64_UADDR64 | R_PPC64_REL64 | R_PPC64_TOC | R_PPC64_ENTRY => 8,
        R_PPC64_TOC16 | R_PPC64_TOC16_LO | R_PPC64_TOC16_HI | R_PPC64_TOC16_HA | R_PPC64_REL16
        | R_PPC64_REL16_LO | R_PPC64_REL16_HI | R_PPC64_REL16_HA => 2,
        _ => 4,
    }
}

/// What 32 bits hold if nobody says whether they are signed.
const REACH_ADDR32: Reach = Reach { min: -0x8000_0000, max: 0xffff_ffff, step: 1 };
/// What 32 signed bits hold.
const REACH_32: Reach = Reach { min: -0x8000_0000, max: 0x7fff_ffff, step: 1 };
/// What a DQ field holds.
const REACH_DQ: Reach = Reach { min: -0x8000, max: 0x7ff0, step: 16 };

type Done = Result<Field, FieldError>;

/// The instruction word at the place.
#[must_use]
pub const fn word(field: Field) -> u32 {
    field as u32
}

/// The word behind it.
#[must_use]
pub const fn next_word(field: Field) -> u32 {
    (field >> 32) as u32
}

/// With `word` at the place.
#[must_use]
pub const fn put_word(field: Field, word: u32) -> Field {
    field & !0xffff_ffff | word as u64
}

/// With `word` behind it.
#[must_use]
pub const fn put_next_word(field: Field, word: u32) -> Field {
    field & 0xffff_ffff | (word as u64) << 32
}

/// An address in 32 bits, signed or not.
#[inline]
pub fn put_addr32(field: Field, value: i64) -> Done {
    Ok(put_word(field, REACH_ADDR32.check(value)? as u32))
}

/// A distance in 32 bits.
#[inline]
pub fn put_rel32(field: Field, value: i64) -> Done {
    Ok(put_word(field, REACH_32.check(value)? as u32))
}

/// A whole displacement of 16 bits.
#[inline]
pub fn put_half(field: Field, value: i64) -> Done {
    Ok(put_bits(field, REACH_D.check(value)? as u16))
}

/// The low half of a displacement.
#[inline]
#[must_use]
pub fn put_lo(field: Field, value: i64) -> Field {
    put_bits(field, dform::lo(value))
}

/// The high half, for a low half that is not sign-extended (`ori`).
#[inline]
pub fn put_hi(field: Field, value: i64) -> Done {
    Ok(put_bits(field, (REACH_32.check(value)? >> 16) as u16))
}

/// The high half, for a low half that is.
#[inline]
pub fn put_ha(field: Field, value: i64) -> Done {
    Ok(put_bits(field, dform::ha(value)?))
}

/// A whole displacement in a word whose form keeps the lowest bits.
#[inline(never)]
pub fn put_ds(field: Field, value: i64) -> Done {
    let insn = Insn(word(field));
    let form = form_of(insn);
    let reach = if form == Form::Dq { REACH_DQ } else { REACH_DS };
    let insn = form.insert(insn, dform::lo(reach.check(value)?))?;
    Ok(put_word(field, insn.0))
}

/// The low half of a displacement in a word whose form keeps the lowest bits.
#[inline]
pub fn put_lo_ds(field: Field, value: i64) -> Done {
    // `ld` and `std` to an aligned place: nearly all that is met.
    if matches!(Insn(word(field)).opcode(), 58 | 62) && value & 3 == 0 {
        return Ok(field & !0xfffc | value.cast_unsigned() & 0xfffc);
    }
    put_lo_form(field, value)
}

#[cold]
fn put_lo_form(field: Field, value: i64) -> Done {
    let insn = Insn(word(field));
    let form = form_of(insn);
    match form.insert(insn, dform::lo(value)) {
        Ok(insn) => Ok(put_word(field, insn.0)),
        // Low bits that the form has no room for; any distance would do.
        Err(_) => {
            let Reach { step, .. } = form.reach_with_addis();
            let reach = Reach { min: i64::MIN, max: i64::MAX, step };
            Err(RangeError { distance: value, reach }.into())
        }
    }
}

/// A conditional branch.
#[inline(never)]
pub fn put_bd(field: Field, distance: i64) -> Done {
    match insert_bd(Insn(word(field)), distance) {
        Ok(insn) => Ok(put_word(field, insn.0)),
        Err(BranchError::OutOfReach(range)) => Err(range.into()),
        Err(BranchError::NotABranch(found)) => Err(FieldError::NotABranch(found.0)),
    }
}

fn put_bits(field: Field, bits: u16) -> Field {
    field & !0xffff | u64::from(bits)
}

/// DQ for quadword and VSX accesses, whose low four bits are opcode; else DS,
/// as the relocation's name says.
fn form_of(insn: Insn) -> Form {
    if Form::of(insn) == Some(Form::Dq) { Form::Dq } else { Form::Ds }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Put = fn(Field, i64) -> Done;

    /// What `put` makes of a field that holds `word`.
    fn put_into(put: Put, word: u32, value: i64) -> Result<u32, FieldError> {
        let field = put(put_word(0xa5a5_a5a5_0000_0000, word), value)?;
        assert_eq!(next_word(field), 0xa5a5_a5a5, "the neighbour");
        Ok(super::word(field))
    }

    fn fits(put: Put, word: u32, value: i64) -> bool {
        match put_into(put, word, value) {
            Ok(_) => true,
            Err(FieldError::Range(range)) => {
                assert_eq!(range.distance, value);
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// The limits are the ABI's: what the assembler and the linker refuse too.
    #[test]
    fn both_ends_of_every_field_fit_and_the_next_value_does_not() {
        const LD: u32 = 0xe862_0000;
        const LXV: u32 = 0xf402_0009;
        const BEQ: u32 = 0x4182_0000;
        let cases: [(&str, Put, u32, i64, i64, i64); 10] = [
            ("addr32", put_addr32, 0, -0x8000_0000, 0xffff_ffff, 1),
            ("rel32", put_rel32, 0, -0x8000_0000, 0x7fff_ffff, 1),
            ("toc16", put_half, 0, -0x8000, 0x7fff, 1),
            ("hi", put_hi, 0, -0x8000_0000, 0x7fff_ffff, 1),
            ("ha", put_ha, 0, -0x8000_8000, 0x7fff_7fff, 1),
            ("ds", put_ds, LD, -0x8000, 0x7ffc, 4),
            ("dq", put_ds, LXV, -0x8000, 0x7ff0, 16),
            ("lo_ds", put_lo_ds, LD, i64::MIN, 0x7fff_ffff_ffff_fffc, 4),
            ("lo_dq", put_lo_ds, LXV, i64::MIN, 0x7fff_ffff_ffff_fff0, 16),
            ("rel14", put_bd, BEQ, -0x8000, 0x7ffc, 4),
        ];
        for (name, put, word, min, max, step) in cases {
            assert!(fits(put, word, min), "{name} {min:#x}");
            assert!(fits(put, word, max), "{name} {max:#x}");
            if let Some(below) = min.checked_sub(step) {
                assert!(!fits(put, word, below), "{name} {below:#x}");
            }
            if let Some(above) = max.checked_add(step) {
                assert!(!fits(put, word, above), "{name} {above:#x}");
            }
            assert!(step == 1 || !fits(put, word, max - 1), "{name} is aligned");
        }
    }

    #[test]
    fn what_is_not_the_field_stays() {
        // lwa r3,0(r2); lxv vs32,0(r2), whose bit 3 is the register's; beql
        assert_eq!(put_into(put_lo_ds, 0xe862_0002, 0x1_2344), Ok(0xe862_2346));
        assert_eq!(put_into(put_lo_ds, 0xf402_0009, 0x10), Ok(0xf402_0019));
        assert_eq!(put_into(put_bd, 0x4182_0001, -4), Ok(0x4182_fffd));
        assert_eq!(put_into(put_bd, 0x6000_0000, -4), Err(FieldError::NotABranch(0x6000_0000)));
    }
}
