//! The way back from words to stubs: which kind is it, and where does it lead?
//!
//! Used before a call site is changed (is it what we left there?), by `stubs`
//! and `dis`, by the text audit, and in an oops for an address in a stub.
//!
//! ```text
//!  words --guess from the first two--> operands --encode--> words again: equal?
//! ```
//!
//! The first words only suggest a kind. Its operands are taken out of the
//! words, the stub is encoded anew at the same place, and every word must agree,
//! filling included: what [`recognise`] accepts is exactly what
//! [`Stub::encode`] makes, with no second table of masks to keep in step.
//!
//! # How sure is it
//! Even so, module data can hold the very words of a stub. [`identify`]
//! therefore asks the module's [`StubTable`] first: no record, no stub. The
//! seed's own test, by masks, is here too ([`seed_mask_matches`]); it lets words
//! through that are no stub, as a test below shows, and nothing depends on it.
//!
//! # Invariants
//! - Nothing here reads memory by itself. Words and doublewords come from the
//!   caller, who reads them fault-safely: `read_u64` says `None` for an address
//!   that cannot be read, and the answer is then `None`.

use super::stubs::table::{Entry, StubTable};
use super::stubs::{LINUX_MAGIC, MISSING_MARK, NOTOC_MARK, Stub, StubAbi, StubKind, way_back};
use crate::addr::Vaddr;
use crate::isa::well_known::{MFLR_R0, MTCTR_R12, STD_R2_24_R1, TRAP};
use crate::isa::{Insn, branch, dform};

/// A stub, read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// What it was made from; encoding it again gives the same words.
    pub stub: Stub,
    /// Where a call through it ends up; `None` for a Missing stub, which traps.
    pub target: Option<Vaddr>,
}

impl Recognised {
    /// Which kind of stub it is.
    #[must_use]
    pub const fn kind(&self) -> StubKind {
        self.stub.kind()
    }
}

/// Reads the stub whose slot begins at `at` with `words` (all of the slot;
/// words behind it are ignored). `None` if it is no stub of any kind, or if its
/// target cannot be read.
#[must_use]
pub fn recognise(
    at: Vaddr,
    words: &[u32],
    abi: &StubAbi,
    read_u64: impl Fn(Vaddr) -> Option<u64>,
) -> Option<Recognised> {
    let stub = guess(at, words, abi)?;
    let again = stub.encode(at, abi).ok()?;
    if words.get(..again.len())? != again.as_slice() {
        return None;
    }
    let target = match stub {
        Stub::External { word }
        | Stub::Profile { word }
        | Stub::Sibling { word }
        | Stub::Notoc { word }
        | Stub::Redirect { word, .. } => Some(Vaddr(read_u64(word)?)),
        Stub::OutOfLine { hook, .. } => Some(hook),
        Stub::SeedExternal { target }
        | Stub::SeedProfile { target }
        | Stub::LinuxExternal { target }
        | Stub::LinuxProfile { target } => Some(target),
        Stub::Missing { .. } => None,
    };
    Some(Recognised { stub, target })
}

/// Like [`recognise`], for an address of which `table` knows that a stub begins
/// there. `None` also if the words make another kind of stub than was built, or
/// a Missing stub names another symbol: then somebody else wrote them.
#[must_use]
pub fn identify(
    table: &StubTable,
    at: Vaddr,
    words: &[u32],
    abi: &StubAbi,
    read_u64: impl Fn(Vaddr) -> Option<u64>,
) -> Option<(Entry, Recognised)> {
    let entry = table.find(at)?;
    let found = recognise(at, words, abi, read_u64)?;
    let same_owner = match found.stub {
        Stub::Missing { symbol } => symbol == entry.owner,
        _ => true,
    };
    (found.kind() == entry.kind && same_owner).then_some((entry, found))
}

// The upper halves of the instructions that tell kinds apart: opcode and registers.
const LD_R12_R13: u32 = 0xe98d;
const ADDIS_R11_R2: u32 = 0x3d62;
const ADDIS_R11_R12: u32 = 0x3d6c;
const ADDIS_R12_R2: u32 = 0x3d82;
const ADDIS_R12_R12: u32 = 0x3d8c;
const LD_R12_R12: u32 = 0xe98c;
const ADDI_R12_R12: u32 = 0x398c;

