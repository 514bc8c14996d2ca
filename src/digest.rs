//! BLAKE2b with a digest of 64 bits: do these bytes equal those elsewhere?
//!
//! `sections` shows one for each section in memory, and `make corpus` compares
//! them with what a host has linked. `b2sum -l 64` and Python's
//! `hashlib.blake2b(digest_size=8)` print the same, so a dump of memory can be
//! checked with what every system has. That is why it is not something shorter:
//! it takes some 16 instructions a byte, on a path that nobody waits for.
//!
//! ```text
//!  bytes ─┬─ 128 at a time ──> mix 12 times into eight words ──> the first word
//!         └─ the last ones, filled up with zeros
//! ```
//!
//! # References
//! RFC 7693, "The BLAKE2 Cryptographic Hash and Message Authentication Code".
#![forbid(unsafe_code)]

/// Bytes that are mixed at once.
const BLOCK: usize = 128;

/// The first 64 bits of the fractions of the square roots of the first primes.
const IV: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// In which order a round takes the words of a block; rounds 10 and 11 are as 0
/// and 1.
const SIGMA: [[u8; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// Which words of the state each mixing takes: columns, then diagonals.
const LANES: [[usize; 4]; 8] = [
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
];

/// A digest in the making.
#[derive(Clone)]
pub struct Digest {
    state: [u64; 8],
    /// Bytes mixed so far.
    mixed: u64,
    block: [u8; BLOCK],
    /// Bytes in `block`.
    filled: usize,
}

impl Default for Digest {
    fn default() -> Self {
        let mut state = IV;
        state[0] ^= 0x0101_0000 ^ 8; // no key, a digest of eight bytes
        Self { state, mixed: 0, block: [0; BLOCK], filled: 0 }
    }
}

impl Digest {
    /// The digest of `bytes`, as the number that tools print.
    #[must_use]
    pub fn of(bytes: &[u8]) -> u64 {
        let mut digest = Self::default();
        digest.update(bytes);
        digest.finish()
    }

    /// Takes more bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // A full block waits until something follows: the last is special.
            if self.filled == BLOCK {
                self.mix(false);
            }
            let take = bytes.len().min(BLOCK - self.filled);
            self.block[self.filled..self.filled + take].copy_from_slice(&bytes[..take]);
            self.filled += take;
            bytes = &bytes[take..];
        }
    }

    /// The digest. Its first byte is the highest, as in a dump.
    #[must_use]
    pub fn finish(mut self) -> u64 {
        self.block[self.filled..].fill(0);
        self.mix(true);
        self.state[0].swap_bytes()
    }

    fn mix(&mut self, last: bool) {
        self.mixed += self.filled as u64;
        self.filled = 0;
        let word = |index: usize| {
            let bytes = self.block.as_chunks::<8>().0[index];
            u64::from_le_bytes(bytes)
        };
        let block: [u64; 16] = core::array::from_fn(word);
        let mut v = [0; 16];
        v[..8].copy_from_slice(&self.state);
        v[8..].copy_from_slice(&IV);
        v[12] ^= self.mixed;
        if last {
            v[14] = !v[14];
        }
        for round in 0..12 {
            let order = &SIGMA[round % 10];
            for (&[a, b, c, d], pair) in LANES.iter().zip(order.as_chunks::<2>().0) {
                let [x, y] = pair.map(|index| block[usize::from(index)]);
                v[a] = v[a].wrapping_add(v[b]).wrapping_add(x);
                v[d] = (v[d] ^ v[a]).rotate_right(32);
                v[c] = v[c].wrapping_add(v[d]);
                v[b] = (v[b] ^ v[c]).rotate_right(24);
                v[a] = v[a].wrapping_add(v[b]).wrapping_add(y);
                v[d] = (v[d] ^ v[a]).rotate_right(16);
                v[c] = v[c].wrapping_add(v[d]);
                v[b] = (v[b] ^ v[c]).rotate_right(63);
            }
        }
        for (index, state) in self.state.iter_mut().enumerate() {
            *state ^= v[index] ^ v[index + 8];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are what `b2sum -l 64` (coreutils) prints.
    #[test]
    fn a_digest_is_what_b2sum_prints() {
        let count = |len: usize| (0..len).map(|n| n as u8).collect::<Vec<_>>();
        let vectors: [(&[u8], u64); 6] = [
            (b"", 0xe4a6_a057_7479_b2b4),
            (b"abc", 0xd8bb_14d8_33d5_9559),
            (&count(127), 0x6800_5651_c301_c41e),
            (&count(128), 0xc2d1_3df1_b661_7e82),
            (&count(129), 0xf667_e47a_6d53_50a6),
            (&count(1000), 0xa4bf_5890_100b_2ac6),
        ];
        for (bytes, expected) in vectors {
            assert_eq!(Digest::of(bytes), expected, "{} bytes", bytes.len());
            let mut pieces = Digest::default();
            bytes.chunks(7).for_each(|piece| pieces.update(piece));
            assert_eq!(pieces.finish(), expected, "{} bytes in pieces", bytes.len());
        }
    }
}
