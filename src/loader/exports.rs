//! Exports: the names that a module offers to others.
//!
//! Linux's tables, in both of their forms, read from the linked image:
//!
//! ```text
//!  absolute       | value: u64 | name: u64 | namespace: u64 |   24 bytes, ADDR64
//!  self-relative  | value: s32 | name: s32 | namespace: s32 |   12 bytes, REL32
//! ```
//!
//! Beside them, an entry each in the same order:
//!
//! ```text
//!  __kcrctab, __kcrctab_gpl   u32 checksum of what is exported (`versions`)
//!  __kflagstab (7.x)          u8, bit 0: for GPL-compatible modules only
//! ```
//!
//! The namespace is a text like the name, usually an empty one: [`is_open`].
//!
//! Which form it is, the type of the first relocation says. `__ksymtab` is for
//! everybody, `__ksymtab_gpl` for GPL-compatible modules; where there are flags, they
//! decide.
//!
//! # References
//! Linux's `EXPORT_SYMBOL` and `CONFIG_HAVE_ARCH_PREL32_RELOCATIONS`: powerpc
//! uses the absolute form in 6.1, the relative one later.

use alloc::{string::String, vec::Vec};
use core::fmt;

use goblin::elf64::reloc::R_PPC64_REL32;

use super::{
    elf::{Object, text_at},
    error::{Cut, ExportFault, LoadError, Place},
    layout::Layout,
    modinfo::Modinfo,
    symbols::{Owner, Resolver},
};
use crate::{addr::Vaddr, shell::args::module_name_eq};

/// One name that a module offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export<'a> {
    /// The name, a view of the module's file.
    pub name: &'a str,
    /// What it stands for; for a function, the global entry point.
    pub addr: Vaddr,
    /// For GPL-compatible modules only.
    pub gpl_only: bool,
    /// Its checksum, if the module has them.
    pub checksum: Option<u32>,
    /// Who may use it, see [`is_open`]; empty for everybody.
    pub namespace: &'a str,
}

/// The tables, those of their checksums, and whether the entries are for
/// GPL-compatible modules only.
const TABLES: [(&str, &str, bool); 2] =
    [("__ksymtab", "__kcrctab", false), ("__ksymtab_gpl", "__kcrctab_gpl", true)];
/// Flags of the entries of `__ksymtab`.
const FLAGS: &str = "__kflagstab";
const GPL_ONLY: u8 = 1;

