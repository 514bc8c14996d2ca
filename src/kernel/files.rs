//! Control files: the words and places that Linux users know, and the initrd.
//!
//! ```text
//! /proc/{cmdline,exports,kallsyms,meminfo,modules}
//! /sys/module/M/{refcnt,coresize,sections/S,parameters/P}
//! /sys/kernel/tracing/{available_tracers,current_tracer,available_filter_functions,
//!                      set_ftrace_filter,enabled_functions,trace}
//! /sys/kernel/livepatch/P/{enabled,transition,force,replace,stack_order,OBJ/patched}
//! /lib/modules/*                     out of the initrd
//! ```
//!
//! Files are made when they are read; a name that is not here is not a file.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::compat::seq;
use super::modules::{self, Failure, Module};
use super::{console, exports, graph, initrd, knobs, ksyms, livepatch, params, tracing};
use crate::kprintln;
use crate::machine::hooks::Tool;
use crate::patch::state::SiteState;

const TRACING: &str = "sys/kernel/tracing";
const TRACING_FILES: [&str; 6] = [
    "available_filter_functions",
    "available_tracers",
    "current_tracer",
    "enabled_functions",
    "set_ftrace_filter",
    "trace",
];

/// Every path that there is now, without the leading slash.
fn paths() -> Vec<String> {
    let mut paths: Vec<String> = initrd::all().map(|file| file.path.to_string()).collect();
    paths.extend(
        ["cmdline", "exports", "kallsyms", "meminfo", "modules"].map(|file| format!("proc/{file}")),
    );
    // Directories that are there when nothing is in them.
    paths.extend(["sys/module/".to_string(), "sys/kernel/livepatch/".to_string()]);
    paths.extend(TRACING_FILES.iter().chain(&knobs::FILES).map(|file| format!("{TRACING}/{file}")));
    for module in modules::all() {
        let name = &module.name;
        paths.extend([format!("sys/module/{name}/refcnt"), format!("sys/module/{name}/coresize")]);
        let sections = module.sections();
        paths
            .extend(sections.map(|section| format!("sys/module/{name}/sections/{}", section.name)));
        let parameters = params::files(&module).into_iter();
        paths.extend(parameters.map(|param| format!("sys/module/{name}/parameters/{param}")));
    }
    paths.extend(livepatch::sysfs::paths());
    paths
}

/// Prints the names in a directory.
pub fn list(dir: &str) -> Result<(), String> {
    let dir = dir.trim_matches('/');
    let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
    let paths = paths();
    let names: BTreeSet<&str> = paths
        .iter()
        .filter_map(|path| path.strip_prefix(prefix.as_str())?.split('/').next())
        .collect();
    let (names, found) = (names.iter().filter(|name| !name.is_empty()), !names.is_empty());
    if !found {
        let reason = if paths.iter().any(|path| path == dir) {
            "a file (see cat)"
        } else {
            "no such directory (see ls /)"
        };
        return Err(format!("/{dir}: {reason}"));
    }
    names.for_each(|name| kprintln!("{name}"));
    Ok(())
}

