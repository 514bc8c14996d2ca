//! Primary opcodes 59 and 63: floating point.
//!
//! # References
//! Power ISA Book I, "Floating-Point Facility".

use crate::isa::disasm::operand::Operand::*;
use crate::isa::disasm::row::{RC, Row, row};

/// Floating point.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    // Double precision
    row("fcmpu",   0,  0xfc00_0000, [BF, FRA, FRB]),
    row("fcpsgn",  RC, 0xfc00_0010, [FRT, FRA, FRB]),
    row("frsp",    RC, 0xfc00_0018, [FRT, FRB]),
    row("fctiw",   RC, 0xfc00_001c, [FRT, FRB]),
    row("fctiwz",  RC, 0xfc00_001e, [FRT, FRB]),
    row("fdiv",    RC, 0xfc00_0024, [FRT, FRA, FRB]),
    row("fsub",    RC, 0xfc00_0028, [FRT, FRA, FRB]),
    row("fadd",    RC, 0xfc00_002a, [FRT, FRA, FRB]),
    row("fsqrt",   RC, 0xfc00_002c, [FRT, FRB]),
    row("fsel",    RC, 0xfc00_002e, [FRT, FRA, FRC, FRB]),
    row("fre",     RC, 0xfc00_0030, [FRT, FRB]),
    row("fmul",    RC, 0xfc00_0032, [FRT, FRA, FRC]),
    row("frsqrte", RC, 0xfc00_0034, [FRT, FRB]),
    row("fmsub",   RC, 0xfc00_0038, [FRT, FRA, FRC, FRB]),
    row("fmadd",   RC, 0xfc00_003a, [FRT, FRA, FRC, FRB]),
    row("fnmsub",  RC, 0xfc00_003c, [FRT, FRA, FRC, FRB]),
    row("fnmadd",  RC, 0xfc00_003e, [FRT, FRA, FRC, FRB]),
    row("fcmpo",   0,  0xfc00_0040, [BF, FRA, FRB]),
    row("fneg",    RC, 0xfc00_0050, [FRT, FRB]),
    row("fmr",     RC, 0xfc00_0090, [FRT, FRB]),
    row("ftdiv",   0,  0xfc00_0100, [BF, FRA, FRB]),
    row("fnabs",   RC, 0xfc00_0110, [FRT, FRB]),
    row("fctiwu",  RC, 0xfc00_011c, [FRT, FRB]),
    row("fctiwuz", RC, 0xfc00_011e, [FRT, FRB]),
    row("ftsqrt",  0,  0xfc00_0140, [BF, FRB]),
    row("fabs",    RC, 0xfc00_0210, [FRT, FRB]),
    row("frin",    RC, 0xfc00_0310, [FRT, FRB]),
    row("friz",    RC, 0xfc00_0350, [FRT, FRB]),
    row("frip",    RC, 0xfc00_0390, [FRT, FRB]),
    row("frim",    RC, 0xfc00_03d0, [FRT, FRB]),
    row("fctid",   RC, 0xfc00_065c, [FRT, FRB]),
    row("fctidz",  RC, 0xfc00_065e, [FRT, FRB]),
    row("fmrgow",  0,  0xfc00_068c, [FRT, FRA, FRB]),
    row("fcfid",   RC, 0xfc00_069c, [FRT, FRB]),
    row("fctidu",  RC, 0xfc00_075c, [FRT, FRB]),
    row("fctiduz", RC, 0xfc00_075e, [FRT, FRB]),
    row("fmrgew",  0,  0xfc00_078c, [FRT, FRA, FRB]),
    row("fcfidu",  RC, 0xfc00_079c, [FRT, FRB]),

    // Single precision
    row("fdivs",    RC, 0xec00_0024, [FRT, FRA, FRB]),
    row("fsubs",    RC, 0xec00_0028, [FRT, FRA, FRB]),
    row("fadds",    RC, 0xec00_002a, [FRT, FRA, FRB]),
    row("fsqrts",   RC, 0xec00_002c, [FRT, FRB]),
    row("fres",     RC, 0xec00_0030, [FRT, FRB]),
    row("fmuls",    RC, 0xec00_0032, [FRT, FRA, FRC]),
    row("frsqrtes", RC, 0xec00_0034, [FRT, FRB]),
    row("fmsubs",   RC, 0xec00_0038, [FRT, FRA, FRC, FRB]),
    row("fmadds",   RC, 0xec00_003a, [FRT, FRA, FRC, FRB]),
    row("fnmsubs",  RC, 0xec00_003c, [FRT, FRA, FRC, FRB]),
    row("fnmadds",  RC, 0xec00_003e, [FRT, FRA, FRC, FRB]),
    row("fcfids",   RC, 0xec00_069c, [FRT, FRB]),
    row("fcfidus",  RC, 0xec00_079c, [FRT, FRB]),

    // Status
    row("mtfsb1", RC, 0xfc00_004c, [TO]),
    row("mcrfs",  0,  0xfc00_0080, [BF, BFA]),
    row("mtfsb0", RC, 0xfc00_008c, [TO]),
    row("mffs",   RC, 0xfc00_048e, [FRT]),
    row("mffsl",  0,  0xfc18_048e, [FRT]),
    row("mtfsf",  RC, 0xfc00_058e, [U8AT17, FRB]),
    row("mtfsfi", RC, 0xfc00_010c, [U3AT23, U4AT12]),
];
