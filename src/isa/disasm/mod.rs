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

/// One row of the table as a test sees it: bits that are given, bits that are free.
pub struct Shape {
    /// First word, without its free bits; 0 if the instruction has one word.
    pub prefix: u32,
    /// The instruction with all operands 0.
    pub word: u32,
    /// Bits of `word` that belong to operands and suffixes.
    pub free: u32,
    row: &'static Row,
}

impl Shape {
    /// True if the instruction was found in this row, and not in one above it.
    #[must_use]
    pub fn is_of(&self, insn: &Disassembly) -> bool {
        insn.row.is_some_and(|row| core::ptr::eq(row, self.row))
    }
}

/// The rows of the table, so that a test can make words of each.
pub fn shapes() -> impl Iterator<Item = Shape> {
    table::all().map(|(prefix, row)| Shape { prefix, word: row.word(), free: row.free(), row })
}

/// Bits of a prefix that belong to the operands.
pub const PREFIX_FREE: u32 = PREFIX_D | PREFIX_R;

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

    #[cfg_attr(target_os = "none", optimize(size))]
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

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Vaddr = Vaddr(0x1000);

    fn text(word: u32) -> String {
        disassemble(AT, Insn(word), None).to_string()
    }

    /// Texts from objdump.
    #[test]
    fn text_is_padded_to_a_column_and_ends_behind_the_last_operand() {
        assert_eq!(text(0x6000_0000), "nop");
        assert_eq!(text(0x7c08_02a6), "mflr    r0");
        assert_eq!(text(0x3860_ffff), "li      r3,-1");
        assert_eq!(text(0x1000_0508), "vcipher v0,v0,v0");
        assert_eq!(text(0x1000_0509), "vcipherlast v0,v0,v0");
        assert_eq!(text(0), ".long 0x0");
    }

    #[test]
    fn a_branch_says_where_it_leads_and_takes_a_name() {
        let beq = disassemble(AT, Insn(0x419e_fff8), None);
        assert_eq!(beq.branch_target(), Some(Vaddr(0xff8)));
        assert_eq!(beq.to_string(), "beq     cr7,0xff8");
        let name = |at: Vaddr, f: &mut fmt::Formatter<'_>| write!(f, " <f+{:#x}>", at.0 - 0xff0);
        assert_eq!(beq.named(&name).to_string(), "beq     cr7,0xff8 <f+0x8>");
        let bla = disassemble(AT, Insn(0x4bff_ffff), None);
        assert_eq!(bla.branch_target(), Some(Vaddr(0xffff_ffff_ffff_fffc)));
        assert_eq!(disassemble(AT, Insn(0x4e80_0020), None).branch_target(), None);
        // A condition that is not defined is no instruction, so leads nowhere.
        assert_eq!(disassemble(AT, Insn(0x42a0_0100), None).branch_target(), None);
    }

    /// `pld r3,16` relative to itself: 04100000 e4600010.
    #[test]
    fn a_prefix_needs_the_word_behind_it() {
        let (prefix, word) = (Insn(0x0410_0000), Insn(0xe460_0010));
        let pld = disassemble(AT, prefix, Some(word));
        assert_eq!((pld.len_bytes(), pld.is_known()), (8, true));
        assert_eq!(pld.to_string(), "pld     r3,16 # 0x1010");
        assert_eq!(pld.branch_target(), None);
        let cut = disassemble(AT, prefix, None);
        assert_eq!((cut.len_bytes(), cut.is_known()), (4, false));
        assert_eq!(cut.to_string(), ".long 0x4100000");
    }

    #[test]
    fn displacements_of_34_bits_keep_their_sign() {
        let paddi = |prefix| disassemble(AT, Insn(prefix), Some(Insn(0x3864_0000))).to_string();
        assert_eq!(paddi(0x0601_ffff), "paddi   r3,r4,8589869056");
        assert_eq!(paddi(0x0602_0000), "paddi   r3,r4,-8589934592");
    }
}
