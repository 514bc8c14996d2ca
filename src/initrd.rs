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
#![forbid(unsafe_code)]

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
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

const MAGIC: &[u8] = b"070701";
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

/// The first entry, whether it is a regular file, and what follows.
fn entry(bytes: &[u8]) -> Option<(File<'_>, bool, &[u8])> {
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let field = |index: usize| {
        let digits = bytes.get(6 + index * 8..14 + index * 8)?;
        usize::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mode, size, name_size) = (field(1)?, field(6)?, field(11)?);
    let name_end = HEADER.checked_add(name_size)?;
    let name = bytes.get(HEADER..name_end)?.split(|&byte| byte == 0).next()?;
    let start = name_end.checked_next_multiple_of(4)?;
    let end = start.checked_add(size)?;
    let data = bytes.get(start..end)?;
    let next = bytes.get(end.checked_next_multiple_of(4)?..).unwrap_or(&[]);
    let path = core::str::from_utf8(name).ok()?.trim_start_matches("./").trim_start_matches('/');
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
}
