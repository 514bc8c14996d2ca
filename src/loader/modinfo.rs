//! `.modinfo`: what a module says of itself, as `key=value` texts that each end
//! with NUL. Read from the file; the section is not kept in memory.
//!
//! # References
//! Linux's `MODULE_LICENSE`, `MODULE_PARM_DESC` and so on write it, `modpost`
//! adds `depends`, `name` and `vermagic`. Keys may repeat (`alias`, `parm`).

use alloc::string::String;

use crate::text;

use super::{elf::Object, symbols::len_before_nul};

/// The texts of one module's `.modinfo`.
#[derive(Clone, Copy, Debug)]
pub struct Modinfo<'a> {
    bytes: &'a [u8],
}

/// Licences under which a module may use GPL-only exports, as Linux lists them
/// in its `license_is_gpl_compatible`.
const GPL_COMPATIBLE: [&str; 6] =
    ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// Longest name of a module: Linux's `MODULE_NAME_LEN` is 56 with the NUL.
const NAME_MAX: usize = 55;

impl<'a> Modinfo<'a> {
    /// The texts of `object`; none if it has no such section.
    #[must_use]
    pub fn of(object: &Object<'a>) -> Self {
        Self { bytes: object.section(".modinfo").map_or(&[], |(_, section)| section.data) }
    }

    /// Every key with its value, in the file's order. Texts that are not UTF-8
    /// or have no `=` are left out: nothing looks for them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.bytes
            .split(|&byte| byte == 0)
            .filter_map(|text| core::str::from_utf8(text).ok()?.split_once('='))
    }

    /// The first value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let mut rest = self.bytes;
        while !rest.is_empty() {
            let (text, behind) = rest.split_at(len_before_nul(rest));
            let value = text.strip_prefix(key.as_bytes()).and_then(|it| it.strip_prefix(b"="));
            if let Some(value) = value.and_then(|value| core::str::from_utf8(value).ok()) {
                return Some(value);
            }
            rest = behind.get(1..).unwrap_or_default();
        }
        None
    }

    /// The module's own name, if it states one (Rust modules may not).
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.get("name")
    }

    /// The stated licence; empty if none.
    #[must_use]
    pub fn licence(&self) -> &'a str {
        self.get("license").unwrap_or("")
    }

    /// True if the module may use exports for GPL-compatible modules.
    #[must_use]
    pub fn is_gpl_compatible(&self) -> bool {
        GPL_COMPATIBLE.contains(&self.licence())
    }

    /// Names of the modules that this one needs, in the stated order.
    pub fn depends(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.get("depends").unwrap_or("").split(',').filter(|name| !name.is_empty())
    }

    /// The namespaces of exports that the module's author has asked for.
    pub fn namespaces(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.iter().filter(|(key, _)| *key == "import_ns").map(|(_, value)| value)
    }

    /// Each described parameter with its description (`parm=name:text`).
    pub fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.pairs("parm")
    }

    /// Each parameter with the type that its author named (`parmtype=name:int`).
    pub fn parameter_types(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.pairs("parmtype")
    }

    fn pairs(&self, key: &'static str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.iter()
            .filter(move |(found, _)| *found == key)
            .filter_map(|(_, value)| value.split_once(':'))
    }
}

/// The name under which the module in a file called `base_name` is listed: its own
/// word, or the file's if that one could not be typed, or be a directory of
/// `/sys/module`.
#[must_use]
pub fn module_name(object: &Object, base_name: &str) -> String {
    let typed = |name: &&str| {
        (1..=NAME_MAX).contains(&name.len())
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte))
    };
    let stem = || text::find(base_name, ".ko").map_or(base_name, |at| &base_name[..at]);
    Modinfo::of(object).name().filter(typed).unwrap_or_else(stem).replace('-', "_")
}
