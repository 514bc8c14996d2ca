//! Looking symbols up in a table, in place and without taking memory.
//!
//! ```text
//!  offset ──binary search──> index entry ──walk at most STRIDE records──> symbol
//!  offsets, ascending ──walk on from one to the next──> symbols
//!  name ────walk all records, comparing as they unpack──> symbol
//! ```
//!
//! A record's name stays packed until somebody wants it: where thousands are looked
//! at and few are meant, how they begin is enough.
//!
//! A look-up by name walks the whole table (some hundred instructions a symbol):
//! only people ask for kernel functions by name. A sorted index would cost two
//! bytes a symbol in every image.

use core::fmt;

use super::{
    HEADER_SIZE, Kind, MAGIC, MAX_NAME, MAX_TOKENS, MAX_WAITING, ONE_BYTE, STRIDE, TOKEN_SIZE,
};

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

/// A symbol whose name is still packed.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// As in [`Found`].
    pub offset: u32,
    /// As in [`Found`].
    pub size: u32,
    /// As in [`Found`].
    pub kind: Kind,
    codes: &'a [u8],
    tokens: &'a [u8],
}

impl Packed<'_> {
    /// True if the name begins so. No more of it is unpacked than tells that.
    #[must_use]
    pub fn begins_with(&self, prefix: &[u8]) -> bool {
        let mut rest = prefix;
        self.spell(|byte| match rest {
            [first, tail @ ..] if *first == byte => {
                rest = tail;
                !tail.is_empty()
            }
            _ => false,
        });
        rest.is_empty()
    }

    /// The name, unpacked.
    #[must_use]
    pub fn name(&self) -> Name {
        let mut name = Name::EMPTY;
        self.spell(|byte| name.push(byte));
        name
    }

    /// All of it, unpacked.
    #[must_use]
    pub fn found(&self) -> Found {
        let Self { offset, size, kind, .. } = *self;
        Found { name: self.name(), offset, size, kind }
    }

    /// Hands over the name's bytes, until it ends or `take` wants no more.
    fn spell(&self, mut take: impl FnMut(u8) -> bool) {
        let mut waiting = [0; MAX_WAITING];
        let mut codes = self.codes.iter();
        while let Some(&byte) = codes.next() {
            let low = if u16::from(byte) < ONE_BYTE { None } else { codes.next() };
            let mut depth = 1;
            waiting[0] = low.map_or(byte.into(), |&low| u16::from_le_bytes([low, byte & 7]));
            while depth > 0 {
                depth -= 1;
                let code = waiting[depth];
                let token = code.checked_sub(0x80).map(|token| TOKEN_SIZE * usize::from(token));
                let more = match token.map(|at| self.tokens.get(at..at + TOKEN_SIZE)) {
                    None => take(code as u8),
                    Some(Some(&[low, middle, high])) if depth + 1 < waiting.len() => {
                        waiting[depth] = u16::from_le_bytes([middle, high]) >> 4;
                        waiting[depth + 1] = u16::from_le_bytes([low, middle & 0xf]);
                        depth += 2;
                        true
                    }
                    // Deeper than any token that was made.
                    Some(Some(_)) => false,
                    // A code without its token.
                    Some(None) => take(b'?'),
                };
                if !more {
                    return;
                }
            }
        }
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
    /// A table without symbols.
    pub const EMPTY: Self = Self { bytes: &[], tokens: &[], index: &[], count: 0 };

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
        let found = self.covering(offset)?;
        Some((found.found(), offset - found.offset))
    }

    /// As [`Self::at_offset`], for many. Where one lies above the one before it, and a
    /// symbol begins there, it is found by walking on.
    pub fn at_offsets<'o>(
        &self,
        offsets: &'o [u32],
    ) -> impl Iterator<Item = Option<Packed<'a>>> + use<'a, 'o> {
        let table = *self;
        let mut records = table.records_from(0);
        let mut here = records.next();
        offsets.iter().map(move |&offset| {
            let next_group = u32_at(table.index, 8 * records.next.div_ceil(STRIDE));
            if (1..=offset).contains(&next_group) {
                // One group earlier, for symbols of one place in two groups.
                let group = table.group_before(offset).unwrap_or_default().saturating_sub(1);
                if group * STRIDE > records.next {
                    records = table.records_from(group);
                    here = records.next();
                }
            }
            while let Some(record) = here
                && (record.offset < offset || record.offset == offset && record.size == 0)
            {
                here = records.next();
            }
            let exactly = here.filter(|record| record.offset == offset);
            exactly.or_else(|| table.covering(offset))
        })
    }

    fn covering(&self, offset: u32) -> Option<Packed<'a>> {
        let group = self.group_before(offset)?;
        let mut best: Option<Packed<'a>> = None;
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
        best
    }

    /// The first symbol of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Found> {
        let mut like = self.packed().filter(|found| found.begins_with(name.as_bytes()));
        like.find(|found| found.name().as_str() == name).map(|found| found.found())
    }

    /// All symbols, by rising offset.
    pub fn iter(&self) -> impl Iterator<Item = Found> + use<'a> {
        self.packed().map(|record| record.found())
    }

    /// As [`Self::iter`], with names as they are.
    pub fn packed(&self) -> impl Iterator<Item = Packed<'a>> + use<'a> {
        self.records_from(0)
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
}

/// Walks records; ends at the first that is damaged.
struct Records<'a> {
    table: Table<'a>,
    next: usize,
    at: usize,
    offset: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Packed<'a>;

    fn next(&mut self) -> Option<Packed<'a>> {
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
    fn read(&mut self) -> Option<Packed<'a>> {
        let delta = self.varint()?;
        self.offset = self.offset.checked_add(u32::try_from(delta).ok()?)?;
        let size = self.varint()?;
        let len = usize::from(*self.table.bytes.get(self.at)?);
        let from = self.at + 1;
        let codes = self.table.bytes.get(from..from + len)?;
        self.at = from + len;
        Some(Packed {
            offset: self.offset,
            size: u32::try_from(size >> 1).ok()?,
            kind: if size & 1 == 0 { Kind::Text } else { Kind::Data },
            codes,
            tokens: self.table.tokens,
        })
    }

    /// At most 33 bits: a size and its kind.
    fn varint(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0, 0);
        while shift <= 28 {
            let byte = *self.table.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
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
