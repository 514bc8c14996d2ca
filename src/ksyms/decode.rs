//! Looking symbols up in a table, in place and without taking memory.
//!
//! ```text
//!  offset ──binary search──> index entry ──walk at most STRIDE records──> symbol
//!  name ────walk all records, comparing as they unpack──> symbol
//! ```
//!
//! A look-up by name walks the whole table (some hundred instructions a symbol):
//! only people ask for kernel functions by name. A sorted index would cost two
//! bytes a symbol in every image.

use core::fmt;

use super::{HEADER_SIZE, Kind, MAGIC, MAX_NAME, MAX_TOKENS, ONE_BYTE, STRIDE, TOKEN_SIZE};

/// Why bytes are not a table of symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// They do not begin with [`MAGIC`]: `make kernel` puts the table in after
    /// the link, and this image did not go through it.
    NoTable,
    /// The parts do not fit the size.
    Truncated {
        /// Bytes that the header asks for.
        needs: u64,
        /// Bytes that there are.
        has: u64,
    },
    /// More tokens than codes.
    TooManyTokens {
        /// How many.
        count: u64,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable => f.write_str("no symbols in this image (build it with `make kernel`)"),
            Self::Truncated { needs, has } => {
                write!(f, "symbol table needs {needs} bytes, has {has}")
            }
            Self::TooManyTokens { count } => {
                write!(f, "symbol table has {count} tokens, codes are for {MAX_TOKENS}")
            }
        }
    }
}

/// A symbol's name, unpacked.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl Name {
    const EMPTY: Self = Self { bytes: [0; MAX_NAME], len: 0 };

    /// The name; ASCII, whatever the table holds.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?")
    }

    fn push(&mut self, byte: u8) -> bool {
        let slot = self.bytes.get_mut(self.len);
        let Some(slot) = slot else { return false };
        *slot = byte;
        self.len += 1;
        true
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One symbol.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Its name.
    pub name: Name,
    /// Where it begins, in bytes from the image's first byte.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// Code or data.
    pub kind: Kind,
}

/// A table of symbols.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    bytes: &'a [u8],
    tokens: &'a [u8],
    index: &'a [u8],
    count: usize,
}

