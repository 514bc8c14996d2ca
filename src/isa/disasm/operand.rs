//! Operands: which bits of the word each takes, and how it is written.
//!
//! Most are a [`Field`]: so many bits at a place, read as a register or number.
//! The others either lie scattered (`SH6`, `XT`), or are tied to another part
//! of the word: `sldi` is a `rldicr` whose mask ends where the shift says, and
//! the operand `SLDI` fits only then. An operand that fits no word of a row
//! keeps the row from being chosen; the next row, the general form, is.
//!
//! Bits are counted from the low end here (`RT` lies at 21), not as the Power
//! ISA does from the high end (`RT` is its bits 6 to 10).
//!
//! # References
//! Power ISA Book I, "Instruction Fields".

use core::fmt;

use super::{ABSOLUTE, Disassembly, OPCODE_BC, Text, spr};
use crate::addr::Vaddr;

/// One operand of a row, under the field's name in the ISA where it has one.
#[allow(clippy::upper_case_acronyms, reason = "the names of the ISA")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Operand {
    /// No operand: fills a row's list up.
    Nothing,
    // General registers. `RA0` means a zero, not r0, where it is 0. A base that
    // is updated is not r0 (`RAU`), nor what is loaded (`RAL`).
    RT,
    RA,
    RB,
    RC,
    RA0,
    RAU,
    RAL,
    // Floating-point and vector registers.
    FRT,
    FRA,
    FRB,
    FRC,
    VRT,
    VRA,
    VRB,
    VRC,
    // Vector-scalar registers: five bits in one place, the sixth in another.
    XT,
    XA,
    XB,
    XC,
    /// As `XT`, with the sixth bit where `lxv` has it.
    XTQ,
    /// An even-odd pair of them.
    XTP,
    // Condition register: fields and bits. `OBF` is left out where it is 0.
    BF,
    BFA,
    OBF,
    BT,
    BA,
    BB,
    BC,
    // Numbers.
    SI,
    UI,
    TO,
    SH,
    MB,
    ME,
    /// Signed five bits.
    S5AT16,
    U1AT15,
    U1AT21,
    U2AT8,
    U2AT9,
    U2AT16,
    U3AT16,
    U3AT23,
    U4AT11,
    U4AT6,
    U4AT12,
    U4AT16,
    U5AT16,
    U7AT5,
    U7AT16,
    U8AT11,
    U8AT12,
    U8AT17,
    // Numbers that are left out where they are 0.
    O1AT0,
    O1AT16,
    O3AT21,
    O7AT5,
    // `TH` of a prefetch, without the part that is in its name.
    OTHCT,
    OTHDS,
    // Numbers in two pieces.
    SH6,
    MB6,
    /// The mask of `xvtstdcdp`, in three.
    DCMX,
    /// Signed, in three: `addpcis`.
    DX,
    // Memory: `displacement(register)`, in 16 bits, in the upper 14 or 12 of
    // them; and with a base that is updated, of a store and of a load.
    D,
    DS,
    DQ,
    DU,
    DL,
    DSU,
    DSL,
    /// With a 34-bit displacement, half of it in the prefix.
    D34,
    /// The same as a register and a number: `paddi`, which without a register
    /// is `pli`, and relative to itself `pla`.
    SI34,
    // Branch targets.
    LI,
    BD,
    // Conditions of branches: what is decremented, tested and expected.
    BO,
    /// The condition bit, where it is an operand.
    BI,
    /// The whole condition, where it is in the mnemonic.
    COND,
    /// The prediction of a branch that only decrements.
    AT,
    /// A bit that old software predicted with; it does not show.
    Y,
    /// Where the target came from; left out where it is 0.
    BH,
    /// The condition of a trap, where it is in the mnemonic.
    TRAP,
    // Special-purpose registers: by number, or by name in the mnemonic.
    SPR,
    MFSPR,
    MTSPR,
    /// The mask of `mtocrf`, exactly one bit.
    FXM1,
    /// The last four operands of `tlbie`.
    TLB,
    // Two fields that must hold one register, or none; only the other shows.
    SAMERB,
    SAMEVB,
    SAMEXB,
    SAMEBB,
    SAMEBAB,
    // Rotates that are called shifts or clears. The shift or the number of
    // cleared bits shows, the rest follows from it.
    SLWI,
    SRWI,
    CLRRWI,
    SLDI,
    SRDI,
    CLRRDI,
    /// The lane of `xxspltd`: both bits of the selector alike.
    LANE,
}
use Operand::*;

