//! One relocation's value into its field: ranges, alignment, and which bits of
//! the word are not the field's.
//!
//! ```text
//!  word      S+A or S+A-P         ADDR32 ADDR64 REL32 REL64 TOC
//!  half      S+A, S+A-TOC, S+A-P  ADDR16* TOC16* REL16*: whole, or one part of it
//!  prefixed  S+A-P, GOT-P         PCREL34 GOT_PCREL34: 18 bits in the prefix, 16 behind
//!  branch    S+A-P                REL24* (in super::relocate), REL14
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
    R_PPC64_ADDR16, R_PPC64_ADDR16_HA, R_PPC64_ADDR16_HIGH, R_PPC64_ADDR16_HIGHA,
    R_PPC64_ADDR16_HIGHER, R_PPC64_ADDR16_HIGHESTA, R_PPC64_ADDR64, R_PPC64_ENTRY,
    R_PPC64_GNU_VTENTRY, R_PPC64_GNU_VTINHERIT, R_PPC64_NONE, R_PPC64_REL16, R_PPC64_REL16_HA,
    R_PPC64_REL16_HI, R_PPC64_REL16_LO, R_PPC64_REL64, R_PPC64_TOC, R_PPC64_TOC16,
    R_PPC64_TOC16_HA, R_PPC64_TOC16_HI, R_PPC64_TOC16_LO, R_PPC64_TOCSAVE, R_PPC64_UADDR64,
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
/// See [`R_PPC64_PLTSEQ`].
pub const R_PPC64_PLTSEQ_NOTOC: u32 = 121;
/// See [`R_PPC64_PLTSEQ`].
pub const R_PPC64_PLTCALL_NOTOC: u32 = 122;
/// Marks a `pld` and the access through what it loads: both are right as they are.
pub const R_PPC64_PCREL_OPT: u32 = 123;
/// A branch from code that keeps no TOC pointer.
pub const R_PPC64_REL24_NOTOC: u32 = 116;
/// The same, for processors without prefixed instructions.
pub const R_PPC64_REL24_P9NOTOC: u32 = 124;
/// An address in a prefixed instruction.
pub const R_PPC64_D34: u32 = 128;
/// A distance in a prefixed instruction.
pub const R_PPC64_PCREL34: u32 = 132;
/// The distance to a doubleword that holds the symbol's address.
pub const R_PPC64_GOT_PCREL34: u32 = 133;
/// The same, for a function that is called through it (`-mlongcall`).
pub const R_PPC64_PLT_PCREL34: u32 = 134;
/// See [`R_PPC64_PLT_PCREL34`].
pub const R_PPC64_PLT_PCREL34_NOTOC: u32 = 135;
/// Bits 16 to 31 of a distance; the five behind it are its other parts.
pub const R_PPC64_REL16_HIGH: u32 = 240;
/// The last of them: bits 48 to 63, rounded.
pub const R_PPC64_REL16_HIGHESTA: u32 = 245;

/// Why a field was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The value does not fit.
    Range(RangeError),
    /// The word is no branch of the right form.
    NotABranch(u32),
    /// The word is no prefix.
    NotPrefixed(u32),
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
        | R_PPC64_PLTSEQ..=R_PPC64_PCREL_OPT
        | R_PPC64_GNU_VTINHERIT
        | R_PPC64_GNU_VTENTRY => 0,
        R_PPC64_ADDR64 | R_PPC64_UADDR64 | R_PPC64_REL64 | R_PPC64_TOC | R_PPC64_ENTRY => 8,
        R_PPC64_D34 | R_PPC64_PCREL34..=R_PPC64_PLT_PCREL34_NOTOC => 8,
        R_PPC64_ADDR16..=R_PPC64_ADDR16_HA
        | R_PPC64_ADDR16_HIGHER..=R_PPC64_ADDR16_HIGHESTA
        | R_PPC64_ADDR16_HIGH
        | R_PPC64_ADDR16_HIGHA
        | R_PPC64_REL16_HIGH..=R_PPC64_REL16_HIGHESTA => 2,
        R_PPC64_TOC16 | R_PPC64_TOC16_LO | R_PPC64_TOC16_HI | R_PPC64_TOC16_HA | R_PPC64_REL16
        | R_PPC64_REL16_LO | R_PPC64_REL16_HI | R_PPC64_REL16_HA => 2,
        _ => 4,
    }
}