impl<'a> Table<'a> {
    /// Checks the header; tokens and records are checked as they are read.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TableError> {
        let header = bytes.get(..HEADER_SIZE).ok_or(TableError::NoTable)?;
        if !header.starts_with(&MAGIC) {
            return Err(TableError::NoTable);
        }
        let count = u64::from(u32_at(header, 8));
        let total = u64::from(u32_at(header, 12));
        let tokens = u64::from(u32_at(header, 16) & 0xffff);
        if tokens > MAX_TOKENS as u64 {
            return Err(TableError::TooManyTokens { count: tokens });
        }
        let index_at = HEADER_SIZE as u64 + TOKEN_SIZE as u64 * tokens;
        // A record has at least three bytes.
        let needs = index_at + 8 * count.div_ceil(STRIDE as u64) + 3 * count;
        let (needs, has) = (needs.max(total), total.min(bytes.len() as u64));
        let truncated = TableError::Truncated { needs, has };
        if needs > has {
            return Err(truncated);
        }
        // All below `bytes.len()` now, so they fit.
        let (count, total, index_at) = (count as usize, total as usize, index_at as usize);
        let index_end = index_at + 8 * count.div_ceil(STRIDE);
        Ok(Self {
            bytes: bytes.get(..total).ok_or(truncated)?,
            tokens: bytes.get(HEADER_SIZE..index_at).ok_or(truncated)?,
            index: bytes.get(index_at..index_end).ok_or(truncated)?,
            count,
        })
    }

    /// How many symbols there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// True if there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The symbol that covers `offset`, and how far into it that is.
    ///
    /// Of symbols inside each other the innermost is taken, of several that
    /// begin at one place the first with a size.
    #[must_use]
    pub fn at_offset(&self, offset: u32) -> Option<(Found, u32)> {
        let group = self.group_before(offset)?;
        let mut best: Option<Record<'_>> = None;
        // One group earlier, for symbols that began there and reach this far.
        for record in self.records_from(group.saturating_sub(1)) {
            if record.offset > offset {
                break;
            }
            let covers = offset - record.offset < record.size;
            let alias = best.as_ref().is_some_and(|old| old.offset == record.offset);
            if covers && !alias {
                best = Some(record);
            }
        }
        let record = best?;
        Some((self.unpack(&record), offset - record.offset))
    }

    /// The first symbol of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Found> {
        self.iter().find(|found| found.name.as_str() == name)
    }

    /// All symbols, by rising offset.
    pub fn iter(&self) -> impl Iterator<Item = Found> + use<'a> {
        let table = *self;
        table.records_from(0).map(move |record| table.unpack(&record))
    }

    /// The last group whose first symbol does not lie after `offset`.
    fn group_before(&self, offset: u32) -> Option<usize> {
        let (mut low, mut high) = (0, self.index.len() / 8);
        while low < high {
            let middle = low + (high - low) / 2;
            if u32_at(self.index, 8 * middle) <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    fn records_from(&self, group: usize) -> Records<'a> {
        Records { table: *self, next: group * STRIDE, at: 0, offset: 0 }
    }

    fn unpack(&self, record: &Record<'_>) -> Found {
        let mut name = Name::EMPTY;
        // What waits gives a byte each at least, so no more need wait than fit.
        let mut waiting = [0; MAX_NAME + 1];
        let mut codes = record.codes.iter();
        while let Some(&byte) = codes.next() {
            let low = if u16::from(byte) < ONE_BYTE { None } else { codes.next() };
            let code = low.map_or(byte.into(), |&low| u16::from_le_bytes([low, byte & 7]));
            if !self.expand(code, &mut waiting, &mut name) {
                break;
            }
        }
        Found { name, offset: record.offset, size: record.size, kind: record.kind }
    }

    /// Appends what `code` stands for; false if the name is full, or would never end.
    fn expand(&self, code: u16, waiting: &mut [u16; MAX_NAME + 1], name: &mut Name) -> bool {
        let mut depth = 1;
        waiting[0] = code;
        while depth > 0 {
            depth -= 1;
            let code = waiting[depth];
            let token = code.checked_sub(0x80).map(|token| TOKEN_SIZE * usize::from(token));
            let pushed = match token.map(|at| self.tokens.get(at..at + TOKEN_SIZE)) {
                None => name.push(code as u8),
                Some(Some(&[low, middle, high])) if depth + 1 < waiting.len() => {
                    waiting[depth] = u16::from_le_bytes([middle, high]) >> 4;
                    waiting[depth + 1] = u16::from_le_bytes([low, middle & 0xf]);
                    depth += 2;
                    true
                }
                Some(Some(_)) => false,
                // A code without its token.
                Some(None) => name.push(b'?'),
            };
            if !pushed {
                return false;
            }
        }
        true
    }
}

struct Record<'a> {
    offset: u32,
    size: u32,
    kind: Kind,
    codes: &'a [u8],
}

/// Walks records; ends at the first that is damaged.
struct Records<'a> {
    table: Table<'a>,
    next: usize,
    at: usize,
    offset: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.next >= self.table.count {
            return None;
        }
        if self.next.is_multiple_of(STRIDE) {
            let entry = self.next / STRIDE * 8;
            self.offset = u32_at(self.table.index, entry);
            self.at = u32_at(self.table.index, entry + 4) as usize;
        }
        let record = self.read();
        self.next = match record {
            Some(_) => self.next + 1,
            None => self.table.count,
        };
        record
    }
}

impl<'a> Records<'a> {
    fn read(&mut self) -> Option<Record<'a>> {
        let delta = self.varint()?;
        self.offset = self.offset.checked_add(u32::try_from(delta).ok()?)?;
        let size = self.varint()?;
        let len = usize::from(*self.table.bytes.get(self.at)?);
        let from = self.at + 1;
        let codes = self.table.bytes.get(from..from + len)?;
        self.at = from + len;
        Some(Record {
            offset: self.offset,
            size: u32::try_from(size >> 1).ok()?,
            kind: if size & 1 == 0 { Kind::Text } else { Kind::Data },
            codes,
        })
    }

    /// At most 33 bits: a size and its kind.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = *self.table.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

/// The word at `at`; callers stay inside, and 0 is returned if they do not.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..) {
        Some([a, b, c, d, ..]) => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => 0,
    }
}
