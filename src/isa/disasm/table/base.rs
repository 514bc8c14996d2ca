//! Immediates, rotates, loads and stores with an offset, and their prefixed forms.
//!
//! # References
//! Power ISA Book I, "Fixed-Point Facility", "Prefixed Instruction Formats".

use crate::isa::disasm::operand::Operand::{self, *};
use crate::isa::disasm::row::{RC, Row, row};

/// The same bits as `RT`, where the register is a source.
const RS: Operand = RT;

/// What has a primary opcode of its own, or nearly.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    // Traps
    row("td*i", 0, 0x0800_0000, [TRAP, RA, SI]),
    row("tdi",  0, 0x0800_0000, [TO, RA, SI]),
    row("tw*i", 0, 0x0c00_0000, [TRAP, RA, SI]),
    row("twi",  0, 0x0c00_0000, [TO, RA, SI]),

    // Arithmetic
    row("mulli",  0, 0x1c00_0000, [RT, RA, SI]),
    row("subfic", 0, 0x2000_0000, [RT, RA, SI]),
    row("addic",  0, 0x3000_0000, [RT, RA, SI]),
    row("addic.", 0, 0x3400_0000, [RT, RA, SI]),
    row("li",     0, 0x3800_0000, [RT, SI]),
    row("addi",   0, 0x3800_0000, [RT, RA, SI]),
    row("lis",    0, 0x3c00_0000, [RT, SI]),
    row("addis",  0, 0x3c00_0000, [RT, RA, SI]),

    // Compares
    row("cmplwi", 0, 0x2800_0000, [OBF, RA, UI]),
    row("cmpldi", 0, 0x2820_0000, [OBF, RA, UI]),
    row("cmpwi",  0, 0x2c00_0000, [OBF, RA, SI]),
    row("cmpdi",  0, 0x2c20_0000, [OBF, RA, SI]),

    // System calls; stop and tell the service processor
    row("sc",   0, 0x4400_0002, [O7AT5]),
    row("scv",  0, 0x4400_0001, [U7AT5]),
    row("attn", 0, 0x0000_0200, []),

    // Rotates of words
    row("rlwimi", RC, 0x5000_0000, [RA, RS, SH, MB, ME]),
    row("rotlwi", RC, 0x5400_003e, [RA, RS, SH]),
    row("clrlwi", RC, 0x5400_003e, [RA, RS, MB]),
    row("clrrwi", RC, 0x5400_0000, [RA, RS, CLRRWI]),
    row("slwi",   RC, 0x5400_0000, [RA, RS, SLWI]),
    row("srwi",   RC, 0x5400_003e, [RA, RS, SRWI]),
    row("rlwinm", RC, 0x5400_0000, [RA, RS, SH, MB, ME]),
    row("rotlw",  RC, 0x5c00_003e, [RA, RS, RB]),
    row("rlwnm",  RC, 0x5c00_0000, [RA, RS, RB, MB, ME]),

    // Rotates of doublewords
    row("rotldi", RC, 0x7800_0000, [RA, RS, SH6]),
    row("clrldi", RC, 0x7800_0000, [RA, RS, MB6]),
    row("srdi",   RC, 0x7800_0000, [RA, RS, SRDI]),
    row("rldicl", RC, 0x7800_0000, [RA, RS, SH6, MB6]),
    row("clrrdi", RC, 0x7800_0004, [RA, RS, CLRRDI]),
    row("sldi",   RC, 0x7800_0004, [RA, RS, SLDI]),
    row("rldicr", RC, 0x7800_0004, [RA, RS, SH6, MB6]),
    row("rldic",  RC, 0x7800_0008, [RA, RS, SH6, MB6]),
    row("rldimi", RC, 0x7800_000c, [RA, RS, SH6, MB6]),
    row("rotld",  RC, 0x7800_0010, [RA, RS, RB]),
    row("rldcl",  RC, 0x7800_0010, [RA, RS, RB, MB6]),
    row("rldcr",  RC, 0x7800_0012, [RA, RS, RB, MB6]),

    // Logical
    row("nop",    0, 0x6000_0000, []),
    row("ori",    0, 0x6000_0000, [RA, RS, UI]),
    row("oris",   0, 0x6400_0000, [RA, RS, UI]),
    row("xnop",   0, 0x6800_0000, []),
    row("xori",   0, 0x6800_0000, [RA, RS, UI]),
    row("xoris",  0, 0x6c00_0000, [RA, RS, UI]),
    row("andi.",  0, 0x7000_0000, [RA, RS, UI]),
    row("andis.", 0, 0x7400_0000, [RA, RS, UI]),

    // Loads
    row("lwz",  0, 0x8000_0000, [RT, D]),
    row("lwzu", 0, 0x8400_0000, [RT, DL]),
    row("lbz",  0, 0x8800_0000, [RT, D]),
    row("lbzu", 0, 0x8c00_0000, [RT, DL]),
    row("lhz",  0, 0xa000_0000, [RT, D]),
    row("lhzu", 0, 0xa400_0000, [RT, DL]),
    row("lha",  0, 0xa800_0000, [RT, D]),
    row("lhau", 0, 0xac00_0000, [RT, DL]),
    row("ld",   0, 0xe800_0000, [RT, DS]),
    row("ldu",  0, 0xe800_0001, [RT, DSL]),
    row("lwa",  0, 0xe800_0002, [RT, DS]),

    // Stores
    row("stw",  0, 0x9000_0000, [RS, D]),
    row("stwu", 0, 0x9400_0000, [RS, DU]),
    row("stb",  0, 0x9800_0000, [RS, D]),
    row("stbu", 0, 0x9c00_0000, [RS, DU]),
    row("sth",  0, 0xb000_0000, [RS, D]),
    row("sthu", 0, 0xb400_0000, [RS, DU]),
    row("std",  0, 0xf800_0000, [RS, DS]),
    row("stdu", 0, 0xf800_0001, [RS, DSU]),

    // Floating-point and vector-scalar loads and stores
    row("lxvp",   0, 0x1800_0000, [XTP, DQ]),
    row("stxvp",  0, 0x1800_0001, [XTP, DQ]),
    row("lfs",    0, 0xc000_0000, [FRT, D]),
    row("lfsu",   0, 0xc400_0000, [FRT, DU]),
    row("lfd",    0, 0xc800_0000, [FRT, D]),
    row("lfdu",   0, 0xcc00_0000, [FRT, DU]),
    row("stfs",   0, 0xd000_0000, [FRT, D]),
    row("stfsu",  0, 0xd400_0000, [FRT, DU]),
    row("stfd",   0, 0xd800_0000, [FRT, D]),
    row("stfdu",  0, 0xdc00_0000, [FRT, DU]),
    row("lxsd",   0, 0xe400_0002, [VRT, DS]),
    row("lxssp",  0, 0xe400_0003, [VRT, DS]),
    row("lxv",    0, 0xf400_0001, [XTQ, DQ]),
    row("stxsd",  0, 0xf400_0002, [VRT, DS]),
    row("stxssp", 0, 0xf400_0003, [VRT, DS]),
    row("stxv",   0, 0xf400_0005, [XTQ, DQ]),
];

