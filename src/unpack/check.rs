//! Checksums that compressed files carry of what they unpack to.
//!
//! The two CRCs go through a table of sixteen entries, four bits at a time: half
//! as fast as 256 entries, and a sixteenth of their room in the image.
//!
//! # References
//! "The .xz File Format", "CRC32" and "CRC64" (IEEE 802.3, ECMA-182, both with
//! reflected bits); "XXH64", the xxHash specification.

/// Table for a reflected polynomial: what four bits shifted out do to the rest.
const fn table(polynomial: u64) -> [u64; 16] {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let mut value = index as u64;
        let mut bit = 0;
        while bit < 4 {
            value = if value & 1 != 0 { value >> 1 ^ polynomial } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

const CRC32: [u64; 16] = table(0xedb8_8320);
const CRC64: [u64; 16] = table(0xc96c_5795_d787_0f42);

fn crc(table: &[u64; 16], ones: u64, bytes: &[u8]) -> u64 {
    let end = bytes.iter().fold(ones, |crc, &byte| {
        let crc = crc ^ u64::from(byte);
        let crc = crc >> 4 ^ table[(crc & 15) as usize];
        crc >> 4 ^ table[(crc & 15) as usize]
    });
    end ^ ones
}

/// CRC32 of `bytes`.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc(&CRC32, 0xffff_ffff, bytes) as u32
}

/// CRC64 of `bytes`.
#[must_use]
pub fn crc64(bytes: &[u8]) -> u64 {
    crc(&CRC64, u64::MAX, bytes)
}

const PRIME1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const PRIME3: u64 = 0x1656_67b1_9e37_79f9;
const PRIME4: u64 = 0x85eb_ca77_c2b2_ae63;
const PRIME5: u64 = 0x27d4_eb2f_1656_67c5;

/// Mixes eight bytes into a lane.
fn round(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(PRIME2)).rotate_left(31).wrapping_mul(PRIME1)
}

/// XXH64 of `bytes` with seed 0.
#[must_use]
pub fn xxh64(bytes: &[u8]) -> u64 {
    let (stripes, rest) = bytes.as_chunks::<32>();
    let mut hash = PRIME5;
    if !stripes.is_empty() {
        let mut lanes = [PRIME1.wrapping_add(PRIME2), PRIME2, 0, 0_u64.wrapping_sub(PRIME1)];
        for stripe in stripes {
            for (lane, input) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
                *lane = round(*lane, u64::from_le_bytes(*input));
            }
        }
        hash = 0;
        for (lane, turn) in lanes.iter().zip([1, 7, 12, 18]) {
            hash = hash.wrapping_add(lane.rotate_left(turn));
        }
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(PRIME1).wrapping_add(PRIME4);
        }
    }
    hash = hash.wrapping_add(bytes.len() as u64);
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        hash = (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27);
        hash = hash.wrapping_mul(PRIME1).wrapping_add(PRIME4);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME1);
        hash = hash.rotate_left(23).wrapping_mul(PRIME2).wrapping_add(PRIME3);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIME5)).rotate_left(11).wrapping_mul(PRIME1);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIME2);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIME3);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values that the catalogue of CRCs gives for the nine digits.
    #[test]
    fn crcs_of_the_nine_digits_are_those_of_the_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc64(b"123456789"), 0x995d_c9bb_df19_39fa);
        assert_eq!((crc32(b""), crc64(b"")), (0, 0));
    }

    /// Vectors of the xxHash specification; longer texts are compared with `zstd`
    /// in `tests/unpack.rs`.
    #[test]
    fn xxh64_of_short_texts_is_that_of_the_specification() {
        assert_eq!(xxh64(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc"), 0x44bc_2cf5_ad77_0999);
    }
}
