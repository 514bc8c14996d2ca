//! Zstandard frames: headers here, what is in a block below.
//!
//! ```text
//!  frame   magic, descriptor, [window], [dictionary], [content size]
//!          block: 3 bytes (last? kind, size), data      ... until the last
//!          [checksum: low half of XXH64]
//!  skip    0x184d2a50 to f, size, data
//! ```
//!
//! | file | does |
//! |---|---|
//! | [`block`] | one compressed block: its literals, then its sequences |
//! | [`sequences`] | literal lengths, match lengths, offsets; carried out |
//! | [`huffman`] | literals: the code's table, one or four streams |
//! | [`fse`] | tables of finite states, which the other two decode with |
//! | [`bits`] | numbers out of bits, read from the front or from the back |
//!
//! # References
//! RFC 8878, "Frames", "Blocks", "Skippable Frames".
//!
//! A frame need not state its size (`zstd < file` does not): then the headers of
//! its blocks bound it, since no block unpacks to more than 128 KiB.

mod bits;
mod block;
mod fse;
mod huffman;
mod sequences;

use super::{UnpackError, check, zeros};

/// How a frame begins.
const MAGIC: u32 = 0xfd2f_b528;
/// How frames that decoders skip begin, but for the lowest four bits.
const SKIPPED: u32 = 0x184d_2a50;
/// Most bytes that a block unpacks to, whatever the window.
const BLOCK_MAX: usize = 128 << 10;

/// True if `bytes` begin with a frame, or with one to be skipped.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let magic = bytes.first_chunk().map(|magic| u32::from_le_bytes(*magic));
    magic.is_some_and(|magic| magic == MAGIC || magic & !0xf == SKIPPED)
}

/// What the header of a frame says, as far as it matters here.
struct Frame {
    content: Option<u64>,
    /// Most bytes that a block unpacks to: no more than the window.
    block_max: usize,
    checksum: bool,
    /// Number of a dictionary; 0 for none.
    dictionary: u32,
}

/// One block, its header read.
struct Block<'a> {
    last: bool,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Raw(&'a [u8]),
    /// A byte, so many times.
    Repeated(u8, usize),
    Compressed(&'a [u8]),
}

/// What stands at the front of a [`Reader`].
enum Next {
    End,
    Skipped,
    Frame(Frame),
}

/// Reads from the front of what is left of the file.
#[derive(Clone, Copy)]
struct Reader<'a> {
    rest: &'a [u8],
    file_len: usize,
}

impl<'a> Reader<'a> {
    fn new(file: &'a [u8]) -> Self {
        Self { rest: file, file_len: file.len() }
    }