/// What 32 bits hold if nobody says whether they are signed.
const REACH_ADDR32: Reach = Reach { min: -0x8000_0000, max: 0xffff_ffff, step: 1 };
/// What 16 bits hold if nobody says whether they are signed.
const REACH_ADDR16: Reach = Reach { min: -0x8000, max: 0xffff, step: 1 };
/// What the two parts of a prefixed instruction hold together.
const REACH_34: Reach = Reach { min: -0x2_0000_0000, max: 0x1_ffff_ffff, step: 1 };
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

/// An address in 16 bits, signed or not.
#[inline]
pub fn put_addr16(field: Field, value: i64) -> Done {
    Ok(put_bits(field, REACH_ADDR16.check(value)? as u16))
}

/// 16 bits of a value from `shift` on, the others wherever they are; `adjust` if the
/// part below is added with its sign.
#[inline]
#[must_use]
pub fn put_part(field: Field, value: i64, shift: u32, adjust: bool) -> Field {
    let value = if adjust { value.wrapping_add(0x8000) } else { value };
    put_bits(field, (value >> shift) as u16)
}

/// A displacement of 34 bits: the high 18 in the prefix, which comes first, the
/// low 16 in the word behind it.
#[inline(never)]
pub fn put_34(field: Field, value: i64) -> Done {
    if word(field) >> 26 != 1 {
        return Err(FieldError::NotPrefixed(word(field)));
    }
    let bits = REACH_34.check(value)?.cast_unsigned();
    let (high, low) = ((bits >> 16) as u32 & 0x3_ffff, bits as u32 & 0xffff);
    let field = put_next_word(field, next_word(field) & 0xffff_0000 | low);
    Ok(put_word(field, word(field) & !0x3_ffff | high))
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
    // As `dform::ha`, whose limits are those of 32 bits once the value is rounded.
    match i32::try_from(value.wrapping_add(0x8000)) {
        Ok(rounded) => Ok(put_bits(field, (rounded >> 16) as u16)),
        Err(_) => Err(RangeError { distance: value, reach: dform::REACH_HA_D }.into()),
    }
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

/// As [`put_lo_ds`], of `ld` and `std` to an aligned place: nearly all that is met.
/// `None` for another.
#[inline]
#[must_use]
pub fn put_lo_ds_aligned(field: Field, value: i64) -> Option<Field> {
    if matches!(Insn(word(field)).opcode(), 58 | 62) && value & 3 == 0 {
        return Some(field & !0xfffc | value.cast_unsigned() & 0xfffc);
    }
    None
}

/// The low half of a displacement in a word whose form keeps the lowest bits.
pub fn put_lo_ds(field: Field, value: i64) -> Done {
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

#[inline]
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
        let cases: [(&str, Put, u32, i64, i64, i64); 11] = [
            ("addr16", put_addr16, 0, -0x8000, 0xffff, 1),
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
    fn a_prefixed_field_holds_34_bits_in_two_words() {
        // plwz r3,-1(0),1 and pld r3,0(0),1 as GNU as makes them
        let plwz = put_34(0x8060_0000_0610_0000, -1).unwrap();
        assert_eq!(plwz, 0x8060_ffff_0613_ffff);
        let pld = 0xe460_0000_0410_0000;
        assert_eq!(put_34(plwz, 0), Ok(0x8060_0000_0610_0000));
        assert_eq!(put_34(pld, 0x1_ffff_ffff), Ok(0xe460_ffff_0411_ffff));
        assert_eq!(put_34(pld, -0x2_0000_0000), Ok(0xe460_0000_0412_0000));
        for far in [0x2_0000_0000, -0x2_0000_0001] {
            assert!(matches!(put_34(pld, far), Err(FieldError::Range(_))), "{far:#x}");
        }
        assert_eq!(put_34(0x6000_0000, 0), Err(FieldError::NotPrefixed(0x6000_0000)));
    }

    /// `lis; ori; sldi; oris; ori` take the plain parts; where only the low half is
    /// added with its sign (`addi`, `ld`), the parts above are rounded.
    #[test]
    fn the_parts_of_an_address_are_rounded_where_the_low_half_has_a_sign() {
        let parts =
            |adjust| [48, 32, 16].map(|shift| put_part(0, 0x1234_9abc_ffff_8765, shift, adjust));
        assert_eq!(parts(false), [0x1234, 0x9abc, 0xffff]);
        assert_eq!(parts(true), [0x1234, 0x9abd, 0]);
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
