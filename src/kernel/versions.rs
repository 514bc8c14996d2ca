//! Whether a module fits the kernel and the modules that are there, and what to do
//! if it does not, in one line.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::module_file::ModuleFile;
use super::modules::Module;
use super::{initrd, modules};
use crate::kprintln;
use crate::loader::versions::{self, Mismatch};
use crate::loader::{Linked, LoadError, Modinfo, Object, exports};
use crate::shell::args::module_name_eq;
use crate::unpack::Pack;

/// Refuses a module by its vermagic, or says what should be known of it.
#[optimize(size)]
pub fn check_kernel(word: &str, object: &Object<'_>) -> Result<(), String> {
    let notes = versions::notes(object).map_err(|why| format!("{word}: {why}"))?;
    notes.iter().for_each(|note| kprintln!("{word}: {note}"));
    Ok(())
}

/// What the modules whose exports `linked` uses say their versions are.
#[optimize(size)]
fn mismatch<'a>(object: &Object<'a>, owners: &[Arc<Module>]) -> Option<(Mismatch<'a>, String)> {
    // Most modules use the kernel alone, which has no checksums.
    let mut owners: Vec<_> = owners.iter().collect();
    owners.retain(|module| module.linked().exports.iter().any(|it| it.checksum.is_some()));
    if owners.is_empty() {
        return None;
    }
    let of = |name: &str| {
        owners.iter().find_map(|module| {
            let export = exports::find(&module.linked().exports, name.as_bytes())?;
            Some((export.checksum?, &module.name))
        })
    };
    let found = versions::mismatch(object, |name| of(name).map(|(checksum, _)| checksum))?;
    let owner = of(found.name).map_or("?", |(_, owner)| owner);
    Some((found, owner.into()))
}

/// Refuses a module called `name` that was built against others than those it was
/// linked to, or uses what they keep for others.
#[optimize(size)]
pub fn check_imports(
    word: &str,
    name: &str,
    object: &Object<'_>,
    linked: &Linked<'_>,
    all: &[Arc<Module>],
) -> Result<(), String> {
    let used = all.iter().filter(|module| linked.owners.contains(&module.number));
    let owners: Vec<_> = used.cloned().collect();
    check_namespaces(word, name, object, &owners)?;
    match mismatch(object, &owners) {
        None => {
            if let Some(note) = versions::unlicensed(object) {
                kprintln!("{word}: {note}");
            }
            Ok(())
        }
        Some((mismatch, owner)) => Err(format!("{word}: {}", mismatch.told(&owner))),
    }
}

#[optimize(size)]
fn check_namespaces(
    word: &str,
    name: &str,
    object: &Object<'_>,
    owners: &[Arc<Module>],
) -> Result<(), String> {
    let mut guarded: Vec<_> = owners.iter().collect();
    guarded.retain(|module| module.linked().exports.iter().any(|it| !it.namespace.is_empty()));
    if guarded.is_empty() {
        return Ok(());
    }
    let namespace_of = |name: &str| {
        let found = guarded
            .iter()
            .find_map(|module| exports::find(&module.linked().exports, name.as_bytes()));
        found.map(|export| export.namespace)
    };
    let closed = exports::closed(object, name, namespace_of);
    closed.map_or(Ok(()), |closed| Err(format!("{word}: {closed}")))
}

/// What `modinfo` adds to the file's own words.
#[optimize(size)]
pub fn explain(object: &Object<'_>) {
    let found = mismatch(object, &modules::all());
    let found = found.as_ref().map(|(mismatch, owner)| (*mismatch, owner.as_str()));
    for (key, text) in versions::explain(object, found) {
        kprintln!("{:<15} {text}", format!("{key}:"));
    }
}

