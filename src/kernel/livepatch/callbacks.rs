//! What a patch wants to have called before and after a change.
//!
//! ```text
//!   enable    pre_patch    ── functions change ──  post_patch
//!               └ refused: post_unpatch of the objects that had begun
//!   disable   pre_unpatch  ── functions change ──  post_unpatch
//! ```
//!
//! # Invariants
//! - Only an object that has begun, whose `pre_patch` returned 0 or is not there,
//!   gets the other three.
//! - A module that comes while a patch is enabled gets `pre_patch` and `post_patch`, and
//!   one that goes `pre_unpatch` and `post_unpatch`; in a transition, `post_patch` waits
//!   for its end, and `pre_unpatch` is left out, for there was no `post_patch`.
//! - A callback that faults does not stop the change, nor the other objects'
//!   callbacks, unless it is `pre_patch`; the command still ends as an oops.
//!
//! Reference: Linux 6.1, `Documentation/livepatch/callbacks.rst`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::compat::errno;
use crate::compat::klp::{Callbacks, ObjectDesc};
use crate::kernel::call::{self, CallEnd};
use crate::kernel::modules::{self, Failure};
use crate::machine::lock::Mutex;

static CALLBACKS: Mutex<Vec<Object>> = Mutex::new(Vec::new());

/// Whose callback runs.
static CALLED: Mutex<Option<String>> = Mutex::new(None);

/// The patch whose callback runs.
#[optimize(size)]
pub fn called() -> Option<String> {
    CALLED.lock().clone()
}

/// Calls a callback of an object.
#[optimize(size)]
fn run(object: &Object, function: Vaddr) -> CallEnd {
    let before = CALLED.lock().replace(object.patch.clone());
    let end = call::run(function, &[object.callbacks.object.0]);
    *CALLED.lock() = before;
    end
}

#[derive(Clone)]
struct Object {
    patch: String,
    module: Option<String>,
    callbacks: Callbacks,
    begun: bool,
}

/// Those whose results mean nothing.
#[derive(Clone, Copy)]
pub enum When {
    /// The functions are replaced.
    PostPatch,
    /// They are about to be themselves again.
    PreUnpatch,
    /// They are themselves again.
    PostUnpatch,
}

impl When {
    #[optimize(size)]
    fn of(self, callbacks: &Callbacks) -> (Option<Vaddr>, &'static str) {
        match self {
            Self::PostPatch => (callbacks.post_patch, "post_patch"),
            Self::PreUnpatch => (callbacks.pre_unpatch, "pre_unpatch"),
            Self::PostUnpatch => (callbacks.post_unpatch, "post_unpatch"),
        }
    }
}

/// Notes a patch's callbacks.
#[optimize(size)]
pub fn add(patch: &str, objects: &[ObjectDesc]) {
    CALLBACKS.lock().extend(objects.iter().map(|object| Object {
        patch: patch.to_string(),
        module: object.name.clone(),
        callbacks: object.callbacks,
        begun: false,
    }));
}

/// Forgets a patch's callbacks.
#[optimize(size)]
pub fn forget(patch: &str) {
    let mut callbacks = CALLBACKS.lock();
    callbacks.retain(|object| object.patch != patch);
    callbacks.shrink_to_fit();
}

/// The patch's objects; no lock is held while module code runs.
#[optimize(size)]
fn objects_of(patch: &str) -> Vec<Object> {
    CALLBACKS.lock().iter().filter(|object| object.patch == patch).cloned().collect()
}

#[optimize(size)]
fn set_begun(object: &Object, begun: bool) {
    let mut callbacks = CALLBACKS.lock();
    let same = |other: &&mut Object| {
        other.patch == object.patch && other.callbacks.object == object.callbacks.object
    };
    if let Some(object) = callbacks.iter_mut().find(same) {
        object.begun = begun;
    }
}

/// The module is gone, and what had begun for it.
#[optimize(size)]
pub fn module_gone(name: &str) {
    let mut callbacks = CALLBACKS.lock();
    let its = |object: &&mut Object| object.module.as_deref() == Some(name);
    callbacks.iter_mut().filter(its).for_each(|object| object.begun = false);
}

/// A replacing patch is in charge: those that are not enabled any more have ended
/// without being called, for the new one knows better what their changes are worth.
#[optimize(size)]
pub fn replaced(enabled: &[String]) {
    let mut callbacks = CALLBACKS.lock();
    let ended = |object: &&mut Object| !enabled.contains(&object.patch);
    callbacks.iter_mut().filter(ended).for_each(|object| object.begun = false);
}

/// Calls `pre_patch` of every loaded object, or only of the module `only`, until one
/// will not have it.
#[optimize(size)]
pub fn before_patch(patch: &str, only: Option<&str>) -> Result<(), Failure> {
    for object in objects_of(patch) {
        let module = object.module.as_deref();
        if module.is_some_and(|name| modules::find(name).is_none())
            || (only.is_some() && module != only)
        {
            continue;
        }
        if let Some(function) = object.callbacks.pre_patch {
            match run(&object, function) {
                CallEnd::Returned(result) if result as i32 == 0 => {}
                CallEnd::Returned(result) => {
                    let (result, of) = (result as i32, module.unwrap_or("the kernel"));
                    let name = errno::name(result.unsigned_abs()).unwrap_or("no error");
                    let why = format!("its pre_patch of {of} returned {result} ({name})");
                    return Err(why.into());
                }
                CallEnd::Oops(cause) => {
                    return Err(Failure::Oops(format!("its pre_patch callback: {cause}")));
                }
            }
        }
        set_begun(&object, true);
    }
    Ok(())
}

/// Calls one kind of callback of every object that has begun, or only of the module
/// `only`; what the first fault was.
#[optimize(size)]
pub fn notify(patch: &str, only: Option<&str>, when: When) -> Option<String> {
    let mut oops = None;
    for object in objects_of(patch).into_iter().filter(|object| object.begun) {
        if only.is_some() && object.module.as_deref() != only {
            continue;
        }
        let (function, name) = when.of(&object.callbacks);
        if matches!(when, When::PostUnpatch) {
            set_begun(&object, false);
        }
        // void functions: what is in r3 afterwards means nothing.
        if let Some(function) = function
            && let CallEnd::Oops(cause) = run(&object, function)
        {
            oops = oops.or_else(|| Some(format!("its {name} callback: {cause}")));
        }
    }
    oops
}
