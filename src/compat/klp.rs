//! Linux's `struct klp_patch`: a live patch as it lies in a module's memory.
//!
//! ```text
//!  klp_patch            klp_object[]              klp_func[]
//!  ┌ mod     ──> module ┌ name ──> "demo"         ┌ old_name ──> "answer"
//!  │ objs    ─────────> │ funcs ────────────────> │ new_func ──> its global entry
//!  │ replace            │ callbacks               │ old_sympos
//!  └ (internal)         ├ name = 0: the kernel    ├ …
//!                       └ all 0: the end          └ all 0: the end
//! ```
//!
//! # Layout of Linux 6.1 (in bytes; confirmed by compiling its header)
//! | | fields that the patch's author fills | the kernel's own |
//! |---|---|---|
//! | `klp_func`, 152 | `old_name` 0, `new_func` 8, `old_sympos` 16 | `old_func` 24, `kobj` 32, `node` 96, `stack_node` 112, `old_size` 128, `new_size` 136, `nop` 144, `patched` 145, `transition` 146 |
//! | `klp_object`, 168 | `name` 0, `funcs` 8, `callbacks` 16: `pre_patch`, `post_patch`, `pre_unpatch`, `post_unpatch` | `post_unpatch_enabled` 48, `kobj` 56, `func_list` 120, `node` 136, `mod` 152, `dynamic` 160, `patched` 161 |
//! | `klp_patch`, 200 | `mod` 0, `objs` 8, `states` 16, `replace` 24 | `list` 32, `kobj` 48, `obj_list` 112, `enabled` 128, `forced` 129, `free_work` 136, `finish` 168 |
//!
//! # Invariants
//! - A description that is returned was read once and whole: what the module
//!   changes in its arrays afterwards has no effect.
//! - Arrays end at their zero entry; one that does not end within the limits is
//!   refused, so no number in memory is believed.
//!
//! # References
//! Linux 6.1, `include/linux/livepatch.h`; `Documentation/livepatch/livepatch.rst`.
//!
//! The kernel's own fields are never read: what Linux keeps there is kept in
//! `livepatch/`, where a module cannot spoil it. Some are written, for a patch's callbacks
//! to read (`kernel/livepatch/mirror.rs`).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{Memory, read_str};
use crate::addr::Vaddr;
use crate::livepatch::desc::FuncDesc;

/// Size of `struct klp_func`, the stride of its arrays.
pub const FUNC_SIZE: usize = 152;
/// Size of `struct klp_object`, the stride of its arrays.
pub const OBJECT_SIZE: usize = 168;
/// Size of `struct klp_patch`.
pub const PATCH_SIZE: usize = 200;

/// `klp_func.old_func`.
pub const FUNC_OLD_FUNC: usize = 24;
/// `klp_func.patched`.
pub const FUNC_PATCHED: usize = 145;
/// `klp_object.mod`.
pub const OBJECT_MOD: usize = 152;
/// `klp_object.patched`.
pub const OBJECT_PATCHED: usize = 161;
/// `klp_patch.enabled`.
pub const PATCH_ENABLED: usize = 128;
/// Size of `struct klp_state`: `id` 0, `version` 8, `data` 16.
pub const STATE_SIZE: usize = 24;
/// Most states of one patch.
pub const MAX_STATES: usize = 256;

/// Most objects in one patch, without the end entry.
pub const MAX_OBJECTS: usize = 256;
/// Most functions in one patch, of all its objects together.
pub const MAX_FUNCS: usize = 4096;
/// Longest symbol name: `KSYM_NAME_LEN` is 512 with the NUL.
pub const MAX_SYMBOL_NAME: usize = 511;
/// The kernel where a module's name stands: as `.klp.sym.vmlinux.*` calls it, and as
/// filters do. Linux would wait for a module of that name for ever.
pub const KERNEL: [&str; 2] = ["vmlinux", "tocsin"];
/// Longest module name: `MODULE_NAME_LEN` is 56 with the NUL.
pub const MAX_MODULE_NAME: usize = 55;

/// A live patch, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchDesc {
    /// The patch module's `struct module`.
    pub mod_ptr: Vaddr,
    /// The array of states: see [`read_states`].
    pub states: Option<Vaddr>,
    /// This patch replaces all patches before it.
    pub replace: bool,
    /// What is patched, at least one.
    pub objects: Vec<ObjectDesc>,
}

/// The patched functions of one module, or of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectDesc {
    /// The module's name; `None` for the kernel, which may be called [`KERNEL`] too.
    pub name: Option<String>,
    /// What to call before and after.
    pub callbacks: Callbacks,
    /// The functions; may be none, for a patch that is all callbacks.
    pub funcs: Vec<FuncDesc>,
}