/// Reads the export tables of a module linked into `image` at `base`; by name, so
/// that those who import need not look at each.
///
/// # Errors
/// [`LoadError::BadExport`], naming the entry.
pub fn read<'a>(
    object: &Object<'a>,
    layout: &Layout,
    base: Vaddr,
    image: &[u8],
) -> Result<Vec<Export<'a>>, LoadError> {
    let mut exports = Vec::new();
    // The section that a text was found in last, and where it starts: all are in one.
    let (mut texts, mut texts_start): (&[u8], u64) = (&[], 0);
    for (table, checksums, gpl_only) in TABLES {
        let Some((index, section)) = object.section(table) else {
            continue;
        };
        let Some(start) = layout.offset_of(index) else {
            continue;
        };
        let refuse = |offset: u64, fault| LoadError::BadExport {
            at: Place { section: table.into(), offset },
            fault,
        };
        let first = object.relocations_of(index).and_then(|list| list.iter().next());
        let relative = first.is_some_and(|first| first.r_info as u32 == R_PPC64_REL32);
        let width = if relative { 12 } else { 24 };
        if !section.size().is_multiple_of(width) {
            return Err(refuse(0, ExportFault::PartialEntry { size: section.size() }));
        }
        let count = section.size() / width;
        let most = section.data.len() / width as usize;
        if exports.is_empty() {
            exports = Vec::with_capacity(most);
        } else {
            exports.reserve_exact(most);
        }
        let flags = object.section(FLAGS).filter(|_| !gpl_only).map(|(_, flags)| flags.data);
        if let Some(flags) = flags.filter(|flags| flags.len() as u64 != count) {
            let at = Place { section: FLAGS.into(), offset: 0 };
            let fault = ExportFault::FlagCount { found: flags.len() as u64, count };
            return Err(LoadError::BadExport { at, fault });
        }
        // Checksums that are relocated are of a kernel older than 5.19.
        let checksums = object.section(checksums).filter(|(index, section)| {
            section.size() == count * 4 && object.relocations_of(*index).is_none()
        });
        let (checksums, _) =
            checksums.map_or(&[][..], |(_, section)| section.data).as_chunks::<4>();
        for entry in (0..section.size()).step_by(width as usize) {
            let number = (entry / width) as usize;
            let field = |number: u64| {
                let at = u64::from(start) + entry + number * (width / 3);
                if relative {
                    read_at(image, at).map(|bytes| {
                        let distance = i64::from(i32::from_le_bytes(bytes));
                        base.0.wrapping_add(at).wrapping_add_signed(distance)
                    })
                } else {
                    read_at(image, at).map(u64::from_le_bytes)
                }
                .unwrap_or(0)
            };
            let (addr, name) = (field(0), field(1));
            if addr.wrapping_sub(base.0) >= layout.size {
                return Err(refuse(entry, ExportFault::Outside { addr }));
            }
            let mut text = |addr: u64| {
                let at = addr.wrapping_sub(base.0);
                if at.wrapping_sub(texts_start) >= texts.len() as u64 {
                    let (section, offset) = layout.section_at(object, at)?;
                    (texts, texts_start) = (object.sections()[section].data, at - offset);
                }
                let at = u32::try_from(at - texts_start).ok()?;
                if texts.get(at as usize) == Some(&0) {
                    return Some(""); // nearly every namespace
                }
                text_at(texts, at)
            };
            let wrong = |addr| refuse(entry, ExportFault::Name { addr });
            let name = text(name).ok_or_else(|| wrong(name))?;
            if name.is_empty() {
                return Err(refuse(entry, ExportFault::NoName));
            }
            let namespace = match field(2) {
                0 => "",
                addr => text(addr).ok_or_else(|| wrong(addr))?,
            };
            let flagged =
                flags.and_then(|flags| flags.get(number)).is_some_and(|it| it & GPL_ONLY != 0);
            let checksum = checksums.get(number).map(|bytes| u32::from_le_bytes(*bytes));
            let gpl_only = gpl_only || flagged;
            exports.push(Export { name, addr: Vaddr(addr), gpl_only, checksum, namespace });
        }
    }
    // Linkers sort each table; then two runs are merged.
    exports.sort_by_key(|export| export.name);
    Ok(exports)
}

/// The export called `name`, of those that [`read`] has found.
#[must_use]
pub fn find<'e, 'a>(exports: &'e [Export<'a>], name: &[u8]) -> Option<&'e Export<'a>> {
    let at = exports.partition_point(|export| export.name.as_bytes() < name);
    exports.get(at).filter(|export| export.name.as_bytes() == name)
}

/// Refuses a module that exports a name twice, or one which `others` already have.
///
/// `owner_name` gives the name of a module for the message.
///
/// # Errors
/// [`LoadError::DuplicateExport`] for the first such name.
pub fn refuse_duplicates(
    exports: &[Export],
    others: &dyn Resolver,
    owner_name: impl Fn(u32) -> String,
) -> Result<(), LoadError> {
    if let Some(pair) = exports.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let (name, owner) = (pair[0].name.into(), "the module itself".into());
        return Err(LoadError::DuplicateExport { name, owner });
    }
    for export in exports {
        if let Some(taken) = others.resolve(export.name) {
            let owner = match taken.owner {
                Owner::Kernel => "the kernel".into(),
                Owner::Module(number) => owner_name(number),
            };
            return Err(LoadError::DuplicateExport { name: export.name.into(), owner });
        }
    }
    Ok(())
}

/// An export that a module uses and that is kept for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it is.
    pub namespace: &'a str,
}