    fn damaged(&self) -> UnpackError {
        UnpackError::Damaged { at: (self.file_len - self.rest.len()) as u64 }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], UnpackError> {
        let truncated = UnpackError::Truncated { len: self.file_len as u64 };
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A little-endian number of `len` bytes, at most eight.
    fn number(&mut self, len: usize) -> Result<u64, UnpackError> {
        let bytes = self.take(len)?;
        Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// Reads the header of a frame, or passes over one to be skipped.
    fn next(&mut self) -> Result<Next, UnpackError> {
        if self.rest.is_empty() {
            return Ok(Next::End);
        }
        let damaged = self.damaged();
        let magic = self.number(4)? as u32;
        if magic & !0xf == SKIPPED {
            let len = self.number(4)? as usize;
            self.take(len)?;
            return Ok(Next::Skipped);
        }
        if magic != MAGIC {
            return Err(damaged);
        }
        let descriptor = self.number(1)?;
        let (single, reserved) = (descriptor & 0x20 != 0, descriptor & 8 != 0);
        let window = match single {
            true => None,
            false => Some(window(self.number(1)?)),
        };
        let dictionary = self.number([0, 1, 2, 4][descriptor as usize & 3])? as u32;
        let content = match descriptor >> 6 {
            0 if single => Some(self.number(1)?),
            0 => None,
            1 => Some(self.number(2)? + 256),
            2 => Some(self.number(4)?),
            _ => Some(self.number(8)?),
        };
        if reserved {
            return Err(damaged);
        }
        let window = window.or(content).unwrap_or(0);
        let block_max = window.min(BLOCK_MAX as u64) as usize;
        let checksum = descriptor & 4 != 0;
        Ok(Next::Frame(Frame { content, block_max, checksum, dictionary }))
    }

    fn block(&mut self, frame: &Frame) -> Result<Block<'a>, UnpackError> {
        let damaged = self.damaged();
        let header = self.number(3)? as usize;
        let size = header >> 3;
        if size > frame.block_max {
            return Err(damaged);
        }
        let kind = match header >> 1 & 3 {
            0 => Kind::Raw(self.take(size)?),
            1 => Kind::Repeated(self.number(1)? as u8, size),
            2 => Kind::Compressed(self.take(size)?),
            _ => return Err(damaged),
        };
        Ok(Block { last: header & 1 != 0, kind })
    }
}

/// Bytes of the window that a frame's header asks for. All output is a window
/// here; what counts is that no block is longer.
fn window(byte: u64) -> u64 {
    let base = 1 << (10 + (byte >> 3));
    base + base / 8 * (byte & 7)
}

/// Most bytes that `file` unpacks to.
pub(super) fn plan(file: &[u8]) -> Result<u64, UnpackError> {
    let mut reader = Reader::new(file);
    let mut len = 0_u64;
    loop {
        let frame = match reader.next()? {
            Next::End => return Ok(len),
            Next::Skipped => continue,
            Next::Frame(frame) => frame,
        };
        if frame.dictionary != 0 {
            return Err(UnpackError::Unsupported("a dictionary"));
        }
        let mut blocks = 0;
        loop {
            let block = reader.block(&frame)?;
            blocks += match block.kind {
                Kind::Raw(bytes) => bytes.len(),
                Kind::Repeated(_, count) => count,
                Kind::Compressed(_) => frame.block_max,
            };
            if block.last {
                break;
            }
        }
        reader.take(if frame.checksum { 4 } else { 0 })?;
        // A file cannot state more than its blocks may hold.
        let stated = frame.content.unwrap_or(blocks as u64);
        if stated > blocks as u64 {
            return Err(reader.damaged());
        }
        len += stated;
    }
}

/// Unpacks `file` into `out`, which has the planned length; how many came out.
pub(super) fn unpack(file: &[u8], out: &mut [u8]) -> Result<usize, UnpackError> {
    let mut reader = Reader::new(file);
    // One for all frames: there may be one in every ten bytes.
    let mut decoder = block::Decoder::new(zeros(BLOCK_MAX)?);
    let mut len = 0;
    loop {
        match reader.next()? {
            Next::End => return Ok(len),
            Next::Skipped => {}
            Next::Frame(frame) => {
                decoder.begin_frame();
                len += unpack_frame(&mut reader, &frame, &mut decoder, &mut out[len..])?;
            }
        }
    }
}

fn unpack_frame(
    reader: &mut Reader,
    frame: &Frame,
    decoder: &mut block::Decoder,
    out: &mut [u8],
) -> Result<usize, UnpackError> {
    let mut len = 0;
    loop {
        let damaged = reader.damaged();
        let block = reader.block(frame)?;
        let done = match block.kind {
            Kind::Raw(bytes) => {
                let to = out.get_mut(len..len + bytes.len());
                to.map(|to| to.copy_from_slice(bytes)).map(|()| len + bytes.len())
            }
            Kind::Repeated(byte, count) => {
                let to = out.get_mut(len..len + count);
                to.map(|to| to.fill(byte)).map(|()| len + count)
            }
            Kind::Compressed(bytes) => {
                let end = out.len().min(len + frame.block_max);
                decoder.decode(bytes, &mut out[..end], len)
            }
        };
        len = done.ok_or(damaged)?;
        if block.last {
            break;
        }
    }
    if frame.content.is_some_and(|content| content != len as u64) {
        return Err(reader.damaged());
    }
    if frame.checksum {
        let at = (reader.file_len - reader.rest.len()) as u64;
        if reader.number(4)? != check::xxh64(&out[..len]) & 0xffff_ffff {
            return Err(UnpackError::Checksum { at });
        }
    }
    Ok(len)
}
