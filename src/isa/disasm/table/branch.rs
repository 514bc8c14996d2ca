//! Primary opcodes 16, 18 and 19: branches, the condition register, returns from
//! interrupts.
//!
//! ```text
//!  BO  0000y dec, CTR != 0 and bit clear   bdnzf     001at bit clear     b* (bge ...)
//!      0001y dec, CTR == 0 and bit clear   bdzf      011at bit set       b* (blt ...)
//!      0100y dec, CTR != 0 and bit set     bdnzt     1a00t dec, CTR != 0 bdnz
//!      0101y dec, CTR == 0 and bit set     bdzt      1a01t dec, CTR == 0 bdz
//!                                                    10100 always
//! ```
//!
//! `at` predicts: 10 not taken (`-`), 11 taken (`+`). CTR is not decremented by a
//! branch to CTR.
//!
//! # References
//! Power ISA Book I, "Branch Facility".

use crate::isa::disasm::operand::Operand::*;
use crate::isa::disasm::row::{AA, LK, Row, row};

/// Branches and their condition bits.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    // 18: to an address or over a distance, 32 MiB
    row("b", LK | AA, 0x4800_0000, [LI]),

    // 16: on a condition, 32 KiB
    row("bdnzf", LK | AA, 0x4000_0000, [Y, BI, BD]),
    row("bdzf",  LK | AA, 0x4040_0000, [Y, BI, BD]),
    row("bdnzt", LK | AA, 0x4100_0000, [Y, BI, BD]),
    row("bdzt",  LK | AA, 0x4140_0000, [Y, BI, BD]),
    row("bdnz",  LK | AA, 0x4200_0000, [AT, BD]),
    row("bdz",   LK | AA, 0x4240_0000, [AT, BD]),
    row("b*",    LK | AA, 0x4080_0000, [COND, BD]),
    row("bc",    LK | AA, 0x4000_0000, [BO, BI, BD]),

    // 19: to LR
    row("blr",     LK, 0x4e80_0020, [BH]),
    row("bdnzflr", LK, 0x4c00_0020, [BI, BH]),
    row("bdzflr",  LK, 0x4c40_0020, [BI, BH]),
    row("bdnztlr", LK, 0x4d00_0020, [BI, BH]),
    row("bdztlr",  LK, 0x4d40_0020, [BI, BH]),
    row("bdnzlr",  LK, 0x4e00_0020, [AT, BH]),
    row("bdzlr",   LK, 0x4e40_0020, [AT, BH]),
    row("b*lr",    LK, 0x4c80_0020, [COND, BH]),
    row("bclr",    LK, 0x4c00_0020, [BO, BI, BH]),

    // 19: to CTR
    row("bctr",  LK, 0x4e80_0420, [BH]),
    row("b*ctr", LK, 0x4c80_0420, [COND, BH]),
    row("bcctr", LK, 0x4c00_0420, [BO, BI, BH]),

    // 19: to TAR
    row("btar",     LK, 0x4e80_0460, [BH]),
    row("bdnzftar", LK, 0x4c00_0460, [BI, BH]),
    row("bdzftar",  LK, 0x4c40_0460, [BI, BH]),
    row("bdnzttar", LK, 0x4d00_0460, [BI, BH]),
    row("bdzttar",  LK, 0x4d40_0460, [BI, BH]),
    row("bdnztar",  LK, 0x4e00_0460, [AT, BH]),
    row("bdztar",   LK, 0x4e40_0460, [AT, BH]),
    row("b*tar",    LK, 0x4c80_0460, [COND, BH]),
    row("bctar",    LK, 0x4c00_0460, [BO, BI, BH]),

    // 19: condition register
    row("mcrf",   0, 0x4c00_0000, [BF, BFA]),
    row("crclr",  0, 0x4c00_0182, [SAMEBAB, BT]),
    row("crxor",  0, 0x4c00_0182, [BT, BA, BB]),
    row("crset",  0, 0x4c00_0242, [SAMEBAB, BT]),
    row("creqv",  0, 0x4c00_0242, [BT, BA, BB]),
    row("crnot",  0, 0x4c00_0042, [BT, BA, SAMEBB]),
    row("crnor",  0, 0x4c00_0042, [BT, BA, BB]),
    row("crmove", 0, 0x4c00_0382, [BT, BA, SAMEBB]),
    row("cror",   0, 0x4c00_0382, [BT, BA, BB]),
    row("crand",  0, 0x4c00_0202, [BT, BA, BB]),
    row("crandc", 0, 0x4c00_0102, [BT, BA, BB]),
    row("crnand", 0, 0x4c00_01c2, [BT, BA, BB]),
    row("crorc",  0, 0x4c00_0342, [BT, BA, BB]),

    // 19: returns, order, power
    row("rfid",    0, 0x4c00_0024, []),
    row("rfscv",   0, 0x4c00_00a4, []),
    row("hrfid",   0, 0x4c00_0224, []),
    row("urfid",   0, 0x4c00_0264, []),
    row("isync",   0, 0x4c00_012c, []),
    row("stop",    0, 0x4c00_02e4, []),
    row("lnia",    0, 0x4c00_0004, [RT]),
    row("addpcis", 0, 0x4c00_0004, [RT, DX]),
];
