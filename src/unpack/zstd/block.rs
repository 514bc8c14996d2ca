//! One compressed block: literals, then the sequences that place them.
//!
//! ```text
//!  literals   header: kind, size, [packed size, streams]; [Huffman table]; bytes
//!  sequences  count; modes; tables; bits         (super::sequences)
//! ```
//!
//! # References
//! RFC 8878, "Literals Section", "Sequences Section".

use alloc::vec::Vec;

use super::{huffman, sequences};

/// What blocks of a frame hand on to each other.
pub struct Decoder {
    literals: Vec<u8>,
    huffman: huffman::Table,
    sequences: sequences::Tables,
}

impl Decoder {
    /// `literals` is room for those of the longest block.
    pub fn new(literals: Vec<u8>) -> Self {
        let (huffman, sequences) = (huffman::Table::new(), sequences::Tables::new());
        Self { literals, huffman, sequences }
    }

    /// Forgets the tables of the frame before.
    pub fn begin_frame(&mut self) {
        (self.huffman, self.sequences) = (huffman::Table::new(), sequences::Tables::new());
    }

    /// Unpacks a block behind the first `len` bytes of `out`, in which it may look
    /// back; the new length. `out` ends where the block must have ended.
    pub fn decode(&mut self, block: &[u8], out: &mut [u8], len: usize) -> Option<usize> {
        let (literals, used) = self.literals(block)?;
        let sequences = block.get(used..)?;
        self.sequences.carry_out(sequences, &self.literals[..literals], out, len)
    }

    /// Decodes the literals at the front of `block`; how many, and the bytes of
    /// their section.
    fn literals(&mut self, block: &[u8]) -> Option<(usize, usize)> {
        let first = *block.first()?;
        let format = first >> 2 & 3;
        // Bytes of the header, and bits of each size in it.
        let (header, bits) = match (first & 3, format) {
            (0 | 1, 0 | 2) => (1, 5),
            (0 | 1, 1) => (2, 12),
            (0 | 1, _) => (3, 20),
            (_, 0 | 1) => (3, 10),
            (_, 2) => (4, 14),
            _ => (5, 18),
        };
        let bytes = block.get(..header)?;
        let fields = bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        let size = |place: u32| (fields >> place) as usize & ((1 << bits) - 1);
        // One bit less for a short size.
        let place = if bits == 5 { 3 } else { 4 };
        let len = size(place);
        let out = self.literals.get_mut(..len)?;
        let rest = &block[header..];
        let used = match first & 3 {
            0 => {
                out.copy_from_slice(rest.get(..len)?);
                len
            }
            1 => {
                out.fill(*rest.first()?);
                1
            }
            kind => {
                let packed = size(place + bits);
                let mut streams = rest.get(..packed)?;
                if kind == 2 {
                    let table = self.huffman.describe(streams)?;
                    streams = &streams[table..];
                } else if !self.huffman.is_known() {
                    return None;
                }
                match format {
                    0 => self.huffman.stream(streams, out)?,
                    _ => self.huffman.four_streams(streams, out)?,
                }
                packed
            }
        };
        Some((len, header + used))
    }
}