/// The only stub that could have these words, if any.
fn guess(at: Vaddr, words: &[u32], abi: &StubAbi) -> Option<Stub> {
    let word = |i: usize| words.get(i).copied();
    let upper = |i: usize| word(i).map(|w| w >> 16);
    let data = || Some(Vaddr(u64::from(word(9)?) << 32 | u64::from(word(8)?)));
    // The place that words i (addis) and i + 1 lead to from `toc`.
    let place = |i: usize, toc: Vaddr| {
        let (ha, lo) = (word(i)? as u16, word(i + 1)? as u16);
        Some(toc.offset(dform::join(ha, lo & !3)))
    };

    let first = Insn(word(0)?);
    match (first, first.0 >> 16) {
        (STD_R2_24_R1, _) => match upper(1)? {
            ADDIS_R12_R2 => Some(Stub::External { word: place(1, abi.module_toc)? }),
            ADDIS_R11_R2 => Some(Stub::SeedExternal { target: data()? }),
            _ => None,
        },
        (MFLR_R0, _) => {
            let hook = branch::target_of(Insn(word(1)?), at.offset(4))?;
            let back = branch::target_of(Insn(word(3)?), way_back(at))?;
            let site = back.offset(-4);
            Some(Stub::OutOfLine { site, hook })
        }
        (TRAP, _) if word(1)? == MISSING_MARK => Some(Stub::Missing { symbol: word(2)? }),
        (_, LD_R12_R13) => match (upper(1)?, upper(2)?) {
            (ADDIS_R12_R12, LD_R12_R12) => {
                let word_at = place(1, abi.kernel_toc)?;
                let notoc = word(5)? == NOTOC_MARK;
                Some(if notoc {
                    Stub::Notoc { word: word_at }
                } else {
                    Stub::Profile { word: word_at }
                })
            }
            (ADDIS_R12_R12, ADDI_R12_R12) => Some(Stub::LinuxProfile { target: data()? }),
            (ADDIS_R11_R12, _) => Some(Stub::SeedProfile { target: data()? }),
            _ => None,
        },
        (_, ADDIS_R12_R2) => Some(Stub::Sibling { word: place(0, abi.module_toc)? }),
        (_, ADDIS_R11_R2) if word(7)? == LINUX_MAGIC => {
            Some(Stub::LinuxExternal { target: data()? })
        }
        _ if first == Insn::NOP || branch::is_call(first) => Some(Stub::Redirect {
            word: place(12, abi.kernel_toc)?,
            traced: branch::target_of(first, at),
        }),
        _ => None,
    }
}

/// One word of the seed's test: bits that count, and what they must be.
struct Masked {
    mask: u32,
    shape: u32,
}

impl Masked {
    const fn matches(&self, word: u32) -> bool {
        (word ^ self.shape) & self.mask == 0
    }
}

/// The seed's call stub, and masks that hide where its profiling stub differs.
const SEED_SHAPE: [Masked; 6] = [
    Masked {
        mask: 0xee33_0000, // std r2,24(r1) or ld r12,PACATOC(r13)
        shape: STD_R2_24_R1.0,
    },
    Masked {
        mask: 0xfff1_0000, // addis r11,r2 or addis r11,r12
        shape: ADDIS_R11_R2 << 16,
    },
    Masked {
        mask: 0xffff_0000, // addi r11,r11
        shape: 0x396b_0000,
    },
    Masked {
        mask: 0x2fff_ffdf, // ld r12,32(r11) or addi r12,r11,0
        shape: 0xe98b_0020,
    },
    Masked { mask: 0xffff_ffff, shape: MTCTR_R12.0 },
    Masked {
        mask: 0xffff_ffff,
        shape: 0x4e80_0420, // bctr
    },
];

/// The seed's answer to "is this a stub": six words compared under masks, then
/// the first one exactly. It covers both of the seed's shapes and, in words 1
/// and 3, some that are neither.
#[must_use]
pub fn seed_mask_matches(words: &[u32], paca_toc: u16) -> bool {
    let Some((head, _)) = words.split_first_chunk::<{ SEED_SHAPE.len() }>() else {
        return false;
    };
    let masked = head.iter().zip(&SEED_SHAPE).all(|(&w, m)| m.matches(w));
    let profile_first = LD_R12_R13 << 16 | u32::from(paca_toc);
    masked && (head[0] == STD_R2_24_R1.0 || head[0] == profile_first)
}

