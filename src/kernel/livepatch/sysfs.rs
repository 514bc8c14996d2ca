//! The files under `/sys/kernel/livepatch`, laid out as Linux's.
//!
//! ```text
//!  PATCH/enabled       1 or 0; takes both, in a transition too: that turns it round
//!  PATCH/transition    1 while CPUs change over (livepatch transition says who does not)
//!  PATCH/force         takes 1: ends a transition
//!  PATCH/replace       1: takes the place of every patch before
//!  PATCH/stack_order   its place among the enabled ones, from 1; 0 if it is not
//!  PATCH/OBJECT/patched            1 while the object is there and patched
//!  PATCH/OBJECT/FUNCTION,SYMPOS/   a directory for each function
//! ```
//!
//! Unlike in Linux, a patch that is disabled stays until its module goes, and can be
//! enabled again.
//!
//! Reference: Linux 6.1, `Documentation/ABI/testing/sysfs-kernel-livepatch`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Loaded, PATCHES, transition};
use crate::kernel::modules::Failure;
use crate::livepatch::desc::{ObjectDesc, World};

const FILES: [&str; 5] = ["enabled", "force", "replace", "stack_order", "transition"];

/// Where the files of all patches are.
pub const DIR: &str = "sys/kernel/livepatch/";

#[optimize(size)]
fn object_name(object: &ObjectDesc) -> &str {
    object.module.as_deref().unwrap_or("vmlinux")
}

/// Every path, without the leading slash; a directory ends with one.
#[optimize(size)]
pub fn paths() -> Vec<String> {
    let patches = PATCHES.lock();
    let mut paths = Vec::new();
    for status in patches.status() {
        let own = format!("{DIR}{}", status.name);
        paths.extend(FILES.iter().map(|file| format!("{own}/{file}")));
        for object in patches.desc(status.id).iter().flat_map(|desc| &desc.objects) {
            let own = format!("{own}/{}", object_name(object));
            paths.push(format!("{own}/patched"));
            let funcs = object.funcs.iter();
            paths.extend(
                funcs.map(|func| format!("{own}/{},{}/", func.old_name, func.sympos.max(1))),
            );
        }
    }
    paths
}

/// What a file says, by its path behind [`DIR`].
#[optimize(size)]
pub fn read(path: &str) -> Option<String> {
    let (name, file) = path.split_once('/')?;
    let patches = PATCHES.lock();
    let id = patches.find(name)?;
    let enabled = patches.is_enabled(id);
    let value = match file {
        "enabled" => usize::from(enabled),
        "transition" => usize::from(transition::is_open(name)),
        "replace" => usize::from(patches.desc(id)?.replace),
        "stack_order" => patches.stack_order(id).unwrap_or(0),
        _ => {
            let object = file.strip_suffix("/patched")?;
            let desc = patches.desc(id)?;
            let object = desc.objects.iter().find(|known| object_name(known) == object)?;
            let there = object.module.as_deref().is_none_or(|module| Loaded.is_loaded(module));
            usize::from(there && (enabled || transition::is_open(name)))
        }
    };
    Some(format!("{value}\n"))
}

/// Writes to a file; `None` if there is none of that path.
#[optimize(size)]
pub fn write(path: &str, word: &str) -> Option<Result<(), Failure>> {
    let (name, file) = path.split_once('/')?;
    Some(match (file, word) {
        ("enabled", "1") => super::enable_command(name),
        ("enabled", "0") => super::disable_command(name),
        ("enabled", _) => Err(format!("/{DIR}{path}: takes 0 or 1, not {word}").into()),
        ("force", "1") => super::force_command(name),
        ("force", _) => Err(format!("/{DIR}{path}: takes 1, not {word}").into()),
        _ => {
            read(path)?;
            Err(format!("/{DIR}{path}: cannot be written").into())
        }
    })
}
