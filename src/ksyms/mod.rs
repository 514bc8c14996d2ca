//! The kernel's own symbols, packed into its image.
//!
//! ```text
//!  kernel ELF ─> elf ─> [Symbol] ─> encode ─> blob ─> objcopy ─> .ksyms section
//!   (host)        │                                                   │
//!                 └ tools/ksyms.rs demangles the names                v
//!                        back traces, /proc/kallsyms, `sym` <─ decode: Table
//! ```
//!
//! `elf` and `encode` run on the host when the kernel is built; [`decode`] runs
//! in the kernel and takes no memory, for it is wanted most when none is left.
//!
//! # The format (every number little-endian)
//! | offset | | |
//! |---|---|---|
//! | 0 | 8 bytes | [`MAGIC`] |
//! | 8 | u32 | symbols |
//! | 12 | u32 | bytes of the whole table; what follows is padding |
//! | 16 | u16 | tokens, at most [`MAX_TOKENS`] |
//! | 18 | u16 | 0 |
//! | 20 | 3 bytes each | tokens: the two codes that each stands for, 12 bits each, the first in the lower |
//! | then | 8 bytes each | index, one for every [`STRIDE`] symbols: u32 offset of the first of them in the image, u32 where its record begins in the table |
//! | then | | records, sorted by offset |
//!
//! A record is:
//! - a varint, how far the symbol lies after the one before it, or after the
//!   offset in the index for the first of a group (so always 0 there);
//! - a varint, twice the symbol's size in bytes, and one more for data;
//! - one byte, the number of bytes of its name's codes, and these.
//!
//! A code below 0x80 is that ASCII character. Code 0x80 + t is token t, which is
//! two codes, each a character or a token; those used most have the lowest numbers.
//! A code below [`ONE_BYTE`] is one byte, another two: 0xf8 and its upper three bits,
//! then the lower eight. Varints have 7 bits a byte, lowest first, the top bit set on
//! all but the last.
//!
//! # Invariants
//! - Offsets count from the image's first byte, so the table is right wherever
//!   the kernel was loaded.
//! - A damaged table gives wrong or no names. It cannot make [`decode`] panic,
//!   loop, or read outside the table.
//!
//! Byte pairs suit symbol names, whose prefixes (`tocsin::machine::`) and
//! endings repeat: they come out at a sixth of their length, the tokens included. A
//! general compressor would do better, and would have to unpack the whole table to
//! find one name.
#![forbid(unsafe_code)]

pub mod decode;
pub mod elf;
pub mod encode;
mod nesting;
pub mod readable;

/// First bytes of a table.
pub const MAGIC: [u8; 8] = *b"TOCSYM02";

/// Bytes before the tokens.
pub const HEADER_SIZE: usize = 20;

/// Symbols for each entry of the index.
pub const STRIDE: usize = 16;

/// Codes below this are one byte.
pub const ONE_BYTE: u16 = 0xf8;

/// Codes are below this: eleven bits.
pub const CODES: usize = 0x800;

/// Most tokens: one for each code from 0x80.
pub const MAX_TOKENS: usize = CODES - 0x80;

/// Most codes that wait while a name is unpacked; [`encode`] makes no token that needs more.
pub const MAX_WAITING: usize = 32;

/// Bytes of a token.
pub const TOKEN_SIZE: usize = 3;

/// Longest name, in bytes; longer ones are cut when the table is made.
pub const MAX_NAME: usize = 99;

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Code: a function, or a label in assembly.
    Text,
    /// Data: a static.
    Data,
}

#[cfg(test)]
mod tests;
