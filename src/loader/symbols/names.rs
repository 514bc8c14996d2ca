//! Functions by name: chains of those whose names have one hash.
//!
//! ```text
//!   hash("crc7_be") & mask --> heads [.. 7 ..]
//!                                        '--> number 7 --next--> number 9 --> end
//! ```
//!
//! A name is asked for by whoever traces one function, and must not cost a look at
//! each of a module's ten thousand; the table is made once, when the module comes.
//! Chains rather than open addressing: a file full of equal names then makes one
//! long chain, and not a load that takes for ever.

use alloc::vec::Vec;

/// A name to look for, in any number of tables.
#[derive(Clone, Copy, Debug)]
pub struct Name<'n> {
    /// The name.
    pub bytes: &'n [u8],
    hash: u64,
}

impl<'n> Name<'n> {
    /// Makes a name ready.
    #[must_use]
    pub fn new(text: &'n str) -> Self {
        Self { bytes: text.as_bytes(), hash: scan(text.as_bytes()).0 }
    }

    /// The name that `bytes` begin with, up to their first NUL or their end.
    #[must_use]
    pub fn before_nul(bytes: &'n [u8]) -> Self {
        let (hash, len) = scan(bytes);
        Self { bytes: &bytes[..bytes.len().min(len)], hash }
    }

    /// The name as text.
    #[must_use]
    pub fn text(&self) -> Option<&'n str> {
        core::str::from_utf8(self.bytes).ok()
    }
}

/// Numbers of things by the hash of their names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// First of each chain, plus one; a power of two of them.
    heads: Vec<u32>,
    /// For each number the next in its chain, plus one.
    next: Vec<u32>,
}

impl Names {
    /// The table for names in the order of their numbers. A name is the bytes up
    /// to the first NUL, or to the end.
    #[must_use]
    pub fn new<'n>(names: impl DoubleEndedIterator<Item = &'n [u8]> + ExactSizeIterator) -> Self {
        let count = names.len();
        let chains = count.next_power_of_two();
        let mut heads = alloc::vec![0; chains];
        let mut next = alloc::vec![0; count];
        // From the last, so that chains ascend.
        for (number, name) in names.enumerate().rev() {
            let head = &mut heads[scan(name).0 as usize & (chains - 1)];
            next[number] = core::mem::replace(head, number as u32 + 1);
        }
        Self { heads, next }
    }

    /// True if nothing can be found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// The first number in the chain of `name`; it may have another name.
    #[must_use]
    pub fn first(&self, name: &Name<'_>) -> Option<u32> {
        let chain = name.hash as usize & self.heads.len().wrapping_sub(1);
        self.heads.get(chain)?.checked_sub(1)
    }

    /// The number that follows in a chain.
    #[must_use]
    pub fn after(&self, number: u32) -> Option<u32> {
        self.next.get(number as usize)?.checked_sub(1)
    }
}

/// How many bytes stand before the first NUL, or before the end: as [`scan`], if only
/// that is asked for.
pub(in crate::loader) fn len_before_nul(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some((bytes, behind)) = rest.split_first_chunk() {
        let ends = ends(u64::from_le_bytes(*bytes));
        if ends != 0 {
            return text.len() - rest.len() + ends.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    text.len() - rest.len() + rest.iter().take_while(|byte| **byte != 0).count()
}

/// Mixes the bytes of a name, up to its first NUL or its end, and counts them.
#[inline(always)] // into a loop over ten thousand names
fn scan(name: &[u8]) -> (u64, usize) {
    // Odd, without a pattern: 2^64 divided by the golden ratio.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(FACTOR);
        hash ^ hash >> 32
    };
    let (mut hash, mut len) = (0_u64, 0);
    let mut rest = name;
    // Most of a name: eight bytes, and its end is not among them.
    while let Some((bytes, behind)) = rest.split_first_chunk()
        && let word = u64::from_le_bytes(*bytes)
        && ends(word) == 0
    {
        hash = mix(hash, word);
        len += 8;
        rest = behind;
    }
    let word = first_word(rest);
    (mix(hash, word), len + 8 - word.leading_zeros() as usize / 8)
}

/// The top bit of each byte of `word` that is zero; above the first one also of others.
#[inline(always)]
fn ends(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    word.wrapping_sub(EACH) & !word & EACH << 7
}

/// The first eight bytes of a name as a number, zeros behind its end.
#[inline]
fn first_word(rest: &[u8]) -> u64 {
    if let Some(bytes) = rest.first_chunk() {
        let word = u64::from_le_bytes(*bytes);
        let ends = ends(word);
        let first = ends & ends.wrapping_neg();
        return word & first.wrapping_sub(1);
    }
    last_word(rest)
}

/// The same of less than eight bytes.
#[cold]
#[inline(never)]
fn last_word(rest: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(rest.iter().take_while(|byte| **byte != 0)) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_word_ends_at_the_first_nul_wherever_it_is() {
        for len in 0..=19 {
            for behind in [&b"\0"[..], b"\0\0\x01\xff\x80", b"\0abcdefghijkl", b""] {
                let text = [&b"\x01\x80\xff\x7fabcdefghijklmno"[..len], behind].concat();
                assert_eq!(len_before_nul(&text), len, "{text:?}");
            }
        }
        for len in 0..=9 {
            for behind in [&b"\0"[..], b"\0\0\x01\xff\x80", b"\0abcdefghijkl", b""] {
                let name = [&b"\x01\x80\xff\x7fabcde"[..len], behind].concat();
                let mut expected = [0; 8];
                let used = len.min(8);
                expected[..used].copy_from_slice(&name[..used]);
                assert_eq!(first_word(&name), u64::from_le_bytes(expected), "{name:?}");
            }
        }
    }

    fn chain(names: &Names, text: &str) -> Vec<u32> {
        let first = names.first(&Name::new(text));
        core::iter::successors(first, |number| names.after(*number)).collect()
    }

    #[test]
    fn equal_names_are_found_in_the_order_of_their_numbers() {
        let table = [&b"crc\0x"[..], b"twelve_bytes\0", b"crc\0", b"eight_by\0", b"crc"];
        let names = Names::new(table.into_iter());
        let found = |name: &str| {
            let mut found = chain(&names, name);
            found.retain(|number| table[*number as usize].starts_with(name.as_bytes()));
            found
        };
        assert_eq!(found("crc"), [0, 2, 4]);
        assert_eq!(found("eight_by"), [3]);
        assert_eq!(found("twelve_bytes"), [1]);
        assert_eq!(found("crd"), []);
        assert_eq!(chain(&Names::new([].into_iter()), "crc"), []);
        assert_eq!(chain(&Names::default(), "crc"), []);
    }

    #[test]
    fn a_hundred_thousand_equal_names_make_one_long_chain_at_once() {
        let names = Names::new(core::iter::repeat_n(&b"same\0"[..], 100_000));
        assert_eq!(chain(&names, "same").len(), 100_000);
    }

    proptest! {
        #[test]
        fn every_name_is_found(words in prop::collection::vec("[a-z_]{0,20}", 0..60)) {
            let ended: Vec<_> = words.iter().map(|word| [word.as_bytes(), b"\0rest"].concat()).collect();
            let names = Names::new(ended.iter().map(Vec::as_slice));
            for (number, word) in words.iter().enumerate() {
                prop_assert!(chain(&names, word).contains(&(number as u32)));
            }
        }
    }
}
