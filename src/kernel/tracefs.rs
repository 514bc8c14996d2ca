//! The files under `/sys/kernel/tracing`: what each prints, what a write does.
//!
//! ```text
//!   echo 'scsi_*' > set_ftrace_filter          tracing.rs, trace/sites/choice.rs
//!   echo function > current_tracer             tracing.rs
//!   cat trace; echo 0 > tracing_on             records.rs
//!   echo crc7_be > set_graph_function          graph.rs
//! ```
//!
//! [`FILES`] is the table. Names, words and output are Linux's; `docs/tracing.md`
//! says where Tocsin differs and why.
//!
//! # References
//! Linux, Documentation/trace/ftrace.rst, "The File System".

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use super::graph::{self, Which as List};
use super::probes;
use super::records;
use super::tab;
use super::tracing::{self, Which};
use crate::machine::probes::task_of;
use crate::machine::smp;
use crate::patch::state::SiteState;
use crate::trace::options::Options;
use crate::trace::sites::Row;

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
        tracing::everything().iter().for_each(|(name, _)| line(out, name));
    }),
    shown("available_tracers", "the words that current_tracer takes", |out| out("function_graph function nop\n")),
    set("buffer_size_kb", "KiB of each CPU's ring; another size keeps the latest lines (65536)",
        |out| line(out, &records::size_kib()), |text, _| records::resize(number(text)?)),
    set("current_tracer", "what records: function, function_graph or nop; another one clears",
        |out| line(out, &if tracing::is_on() { graph::tracer_name() } else { "nop" }), set_tracer),
    shown("enabled_functions", "functions whose call site is on (how many use it; I: replaced)", |out| {
        let rows = tracing::everything();
        let on = rows.iter().filter(|(_, row)| row.state != SiteState::OFF);
        on.for_each(|(function, row)| out(&enabled(function, row)));
    }),
    set("error_log", "why the last lines of kprobe_events were refused; any write clears it",
        |out| out(&probes::error_log(records::clock())), |_, _| {
            probes::clear_errors();
            Ok(())
        }),
    set("kprobe_events", "probes: p:EVENT FUNCTION ARG..., r: at its return, -:EVENT; >> adds",
        |out| out(&probes::listed()), probes::write),
    shown("kprobe_profile", "how often each probe was hit, and returns it had no room for",
        |out| out(&probes::profile())),
    set("max_graph_depth", "how deep function_graph follows calls; 0: as deep as there is room",
        |out| line(out, &graph::max_depth()), |text, _| graph::set_max_depth(number(text)?)),
    shown("saved_cmdlines", "what runs on each CPU, by the numbers that the trace has", |out| {
        for cpu in smp::cpus() {
            line(out, &format_args!("{} {}", cpu.number + 1, task_of(cpu.number)));
        }
    }),
    set("set_ftrace_filter", "the functions to trace; >> adds, ! takes out, nothing means all",
        |out| filter(out, Which::Filter), |text, append| write_filter(Which::Filter, text, append)),
    set("set_ftrace_notrace", "functions not to trace, whatever the filter says",
        |out| filter(out, Which::Notrace), |text, append| write_filter(Which::Notrace, text, append)),
    set("set_ftrace_pid", "whose calls alone are traced (numbers of saved_cmdlines); nothing: all",
        |out| out(&graph::pids()), graph::set_pids),
    set("set_graph_function", "where alone function_graph begins; nothing means everywhere",
        |out| out(&graph_words(List::Roots, ALL)), |text, append| graph::set_words(List::Roots, text, append)),
    set("set_graph_notrace", "functions that function_graph leaves out, with what they call",
        |out| out(&graph_words(List::Mute, NONE)), |text, append| graph::set_words(List::Mute, text, append)),
    set("trace", "what was recorded; any write clears it", |out| tracing::show(None, out), |_, _| {
        records::clear(None);
        Ok(())
    }),
    set("trace_clock", "the clock of the records: both are the time base, the same on all CPUs",
        clocks, set_clock),
    File { name: "trace_marker", help: "what is written becomes a line of the trace",
        read: None, write: Some(mark) },
    set("trace_options", "switches of the text, also as options/NAME; no before a name: off",
        |out| out(&records::options().listed()), set_option),
    shown("trace_pipe", "what was recorded, which is taken out by reading it",
        |out| records::take(None, out)),
    set("tracing_on", "1: what is traced is recorded; 0: it is not",
        |out| out(one_or_zero(records::recording())), |text, _| {
        records::set_recording(switch(text)?);
        Ok(())
    }),
];