impl fmt::Display for Closed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, namespace } = self;
        match namespace.strip_prefix("module:") {
            Some(modules) => {
                write!(
                    f,
                    "{name} is for {} only; do without the symbol, or use --force",
                    Cut(modules)
                )
            }
            None => write!(
                f,
                "{name} is in the namespace {0}, which it does not import; add MODULE_IMPORT_NS({0}), or use --force",
                Cut(namespace)
            ),
        }
    }
}

/// The first import of the module called `module` that is [closed](is_open) to it;
/// `namespace_of` says where an export of other modules is.
#[must_use]
pub fn closed<'a>(
    object: &Object<'a>,
    module: &str,
    namespace_of: impl Fn(&str) -> Option<&'a str>,
) -> Option<Closed<'a>> {
    let undefined = || object.symbols().filter(|symbol| symbol.st_shndx == 0);
    let mut closed: Vec<_> = undefined()
        .filter_map(|symbol| namespace_of(object.name(&symbol)))
        .filter(|namespace| !namespace.is_empty())
        .collect();
    // Each namespace is looked for once, however many exports are in it.
    closed.sort_unstable();
    closed.dedup();
    if closed.is_empty() {
        return None;
    }
    let imports = Modinfo::of(object);
    let mut imports: Vec<_> = imports.namespaces().collect();
    imports.sort_unstable();
    closed.retain(|namespace| {
        let imported = imports.binary_search(namespace).is_ok();
        !is_open(namespace, module, imported.then_some(*namespace).into_iter())
    });
    if closed.is_empty() {
        return None;
    }
    undefined().find_map(|symbol| {
        let name = object.name(&symbol);
        let namespace = namespace_of(name)?;
        closed.binary_search(&namespace).is_ok().then_some(Closed { name, namespace })
    })
}

/// True if a module may use what is exported in `namespace`: it is called `module`
/// and imports the namespaces `imports` (`MODULE_IMPORT_NS`).
///
/// The namespace `module:a,b*` (7.x) names the modules that may, and those that
/// begin so; nobody imports it.
#[must_use]
pub fn is_open<'i>(
    namespace: &str,
    module: &str,
    mut imports: impl Iterator<Item = &'i str>,
) -> bool {
    let Some(modules) = namespace.strip_prefix("module:") else {
        return namespace.is_empty() || imports.any(|import| import == namespace);
    };
    let module = module.as_bytes();
    modules.split(',').any(|named| match named.strip_suffix('*') {
        Some(start) => {
            module.get(..start.len()).is_some_and(|it| module_name_eq(it, start.as_bytes()))
        }
        None => module_name_eq(module, named.as_bytes()),
    })
}

/// The names that a module file exports, for whoever may have to look into thousands of
/// files: found by the table of names alone, without a look at the rest.
#[must_use]
pub fn offered(file: &[u8]) -> &[u8] {
    Object::peek(file, "__ksymtab_strings").unwrap_or_default()
}

fn read_at<const N: usize>(image: &[u8], at: u64) -> Option<[u8; N]> {
    image.get(usize::try_from(at).ok()?..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::is_open;

    #[test]
    fn a_namespace_is_open_to_who_imports_it() {
        let imports = || ["OTHER", "NEWER"].into_iter();
        assert!(is_open("", "anybody", [].into_iter()));
        assert!(is_open("NEWER", "anybody", imports()));
        assert!(!is_open("NEW", "anybody", imports()));
        assert!(!is_open("NEWER_STILL", "anybody", imports()));
        assert!(!is_open("NEWER", "anybody", [].into_iter()));
    }

    #[test]
    fn a_namespace_of_modules_is_open_to_those_alone() {
        let open = |name| is_open("module:kvm-hv,snd-*", name, ["module:kvm-hv,snd-*"].into_iter());
        assert!(open("kvm_hv"));
        assert!(open("snd_pcm"));
        assert!(open("snd_"));
        assert!(!open("snd"));
        assert!(!open("kvm"));
        assert!(!open("kvm_hv2"));
        assert!(!is_open("module:", "kvm", [].into_iter()));
    }
}
