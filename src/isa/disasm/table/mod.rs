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

/// The prefixed no-op.
pub const PNOP: u32 = 0x0700_0000;
static PNOP_ROW: Row = row("pnop", 0, 0, []);

/// The row of an instruction of two words.
pub fn find_prefixed(prefix: u32, word: u32) -> Option<&'static Row> {
    const RA: u32 = 0x001f_0000;
    let rows = match prefix & !(super::PREFIX_D | PREFIX_R) {
        // Any word may stand behind it that objdump takes for no instruction.
        PNOP if prefix == PNOP => return (word == 0).then_some(&PNOP_ROW),
        0x0400_0000 => base::PREFIXED_8LS,
        0x0600_0000 => base::PREFIXED_MLS,
        _ => return None,
    };
    // What counts from the instruction has no base register.
    let both = prefix & PREFIX_R != 0 && word & RA != 0;
    rows.iter().find(|row| row.fits(word)).filter(|_| !both)
}
