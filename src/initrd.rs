//! The files that came with the kernel: a cpio archive in the "newc" form.
//!
//! ```text
//! "070701" + 13 numbers of 8 hex digits | name NUL, padded to 4 | data, padded to 4 | ...
//! ```
//!
//! Files are borrowed from the archive, which stays in memory: the loader reads
//! relocations, symbols and names where they lie. The archive is input like any
//! other: a header that points outside ends the walk.
//!
//! Reference: cpio(5), "New ASCII Format".
//!
//! What a boot medium holds can be cut short or damaged on its way. Archives made for
//! media therefore begin with a seal, an entry that says how long the archive is and
//! what the rest sums up to:
//!
//! ```text
//!  boot/seal: "LLLLLLLLSSSSSSSS" | entries ... TRAILER!!! |
//!              |       `- Adler-32 of -------------------'
//!              `- bytes of the whole archive, in hex
//! ```
//!
//! Adler-32 because Python's zlib has it, and a hundred megabytes take a second.
#![forbid(unsafe_code)]

use core::fmt;

/// One file of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Its path, without a leading slash or `./`.
    pub path: &'a str,
    /// Its contents.
    pub data: &'a [u8],
}

impl<'a> File<'a> {
    /// The last part of the path.
    #[must_use]
    pub fn base_name(&self) -> &'a str {
        let slash = self.path.bytes().rposition(|byte| byte == b'/');
        slash.and_then(|slash| self.path.get(slash + 1..)).unwrap_or(self.path)
    }
}

/// What an archive begins with.
pub const MAGIC: &[u8] = b"070701";
const HEADER: usize = 110;
/// File type bits of `st_mode`, and their value for a regular file.
const MODE_TYPE: usize = 0o170_000;
const MODE_REGULAR: usize = 0o100_000;

/// The regular files of an archive, in its order.
pub fn files(archive: &[u8]) -> impl Iterator<Item = File<'_>> + Clone {
    let mut rest = archive;
    core::iter::from_fn(move || {
        loop {
            let (file, regular, next) = entry(rest)?;
            rest = next;
            if file.path == "TRAILER!!!" {
                return None;
            }
            if regular {
                return Some(file);
            }
        }
    })
}

/// The name of the entry that an archive for boot media begins with.
const SEAL: &str = "boot/seal";

/// No seal reaches beyond so many bytes.
pub const SEAL_BYTES: usize = 192;

/// What an archive says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Bytes of the whole archive.
    pub total: u64,
    /// Adler-32 of what follows the seal.
    pub sum: u32,
    /// Bytes of the seal.
    len: usize,
}

/// The seal that an archive begins with, if it has one; its first [`SEAL_BYTES`] do.
#[must_use]
pub fn seal(archive: &[u8]) -> Option<Seal> {
    let (file, true, next) = entry(archive)? else { return None };
    let number = |at: usize| Some(hex(file.data.get(at..)?.first_chunk()?)? as u32);
    let len = archive.len() - next.len();
    (file.path == SEAL).then_some(Seal { total: number(0)?.into(), sum: number(8)?, len })
}

/// What is wrong with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It does not begin as one.
    NotCpio,
    /// It ends before its end.
    Cut {
        /// Bytes that are there.
        has: u64,
        /// Bytes that its seal promises; 0 if it has none.
        wants: u64,
    },
    /// There is no entry where one should be.
    NoEntry {
        /// Bytes from the start.
        at: u64,
    },
    /// Its bytes are not those that were sealed.
    Sum,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCpio => f.write_str("not a cpio archive (newc) of modules"),
            Self::Cut { has, wants: 0 } => write!(f, "cut short after {has} bytes"),
            Self::Cut { has, wants } => write!(f, "cut short: {has} bytes of {wants}"),
            Self::NoEntry { at } => write!(f, "damaged: no entry at byte {at:#x}"),
            Self::Sum => f.write_str("damaged: its bytes are not those that it was made of"),
        }
    }
}

