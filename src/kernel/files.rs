//! Control files: the words and places that Linux users know, and the initrd.
//!
//! ```text
//! /proc/{cmdline,exports,kallsyms,meminfo,modules}
//! /sys/module/M/{refcnt,coresize,initstate,version,holders/H/,sections/S,parameters/P}
//! /sys/kernel/tracing/*              see tracefs.rs
//! /sys/kernel/livepatch/P/{enabled,transition,force,replace,stack_order,OBJ/patched}
//! /lib/modules/*                     out of the initrd
//! ```
//!
//! Files are made when they are read; a name that is not here is not a file.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::compat::seq;
use super::modules::{self, Failure, Module};
use super::tracefs::{self, DIRECTORY as TRACING};
use super::{console, exports, initrd, ksyms, livepatch, params, tab};
use crate::addr::Vaddr;
use crate::kprintln;
use crate::loader::Modinfo;
use crate::shell::error::Shown;

#[inline(never)]
fn add(paths: &mut Vec<String>, parts: &[&str]) {
    let mut path = String::new();
    for part in parts {
        path += part;
    }
    paths.push(path);
}

/// Every path that there is now, without the leading slash.
#[optimize(size)]
pub fn paths() -> Vec<String> {
    let mut paths = livepatch::sysfs::paths();
    initrd::all().for_each(|file| paths.push(file.path.into()));
    for file in &["cmdline", "exports", "kallsyms", "meminfo", "modules"] {
        add(&mut paths, &["proc/", file]);
    }
    // Directories that are there when nothing is in them.
    add(&mut paths, &["sys/module/"]);
    add(&mut paths, &["sys/kernel/livepatch/"]);
    tracefs::paths(&mut |file| paths.push(format!("{TRACING}/{file}")));
    for module in modules::all() {
        let mut own = |directory: &str, file: &str| {
            add(&mut paths, &["sys/module/", &module.name, directory, file]);
        };
        for file in &["/refcnt", "/coresize", "/initstate", "/holders/", "/sections/"] {
            own(file, "");
        }
        if version(&module).is_some() {
            own("/version", "");
        }
        for user in module.users() {
            own("/holders/", &(user + "/"));
        }
        for (section, _) in section_files(&module) {
            own("/sections/", section);
        }
        for parameter in params::files(&module) {
            own("/parameters/", parameter);
        }
    }
    paths
}

/// The names in a directory, an empty one too if it is kept for them.
#[inline(never)]
#[optimize(size)]
fn inside<'p>(paths: &'p [String], dir: &str) -> Option<Vec<&'p str>> {
    let mut names = Vec::new();
    for path in paths {
        let Some(rest) = path.strip_prefix(dir) else { continue };
        let rest = if dir.is_empty() { Some(rest) } else { rest.strip_prefix('/') };
        names.extend(rest.and_then(|rest| rest.split('/').next()));
    }
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then_some(names)
}

/// Prints the names in a directory.
#[optimize(size)]
pub fn list(dir: &str) -> Result<(), String> {
    let dir = dir.trim_matches('/');
    let paths = paths();
    let Some(names) = inside(&paths, dir) else {
        let reason = if paths.iter().any(|path| path == dir) {
            "a file (see cat)"
        } else {
            "no such directory (see ls /)"
        };
        return Err(format!("/{dir}: {reason}"));
    };
    let names = names.iter().filter(|name| !name.is_empty());
    names.for_each(|name| kprintln!("{}", Shown(name.as_bytes())));
    Ok(())
}

/// Prints a file.
#[optimize(size)]
pub fn print(path: &str) -> Result<(), String> {
    let name = initrd::relative(path);
    if let Some(file) = initrd::find(name) {
        console::write_bytes(file.data);
        return Ok(());
    }
    if let Some(function) = shown_by(name) {
        let shown = seq::show(function)
            .ok_or_else(|| format!("{path}: no memory for it (see mem)"))?
            .map_err(|cause| format!("{path}: {cause}"))?;
        console::write_bytes(shown.as_bytes());
        return Ok(());
    }
    if let Some((module, parameter)) = parameter(name)
        && let Some(shown) = params::show(&module, parameter)
    {
        console::write_bytes(shown.map_err(|why| format!("{path}: {why}"))?.as_bytes());
        return Ok(());
    }
    if let Some(file) = tracing_file(name) {
        let mut show = |text: &str| console::write_bytes(text.as_bytes());
        return tracefs::read(file, &mut show).map_err(|why| format!("{path}: {why}"));
    }
    match (name, content(name)) {
        ("proc/kallsyms", _) => kallsyms(),
        ("proc/exports", _) => proc_exports(),
        (_, Some(text)) => {
            console::write_bytes(text.as_bytes());
        }
        (_, None) => return Err(format!("{path}: {}", no_file(name))),
    }
    Ok(())
}

/// Why a path is none of a file.
#[optimize(size)]
fn no_file(name: &str) -> String {
    if inside(&paths(), name.strip_suffix('/').unwrap_or(name)).is_some() {
        return "a directory (see ls)".into();
    }
    format!("no such file ({}see ls)", tab::meant(tab::Kind::Path, name))
}

/// What a module says of its version.
fn version(module: &Module) -> Option<&str> {
    Modinfo::of(module.object()).get("version")
}

