//! The `.xz` container: blocks of LZMA2 between a header and an index.
//!
//! ```text
//!  12 bytes        blocks                            index             12 bytes
//!  magic flags CRC | header, LZMA2, to 4, check | .. | 0, n, sizes, CRC | CRC size flags "YZ"
//!                    └ filters      └ CRC32 or 64          └ what each block unpacks to
//! ```
//!
//! [`plan`] believes the index; [`unpack`] compares it with what came out. Packed
//! sizes in it are ignored: the blocks themselves say where they end.
//!
//! # References
//! "The .xz File Format" 1.2.1, "Stream", "Block", "Index".
//!
//! One stream, which zeros may follow: `xz` joins streams only if it is told to,
//! and Linux's decoder takes one, too.

use super::{UnpackError, bcj, check, lzma};

/// How such a file begins.
pub const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// Bytes of the stream's header, and of its footer.
const ENDS: usize = 12;
/// Numbers of filters.
const POWERPC: u64 = 0x05;
const LZMA2: u64 = 0x21;

/// What stands behind each block.
#[derive(Clone, Copy)]
enum Check {
    None,
    Crc32,
    Crc64,
}

/// Reads from the front of what is left of the file.
struct Reader<'a> {
    rest: &'a [u8],
    file_len: usize,
}

impl<'a> Reader<'a> {
    fn at(&self) -> usize {
        self.file_len - self.rest.len()
    }

