//! Which places of the per-CPU block a module's code reads and writes through r13.
//!
//! Modules built for Linux reach into Linux's block. The places that all of Debian's
//! use, but KVM's, are kept free in ours ([`RESERVED`]): whatever a module does there
//! harms nobody. Others hold something of Tocsin's, so a module that uses them should
//! be known before it runs.
//!
//! A look at every word of the code costs about four instructions each: `modinfo`
//! always does it, `insmod` for modules whose code is not longer than
//! [`LOOKED_AT_MAX`], as nearly all are, and KVM's too. Displacements are seen,
//! computed addresses are not.

use alloc::{format, string::String, vec::Vec};

use super::elf::Object;

/// Longest code that `insmod` looks through.
pub const LOOKED_AT_MAX: u64 = 512 << 10;

/// Offset and bytes of each reserved place: Linux 6.1's, then those of 6.12 and 7.
const RESERVED: [(u16, u16); 14] = [
    (8, 2),
    (48, 8),
    (296, 8),
    (338, 1),
    (339, 1),
    (1144, 8),
    (1152, 2),
    (1154, 2),
    (2312, 8),
    (2354, 1),
    (2355, 1),
    (3192, 8),
    (3200, 2),
    (3202, 2),
];

/// Bytes of code in the file.
#[must_use]
pub fn code_len(object: &Object) -> u64 {
    let code = object.sections().iter().filter(|section| section.is_code());
    code.map(|section| section.data.len() as u64).sum()
}

/// The offsets from r13 that the code uses and that are not reserved, rising.
#[must_use]
pub fn other_places(object: &Object) -> Vec<i16> {
    let mut places = Vec::new();
    for section in object.sections().iter().filter(|section| section.is_code()) {
        for word in section.data.as_chunks::<4>().0 {
            let word = u32::from_le_bytes(*word);
            if word >> 16 & 31 == 13
                && let Some(offset) = offset(word)
            {
                let at = u16::try_from(offset).ok();
                let free = |(start, len): &(u16, u16)| {
                    at.is_some_and(|at| at >= *start && at < start + len)
                };
                if !RESERVED.iter().any(free)
                    && let Err(at) = places.binary_search(&offset)
                {
                    places.insert(at, offset);
                }
            }
        }
    }
    places
}

/// The same as text; `None` if there are none.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn listed(object: &Object) -> Option<String> {
    let places: Vec<_> = other_places(object).iter().map(|place| format!("{place}")).collect();
    (!places.is_empty()).then(|| places.join(", "))
}

/// The displacement of a load or store, or of an address that is computed.
fn offset(word: u32) -> Option<i16> {
    let low = word as u16;
    match word >> 26 {
        14 | 32..=55 => Some(low.cast_signed()),
        58 | 62 => Some((low & !3).cast_signed()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words from GNU as.
    #[test]
    fn loads_stores_and_addresses_are_seen_and_nothing_else() {
        assert_eq!(offset(0xe92d_0908), Some(2312)); // ld r9,2312(r13)
        assert_eq!(offset(0x986d_0932), Some(2354)); // stb r3,2354(r13)
        assert_eq!(offset(0xf92d_0030), Some(48)); // std r9,48(r13)
        assert_eq!(offset(0x386d_0010), Some(16)); // addi r3,r13,16
        assert_eq!(offset(0x3c6d_0010), None); // addis r3,r13,16
        assert_eq!(offset(0x7c6d_18ae), None); // lbzx r3,r13,r3
        assert_eq!(offset(0x416d_0010), None); // bc with 13 in its BI
    }
}
