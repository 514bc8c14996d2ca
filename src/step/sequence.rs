//! Load-and-reserve up to store-conditional, as a copy that runs undisturbed.
//!
//! `lwarx` makes a reservation, `stwcx.` stores only if it still stands, and every
//! exception takes it away. So a stepped pair never stores, and a loop round it
//! never ends. The pair and what is between run as one instead: not in place,
//! where a trap behind them would hit every CPU that comes by, but from a copy
//! that this CPU alone has, with a trap at each way out.
//!
//! ```text
//!   in place                        the copy
//!   1: lwarx  r9,0,r3               lwarx  r9,0,r3
//!      cmpwi  r9,0                  cmpwi  r9,0
//!      bne    2f                    bne    +12       leads to the second trap
//!      stwcx. r10,0,r3              stwcx. r10,0,r3
//!      bne    1b   <--------------- trap             word 4: the end
//!      ...                          trap             word 5: left early
//!   2: isync       <---------------'
//! ```
//!
//! The branch back (`bne 1b`) is not in the copy: it is stepped as any other, and
//! if it is taken, the sequence comes again.
//!
//! # Invariants
//! - A copied word means the same at another address, or is a branch that is aimed
//!   anew. What sets LR or leads through a register is refused: control would not
//!   come back.
//! - A word outside of the copy is reached through a trap, and only so.
//!
//! Emulating the pair by comparing and swapping was the other way: no text is
//! written then, but a CPU that changes the same word all the time would win
//! against a window of two exceptions every time.
//!
//! # References
//! Power ISA Book II, "Load And Reserve and Store Conditional Instructions".

use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::isa::well_known::TRAP;
use crate::isa::{Insn, branch};

/// Most instructions from the load to the store, both included.
pub const MAX_INSNS: usize = 24;
/// Most ways out of it by branches.
const MAX_EXITS: usize = 7;
/// Most words of a copy, traps included.
pub const MAX_WORDS: usize = MAX_INSNS + 1 + MAX_EXITS;

const OPCODE_X: u32 = 31;
/// lbarx, lharx, lwarx, ldarx, lqarx: extended opcodes.
const LOADS: [u32; 5] = [52, 116, 20, 84, 276];
/// stbcx., sthcx., stwcx., stdcx., stqcx.
const STORES: [u32; 5] = [694, 726, 150, 214, 182];

const fn extended(insn: Insn) -> u32 {
    insn.0 >> 1 & 0x3ff
}

/// True for the instructions that make a reservation.
#[must_use]
pub fn is_load_reserve(insn: Insn) -> bool {
    insn.opcode() == OPCODE_X && LOADS.contains(&extended(insn))
}

/// True for the instructions that store if it still stands.
#[must_use]
pub fn is_store_conditional(insn: Insn) -> bool {
    insn.opcode() == OPCODE_X && STORES.contains(&extended(insn)) && insn.0 & 1 == 1
}

/// A sequence, and its copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Where it stands in the program.
    pub start: Vaddr,
    /// Instructions of it, from the load to the store.
    pub insns: usize,
    /// The copy: the instructions, then traps.
    pub words: Vec<Insn>,
    /// Where each trap leads, in order; the first is the end.
    pub exits: Vec<Vaddr>,
}

/// Reads the sequence that begins with the load at `start`.
///
/// `None` if there is no store-conditional within [`MAX_INSNS`], or if something in
/// between cannot be copied.
#[must_use]
pub fn find(start: Vaddr, read: impl Fn(Vaddr) -> Option<Insn>) -> Option<Sequence> {
    let place = |index: usize| start.offset(4 * index as i64);
    let mut words = Vec::new();
    loop {
        let word = read(place(words.len())).filter(|_| words.len() < MAX_INSNS)?;
        words.push(word);
        if is_store_conditional(word) {
            break;
        }
    }
    let insns = words.len();
    let mut exits = alloc::vec![place(insns)];
    for (index, word) in words.iter_mut().enumerate() {
        *word = copied(*word, place(index), |target| {
            let inside = target.since(start) / 4;
            if (0..=insns as i64).contains(&inside) {
                return Some(target); // the word behind the store is the first trap
            }
            let known = exits.iter().position(|exit| *exit == target);
            let exit = known.unwrap_or_else(|| {
                exits.push(target);
                exits.len() - 1
            });
            (exit <= MAX_EXITS).then(|| place(insns + exit))
        })?;
    }
    words.extend(exits.iter().map(|_| TRAP));
    Some(Sequence { start, insns, words, exits })
}