/// What a field holds.
#[derive(Clone, Copy)]
enum Kind {
    Gpr,
    GprOrZero,
    Fpr,
    Vr,
    CrField,
    CrBit,
    Unsigned,
    Optional,
    Signed,
}

/// `len` bits of the word, the lowest at `at`.
#[derive(Clone, Copy)]
struct Field {
    kind: Kind,
    at: u32,
    len: u32,
}

const fn of(kind: Kind, at: u32, len: u32) -> Option<Field> {
    Some(Field { kind, at, len })
}

/// `len` bits of a word, the lowest at `at`.
const fn cut(word: u32, at: u32, len: u32) -> u32 {
    word >> at & ((1 << len) - 1)
}

/// The low `len` bits of `value` as a signed number.
const fn signed(value: u32, len: u32) -> i32 {
    (value << (32 - len)).cast_signed() >> (32 - len)
}

/// `SH6` and its like: five bits at `at`, the sixth at `high`.
const fn six(word: u32, at: u32, high: u32) -> u32 {
    cut(word, at, 5) | cut(word, high, 1) << 5
}

const BH_BITS: u32 = 0x1800;

/// The `BO` that are defined, a bit each (Book I, "Branch Instructions").
const BO_DEFINED: u32 = 0x0f15_d5d5;

/// Names of the conditions of a trap, in the order of `TRAP_TO`.
const TRAP_NAMES: [&str; 11] =
    ["lgt", "llt", "eq", "lge", "lle", "gt", "ge", "lt", "le", "ne", "u"];
const TRAP_TO: [u8; 11] = [1, 2, 4, 5, 6, 8, 12, 16, 20, 24, 31];

/// Names of the bits of a condition field; as conditions, set and clear.
const BIT_NAMES: [&str; 4] = ["lt", "gt", "eq", "so"];
const CLEAR_NAMES: [&str; 4] = ["ge", "le", "ne", "ns"];

impl Operand {
    const fn field(self) -> Option<Field> {
        match self {
            RT => of(Kind::Gpr, 21, 5),
            RA | RAU | RAL => of(Kind::Gpr, 16, 5),
            RB => of(Kind::Gpr, 11, 5),
            RC => of(Kind::Gpr, 6, 5),
            RA0 => of(Kind::GprOrZero, 16, 5),
            FRT => of(Kind::Fpr, 21, 5),
            FRA => of(Kind::Fpr, 16, 5),
            FRB => of(Kind::Fpr, 11, 5),
            FRC => of(Kind::Fpr, 6, 5),
            VRT => of(Kind::Vr, 21, 5),
            VRA => of(Kind::Vr, 16, 5),
            VRB => of(Kind::Vr, 11, 5),
            VRC => of(Kind::Vr, 6, 5),
            BF => of(Kind::CrField, 23, 3),
            BFA => of(Kind::CrField, 18, 3),
            BT => of(Kind::CrBit, 21, 5),
            BA | BI => of(Kind::CrBit, 16, 5),
            BB => of(Kind::CrBit, 11, 5),
            BC => of(Kind::CrBit, 6, 5),
            SI => of(Kind::Signed, 0, 16),
            UI => of(Kind::Unsigned, 0, 16),
            TO => of(Kind::Unsigned, 21, 5),
            SH => of(Kind::Unsigned, 11, 5),
            MB => of(Kind::Unsigned, 6, 5),
            ME => of(Kind::Unsigned, 1, 5),
            S5AT16 => of(Kind::Signed, 16, 5),
            U1AT15 => of(Kind::Unsigned, 15, 1),
            U1AT21 => of(Kind::Unsigned, 21, 1),
            U2AT8 => of(Kind::Unsigned, 8, 2),
            U2AT9 => of(Kind::Unsigned, 9, 2),
            U2AT16 => of(Kind::Unsigned, 16, 2),
            U3AT16 => of(Kind::Unsigned, 16, 3),
            U3AT23 => of(Kind::Unsigned, 23, 3),
            U4AT11 => of(Kind::Unsigned, 11, 4),
            U4AT6 => of(Kind::Unsigned, 6, 4),
            U4AT12 => of(Kind::Unsigned, 12, 4),
            U4AT16 => of(Kind::Unsigned, 16, 4),
            U5AT16 => of(Kind::Unsigned, 16, 5),
            U7AT5 => of(Kind::Unsigned, 5, 7),
            U7AT16 => of(Kind::Unsigned, 16, 7),
            U8AT11 => of(Kind::Unsigned, 11, 8),
            U8AT12 => of(Kind::Unsigned, 12, 8),
            U8AT17 => of(Kind::Unsigned, 17, 8),
            O1AT0 => of(Kind::Optional, 0, 1),
            O1AT16 => of(Kind::Optional, 16, 1),
            BH => of(Kind::Optional, 11, 2),
            O3AT21 => of(Kind::Optional, 21, 3),
            O7AT5 => of(Kind::Optional, 5, 7),
            _ => None,
        }
    }

