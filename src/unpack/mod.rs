//! Compressed modules: `.ko.xz` and `.ko.zst`, unpacked into memory of the caller.
//!
//! ```text
//!  bytes ──Pack::of──> xz or zstd ──plan──> at most so long ──unpack──> the module
//!         (how they begin)    |                                |
//!              the file's own numbers, and a limit      one buffer: what has been
//!                                                       unpacked is also the window
//! ```
//!
//! | file | does |
//! |---|---|
//! | [`xz`] | the container: blocks, filters, checks, index |
//! | [`lzma`] | LZMA2 chunks, with their range coder |
//! | [`bcj`] | the branch filter for big-endian PowerPC code |
//! | [`zstd`] | frames, blocks; below it tables, literals, sequences |
//! | [`check`] | CRC32, CRC64 and XXH64 of what came out |
//!
//! # Invariants
//! - Nothing is allocated before the file's own numbers have been compared with
//!   the caller's limit. Later the decoders take some 30 KiB (LZMA's
//!   probabilities) or 130 KiB (one block's literals) of the heap, whatever window
//!   the file asks for, and give it back.
//! - Every loop ends with the input or with the output; no index is believed.
//! - Checksums that the file carries are compared.
//! - Whatever is wrong, the caller gets an error and its buffer, which then holds
//!   anything.
//!
//! # References
//! "The .xz File Format" 1.2.1; RFC 8878, "Zstandard Compression". Linux packs
//! its modules with `xz --check=crc32 --lzma2=dict=1MiB`, or with `zstd`.
//!
//! A module is unpacked whole, because the loader views relocations, symbols and
//! names in place for as long as it lives. That makes decoders simple that may
//! look back anywhere in their output. The crates for it (`ruzstd`, `xz4rust`)
//! were tried: they keep a window of their own on the heap, up to 128 MiB, panic if
//! there is no memory for it, and added 54 KB of code where this adds 21.
#![forbid(unsafe_code)]

pub mod bcj;
pub mod check;
pub mod lzma;
pub mod xz;
pub mod zstd;

use core::fmt;

/// How a module file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pack {
    /// The `.xz` container with LZMA2.
    Xz,
    /// Zstandard frames.
    Zstd,
    /// gzip, as some distributions pack modules: known, but not unpacked.
    Gzip,
}

/// How a gzip file begins, with the only method that there is (RFC 1952).
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Why a file was not unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnpackError {
    /// It ends too early.
    Truncated {
        /// Bytes that it has.
        len: u64,
    },
    /// Its bytes are not what a compressor writes.
    Damaged {
        /// Where the part begins that is wrong, in bytes of the file.
        at: u64,
    },
    /// A checksum in it is not that of what was unpacked.
    Checksum {
        /// Where the checksum is, in bytes of the file.
        at: u64,
    },
    /// It is a gzip file.
    Gzip,
    /// It asks for something that modules are not packed with.
    Unsupported(&'static str),
    /// The module is longer than there is room for.
    TooLong {
        /// Bytes that it may have, as the file says.
        len: u64,
        /// Bytes that there is room for.
        limit: u64,
    },
    /// The decoder's tables do not fit on the heap.
    NoMemory,
}

impl Pack {
    /// How `bytes` are compressed, from how they begin; `None` if they are not.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&xz::MAGIC) {
            Some(Self::Xz)
        } else if zstd::begins(bytes) {
            Some(Self::Zstd)
        } else {
            bytes.starts_with(&GZIP_MAGIC).then_some(Self::Gzip)
        }
    }

    /// The most bytes that `bytes` unpack to: exactly as many, unless the
    /// compressor did not know (`zstd < file`).
    ///
    /// # Errors
    /// [`UnpackError`], also for more than `limit`.
    pub fn plan(self, bytes: &[u8], limit: u64) -> Result<usize, UnpackError> {
        let len = match self {
            Self::Xz => xz::plan(bytes),
            Self::Zstd => zstd::plan(bytes),
            Self::Gzip => Err(UnpackError::Gzip),
        }?;
        let fits = usize::try_from(len).ok().filter(|_| len <= limit);
        fits.ok_or(UnpackError::TooLong { len, limit })
    }

    /// Unpacks `bytes` into `out`, which has the planned length; how many bytes
    /// came out.
    ///
    /// # Errors
    /// [`UnpackError`]; `out` then holds anything.
    pub fn unpack(self, bytes: &[u8], out: &mut [u8]) -> Result<usize, UnpackError> {
        match self {
            Self::Xz => xz::unpack(bytes, out),
            Self::Zstd => zstd::unpack(bytes, out),
            Self::Gzip => Err(UnpackError::Gzip),
        }
    }
}

impl fmt::Display for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        })
    }
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { len } => {
                write!(f, "the compressed file ends too early, after {len} bytes; copy it again")
            }
            Self::Damaged { at } => {
                write!(f, "the compressed file is damaged behind byte {at}; copy it again")
            }
            Self::Checksum { at } => {
                write!(
                    f,
                    "the checksum at byte {at} of the compressed file is not that of its content; copy it again"
                )
            }
            Self::Gzip => f.write_str("compressed with gzip, which is not supported; gunzip it"),
            Self::Unsupported(what) => {
                write!(f, "compressed with {what}; pack it again with `xz --check=crc32` or `zstd`")
            }
            Self::TooLong { len, limit } => {
                write!(f, "unpacks to {len} bytes, and {limit} are free; give more memory (MEM=)")
            }
            Self::NoMemory => f.write_str("no memory for unpacking it; give more (MEM=)"),
        }
    }
}

/// `len` zeros on the heap, if there is room.
fn zeros<T: Clone + Default>(len: usize) -> Result<alloc::vec::Vec<T>, UnpackError> {
    let mut room = alloc::vec::Vec::new();
    room.try_reserve_exact(len).map_err(|_| UnpackError::NoMemory)?;
    room.resize(len, T::default());
    Ok(room)
}

/// Repeats `count` bytes of what has been unpacked, from `distance` before `len`; the new
/// length. `None` if they would begin before the output, or end behind it.
#[inline(always)] // both decoders run it for every match: a call would cost 2 to 5 %
fn repeat(out: &mut [u8], len: usize, distance: usize, count: usize) -> Option<usize> {
    let from = len.checked_sub(distance)?;
    let end = len.checked_add(count).filter(|&end| end <= out.len())?;
    if distance >= count {
        out.copy_within(from..from + count, len);
    } else {
        // The two overlap: the bytes repeat themselves.
        for at in len..end {
            out[at] = out[at - distance];
        }
    }
    Some(end)
}
