//! The fields of Linux's structures that are the kernel's own, for a patch to read.
//!
//! What is true of a patch is kept elsewhere; these are copies for callbacks, which may
//! ask `obj->mod->name` or `obj->patched`. Nothing here is ever read back.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use crate::addr::Vaddr;
use crate::compat::klp::{self, PatchDesc};
use crate::kernel::modules;
use crate::livepatch::desc::World;
use crate::machine::lock::Mutex;
use crate::machine::memory;

/// A patch's structures in its module's memory.
struct Mirror {
    patch: String,
    at: Vaddr,
    objects: Vec<Object>,
}

struct Object {
    at: Vaddr,
    module: Option<String>,
    /// Where each function's structure lies, its name and position.
    funcs: Vec<(Vaddr, String, u32)>,
}

static MIRRORS: Mutex<Vec<Mirror>> = Mutex::new(Vec::new());

fn store(at: Vaddr, offset: usize, bytes: &[u8]) {
    // What cannot be written is not there: the copy is for the patch's own use.
    let _ = memory::write_for_module(at.offset(offset as i64), bytes);
}

/// Remembers where a patch's structures lie.
#[optimize(size)]
pub fn add(patch: &str, at: Vaddr, desc: &PatchDesc) {
    let object = |object: &klp::ObjectDesc| {
        let at = object.callbacks.object;
        let first = Vaddr(memory::read_u64(at.offset(8)).unwrap_or(0));
        let place = |index: usize| first.offset((index * klp::FUNC_SIZE) as i64);
        let funcs = object.funcs.iter().enumerate();
        let funcs = funcs.map(|(index, it)| (place(index), it.old_name.clone(), it.sympos));
        Object { at, module: object.name.clone(), funcs: funcs.collect() }
    };
    let objects = desc.objects.iter().map(object).collect();
    MIRRORS.lock().push(Mirror { patch: patch.to_string(), at, objects });
}

/// Forgets them.
#[optimize(size)]
pub fn forget(patch: &str) {
    let mut mirrors = MIRRORS.lock();
    mirrors.retain(|mirror| mirror.patch != patch);
    mirrors.shrink_to_fit();
}

/// `obj->mod`, `func->old_func` of the objects that are there, before they are patched;
/// of one patch, and of all its objects or one module's.
#[optimize(size)]
pub fn found(patch: &str, only: Option<&str>) {
    set(&|other| other == patch, only, true);
}

/// Takes back what [`found`] has written, and that anything is patched.
#[optimize(size)]
pub fn lost(patch: &str, only: Option<&str>) {
    set(&|other| other == patch, only, false);
}

/// The same for patches that are not enabled any more.
#[optimize(size)]
pub fn lost_but(enabled: &[String]) {
    set(&|other| enabled.iter().all(|name| name != other), None, false);
}

#[optimize(size)]
fn set(patches: &dyn Fn(&str) -> bool, only: Option<&str>, on: bool) {
    for mirror in MIRRORS.lock().iter().filter(|mirror| patches(&mirror.patch)) {
        if !on && only.is_none() {
            store(mirror.at, klp::PATCH_ENABLED, &[0]);
        }
        for object in &mirror.objects {
            let name = object.module.as_deref();
            if only.is_some() && name != only {
                continue;
            }
            let module = name.filter(|_| on).and_then(modules::find);
            let this = module.as_ref().and_then(|module| module.linked().this_module);
            store(object.at, klp::OBJECT_MOD, &this.map_or(0, |this| this.0).to_le_bytes());
            if !on {
                store(object.at, klp::OBJECT_PATCHED, &[0]);
            }
            let there = on && (name.is_none() || module.is_some());
            for (at, old_name, sympos) in &object.funcs {
                let entries =
                    if there { super::Loaded.functions(name, old_name) } else { Vec::new() };
                let index = sympos.saturating_sub(1) as usize;
                let entry = entries.get(index).map_or(0, |entry| entry.0);
                store(*at, klp::FUNC_OLD_FUNC, &entry.to_le_bytes());
                if !on {
                    store(*at, klp::FUNC_PATCHED, &[0]);
                }
            }
        }
    }
}

/// True for a word that [`found`] has written: nobody else can set it back.
#[optimize(size)]
pub fn has_written(word: Vaddr) -> bool {
    let old_func = |at: &Vaddr| at.offset(klp::FUNC_OLD_FUNC as i64) == word;
    let mirrors = MIRRORS.lock();
    let objects = mirrors.iter().flat_map(|mirror| &mirror.objects);
    objects.flat_map(|object| &object.funcs).any(|(at, ..)| old_func(at))
}

/// `obj->patched`, `func->patched` of one module's object, or of all that are there.
#[optimize(size)]
pub fn patched(patch: &str, only: Option<&str>, on: bool) {
    for mirror in MIRRORS.lock().iter().filter(|mirror| mirror.patch == patch) {
        for object in &mirror.objects {
            if only.is_some() && object.module.as_deref() != only {
                continue;
            }
            let there = object.module.as_deref().is_none_or(|name| modules::find(name).is_some());
            let value = [u8::from(on && there)];
            store(object.at, klp::OBJECT_PATCHED, &value);
            object.funcs.iter().for_each(|(at, ..)| store(*at, klp::FUNC_PATCHED, &value));
        }
    }
}

/// `patch->enabled` and what goes with it.
#[optimize(size)]
pub fn enabled(patch: &str, on: bool) {
    for mirror in MIRRORS.lock().iter().filter(|mirror| mirror.patch == patch) {
        store(mirror.at, klp::PATCH_ENABLED, &[u8::from(on)]);
    }
    patched(patch, None, on);
}

/// True if one of a patch's structures lies in a part of memory, or leads there.
#[optimize(size)]
pub fn leads_into(patch: &str, part: &Range<Vaddr>) -> bool {
    let leads = |at: Vaddr, size| modules::leads_into(part, at, size);
    MIRRORS.lock().iter().filter(|mirror| mirror.patch == patch).any(|mirror| {
        leads(mirror.at, klp::PATCH_SIZE)
            || mirror.objects.iter().any(|object| {
                leads(object.at, klp::OBJECT_SIZE)
                    || object.funcs.iter().any(|(at, ..)| leads(*at, klp::FUNC_SIZE))
            })
    })
}

/// The patch whose `klp_patch` lies there.
#[optimize(size)]
pub fn patch_at(at: Vaddr) -> Option<String> {
    MIRRORS.lock().iter().find(|mirror| mirror.at == at).map(|mirror| mirror.patch.clone())
}