    /// The bits of the word that this operand takes.
    pub const fn bits(self) -> u32 {
        if let Some(field) = self.field() {
            return ((1 << field.len) - 1) << field.at;
        }
        match self {
            XT => 0x03e0_0001,
            XA => 0x001f_0004,
            XB => 0x0000_f802,
            XC => 0x0000_07c8,
            XTQ => 0x03e0_0008,
            XTP => 0x03e0_0000,
            OBF => 0x0380_0000,
            SAMERB | SAMEVB | SAMEBB => 0x0000_f800,
            OTHCT | OTHDS => 0x00e0_0000,
            SH6 => 0x0000_f802,
            MB6 | CLRRDI => 0x0000_07e0,
            DCMX => 0x001f_0044,
            DX => 0x001f_ffc1,
            D | DU | DL | D34 | SI34 => 0x001f_ffff,
            DS | DSU | DSL => 0x001f_fffc,
            DQ => 0x001f_fff0,
            LI => 0x03ff_fffc,
            BD => 0x0000_fffc,
            BO | TRAP => 0x03e0_0000,
            COND => 0x017f_0000,
            AT => 0x0120_0000,
            Y => 0x0020_0000,
            SPR | MFSPR | MTSPR | SAMEBAB => 0x001f_f800,
            FXM1 => 0x000f_f000,
            TLB => 0x03ef_0000,
            SAMEXB => 0x0000_f802,
            SLWI => 0x0000_f83e,
            SRWI => 0x0000_ffc0,
            CLRRWI => 0x0000_003e,
            SLDI | SRDI => 0x0000_ffe2,
            LANE => 0x0000_0300,
            _ => 0,
        }
    }

    /// True if the word's bits are ones that this operand can have.
    pub fn fits(self, word: u32) -> bool {
        let b_form = word >> 26 == OPCODE_BC;
        match self {
            RAU | DU | DSU => cut(word, 16, 5) != 0,
            RAL | DL | DSL => cut(word, 16, 5) != 0 && cut(word, 16, 5) != cut(word, 21, 5),
            AT => cut(word, 24, 1) == 1 || cut(word, 21, 1) == 0 || b_form,
            COND => cut(word, 21, 2) != 1 || b_form,
            BO => BO_DEFINED >> cut(word, 21, 5) & 1 == 1,
            TRAP => trap_name(word).is_some(),
            // 528 and on are block address translation registers, which no
            // 64-bit CPU has.
            SPR => !(528..544).contains(&spr::number(word)),
            MFSPR => spr::name(spr::number(word), spr::READ).is_some(),
            MTSPR => spr::name(spr::number(word), spr::WRITE).is_some(),
            FXM1 => cut(word, 12, 8).is_power_of_two(),
            SAMERB => cut(word, 11, 5) == cut(word, 21, 5),
            SAMEVB | SAMEBB => cut(word, 11, 5) == cut(word, 16, 5),
            SAMEXB => six(word, 11, 1) == six(word, 16, 2),
            SAMEBAB => {
                let bit = cut(word, 21, 5);
                cut(word, 16, 5) == bit && cut(word, 11, 5) == bit
            }
            SLWI => cut(word, 11, 5) + cut(word, 1, 5) == 31,
            SRWI => cut(word, 11, 5) + cut(word, 6, 5) == 32,
            SLDI => six(word, 11, 1) + six(word, 6, 5) == 63,
            SRDI => six(word, 11, 1) + six(word, 6, 5) == 64,
            LANE => matches!(cut(word, 8, 2), 0 | 3),
            _ => true,
        }
    }

