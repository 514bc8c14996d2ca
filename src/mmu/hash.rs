//! The hash table: where the entry for a page goes, and what it says.
//!
//! ```text
//!  effective address    | segment: 36 | page: 16 | byte: 12 |
//!                             |           |
//!         SLB entry:  segment -> VSID     |
//!                             '--- xor ---'  -> group of 8 entries (or, flipped, another)
//!
//!  entry  v: virtual page (VSID and page without their low bits) << 7 | H 0x2 | valid 0x1
//!         r: real page | referenced 0x100 | changed 0x80 | memory coherent 0x10
//!            | no-execute 0x4 | protection: 0 read and write, 3 read
//! ```
//!
//! The hypervisor owns the table: hypercalls enter, protect, remove and read.
//! Segments of 256 MiB, pages of 4 KiB, so that both translations have the same
//! pages. VSIDs are made of the segment's number so that entries spread evenly over
//! the groups of a table of any size: with the number alone, no more than 2^16
//! groups would ever be used, which 2 GiB of memory fill.
//!
//! # References
//! Power ISA 2.07B Book III-S, "Virtual to Real Translation", "Segment Lookaside
//! Buffer"; LoPAPR, "H_ENTER", "H_PROTECT", "H_REMOVE", "H_READ".

use super::Rights;

/// Bytes of a segment.
pub const SEGMENT: u64 = 1 << 28;
/// Entries of a group.
pub const GROUP: u64 = 8;

const SEGMENT_NUMBER: u64 = 0xffff;
const VALID: u64 = 0x1;
/// Segment size and page size: bits that are 0 in every entry of this kernel.
const OTHER_SIZES: u64 = 0xc000_0000_0000_0004;
/// The entry stands in the second of the groups where it may stand.
const SECOND: u64 = 0x2;
const AVPN: u64 = !0x7f & !OTHER_SIZES;
const REFERENCED_CHANGED: u64 = 0x180;
const COHERENT: u64 = 0x10;
const NO_EXECUTE: u64 = 0x4;
const READ_ONLY: u64 = 0x3;
const REAL_PAGE: u64 = 0x0fff_ffff_ffff_f000;

/// The VSID of the segment that contains an address: its number (below 2^16), twice.
/// The lower one tells pages of two segments apart in a small table, the upper one
/// uses what a large table has beyond 2^16 groups.
#[must_use]
pub const fn vsid(address: u64) -> u64 {
    let segment = (address / SEGMENT) & SEGMENT_NUMBER;
    segment << 16 | segment
}

/// First word of an entry for the page at `address`.
const fn virtual_page(address: u64) -> u64 {
    // Bits of the virtual address above 23, at their place in the entry.
    ((vsid(address) << 28 | address & (SEGMENT - 1)) >> 23) << 7
}

/// Where the entry for a page may stand: the number of the first of eight, in the
/// first or the second group, of a table with `groups` groups (a power of two).
#[must_use]
pub const fn slot(address: u64, groups: u64, second: bool) -> u64 {
    let hash = vsid(address) ^ (address & (SEGMENT - 1)) >> 12;
    let hash = if second { !hash } else { hash };
    (hash & (groups - 1)) * GROUP
}

/// Both words of the entry that lets `rights` be done at `address`, and leads to
/// the real address `to`.
#[must_use]
pub const fn entry(address: u64, to: u64, rights: Rights, second: bool) -> (u64, u64) {
    let h = if second { SECOND } else { 0 };
    (
        virtual_page(address) | h | VALID,
        to & REAL_PAGE | COHERENT | REFERENCED_CHANGED | protection(rights),
    )
}

/// The bits of the second word that say what may be done.
#[must_use]
pub const fn protection(rights: Rights) -> u64 {
    match rights {
        Rights::Read => NO_EXECUTE | READ_ONLY,
        Rights::ReadWrite => NO_EXECUTE,
        Rights::ReadExecute => READ_ONLY,
    }
}

