//! The kernel's own functions in the site table: their rows and their names.
//!
//! `machine::own` finds them and makes their stubs. In the table they are a module
//! called `tocsin` that is always there; the number of a function is its place in the
//! image. Only filters that name them mean them (`*`, `tocsin:*`, a function's own
//! name): `trace on` alone is about modules.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::{exports, ksyms, tracing};
use crate::addr::Vaddr;
use crate::kprintln;
use crate::ksyms::Kind;
use crate::loader::Name;
use crate::loader::callsites::{CallSite, SiteKind};
use crate::machine::lock::Once;
use crate::machine::{boot, hooks, own, text};
use crate::trace::sites::{ModuleId, NewModule};

/// What stands for the kernel where a filter names a module.
pub use crate::trace::filter::KERNEL as NAME;

static ID: Once<ModuleId> = Once::new();

/// Puts the kernel's functions into the table, and its text under the text engine.
/// Called once, before anybody traces.
pub fn init() {
    let base = boot::image().0;
    let from = |at: Vaddr| at.since(base) as u32; // the image is smaller than 16 MiB
    let sites = own::sites().into_iter().map(|site| {
        CallSite::new(from(site.site), SiteKind::Patchable, from(site.entry), from(site.stub))
    });
    let new = NewModule {
        name: NAME.to_string(),
        base,
        sites: sites.collect(),
        profile: hooks::mcount_address(),
        own: true,
    };
    text::adopt_kernel();
    match tracing::add(new) {
        Ok(id) => {
            ID.call_once(|| id);
        }
        Err(error) => kprintln!("trace: the kernel's own functions: {error}"),
    }
}

/// The kernel in the table.
pub fn id() -> Option<ModuleId> {
    ID.get().copied()
}

/// True if this is the kernel in the table.
pub fn is(module: ModuleId) -> bool {
    id() == Some(module)
}

/// The name of a function by its number: C code's, if it has one.
pub fn name(function: u32) -> Option<String> {
    let entry = ksyms::address_of(function);
    if let Some(name) = exports::name_of(entry) {
        return Some(name.to_string());
    }
    ksyms::find(entry).map(|(found, _)| found.name.as_str().to_string())
}

/// Hands over the names of functions, each with its place among those asked for, which
/// ascend; names that begin in another way than `prefix` are left out. As [`name`], but
/// the packed names are walked through once for all.
pub fn names(functions: &[u32], prefix: &[u8], visit: &mut dyn FnMut(usize, &str)) {
    let base = boot::image().0;
    let mut exported = vec![None; functions.len()];
    for export in exports::table() {
        let number = u32::try_from(export.addr.since(base)).ok();
        if let Some(Ok(place)) = number.map(|number| functions.binary_search(&number)) {
            exported[place].get_or_insert(export.name);
        }
    }
    for (place, (found, exported)) in ksyms::at(functions).zip(exported).enumerate() {
        if let Some(name) = exported {
            if name.as_bytes().starts_with(prefix) {
                visit(place, name);
            }
        } else if let Some(found) = found.filter(|found| found.begins_with(prefix)) {
            visit(place, found.name().as_str());
        }
    }
}

/// Where the function of that name lies. Names without a path are asked for among
/// the exports alone: the names of all functions are packed, and have no index.
pub fn range(name: &Name<'_>) -> Option<Range<Vaddr>> {
    let entry = *named(name.text()?).first()?;
    let size = ksyms::find(entry).map_or(4, |(found, _)| found.size.max(4));
    Some(entry..entry.offset(size.into()))
}

/// Every address that has that name, ascending: names of the kernel are cut where they
/// are long, and then several functions have one. As with [`range`], C names have one.
#[optimize(size)]
pub fn named(name: &str) -> Vec<Vaddr> {
    if !name.as_bytes().contains(&b':') {
        return exports::find(&Name::new(name)).into_iter().collect();
    }
    let mut entries = Vec::new();
    for found in ksyms::all() {
        let at = ksyms::address_of(found.offset);
        // Functions with equal bodies are one.
        if found.begins_with(name.as_bytes())
            && found.name().as_str() == name
            && entries.last() != Some(&at)
        {
            entries.push(at);
        }
    }
    entries
}

/// The function that contains an address: its entry and its bytes.
pub fn function_at(at: Vaddr) -> Option<(Vaddr, u64)> {
    let (found, offset) = ksyms::find(at)?;
    Some((at.offset(-i64::from(offset)), found.size.into()))
}

/// Hands over the name of every function that begins with `prefix`.
pub fn each(prefix: &[u8], visit: &mut dyn FnMut(&str)) {
    ksyms::all()
        .filter(|found| found.kind == Kind::Text && found.begins_with(prefix))
        .for_each(|found| visit(found.name().as_str()));
}
