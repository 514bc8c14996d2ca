//! What loaded modules have registered: kept, listed, looked up, dropped.
//!
//! ```text
//!  module's init ── crypto_register_shash(&alg) ──> ENTRIES: Hash, alg, module
//!  shell: hash sha512 "abc" ── find(Hash, "sha512") ──> alg's functions are called
//!  module's exit ── crypto_unregister_shash(&alg) ──> gone
//! ```
//!
//! `compat::registry` knows what lies where in each kind of struct; the commands on
//! them are in `commands::registered`.
//!
//! # Invariants
//! - An entry's struct lies in the memory of a loaded module that has not faulted:
//!   entries of others are dropped before anybody looks ([`entries`], [`module_gone`]).
//! - The list's lock is not held while module code runs.
//! - A module whose struct another one holds (`load_nls`, `textsearch_prepare`) is not unloaded.
//!
//! Nothing that Linux would do with the structs besides is pretended: who allocates
//! a hash through the crypto API finds no such export.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::compat::print::Machine;
use super::modules::{self, Failure, Module};
use crate::addr::Vaddr;
use crate::compat::registry::{self, Kind, Unique, crypto};
use crate::kprintln;
use crate::loader::{LinkOptions, Modinfo};
use crate::machine::lock::{Mutex, MutexGuard};
use crate::machine::{call, memory};

const ENOENT: i64 = -2;
const ENOEXEC: i64 = -8;
const EBUSY: i64 = -16;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;

/// Something that was registered.
#[derive(Clone)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its struct.
    pub at: Vaddr,
    /// Its names; the first is shown.
    names: Vec<String>,
    /// The number of the module that its struct is in.
    module: u32,
    /// Numbers of the calls that hold it.
    holders: Vec<u64>,
}

static ENTRIES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

impl fmt::Display for Entry {
    /// Kind and name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.row().name, self.names[0])
    }
}

impl Entry {
    /// True for each of its names, and for its kind's.
    pub fn is_called(&self, name: &str) -> bool {
        self.kind.row().name == name || self.has_name(name)
    }

    fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|other| other == name)
    }

    /// The module that its struct is in.
    pub fn module(&self) -> Option<Arc<Module>> {
        modules::all().into_iter().find(|module| module.number == self.module)
    }

    /// A number or an address in its struct.
    pub fn number(&self, offset: u16, bytes: u8) -> u64 {
        number(self.at, offset, bytes)
    }
}

/// The entries of the modules that are loaded and sound.
#[inline(never)]
fn entries() -> MutexGuard<'static, Vec<Entry>> {
    let modules = modules::all();
    let mut entries = ENTRIES.lock();
    keep(&mut entries, &mut |entry| {
        modules.iter().any(|module| module.number == entry.module && !module.is_faulty())
    });
    entries
}

/// Keeps the entries for which `stays` says so.
#[inline(never)]
fn keep(entries: &mut Vec<Entry>, stays: &mut dyn FnMut(&Entry) -> bool) {
    entries.retain(|entry| stays(entry));
    entries.shrink_to_fit(); // `mem` is the same before and after
}

/// Every entry, in the order in which they came.
pub fn all() -> Vec<Entry> {
    entries().clone()
}

/// The entries of a kind that have this name.
pub fn find(kind: Kind, name: &str) -> Vec<Entry> {
    let mut found = all();
    found.retain(|entry| entry.kind == kind && entry.has_name(name));
    found
}

/// A number of up to 8 bytes in the struct at `at`.
fn number(at: Vaddr, offset: u16, bytes: u8) -> u64 {
    let mut value = [0; 8];
    memory::read(at.offset(i64::from(offset)), &mut value[..usize::from(bytes).min(8)]);
    u64::from_le_bytes(value)
}

/// Drops what a module that goes has left registered, and says so.
pub fn module_gone(module: &Module) {
    let mut left = Vec::new();
    keep(&mut ENTRIES.lock(), &mut |entry| {
        let stays = entry.module != module.number;
        if !stays {
            left.push(entry.to_string());
        }
        stays
    });
    if !left.is_empty() {
        kprintln!("{}: still registered, dropped: {}", module.name, left.join(", "));
    }
}

/// What a module has registered that lies in a part of memory, or leads there.
pub fn leading_into(module: u32, part: &Range<Vaddr>) -> Option<String> {
    let leads = |entry: &&Entry| {
        let size = entry.kind.row().size.into();
        entry.module == module && modules::leads_into(part, entry.at, size)
    };
    ENTRIES.lock().iter().find(leads).map(Entry::to_string)
}

/// What of a module somebody holds.
pub fn in_use(module: &Module) -> Option<String> {
    let held = |entry: &&Entry| entry.module == module.number && !entry.holders.is_empty();
    entries().iter().find(held).map(Entry::to_string)
}

/// Releases what the call with this number holds: it did not return.
pub fn give_back(call: u64) {
    for entry in ENTRIES.lock().iter_mut() {
        entry.holders.retain(|holder| *holder != call);
    }
}