    fn damaged(&self) -> UnpackError {
        UnpackError::Damaged { at: self.at() as u64 }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], UnpackError> {
        let truncated = UnpackError::Truncated { len: self.file_len as u64 };
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A CRC32, compared with that of `of`.
    fn crc32(&mut self, of: &[u8]) -> Result<(), UnpackError> {
        let at = self.at() as u64;
        if self.take(4)? == check::crc32(of).to_le_bytes() {
            Ok(())
        } else {
            Err(UnpackError::Checksum { at })
        }
    }
}

/// A number in groups of seven bits, lowest first, taken from the front of `rest`.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..9 {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7f) << (place * 7);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Zeros may follow a stream, in whole words.
fn without_padding(mut file: &[u8]) -> &[u8] {
    while let Some(rest) = file.strip_suffix(&[0; 4]) {
        file = rest;
    }
    file
}

/// Bytes that `file` unpacks to, as its index says.
pub(super) fn plan(file: &[u8]) -> Result<u64, UnpackError> {
    let truncated = UnpackError::Truncated { len: file.len() as u64 };
    let stream = without_padding(file);
    let footer = stream.last_chunk::<ENDS>().filter(|_| stream.len() >= 2 * ENDS);
    let footer = footer.filter(|footer| footer.ends_with(b"YZ")).ok_or(truncated)?;
    // Stored as a number of words, less one.
    let words = u32::from_le_bytes([footer[4], footer[5], footer[6], footer[7]]);
    let end = stream.len() - ENDS;
    let start = end.checked_sub((words as usize + 1) * 4).filter(|&start| start >= ENDS);
    let start = start.ok_or(UnpackError::Damaged { at: end as u64 })?;
    let index = &stream[start..end];
    sum_of_blocks(index).ok_or(UnpackError::Damaged { at: start as u64 })
}

/// The sum of what the blocks unpack to.
fn sum_of_blocks(index: &[u8]) -> Option<u64> {
    let mut rest = index.strip_prefix(&[0])?;
    let blocks = number(&mut rest)?;
    let mut len = 0_u64;
    for _ in 0..blocks {
        number(&mut rest)?; // packed; ends the loop when `rest` does
        len = len.checked_add(number(&mut rest)?)?;
    }
    Some(len)
}

/// Unpacks `file` into `out`, which has the planned length.
pub(super) fn unpack(file: &[u8], out: &mut [u8]) -> Result<usize, UnpackError> {
    let mut reader = Reader { rest: file, file_len: file.len() };
    let header = reader.take(8)?;
    let check = match header[6..] {
        [0, 0] => Check::None,
        [0, 1] => Check::Crc32,
        [0, 4] => Check::Crc64,
        _ => return Err(UnpackError::Unsupported("a check that is neither CRC32 nor CRC64")),
    };
    reader.crc32(&header[6..])?;

    let mut decoder = lzma::Decoder::new()?;
    let mut len = 0;
    loop {
        let at = reader.at();
        match reader.rest.first() {
            Some(0) => break,
            _ => len += block(&mut reader, check, &mut decoder, &mut out[len..], at)?,
        }
    }
    index(&mut reader, len)?;
    let at = reader.at() as u64;
    let footer = reader.take(ENDS)?;
    if footer[..4] != check::crc32(&footer[4..10]).to_le_bytes() {
        return Err(UnpackError::Checksum { at });
    }
    if footer[8..10] != header[6..] || footer[10..] != *b"YZ" {
        return Err(UnpackError::Damaged { at });
    }
    if !without_padding(reader.rest).is_empty() {
        return Err(reader.damaged());
    }
    Ok(len)
}

/// Unpacks the block that is next; the bytes that came out.
fn block(
    reader: &mut Reader,
    check: Check,
    decoder: &mut lzma::Decoder,
    out: &mut [u8],
    start: usize,
) -> Result<usize, UnpackError> {
    let damaged = UnpackError::Damaged { at: start as u64 };
    let truncated = UnpackError::Truncated { len: reader.file_len as u64 };
    let words = *reader.rest.first().ok_or(truncated)?;
    let header = reader.take(usize::from(words) * 4)?;
    reader.crc32(header)?;
    let branches = filters(header).ok_or(damaged)??;

    let data = reader.at();
    let (used, len) = decoder.decode(reader.rest, out).map_err(|error| match error {
        lzma::Fault::Ends => UnpackError::Truncated { len: reader.file_len as u64 },
        lzma::Fault::Wrong(at) => UnpackError::Damaged { at: (data + at) as u64 },
    })?;
    reader.take(used)?;
    let out = &mut out[..len];
    if let Some(at) = branches {
        bcj::undo_powerpc(out, at);
    }
    // Zeros up to a multiple of four, counted from the block's start.
    let padding = (reader.at() - start).next_multiple_of(4) - (reader.at() - start);
    if reader.take(padding)?.iter().any(|&byte| byte != 0) {
        return Err(reader.damaged());
    }
    let at = reader.at() as u64;
    let right = match check {
        Check::None => true,
        Check::Crc32 => reader.take(4)? == check::crc32(out).to_le_bytes(),
        Check::Crc64 => reader.take(8)? == check::crc64(out).to_le_bytes(),
    };
    if right { Ok(len) } else { Err(UnpackError::Checksum { at }) }
}

/// Reads a block's header: where the branch filter starts, if there is one.
/// `None` if the header is damaged.
fn filters(header: &[u8]) -> Option<Result<Option<u32>, UnpackError>> {
    let flags = *header.get(1)?;
    let mut rest = header.get(2..)?;
    for present in [0x40, 0x80] {
        if flags & present != 0 {
            number(&mut rest)?; // packed size, unpacked size
        }
    }
    let mut branches = None;
    for left in (0..=flags & 3).rev() {
        let (filter, size) = (number(&mut rest)?, number(&mut rest)?);
        let properties = rest.split_off(..usize::try_from(size).ok()?)?;
        match (filter, properties) {
            // The dictionary's size, which does not matter here.
            (LZMA2, [_]) if left == 0 => return Some(Ok(branches)),
            (POWERPC, []) if left == 1 => branches = Some(0),
            (POWERPC, &[a, b, c, d]) if left == 1 => {
                branches = Some(u32::from_le_bytes([a, b, c, d]));
            }
            _ => break,
        }
    }
    Some(Err(UnpackError::Unsupported("a filter that is for no PowerPC module")))
}

/// Passes over the index, which must say that `len` bytes came out.
fn index(reader: &mut Reader, len: usize) -> Result<(), UnpackError> {
    let damaged = reader.damaged();
    let whole = reader.rest;
    let mut rest = whole.get(1..).unwrap_or_default();
    let truncated = UnpackError::Truncated { len: reader.file_len as u64 };
    for _ in 0..number(&mut rest).ok_or(truncated)? {
        number(&mut rest).ok_or(truncated)?;
        number(&mut rest).ok_or(truncated)?;
    }
    let end = (whole.len() - rest.len()).next_multiple_of(4);
    let index = reader.take(end)?;
    if sum_of_blocks(index) != Some(len as u64) {
        return Err(damaged);
    }
    reader.crc32(index)
}
