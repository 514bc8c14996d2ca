//! insmod, lsmod, modinfo, modprobe.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Done;
use crate::kernel::module_file::{ModuleFile, ask_for};
use crate::kernel::modules::{self, Failure, Module, find};
use crate::kernel::{livepatch, versions};
use crate::kprintln;
use crate::loader::modinfo::module_name;
use crate::loader::{LinkOptions, Modinfo, Need, StubStyle};
use crate::shell::args::module_name_eq;
use crate::shell::command::{Param, StubChoice};
use crate::shell::error::Shown;

/// Loads a module.
pub fn insmod(
    word: &str,
    link_only: bool,
    force: bool,
    stubs: StubChoice,
    params: &[Param],
) -> Done {
    let options = LinkOptions {
        link_only,
        force,
        stubs: match stubs {
            StubChoice::Seed => StubStyle::Seed,
            StubChoice::Linux => StubStyle::Linux,
            StubChoice::Default | StubChoice::Wrong => StubStyle::Default,
        },
        wrong_profile_stubs: stubs == StubChoice::Wrong,
    };
    if options.wrong_profile_stubs {
        kprintln!(
            "{word}: its profiling calls will spoil r2 (--stubs=wrong), for tests of just that"
        );
    }
    told(word, |word| modules::insmod(word, options, params))
}

/// Loads a module in the given way; tells the reason behind a live patch's error.
fn told(word: &str, load: impl FnOnce(&str) -> Result<Arc<Module>, Failure>) -> Done {
    livepatch::listen();
    verdict(word, load(word))
}

#[optimize(size)]
#[inline(never)]
fn verdict(word: &str, done: Result<Arc<Module>, Failure>) -> Done {
    // The reason behind an error number that klp_enable_patch returned.
    let why = livepatch::take_refusal().map(|why| format!("{word}: live patch refused: {why}"));
    match (done, why) {
        (Ok(_), why) => {
            // Its init has thought nothing of it.
            why.into_iter().for_each(|why| kprintln!("{why}"));
            Ok(())
        }
        (Err(Failure::Refused(reason)), why) => {
            Err(Failure::Refused(why.unwrap_or_else(|| with_file(word, reason))))
        }
        (Err(oops), _) => Err(oops),
    }
}

/// A refusal that names the module, with the file before it if that is called otherwise.
#[optimize(size)]
fn with_file(word: &str, reason: String) -> String {
    let stem = word.strip_suffix(".ko").unwrap_or(word).as_bytes();
    match reason.as_bytes().get(..stem.len()) {
        Some(begin) if module_name_eq(begin, stem) => reason,
        _ => format!("{word}: {reason}"),
    }
}

/// Most modules that depend on each other in a row: each takes 750 bytes of a stack
/// that has 64 KiB. Debian's longest row has eight.
const ROW_MAX: usize = 32;
/// Most modules that one may depend on. Debian's 3,126 name 15 at most.
const DEPENDS_MAX: usize = 256;

/// Longest name of a file.
const NAME_MAX: usize = 255;

/// Loads a module after what it depends on, as far as the kernel has not got it.
pub fn modprobe(word: &str, params: &[Param]) -> Done {
    let mut path = Vec::new();
    probe(word, params, &mut path)
}

#[optimize(size)]
fn probe(word: &str, params: &[Param], path: &mut Vec<String>) -> Done {
    if find(word).is_some() {
        return if params.is_empty() {
            Ok(())
        } else {
            Err(format!("{word}: loaded already, so its parameters cannot be set (rmmod it first)")
                .into())
        };
    }
    if path.iter().any(|seen| seen == word) {
        return Err(format!("{word}: depends on itself, by way of {}", path.join(", ")).into());
    }
    if path.len() == ROW_MAX {
        let first = path.first().map_or(word, String::as_str);
        return Err(format!(
            "{word}: more than {ROW_MAX} modules in a row, from {first} on; modprobe {word} first"
        )
        .into());
    }
    path.push(word.into());
    let file = ModuleFile::open(word)?;
    let object = file.object().map_err(|error| format!("{word}: {error}"))?;
    let depends = Modinfo::of(&object).depends();
    if depends.clone().nth(DEPENDS_MAX).is_some() {
        return Err(format!(
            "{word}: depends on more than {DEPENDS_MAX} modules; build the module again"
        )
        .into());
    }
    // The names that it lacks take less than linking it will.
    ask_for(Need::of(&object).bytes()).map_err(|error| format!("{word}: {error}"))?;
    let wanted = modules::Wanted::of(&object);
    let asked_for = path.len() == 1;
    for dependency in depends {
        if dependency.len() > NAME_MAX {
            return Err(format!(
                "{word}: depends on a module whose name has {} bytes; build the module again",
                dependency.len()
            )
            .into());
        }
        if wanted.may_come_from(dependency) {
            probe(dependency, &[], path).map_err(|failure| match failure {
                failure if !asked_for => failure,
                Failure::Refused(why) => format!("{word}: needs {why}").into(),
                Failure::Oops(why) => Failure::Oops(format!("{word}: needs {why}")),
            })?;
        }
    }
    path.pop();
    told(word, |word| modules::insmod_file(word, file, LinkOptions::default(), params))
}

/// Lists loaded modules as Linux does: name, bytes, use count, users.
#[optimize(size)]
pub fn lsmod(verbose: bool) -> Done {
    kprintln!("{:<19} {:>8}  Used by", "Module", "Size");
    for module in modules::all() {
        let users = module.users();
        let mut notes = String::new();
        if module.options.link_only {
            notes.push_str(" (link only)");
        }
        if module.is_faulty() {
            notes.push_str(" (faulty)");
        }
        if livepatch::is_patch(&module.name) {
            let enabled = livepatch::is_enabled(&module.name);
            notes.push_str(if enabled {
                " (live patch, enabled)"
            } else {
                " (live patch, disabled)"
            });
        }
        let names = users.join(",");
        let blank = if names.is_empty() { "" } else { " " };
        kprintln!("{:<19} {:>8}  {}{blank}{names}{notes}", module.name, module.size(), users.len());
        if !verbose {
            continue;
        }
        kprintln!(
            "  base {} toc {} stubs {}",
            module.linked().base,
            module.linked().toc,
            module.linked().stubs.len()
        );
        if let Some(pack) = module.file().pack() {
            let (path, size) = (module.file().path(), module.file().size());
            kprintln!("  file /{path} ({pack}) {size} bytes unpacked");
        }
        module.each_section(&mut |name, at, size| kprintln!("  {name:<28} {at} {size}"));
    }
    Ok(())
}

/// Shows what a module file says about itself.
#[optimize(size)]
pub fn modinfo(word: &str) -> Done {
    let file = ModuleFile::open(word)?;
    let object = file.object().map_err(|error| format!("{word}: {error}"))?;
    kprintln!("{:<15} /{}", "filename:", file.path());
    for (key, value) in Modinfo::of(&object).iter() {
        let value = Shown(value.as_bytes());
        kprintln!("{:<15} {value}", format!("{}:", Shown(key.as_bytes())));
    }
    if Modinfo::of(&object).name().is_none() {
        kprintln!("{:<15} {}", "name:", module_name(&object, file.base_name()));
    }
    versions::explain(&object);
    Ok(())
}
