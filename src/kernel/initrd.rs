//! The files that came with the kernel.

use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::initrd::{Damage, File, check, files};
use crate::machine::lock::Once;
use crate::machine::memory;
use crate::shell::args::module_name_eq;

static ARCHIVE: Once<&'static [u8]> = Once::new();
/// Its regular files, in its order: whoever looks for one need not walk the archive.
static FILES: Once<Vec<File<'static>>> = Once::new();

/// Where `insmod NAME` looks.
pub const MODULES: &str = "lib/modules/";

/// Remembers the archive that came along, if one did; what is wrong with it.
pub fn init(initrd: Option<(Vaddr, u64)>) -> Result<(), Damage> {
    let archive =
        ARCHIVE.call_once(|| initrd.map_or(&[], |(start, len)| memory::initrd_bytes(start, len)));
    FILES.call_once(|| files(archive).collect());
    if archive.is_empty() { Ok(()) } else { check(archive).map(|_| ()) }
}

/// All regular files.
pub fn all() -> impl Iterator<Item = File<'static>> + Clone {
    FILES.get().into_iter().flatten().copied()
}

/// A path without leading slashes.
pub fn relative(mut path: &str) -> &str {
    while let Some(rest) = path.strip_prefix('/') {
        path = rest;
    }
    path
}

/// The file at `path`, with or without a leading slash.
pub fn find(path: &str) -> Option<File<'static>> {
    let path = relative(path);
    all().find(|file| file.path == path)
}

/// What a module file may be called behind its name.
const ENDINGS: [&str; 3] = [".ko", ".ko.xz", ".ko.zst"];

/// The module file that a name or a path means. `-` and `_` are equal in names; a
/// path may leave out the ending of a compression.
pub fn find_module(name: &str) -> Option<File<'static>> {
    if name.contains('/') {
        let packed = |path: &str| path.strip_suffix(".ko").and_then(find_packed);
        return find(name).or_else(|| packed(relative(name)));
    }
    let wanted = name.strip_suffix(".ko").unwrap_or(name);
    all().filter(|file| file.path.starts_with(MODULES)).find(|file| {
        let base = file.base_name();
        let base = ENDINGS.iter().find_map(|end| base.strip_suffix(end));
        base.is_some_and(|base| module_name_eq(base.as_bytes(), wanted.as_bytes()))
    })
}

fn find_packed(stem: &str) -> Option<File<'static>> {
    let mut found = all().filter(|file| {
        file.path.strip_prefix(stem).is_some_and(|ending| ENDINGS[1..].contains(&ending))
    });
    found.next()
}

/// Where the archive lies.
pub fn range() -> (Vaddr, Vaddr) {
    let archive = ARCHIVE.get().copied().unwrap_or(&[]);
    let start = Vaddr(archive.as_ptr() as u64);
    if archive.is_empty() { (start, start) } else { (start, start.offset(archive.len() as i64)) }
}