/// The sections of a module that have a file, with their addresses: as on Linux those
/// that a running module has bytes of. One that is read from the file and not kept in
/// memory (`__mcount_loc`, notes) has the address 0.
#[inline(never)]
#[optimize(size)]
fn section_files(module: &Module) -> Vec<(&str, Vaddr)> {
    let mut files = Vec::new();
    module.each_section(&mut |name, at, size| {
        if size != 0 {
            files.push((name, at));
        }
    });
    let sections = module.object().sections().iter().enumerate();
    let read = sections.filter(|(index, section)| {
        section.is_alloc() && section.size() != 0 && module.layout.offset_of(*index).is_none()
    });
    // Linux takes away the flag of those that nobody needs any more.
    let gone = [".modinfo", "__versions", "__version_ext_crcs", "__version_ext_names"];
    let read = read.map(|(_, section)| section.name).filter(|name| !gone.contains(name));
    files.extend(read.map(|name| (name, Vaddr(0))));
    files
}

/// The name of a file under [`TRACING`].
fn tracing_file(name: &str) -> Option<&str> {
    name.strip_prefix(TRACING)?.strip_prefix('/')
}

/// The module and the name of a parameter's file.
fn parameter(name: &str) -> Option<(Arc<Module>, &str)> {
    let (module, rest) = name.strip_prefix("sys/module/")?.split_once('/')?;
    Some((modules::find(module)?, rest.strip_prefix("parameters/")?))
}

/// The function that fills a file as C code does.
fn shown_by(name: &str) -> Option<&'static str> {
    match name {
        "proc/cmdline" => Some("cmdline_proc_show"),
        "proc/meminfo" => Some("meminfo_proc_show"),
        _ => None,
    }
}

#[optimize(size)]
fn content(name: &str) -> Option<String> {
    match name {
        "proc/modules" => Some(proc_modules()),
        _ => {
            if let Some(rest) = name.strip_prefix(livepatch::sysfs::DIR) {
                return livepatch::sysfs::read(rest);
            }
            let (module, rest) = name.strip_prefix("sys/module/")?.split_once('/')?;
            let module = modules::find(module)?;
            match rest {
                "refcnt" => Some(format!("{}\n", module.users().len())),
                "coresize" => Some(format!("{}\n", module.size())),
                "initstate" if module.options.link_only => Some("link only\n".into()),
                "initstate" => Some("live\n".into()),
                "version" => Some(format!("{}\n", version(&module)?)),
                _ => {
                    let wanted = rest.strip_prefix("sections/")?;
                    let files = section_files(&module);
                    let (_, at) = files.iter().find(|(name, _)| *name == wanted)?;
                    Some(format!("{:#018x}\n", at.0))
                }
            }
        }
    }
}

/// As Linux prints it: name, bytes, use count, users, state, address.
#[optimize(size)]
fn proc_modules() -> String {
    let mut text = String::new();
    for module in modules::all() {
        let users = module.users();
        let mut names: String = users.iter().map(|name| format!("{name},")).collect();
        if names.is_empty() {
            names.push('-');
        }
        let (size, base) = (module.size(), module.linked().base.0);
        let _ = writeln!(text, "{} {size} {} {names} Live {base:#018x}", module.name, users.len());
    }
    text
}

/// What modules may import: address, name, and the module that it is of. Printed a line
/// at a time, for a module may have more than the heap has room for.
fn proc_exports() {
    for export in exports::table() {
        kprintln!("{:016x} {}", export.addr.0, export.name);
    }
    for module in modules::all().iter().filter(|module| !module.options.link_only) {
        for export in &module.linked().exports {
            kprintln!("{:016x} {}\t[{}]", export.addr.0, export.name, module.name);
        }
    }
}

/// As Linux prints it: address, type, name, module.
#[optimize(size)]
fn kallsyms() {
    for found in ksyms::all() {
        let letter = if found.kind == crate::ksyms::Kind::Text { 't' } else { 'd' };
        let at = ksyms::address_of(found.offset).0;
        kprintln!("{at:016x} {letter} {}", found.name().as_str());
    }
    for module in modules::all() {
        for function in module.functions() {
            let global = function.symbol >= module.object().first_global();
            let letter = if global { 'T' } else { 't' };
            let at = module.address(function.at).0;
            kprintln!(
                "{at:016x} {letter} {}\t[{}]",
                module.readable_name(function.symbol),
                module.name
            );
        }
    }
}

/// Writes text to a control file.
#[optimize(size)]
pub fn write(path: &str, text: &[u8], append: bool) -> Result<(), Failure> {
    let name = initrd::relative(path);
    let text = core::str::from_utf8(text)
        .map_err(|_| format!("{path}: these bytes are no text; write UTF-8"))?;
    if let Some(file) = tracing_file(name) {
        let written = tracefs::write(file, text, append);
        return Ok(written.map_err(|why| format!("{path}: {why}"))?);
    }
    if let Some(rest) = name.strip_prefix(livepatch::sysfs::DIR)
        && let Some(done) = livepatch::sysfs::write(rest, text.trim_ascii())
    {
        return done;
    }
    if let Some((module, parameter)) = parameter(name)
        && let Some(written) =
            params::write(&module, parameter, text.strip_suffix('\n').unwrap_or(text))
    {
        let refused = |why| Failure::Refused(format!("{path}: {why}"));
        return written.map_err(|failure| match failure {
            Failure::Refused(why) => refused(why),
            oops => oops,
        });
    }
    let reason =
        if content(name).is_some() || shown_by(name).is_some() || initrd::find(name).is_some() {
            "cannot be written (it is there to be read: see cat)".into()
        } else {
            no_file(name)
        };
    Err(format!("{path}: {reason}").into())
}
