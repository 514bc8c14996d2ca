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
//! - Fields need not be aligned; every access is by bytes.
//!
//! # References
//! OpenPOWER ELFv2 ABI, "Relocation Types"; the limits are `isa::dform`'s.

use crate::isa::{
    Insn,
    branch::{BranchError, insert_bd},
    dform::{self, Form, REACH_D, REACH_DS},
    reach::{RangeError, Reach},
};

/// Why a field was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// Its bytes are not all in the section; how many it has.
    Outside(u32),
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

/// What 32 bits hold if nobody says whether they are signed.
const REACH_ADDR32: Reach = Reach { min: -0x8000_0000, max: 0xffff_ffff, step: 1 };
/// What 32 signed bits hold.
const REACH_32: Reach = Reach { min: -0x8000_0000, max: 0x7fff_ffff, step: 1 };
/// What a DQ field holds.
const REACH_DQ: Reach = Reach { min: -0x8000, max: 0x7ff0, step: 16 };

type Done = Result<(), FieldError>;

/// The `N` bytes at `at`.
#[inline(always)]
pub fn bytes<const N: usize>(out: &mut [u8], at: u64) -> Result<&mut [u8; N], FieldError> {
    let rest = usize::try_from(at).ok().and_then(|at| out.get_mut(at..));
    rest.and_then(|rest| rest.first_chunk_mut()).ok_or(FieldError::Outside(N as u32))
}

/// The instruction word at `at`.
#[inline(always)]
pub fn read_word(out: &mut [u8], at: u64) -> Result<u32, FieldError> {
    bytes::<4>(out, at).map(|bytes| u32::from_le_bytes(*bytes))
}

/// Replaces the word at `at`.
#[inline(always)]
pub fn put_word(out: &mut [u8], at: u64, word: u32) -> Done {
    *bytes(out, at)? = word.to_le_bytes();
    Ok(())
}

/// Replaces the doubleword at `at`.
#[inline(always)]
pub fn put_u64(out: &mut [u8], at: u64, value: u64) -> Done {
    *bytes(out, at)? = value.to_le_bytes();
    Ok(())
}

/// An address in 32 bits, signed or not.
#[inline]
pub fn put_addr32(out: &mut [u8], at: u64, value: i64) -> Done {
    put_word(out, at, REACH_ADDR32.check(value)? as u32)
}

/// A distance in 32 bits.
#[inline(always)]
pub fn put_rel32(out: &mut [u8], at: u64, value: i64) -> Done {
    put_word(out, at, REACH_32.check(value)? as u32)
}

/// A whole displacement of 16 bits.
#[inline]
pub fn put_half(out: &mut [u8], at: u64, value: i64) -> Done {
    put_bits(out, at, REACH_D.check(value)? as u16)
}

/// The low half of a displacement.
#[inline(always)]
pub fn put_lo(out: &mut [u8], at: u64, value: i64) -> Done {
    put_bits(out, at, dform::lo(value))
}

/// The high half, for a low half that is not sign-extended (`ori`).
#[inline]
pub fn put_hi(out: &mut [u8], at: u64, value: i64) -> Done {
    put_bits(out, at, (REACH_32.check(value)? >> 16) as u16)
}

/// The high half, for a low half that is.
#[inline(always)]
pub fn put_ha(out: &mut [u8], at: u64, value: i64) -> Done {
    put_bits(out, at, dform::ha(value)?)
}

/// A whole displacement in a word whose form keeps the lowest bits.
#[inline]
pub fn put_ds(out: &mut [u8], at: u64, value: i64) -> Done {
    let form = form_at(out, at)?;
    let reach = if form == Form::Dq { REACH_DQ } else { REACH_DS };
    insert(out, at, form, reach.check(value)?)
}

/// The low half of a displacement in a word whose form keeps the lowest bits.
#[inline(always)]
pub fn put_lo_ds(out: &mut [u8], at: u64, value: i64) -> Done {
    let form = form_at(out, at)?;
    insert(out, at, form, value)
}

/// A conditional branch.
#[inline]
pub fn put_bd(out: &mut [u8], at: u64, distance: i64) -> Done {
    let word = read_word(out, at)?;
    match insert_bd(Insn(word), distance) {
        Ok(insn) => put_word(out, at, insn.0),
        Err(BranchError::OutOfReach(range)) => Err(range.into()),
        Err(BranchError::NotABranch(found)) => Err(FieldError::NotABranch(found.0)),
    }
}

#[inline(always)]
fn put_bits(out: &mut [u8], at: u64, bits: u16) -> Done {
    *bytes(out, at)? = bits.to_le_bytes();
    Ok(())
}

/// DQ for quadword and VSX accesses, whose low four bits are opcode; else DS,
/// as the relocation's name says.
#[inline(always)]
fn form_at(out: &mut [u8], at: u64) -> Result<Form, FieldError> {
    let insn = Insn(read_word(out, at)?);
    // `ld` and `std` are nearly all that is met.
    if matches!(insn.opcode(), 58 | 62) {
        return Ok(Form::Ds);
    }
    Ok(if Form::of(insn) == Some(Form::Dq) { Form::Dq } else { Form::Ds })
}

#[inline(always)]
fn insert(out: &mut [u8], at: u64, form: Form, value: i64) -> Done {
    let word = read_word(out, at)?;
    let step = if form == Form::Dq { 16 } else { 4 };
    if value & (step - 1) != 0 {
        let reach = Reach { step, ..form.reach_with_addis() };
        return Err(RangeError { distance: value, reach }.into());
    }
    put_word(out, at, form.insert(Insn(word), dform::lo(value))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(put: fn(&mut [u8], u64, i64) -> Done, word: u32, value: i64) -> bool {
        match put(&mut word.to_le_bytes(), 0, value) {
            Ok(()) => true,
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
        type Put = fn(&mut [u8], u64, i64) -> Done;
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
        let mut word = 0xe862_0002_u32.to_le_bytes(); // lwa r3,0(r2)
        put_lo_ds(&mut word, 0, 0x1_2344).unwrap();
        assert_eq!(u32::from_le_bytes(word), 0xe862_2346); // lwa r3,0x2344(r2)
        let mut word = 0xf402_0009_u32.to_le_bytes(); // lxv vs32,0(r2): TX is bit 3
        put_lo_ds(&mut word, 0, 0x10).unwrap();
        assert_eq!(u32::from_le_bytes(word), 0xf402_0019);
        let mut word = 0x4182_0001_u32.to_le_bytes(); // beql
        put_bd(&mut word, 0, -4).unwrap();
        assert_eq!(u32::from_le_bytes(word), 0x4182_fffd);
    }

    #[test]
    fn a_field_ends_where_its_section_does() {
        assert!(put_u64(&mut [0; 9], 1, 0).is_ok());
        assert_eq!(put_u64(&mut [0; 9], 2, 0), Err(FieldError::Outside(8)));
        assert_eq!(put_lo(&mut [0; 4], 3, 0), Err(FieldError::Outside(2)));
        assert_eq!(put_word(&mut [0; 4], u64::MAX, 0), Err(FieldError::Outside(4)));
        assert_eq!(put_lo_ds(&mut [0; 4], 1, 0), Err(FieldError::Outside(4)));
    }
}
