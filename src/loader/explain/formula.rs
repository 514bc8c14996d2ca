//! Each relocation type as the ABI writes it: formula and field.
//!
//! S is the symbol's value, A the addend, P the place, TOC what r2 holds. `lo`,
//! `hi` and `ha` are the halves of a displacement; `ha` is `hi` of the value plus
//! 0x8000, because what is added later, `lo`, is signed. G is the place of a
//! doubleword that the loader keeps for the symbol's address.
//!
//! # References
//! OpenPOWER ELFv2 ABI, "Relocation Types". A test asks the loader for every type:
//! what it applies is in here, and nothing else.

use goblin::elf64::reloc::{
    R_PPC64_ADDR16, R_PPC64_ADDR16_DS, R_PPC64_ADDR16_HA, R_PPC64_ADDR16_HI, R_PPC64_ADDR16_HIGH,
    R_PPC64_ADDR16_HIGHA, R_PPC64_ADDR16_HIGHER, R_PPC64_ADDR16_HIGHERA, R_PPC64_ADDR16_HIGHEST,
    R_PPC64_ADDR16_HIGHESTA, R_PPC64_ADDR16_LO, R_PPC64_ADDR16_LO_DS, R_PPC64_ADDR32,
    R_PPC64_ADDR64, R_PPC64_ENTRY, R_PPC64_GNU_VTENTRY, R_PPC64_GNU_VTINHERIT, R_PPC64_NONE,
    R_PPC64_REL14, R_PPC64_REL16, R_PPC64_REL16_HA, R_PPC64_REL16_HI, R_PPC64_REL16_LO,
    R_PPC64_REL24, R_PPC64_REL32, R_PPC64_REL64, R_PPC64_TOC, R_PPC64_TOC16, R_PPC64_TOC16_DS,
    R_PPC64_TOC16_HA, R_PPC64_TOC16_HI, R_PPC64_TOC16_LO, R_PPC64_TOC16_LO_DS, R_PPC64_TOCSAVE,
    R_PPC64_UADDR32, R_PPC64_UADDR64,
};

use super::super::fields::{
    R_PPC64_D34, R_PPC64_GOT_PCREL34, R_PPC64_PCREL_OPT, R_PPC64_PCREL34,
    R_PPC64_PLT_PCREL34_NOTOC, R_PPC64_PLTSEQ, R_PPC64_REL16_HIGH, R_PPC64_REL16_HIGHESTA,
    R_PPC64_REL24_NOTOC, R_PPC64_REL24_P9NOTOC,
};

/// What a type computes, before a half of it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// S + A.
    Sum,
    /// S + A - P.
    FromPlace,
    /// S + A - TOC.
    FromToc,
    /// TOC.
    Toc,
    /// TOC - P.
    TocFromPlace,
    /// Where a branch goes, less P: the target is in the explanation.
    Branch,
    /// G - P, with G where a doubleword with the symbol's address lies.
    Word,
    /// Nothing: a mark for tools.
    Nothing,
}

/// Which part of the value is stored, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// All 64 bits.
    Doubleword,
    /// 32 bits, signed or not.
    Word,
    /// 32 signed bits.
    SignedWord,
    /// An address of 16 bits, signed or not.
    ShortAddress,
    /// A whole displacement of 16 bits.
    Half,
    /// 16 bits of the value, whatever is above them.
    Part(Part),
    /// 34 bits, in both words of a prefixed instruction.
    Prefixed,
    /// Its low half.
    Lo,
    /// Its high half.
    Hi,
    /// Its high half, rounded.
    Ha,
    /// A whole displacement, in an instruction that keeps its lowest bits.
    Ds,
    /// The low half, in such an instruction.
    LoDs,
    /// The distance in a conditional branch.
    Bd,
    /// The distance in a branch.
    Li,
    /// The two words that set up r2.
    Entry,
    /// None.
    Nothing,
}

/// Which 16 bits of a value; those with an A are rounded for a signed low half.
#[allow(missing_docs)] // the ABI's names
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    High,
    Higha,
    Higher,
    Highera,
    Highest,
    Highesta,
}

impl Part {
    /// In the order of the `R_PPC64_REL16_HIGH*` types.
    const ALL: [Self; 6] =
        [Self::High, Self::Higha, Self::Higher, Self::Highera, Self::Highest, Self::Highesta];

    const fn take(self, value: i64) -> u16 {
        let number = self as u32;
        let value = if number % 2 == 1 { value.wrapping_add(0x8000) } else { value };
        (value >> (16 * (1 + number / 2))) as u16
    }
}