/// Prints a file.
pub fn print(path: &str) -> Result<(), String> {
    let name = path.trim_start_matches('/');
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
    match content(name) {
        Some(text) => {
            console::write_bytes(text.as_bytes());
            Ok(())
        }
        None => Err(format!("{path}: no such file (see ls)")),
    }
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

fn content(name: &str) -> Option<String> {
    match name {
        "proc/modules" => Some(proc_modules()),
        "proc/kallsyms" => Some(kallsyms()),
        "proc/exports" => Some(proc_exports()),
        _ => {
            if let Some(file) = name.strip_prefix(TRACING).and_then(|rest| rest.strip_prefix('/')) {
                return trace_file(file);
            }
            if let Some(rest) = name.strip_prefix(livepatch::sysfs::DIR) {
                return livepatch::sysfs::read(rest);
            }
            let (module, rest) = name.strip_prefix("sys/module/")?.split_once('/')?;
            let module = modules::find(module)?;
            match rest {
                "refcnt" => Some(format!("{}\n", module.users().len())),
                "coresize" => Some(format!("{}\n", module.size())),
                _ => {
                    let wanted = rest.strip_prefix("sections/")?;
                    let mut sections = module.sections();
                    let section = sections.find(|section| section.name == wanted)?;
                    Some(format!("{:#018x}\n", section.addr.0))
                }
            }
        }
    }
}

/// As Linux prints it: name, bytes, use count, users, state, address.
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

/// What modules may import: address, name, and the module that it is of.
fn proc_exports() -> String {
    let mut text = String::new();
    for export in exports::table() {
        let _ = writeln!(text, "{:016x} {}", export.addr.0, export.name);
    }
    for module in modules::all().iter().filter(|module| !module.options.link_only) {
        for export in &module.linked().exports {
            let _ = writeln!(text, "{:016x} {}\t[{}]", export.addr.0, export.name, module.name);
        }
    }
    text
}

/// As Linux prints it: address, type, name, module.
fn kallsyms() -> String {
    let mut text = String::new();
    for found in ksyms::all() {
        let letter = if found.kind == crate::ksyms::Kind::Text { 't' } else { 'd' };
        let _ =
            writeln!(text, "{:016x} {letter} {}", ksyms::address_of(&found).0, found.name.as_str());
    }
    for module in modules::all() {
        for function in module.functions() {
            let global = function.symbol >= module.object().first_global();
            let letter = if global { 'T' } else { 't' };
            let at = module.address(function.at).0;
            let _ = writeln!(
                text,
                "{at:016x} {letter} {}\t[{}]",
                module.readable_name(function.symbol),
                module.name
            );
        }
    }
    text
}

fn trace_file(file: &str) -> Option<String> {
    let mut text = String::new();
    match file {
        "available_tracers" => text.push_str("function_graph function nop\n"),
        "current_tracer" => {
            let on = tracing::filter_words().is_some();
            let _ = writeln!(text, "{}", if on { graph::tracer_name() } else { "nop" });
        }
        "available_filter_functions" | "enabled_functions" => {
            for (name, row) in tracing::own_rows(None) {
                if file == "available_filter_functions" {
                    let _ = writeln!(text, "{name}");
                } else if row.state != SiteState::OFF {
                    let _ = writeln!(text, "{name} {}", row.state);
                }
            }
            for (module, name, row) in tracing::rows(None).ok()? {
                if file == "available_filter_functions" {
                    let _ = writeln!(text, "{name} [{}]", module.name);
                } else if row.state != SiteState::OFF {
                    let _ = writeln!(text, "{name} [{}] {}", module.name, row.state);
                }
            }
        }
        "set_ftrace_filter" => {
            let words = tracing::pending_words();
            if words.is_empty() {
                text.push_str("#### all functions enabled ####\n");
            }
            words.iter().for_each(|word| text.push_str(&format!("{word}\n")));
        }
        "trace" => tracing::show(|piece| text.push_str(piece)),
        _ => return knobs::read(file),
    }
    Some(text)
}

/// Writes text to a control file.
pub fn write(path: &str, text: &[u8], append: bool) -> Result<(), Failure> {
    let name = path.trim_start_matches('/');
    let text = String::from_utf8_lossy(text);
    let word = text.trim();
    if let Some(file) = name.strip_prefix(TRACING).and_then(|rest| rest.strip_prefix('/')) {
        return Ok(write_trace(path, file, word, append)?);
    }
    if let Some(rest) = name.strip_prefix(livepatch::sysfs::DIR)
        && let Some(done) = livepatch::sysfs::write(rest, word)
    {
        return done;
    }
    if let Some((module, parameter)) = parameter(name)
        && let Some(written) =
            params::write(&module, parameter, text.strip_suffix('\n').unwrap_or(&text))
    {
        let refused = |why| Failure::Refused(format!("{path}: {why}"));
        return written.map_err(|failure| match failure {
            Failure::Refused(why) => refused(why),
            oops => oops,
        });
    }
    let reason =
        if content(name).is_some() || shown_by(name).is_some() || initrd::find(name).is_some() {
            "cannot be written"
        } else {
            "no such file (see ls)"
        };
    Err(format!("{path}: {reason}").into())
}

fn write_trace(path: &str, file: &str, word: &str, append: bool) -> Result<(), String> {
    let words = || word.split_ascii_whitespace().map(ToString::to_string).collect::<Vec<_>>();
    match (file, word) {
        ("current_tracer", "function" | "function_graph") => {
            graph::choose(if word == "function" { Tool::Function } else { Tool::Graph })?;
            tracing::on_again().map(|_| ())
        }
        ("current_tracer", "nop") => tracing::off(),
        ("current_tracer", _) => {
            Err(format!("{path}: no such tracer: {word} (see available_tracers)"))
        }
        ("set_ftrace_filter", _) => tracing::set_words(words(), append),
        ("trace", "") => {
            super::records::clear();
            Ok(())
        }
        ("trace", _) => Err(format!("{path}: only an empty text clears it")),
        _ if knobs::FILES.contains(&file) => {
            let done = knobs::write(file, word).unwrap_or(Ok(()));
            done.map_err(|why| format!("{path}: {why}"))
        }
        _ if TRACING_FILES.contains(&file) => Err(format!("{path}: cannot be written")),
        _ => Err(format!("{path}: no such file (see ls)")),
    }
}
