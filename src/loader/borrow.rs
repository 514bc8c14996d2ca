//! Symbols that a live patch borrows from what it patches, local ones too.
//!
//! ```text
//!   .klp.sym.demo.answer,0     the one function or variable `answer` of module demo
//!   .klp.sym.vmlinux.find,2    the second `find` of the kernel, by address
//! ```
//!
//! In Linux such symbols have the section index 0xff20, and their relocations stand in
//! sections of their own, `.klp.rela.OBJECT.SECTION`; here the name alone counts, and
//! they may as well be undefined symbols with ordinary relocations. While the module is
//! not loaded they are missing: a call traps, and says whom it wanted.
//!
//! Reference: Linux 6.1, `Documentation/livepatch/module-elf-format.rst`.

use super::Name;

/// A borrowed symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Borrowed<'n> {
    /// The module; `None` is the kernel.
    pub module: Option<&'n str>,
    /// The symbol's name there.
    pub name: &'n str,
    /// 0 if there is one, else which of that name, from 1.
    pub position: u32,
}

/// As every such name begins.
const PREFIX: &str = ".klp.sym.";

/// [`parse`] for a name that is looked up; what others cost is a look at their first byte.
#[must_use]
#[inline(always)]
pub fn of<'n>(name: &Name<'n>) -> Option<Borrowed<'n>> {
    if name.bytes.first() == PREFIX.as_bytes().first() { parse(name.text()?) } else { None }
}

/// True for a name, whatever comes after it, that begins as they all do.
#[must_use]
pub fn is_borrowed(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes())
}

/// What a symbol's name borrows, if it has the form.
#[must_use]
#[inline(never)]
pub fn parse(name: &str) -> Option<Borrowed<'_>> {
    // Module names have no dots; names of symbols may (`check.part.0`).
    let (module, rest) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let (name, position) = rest.rsplit_once(',')?;
    let position = position.parse().ok()?;
    let whole = !module.is_empty() && !name.is_empty();
    whole.then_some(Borrowed { module: (module != "vmlinux").then_some(module), name, position })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names as in Linux's documentation of the format.
    #[test]
    fn a_name_says_object_symbol_and_position() {
        let borrowed = |module, name, position| Some(Borrowed { module, name, position });
        assert_eq!(parse(".klp.sym.vmlinux.snprintf,0"), borrowed(None, "snprintf", 0));
        assert_eq!(parse(".klp.sym.btrfs.a.part.0,3"), borrowed(Some("btrfs"), "a.part.0", 3));
        for name in ["snprintf", ".klp.sym.demo.answer", ".klp.sym.demo,1", ".klp.sym.demo.a,x"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
