//! The table, by primary opcode (the six leading bits).
//!
//! ```text
//! branch.rs   16 18 19      branches, condition bits, returns from interrupts
//! base.rs     0-30 32-62    immediates, rotates, loads and stores with an offset
//! fixed.rs    31            the X form: register and register
//! vector.rs   4             AltiVec
//! vsx.rs      60            VSX
//! float.rs    59 63         floating point
//! ```
//!
//! Rows are searched from the top and the first that fits is taken, so that a
//! simplified mnemonic stands above the general one: `li`, then `addi`.

use super::PREFIX_R;
use super::row::{Row, row};

mod base;
mod branch;
mod fixed;
mod float;
mod vector;
mod vsx;

/// The row of a word.
pub fn find(word: u32) -> Option<&'static Row> {
    let rows = match word >> 26 {
        4 => vector::ROWS,
        16 | 18 | 19 => branch::ROWS,
        31 => fixed::ROWS,
        59 | 63 => float::ROWS,
        60 => vsx::ROWS,
        _ => base::ROWS,
    };
    rows.iter().find(|row| row.fits(word))
}

/// Prefix of the forms 8LS and MLS, without displacement and R; the no-op.
const LS8: u32 = 0x0400_0000;
const MLS: u32 = 0x0600_0000;
pub const PNOP: u32 = 0x0700_0000;
static PNOP_ROW: Row = row("pnop", 0, 0, []);

/// The row of an instruction of two words.
pub fn find_prefixed(prefix: u32, word: u32) -> Option<&'static Row> {
    const RA: u32 = 0x001f_0000;
    let rows = match prefix & !(super::PREFIX_D | PREFIX_R) {
        // Assemblers put a word of zeros behind it; others mean nothing, or a
        // fault (Book I, "Prefixed Instruction Formats").
        PNOP if prefix == PNOP => return PNOP_ROW.fits(word).then_some(&PNOP_ROW),
        LS8 => base::PREFIXED_8LS,
        MLS => base::PREFIXED_MLS,
        _ => return None,
    };
    // What counts from the instruction has no base register.
    let both = prefix & PREFIX_R != 0 && word & RA != 0;
    rows.iter().find(|row| row.fits(word)).filter(|_| !both)
}

/// Every row, with the prefix that it stands behind, or 0.
pub fn all() -> impl Iterator<Item = (u32, &'static Row)> {
    let plain = [base::ROWS, branch::ROWS, fixed::ROWS, vector::ROWS, vsx::ROWS, float::ROWS];
    let plain = plain.into_iter().flatten().map(|row| (0, row));
    let prefixed = base::PREFIXED_8LS.iter().map(|row| (LS8, row));
    let prefixed = prefixed.chain(base::PREFIXED_MLS.iter().map(|row| (MLS, row)));
    plain.chain(prefixed).chain([(PNOP, &PNOP_ROW)])
}