/// Functions of the patch module that are called around a change, each with the
/// address of its `klp_object`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Callbacks {
    /// The `klp_object` that they are called with.
    pub object: Vaddr,
    /// Before patching; a result other than 0 refuses it.
    pub pre_patch: Option<Vaddr>,
    /// After patching.
    pub post_patch: Option<Vaddr>,
    /// Before unpatching.
    pub pre_unpatch: Option<Vaddr>,
    /// After unpatching.
    pub post_unpatch: Option<Vaddr>,
}

/// Which field of a patch is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index into `objs`, unless the patch itself is meant.
    pub object: Option<usize>,
    /// Index into that object's `funcs`, unless the object itself is meant.
    pub func: Option<usize>,
    /// The field, as Linux names it.
    pub field: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("klp_patch")?;
        if let Some(object) = self.object {
            write!(f, ".objs[{object}]")?;
        }
        if let Some(func) = self.func {
            write!(f, ".funcs[{func}]")?;
        }
        match self.field {
            "" => Ok(()),
            field => write!(f, ".{field}"),
        }
    }
}

/// Why a patch was refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KlpError {
    /// There is no memory at this address.
    Unreadable {
        /// Which field lies there or points there.
        place: Place,
        /// The address.
        at: Vaddr,
    },
    /// A pointer that must be set is null.
    Null {
        /// Which one.
        place: Place,
    },
    /// A pointer to a struct that is not 8-byte aligned, or to code that is not
    /// 4-byte aligned.
    Misaligned {
        /// Which one.
        place: Place,
        /// Its value.
        at: Vaddr,
    },
    /// An array has no end entry within its limit.
    Endless {
        /// Which one.
        place: Place,
        /// The most entries that it may have.
        limit: usize,
    },
    /// A name is empty, longer than `limit` bytes, or not text.
    BadName {
        /// Which one.
        place: Place,
        /// In bytes, without the NUL.
        limit: usize,
    },
    /// `objs` begins with its end entry.
    Empty,
}

impl fmt::Display for KlpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { place, at } => write!(f, "{place}: no memory at {at}"),
            Self::Null { place } => write!(f, "{place}: null, and must be set"),
            Self::Misaligned { place, at } => write!(f, "{place}: {at} is not aligned"),
            Self::Endless { place, limit } => write!(
                f,
                "{place}: no end within {limit} entries (end the array with an all-zero entry)"
            ),
            Self::BadName { place, limit } => {
                write!(f, "{place}: not a name (1 to {limit} bytes of text)")
            }
            Self::Empty => {
                f.write_str("klp_patch.objs: nothing to patch (the first entry is zero)")
            }
        }
    }
}

/// Reads the `struct klp_patch` at `at`.
pub fn read_patch(memory: &dyn Memory, at: Vaddr) -> Result<PatchDesc, KlpError> {
    let reader = Reader { memory, object: None, func: None };
    reader.pointer("", at.0, 8)?;
    let patch: [u8; PATCH_SIZE] = reader.block("", at)?;
    let objs = reader.pointer("objs", quad(&patch, 8), 8)?;
    let mut desc = PatchDesc {
        mod_ptr: reader.pointer("mod", quad(&patch, 0), 8)?,
        states: non_zero(quad(&patch, 16)),
        replace: patch[24] != 0,
        objects: Vec::new(),
    };
    loop {
        let index = desc.objects.len();
        let at = objs.offset((index * OBJECT_SIZE) as i64);
        let reader = Reader { object: Some(index), ..reader };
        let funcs: usize = desc.objects.iter().map(|object| object.funcs.len()).sum();
        match reader.object(at, MAX_FUNCS - funcs)? {
            None if index == 0 => return Err(KlpError::Empty),
            None => return Ok(desc),
            Some(_) if index == MAX_OBJECTS => {
                let place = Reader { object: None, ..reader }.place("objs");
                let limit = MAX_OBJECTS;
                return Err(KlpError::Endless { place, limit });
            }
            Some(object) => desc.objects.push(object),
        }
    }
}

/// What a patch says about a state of the system that it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Which one: what patches have agreed on.
    pub id: u64,
    /// How it is changed; a later patch must know at least this version.
    pub version: u32,
    /// The `klp_state`, which the patch's callbacks keep data in.
    pub at: Vaddr,
}

/// Reads the `klp_state`s at `at`; the one with the id 0 is the end.
pub fn read_states(memory: &dyn Memory, at: Vaddr) -> Result<Vec<State>, KlpError> {
    let reader = Reader { memory, object: None, func: None };
    reader.aligned("states", at, 8)?;
    let mut states = Vec::new();
    loop {
        let at = at.offset((states.len() * STATE_SIZE) as i64);
        let state: [u8; STATE_SIZE] = reader.block("states", at)?;
        match quad(&state, 0) {
            0 => return Ok(states),
            _ if states.len() == MAX_STATES => {
                return Err(KlpError::Endless { place: reader.place("states"), limit: MAX_STATES });
            }
            id => states.push(State { id, version: quad(&state, 8) as u32, at }),
        }
    }
}

