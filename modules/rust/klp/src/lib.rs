//! Live patches in Rust: what `linux/livepatch.h` says to C, with types.
//!
//! ```text
//!  static FUNCS: [Func; 2] = [Func::new(c"answer", new_answer as *const ()), Func::END];
//!  static OBJECTS: [Object; 2] = [Object::module(c"demo", &FUNCS), Object::END];
//!  static PATCH: Patch = Patch::new(&OBJECTS);
//!  init_module() { PATCH.enable() }
//! ```
//!
//! The structures have Linux 6.1's layout, so a patch in Rust is a patch like any other:
//! it stacks with those in C, replaces them, has callbacks, states, shadow variables.
//!
//! # Invariants
//! - Arrays end with `END`; a patch whose array does not is refused by the kernel.
//! - What the kernel writes (`mod`, `patched`, `enabled`) lies in cells, so the
//!   structures are in writable memory.
#![no_std]

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::PhantomData;
use core::ptr;

/// The module's own `struct module`, which the link makes.
#[repr(C)]
pub struct ThisModule {
    _owned_by_kernel: [u8; 0],
}

unsafe extern "C" {
    static __this_module: ThisModule;
    fn klp_enable_patch(patch: *const Patch) -> c_int;
    fn klp_get_state(patch: *const Patch, id: u64) -> *const State;
    fn klp_get_prev_state(id: u64) -> *const State;
    fn klp_shadow_get(obj: *const c_void, id: u64) -> *mut c_void;
    fn klp_shadow_alloc(
        obj: *const c_void,
        id: u64,
        size: usize,
        gfp: u32,
        ctor: *const c_void,
        ctor_data: *const c_void,
    ) -> *mut c_void;
    fn klp_shadow_free(obj: *const c_void, id: u64, dtor: *const c_void);
    fn klp_shadow_free_all(id: u64, dtor: *const c_void);
}

/// A function and what is run in its stead.
#[repr(C)]
pub struct Func {
    old_name: *const c_char,
    new_func: *const (),
    sympos: u64,
    own: UnsafeCell<[u64; 16]>,
}

impl Func {
    /// The end of an array.
    pub const END: Self = Self::nth_of(ptr::null(), ptr::null(), 0);

    /// Replaces the one function of that name. `new` is an `extern "C"` function with
    /// its parameters.
    pub const fn new(old_name: &'static CStr, new: *const ()) -> Self {
        Self::nth_of(old_name.as_ptr(), new, 0)
    }

    /// Replaces the `position`th function of that name, from 1, by address.
    pub const fn nth(old_name: &'static CStr, position: u64, new: *const ()) -> Self {
        Self::nth_of(old_name.as_ptr(), new, position)
    }

    const fn nth_of(old_name: *const c_char, new_func: *const (), sympos: u64) -> Self {
        Self { old_name, new_func, sympos, own: UnsafeCell::new([0; 16]) }
    }
}

/// What is called before and after the functions of an object change.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Callbacks {
    /// Before; a result other than 0 refuses the patch, or the module that comes.
    pub pre_patch: Option<extern "C" fn(&Object) -> c_int>,
    /// When every CPU runs the new functions.
    pub post_patch: Option<extern "C" fn(&Object)>,
    /// Before they are themselves again.
    pub pre_unpatch: Option<extern "C" fn(&Object)>,
    /// When every CPU runs the old ones.
    pub post_unpatch: Option<extern "C" fn(&Object)>,
}

impl Callbacks {
    /// None.
    pub const NONE: Self =
        Self { pre_patch: None, post_patch: None, pre_unpatch: None, post_unpatch: None };
}

/// The patched functions of a module, or of the kernel.
#[repr(C)]
pub struct Object {
    name: *const c_char,
    funcs: *const Func,
    callbacks: Callbacks,
    own: UnsafeCell<[u64; 15]>,
}

impl Object {
    /// The end of an array.
    pub const END: Self = Self::of(ptr::null(), ptr::null());

    /// Functions of a module; it may be loaded later.
    pub const fn module(name: &'static CStr, funcs: &'static [Func]) -> Self {
        Self::of(name.as_ptr(), funcs.as_ptr())
    }

    /// Functions of the kernel.
    pub const fn kernel(funcs: &'static [Func]) -> Self {
        Self::of(ptr::null(), funcs.as_ptr())
    }

    /// The same with callbacks.
    pub const fn with(mut self, callbacks: Callbacks) -> Self {
        self.callbacks = callbacks;
        self
    }

    const fn of(name: *const c_char, funcs: *const Func) -> Self {
        Self { name, funcs, callbacks: Callbacks::NONE, own: UnsafeCell::new([0; 15]) }
    }

    /// Its module's name; nothing for the kernel.
    pub fn name(&self) -> Option<&CStr> {
        // SAFETY: null, or a text with a NUL that lives for ever (the constructors).
        (!self.name.is_null()).then(|| unsafe { CStr::from_ptr(self.name) })
    }
}