/// Looks whether an archive is whole; how many entries it has. What stands behind its
/// end does not matter.
pub fn check(archive: &[u8]) -> Result<usize, Damage> {
    let has = archive.len() as u64;
    if !archive.starts_with(MAGIC) {
        return Err(Damage::NotCpio);
    }
    if let Some(seal) = seal(archive) {
        let wants = seal.total;
        let whole = usize::try_from(wants).ok().and_then(|total| archive.get(..total));
        let whole = whole.ok_or(Damage::Cut { has, wants })?;
        if adler32(whole.get(seal.len..).unwrap_or(&[])) != seal.sum {
            return Err(Damage::Sum);
        }
    }
    let mut rest = archive;
    for count in 0.. {
        let at = has - rest.len() as u64;
        match entry(rest) {
            Some((file, ..)) if file.path == "TRAILER!!!" => return Ok(count),
            Some((_, _, next)) => rest = next,
            None if rest.len() < HEADER || rest.starts_with(MAGIC) => {
                return Err(Damage::Cut { has, wants: 0 });
            }
            None => return Err(Damage::NoEntry { at }),
        }
    }
    Ok(0)
}

/// RFC 1950, "Adler-32".
fn adler32(bytes: &[u8]) -> u32 {
    const BASE: u32 = 65521;
    // As many bytes as the second sum takes before it could overflow.
    const RUN: usize = 5552;
    let (mut low, mut high) = (1u32, 0u32);
    for run in bytes.chunks(RUN) {
        for &byte in run {
            low += u32::from(byte);
            high += low;
        }
        low %= BASE;
        high %= BASE;
    }
    high << 16 | low
}

/// The number that eight hexadecimal digits stand for: all at once, because a search
/// reads three such numbers of each file before the one that is wanted.
fn hex(digits: &[u8; 8]) -> Option<usize> {
    /// A byte in each of the eight.
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let text = u64::from_be_bytes(*digits);
    // Bit 6 tells letters from decimals: `A` is 0x41, `a` 0x61, `0` 0x30.
    let letters = (text & each(0x40)) >> 6;
    let values = (text & each(0x0f)) + letters * 9;
    // Written again in small letters, they are what was read; and letters stand for ten
    // to fifteen, no decimal does.
    let again = values + each(b'0') + letters * 39;
    let large = (values + each(6)) >> 4 & each(1);
    if again != text | letters << 5 || large != letters || values & each(0xf0) != 0 {
        return None;
    }
    // Two digits to each second byte, four to each second of those, then eight.
    let pairs = (values >> 4 | values) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs >> 8 | pairs) & 0x0000_ffff_0000_ffff;
    Some((fours >> 16 | fours) as u32 as usize)
}

