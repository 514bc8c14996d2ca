//! Huffman-coded literals: the code's table, then one stream or four.
//!
//! A table is described by a weight for each byte: 0 for a byte that does not
//! occur, else the code has `longest + 1 - weight` bits. The last byte's weight is
//! not stated, since it follows from the others.
//!
//! # References
//! RFC 8878, "Huffman Coding", "Literals Section".

use super::{bits::Backward, fse};

/// Longest code.
const LONGEST: u32 = 11;
/// Most bits of the states that code weights.
const WEIGHTS_LOG: u32 = 6;

/// For each run of `longest` bits: the byte whose code they begin with, and that
/// code's length.
pub struct Table {
    longest: u32,
    codes: [(u8, u8); 1 << LONGEST],
}

impl Table {
    pub const fn new() -> Self {
        Self { longest: 0, codes: [(0, 0); 1 << LONGEST] }
    }

    /// True if a block before this one has described it.
    pub fn is_known(&self) -> bool {
        self.longest != 0
    }

    /// Reads the description at the front of `bytes`; the bytes that it has.
    pub fn describe(&mut self, bytes: &[u8]) -> Option<usize> {
        let (&first, rest) = bytes.split_first()?;
        let mut weights = [0; 256];
        let (count, used) = if first < 128 {
            let coded = rest.get(..first.into())?;
            (coded_weights(coded, &mut weights)?, coded.len())
        } else {
            let count = usize::from(first) - 127;
            let plain = rest.get(..count.div_ceil(2))?;
            for (index, weight) in weights[..count].iter_mut().enumerate() {
                let both = plain[index / 2];
                *weight = if index % 2 == 0 { both >> 4 } else { both & 15 };
            }
            (count, plain.len())
        };
        self.build(&mut weights, count)?;
        Some(1 + used)
    }

    /// Fills the table from the weights of the first `count` bytes, and that of
    /// the next one, which makes them complete.
    fn build(&mut self, weights: &mut [u8; 256], count: usize) -> Option<()> {
        self.longest = 0;
        let room = |weight: u8| if weight == 0 { 0 } else { 1_u32 << (weight - 1) };
        if weights.iter().any(|&weight| u32::from(weight) > LONGEST) {
            return None;
        }
        let sum: u32 = weights[..count].iter().map(|&weight| room(weight)).sum();
        let longest = sum.checked_ilog2()? + 1;
        let left = (1 << longest) - sum;
        if longest > LONGEST || !left.is_power_of_two() {
            return None;
        }
        *weights.get_mut(count)? = left.ilog2() as u8 + 1;
        let mut at = 0;
        for weight in 1..=longest as u8 {
            for (byte, _) in weights.iter().enumerate().filter(|(_, it)| **it == weight) {
                let end = at + room(weight) as usize;
                let code = (byte as u8, longest as u8 + 1 - weight);
                self.codes.get_mut(at..end)?.fill(code);
                at = end;
            }
        }
        self.longest = longest;
        Some(())
    }

    /// Decodes one stream, which fills `out` and has nothing left then.
    pub fn stream(&self, bytes: &[u8], out: &mut [u8]) -> Option<()> {
        let mut bits = Backward::new(bytes)?;
        for byte in out {
            let (value, len) = self.codes[bits.peek(self.longest) as usize];
            *byte = value;
            bits.pass(len.into());
        }
        (bits.left() == 0).then_some(())
    }

    /// Decodes four streams, whose sizes but the last stand in front of them.
    pub fn four_streams(&self, bytes: &[u8], out: &mut [u8]) -> Option<()> {
        let (sizes, mut rest) = bytes.split_first_chunk::<6>()?;
        let each = out.len().div_ceil(4);
        let mut left = out;
        for size in sizes.as_chunks::<2>().0 {
            let bytes = rest.split_off(..u16::from_le_bytes(*size).into())?;
            self.stream(bytes, left.split_off_mut(..each)?)?;
        }
        self.stream(rest, left)
    }
}

/// Weights out of states that take turns; how many there are.
fn coded_weights(bytes: &[u8], weights: &mut [u8; 256]) -> Option<usize> {
    let mut table = fse::Table::new();
    let used = table.describe(bytes, WEIGHTS_LOG, 255)?;
    let mut bits = Backward::new(&bytes[used..])?;
    let mut states = [table.start(&mut bits), table.start(&mut bits)];
    for index in 0..254 {
        let turn = index % 2;
        weights[index] = table.symbol(states[turn]);
        states[turn] = table.next(states[turn], &mut bits);
        if bits.left() < 0 {
            // That state had no bits any more: the other one's symbol is the last.
            weights[index + 1] = table.symbol(states[1 - turn]);
            return Some(index + 2);
        }
    }
    None
}