/// Reads fields and knows where it is, for errors.
#[derive(Clone, Copy)]
struct Reader<'a> {
    memory: &'a dyn Memory,
    object: Option<usize>,
    func: Option<usize>,
}

impl Reader<'_> {
    /// `None` is the end entry: neither name nor functions. At most `room`
    /// functions are read.
    fn object(self, at: Vaddr, room: usize) -> Result<Option<ObjectDesc>, KlpError> {
        let object: [u8; OBJECT_SIZE] = self.block("", at)?;
        let (name, funcs) = (quad(&object, 0), quad(&object, 8));
        if name == 0 && funcs == 0 {
            return Ok(None);
        }
        let funcs = self.pointer("funcs", funcs, 8)?;
        let name = match non_zero(name) {
            Some(name) => Some(self.name("name", name, MAX_MODULE_NAME)?),
            None => None,
        };
        let name = name.filter(|name| !KERNEL.contains(&name.as_str()));
        let callback = |field, offset| match quad(&object, offset) {
            0 => Ok(None),
            code => self.pointer(field, code, 4).map(Some),
        };
        let mut desc = ObjectDesc {
            name,
            callbacks: Callbacks {
                object: at,
                pre_patch: callback("callbacks.pre_patch", 16)?,
                post_patch: callback("callbacks.post_patch", 24)?,
                pre_unpatch: callback("callbacks.pre_unpatch", 32)?,
                post_unpatch: callback("callbacks.post_unpatch", 40)?,
            },
            funcs: Vec::new(),
        };
        loop {
            let index = desc.funcs.len();
            let at = funcs.offset((index * FUNC_SIZE) as i64);
            let reader = Self { func: Some(index), ..self };
            match reader.func(at)? {
                None => return Ok(Some(desc)),
                Some(_) if index == room => {
                    let place = self.place("funcs");
                    // Of this object and those before it.
                    let limit = MAX_FUNCS;
                    return Err(KlpError::Endless { place, limit });
                }
                Some(func) => desc.funcs.push(func),
            }
        }
    }

    /// `None` is the end entry: all three of the author's fields are zero.
    fn func(self, at: Vaddr) -> Result<Option<FuncDesc>, KlpError> {
        let func: [u8; FUNC_SIZE] = self.block("", at)?;
        let (old_name, new_func, sympos) = (quad(&func, 0), quad(&func, 8), quad(&func, 16));
        if old_name == 0 && new_func == 0 && sympos == 0 {
            return Ok(None);
        }
        let old_name = self.pointer("old_name", old_name, 1)?;
        Ok(Some(FuncDesc {
            old_name: self.name("old_name", old_name, MAX_SYMBOL_NAME)?,
            new_func: self.pointer("new_func", new_func, 4)?,
            // There are not as many of one name.
            sympos: u32::try_from(sympos).unwrap_or(u32::MAX),
        }))
    }

    const fn place(self, field: &'static str) -> Place {
        Place { object: self.object, func: self.func, field }
    }

    fn block<const N: usize>(self, field: &'static str, at: Vaddr) -> Result<[u8; N], KlpError> {
        let mut bytes = [0; N];
        match self.memory.read(at, &mut bytes) {
            got if got == N => Ok(bytes),
            got => {
                Err(KlpError::Unreadable { place: self.place(field), at: at.offset(got as i64) })
            }
        }
    }

    fn aligned(self, field: &'static str, at: Vaddr, align: u64) -> Result<Vaddr, KlpError> {
        let place = self.place(field);
        match at.is_aligned(align) {
            true => Ok(at),
            false => Err(KlpError::Misaligned { place, at }),
        }
    }

    fn pointer(self, field: &'static str, value: u64, align: u64) -> Result<Vaddr, KlpError> {
        let place = self.place(field);
        let at = non_zero(value).ok_or(KlpError::Null { place })?;
        self.aligned(field, at, align)
    }

    fn name(self, field: &'static str, at: Vaddr, limit: usize) -> Result<String, KlpError> {
        let place = self.place(field);
        let mut bytes = Vec::new();
        // One byte more than allowed tells a long name from one that just fits.
        let mut take = |piece: &[u8]| bytes.extend_from_slice(piece);
        let (len, ended) = read_str(self.memory, at, limit + 1, &mut take);
        if !ended {
            let at = at.offset(len as i64);
            return Err(KlpError::Unreadable { place, at });
        }
        let text = String::from_utf8(bytes)
            .ok()
            .filter(|text| (1..=limit).contains(&text.len()) && !text.contains(char::is_control));
        text.ok_or(KlpError::BadName { place, limit })
    }
}

fn non_zero(value: u64) -> Option<Vaddr> {
    (value != 0).then_some(Vaddr(value))
}

/// The doubleword at `offset`, which every caller keeps inside the block.
fn quad(block: &[u8], offset: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&block[offset..offset + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests;