/// Something in the system that patches change besides code.
#[repr(C)]
pub struct State {
    /// Its number, which patches have agreed on; not 0.
    pub id: u64,
    /// How it is changed: a later patch must know at least this version.
    pub version: u32,
    data: UnsafeCell<u64>,
}

impl State {
    /// The end of an array.
    pub const END: Self = Self::new(0, 0);

    /// A state.
    pub const fn new(id: u64, version: u32) -> Self {
        Self { id, version, data: UnsafeCell::new(0) }
    }

    /// What a callback has left here.
    pub fn data(&self) -> u64 {
        // SAFETY: callbacks of patches run one after the other.
        unsafe { self.data.get().read() }
    }

    /// Leaves something for later callbacks, and for later patches.
    pub fn set_data(&self, data: u64) {
        // SAFETY: as above.
        unsafe { self.data.get().write(data) }
    }

    /// The state of that number of the patch before the one whose callback runs.
    pub fn previous(id: u64) -> Option<&'static Self> {
        // SAFETY: null, or a state of a patch that stays while callbacks run.
        unsafe { klp_get_prev_state(id).as_ref() }
    }
}

/// A set of replacements that is enabled and disabled as one.
#[repr(C)]
pub struct Patch {
    module: *const ThisModule,
    objects: *const Object,
    states: *const State,
    replace: bool,
    own: UnsafeCell<[u64; 21]>,
}

impl Patch {
    /// A patch of these objects; the last is [`Object::END`].
    pub const fn new(objects: &'static [Object]) -> Self {
        Self {
            module: &raw const __this_module,
            objects: objects.as_ptr(),
            states: ptr::null(),
            replace: false,
            own: UnsafeCell::new([0; 21]),
        }
    }

    /// The same, taking the place of every patch enabled before.
    pub const fn replacing(mut self) -> Self {
        self.replace = true;
        self
    }

    /// The same with states; the last is [`State::END`].
    pub const fn with_states(mut self, states: &'static [State]) -> Self {
        self.states = states.as_ptr();
        self
    }

    /// Enables it: from `init_module`, whose result this is.
    pub fn enable(&'static self) -> c_int {
        // SAFETY: the structures have Linux's layout (asserted below) and live for ever.
        unsafe { klp_enable_patch(self) }
    }

    /// Its state of that number.
    pub fn state(&'static self, id: u64) -> Option<&'static State> {
        // SAFETY: null, or one of this patch's.
        unsafe { klp_get_state(self, id).as_ref() }
    }
}

// SAFETY: only the kernel writes to these, and nothing here reads what it writes.
unsafe impl Sync for Func {}
// SAFETY: as above.
unsafe impl Sync for Object {}
// SAFETY: callbacks, which alone use the data, run one after the other.
unsafe impl Sync for State {}
// SAFETY: as above.
unsafe impl Sync for Patch {}

const _: () = assert!(size_of::<Func>() == 152 && size_of::<Object>() == 168);
const _: () = assert!(size_of::<Patch>() == 200 && size_of::<State>() == 24);

/// Shadow variables of type `T` under one number: data tied to somebody else's objects,
/// by their addresses.
pub struct Shadow<T> {
    id: u64,
    kind: PhantomData<fn() -> T>,
}

/// Stores the first value of a shadow variable, before it can be found.
unsafe extern "C" fn construct<T: Copy>(_: *const c_void, data: *mut T, value: *const T) -> c_int {
    // SAFETY: `get_or_put` says what both are.
    unsafe { data.write(*value) };
    0
}

impl<T: Copy> Shadow<T> {
    /// Those with this number; patches that share them say the same type.
    pub const fn new(id: u64) -> Self {
        Self { id, kind: PhantomData }
    }

    /// What is tied to an object.
    pub fn get<O>(&self, object: *const O) -> Option<*mut T> {
        // SAFETY: the kernel looks the number up, and never uses the object.
        let data = unsafe { klp_shadow_get(object.cast(), self.id) };
        (!data.is_null()).then_some(data.cast())
    }

    /// Ties a value to an object that has none, else leaves what is there; where it is,
    /// unless there is no memory.
    pub fn get_or_put<O>(&self, object: *const O, value: T) -> Option<*mut T> {
        self.get(object).or_else(|| {
            // SAFETY: the block is 8-byte aligned, of T's size; `construct::<T>` gets it and
            // `value` before anybody else finds it.
            let data = unsafe {
                klp_shadow_alloc(
                    object.cast(),
                    self.id,
                    size_of::<T>(),
                    0,
                    construct::<T> as *const c_void,
                    (&raw const value).cast(),
                )
            };
            if data.is_null() {
                return self.get(object); // another CPU was faster
            }
            Some(data.cast())
        })
    }

    /// Unties it.
    pub fn free<O>(&self, object: *const O) {
        // SAFETY: `T` is `Copy`, so nothing has to be dropped.
        unsafe { klp_shadow_free(object.cast(), self.id, ptr::null()) };
    }

    /// Unties all of this number, from whatever object.
    pub fn free_all(&self) {
        // SAFETY: as above.
        unsafe { klp_shadow_free_all(self.id, ptr::null()) };
    }
}