/// An error of the loader. Of names that are missing it says which module in the
/// initrd has them, those of `depends=` first; what none has Linux's own kernel has,
/// and Tocsin does not.
#[optimize(size)]
pub fn refusal(word: &str, error: LoadError, object: &Object<'_>) -> String {
    let LoadError::Unresolved { names, more } = &error else {
        return format!("{word}: {error}");
    };
    let mut text = format!("{word}: unresolved: {}", listed(&mut names.iter().map(String::as_str)));
    if *more > 0 {
        text += &format!(" and {more} more");
    }
    let mut hunt = Hunt::new(names);
    // More dependencies than any module has are not unpacked for a hint.
    let depends: Vec<_> = Modinfo::of(object).depends().take(UNPACKED_MAX).collect();
    for wanted in [true, false] {
        for file in initrd::all().filter(|file| file.path.starts_with(initrd::MODULES)) {
            let base = file.base_name();
            let module = crate::text::find(base, ".ko").map_or(base, |at| &base[..at]);
            let named = |name: &&str| module_name_eq(name.as_bytes(), module.as_bytes());
            if hunt.missing.is_empty() || depends.iter().any(named) != wanted {
                continue;
            }
            let unpacked = wanted.then(|| ModuleFile::open(file.path).ok()).flatten();
            let bytes = unpacked.as_ref().map_or(file.data, ModuleFile::bytes);
            let has = hunt.look_into(bytes);
            if !has.is_empty() {
                text += &format!("; modprobe {module}, which has {}", listed(&mut has.into_iter()));
            }
        }
    }
    if !hunt.missing.is_empty() {
        let which = match (names.len(), hunt.missing.len()) {
            (1, _) => "it".into(),
            (all, missing) if all == missing => "them".into(),
            _ => listed(&mut hunt.missing.iter().copied()),
        };
        let but = match (hunt.packed, hunt.left) {
            (_, 0) => " (not all were looked into)",
            (true, _) => " (compressed ones were not looked into)",
            (false, _) => "",
        };
        text += &format!(
            "; no module here exports {which}{but}, and Tocsin has not all that Linux has; insmod --link-only takes it to be looked at, but never run"
        );
    }
    text
}

/// Longest name that is shown whole.
const SHOWN_MAX: usize = 200;

/// Names in a line: those of mangled symbols may have thousands of bytes.
#[optimize(size)]
fn listed(names: &mut dyn Iterator<Item = &str>) -> String {
    let mut text = String::new();
    for name in names {
        text += if text.is_empty() { "" } else { ", " };
        let shown = &name[..name.floor_char_boundary(SHOWN_MAX)];
        text += shown;
        text += if shown.len() < name.len() { "..." } else { "" };
    }
    text
}

/// Most dependencies that are looked into for a hint. Debian's modules have 15 at most.
const UNPACKED_MAX: usize = 16;
/// Bytes of names of exports that are looked through for one: ten times what all of
/// Debian's modules have.
const NAMES_MAX: usize = 4 << 20;

/// The search for who has what is missing: once through each file's names, whatever
/// the number of those.
struct Hunt<'n> {
    /// What nobody has so far, by name.
    missing: Vec<&'n str>,
    /// Some files were compressed.
    packed: bool,
    /// Bytes of names that may still be looked through.
    left: usize,
}

impl<'n> Hunt<'n> {
    fn new(names: &'n [String]) -> Self {
        let mut missing: Vec<_> = names.iter().map(String::as_str).collect();
        missing.sort_unstable();
        Self { missing, packed: false, left: NAMES_MAX }
    }

    /// The names that a module file has; they are missing no more.
    fn look_into(&mut self, file: &[u8]) -> Vec<&'n str> {
        self.packed |= Pack::of(file).is_some();
        let names = exports::offered(file);
        let names = names.get(..self.left).unwrap_or(names);
        self.left -= names.len();
        let mut has = Vec::new();
        for name in names.split(|&byte| byte == 0) {
            let place = self.missing.binary_search_by(|known| known.as_bytes().cmp(name));
            has.extend(place.ok().map(|place| self.missing.remove(place)));
        }
        has.sort_unstable();
        has
    }
}
