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

/// What an address is that a call shall lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// No code of the module.
    None,
    /// Where a function begins, or code that no function claims.
    Entry,
    /// In the middle of this function.
    Inside(String),
}

/// The function whose part has this name, where the compiler puts in another section what
/// is seldom run of a function: `f` for `f.cold`, or older compilers' `f.cold.3`.
///
/// Jumps lead there and back. `f.part.0`, `f.isra.0`, `f.constprop.0` are functions of
/// their own: who is called there returns.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn part_of(name: &str) -> Option<&str> {
    let whole = name.trim_end_matches(|last: char| last.is_ascii_digit());
    let name = whole.strip_suffix('.').unwrap_or(name);
    name.strip_suffix(".cold")
}

/// What is loaded.
pub trait World {
    /// Whether `module` is loaded and not on its way out.
    fn is_loaded(&self, module: &str) -> bool;

    /// Global entries of the functions called `name` in an object, ascending.
    fn functions(&self, module: Option<&str>, name: &str) -> Vec<Vaddr>;

    /// The call site of the function whose global entry is `entry`.
    fn site_of(&self, entry: Vaddr) -> Option<Site>;

    /// What of the module `patch` lies at `at`.
    fn code_at(&self, patch: &str, at: Vaddr) -> Code;

    /// Whether the object has any call sites.
    fn has_sites(&self, module: Option<&str>) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names as gcc 8 and gcc 12 give them.
    #[test]
    fn the_cold_part_of_a_function_is_told_from_functions_of_their_own() {
        let parts = [("f.cold", "f"), ("f.cold.3", "f"), ("f.part.0.cold", "f.part.0")];
        for (name, of) in parts {
            assert_eq!(part_of(name), Some(of), "{name}");
        }
        for name in ["f", "cold", "f.part.0", "f.isra.0", "f.constprop.1", "f.cold.a", "f.colder"] {
            assert_eq!(part_of(name), None, "{name}");
        }
    }
}