    /// What the operand puts into the mnemonic's hole: `b*` of `beq`.
    pub fn infix(self, insn: &Disassembly) -> Option<&'static str> {
        let word = insn.word;
        match self {
            SI34 if insn.relative_address().is_some() => Some("la"),
            SI34 if word & RA.bits() == 0 => Some("li"),
            SI34 => Some("addi"),
            COND => {
                let names = if cut(word, 24, 1) == 1 { &BIT_NAMES } else { &CLEAR_NAMES };
                names.get(cut(word, 16, 2) as usize).copied()
            }
            TRAP => trap_name(word),
            MFSPR => spr::name(spr::number(word), spr::READ),
            MTSPR => spr::name(spr::number(word), spr::WRITE),
            _ => None,
        }
    }

    /// What software predicts: `+` taken, `-` not.
    pub fn hint(self, word: u32) -> Option<char> {
        let predicts = match self {
            COND => cut(word, 22, 1) == 1,
            AT => cut(word, 24, 1) == 1,
            BO => cut(word, 24, 2) == 3,
            _ => false,
        };
        predicts.then(|| if cut(word, 21, 1) == 1 { '+' } else { '-' })
    }

    /// Writes the operand; several of them, or nothing, for some.
    pub fn write(self, insn: &Disassembly, text: &mut Text<'_, '_>) -> fmt::Result {
        let word = insn.word;
        if let Some(Field { kind, at, len }) = self.field() {
            return write_field(kind, cut(word, at, len), len, text);
        }
        let cr = cut(word, 18, 3);
        match self {
            XT => vsr(six(word, 21, 0), text),
            XA => vsr(six(word, 16, 2), text),
            XB => vsr(six(word, 11, 1), text),
            XC => vsr(six(word, 6, 3), text),
            XTQ => vsr(six(word, 21, 3), text),
            XTP => vsr(cut(word, 21, 1) << 5 | cut(word, 22, 4) << 1, text),
            OBF if cut(word, 23, 3) != 0 => write_field(Kind::CrField, cut(word, 23, 3), 3, text),
            OTHCT if cut(word, 21, 5) != 0 => number(cut(word, 21, 5), text),
            OTHDS if cut(word, 21, 5) != 8 => number(cut(word, 21, 5), text),
            SH6 => number(six(word, 11, 1), text),
            MB6 => number(six(word, 6, 5), text),
            DCMX => number(cut(word, 6, 1) << 6 | cut(word, 2, 1) << 5 | cut(word, 16, 5), text),
            DX => {
                let value = cut(word, 6, 10) << 6 | cut(word, 16, 5) << 1 | cut(word, 0, 1);
                text.item()?.write_fmt(format_args!("{}", signed(value, 16)))
            }
            D | DU | DL => memory(signed(word, 16).into(), word, text),
            DS | DSU | DSL => memory(signed(word & 0xfffc, 16).into(), word, text),
            DQ => memory(signed(word & 0xfff0, 16).into(), word, text),
            D34 | SI34 => long_displacement(self, insn, text),
            LI | BD => match insn.branch_target() {
                Some(target) => {
                    text.item()?;
                    text.address(shown_target(word, target))
                }
                None => Ok(()),
            },
            BO => number(cut(word, 21, 5), text),
            COND if cr != 0 || word >> 26 != OPCODE_BC && word & BH_BITS != 0 => {
                write_field(Kind::CrField, cr, 3, text)
            }
            SPR => number(spr::number(word), text),
            FXM1 => number(cut(word, 12, 8), text),
            TLB => tlb(word, text),
            SLWI => number(cut(word, 11, 5), text),
            SRWI => number(cut(word, 6, 5), text),
            CLRRWI => number(31 - cut(word, 1, 5), text),
            SLDI => number(six(word, 11, 1), text),
            SRDI => number(six(word, 6, 5), text),
            CLRRDI => number(63 - six(word, 6, 5), text),
            LANE => number(cut(word, 8, 1), text),
            _ => Ok(()),
        }
    }
}

