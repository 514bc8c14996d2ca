//! The `.xz` container: blocks of LZMA2 between a header and an index.
//!
//! ```text
//!  12 bytes        blocks                            index             12 bytes
//!  magic flags CRC | header, LZMA2, to 4, check | .. | 0, n, sizes, CRC | CRC size flags "YZ"
//!                    └ filters      └ CRC32 or 64          └ what each block unpacks to
//! ```
//!
//! [`plan`] believes the index; [`unpack`] compares it with what came out. Packed
//! sizes in it only lead from a stream's end to its start, and so to the stream before:
//! what is unpacked goes forward, and the blocks themselves say where they end.
//!
//! # References
//! "The .xz File Format" 1.2.1, "Stream", "Stream Padding", "Block", "Index".
//!
//! Streams may follow each other, with zeros between, as `cat a.xz b.xz` makes them: `xz`
//! unpacks all of them, though Linux's decoder takes one.

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

/// Bytes that `file` unpacks to, as its indexes say: the last stream's first.
pub(super) fn plan(file: &[u8]) -> Result<u64, UnpackError> {
    let (mut rest, mut sum) = (file, 0_u64);
    loop {
        let stream = without_padding(rest);
        let footer = stream.last_chunk::<ENDS>().filter(|_| stream.len() >= 2 * ENDS);
        let footer =
            footer.filter(|footer| footer.ends_with(b"YZ")).ok_or(if rest.len() == file.len() {
                UnpackError::Truncated { len: file.len() as u64 }
            } else {
                UnpackError::Damaged { at: stream.len().saturating_sub(ENDS) as u64 }
            })?;
        // Stored as a number of words, less one.
        let words = u32::from_le_bytes([footer[4], footer[5], footer[6], footer[7]]);
        let end = stream.len() - ENDS;
        let start = end.checked_sub((words as usize + 1) * 4).filter(|&start| start >= ENDS);
        let start = start.ok_or(UnpackError::Damaged { at: end as u64 })?;
        let damaged = UnpackError::Damaged { at: start as u64 };
        let blocks = sum_of_blocks(&stream[start..end]).ok_or(damaged)?;
        sum = sum.checked_add(blocks.unpacked).ok_or(damaged)?;
        let packed = usize::try_from(blocks.packed).map_err(|_| damaged)?;
        let first = start.checked_sub(packed).and_then(|start| start.checked_sub(ENDS));
        let first = first.filter(|&first| file[first..].starts_with(&MAGIC)).ok_or(damaged)?;
        if first == 0 {
            return Ok(sum);
        }
        rest = &file[..first];
    }
}

/// What an index says of all blocks together.
struct Blocks {
    /// Bytes in the file, with what fills each up to a multiple of four.
    packed: u64,
    unpacked: u64,
}

/// Adds up an index.
fn sum_of_blocks(index: &[u8]) -> Option<Blocks> {
    let mut rest = index.strip_prefix(&[0])?;
    let blocks = number(&mut rest)?;
    let (mut packed, mut unpacked) = (0_u64, 0_u64);
    for _ in 0..blocks {
        // Ends the loop when `rest` does.
        let padded = number(&mut rest)?.checked_next_multiple_of(4)?;
        packed = packed.checked_add(padded)?;
        unpacked = unpacked.checked_add(number(&mut rest)?)?;
    }
    Some(Blocks { packed, unpacked })
}

/// Unpacks `file` into `out`, which has the planned length.
pub(super) fn unpack(file: &[u8], out: &mut [u8]) -> Result<usize, UnpackError> {
    let mut reader = Reader { rest: file, file_len: file.len() };
    let mut decoder = lzma::Decoder::new()?;
    let mut len = 0;
    loop {
        len += stream(&mut reader, &mut decoder, &mut out[len..])?;
        while let Some(rest) = reader.rest.strip_prefix(&[0; 4]) {
            reader.rest = rest;
        }
        if reader.rest.is_empty() {
            return Ok(len);
        }
    }
}

/// Unpacks the stream that is next; the bytes that came out.
fn stream(
    reader: &mut Reader,
    decoder: &mut lzma::Decoder,
    out: &mut [u8],
) -> Result<usize, UnpackError> {
    let damaged = reader.damaged();
    let header = reader.take(8)?;
    if !header.starts_with(&MAGIC) {
        return Err(damaged);
    }
    let check = match header[6..] {
        [0, 0] => Check::None,
        [0, 1] => Check::Crc32,
        [0, 4] => Check::Crc64,
        _ => return Err(UnpackError::Unsupported("a check that is neither CRC32 nor CRC64")),
    };
    reader.crc32(&header[6..])?;

    let mut len = 0;
    loop {
        let at = reader.at();
        match reader.rest.first() {
            Some(0) => break,
            _ => len += block(reader, check, decoder, &mut out[len..], at)?,
        }
    }
    index(reader, len)?;
    let at = reader.at() as u64;
    let footer = reader.take(ENDS)?;
    if footer[..4] != check::crc32(&footer[4..10]).to_le_bytes() {
        return Err(UnpackError::Checksum { at });
    }
    if footer[8..10] != header[6..] || footer[10..] != *b"YZ" {
        return Err(UnpackError::Damaged { at });
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
    if sum_of_blocks(index).is_none_or(|blocks| blocks.unpacked != len as u64) {
        return Err(damaged);
    }
    reader.crc32(index)
}