/// The files of each CPU, in `per_cpu/cpuN`.
#[rustfmt::skip]
static CPU_FILES: &[CpuFile] = &[
    CpuFile { name: "stats", help: "counts of one CPU: written = entries + overrun + dropped + read",
        read: |cpu, out| out(&records::stats(cpu)), clears: false },
    CpuFile { name: "trace", help: "what one CPU recorded; any write clears it",
        read: |cpu, out| tracing::show(Some(cpu), out), clears: true },
    CpuFile { name: "trace_pipe", help: "the same, taken out by reading it",
        read: |cpu, out| records::take(Some(cpu), out), clears: false },
];

/// One file of a CPU.
struct CpuFile {
    name: &'static str,
    help: &'static str,
    read: fn(u16, Out<'_>),
    /// A write clears what the CPU recorded.
    clears: bool,
}

/// What a path leads to.
enum Found {
    Plain(&'static File),
    OfCpu(u16, &'static CpuFile),
    Switch(Options),
    /// Below `events`.
    Event(String),
}

fn find(path: &str) -> Result<Found, &'static str> {
    if let Some(file) = FILES.iter().find(|file| file.name == path) {
        return Ok(Found::Plain(file));
    }
    found_below(path).ok_or("no such file (see ls)")
}

#[optimize(size)]
#[inline(never)] // the tracer is switched on without it
fn found_below(path: &str) -> Option<Found> {
    if let Some(name) = path.strip_prefix("options/") {
        Options::named(name).map(Found::Switch)
    } else if let Some(rest) = path.strip_prefix("events/") {
        probes::read(rest).map(|_| Found::Event(rest.to_string()))
    } else if let Some(rest) = path.strip_prefix("per_cpu/cpu") {
        rest.split_once('/').and_then(|(number, name)| {
            let cpu = smp::cpus().into_iter().find(|cpu| cpu.number.to_string() == number)?;
            let file = CPU_FILES.iter().find(|file| file.name == name)?;
            Some(Found::OfCpu(cpu.number, file))
        })
    } else {
        None
    }
}

/// Hands over the paths of all files, below [`DIRECTORY`].
pub fn paths(out: &mut dyn FnMut(fmt::Arguments<'_>)) {
    FILES.iter().for_each(|file| out(format_args!("{}", file.name)));
    Options::names().for_each(|name| out(format_args!("options/{name}")));
    probes::paths(&mut |path| out(format_args!("events/{path}")));
    for cpu in smp::cpus() {
        for file in CPU_FILES {
            out(format_args!("per_cpu/cpu{}/{}", cpu.number, file.name));
        }
    }
}

/// Prints a file.
#[optimize(size)]
pub fn read(path: &str, out: Out<'_>) -> Done {
    match find(path)? {
        Found::Plain(file) => file.read.ok_or("can only be written")?(out),
        Found::OfCpu(cpu, file) => (file.read)(cpu, out),
        Found::Switch(option) => {
            out(one_or_zero(records::options().contains(option)));
        }
        Found::Event(path) => out(&probes::read(&path).unwrap_or_default()),
    }
    Ok(())
}

/// Writes to a file what stood behind `echo`.
#[optimize(size)]
pub fn write(path: &str, text: &str, append: bool) -> Done {
    match find(path)? {
        Found::Plain(file) => file.write.ok_or("cannot be written")?(text, append),
        Found::OfCpu(cpu, file) if file.clears => {
            records::clear(Some(cpu));
            Ok(())
        }
        Found::OfCpu(..) => Err("cannot be written".to_string()),
        Found::Switch(option) => {
            let mut options = records::options();
            options.set(option, switch(text)?);
            graph::set_options(options)
        }
        Found::Event(path) => probes::write_file(&path, text, switch),
    }
}

/// Hands over a line.
#[inline(never)]
fn line(out: Out<'_>, what: &dyn fmt::Display) {
    out(&format!("{what}\n"));
}

/// What a switch shows.
fn one_or_zero(on: bool) -> &'static str {
    if on { "1\n" } else { "0\n" }
}

#[optimize(size)]
fn number(text: &str) -> Result<usize, String> {
    let word = text.trim_ascii();
    word.parse().map_err(|_| format!("takes a number, not {word}"))
}

/// `0` or `1`.
#[optimize(size)]
fn switch(text: &str) -> Result<bool, String> {
    match text.trim_ascii() {
        "0" => Ok(false),
        "1" => Ok(true),
        word => Err(format!("takes 0 or 1, not {word}")),
    }
}

#[optimize(size)]
fn readme(out: Out<'_>) {
    out("Files of the tracer: cat FILE shows, echo WORDS > FILE sets, >> adds.\n");
    FILES.iter().for_each(|file| line(out, &format_args!("  {:<28} {}", file.name, file.help)));
    for file in CPU_FILES {
        line(out, &format_args!("  per_cpu/cpuN/{:<15} {}", file.name, file.help));
    }
    for (head, words) in [
        (None, &EVENT_FILES[..]),
        (Some("kprobe_events"), &PROBE_WORDS),
        (Some("set_ftrace_filter"), &WORDS),
    ] {
        head.iter().for_each(|head| out(&format!("Words of {head}:\n")));
        words.iter().for_each(|(word, help)| line(out, &format_args!("  {word:<28} {help}")));
    }
}

/// What `README` says of the files of an event.
const EVENT_FILES: [(&str, &str); 3] = [
    ("events/GROUP/EVENT/enable", "1: the probe is on; also events/GROUP/enable"),
    (
        "events/GROUP/EVENT/filter",
        "what its values must be: arg1 > 5 && !(name ~ \"a*\"); 0: anything",
    ),
    ("events/GROUP/EVENT/format", "the fields of its records"),
];

/// What `README` says of probes.
const PROBE_WORDS: [(&str, &str); 9] = [
    ("p[:[GROUP/]EVENT] [MOD:]NAME", "a probe where NAME begins"),
    ("r[MAX][:EVENT] [MOD:]NAME", "a probe where it returns"),
    ("-:[GROUP/]EVENT", "takes one away that is off"),
    ("[ARG=]$argN  $retval  %rN", "an argument, the result, a register (%nip, %link, %ctr)"),
    ("+8($arg1)  -8(+0($arg1))", "memory at an address; (fault) if there is none"),
    ("@SYMBOL[+N]  $stackN", "memory at a symbol; the Nth word of the stack"),
    ("\\N  \\\"TEXT\"  $comm", "a number, a text, what runs"),
    (":u8 ... :u64  :s32  :x16", "how it is shown: in tens, with a sign, in hexadecimal"),
    (":string  :symbol", "bytes up to a NUL; a name for an address"),
];

/// What `README` says of words.
const WORDS: [(&str, &str); 8] = [
    ("NAME  n?m*  [a-f]*", "functions by name or glob"),
    ("12", "the function on that line of available_filter_functions"),
    ("NAME:mod:MOD  :mod:MOD", "functions of a module; waits for it if it is not loaded"),
    ("NAME:mod:!MOD", "functions that are not of the module"),
    ("MOD:NAME", "Tocsin's own form of NAME:mod:MOD"),
    ("!WORD", "takes out what the word means"),
    ("NAME:traceoff  NAME:traceon:3", "recording stops, or begins, when NAME is called (3 times)"),
    ("NAME:stacktrace", "who called NAME becomes a line of the trace"),
];

/// The clock was asked for as `global`. On POWER it is the time base under either
/// name, which is the same on every CPU.
static GLOBAL: AtomicBool = AtomicBool::new(false);

fn clocks(out: Out<'_>) {
    let global = GLOBAL.load(Ordering::Relaxed);
    out(if global { "local [global]\n" } else { "[local] global\n" });
}

#[optimize(size)]
fn set_clock(text: &str, _: bool) -> Done {
    let global = match text.trim_ascii() {
        "local" => false,
        "global" => true,
        word => return Err(format!("no such clock: {word} (see cat trace_clock)")),
    };
    GLOBAL.store(global, Ordering::Relaxed);
    records::clear(None); // as on Linux, where the times would not fit together
    Ok(())
}

#[optimize(size)]
fn mark(text: &str, _: bool) -> Done {
    if !records::options().contains(Options::MARKERS) {
        return Err("switched off (options/markers)".to_string());
    }
    let end = if text.ends_with('\n') { "" } else { "\n" };
    records::note(format!("{}{text}{end}", records::MARK))
}

/// Switches the options that words name on, or off, all or none: `trace_options`.
#[optimize(size)]
pub fn set_option(text: &str, _: bool) -> Done {
    let mut options = records::options();
    for word in text.split_ascii_whitespace() {
        let refused = || {
            let meant = tab::meant(tab::Kind::Switch, word);
            format!("no such option: {word} ({meant}see cat trace_options)")
        };
        options = options.with(word).ok_or_else(refused)?;
    }
    graph::set_options(options)
}

/// As Linux prints it: the function, how many use its site, and a letter for each
/// thing that is special: `R`, whole registers are kept (never here); `I`, calls go
/// to another function; `D`, straight to it (never here).
fn enabled(function: &str, row: &Row) -> String {
    let replaced = row.state.contains(SiteState::REDIRECTED);
    let users = tracing::users(row.id) + usize::from(replaced);
    let letter = if replaced { " I" } else { "  " };
    format!("{function} ({users})  {letter}  \n")
}

#[optimize(size)]
fn set_tracer(text: &str, _: bool) -> Done {
    match text.trim_ascii() {
        word @ ("function" | "function_graph") => {
            graph::choose(word == "function_graph")?;
            tracing::on_again().map(|_| ())
        }
        "nop" => tracing::off(true),
        word => Err(format!("no such tracer: {word} (see available_tracers)")),
    }
}

/// What a list shows while nobody has chosen: of what is meant, and of what is not.
const ALL: &str = "#### all functions enabled ####\n";
const NONE: &str = "#### no functions disabled ####\n";

/// The words of a list of the graph tracer, one a line, or what stands for none.
fn graph_words(list: List, none: &str) -> String {
    let words = graph::words(list);
    if words.is_empty() { none.to_string() } else { words.join("\n") + "\n" }
}

#[optimize(size)]
fn filter(out: Out<'_>, which: Which) {
    let (chosen, waiting) = tracing::chosen(which);
    match chosen {
        None if which == Which::Filter => out(ALL),
        None => out(NONE),
        Some(rows) => rows.iter().for_each(|(name, _)| line(out, name)),
    }
    waiting.iter().for_each(|word| line(out, word));
    if which == Which::Filter {
        for (function, action, limit) in tracing::triggers() {
            line(out, &format_args!("{function}:{}:{limit}", action.name()));
        }
    }
}

fn write_filter(which: Which, text: &str, append: bool) -> Done {
    tracing::write_filter(which, text, append)
}
