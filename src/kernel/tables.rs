//! What modules' tables ask for while they run: `BUG()` and `WARN()`, fixups after a
//! fault, static branches.
//!
//! The tables are read in the module's memory when something happens: faults are
//! rare, and a copy would only take room. What they look like: `loader::tables`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::modules::{self, Module};
use super::{oops, tracing};
use crate::addr::Vaddr;
use crate::isa::patch_class::PatchClass;
use crate::kprintln;
use crate::loader::callsites::CallSite;
use crate::loader::tables::{self, Bug, Entry, Exception, Facts, Jump, Key, Left};
use crate::loader::{Layout, Object};
use crate::machine::lock::Mutex;
use crate::machine::trap::TrapFrame;
use crate::machine::{memory, smp, spr, text};
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, Edit};

/// SRR1 bit of a program interrupt that a trap instruction made.
const PROGRAM_TRAP: u64 = 0x2_0000;

/// Brings the code of an image to what this machine and the keys want. While it is
/// being loaded its own keys are as they were compiled.
pub fn settle(
    object: &Object<'_>,
    layout: &Layout,
    base: Vaddr,
    image: &mut [u8],
    sites: &[CallSite],
    loading: bool,
) -> Vec<Left> {
    let key = |key: Vaddr| {
        let own = key >= base && key < base.offset(layout.size.cast_signed());
        match memory::read_u32(key) {
            _ if own && loading => Key::AsCompiled,
            Some(enabled) => Key::Enabled(enabled),
            None => Key::Nowhere,
        }
    };
    let facts = Facts { arch_31: spr::has_prefixes(), key: &key };
    tables::settle(object, layout, base, image, &facts, sites)
}

/// The entries of a table of a loaded module, with their places.
fn entries<T: Entry>(module: &Module) -> impl Iterator<Item = (Vaddr, T)> + '_ {
    let section = module.object().section(T::SECTION);
    let whole = section.filter(|(_, section)| section.size().is_multiple_of(T::SIZE as u64));
    let place = whole.and_then(|(index, section)| {
        Some((module.address(module.layout.offset_of(index)?), section.size()))
    });
    let (start, len) = place.unwrap_or((Vaddr(0), 0));
    (0..len).step_by(T::SIZE).filter_map(move |offset| {
        let (at, mut bytes) = (start.offset(offset.cast_signed()), [0; 16]);
        let bytes = &mut bytes[..T::SIZE];
        memory::read(at, bytes).then(|| T::read(at, bytes)).flatten().map(|entry| (at, entry))
    })
}

fn bug_at(nip: Vaddr) -> Option<(Vaddr, Bug)> {
    let module = modules::containing(nip)?;
    let mut bugs = entries::<Bug>(&module);
    bugs.find(|(_, bug)| bug.at == nip)
}

fn fixup(module: &Arc<Module>, nip: Vaddr) -> Option<Vaddr> {
    let mut known = entries::<Exception>(module);
    known.find(|(_, entry)| entry.at == nip).map(|(_, entry)| entry.fixup)
}

/// Goes on after a fault that a module has provided for, and after a warning, which
/// is reported; true if it does.
pub fn resume(frame: &mut TrapFrame) -> bool {
    let nip = Vaddr(frame.nip);
    let next = match frame.vector {
        0x200 | 0x300 | 0x380 | 0x600 => {
            modules::containing(nip).and_then(|module| fixup(&module, nip))
        }
        0x700 if frame.msr & PROGRAM_TRAP != 0 => warn(frame),
        _ => None,
    };
    next.map(|next| frame.nip = next.0).is_some()
}

/// Reports a warning; where to go on.
fn warn(frame: &TrapFrame) -> Option<Vaddr> {
    let nip = Vaddr(frame.nip);
    let (at, bug) = bug_at(nip).filter(|(_, bug)| bug.is_warning())?;
    if !bug.is_done() {
        oops::warned(frame, |where_it_is| {
            kprintln!(
                "WARNING: CPU: {} at {}:{} {where_it_is}",
                smp::this_cpu(),
                file(&bug),
                bug.line
            );
        });
    }
    if bug.is_once() {
        let flags = (bug.flags | Bug::DONE).to_le_bytes();
        memory::write_for_module(at.offset(Bug::FLAGS), &flags);
    }
    let module = modules::containing(nip)?;
    Some(fixup(&module, nip).unwrap_or(nip.offset(4)))
}

/// The cause, if the trap at `nip` is a module's `BUG()`.
pub fn bug_text(nip: Vaddr) -> Option<alloc::string::String> {
    let (_, bug) = bug_at(nip)?;
    Some(alloc::format!("BUG at {}:{}", file(&bug), bug.line))
}

fn file(bug: &Bug) -> alloc::string::String {
    let bytes = memory::read_cstr(bug.file, 256).unwrap_or_default();
    alloc::string::String::from_utf8_lossy(&bytes).into_owned()
}

/// One change of a key at a time, with its branches.
static KEYS: Mutex<()> = Mutex::new(());

/// Changes how often a key is enabled, and the branches that it decides.
fn change(key: u64, new: impl Fn(u32) -> u32) {
    let _one = KEYS.lock();
    let key = Vaddr(key);
    let Some(old) = memory::read_u32(key) else { return };
    let enabled = new(old);
    if memory::write_for_module(key, &enabled.to_le_bytes()) && (old == 0) != (enabled == 0) {
        update(key, enabled);
    }
}

fn update(key: Vaddr, enabled: u32) {
    let mut batch = Batch::new("static key", Why::StaticKey);
    for module in modules::all().iter().filter(|module| !module.options.link_only) {
        let jumps = entries::<Jump>(module).map(|(_, jump)| jump);
        let own = |jump: &Jump| {
            jump.key == key && module.is_code(jump.code) && tracing::site_at(jump.code).is_none()
        };
        for jump in jumps.filter(own) {
            let found = memory::read_u32(jump.code).map(crate::isa::Insn);
            let (Some(found), Some(word)) = (found, jump.word(enabled)) else { continue };
            if ![jump.word(0), jump.word(1)].contains(&Some(found)) {
                continue; // no branch of it, as was said at the load
            }
            let (Ok(from), Ok(to)) = (PatchClass::try_from(found), PatchClass::try_from(word))
            else {
                continue;
            };
            if found != word {
                batch.push(0, Edit::new(jump.code, from, to));
            }
        }
    }
    if let Err(refusal) = text::apply(batch) {
        kprintln!("static key {key}: {refusal}");
    }
}

/// `static_key_enable(key)`.
pub extern "C" fn static_key_enable(key: u64) {
    change(key, |enabled| enabled.max(1));
}

/// `static_key_disable(key)`.
pub extern "C" fn static_key_disable(key: u64) {
    change(key, |_| 0);
}

/// `static_key_slow_inc(key)`: true, for a count never ends here.
pub extern "C" fn static_key_slow_inc(key: u64) -> bool {
    change(key, |enabled| enabled.saturating_add(1));
    true
}

/// `static_key_slow_dec(key)`.
pub extern "C" fn static_key_slow_dec(key: u64) {
    change(key, |enabled| enabled.saturating_sub(1));
}

/// `static_key_count(key)`.
pub extern "C" fn static_key_count(key: u64) -> i32 {
    memory::read_u32(Vaddr(key)).unwrap_or(0).cast_signed()
}