fn trap_name(word: u32) -> Option<&'static str> {
    let to = cut(word, 21, 5) as u8;
    TRAP_TO.iter().position(|&known| known == to).map(|index| TRAP_NAMES[index])
}

fn write_field(kind: Kind, value: u32, len: u32, text: &mut Text<'_, '_>) -> fmt::Result {
    if matches!(kind, Kind::Optional) && value == 0 {
        return Ok(());
    }
    let f = text.item()?;
    match kind {
        Kind::Gpr => write!(f, "r{value}"),
        Kind::GprOrZero if value == 0 => f.write_str("0"),
        Kind::GprOrZero => write!(f, "r{value}"),
        Kind::Fpr => write!(f, "f{value}"),
        Kind::Vr => write!(f, "v{value}"),
        Kind::CrField => write!(f, "cr{value}"),
        Kind::CrBit => {
            if value >= 4 {
                write!(f, "4*cr{}+", value / 4)?;
            }
            f.write_str(BIT_NAMES[value as usize % 4])
        }
        Kind::Unsigned | Kind::Optional => write!(f, "{value}"),
        Kind::Signed => write!(f, "{}", signed(value, len)),
    }
}

fn number(value: u32, text: &mut Text<'_, '_>) -> fmt::Result {
    write!(text.item()?, "{value}")
}

fn vsr(register: u32, text: &mut Text<'_, '_>) -> fmt::Result {
    write!(text.item()?, "vs{register}")
}

fn memory(displacement: i64, word: u32, text: &mut Text<'_, '_>) -> fmt::Result {
    let base = cut(word, 16, 5);
    let r = if base == 0 { "" } else { "r" };
    write!(text.item()?, "{displacement}({r}{base})")
}

/// objdump shows 32 bits of an absolute target, where an address has 64.
const fn shown_target(word: u32, target: Vaddr) -> Vaddr {
    if word & ABSOLUTE != 0 { Vaddr(target.0 & 0xffff_ffff) } else { target }
}

/// `D34` and `SI34`. Relative to the instruction there is no register, and the
/// sum is said behind the operands.
fn long_displacement(operand: Operand, insn: &Disassembly, text: &mut Text<'_, '_>) -> fmt::Result {
    let value = insn.long_displacement();
    let base = cut(insn.word, 16, 5);
    match operand {
        _ if insn.relative_address().is_some() => write!(text.item()?, "{value}"),
        D34 => memory(value, insn.word, text),
        _ if base == 0 => write!(text.item()?, "{value}"),
        _ => write!(text.item()?, "r{base},{value}"),
    }
}

/// `RS,RIC,PRS,R` of `tlbie`, none but the first if the others are 0. `tlbiel`
/// leaves out the first too.
fn tlb(word: u32, text: &mut Text<'_, '_>) -> fmt::Result {
    const GLOBAL: u32 = 0x40;
    let (rs, ric, prs, r) =
        (cut(word, 21, 5), cut(word, 18, 2), cut(word, 17, 1), cut(word, 16, 1));
    let rest = [ric, prs, r];
    let shown = rest.iter().rposition(|&value| value != 0).map_or(0, |last| last + 1);
    if shown > 0 || rs != 0 || word & GLOBAL != 0 {
        write!(text.item()?, "r{rs}")?;
    }
    rest[..shown].iter().try_for_each(|&value| number(value, text))
}
