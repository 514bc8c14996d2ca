//! Packing symbols into a table: the host's half, run by `tools/ksyms.rs`.
//!
//! ```text
//!  sort by offset ─> names to codes ─> again and again: the most frequent pair
//!                                      of codes becomes a token ─> write
//! ```

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::{HEADER_SIZE, Kind, MAGIC, MAX_NAME, MAX_TOKENS, STRIDE};

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
    let mut names: Vec<Vec<u8>> = sorted.iter().map(|s| name_codes(&s.name)).collect();
    let tokens = make_tokens(&mut names);

    let records_at = HEADER_SIZE + 2 * tokens.len() + 8 * sorted.len().div_ceil(STRIDE);
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
        // At most `MAX_NAME`.
        records.push(codes.len() as u8);
        records.extend(codes);
        before = symbol.offset;
    }

    let total = records_at + records.len();
    let mut table = Vec::with_capacity(total);
    table.extend(MAGIC);
    table.extend((sorted.len() as u32).to_le_bytes());
    table.extend((total as u32).to_le_bytes());
    table.extend((tokens.len() as u16).to_le_bytes());
    table.extend([0; 2]);
    table.extend(tokens.iter().flatten());
    table.extend(index);
    table.extend(records);
    table
}

fn name_codes(name: &str) -> Vec<u8> {
    let ascii = name.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' });
    ascii.take(MAX_NAME).collect()
}

/// Replaces pairs of codes by tokens as long as that saves more than it costs.
fn make_tokens(names: &mut [Vec<u8>]) -> Vec<[u8; 2]> {
    let mut counts = vec![0; 1 << 16];
    let mut tokens = Vec::new();
    while tokens.len() < MAX_TOKENS {
        let (pair, count) = most_frequent_pair(names, &mut counts);
        // Each use saves a byte, and the token itself costs two.
        if count <= 2 {
            break;
        }
        // Below 0x80 + MAX_TOKENS, which is 0x100.
        let code = (0x80 + tokens.len()) as u8;
        tokens.push(pair);
        for name in names.iter_mut() {
            replace_pair(name, pair, code);
        }
    }
    tokens
}

/// The pair that occurs most often, and how often; of several the one that is
/// complete first, so that the same symbols always give the same table.
///
/// `counts` has an entry for every pair, all 0 before and after: clearing those
/// in use is far less work than clearing 65,536.
fn most_frequent_pair(names: &[Vec<u8>], counts: &mut [u32]) -> ([u8; 2], u32) {
    let mut best = ([0; 2], 0);
    for pair in pairs(names) {
        let count = &mut counts[usize::from(u16::from_le_bytes(pair))];
        *count += 1;
        if *count > best.1 {
            best = (pair, *count);
        }
    }
    for pair in pairs(names) {
        counts[usize::from(u16::from_le_bytes(pair))] = 0;
    }
    best
}

fn pairs(names: &[Vec<u8>]) -> impl Iterator<Item = [u8; 2]> {
    let windows = names.iter().flat_map(|name| name.windows(2));
    windows.map(|pair| [pair[0], pair[1]])
}

fn replace_pair(name: &mut Vec<u8>, pair: [u8; 2], code: u8) {
    let (mut from, mut to) = (0, 0);
    while from < name.len() {
        let found = name[from..].starts_with(&pair);
        name[to] = if found { code } else { name[from] };
        from += 1 + usize::from(found);
        to += 1;
    }
    name.truncate(to);
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