/// The page that an entry is for, from its first word and where it stands; `None`
/// if it is not valid, or the processor would not find it there.
///
/// The word lacks the low 11 bits of the page's number. The hash, which the group
/// tells, has them: no table has fewer than 2^11 groups.
#[must_use]
pub const fn address(v: u64, at_slot: u64, groups: u64) -> Option<u64> {
    let second = v & SECOND != 0;
    let group = at_slot / GROUP;
    let hash = if second { !group } else { group };
    let high = ((v & AVPN) >> 7 << 23) & ((SEGMENT_NUMBER * SEGMENT) | (SEGMENT - 1));
    let address = high | ((hash ^ vsid(high)) & 0x7ff) << 12;
    let found = virtual_page(address) == v & AVPN && slot(address, groups, second) / GROUP == group;
    if v & VALID != 0 && found { Some(address) } else { None }
}

/// What an entry lets be done, and where it leads; `None` for bits that this
/// kernel never sets.
#[must_use]
pub const fn meaning((v, r): (u64, u64)) -> (Option<Rights>, u64) {
    let rights = match (v & OTHER_SIZES, r & (NO_EXECUTE | READ_ONLY)) {
        (0, 0x7) => Some(Rights::Read),
        (0, 0x4) => Some(Rights::ReadWrite),
        (0, 0x3) => Some(Rights::ReadExecute),
        _ => None,
    };
    (rights, r & REAL_PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand from the ISA's formulas for VSID 0x40004, page 0x4401.
    #[test]
    fn an_entry_has_the_words_of_the_architecture() {
        let at = 0x4440_1000;
        assert_eq!(vsid(at), 0x4_0004);
        let (v, r) = entry(at, at, Rights::ReadExecute, false);
        // Virtual address 0x40004_4401_000, without its low 23 bits, 7 bits up.
        assert_eq!(v, (0x4000_4440_1000 >> 23) << 7 | 1);
        assert_eq!(r, 0x4440_1000 | 0x193);
        assert_eq!(entry(at, at, Rights::ReadWrite, true).0 & 3, 3);
        // 0x40004 xor 0x4401 = 0x44405.
        assert_eq!(slot(at, 0x800, false), 0x405 * 8);
        assert_eq!(slot(at, 0x800, true), 0x3fa * 8);
        assert_eq!(slot(at, 0x10_0000, false), 0x4_4405 * 8);
    }

    #[test]
    fn rights_come_back_as_they_went() {
        for rights in [Rights::Read, Rights::ReadWrite, Rights::ReadExecute] {
            let (v, r) = entry(0x1234_5000, 0x9_8765_4000, rights, false);
            assert_eq!(meaning((v, r)), (Some(rights), 0x9_8765_4000));
            // Another segment size, another page size.
            assert_eq!(meaning((v | 1 << 62, r)).0, None);
            assert_eq!(meaning((v | 4, r)).0, None);
        }
        assert_eq!(meaning((1, 0)).0, None, "writable and executable");
    }

    #[test]
    fn an_entry_tells_its_page_wherever_it_may_stand() {
        for groups in [0x800, 0x4000, 0x8_0000] {
            for page in [0, 0x1000, 0x7f_f000, 0x80_0000, 0x1234_5000, 0x7fff_f000, 0x10_0000_0000]
            {
                for second in [false, true] {
                    let first = slot(page, groups, second);
                    let (v, _) = entry(page, page, Rights::Read, second);
                    for at in first..first + GROUP {
                        assert_eq!(address(v, at, groups), Some(page));
                    }
                    assert_eq!(address(v & !1, first, groups), None, "not valid");
                    let other = first ^ (groups / 2 * GROUP);
                    assert_ne!(address(v, other, groups), Some(page));
                }
            }
        }
    }

    /// Tables as firmware makes them: a byte for each 128 of memory (QEMU), all of
    /// which is mapped, up to the 2 GiB behind the kernel that it uses.
    #[test]
    fn the_table_has_room_for_all_memory_and_never_needs_the_second_group() {
        for memory_bits in 28..=33 {
            let groups = 1u64 << (memory_bits - 7 - 7);
            let mut taken = std::vec![0u8; groups as usize];
            let reached = (1u64 << memory_bits).min((1 << 31) + (1 << 27));
            for page in (0..reached).step_by(4096) {
                taken[(slot(page, groups, false) / GROUP) as usize] += 1;
            }
            let most = taken.iter().max().copied();
            assert!(most <= Some(4), "{most:?} of 8 with 2^{memory_bits} bytes");
        }
    }
}
