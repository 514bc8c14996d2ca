//! Packing symbols into a table: the host's half, run by `tools/ksyms.rs`.
//!
//! ```text
//!  sort by offset ─> names to codes ─> again and again: the most frequent pairs
//!                                      of codes become tokens ─> number them ─> write
//! ```
//!
//! Several pairs become tokens in one look at all names, as long as they have no code
//! in common: of the pairs left, only those with such a code may have become fewer.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::{
    CODES, HEADER_SIZE, Kind, MAGIC, MAX_NAME, MAX_TOKENS, MAX_WAITING, ONE_BYTE, STRIDE,
    TOKEN_SIZE,
};

/// One symbol to be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name, as people write it.
    pub name: String,
    /// Where it begins, in bytes from the image's first byte.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// Code or data.
    pub kind: Kind,
}

/// Why symbols cannot be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The table is larger than the room kept for it.
    TooLarge {
        /// Bytes of the table.
        needs: usize,
        /// Bytes of the room.
        room: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { needs, room } => write!(
                f,
                "symbols need {needs} bytes and {room} are reserved (see tools/link-kernel, \
                 which reserves what an earlier link needs and some more)"
            ),
        }
    }
}

/// Packs `symbols` and pads the table with zeros to exactly `room` bytes.
pub fn encode_padded(symbols: &[Symbol], room: usize) -> Result<Vec<u8>, EncodeError> {
    let mut table = encode(symbols);
    let needs = table.len();
    if needs > room {
        return Err(EncodeError::TooLarge { needs, room });
    }
    table.resize(room, 0);
    Ok(table)
}

/// Packs `symbols`, in any order, into a table.
///
/// Names are cut to [`MAX_NAME`] bytes, and what is not ASCII becomes `?`.
#[must_use]
pub fn encode(symbols: &[Symbol]) -> Vec<u8> {
    let mut sorted: Vec<&Symbol> = symbols.iter().collect();
    // By name too, so that the same symbols always give the same table.
    sorted.sort_by_key(|s| (s.offset, &s.name, s.size, s.kind));
    let mut names: Vec<Vec<u16>> = sorted.iter().map(|s| name_codes(&s.name)).collect();
    let mut tokens = make_tokens(&mut names);
    number_by_use(&mut tokens, &mut names);

    let records_at = HEADER_SIZE + TOKEN_SIZE * tokens.len() + 8 * sorted.len().div_ceil(STRIDE);
    let mut index = Vec::new();
    let mut records = Vec::new();
    let mut before = 0;
    for (i, (symbol, codes)) in sorted.iter().zip(&names).enumerate() {
        if i.is_multiple_of(STRIDE) {
            before = symbol.offset;
            index.extend(symbol.offset.to_le_bytes());
            // The table is part of an image far below 4 GiB.
            index.extend(((records_at + records.len()) as u32).to_le_bytes());
        }
        let data = u64::from(symbol.kind == Kind::Data);
        write_varint(&mut records, u64::from(symbol.offset - before));
        write_varint(&mut records, u64::from(symbol.size) << 1 | data);
        // At most `MAX_NAME`: a code of two bytes stands for two at least.
        let length_at = records.len();
        records.push(0);
        for &code in codes {
            if code >= ONE_BYTE {
                records.push(ONE_BYTE as u8 | (code >> 8) as u8);
            }
            records.push(code as u8);
        }
        records[length_at] = (records.len() - length_at - 1) as u8;
        before = symbol.offset;
    }

    let total = records_at + records.len();
    let mut table = Vec::with_capacity(total);
    table.extend(MAGIC);
    table.extend((sorted.len() as u32).to_le_bytes());
    table.extend((total as u32).to_le_bytes());
    table.extend((tokens.len() as u16).to_le_bytes());
    table.extend([0; 2]);
    for [first, second] in tokens {
        let both = u32::from(first) | u32::from(second) << 12;
        table.extend(&both.to_le_bytes()[..TOKEN_SIZE]);
    }
    table.extend(index);
    table.extend(records);
    table
}

fn name_codes(name: &str) -> Vec<u16> {
    let ascii = name.chars().map(|c| if c.is_ascii() { c as u16 } else { u16::from(b'?') });
    ascii.take(MAX_NAME).collect()
}

/// A pair must be there as often, or its token costs more than it saves.
const WORTH: u32 = 4;

/// Most pairs that become tokens together: of more, the last would be none of the
/// most frequent.
const TOGETHER: usize = 24;

