//! LZMA2: chunks that are stored or range-coded, unpacked in place.
//!
//! ```text
//!  control      1: stored, window starts here   2: stored
//!               80..ff: coded; bits 5-6 say what is reset: nothing, the state,
//!               also the properties, also the window       0: the end
//!  stored       control, size - 1 (16 bits, high first), bytes
//!  coded        control with 5 high bits of size - 1, 16 low bits,
//!               packed size - 1, [properties], bytes
//! ```
//!
//! A coded chunk is a range coder's stream of bits, each with a probability that
//! adapts. They spell literals, matches (length, distance) and repetitions of one
//! of the last four distances. The window is the output itself.
//!
//! # Invariants
//! - A chunk writes exactly as many bytes as its header says, all inside the
//!   output; a distance never leads before the window's start.
//! - Reading past the input's end gives zeros and is noticed at the chunk's end;
//!   each turn of the loop writes at least a byte, so it ends.
//!
//! # References
//! "The .xz File Format", "LZMA2"; Igor Pavlov's LZMA specification
//! (`lzma-specification`), whose names are used below.

use alloc::vec::Vec;

use super::{UnpackError, repeat, zeros};

/// Why a stream of chunks was not unpacked.
pub(super) enum Fault {
    /// The input ends too early.
    Ends,
    /// The chunk at this offset is wrong.
    Wrong(usize),
}

/// Bits of a probability, and how fast it adapts.
const PROBABILITY_BITS: u32 = 11;
const ADAPTS: u32 = 5;
const EVEN: u16 = 1 << (PROBABILITY_BITS - 1);

/// States of the last few symbols; the first seven end in a literal.
const STATES: usize = 12;
const LITERAL_STATES: usize = 7;
/// Positions that are told apart, at most.
const POSITIONS: usize = 16;
/// Shortest match.
const MATCH_MIN: usize = 2;

/// Where each kind of probability lies in one array of them.
mod at {
    use super::{POSITIONS, STATES};

    pub const IS_MATCH: usize = 0;
    pub const IS_REP: usize = IS_MATCH + STATES * POSITIONS;
    pub const IS_REP_G0: usize = IS_REP + STATES;
    pub const IS_REP_G1: usize = IS_REP_G0 + STATES;
    pub const IS_REP_G2: usize = IS_REP_G1 + STATES;
    pub const IS_REP0_LONG: usize = IS_REP_G2 + STATES;
    /// Slots of distances, for four classes of length.
    pub const SLOT: usize = IS_REP0_LONG + STATES * POSITIONS;
    /// Low bits of distances below 128, in trees that begin at index 1.
    pub const SPECIAL: usize = SLOT + 4 * 64;
    /// The four lowest bits of all others.
    pub const ALIGN: usize = SPECIAL + 128;
    pub const MATCH_LEN: usize = ALIGN + 16;
    /// Two choices, then low and middle lengths for each position, then high.
    pub const REP_LEN: usize = MATCH_LEN + super::LEN_SIZE;
    pub const LITERAL: usize = REP_LEN + super::LEN_SIZE;
    /// With the most context that LZMA2 allows: lc + lp = 4.
    pub const END: usize = LITERAL + 0x300 * 16;
}

/// Probabilities of one coder of lengths.
const LEN_SIZE: usize = 2 + 2 * POSITIONS * 8 + 256;

/// Unpacks streams of chunks, one after the other.
pub(super) struct Decoder {
    probabilities: Vec<u16>,
    state: usize,
    /// The last four distances, less one; the latest first.
    reps: [u32; 4],
    /// Literal context bits, literal position bits, position bits.
    lc: u32,
    lp: u32,
    pb: u32,
}

/// The range coder over one chunk.
struct Range<'a> {
    input: &'a [u8],
    next: usize,
    range: u32,
    code: u32,
}

impl<'a> Range<'a> {
    fn new(input: &'a [u8]) -> Option<Self> {
        let &[0, a, b, c, d] = input.first_chunk::<5>()? else {
            return None;
        };
        Some(Self { input, next: 5, range: u32::MAX, code: u32::from_be_bytes([a, b, c, d]) })
    }

    #[inline(always)]
    fn normalise(&mut self) {
        if self.range < 1 << 24 {
            let byte = self.input.get(self.next).copied().unwrap_or(0);
            self.next += 1;
            self.range <<= 8;
            self.code = self.code << 8 | u32::from(byte);
        }
    }