/// What stands in the copy for `word`, which stands at `at`; a branch is aimed at
/// what `aim` says for its target.
fn copied(word: Insn, at: Vaddr, mut aim: impl FnMut(Vaddr) -> Option<Vaddr>) -> Option<Insn> {
    const LK: u32 = 1;
    const AA: u32 = 2;
    const OPCODE_PREFIX: u32 = 1;
    const OPCODE_BC: u32 = 16;
    const OPCODE_SC: u32 = 17;
    const OPCODE_B: u32 = 18;
    const OPCODE_XL: u32 = 19;
    match word.opcode() {
        OPCODE_B if word.0 & (AA | LK) == 0 => {
            let to = aim(branch::target_of(word, at)?)?;
            branch::retarget(word, at, to).ok()
        }
        OPCODE_BC if word.0 & (AA | LK) == 0 => {
            let distance = i64::from((word.0 & 0xfffc) as u16 as i16);
            let to = aim(at.offset(distance))?;
            branch::insert_bd(word, to.since(at)).ok()
        }
        // Returns and branches to CTR, rfid and its kin, addpcis. Operations on
        // condition bits and isync are the rest.
        OPCODE_XL => (!matches!(extended(word) & 0x1f, 16 | 18 | 2)).then_some(word),
        OPCODE_PREFIX | OPCODE_BC | OPCODE_SC | OPCODE_B => None,
        _ => Some(word),
    }
}

impl Sequence {
    /// Where the program goes on when the copy stands at its word `index`: behind
    /// the trap that ended it, or, in the middle, at the instruction itself.
    #[must_use]
    pub fn place(&self, index: usize) -> Vaddr {
        match index.checked_sub(self.insns) {
            None => self.start.offset(4 * index as i64),
            Some(exit) => *self.exits.get(exit).unwrap_or(&self.exits[0]),
        }
    }