/// Replaces pairs of codes by tokens as long as that saves more than it costs.
fn make_tokens(names: &mut [Vec<u16>]) -> Vec<[u16; 2]> {
    let mut counts = vec![0; CODES * CODES];
    let mut tokens = Vec::new();
    // How many codes wait at once while each is unpacked, the first part first.
    let mut waiting = vec![1; CODES];
    while tokens.len() < MAX_TOKENS {
        let mut ranked = frequent_pairs(names, &mut counts);
        // By the pair too, so that the same symbols always give the same table.
        ranked.sort_unstable_by_key(|&(pair, count)| (core::cmp::Reverse(count), pair));
        // What each code becomes if the other follows it.
        let mut becomes = vec![None; CODES];
        let mut used = vec![false; CODES];
        let room = TOGETHER.min(MAX_TOKENS - tokens.len());
        let (before, best) = (tokens.len(), ranked.first().map_or(0, |&(_, count)| count));
        for (pair, count) in ranked {
            let [first, second] = pair.map(usize::from);
            if tokens.len() - before == room || count * 2 < best {
                break;
            }
            let wait = waiting[second].max(waiting[first] + 1);
            if !used[first] && !used[second] && wait <= MAX_WAITING {
                (used[first], used[second]) = (true, true);
                let code = 0x80 + tokens.len();
                becomes[first] = Some((pair[1], code as u16));
                waiting[code] = wait;
                tokens.push(pair);
            }
        }
        if tokens.len() == before {
            break;
        }
        names.iter_mut().for_each(|name| replace_pairs(name, &becomes));
    }
    tokens
}

/// The pairs that occur often enough, and how often.
///
/// `counts` has an entry for every pair, all 0 before and after.
fn frequent_pairs(names: &[Vec<u16>], counts: &mut [u32]) -> Vec<([u16; 2], u32)> {
    let place = |[first, second]: [u16; 2]| usize::from(first) * CODES + usize::from(second);
    for pair in pairs(names) {
        counts[place(pair)] += 1;
    }
    let taken = |pair| (pair, core::mem::take(&mut counts[place(pair)]));
    pairs(names).map(taken).filter(|&(_, count)| count >= WORTH).collect()
}

fn pairs(names: &[Vec<u16>]) -> impl Iterator<Item = [u16; 2]> {
    let windows = names.iter().flat_map(|name| name.windows(2));
    windows.map(|pair| [pair[0], pair[1]])
}

fn replace_pairs(name: &mut Vec<u16>, becomes: &[Option<(u16, u16)>]) {
    let (mut from, mut to) = (0, 0);
    while from < name.len() {
        let next = name.get(from + 1).copied();
        let found = becomes[usize::from(name[from])].filter(|&(second, _)| next == Some(second));
        name[to] = found.map_or(name[from], |(_, code)| code);
        from += 1 + usize::from(found.is_some());
        to += 1;
    }
    name.truncate(to);
}

/// Gives the lowest codes, those of one byte, to the tokens that names use most.
fn number_by_use(tokens: &mut Vec<[u16; 2]>, names: &mut [Vec<u16>]) {
    let mut uses = vec![0_u32; CODES];
    names.iter().flatten().for_each(|&code| uses[usize::from(code)] += 1);
    let mut order: Vec<u16> = (0x80..0x80 + tokens.len() as u16).collect();
    order.sort_by_key(|&code| core::cmp::Reverse(uses[usize::from(code)]));
    let mut number: Vec<u16> = (0..CODES as u16).collect();
    for (new, &old) in (0x80..).zip(&order) {
        number[usize::from(old)] = new;
    }
    let renumbered = |code: u16| number[usize::from(code)];
    *tokens = order.iter().map(|&old| tokens[usize::from(old) - 0x80].map(renumbered)).collect();
    names.iter_mut().flatten().for_each(|code| *code = renumbered(*code));
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Gives symbols without a size (labels of assembly) the room up to the next
/// symbol of their kind, so that addresses behind them have a name too.
pub fn fill_sizes(symbols: &mut [Symbol]) {
    let starts: BTreeMap<(Kind, u32), ()> =
        symbols.iter().map(|s| ((s.kind, s.offset), ())).collect();
    for symbol in symbols.iter_mut().filter(|s| s.size == 0) {
        let after = (symbol.kind, symbol.offset.saturating_add(1))..=(symbol.kind, u32::MAX);
        if let Some(((_, next), ())) = starts.range(after).next() {
            symbol.size = next - symbol.offset;
        }
    }
}
