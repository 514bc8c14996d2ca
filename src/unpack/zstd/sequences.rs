//! Sequences: so many literals, then so many bytes from so far back.
//!
//! Each of the three numbers is a code out of a table of states, and bits that
//! are added to the code's base. Three small offsets mean one of the last three.
//!
//! # References
//! RFC 8878, "Sequences Section", "Sequence Execution", "Repeat Offsets",
//! "Default Distributions".

use super::super::repeat;
use super::{bits::Backward, fse};

/// Base and number of bits of the literal-length codes from 16 on.
const LITERALS: [(u32, u8); 20] = [
    (16, 1),
    (18, 1),
    (20, 1),
    (22, 1),
    (24, 2),
    (28, 2),
    (32, 3),
    (40, 3),
    (48, 4),
    (64, 6),
    (128, 7),
    (256, 8),
    (512, 9),
    (1024, 10),
    (2048, 11),
    (4096, 12),
    (8192, 13),
    (16384, 14),
    (32768, 15),
    (65536, 16),
];
/// The same of the match-length codes from 32 on.
const MATCHES: [(u32, u8); 21] = [
    (35, 1),
    (37, 1),
    (39, 1),
    (41, 1),
    (43, 2),
    (47, 2),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 5),
    (131, 7),
    (259, 8),
    (515, 9),
    (1027, 10),
    (2051, 11),
    (4099, 12),
    (8195, 13),
    (16387, 14),
    (32771, 15),
    (65539, 16),
];

/// How often each code occurs where the block does not say.
const LITERALS_DEFAULT: [i16; 36] = [
    4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1,
    -1, -1, -1, -1,
];
const MATCHES_DEFAULT: [i16; 53] = [
    1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
];
const OFFSETS_DEFAULT: [i16; 29] =
    [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1];

/// One of the three kinds of code: its limits and its default.
struct Kind {
    log_max: u32,
    symbol_max: u8,
    default_log: u32,
    default: &'static [i16],
}

const KINDS: [Kind; 3] = [
    Kind { log_max: 9, symbol_max: 35, default_log: 6, default: &LITERALS_DEFAULT },
    Kind { log_max: 8, symbol_max: 31, default_log: 5, default: &OFFSETS_DEFAULT },
    Kind { log_max: 9, symbol_max: 52, default_log: 6, default: &MATCHES_DEFAULT },
];

/// What sequences of a frame hand on to each other.
pub struct Tables {
    /// Literal lengths, offsets, match lengths; none before the first block.
    codes: [fse::Table; 3],
    known: [bool; 3],
    /// The last three offsets, the latest first.
    recent: [usize; 3],
}

impl Tables {
    pub const fn new() -> Self {
        Self { codes: [fse::Table::new(); 3], known: [false; 3], recent: [1, 4, 8] }
    }

    /// Carries out the sequences in `section`: writes behind the first `len` bytes
    /// of `out`; the new length.
    pub fn carry_out(
        &mut self,
        section: &[u8],
        mut literals: &[u8],
        out: &mut [u8],
        mut len: usize,
    ) -> Option<usize> {
        let (count, mut rest) = match *section {
            [0] => (0, &section[1..]),
            [count @ 1..=127, ref rest @ ..] => (usize::from(count), rest),
            [high @ 128..=254, low, ref rest @ ..] => {
                (usize::from(high - 128) << 8 | usize::from(low), rest)
            }
            [255, low, high, ref rest @ ..] => {
                ((usize::from(high) << 8 | usize::from(low)) + 0x7f00, rest)
            }
            _ => return None,
        };
        if count != 0 {
            let modes = *rest.split_off_first()?;
            if modes & 3 != 0 {
                return None;
            }
            for (index, shift) in [6, 4, 2].into_iter().enumerate() {
                self.choose(index, modes >> shift & 3, &mut rest)?;
            }
            let mut bits = Backward::new(rest)?;
            let mut states = self.codes.each_ref().map(|table| table.start(&mut bits));
            for left in (0..count).rev() {
                let (before, offset, again) = self.read(&states, &mut bits)?;
                let bytes = literals.split_off(..before)?;
                out.get_mut(len..len + before)?.copy_from_slice(bytes);
                len = repeat(out, len + before, offset, again)?;
                if left != 0 {
                    for index in [0, 2, 1] {
                        states[index] = self.codes[index].next(states[index], &mut bits);
                    }
                }
            }
            if bits.left() != 0 {
                return None;
            }
        }
        out.get_mut(len..len + literals.len())?.copy_from_slice(literals);
        Some(len + literals.len())
    }

    /// Sets up the table of one kind as its mode says.
    fn choose(&mut self, index: usize, mode: u8, rest: &mut &[u8]) -> Option<()> {
        let (kind, table) = (&KINDS[index], &mut self.codes[index]);
        match mode {
            0 => table.build(kind.default_log, kind.default),
            1 => {
                let symbol = *rest.split_off_first()?;
                if symbol > kind.symbol_max {
                    return None;
                }
                table.set_single(symbol);
            }
            2 => {
                self.known[index] = false;
                let used = table.describe(rest, kind.log_max, kind.symbol_max.into())?;
                *rest = rest.get(used..)?;
            }
            _ => return self.known[index].then_some(()),
        }
        self.known[index] = true;
        Some(())
    }

    /// One sequence: literals, how far back, how many bytes from there.
    #[inline]
    fn read(&mut self, states: &[usize; 3], bits: &mut Backward) -> Option<(usize, usize, usize)> {
        let code = |index: usize| usize::from(self.codes[index].symbol(states[index]));
        let (literals, offset, again) = (code(0), code(1) as u32, code(2));
        let offset = (1 << offset) + bits.read(offset) as usize;
        let again = match again.checked_sub(32) {
            None => again + 3,
            Some(index) => {
                let (base, count) = *MATCHES.get(index)?;
                base as usize + bits.read(count.into()) as usize
            }
        };
        let literals = match literals.checked_sub(16) {
            None => literals,
            Some(index) => {
                let (base, count) = *LITERALS.get(index)?;
                base as usize + bits.read(count.into()) as usize
            }
        };
        Some((literals, self.offset(offset, literals == 0)?, again))
    }

    /// What an offset means, given those before it. Without literals the three
    /// small ones move up by one: repeating the last offset would be pointless.
    fn offset(&mut self, value: usize, no_literals: bool) -> Option<usize> {
        let [first, second, third] = self.recent;
        let which = if value > 3 { 4 } else { value - 1 + usize::from(no_literals) };
        self.recent = match which {
            0 => return Some(first),
            1 => [second, first, third],
            2 => [third, first, second],
            3 => [first.checked_sub(1).filter(|&offset| offset != 0)?, first, second],
            _ => [value - 3, first, second],
        };
        Some(self.recent[0])
    }
}