/// The first entry, whether it is a regular file, and what follows.
fn entry(bytes: &[u8]) -> Option<(File<'_>, bool, &[u8])> {
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let field = |index: usize| hex(bytes.get(6 + index * 8..)?.first_chunk()?);
    let (mode, size, name_size) = (field(1)?, field(6)?, field(11)?);
    let name_end = HEADER.checked_add(name_size)?;
    let name = bytes.get(HEADER..name_end)?.split(|&byte| byte == 0).next()?;
    let start = name_end.checked_next_multiple_of(4)?;
    let end = start.checked_add(size)?;
    let data = bytes.get(start..end)?;
    let next = bytes.get(end.checked_next_multiple_of(4)?..).unwrap_or(&[]);
    let mut path = core::str::from_utf8(name).ok()?;
    while let Some(rest) = path.strip_prefix("./").or_else(|| path.strip_prefix('/')) {
        path = rest;
    }
    Some((File { path, data }, mode & MODE_TYPE == MODE_REGULAR, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn archive(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, mode, data) in files.iter().copied().chain([("TRAILER!!!", 0, &b""[..])]) {
            let mut fields = [0; 13];
            fields[1] = mode;
            fields[6] = data.len() as u32;
            fields[11] = name.len() as u32 + 1;
            bytes.extend(MAGIC);
            fields.iter().for_each(|field| bytes.extend(std::format!("{field:08x}").bytes()));
            bytes.extend(name.bytes());
            bytes.push(0);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn files_are_found_and_directories_passed_over() {
        let bytes = archive(&[
            ("./lib", 0o040_755, b""),
            ("lib/a.ko", 0o100_644, b"abc"),
            ("/lib/b.ko", 0o100_644, b""),
        ]);
        let found: Vec<_> = files(&bytes).map(|file| (file.path, file.data)).collect();
        assert_eq!(found, [("lib/a.ko", &b"abc"[..]), ("lib/b.ko", b"")]);
        assert_eq!(files(&bytes).next().unwrap().base_name(), "a.ko");
    }

    /// As `u32::from_str_radix` reads them, which takes a sign as well.
    #[test]
    fn eight_digits_are_one_number_and_anything_else_is_none() {
        for good in ["00000000", "0000001f", "89abcdef", "FEDCBA98", "ffffffff", "0f1e2D3C"] {
            let expected = u32::from_str_radix(good, 16).unwrap() as usize;
            assert_eq!(hex(good.as_bytes().first_chunk().unwrap()), Some(expected), "{good}");
        }
        for other in (0..=u8::MAX).filter(|byte| !byte.is_ascii_hexdigit()) {
            for place in 0..8 {
                for around in *b"09afAF" {
                    let mut digits = [around; 8];
                    digits[place] = other;
                    assert_eq!(hex(&digits), None, "{digits:x?}");
                }
            }
        }
    }

    #[test]
    fn a_cut_archive_ends_and_never_panics() {
        let bytes = archive(&[("a", 0o100_644, b"abcdefgh"), ("b", 0o100_644, b"x")]);
        for len in 0..bytes.len() {
            assert!(files(&bytes[..len]).count() <= 2);
        }
        assert_eq!(files(&bytes[..bytes.len() - 130]).count(), 1);
        let mut huge = bytes.clone();
        huge[54..62].copy_from_slice(b"ffffffff");
        assert_eq!(files(&huge).count(), 0);
    }

    /// As mkinitrd.py seals one.
    fn sealed(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let rest = archive(files);
        let seal = |total: usize, sum| {
            let text = std::format!("{total:08x}{sum:08x}");
            let mut bytes = archive(&[("boot/seal", 0o100_644, text.as_bytes())]);
            bytes.truncate(bytes.len() - archive(&[]).len());
            bytes
        };
        let total = seal(0, 0).len() + rest.len();
        [seal(total, adler32(&rest)), rest].concat()
    }

    #[test]
    fn adler_is_what_zlib_computes() {
        assert_eq!(adler32(b""), 1);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398); // zlib.adler32 of Python
        assert_eq!(adler32(&[0xff; 100_000]), 0x149a_302c); // zlib.adler32 of Python
    }

    #[test]
    fn a_whole_archive_has_so_many_entries() {
        let files: &[(&str, u32, &[u8])] = &[("a", 0o100_644, b"abc"), ("b", 0o040_755, b"")];
        assert_eq!(check(&archive(files)), Ok(2));
        let mut bytes = sealed(files);
        assert_eq!(check(&bytes), Ok(3));
        assert_eq!(seal(&bytes[..SEAL_BYTES]).unwrap().total, bytes.len() as u64);
        bytes.extend([0; 512]); // the rest of a block
        assert_eq!(check(&bytes), Ok(3));
    }

    #[test]
    fn every_cut_and_every_wrong_bit_is_found() {
        let files: &[(&str, u32, &[u8])] = &[("a", 0o100_644, b"abcdefgh")];
        let (plain, bytes) = (archive(files), sealed(files));
        for len in 0..plain.len() - 2 {
            assert!(check(&plain[..len]).is_err(), "{len}");
        }
        for len in 0..bytes.len() {
            assert!(check(&bytes[..len]).is_err(), "{len}");
        }
        for at in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[at / 8] ^= 1 << (at % 8);
            // In the seal's own header some fields mean nothing: owner, times, ...
            assert!(at / 8 < seal(&bytes).unwrap().len || check(&wrong).is_err(), "{at}");
        }
        assert_eq!(check(b"\x1f\x8b"), Err(Damage::NotCpio));
        let mut spoiled = plain.clone();
        spoiled[120..122].copy_from_slice(b"xx"); // the trailer's magic
        assert_eq!(check(&spoiled), Err(Damage::NoEntry { at: 120 }));
    }
}
