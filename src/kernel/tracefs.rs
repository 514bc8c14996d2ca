//! The files under `/sys/kernel/tracing`: what each prints, what a write does.
//!
//! ```text
//!   echo 'scsi_*' > set_ftrace_filter          tracing.rs, trace/sites/choice.rs
//!   echo function > current_tracer             tracing.rs
//!   cat trace                                  records.rs
//! ```
//!
//! [`FILES`] is the table. Names, words and output are Linux's; `docs/tracing.md`
//! says where Tocsin differs and why.
//!
//! # References
//! Linux, Documentation/trace/ftrace.rst, "The File System".

use alloc::format;
use alloc::string::{String, ToString};

use super::records;
use super::tracing::{self, NamedRow, Which};
use crate::patch::state::SiteState;

/// Where the files are, without the leading slash.
pub const DIRECTORY: &str = "sys/kernel/tracing";

/// Where a file's text goes, piece by piece.
type Out<'o> = &'o mut dyn FnMut(&str);
type Done = Result<(), String>;

/// One file.
struct File {
    name: &'static str,
    /// What it is for, in one line; `README` shows it.
    help: &'static str,
    read: Option<fn(Out<'_>)>,
    /// Takes what is written as it is, with its line end; `true` is `>>`.
    write: Option<fn(&str, bool) -> Done>,
}

/// A file that is only read.
const fn shown(name: &'static str, help: &'static str, read: fn(Out<'_>)) -> File {
    File { name, help, read: Some(read), write: None }
}

/// A file that is read and written.
const fn set(
    name: &'static str,
    help: &'static str,
    read: fn(Out<'_>),
    write: fn(&str, bool) -> Done,
) -> File {
    File { name, help, read: Some(read), write: Some(write) }
}

/// Every file, by name.
#[rustfmt::skip]
static FILES: &[File] = &[
    shown("README", "this text", readme),
    shown("available_filter_functions", "every function that can be traced, with its module", |out| {
        rows(out, |_| true, |row| format!("{}\n", function(row)));
    }),
    shown("available_tracers", "the words that current_tracer takes", |out| out("function nop\n")),
    set("current_tracer", "what records: function or nop", |out| {
        out(if tracing::is_on() { "function\n" } else { "nop\n" });
    }, set_tracer),
    shown("enabled_functions", "functions whose call site is on (how many use it; I: replaced)", |out| {
        rows(out, |row| row.2.state != SiteState::OFF, enabled);
    }),
    set("set_ftrace_filter", "the functions to trace; >> adds, ! takes out, nothing means all",
        |out| filter(out, Which::Filter), |text, append| write_filter(Which::Filter, text, append)),
    set("set_ftrace_notrace", "functions not to trace, whatever the filter says",
        |out| filter(out, Which::Notrace), |text, append| write_filter(Which::Notrace, text, append)),
    set("trace", "what was recorded; any write clears it", |out| tracing::show(out), |_, _| {
        records::clear();
        Ok(())
    }),
];

fn find(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

/// The paths of all files, below [`DIRECTORY`].
pub fn paths() -> impl Iterator<Item = String> {
    FILES.iter().map(|file| file.name.to_string())
}

/// Prints a file.
pub fn read(name: &str, mut out: impl FnMut(&str)) -> Done {
    let file = find(name).ok_or("no such file (see ls)")?;
    let read = file.read.ok_or("can only be written")?;
    read(&mut out);
    Ok(())
}

/// Writes to a file what stood behind `echo`.
pub fn write(name: &str, text: &str, append: bool) -> Done {
    let file = find(name).ok_or("no such file (see ls)")?;
    let write = file.write.ok_or("cannot be written")?;
    write(text, append)
}

fn readme(out: Out<'_>) {
    for file in FILES {
        out(&format!("{:<28} {}\n", file.name, file.help));
    }
}

/// `NAME [MOD]`.
fn function((module, name, _): &NamedRow) -> String {
    format!("{name} [{}]", module.name)
}

fn rows(out: Out<'_>, which: impl Fn(&NamedRow) -> bool, line: impl Fn(&NamedRow) -> String) {
    let rows = tracing::rows(None).unwrap_or_default();
    rows.iter().filter(|row| which(row)).for_each(|row| out(&line(row)));
}

/// As Linux prints it: the function, how many use its site, and a letter for each
/// thing that is special: `R`, whole registers are kept (never here); `I`, calls go
/// to another function; `D`, straight to it (never here).
fn enabled(row: &NamedRow) -> String {
    let state = row.2.state;
    let replaced = state.contains(SiteState::REDIRECTED);
    let users = u32::from(state.contains(SiteState::TRACED)) + u32::from(replaced);
    let letter = if replaced { " I" } else { "  " };
    format!("{} ({users})  {letter}  \n", function(row))
}

fn set_tracer(text: &str, _: bool) -> Done {
    match text.trim() {
        "function" => tracing::on_again().map(|_| ()),
        "nop" => tracing::off(),
        word => Err(format!("no such tracer: {word} (see available_tracers)")),
    }
}

fn filter(out: Out<'_>, which: Which) {
    let (chosen, waiting) = tracing::chosen(which);
    match chosen {
        None if which == Which::Filter => out("#### all functions enabled ####\n"),
        None => out("#### no functions disabled ####\n"),
        Some(rows) => rows.iter().for_each(|row| out(&format!("{}\n", function(row)))),
    }
    waiting.iter().for_each(|word| out(&format!("{word}\n")));
    if which == Which::Filter {
        for (row, action, limit) in tracing::triggers() {
            out(&format!("{}:{}:{limit}\n", function(&row), action.name()));
        }
    }
}

fn write_filter(which: Which, text: &str, append: bool) -> Done {
    tracing::write_filter(which, text, append)
}