/// The formula of type `kind`; `None` for one that the loader does not apply.
#[must_use]
pub fn of(kind: u32) -> Option<(Value, Field)> {
    Some(match kind {
        R_PPC64_ADDR64 | R_PPC64_UADDR64 => (Value::Sum, Field::Doubleword),
        R_PPC64_ADDR32 | R_PPC64_UADDR32 => (Value::Sum, Field::Word),
        R_PPC64_ADDR16 => (Value::Sum, Field::ShortAddress),
        R_PPC64_ADDR16_LO => (Value::Sum, Field::Lo),
        R_PPC64_ADDR16_HI => (Value::Sum, Field::Hi),
        R_PPC64_ADDR16_HA => (Value::Sum, Field::Ha),
        R_PPC64_ADDR16_DS => (Value::Sum, Field::Ds),
        R_PPC64_ADDR16_LO_DS => (Value::Sum, Field::LoDs),
        R_PPC64_ADDR16_HIGH => (Value::Sum, Field::Part(Part::High)),
        R_PPC64_ADDR16_HIGHA => (Value::Sum, Field::Part(Part::Higha)),
        R_PPC64_ADDR16_HIGHER => (Value::Sum, Field::Part(Part::Higher)),
        R_PPC64_ADDR16_HIGHERA => (Value::Sum, Field::Part(Part::Highera)),
        R_PPC64_ADDR16_HIGHEST => (Value::Sum, Field::Part(Part::Highest)),
        R_PPC64_ADDR16_HIGHESTA => (Value::Sum, Field::Part(Part::Highesta)),
        R_PPC64_REL16_HIGH..=R_PPC64_REL16_HIGHESTA => {
            let part = *Part::ALL.get((kind - R_PPC64_REL16_HIGH) as usize)?;
            (Value::FromPlace, Field::Part(part))
        }
        R_PPC64_D34 => (Value::Sum, Field::Prefixed),
        R_PPC64_PCREL34 => (Value::FromPlace, Field::Prefixed),
        R_PPC64_GOT_PCREL34..=R_PPC64_PLT_PCREL34_NOTOC => (Value::Word, Field::Prefixed),
        R_PPC64_REL64 => (Value::FromPlace, Field::Doubleword),
        R_PPC64_REL32 => (Value::FromPlace, Field::SignedWord),
        R_PPC64_REL16 => (Value::FromPlace, Field::Half),
        R_PPC64_REL16_LO => (Value::FromPlace, Field::Lo),
        R_PPC64_REL16_HI => (Value::FromPlace, Field::Hi),
        R_PPC64_REL16_HA => (Value::FromPlace, Field::Ha),
        R_PPC64_TOC => (Value::Toc, Field::Doubleword),
        R_PPC64_TOC16 => (Value::FromToc, Field::Half),
        R_PPC64_TOC16_LO => (Value::FromToc, Field::Lo),
        R_PPC64_TOC16_HI => (Value::FromToc, Field::Hi),
        R_PPC64_TOC16_HA => (Value::FromToc, Field::Ha),
        R_PPC64_TOC16_DS => (Value::FromToc, Field::Ds),
        R_PPC64_TOC16_LO_DS => (Value::FromToc, Field::LoDs),
        R_PPC64_REL14 => (Value::Branch, Field::Bd),
        R_PPC64_REL24 | R_PPC64_REL24_NOTOC | R_PPC64_REL24_P9NOTOC => (Value::Branch, Field::Li),
        R_PPC64_ENTRY => (Value::TocFromPlace, Field::Entry),
        R_PPC64_NONE
        | R_PPC64_TOCSAVE
        | R_PPC64_PLTSEQ..=R_PPC64_PCREL_OPT
        | R_PPC64_GNU_VTINHERIT
        | R_PPC64_GNU_VTENTRY => (Value::Nothing, Field::Nothing),
        _ => return None,
    })
}

impl Value {
    /// As a term.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Sum => "S + A",
            Self::FromPlace | Self::Branch => "S + A - P",
            Self::FromToc => "S + A - TOC",
            Self::Toc => "TOC",
            Self::TocFromPlace => "TOC - P",
            Self::Word => "G - P",
            Self::Nothing => "nothing",
        }
    }
}

impl Field {
    /// The function that takes the stored part; empty if all is stored.
    #[must_use]
    pub const fn part(self) -> &'static str {
        match self {
            Self::Lo | Self::LoDs => "lo",
            Self::Hi => "hi",
            Self::Ha => "ha",
            Self::Part(Part::High) => "high",
            Self::Part(Part::Higha) => "higha",
            Self::Part(Part::Higher) => "higher",
            Self::Part(Part::Highera) => "highera",
            Self::Part(Part::Highest) => "highest",
            Self::Part(Part::Highesta) => "highesta",
            _ => "",
        }
    }

    /// The stored half of a value; `None` if all of it is stored.
    #[must_use]
    pub const fn take(self, value: i64) -> Option<u16> {
        match self {
            Self::Lo | Self::LoDs => Some(value as u16),
            Self::Hi => Some(Part::High.take(value)),
            Self::Ha => Some(Part::Higha.take(value)),
            Self::Part(part) => Some(part.take(value)),
            _ => None,
        }
    }

    /// Where it is stored, and what fits.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Doubleword => "64 bits",
            Self::Word => "32 bits, signed or not: -0x80000000 to 0xffffffff",
            Self::SignedWord => "32 bits: -0x80000000 to 0x7fffffff",
            Self::ShortAddress => "16 bits, signed or not: -0x8000 to 0xffff",
            Self::Part(_) => "low 16 bits of the instruction; nothing else is looked at",
            Self::Prefixed => {
                "low 18 bits of the prefix, low 16 of the word behind: -0x200000000 to 0x1ffffffff"
            }
            Self::Half => "low 16 bits of the instruction: -0x8000 to 0x7fff",
            Self::Lo => "low 16 bits of the instruction; the high half has been checked",
            Self::Hi => "low 16 bits of the instruction: -0x80000000 to 0x7fffffff in two halves",
            Self::Ha => "low 16 bits of the instruction: -0x80008000 to 0x7fff7fff in two halves",
            Self::Ds => "bits 2 to 15 of the instruction (4 to 15 in DQ form): -0x8000 to 0x7ffc",
            Self::LoDs => "bits 2 to 15 of the instruction (4 to 15 in DQ form), the rest zero",
            Self::Bd => "bits 2 to 15 of the branch: -0x8000 to 0x7ffc",
            Self::Li => "bits 2 to 25 of the branch: -0x2000000 to 0x1fffffc",
            Self::Entry => {
                "low 16 bits of both instructions, if they are `ld r2; add r2` and it fits"
            }
            Self::Nothing => "none",
        }
    }

    /// True if it is part of an instruction.
    #[must_use]
    pub const fn is_code(self) -> bool {
        !matches!(self, Self::Doubleword | Self::Word | Self::SignedWord | Self::Nothing)
    }
}
