//! For which kernel a module was built, and against which versions of the symbols
//! that it imports; whether that fits here, in words.
//!
//! ```text
//!  vermagic=6.1.0-50-powerpc64le SMP mod_unload modversions mprofile-kernel relocatable
//!  __versions           u64 checksum, name[56]         of each import
//!  __version_ext_crcs   u32 checksum ...               of imports with longer names
//!  __version_ext_names  name NUL ...                   (6.14 and later), in that order
//!  __kcrctab            u32 checksum ...               of the exports, as __ksymtab has them
//! ```
//!
//! # The policy
//! | | |
//! |---|---|
//! | no vermagic, or Tocsin's own | loads |
//! | Linux 6.1 | loads: `compat` has its layouts |
//! | another release, or 6.1 with words for other layouts | loads, and is told that layouts are Debian's 6.1's |
//! | structures in random order | refused: nobody knows the layouts |
//! | an import from a module with another checksum | refused: one of them was built later |
//! | an import from the kernel | not compared: Tocsin's functions have no checksums |
//!
//! `insmod --force` loads what is refused here.
//!
//! # References
//! Linux's `include/linux/vermagic.h`, `kernel/module/version.c`.

use alloc::{format, string::String, vec::Vec};

use super::{
    elf::{Object, text_at},
    error::Cut,
    modinfo::Modinfo,
    paca_use,
};

/// Bytes of an entry of `__versions`, and where its name begins.
const ENTRY: usize = 64;
const NAME: usize = 8;
/// Nobody imports it: it stands for the layout of `struct module`, which the vermagic
/// is asked about.
const NO_IMPORT: &str = "module_layout";

/// The imports that the file has checksums of.
pub fn imports<'a>(object: &Object<'a>) -> impl Iterator<Item = (&'a str, u32)> + use<'a> {
    let data = |name| object.section(name).map_or(&[][..], |(_, section)| section.data);
    let (short, _) = data("__versions").as_chunks::<ENTRY>();
    let short = short.iter().filter_map(|entry| {
        let checksum = entry.first_chunk().copied().map(u32::from_le_bytes)?;
        Some((text_at(entry, NAME as u32)?, checksum))
    });
    let names = data("__version_ext_names").split(|&byte| byte == 0);
    let (checksums, _) = data("__version_ext_crcs").as_chunks::<4>();
    let long = names.zip(checksums).filter_map(|(name, checksum)| {
        Some((core::str::from_utf8(name).ok()?, u32::from_le_bytes(*checksum)))
    });
    short.chain(long).filter(|(name, _)| *name != NO_IMPORT)
}

/// An import with another checksum than whoever exports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch<'a> {
    /// The symbol.
    pub name: &'a str,
    /// The checksum that the importer was built with.
    pub wanted: u32,
    /// The exporter's.
    pub found: u32,
}

impl Mismatch<'_> {
    /// Why a module is refused that was built against another `owner` of the symbol.
    #[must_use]
    pub fn told(&self, owner: &str) -> String {
        let Self { name, wanted, found } = self;
        format!(
            "built with version {wanted:#010x} of {name}, but {owner} has {found:#010x}; \
             build both for one kernel, or use --force"
        )
    }
}

/// The first import whose checksum is not the one that `checksum_of` gives.
pub fn mismatch<'a>(
    object: &Object<'a>,
    checksum_of: impl Fn(&str) -> Option<u32>,
) -> Option<Mismatch<'a>> {
    imports(object).find_map(|(name, wanted)| {
        let found = checksum_of(name)?;
        (found != wanted).then_some(Mismatch { name, wanted, found })
    })
}

/// What the policy makes of a vermagic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It loads, and there is nothing to say.
    Fits,
    /// It loads, but this should be known.
    Note(String),
    /// It does not load.
    Unfit(String),
}

/// Judges a module's vermagic.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn judge(vermagic: Option<&str>) -> Fit {
    let mut words = vermagic.unwrap_or("tocsin").split_ascii_whitespace();
    let whole = words.next().unwrap_or("tocsin");
    if whole == "tocsin" {
        return Fit::Fits;
    }
    let release = Cut(whole);
    // Who writes any words writes those that structures are laid out by.
    let (mut any, mut smp, mut unload, mut preempt) = (false, false, false, None);
    for word in words {
        any = true;
        match word {
            "SMP" => smp = true,
            "mod_unload" => unload = true,
            "preempt" | "preempt_rt" => preempt = Some(word),
            _ if word.starts_with("RANDSTRUCT") => {
                return Fit::Unfit(format!(
                    "built for Linux {release} with structures in random order; build it without CONFIG_RANDSTRUCT"
                ));
            }
            _ => {}
        }
    }
    if whole != "6.1" && !whole.starts_with("6.1.") {
        let note = "but structures are laid out here as in 6.1";
        return Fit::Note(format!("built for Linux {release}, {note}"));
    }
    let (which, word) = match preempt {
        _ if any && !smp => ("without", "SMP"),
        _ if any && !unload => ("without", "mod_unload"),
        Some(word) => ("with", word),
        None => return Fit::Fits,
    };
    let note = "but structures are laid out here as in Debian's 6.1, for SMP mod_unload";
    Fit::Note(format!("built for Linux {release} {which} {word}, {note}"))
}