/// Second words behind a prefix of the 8LS form: loads and stores whose word alone
/// means something else.
#[rustfmt::skip]
pub static PREFIXED_8LS: &[Row] = &[
    row("plwa",    0, 0xa400_0000, [RT, D34]),
    row("pld",     0, 0xe400_0000, [RT, D34]),
    row("pstd",    0, 0xf400_0000, [RS, D34]),
    row("plxsd",   0, 0xa800_0000, [VRT, D34]),
    row("plxssp",  0, 0xac00_0000, [VRT, D34]),
    row("pstxsd",  0, 0xb800_0000, [VRT, D34]),
    row("pstxssp", 0, 0xbc00_0000, [VRT, D34]),
];

/// Second words behind a prefix of the MLS form: the words of the forms without one.
#[rustfmt::skip]
pub static PREFIXED_MLS: &[Row] = &[
    row("p*",    0, 0x3800_0000, [RT, SI34]),
    row("plwz",  0, 0x8000_0000, [RT, D34]),
    row("plbz",  0, 0x8800_0000, [RT, D34]),
    row("pstw",  0, 0x9000_0000, [RS, D34]),
    row("pstb",  0, 0x9800_0000, [RS, D34]),
    row("plhz",  0, 0xa000_0000, [RT, D34]),
    row("plha",  0, 0xa800_0000, [RT, D34]),
    row("psth",  0, 0xb000_0000, [RS, D34]),
    row("plfs",  0, 0xc000_0000, [FRT, D34]),
    row("plfd",  0, 0xc800_0000, [FRT, D34]),
    row("pstfs", 0, 0xd000_0000, [FRT, D34]),
    row("pstfd", 0, 0xd800_0000, [FRT, D34]),
];
