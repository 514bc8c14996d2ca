//! Disassembler: an instruction word to the text that GNU objdump gives it.
//!
//! Knows what compilers and assembly for ppc64le contain: fixed and floating
//! point, AltiVec, VSX, branches, the kernel's privileged instructions, and the
//! prefixed loads, stores and adds of POWER10. Left out are decimal floating
//! point, quad precision, matrix assist, transactional memory and what POWER10
//! added to the vector unit: those words print as `.long`, as data does.
//!
//! ```text
//! row.rs       what a row of the table is, and when a word is its instruction
//! operand.rs   the operands: which bits, which words fit, how they are written
//! spr.rs       special-purpose registers that have a mnemonic of their own
//! table/       the rows by primary opcode; the first that fits is taken
//! ```
//!
//! The text is objdump's for `-M power10` (GNU binutils 2.40), simplified
//! mnemonics included: `li`, `mr`, `beq cr7,`, `sldi`. What differs: addresses
//! carry `0x`, and there is a blank for its tab. `tests/disasm.rs` compares the
//! two, over random operands of every row and over Debian's modules.
//!
//! Nothing here allocates: an oops may need it when memory is gone.
//!
//! # References
//! Power ISA 3.1: Book I, "Branch Instructions", "Prefixed Instruction Formats";
//! the appendix "Assembler Extended Mnemonics".

use core::fmt::{self, Write as _};

use super::Insn;
use crate::addr::Vaddr;

mod operand;
mod row;
mod spr;
mod table;

use row::Row;

/// Primary opcode of the first word of a prefixed instruction.
const OPCODE_PREFIX: u32 = 1;
const OPCODE_BC: u32 = 16;
const OPCODE_B: u32 = 18;
/// A branch to an address, not over a distance.
const ABSOLUTE: u32 = 2;
/// R of a prefix: the displacement counts from the instruction.
const PREFIX_R: u32 = 0x0010_0000;
/// The upper half of a prefixed displacement.
const PREFIX_D: u32 = 0x0003_ffff;

/// One instruction, or a word that is none.
#[derive(Clone, Copy)]
pub struct Disassembly {
    at: Vaddr,
    /// 0 if the instruction has none: that is no prefix.
    prefix: u32,
    /// The instruction, or the second word of a prefixed one.
    word: u32,
    row: Option<&'static Row>,
}

/// Looks up the instruction at `at`, which begins with `word`.
///
/// `next` is the word behind it, which a prefixed instruction of POWER10 needs;
/// without it such a prefix is an unknown word.
#[must_use]
pub fn disassemble(at: Vaddr, word: Insn, next: Option<Insn>) -> Disassembly {
    if word.opcode() == OPCODE_PREFIX
        && let Some(next) = next
        && let Some(row) = table::find_prefixed(word.0, next.0)
    {
        return Disassembly { at, prefix: word.0, word: next.0, row: Some(row) };
    }
    Disassembly { at, prefix: 0, word: word.0, row: table::find(word.0) }
}

impl Disassembly {
    /// False if the word prints as `.long`.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.row.is_some()
    }

    /// Bytes from this instruction to the next: 4, or 8 with a prefix.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        if self.prefix == 0 { 4 } else { 8 }
    }

    /// Where a branch leads that says so itself: not `blr`, not `bctr`.
    #[must_use]
    pub const fn branch_target(&self) -> Option<Vaddr> {
        let distance = match self.word >> 26 {
            _ if self.prefix != 0 || self.row.is_none() => return None,
            OPCODE_B => ((self.word & 0x03ff_fffc) << 6).cast_signed() >> 6,
            OPCODE_BC => ((self.word & 0xfffc) << 16).cast_signed() >> 16,
            _ => return None,
        };
        let from = if self.word & ABSOLUTE != 0 { Vaddr(0) } else { self.at };
        Some(from.offset(distance as i64))
    }

    /// The address that a prefixed instruction means relative to its own.
    const fn relative_address(&self) -> Option<Vaddr> {
        if self.prefix & PREFIX_R == 0 || !self.has_long_displacement() {
            return None;
        }
        Some(self.at.offset(self.long_displacement()))
    }

    const fn has_long_displacement(&self) -> bool {
        // All prefixed instructions in the table but `pnop`.
        self.prefix != 0 && self.prefix != table::PNOP
    }

    /// The signed displacement of 34 bits, half of it in each word.
    const fn long_displacement(&self) -> i64 {
        let (high, low) = ((self.prefix & PREFIX_D) as u64, (self.word & 0xffff) as u64);
        ((high << 16 | low) << 30).cast_signed() >> 30
    }

    /// The same text with names behind the addresses in it: `name` is given each
    /// address and writes what shall follow, such as ` <function+0x10>`.
    #[must_use]
    pub fn named<'a>(&'a self, name: &'a Namer) -> Named<'a> {
        Named { insn: self, name }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, name: Option<&Namer>) -> fmt::Result {
        let Some(row) = self.row else {
            return write!(f, ".long {:#x}", self.word);
        };
        let mut text = Text { f, gap: 0, items: 0, name };
        row.write_name(self, &mut text)?;
        row.operands.iter().try_for_each(|operand| operand.write(self, &mut text))?;
        match self.relative_address() {
            Some(address) => {
                text.f.write_str(" # ")?;
                text.address(address)
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Disassembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

/// Writes what belongs behind an address.
pub type Namer = dyn Fn(Vaddr, &mut fmt::Formatter<'_>) -> fmt::Result;

/// A [`Disassembly`] whose addresses are named; made by [`Disassembly::named`].
pub struct Named<'a> {
    insn: &'a Disassembly,
    name: &'a Namer,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.insn.write(f, Some(self.name))
    }
}

/// A line being written: mnemonic, a gap, operands with commas between.
struct Text<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    /// Blanks between mnemonic and operands.
    gap: usize,
    /// Operands written so far.
    items: usize,
    name: Option<&'a Namer>,
}

impl<'f> Text<'_, 'f> {
    /// Begins another operand.
    fn item(&mut self) -> Result<&mut fmt::Formatter<'f>, fmt::Error> {
        if self.items == 0 {
            (0..self.gap).try_for_each(|_| self.f.write_char(' '))?;
        } else {
            self.f.write_char(',')?;
        }
        self.items += 1;
        Ok(self.f)
    }

    fn address(&mut self, address: Vaddr) -> fmt::Result {
        write!(self.f, "{address}")?;
        self.name.map_or(Ok(()), |name| name(address, self.f))
    }
}