/// The seed's answer to "where does it lead": the sum of words 1 and 2 from the
/// kernel's TOC for a profiling stub; else the doubleword 32 bytes into the
/// stub that they lead to from the module's.
///
/// Asks nothing about the other words: [`seed_mask_matches`] comes first.
#[must_use]
pub fn seed_target(
    words: &[u32],
    abi: &StubAbi,
    read_u64: impl Fn(Vaddr) -> Option<u64>,
) -> Option<Vaddr> {
    let (addis, addi) = (*words.get(1)?, *words.get(2)?);
    let offset = dform::join(addis as u16, addi as u16);
    if addis >> 16 == ADDIS_R11_R12 {
        return Some(abi.kernel_toc.offset(offset));
    }
    let funcdata = abi.module_toc.offset(offset).offset(32);
    read_u64(funcdata).map(Vaddr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const AT: Vaddr = Vaddr(0x1000_0000);
    const FAR: Vaddr = Vaddr(0xc000_0000_0123_4560);
    const ABI: StubAbi = StubAbi {
        kernel_toc: Vaddr(0x0400_8000),
        module_toc: Vaddr(0x1001_8000),
        paca_toc: 0x20,
        paca_sibling: 0x60,
        paca_shadow_sp: 0x68,
        paca_shadow_limit: 0x70,
        paca_shadow_return: 0x78,
    };

    /// Memory in which every doubleword holds `FAR`.
    fn far(_: Vaddr) -> Option<u64> {
        Some(FAR.0)
    }

    fn one_of_each() -> [(Stub, Option<Vaddr>); 12] {
        let near = ABI.kernel_toc.offset(0x12_3456);
        let hook = AT.offset(0x200);
        let word = ABI.module_toc.offset(-0x8008);
        let kernel_word = ABI.kernel_toc.offset(0x0c01_fff8);
        let traced = Some(AT.offset(-0x40));
        let site = AT.offset(-0x1000);
        [
            (Stub::External { word }, Some(FAR)),
            (Stub::Profile { word: kernel_word }, Some(FAR)),
            (Stub::Sibling { word }, Some(FAR)),
            (Stub::Notoc { word: kernel_word }, Some(FAR)),
            (Stub::OutOfLine { site, hook }, Some(hook)),
            (Stub::Missing { symbol: 42 }, None),
            (Stub::Redirect { word: kernel_word, traced: None }, Some(FAR)),
            (Stub::Redirect { word: kernel_word, traced }, Some(FAR)),
            (Stub::SeedExternal { target: FAR }, Some(FAR)),
            (Stub::SeedProfile { target: near }, Some(near)),
            (Stub::LinuxExternal { target: FAR }, Some(FAR)),
            (Stub::LinuxProfile { target: near }, Some(near)),
        ]
    }

    #[test]
    fn every_kind_is_read_back_with_its_target() {
        for (stub, target) in one_of_each() {
            let words = stub.encode(AT, &ABI).unwrap();
            assert_eq!(words.len(), stub.kind().words());
            let mut written = [0xa5; 80];
            stub.write(AT, &ABI, &mut written).unwrap();
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let (slot, behind) = written.split_at(bytes.len());
            assert_eq!(slot, bytes, "{stub:?}");
            assert!(behind.iter().all(|byte| *byte == 0xa5), "{stub:?}");
            let found = recognise(AT, &words, &ABI, far);
            assert_eq!(found, Some(Recognised { stub, target }));
        }
        for kind in StubKind::ALL {
            assert!(one_of_each().iter().any(|(stub, _)| stub.kind() == kind));
        }
    }

    /// Any single bit matters, unless it turns the stub into another valid one
    /// (a displacement); then what is read back encodes to just those words.
    #[test]
    fn a_flipped_bit_never_gives_the_same_stub() {
        for (stub, _) in one_of_each() {
            let words = stub.encode(AT, &ABI).unwrap();
            for bit in 0..words.len() * 32 {
                let mut flipped = words.to_vec();
                flipped[bit / 32] ^= 1 << (bit % 32);
                if let Some(other) = recognise(AT, &flipped, &ABI, far) {
                    assert_ne!(other.stub, stub, "{stub:?} bit {bit}");
                    assert_eq!(other.stub.encode(AT, &ABI).unwrap().to_vec(), flipped);
                }
            }
        }
    }

    #[test]
    fn a_slot_cut_short_or_moved_or_unreadable_is_no_stub() {
        for (stub, _) in one_of_each() {
            let words = stub.encode(AT, &ABI).unwrap();
            for len in 0..words.len() {
                assert_eq!(recognise(AT, &words[..len], &ABI, far), None);
            }
            assert_eq!(recognise(AT.offset(4), &words, &ABI, far), None);
            let found = recognise(AT, &words, &ABI, |_| None);
            assert_eq!(found.is_none(), stub.kind().has_target_word());
        }
    }

    #[test]
    fn another_kernel_or_module_reads_other_places() {
        let words = Stub::SeedExternal { target: FAR }.encode(AT, &ABI).unwrap();
        let mut other = ABI;
        other.module_toc = ABI.module_toc.offset(0x100);
        assert_eq!(recognise(AT, &words, &other, far), None); // not this stub's own address
        let words = Stub::Profile { word: ABI.kernel_toc };
        let words = words.encode(AT, &ABI).unwrap();
        other.paca_toc += 8;
        assert_eq!(recognise(AT, &words, &other, far), None); // not the TOC's place
    }

    #[test]
    fn data_that_looks_like_a_stub_is_none_without_a_record() {
        let mut table = StubTable::new(AT);
        for (stub, _) in one_of_each() {
            let words = stub.encode(AT, &ABI).unwrap();
            assert!(recognise(AT, &words, &ABI, far).is_some());
            assert_eq!(identify(&table, AT, &words, &ABI, far), None);
        }
        table.push(AT, StubKind::Missing, 42).unwrap();
        for (stub, _) in one_of_each() {
            let words = stub.encode(AT, &ABI).unwrap();
            let found = identify(&table, AT, &words, &ABI, far);
            assert_eq!(found.is_some(), stub.kind() == StubKind::Missing);
        }
        let other = Stub::Missing { symbol: 43 }.encode(AT, &ABI).unwrap();
        assert_eq!(identify(&table, AT, &other, &ABI, far), None);
    }

    #[test]
    fn the_seeds_masks_fit_the_seeds_two_shapes_and_none_of_ours() {
        for (stub, target) in one_of_each() {
            let words = stub.encode(AT, &ABI).unwrap();
            let seed = matches!(stub.kind(), StubKind::SeedExternal | StubKind::SeedProfile);
            assert_eq!(seed_mask_matches(&words, ABI.paca_toc), seed, "{stub:?}");
            if seed {
                assert!(!seed_mask_matches(&words[..5], ABI.paca_toc));
                let read = |at: Vaddr| (at == AT.offset(32)).then_some(FAR.0);
                assert_eq!(seed_target(&words, &ABI, read), target);
            }
        }
        let words = Stub::SeedExternal { target: FAR }.encode(AT, &ABI).unwrap();
        assert_eq!(seed_target(&words, &ABI, |_| None), None);
        assert!(!seed_mask_matches(&[], ABI.paca_toc));
    }

    #[test]
    fn the_seeds_masks_let_through_what_is_no_stub() {
        let words = Stub::SeedExternal { target: FAR }.encode(AT, &ABI).unwrap();
        let mut words: Vec<u32> = words.to_vec();
        words[1] ^= 0x0002_0000; // addis r11,r0: the TOC does not come in
        assert!(seed_mask_matches(&words, ABI.paca_toc));
        assert_eq!(recognise(AT, &words, &ABI, far), None);
        words[0] = 0xe98d_0028; // a PACA field that is not the TOC
        assert!(!seed_mask_matches(&words, ABI.paca_toc));
    }

    proptest! {
        #[test]
        fn random_words_are_no_stub(words in prop::collection::vec(any::<u32>(), 0..20)) {
            prop_assert_eq!(recognise(AT, &words, &ABI, far), None);
            let _ = seed_target(&words, &ABI, far);
        }

        #[test]
        fn words_behind_a_likely_start_do_no_harm(
            start in 0..8_usize,
            rest in prop::collection::vec(any::<u32>(), 0..20),
            at in any::<u64>(),
        ) {
            let first = [
                0xf841_0018, 0xe98d_0020, 0x3d82_0000, 0x3d62_0000,
                0x7c08_02a6, 0x7fe0_0008, 0x6000_0000, 0x4800_0001,
            ][start];
            let words: Vec<u32> = core::iter::once(first).chain(rest).collect();
            prop_assert_eq!(recognise(Vaddr(at), &words, &ABI, far), None);
        }
    }
}