/// What is said of a module while it is loaded: of its vermagic, and of the places of
/// the per-CPU block that its code uses.
///
/// # Errors
/// Why it is refused.
pub fn notes(object: &Object<'_>) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    let vermagic = Modinfo::of(object).get("vermagic");
    match judge(vermagic) {
        Fit::Fits => {}
        Fit::Note(note) => {
            notes.push(format!("{note}; loaded all the same (should it fault, build it for 6.1)"))
        }
        Fit::Unfit(why) => return Err(format!("{why}, or use --force")),
    }
    let ours = vermagic.is_none_or(|vermagic| vermagic.starts_with("tocsin"));
    if !ours
        && paca_use::code_len(object) <= paca_use::LOOKED_AT_MAX
        && let Some(places) = paca_use::listed(object)
    {
        let what = "reaches into the per-CPU block where Tocsin keeps its own";
        notes.push(format!("{what}: {places}"));
    }
    Ok(notes)
}

/// What is said of a module without a licence.
#[must_use]
pub fn unlicensed(object: &Object<'_>) -> Option<&'static str> {
    let none = Modinfo::of(object).licence().is_empty();
    none.then_some("no MODULE_LICENSE, so no exports for GPL-compatible modules")
}

/// What `modinfo` adds to the file's own words, as keys and texts. `mismatch` is the
/// first import that another module has in another version, and that module.
#[must_use]
pub fn explain(
    object: &Object<'_>,
    mismatch: Option<(Mismatch<'_>, &str)>,
) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let vermagic = Modinfo::of(object).get("vermagic");
    if vermagic.is_some_and(|vermagic| !vermagic.starts_with("tocsin")) {
        let fits = match judge(vermagic) {
            Fit::Fits => "built for Linux 6.1, whose layouts are used here".into(),
            Fit::Note(note) => note,
            Fit::Unfit(why) => format!("no: {why}"),
        };
        rows.push(("fits", fits));
    }
    let count = imports(object).count();
    let (counted, none) = match count {
        1 => ("1 import with a checksum".into(), "which does not differ"),
        _ => (format!("{count} imports with checksums"), "none differs"),
    };
    match mismatch {
        _ if count == 0 => {}
        Some((Mismatch { name, .. }, owner)) => {
            rows.push(("versions", format!("{counted}; {name} is another than {owner}'s")));
        }
        None => {
            rows.push(("versions", format!("{counted}, {none} from a loaded module's")));
        }
    }
    if let Some(places) = paca_use::listed(object) {
        rows.push(("paca", format!("uses places of Tocsin's own: {places}")));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_compared_up_to_its_second_number() {
        let debian = "6.1.0-50-powerpc64le SMP mod_unload modversions mprofile-kernel relocatable ";
        for fits in [None, Some(debian), Some("6.1"), Some("tocsin ppc64le elfv2"), Some("")] {
            assert_eq!(judge(fits), Fit::Fits, "{fits:?}");
        }
        for other in ["6.12.9 SMP", "6.10.1", "5.16.1", "7.0.0-rc1 SMP preempt", "6"] {
            assert!(matches!(judge(Some(other)), Fit::Note(_)), "{other}");
        }
        for (words, note) in [
            ("SMP preempt mod_unload", "with preempt"),
            ("preempt mod_unload", "without SMP"),
            ("SMP modversions", "without mod_unload"),
        ] {
            let judged = judge(Some(&format!("6.1.9 {words}")));
            assert!(matches!(&judged, Fit::Note(it) if it.contains(note)), "{judged:?}");
        }
        let long = judge(Some(&"9".repeat(5000)));
        assert!(matches!(long, Fit::Note(note) if note.len() < 200 && note.contains("999...")));
        let random = judge(Some("6.1.9 SMP RANDSTRUCT_0123456789abcdef"));
        assert!(matches!(random, Fit::Unfit(why) if why.contains("; build it without")));
    }
}
