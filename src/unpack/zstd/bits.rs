//! Numbers out of bits.
//!
//! Tables are described from the front of their bytes, lowest bit first
//! ([`Forward`]). Everything else is written to be read from the back
//! ([`Backward`]): the highest bit set in the last byte is a mark, and what stands
//! before it comes first, each number with its highest bit first.
//!
//! # References
//! RFC 8878, "FSE Table Description", "Bitstream".

/// From the first byte on.
pub struct Forward<'a> {
    bytes: &'a [u8],
    /// Bits read.
    at: usize,
}

impl<'a> Forward<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, at most 16, without passing them; zeros behind the
    /// end.
    pub fn peek(&self, count: u32) -> u32 {
        let mut word = 0;
        for place in 0..3 {
            let byte = self.bytes.get(self.at / 8 + place).copied().unwrap_or(0);
            word |= u32::from(byte) << (place * 8);
        }
        word >> (self.at % 8) & ((1 << count) - 1)
    }

    /// Passes `count` bits.
    pub fn pass(&mut self, count: u32) {
        self.at += count as usize;
    }

    /// Bytes that have been begun; `None` if there are not so many.
    pub fn used(&self) -> Option<usize> {
        let used = self.at.div_ceil(8);
        (used <= self.bytes.len()).then_some(used)
    }
}

/// From the mark in the last byte back.
pub struct Backward<'a> {
    bytes: &'a [u8],
    /// Bits left; negative if more were read than there are.
    left: i64,
}

impl<'a> Backward<'a> {
    /// `None` if there is no mark.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let mark = bytes.last()?.checked_ilog2()?;
        Some(Self { bytes, left: (bytes.len() as i64 - 1) * 8 + i64::from(mark) })
    }

    /// The next `count` bits, at most 56; zeros behind the end.
    #[inline(always)] // several times for each symbol
    pub fn peek(&self, count: u32) -> u64 {
        let low = self.left - i64::from(count);
        let mask = (1 << count) - 1;
        if low < 0 {
            let (Some(first), true) = (self.word(0), self.left > 0) else { return 0 };
            return first << (-low).min(63) & mask;
        }
        self.word(low as usize / 8).unwrap_or(0) >> (low % 8) & mask
    }

    /// The eight bytes from `at` on, with zeros behind the end.
    #[inline]
    fn word(&self, at: usize) -> Option<u64> {
        let rest = self.bytes.get(at..)?;
        if let Some(bytes) = rest.first_chunk() {
            return Some(u64::from_le_bytes(*bytes));
        }
        let mut bytes = [0; 8];
        bytes[..rest.len()].copy_from_slice(rest);
        Some(u64::from_le_bytes(bytes))
    }

    /// Passes `count` bits.
    #[inline]
    pub fn pass(&mut self, count: u32) {
        self.left -= i64::from(count);
    }

    /// The next `count` bits.
    #[inline]
    pub fn read(&mut self, count: u32) -> u64 {
        let bits = self.peek(count);
        self.pass(count);
        bits
    }

    /// Bits left; negative if more were read than there are.
    pub fn left(&self) -> i64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_gives_low_bits_first_and_the_back_high_ones() {
        let bytes = [0b1010_0101, 0b0001_0110];
        let mut front = Forward::new(&bytes);
        assert_eq!(front.peek(4), 0b0101);
        front.pass(4);
        assert_eq!(front.peek(8), 0b0110_1010);
        front.pass(8);
        assert_eq!(front.used(), Some(2));
        front.pass(5);
        assert_eq!(front.used(), None);
        // The mark is bit 12.
        let mut back = Backward::new(&bytes).unwrap();
        assert_eq!(back.left(), 12);
        assert_eq!(back.read(4), 0b0110);
        assert_eq!(back.read(6), 0b10_1001);
        assert_eq!(back.read(4), 0b0100); // two, and zeros behind the end
        assert_eq!(back.left(), -2);
        assert_eq!(back.read(9), 0);
        assert!(Backward::new(&[1, 0]).is_none());
        assert!(Backward::new(&[]).is_none());
    }
}
