//! Why a live patch is not enabled, disabled, taken or let go.
//!
//! Every refusal comes before anything has changed, and names the function.

use alloc::string::String;
use core::fmt;

use super::desc::FuncName;
use crate::addr::Vaddr;

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The patch's own description is wrong.
    Malformed(Fault),
    /// A patch of that name is known already.
    Duplicate,
    /// No patch of that name is known.
    UnknownPatch,
    /// It is enabled already.
    AlreadyEnabled,
    /// It is not enabled: there is nothing to disable.
    NotEnabled,
    /// It is enabled, and so cannot be forgotten.
    Enabled,
    /// It changes a module that is not loaded.
    ModuleNotLoaded(String),
    /// There is no such function.
    UnknownFunction(FuncName),
    /// Several functions have that name, and `sympos` does not say which.
    Ambiguous {
        /// The name.
        function: FuncName,
        /// How many have it.
        count: usize,
    },
    /// `sympos` asks for one more function of that name than there are.
    NoSuchPosition {
        /// The name.
        function: FuncName,
        /// What was asked for.
        sympos: u32,
        /// How many have it.
        count: usize,
    },
    /// The function has no call site.
    NoCallSite {
        /// The function.
        function: FuncName,
        /// Whether others of its object have one.
        object_has_sites: bool,
    },
    /// The function's call site stands behind its prologue.
    LateSite(FuncName),
    /// It runs while code is traced or changed.
    InThePath(FuncName),
    /// Two entries of the patch mean the same function.
    Twice(FuncName),
    /// The replacement is the function itself: it would be entered for ever.
    ReplacesItself(FuncName),
    /// The replacement is no function of the patch module.
    NotItsCode {
        /// The function.
        function: FuncName,
        /// The patch; the function in whose middle it is.
        of: String,
        /// It is in the middle of one.
        inside: bool,
        /// The replacement's address.
        at: Vaddr,
    },
    /// Another change is still under way.
    Busy,
    /// Something else was committed since the plan was made.
    Stale,
}

/// What is wrong with a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The patch, an object or a function has no name.
    NoName,
    /// The patch changes no object.
    NoObjects,
    /// A replacement's address is 0 or no multiple of 4.
    BadReplacement(FuncName),
    /// Two objects are the same module.
    ObjectTwice {
        /// Its module; `None` is the kernel.
        module: Option<String>,
    },
}

impl fmt::Display for Refusal {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(fault) => fault.fmt(f),
            Self::Duplicate => {
                f.write_str("klp_enable_patch was called a second time (once is enough)")
            }
            Self::UnknownPatch => f.write_str("no such patch (see livepatch list)"),
            Self::AlreadyEnabled => f.write_str("already enabled"),
            Self::NotEnabled => f.write_str("not enabled: there is nothing to disable"),
            Self::Enabled => f.write_str("still enabled: disable it first"),
            Self::ModuleNotLoaded(module) => write!(f, "module {module} is not loaded"),
            Self::UnknownFunction(function @ FuncName { module: None, .. }) => write!(
                f,
                "{function}: no such function (misspelt, inlined, or Linux's: sites tocsin:* has \
                 the kernel's)"
            ),
            Self::UnknownFunction(function) => write!(
                f,
                "{function}: no such function (misspelt, or inlined: see available_filter_functions)"
            ),
            Self::Ambiguous { function, count } => {
                write!(f, "{function}: {count} functions have that name, say which by old_sympos")
            }
            Self::NoSuchPosition { function, sympos, count } => {
                write!(
                    f,
                    "{function}: old_sympos is {sympos}, but of that name there are 1 to {count}"
                )
            }
            Self::NoCallSite { function, object_has_sites: true } => {
                write!(
                    f,
                    "{function}: no call site: it is notrace, or assembly (patch its callers instead)"
                )
            }
            Self::NoCallSite { function, object_has_sites: false } => write!(
                f,
                "{function}: no call site: the module was built without -mprofile-kernel or \
                 patchable entries"
            ),
            Self::NotItsCode { function, of, inside: false, at } => write!(
                f,
                "{function}: its replacement {at} is no code of {of} \
                 (set new_func to one of its functions)"
            ),
            Self::NotItsCode { function, of, inside: true, at } => write!(
                f,
                "{function}: its replacement {at} is in the middle of {of} \
                 (set new_func to {of} itself)"
            ),
            Self::LateSite(function) => write!(
                f,
                "{function}: its call site stands behind the prologue, too late to redirect; \
                 build it with -mprofile-kernel"
            ),
            Self::InThePath(function) => write!(
                f,
                "{function}: runs while code is traced or changed, by what a patch relies on \
                 (replace what calls it)"
            ),
            Self::Twice(function) => {
                write!(f, "{function}: replaced twice by the same patch (leave one out)")
            }
            Self::ReplacesItself(function) => {
                write!(f, "{function}: replaced by itself (set new_func to another function)")
            }
            Self::Busy => f.write_str("another patch is in transition"),
            Self::Stale => f.write_str("another patch was changed in between: try again"),
        }
    }
}

impl fmt::Display for Fault {
    #[cfg_attr(target_os = "none", optimize(size))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = |module: &Option<String>| match module {
            Some(name) => alloc::format!("module {name}"),
            None => "the kernel".into(),
        };
        match self {
            Self::NoName => f.write_str("a name is missing in the patch's description"),
            Self::NoObjects => f.write_str("the patch changes no object"),
            Self::BadReplacement(function) => {
                write!(f, "{function}: the replacement's address is no function's")
            }
            Self::ObjectTwice { module } => {
                write!(
                    f,
                    "the patch names {} twice (one klp_object has all its functions)",
                    object(module)
                )
            }
        }
    }
}