/// Registers the struct at `at`; an error number and the reason if it must not be.
#[optimize(size)]
fn add(kind: Kind, at: Vaddr) -> Result<(), (i64, String)> {
    let invalid = |why: &str| (EINVAL, why.to_string());
    let inside = |module: &Arc<Module>| module.pages.contains(at, kind.row().size.into());
    let module = modules::containing(at).filter(inside);
    let module = module.ok_or_else(|| invalid("it lies in no loaded module"))?;
    let vermagic = Modinfo::of(module.object()).get("vermagic").unwrap_or("");
    if !registry::holds_for(vermagic) {
        let release = vermagic.split(' ').next().unwrap_or("");
        let why = format!(
            "{} was built for \"{release}\", and how 6.1.0-50 and later 6.1 lay it out is known alone (ENOEXEC)",
            module.name
        );
        return Err((ENOEXEC, why));
    }
    let kind = match kind {
        Kind::Cipher => match number(at, crypto::FLAGS, 4) & crypto::FLAGS_TYPE {
            crypto::TYPE_CIPHER => kind,
            crypto::TYPE_COMPRESS => Kind::Compressor,
            _ => return Err(invalid("a crypto_alg that is neither cipher nor compressor")),
        },
        _ => kind,
    };
    let names =
        registry::names(&Machine, kind.row(), at).ok_or_else(|| invalid("it has no name"))?;
    let entry = Entry { kind, at, names, module: module.number, holders: Vec::new() };
    let mut entries = entries();
    if entries.iter().any(|other| collide(other, &entry)) {
        let error = if kind == Kind::Nls { EBUSY } else { EEXIST };
        return Err((error, format!("{} is registered already", entry.names[0])));
    }
    entries.reserve_exact(1);
    entries.push(entry);
    Ok(())
}

/// True if Linux would not have both.
fn collide(a: &Entry, b: &Entry) -> bool {
    let same = || match a.kind.row().unique {
        Unique::Address => false,
        Unique::Name => a.names[0] == b.names[0],
        Unique::Byte(place) => a.number(place, 1) == b.number(place, 1),
    };
    a.at == b.at || (a.kind == b.kind && same())
}

/// As [`add`], as C functions answer.
#[inline(never)]
#[optimize(size)]
fn added(kind: u8, at: u64) -> i64 {
    let kind = Kind::ALL[usize::from(kind)];
    match add(kind, Vaddr(at)) {
        Ok(()) => 0,
        Err((error, why)) => {
            kprintln!("register {} {at:#x}: {why}", kind.row().name);
            error
        }
    }
}

/// Takes an entry away.
#[inline(never)]
fn removed(kind: u8, at: u64) -> i64 {
    let kind = Kind::ALL[usize::from(kind)];
    let kinds = if kind == Kind::Cipher { [kind, Kind::Compressor] } else { [kind; 2] };
    let mut found = false;
    keep(&mut entries(), &mut |entry| {
        let its = entry.at.0 == at && kinds.contains(&entry.kind);
        found |= its;
        !its
    });
    if found {
        return 0;
    }
    kprintln!("unregister {} {at:#x}: it is not registered", kind.row().name);
    if kind == Kind::Nls { EINVAL } else { ENOENT }
}

/// An array of structs: all of them, or none.
#[inline(never)]
fn all_added(kind: u8, at: u64, count: u32) -> i64 {
    for index in 0..count {
        let error = added(kind, element(kind, at, index));
        if error != 0 {
            all_removed(kind, at, index);
            return error;
        }
    }
    0
}

#[inline(never)]
fn all_removed(kind: u8, at: u64, count: u32) {
    for index in (0..count).rev() {
        removed(kind, element(kind, at, index));
    }
}

fn element(kind: u8, at: u64, index: u32) -> u64 {
    let size = Kind::ALL[usize::from(kind)].row().size;
    at.wrapping_add(u64::from(index) * u64::from(size))
}

pub(crate) extern "C" fn register<const KIND: u8>(at: u64) -> i64 {
    added(KIND, at)
}

pub(crate) extern "C" fn unregister<const KIND: u8>(at: u64) -> i64 {
    removed(KIND, at)
}

pub(crate) extern "C" fn register_all<const KIND: u8>(at: u64, count: u32) -> i64 {
    all_added(KIND, at, count)
}

pub(crate) extern "C" fn unregister_all<const KIND: u8>(at: u64, count: u32) {
    all_removed(KIND, at, count);
}

/// The struct of that kind and name, held by this call until [`release`]; the module
/// `PREFIX_NAME` is loaded if need be, as Linux asks `modprobe` to do.
pub fn hold(kind: Kind, prefix: &str, name: u64) -> Option<Vaddr> {
    let name = memory::read_cstr(Vaddr(name), 64)?;
    let name = String::from_utf8_lossy(&name);
    held(kind, &name).or_else(|| {
        let module = format!("{prefix}_{name}");
        if let Err(Failure::Refused(why) | Failure::Oops(why)) =
            modules::insmod(&module, LinkOptions::default(), &[])
        {
            kprintln!("{module} is asked for: {why}");
        }
        held(kind, &name)
    })
}

#[inline(never)]
fn held(kind: Kind, name: &str) -> Option<Vaddr> {
    let mut entries = entries();
    let its = |entry: &&mut Entry| entry.kind == kind && entry.has_name(name);
    let entry = entries.iter_mut().find(its)?;
    entry.holders.push(call::current());
    Some(entry.at)
}

/// Ends a [`hold`]; false if nothing is registered there.
pub fn release(at: Vaddr) -> bool {
    let mut entries = entries();
    let entry = entries.iter_mut().find(|entry| entry.at == at);
    entry
        .map(|entry| {
            entry.holders.pop();
            entry.holders.shrink_to_fit();
        })
        .is_some()
}

/// `load_nls(charset)`: null if there is none.
pub(crate) extern "C" fn load_nls(charset: u64) -> u64 {
    hold(Kind::Nls, "nls", charset).map_or(0, |table| table.0)
}

/// `unload_nls(table)`.
pub(crate) extern "C" fn unload_nls(table: u64) {
    release(Vaddr(table));
}
