//! Decoding LZ4 blocks, for modules that import `LZ4_decompress_safe`.
//!
//! A block is a row of sequences: a token (two lengths of 4 bits), literals, and a
//! match that copies from what was decoded already. The last one ends after its
//! literals.
//!
//! Reference: LZ4 Block Format Description (lz4 project, `lz4_Block_format.md`).

use alloc::vec::Vec;

/// Fewest bytes of a match; the token counts from there.
const MIN_MATCH: usize = 4;

/// The decoded block, at most `room` bytes; `None` if the block is damaged or longer.
#[must_use]
pub fn decode(mut block: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let token = usize::from(take(&mut block, 1)?[0]);
        let len = length(&mut block, token >> 4)?;
        let literals = take(&mut block, len)?;
        if literals.len() > room - out.len() {
            return None;
        }
        out.extend_from_slice(literals);
        if block.is_empty() {
            return Some(out);
        }
        let offset = take(&mut block, 2)?;
        let offset = usize::from(u16::from_le_bytes([offset[0], offset[1]]));
        let len = length(&mut block, token & 15)?.checked_add(MIN_MATCH)?;
        let start = out.len().checked_sub(offset).filter(|_| offset > 0)?;
        if len > room - out.len() {
            return None;
        }
        // Byte by byte: a match may reach into what it writes itself.
        for at in start..start + len {
            out.push(out[at]);
        }
    }
}

fn take<'a>(block: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = block.split_at_checked(len)?;
    *block = rest;
    Some(taken)
}

/// A length: 15 goes on in bytes, of which the first that is not 255 is the last.
fn length(block: &mut &[u8], nibble: usize) -> Option<usize> {
    let mut len = nibble;
    let mut more = nibble == 15;
    while more {
        let byte = take(block, 1)?[0];
        len = len.checked_add(usize::from(byte))?;
        more = byte == 255;
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Debian's lz4_compress makes of it (qemu/cases/debian-lz4.case).
    #[test]
    fn a_block_of_the_reference_compressor_comes_back() {
        let mut block = b"\x3fabc\x03\0\x1a\xa00123456789".to_vec();
        let text = [&b"abc".repeat(16)[..], b"0123456789"].concat();
        assert_eq!(decode(&block, text.len()), Some(text.clone()));
        assert_eq!(decode(&block, text.len() - 1), None);
        block.pop();
        assert_eq!(decode(&block, text.len()), None);
    }

    #[test]
    fn lengths_go_on_in_bytes_that_are_255() {
        let mut block = vec![0xf0, 255, 0];
        block.extend([b'x'; 270]);
        assert_eq!(decode(&block, 270), Some(vec![b'x'; 270]));
        assert_eq!(decode(&block, 269), None);
        assert_eq!(decode(&block[..2], 270), None);
    }

    #[test]
    fn damage_is_refused() {
        assert_eq!(decode(b"", 9), None);
        assert_eq!(decode(b"\0", 0), Some(vec![]));
        assert_eq!(decode(b"\x10a\x02\0\0", 99), None); // before the start
        assert_eq!(decode(b"\x10a\0\0\0", 99), None); // offset 0
        assert_eq!(decode(b"\x10a\x01\0", 99), None); // ends after a match
        assert_eq!(decode(b"\x10a\x01\0\x10b", 99), Some(b"aaaaab".to_vec()));
        assert_eq!(decode(b"\x10a\x01\0\x10b", 5), None);
    }
}