    /// A bit with a probability that adapts.
    #[inline(always)]
    fn bit(&mut self, probability: &mut u16) -> u32 {
        self.normalise();
        let bound = (self.range >> PROBABILITY_BITS) * u32::from(*probability);
        if self.code < bound {
            self.range = bound;
            *probability += ((1 << PROBABILITY_BITS) - *probability) >> ADAPTS;
            0
        } else {
            self.range -= bound;
            self.code -= bound;
            *probability -= *probability >> ADAPTS;
            1
        }
    }

    /// `count` bits, highest first, that are as often 0 as 1.
    fn even_bits(&mut self, count: u32) -> u32 {
        let mut value = 0;
        for _ in 0..count {
            self.normalise();
            self.range >>= 1;
            let one = self.code >= self.range;
            if one {
                self.code -= self.range;
            }
            value = value << 1 | u32::from(one);
        }
        value
    }

    /// `count` bits, highest first, each with a probability for those before it.
    #[inline(never)]
    fn tree(&mut self, probabilities: &mut [u16], count: u32) -> u32 {
        let mut node = 1;
        for _ in 0..count {
            node = node << 1 | self.bit(&mut probabilities[node as usize]);
        }
        node - (1 << count)
    }

    /// The same, lowest first.
    fn tree_reversed(&mut self, probabilities: &mut [u16], count: u32) -> u32 {
        let (mut node, mut value) = (1, 0);
        for place in 0..count {
            let bit = self.bit(&mut probabilities[node as usize]);
            node = node << 1 | bit;
            value |= bit << place;
        }
        value
    }

    /// A length, less the shortest.
    fn length(&mut self, probabilities: &mut [u16], position: usize) -> usize {
        let (low, middle) = (2 + position * 8, 2 + (POSITIONS + position) * 8);
        let length = if self.bit(&mut probabilities[0]) == 0 {
            self.tree(&mut probabilities[low..low + 8], 3)
        } else if self.bit(&mut probabilities[1]) == 0 {
            8 + self.tree(&mut probabilities[middle..middle + 8], 3)
        } else {
            16 + self.tree(&mut probabilities[2 + 2 * POSITIONS * 8..], 8)
        };
        length as usize
    }
}

impl Decoder {
    pub fn new() -> Result<Self, UnpackError> {
        let probabilities = zeros(at::END)?;
        Ok(Self { probabilities, state: 0, reps: [0; 4], lc: 0, lp: 0, pb: 0 })
    }

    fn reset_state(&mut self) {
        self.probabilities.fill(EVEN);
        self.state = 0;
        self.reps = [0; 4];
    }

    /// lc, lp and pb out of their byte.
    fn set_properties(&mut self, byte: u8) -> Option<()> {
        let byte = u32::from(byte);
        (self.lc, self.lp, self.pb) = (byte % 9, byte / 9 % 5, byte / 45);
        (self.pb <= 4 && self.lc + self.lp <= 4).then_some(())
    }

