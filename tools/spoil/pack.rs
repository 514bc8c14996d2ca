//! Spoils a compressed file: `.xz` guards each of its headers by a checksum, behind
//! which a fuzzer would never see anything. So those are made right again.
//!
//! Checksums of what comes out are left alone: by then everything has been read.
//! Zstandard has no other ones.
//!
//! # References
//! "The .xz File Format" 1.2.1, "Stream Header", "Block Header", "Index".

use super::elf::{get, put};
use super::rng::Rng;
use tocsin::unpack::{check::crc32, xz};

/// Bytes of the stream's header, and of its footer.
const ENDS: usize = 12;

/// Changes some bytes of `file`.
pub fn spoil(file: &mut Vec<u8>, rng: &mut Rng, max: usize) {
    for _ in 0..1 + rng.below(4) {
        let near_an_end = rng.once_in(2);
        let span = if near_an_end { 48.min(file.len()) } else { file.len() };
        let from_end = rng.once_in(2);
        let at = if from_end { file.len() - span + rng.below(span) } else { rng.below(span) };
        match rng.below(8) {
            0 => file.truncate(at),
            1 => {
                let more = rng.below(64).min(max.saturating_sub(file.len()));
                file.resize(file.len() + more, 0);
            }
            2..=4 => put(file, at, 1, rng.pick(&[0, 1, 3, 0x7f, 0x80, 0xc0, 0xe0, 0xff])),
            5 => {
                // A piece once more, somewhere else.
                let (from, len) = (rng.below(file.len()), 1 + rng.below(32));
                for offset in 0..len {
                    let byte = get(file, from + offset, 1);
                    put(file, at + offset, 1, byte);
                }
            }
            _ => put(file, at, 1, rng.next()),
        }
    }
    if file.starts_with(&xz::MAGIC) {
        repair(file);
    }
}

/// Makes the checksums of the stream's header, the first block's, the index and the
/// footer right, where those are.
pub fn repair(file: &mut [u8]) {
    let sum = |file: &[u8], from: usize, to: usize| file.get(from..to).map_or(0, crc32).into();
    let of_header = sum(file, 6, 8);
    put(file, 8, 4, of_header);
    let block_end = ENDS + get(file, ENDS, 1) as usize * 4;
    let of_block = sum(file, ENDS, block_end);
    if block_end > ENDS {
        put(file, block_end, 4, of_block);
    }
    let Some(footer) = file.len().checked_sub(ENDS).filter(|&footer| footer >= ENDS) else {
        return;
    };
    let words = get(file, footer + 4, 4) as usize + 1;
    if let Some(index) = footer.checked_sub(words.saturating_mul(4)).filter(|&at| at >= ENDS) {
        let of_index = sum(file, index, footer - 4);
        put(file, footer - 4, 4, of_index);
    }
    let of_footer = sum(file, footer + 4, footer + 10);
    put(file, footer, 4, of_footer);
}