    /// True if the trap at word `index` means that the store was not reached.
    #[must_use]
    pub const fn is_early(&self, index: usize) -> bool {
        index > self.insns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Vaddr = Vaddr(0x1000);

    fn of(words: &[u32]) -> Option<Sequence> {
        find(AT, |at| words.get(at.since(AT) as usize / 4).map(|word| Insn(*word)))
    }

    /// Words from GNU as 2.40, -mpower9.
    #[test]
    fn reservations_are_told_from_other_indexed_accesses() {
        let loads = [0x7d20_1828, 0x7d24_1829, 0x7d40_58a8, 0x7ca6_3868, 0x7ca6_38e8, 0x7cc0_1a28];
        assert!(loads.iter().all(|word| is_load_reserve(Insn(*word))));
        let stores = [0x7d40_192d, 0x7c00_59ad, 0x7ca6_3d6d, 0x7ca6_3dad, 0x7cc0_196d];
        assert!(stores.iter().all(|word| is_store_conditional(Insn(*word))));
        for other in [0x7d24_182e, 0x7d24_192a, 0x6000_0000, 0x7d40_192c] {
            assert!(!is_load_reserve(Insn(other)) && !is_store_conditional(Insn(other)));
        }
        assert!(loads.iter().all(|word| !is_store_conditional(Insn(*word))));
        assert!(stores.iter().all(|word| !is_load_reserve(Insn(*word))));
    }

    #[test]
    fn a_counter_is_copied_as_it_is_with_one_trap_behind_it() {
        // lwarx r9,0,r3; addi r9,r9,1; stwcx. r9,0,r3; bne -12
        let found = of(&[0x7d20_1828, 0x3929_0001, 0x7d20_192d, 0x4082_fff4]).unwrap();
        let words: Vec<_> = found.words.iter().map(|word| word.0).collect();
        assert_eq!(words, [0x7d20_1828, 0x3929_0001, 0x7d20_192d, 0x7fe0_0008]);
        assert_eq!((found.insns, found.exits.as_slice()), (3, &[Vaddr(0x100c)][..]));
        assert_eq!(found.place(1), Vaddr(0x1004));
        assert_eq!(found.place(3), Vaddr(0x100c));
        assert!(!found.is_early(3));
    }

    #[test]
    fn a_branch_out_leads_to_a_trap_of_its_own() {
        // lwarx r9,0,r3; cmpwi r9,0; bne .+16; bne .-16; stwcx. r10,0,r3
        let source = [0x7d20_1828, 0x2c09_0000, 0x4082_0010, 0x4082_fff0, 0x7d40_192d];
        let found = of(&source).unwrap();
        assert_eq!(found.words[2], Insn(0x4082_0010)); // .+16 is word 6, a trap
        assert_eq!(found.words[3], Insn(0x4082_0010)); // .-16 was 0xffc: word 7
        assert_eq!(found.exits, [Vaddr(0x1014), Vaddr(0x1018), Vaddr(0xffc)]);
        assert_eq!(found.words.len(), 8);
        assert!(found.words[5..].iter().all(|word| *word == TRAP));
        assert_eq!((found.place(6), found.place(7)), (Vaddr(0x1018), Vaddr(0xffc)));
        assert!(found.is_early(6) && !found.is_early(5));
    }

    #[test]
    fn branches_inside_and_to_the_end_stay() {
        // lwarx; bne .+8; b .+12; bne .-12; stwcx.
        let source = [0x7d20_1828, 0x4082_0008, 0x4800_000c, 0x4082_fff4, 0x7d40_192d];
        let found = of(&source).unwrap();
        assert_eq!(found.words[1], Insn(0x4082_0008));
        assert_eq!(found.words[2], Insn(0x4800_000c)); // behind the store: the first trap
        assert_eq!(found.words[3], Insn(0x4082_fff4)); // back to the load
        assert_eq!(found.exits.len(), 1);
    }

    #[test]
    fn what_would_not_come_back_or_means_something_else_elsewhere_is_refused() {
        // bl .+8, bne+l, blr, bctr, ba 0x100, sc, addpcis r3,1, paddi
        for word in [
            0x4800_0009,
            0x4082_0011,
            0x4e80_0020,
            0x4e80_0420,
            0x4800_0102,
            0x4400_0002,
            0x4c60_0005,
            0x0610_0000,
        ] {
            assert_eq!(of(&[0x7d20_1828, word, 0x7d40_192d]), None, "{word:08x}");
        }
        // cror, crxor and isync are neither.
        for word in [0x4def_7b82, 0x4cc6_3182, 0x4c00_012c] {
            assert!(of(&[0x7d20_1828, word, 0x7d40_192d]).is_some(), "{word:08x}");
        }
    }

    #[test]
    fn the_store_must_come_soon_enough() {
        let long = |nops: usize| {
            let mut words = alloc::vec![0x7d20_1828];
            words.extend((0..nops).map(|_| 0x6000_0000));
            words.push(0x7d40_192d);
            words
        };
        assert_eq!(of(&long(MAX_INSNS - 2)).unwrap().insns, MAX_INSNS);
        assert_eq!(of(&long(MAX_INSNS - 1)), None);
        assert_eq!(of(&[0x7d20_1828, 0x6000_0000]), None); // memory ends
    }

    #[test]
    fn ways_out_are_counted() {
        // Branches to 0x2000, 0x2004, ... from one word after the other.
        let out = |count: u32| {
            let mut words = alloc::vec![0x7d20_1828];
            words.extend((0..count).map(|_| 0x4082_0ffc));
            words.push(0x7d40_192d);
            words
        };
        let most = of(&out(MAX_EXITS as u32)).unwrap();
        assert_eq!(most.exits.len(), 1 + MAX_EXITS);
        assert!(most.words.len() <= MAX_WORDS);
        assert_eq!(of(&out(MAX_EXITS as u32 + 1)), None);
    }
}
