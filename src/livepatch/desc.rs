//! What a patch says about itself, and what the patcher must know of the system.
//!
//! The kernel fills a [`PatchDesc`] from Linux's `struct klp_patch` (or a Rust
//! equivalent) in the patch module; addresses are those after relocation.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::addr::Vaddr;

/// A set of replacements that is enabled and disabled as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchDesc {
    /// The patch module's name.
    pub name: String,
    /// Whether it takes the place of every patch enabled before (`klp_patch.replace`).
    pub replace: bool,
    /// What it changes.
    pub objects: Vec<ObjectDesc>,
}

/// The replacements in one module, or in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectDesc {
    /// The module that is patched; `None` is the kernel.
    pub module: Option<String>,
    /// Its replaced functions.
    pub funcs: Vec<FuncDesc>,
}

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuncDesc {
    /// The name of the function that is replaced.
    pub old_name: String,
    /// Global entry of the function that is run in its stead.
    pub new_func: Vaddr,
    /// 0 if the name is unique in its object, else which of that name is meant,
    /// from 1, in the order of their addresses.
    pub sympos: u32,
}

/// A function of an object, for people: `module:name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuncName {
    /// Its module; `None` is the kernel.
    pub module: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for FuncName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.module.as_deref().unwrap_or("kernel"), self.name)
    }
}

/// A function's call site, as far as redirecting it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The site's word.
    pub at: Vaddr,
    /// Whether it stands behind the prologue, where it is too late.
    pub late: bool,
}

/// What is loaded.
pub trait World {
    /// Whether `module` is loaded and not on its way out.
    fn is_loaded(&self, module: &str) -> bool;

    /// Global entries of the functions called `name` in an object, ascending.
    fn functions(&self, module: Option<&str>, name: &str) -> Vec<Vaddr>;

    /// The call site of the function whose global entry is `entry`.
    fn site_of(&self, entry: Vaddr) -> Option<Site>;

    /// Whether a function may begin at `at`: code of the module `patch`.
    fn is_code_of(&self, patch: &str, at: Vaddr) -> bool;

    /// Whether the object has any call sites.
    fn has_sites(&self, module: Option<&str>) -> bool;
}
