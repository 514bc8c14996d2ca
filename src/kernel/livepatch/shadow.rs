//! `klp_shadow_*`: shadow variables for patches.
//!
//! Data are ordinary blocks of the modules' heap, zeroed. Constructors run without a lock
//! held, so they may use shadow variables themselves (in Linux they may not); whoever
//! comes second finds that the first has won, and its own block is given back.

use super::super::call::{self, CallEnd};
use super::super::compat::heap;
use crate::addr::Vaddr;
use crate::kprintln;
use crate::livepatch::shadow::Shadows;
use crate::machine::call::give_up;
use crate::machine::lock::Mutex;

static SHADOWS: Mutex<Shadows> = Mutex::new(Shadows::new());

/// Runs a constructor or destructor; a fault in it ends who asked.
fn run(function: u64, args: &[u64]) -> i32 {
    match call::run(Vaddr(function), args) {
        CallEnd::Returned(result) => result as i32,
        CallEnd::Oops(cause) => give_up(alloc::format!("shadow variable: {cause}")),
    }
}

fn make(object: u64, id: u64, size: u64, ctor: u64, ctor_data: u64, fresh: bool) -> u64 {
    let there = || SHADOWS.lock().get(object, id).map_or(0, |data| data.0);
    let found = |data: u64| {
        if fresh {
            kprintln!("klp_shadow_alloc: {object:#x} has a shadow variable {id} already");
            return 0;
        }
        data
    };
    if there() != 0 {
        return found(there());
    }
    let data = heap::keep(size.max(1));
    if data == 0 {
        return 0;
    }
    if ctor != 0 {
        let result = run(ctor, &[object, data, ctor_data]);
        if result != 0 {
            kprintln!("klp_shadow_alloc: {object:#x}, {id}: its constructor returned {result}");
            heap::kfree(data);
            return 0;
        }
    }
    if SHADOWS.lock().add(object, id, Vaddr(data)) {
        return data;
    }
    heap::kfree(data);
    found(there())
}

/// `klp_shadow_get(obj, id)`: the data, or null.
pub extern "C" fn klp_shadow_get(object: u64, id: u64) -> u64 {
    SHADOWS.lock().get(object, id).map_or(0, |data| data.0)
}

/// `klp_shadow_alloc(obj, id, size, gfp, ctor, ctor_data)`: new data, or null if there
/// is some already, no memory, or the constructor will not have it.
pub extern "C" fn klp_shadow_alloc(
    object: u64,
    id: u64,
    size: u64,
    _gfp: u32,
    ctor: u64,
    ctor_data: u64,
) -> u64 {
    make(object, id, size, ctor, ctor_data, true)
}

/// `klp_shadow_get_or_alloc(...)`: the data that are there, or else new ones.
pub extern "C" fn klp_shadow_get_or_alloc(
    object: u64,
    id: u64,
    size: u64,
    _gfp: u32,
    ctor: u64,
    ctor_data: u64,
) -> u64 {
    make(object, id, size, ctor, ctor_data, false)
}

fn free(object: u64, data: Vaddr, dtor: u64) {
    if dtor != 0 {
        run(dtor, &[object, data.0]);
    }
    heap::kfree(data.0);
}

/// `klp_shadow_free(obj, id, dtor)`.
pub extern "C" fn klp_shadow_free(object: u64, id: u64, dtor: u64) {
    let taken = SHADOWS.lock().take(object, id);
    if let Some(data) = taken {
        free(object, data, dtor);
    }
}

/// `klp_shadow_free_all(id, dtor)`.
pub extern "C" fn klp_shadow_free_all(id: u64, dtor: u64) {
    let taken = SHADOWS.lock().take_all(id);
    taken.into_iter().for_each(|(object, data)| free(object, data, dtor));
}
