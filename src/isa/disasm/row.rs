//! One row of the table: an instruction's mnemonic, fixed bits and operands.
//!
//! ```text
//!  row("add", OE | RC, 0x7c00_0214, [RT, RA, RB])
//!       |        |         |             |
//!       |        |         |             bits 21-25, 16-20, 11-15
//!       |        |         all bits that are no operand's and no suffix's
//!       |        bit 10 appends `o`, bit 0 a dot: add, add., addo, addo.
//!       mnemonic; a `*` in it is filled by an operand: `b*` is blt, bge, ...
//! ```
//!
//! What a row's mask is follows: every bit that neither an operand nor a suffix
//! takes must be as in the row's word. [`row`] runs in the compiler, where two
//! operands with a bit in common, or a word with an operand's bit set, stop it.
//!
//! A row holds its name, packed, instead of a pointer to it: 20 bytes, and none of them
//! has to be relocated when the kernel starts. The mask is worked out when it is needed.

use super::operand::Operand;
use super::{Disassembly, Text};
use core::fmt::{self, Write as _};

/// Bit 0 set appends a dot: the result is compared with 0.
pub const RC: u8 = 1;
/// Bit 10 set appends `o`: overflow is recorded.
pub const OE: u8 = 2;
/// Bit 0 set appends `l`: the address behind goes to LR.
pub const LK: u8 = 4;
/// Bit 1 set appends `a`: the target is an address, not a distance.
pub const AA: u8 = 8;
/// Bit 10 set appends a dot: vector compares.
pub const RC10: u8 = 16;

/// Each suffix: its flag, its bit, its letter; in the order of writing.
const SUFFIXES: [(u8, u32, char); 5] =
    [(OE, 1 << 10, 'o'), (RC, 1, '.'), (RC10, 1 << 10, '.'), (LK, 1, 'l'), (AA, 2, 'a')];

/// Longest mnemonic.
const NAME: usize = 12;
/// What mnemonics are made of, in the order of their digits; 0 is behind the end. So
/// many that twelve of them fit into 64 bits.
const LETTERS: &[u8; 39] = b"abcdefghijklmnopqrstuvwxyz0123456789._*";
const BASE: u64 = LETTERS.len() as u64 + 1;
const _: () = assert!(BASE.checked_pow(NAME as u32).is_some());
/// Most operands.
const OPERANDS: usize = 5;
/// Mnemonics are padded to this, as objdump does.
const COLUMN: usize = 7;

/// One row; made by [`row`].
pub struct Row {
    word: u32,
    /// The mnemonic as a number of base [`BASE`], low half first: the first letter is
    /// the lowest digit.
    name: [u32; 2],
    suffixes: u8,
    pub(super) operands: [Operand; OPERANDS],
}

const _: () = assert!(size_of::<Row>() <= 20, "the table is a thousand of these");

/// Makes a row.
pub const fn row<const N: usize>(
    name: &str,
    suffixes: u8,
    word: u32,
    operands: [Operand; N],
) -> Row {
    assert!(name.len() <= NAME, "the name does not fit");
    let mut packed = 0;
    let mut i = name.len();
    while i > 0 {
        i -= 1;
        packed = packed * BASE + digit(name.as_bytes()[i]);
    }
    let name = [packed as u32, (packed >> 32) as u32];
    let mut row = Row { word, name, suffixes, operands: [Operand::Nothing; OPERANDS] };
    let mut taken = 0;
    i = 0;
    while i < N {
        assert!(taken & operands[i].bits() == 0, "operands overlap");
        taken |= operands[i].bits();
        row.operands[i] = operands[i];
        i += 1;
    }
    i = 0;
    while i < SUFFIXES.len() {
        if suffixes & SUFFIXES[i].0 != 0 {
            assert!(taken & SUFFIXES[i].1 == 0, "a suffix lies on an operand");
            taken |= SUFFIXES[i].1;
        }
        i += 1;
    }
    assert!(word & taken == 0, "the word has a bit of an operand set");
    row
}

/// The digit of a letter.
const fn digit(letter: u8) -> u64 {
    let mut i = 0;
    while LETTERS[i] != letter {
        i += 1;
    }
    i as u64 + 1
}

impl Row {
    /// The instruction with all operands 0.
    pub const fn word(&self) -> u32 {
        self.word
    }

    /// The bits that operands and suffixes take.
    pub fn free(&self) -> u32 {
        let suffixes = SUFFIXES.iter().filter(|(flag, ..)| self.suffixes & flag != 0);
        let suffixes = suffixes.fold(0, |bits, (_, bit, _)| bits | bit);
        self.operands.iter().fold(suffixes, |bits, operand| bits | operand.bits())
    }

    /// True if the word is this row's instruction.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn fits(&self, word: u32) -> bool {
        // Most rows are out by their fixed ones, which cost no mask.
        word & self.word == self.word
            && word & !self.free() == self.word
            && self.operands.iter().all(|operand| operand.fits(word))
    }

    /// Writes the mnemonic, without what pads it.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub(super) fn write_name(&self, insn: &Disassembly, text: &mut Text<'_, '_>) -> fmt::Result {
        let word = insn.word;
        let mut name = Counted { f: text.f, len: 0 };
        let mut rest = u64::from(self.name[0]) | u64::from(self.name[1]) << 32;
        while let Some(place) = (rest % BASE).checked_sub(1) {
            rest /= BASE;
            match LETTERS[place as usize] {
                b'*' => {
                    let infix = self.operands.iter().find_map(|operand| operand.infix(insn));
                    name.write_str(infix.unwrap_or("?"))?;
                }
                byte => name.write_char(byte.into())?,
            }
        }
        for (flag, bit, letter) in SUFFIXES {
            if self.suffixes & flag != 0 && word & bit != 0 {
                name.write_char(letter)?;
            }
        }
        if let Some(hint) = self.operands.iter().find_map(|operand| operand.hint(word)) {
            name.write_char(hint)?;
        }
        text.gap = 1 + COLUMN.saturating_sub(name.len);
        Ok(())
    }
}

/// Counts the bytes that it passes on.
struct Counted<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    len: usize,
}

impl fmt::Write for Counted<'_, '_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.len += part.len();
        self.f.write_str(part)
    }
}
