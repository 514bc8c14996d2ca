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
//! pages. The segment's number serves as its VSID.
//!
//! # References
//! Power ISA 2.07B Book III-S, "Virtual to Real Translation", "Segment Lookaside
//! Buffer"; LoPAPR, "H_ENTER", "H_PROTECT", "H_REMOVE", "H_READ".

use super::Rights;

/// Bytes of a segment.
pub const SEGMENT: u64 = 1 << 28;
/// Entries of a group.
pub const GROUP: u64 = 8;

const VALID: u64 = 0x1;
/// The entry stands in the second of the groups where it may stand.
const SECOND: u64 = 0x2;
const AVPN: u64 = !0x7f;
const REFERENCED_CHANGED: u64 = 0x180;
const COHERENT: u64 = 0x10;
const NO_EXECUTE: u64 = 0x4;
const READ_ONLY: u64 = 0x3;
const REAL_PAGE: u64 = 0x0fff_ffff_ffff_f000;

/// The segment that contains an address; also its VSID.
#[must_use]
pub const fn segment(address: u64) -> u64 {
    address / SEGMENT
}

/// First word of an entry for the page at `address`.
const fn virtual_page(address: u64) -> u64 {
    // Bits of the virtual address above 23, at their place in the entry.
    ((segment(address) << 28 | address & (SEGMENT - 1)) >> 23) << 7
}

/// Where the entry for a page may stand: the number of the first of eight, in the
/// first or the second group, of a table with `groups` groups (a power of two).
#[must_use]
pub const fn slot(address: u64, groups: u64, second: bool) -> u64 {
    let hash = segment(address) ^ (address & (SEGMENT - 1)) >> 12;
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

/// True if an entry's first word is valid and for the page at `address`.
#[must_use]
pub const fn is_for(v: u64, address: u64) -> bool {
    v & VALID != 0 && v & AVPN == virtual_page(address) & AVPN
}

/// What an entry's second word lets be done, and where it leads; `None` for bits
/// that this kernel never sets.
#[must_use]
pub const fn meaning(r: u64) -> (Option<Rights>, u64) {
    let rights = match r & (NO_EXECUTE | READ_ONLY) {
        0x7 => Some(Rights::Read),
        0x4 => Some(Rights::ReadWrite),
        0x3 => Some(Rights::ReadExecute),
        _ => None,
    };
    (rights, r & REAL_PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand from the ISA's formulas for VSID 0x4, page 0x4400.
    #[test]
    fn an_entry_has_the_words_of_the_architecture() {
        let at = 0x4440_1000;
        assert_eq!(segment(at), 4);
        // Virtual address 0x4444_01000 >> 23 = 0x88, at bit 7.
        let (v, r) = entry(at, at, Rights::ReadExecute, false);
        assert_eq!(v, (((4 << 28) | 0x0440_1000) >> 23) << 7 | 1);
        assert_eq!(r, 0x4440_1000 | 0x193);
        assert_eq!(entry(at, at, Rights::ReadWrite, true).0 & 3, 3);
        // 0x4 xor 0x4401 = 0x4405, of 0x800 groups.
        assert_eq!(slot(at, 0x800, false), (0x4405 & 0x7ff) * 8);
        assert_eq!(slot(at, 0x800, true), (!0x4405 & 0x7ff) * 8);
    }

    #[test]
    fn rights_come_back_as_they_went() {
        for rights in [Rights::Read, Rights::ReadWrite, Rights::ReadExecute] {
            let (v, r) = entry(0x1234_5000, 0x9_8765_4000, rights, false);
            assert_eq!(meaning(r), (Some(rights), 0x9_8765_4000));
            assert!(is_for(v, 0x1234_5000));
            assert!(!is_for(v & !1, 0x1234_5000));
            assert!(!is_for(v, 0x2234_5000));
        }
        assert_eq!(meaning(0).0, None, "writable and executable");
    }
}
