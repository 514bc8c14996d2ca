//! Tables of finite states: how literal lengths, offsets, match lengths and
//! Huffman weights are coded.
//!
//! A state stands for a symbol; so many bits, added to the state's base, give the
//! next one. A symbol that is likely has many states, which need few bits.
//!
//! # References
//! RFC 8878, "FSE", "FSE Table Description", "From normalized distribution to
//! decoding tables".

use super::bits::{Backward, Forward};

/// Most bits of a state, of any table.
const LOG_MAX: u32 = 9;
/// Most symbols of any table.
const SYMBOLS_MAX: usize = 256;

/// One state.
#[derive(Clone, Copy, Default)]
struct State {
    symbol: u8,
    bits: u8,
    base: u16,
}

/// A table of `1 << log` states.
#[derive(Clone, Copy)]
pub struct Table {
    log: u32,
    states: [State; 1 << LOG_MAX],
}

impl Table {
    pub const fn new() -> Self {
        let none = State { symbol: 0, bits: 0, base: 0 };
        Self { log: 0, states: [none; 1 << LOG_MAX] }
    }

    /// A table with one symbol, which takes no bits.
    pub fn set_single(&mut self, symbol: u8) {
        self.log = 0;
        self.states[0] = State { symbol, bits: 0, base: 0 };
    }

    /// Reads the description at the front of `bytes`, of a table with at most
    /// `log_max` bits and symbols up to `symbol_max`; the bytes that it has.
    pub fn describe(&mut self, bytes: &[u8], log_max: u32, symbol_max: usize) -> Option<usize> {
        let mut bits = Forward::new(bytes);
        let log = bits.peek(4) + 5;
        bits.pass(4);
        if log > log_max {
            return None;
        }
        let mut counts = [0_i16; SYMBOLS_MAX];
        let mut symbol = 0;
        // States that are left to be given away.
        let mut left = 1_i32 << log;
        while left > 0 {
            let slot = counts.get_mut(symbol).filter(|_| symbol <= symbol_max)?;
            let count = read_count(&mut bits, left as u32);
            *slot = count as i16;
            left -= count.abs();
            symbol += 1;
            if count == 0 {
                // How many more have none, two bits at a time.
                loop {
                    let more = bits.peek(2);
                    bits.pass(2);
                    symbol += more as usize;
                    if more != 3 || symbol > symbol_max {
                        break;
                    }
                }
            }
        }
        self.build(log, counts.get(..symbol)?);
        bits.used()
    }

    /// Fills the table from how many of its states each symbol has; -1 is one of
    /// those that reset the state. The counts add up to `1 << log`.
    pub fn build(&mut self, log: u32, counts: &[i16]) {
        let size = 1_usize << log;
        self.log = log;
        // Each symbol's states are numbered from its count on.
        let mut next = [0_u16; SYMBOLS_MAX];
        let mut end = size;
        for (symbol, &count) in counts.iter().enumerate() {
            next[symbol] = count.unsigned_abs();
            if count == -1 {
                end -= 1;
                self.states[end].symbol = symbol as u8;
            }
        }
        let step = (size >> 1) + (size >> 3) + 3;
        let mut at = 0;
        for (symbol, &count) in counts.iter().enumerate() {
            for _ in 0..count.max(0) {
                self.states[at].symbol = symbol as u8;
                loop {
                    at = (at + step) & (size - 1);
                    if at < end {
                        break;
                    }
                }
            }
        }
        for state in &mut self.states[..size] {
            let number = &mut next[usize::from(state.symbol)];
            let bits = log - number.ilog2();
            state.bits = bits as u8;
            state.base = (u32::from(*number) << bits) as u16 - size as u16;
            *number += 1;
        }
    }

    /// The first state.
    pub fn start(&self, bits: &mut Backward) -> usize {
        bits.read(self.log) as usize
    }

    /// The symbol that `state` stands for.
    #[inline]
    pub fn symbol(&self, state: usize) -> u8 {
        self.states[state].symbol
    }

    /// The state behind `state`.
    #[inline]
    pub fn next(&self, state: usize, bits: &mut Backward) -> usize {
        let State { bits: count, base, .. } = self.states[state];
        usize::from(base) + bits.read(count.into()) as usize
    }
}

/// A number from -1 to `left`, in as few bits as that takes: the smaller ones
/// save one.
fn read_count(bits: &mut Forward, left: u32) -> i32 {
    let values = left + 2;
    let count = values.next_power_of_two().ilog2();
    let short = (1 << count) - values;
    let low = bits.peek(count - 1);
    let value = if low < short {
        bits.pass(count - 1);
        low
    } else {
        let value = bits.peek(count);
        bits.pass(count);
        if value >= 1 << (count - 1) { value - short } else { value }
    };
    value as i32 - 1
}