    /// Unpacks the chunks at the front of `input` into the front of `out`; how
    /// many bytes went in and came out.
    pub fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), Fault> {
        let mut rest = input;
        let mut len = 0;
        // None before the first chunk, which has to say where the window starts.
        let mut window = None;
        let mut coded = false;
        loop {
            let at = input.len() - rest.len();
            let wrong = Fault::Wrong(at);
            let control = *rest.split_off_first().ok_or(Fault::Ends)?;
            match control {
                0 => return Ok((input.len() - rest.len(), len)),
                1 | 0xe0.. => window = Some(len),
                _ => {}
            }
            let Some(start) = window else { return Err(wrong) };
            let mut half = || {
                let bytes = rest.split_off(..2).ok_or(Fault::Ends)?;
                Ok(usize::from(bytes[0]) << 8 | usize::from(bytes[1]))
            };
            let low = half()?;
            match control {
                1 | 2 => {
                    let bytes = rest.split_off(..low + 1).ok_or(Fault::Ends)?;
                    let to = out.get_mut(len..len + bytes.len()).ok_or(wrong)?;
                    to.copy_from_slice(bytes);
                    len += bytes.len();
                }
                0x80.. => {
                    let end = len + (usize::from(control & 0x1f) << 16) + low + 1;
                    let packed = half()? + 1;
                    if control >= 0xc0 {
                        let byte = *rest.split_off_first().ok_or(Fault::Ends)?;
                        self.set_properties(byte).ok_or(Fault::Wrong(at))?;
                        coded = true;
                    }
                    if control >= 0xa0 {
                        self.reset_state();
                    }
                    let bytes = rest.split_off(..packed).ok_or(Fault::Ends)?;
                    let window = out.get_mut(start..end).filter(|_| coded);
                    let done = window.and_then(|window| self.chunk(bytes, window, len - start));
                    done.ok_or(wrong)?;
                    len = end;
                }
                _ => return Err(wrong),
            }
        }
    }

    /// Unpacks one coded chunk: `window` up to its end, from `len` on.
    fn chunk(&mut self, input: &[u8], window: &mut [u8], mut len: usize) -> Option<()> {
        let mut range = Range::new(input)?;
        while len < window.len() {
            let position = len & ((1 << self.pb) - 1);
            let both = self.state * POSITIONS + position;
            if range.bit(&mut self.probabilities[at::IS_MATCH + both]) == 0 {
                self.literal(&mut range, window, len)?;
                len += 1;
                continue;
            }
            let count = if range.bit(&mut self.probabilities[at::IS_REP + self.state]) == 0 {
                self.new_match(&mut range, position)
            } else {
                self.repeated(&mut range, position)
            };
            len = repeat(window, len, self.reps[0] as usize + 1, count)?;
        }
        range.normalise();
        (range.next == input.len() && range.code == 0).then_some(())
    }

    fn literal(&mut self, range: &mut Range, window: &mut [u8], len: usize) -> Option<()> {
        let before = if len == 0 { 0 } else { window[len - 1] };
        let context =
            (len & ((1 << self.lp) - 1)) << self.lc | usize::from(before) >> (8 - self.lc);
        let start = at::LITERAL + context * 0x300;
        let probabilities = self.probabilities.get_mut(start..start + 0x300)?;
        let mut symbol = 1;
        if self.state >= LITERAL_STATES {
            // Behind a match, the byte that would have gone on with it is likely.
            let expected = window[len.checked_sub(self.reps[0] as usize + 1)?];
            let mut expected = u32::from(expected);
            while symbol < 0x100 {
                expected <<= 1;
                let likely = expected & 0x100;
                let bit = range.bit(&mut probabilities[(0x100 + likely + symbol) as usize]);
                symbol = symbol << 1 | bit;
                if bit != likely >> 8 {
                    break;
                }
            }
        }
        while symbol < 0x100 {
            symbol = symbol << 1 | range.bit(&mut probabilities[symbol as usize]);
        }
        window[len] = symbol as u8;
        self.state = match self.state {
            0..4 => 0,
            state @ 4..10 => state - 3,
            state => state - 6,
        };
        Some(())
    }

    /// A match with a distance of its own; its length.
    fn new_match(&mut self, range: &mut Range, position: usize) -> usize {
        let length = range.length(&mut self.probabilities[at::MATCH_LEN..at::REP_LEN], position);
        self.state = if self.state < LITERAL_STATES { 7 } else { 10 };
        let slots = at::SLOT + length.min(3) * 64;
        let slot = range.tree(&mut self.probabilities[slots..slots + 64], 6);
        let distance = if slot < 4 {
            slot
        } else {
            let bits = (slot >> 1) - 1;
            let high = (2 | slot & 1) << bits;
            if slot < 14 {
                // The trees lie one behind the other, each from its index 1 on.
                let tree = at::SPECIAL + (high - slot) as usize;
                high + range.tree_reversed(&mut self.probabilities[tree..at::ALIGN], bits)
            } else {
                let middle = range.even_bits(bits - 4) << 4;
                let align = &mut self.probabilities[at::ALIGN..at::MATCH_LEN];
                high.wrapping_add(middle).wrapping_add(range.tree_reversed(align, 4))
            }
        };
        self.reps = [distance, self.reps[0], self.reps[1], self.reps[2]];
        length + MATCH_MIN
    }

    /// A match with one of the last four distances; its length.
    fn repeated(&mut self, range: &mut Range, position: usize) -> usize {
        let both = self.state * POSITIONS + position;
        let short = if self.state < LITERAL_STATES { 9 } else { 11 };
        if range.bit(&mut self.probabilities[at::IS_REP_G0 + self.state]) == 0 {
            if range.bit(&mut self.probabilities[at::IS_REP0_LONG + both]) == 0 {
                self.state = short;
                return 1;
            }
        } else if range.bit(&mut self.probabilities[at::IS_REP_G1 + self.state]) == 0 {
            self.reps.swap(0, 1);
        } else {
            let third = range.bit(&mut self.probabilities[at::IS_REP_G2 + self.state]);
            self.reps[..3 + third as usize].rotate_right(1);
        }
        self.state = if self.state < LITERAL_STATES { 8 } else { 11 };
        MATCH_MIN + range.length(&mut self.probabilities[at::REP_LEN..at::LITERAL], position)
    }
}
