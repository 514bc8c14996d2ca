//! `tocsin-trace`: turns a captured trace into something to look at.
//!
//! ```text
//!  make run CMD='...; trace show' > x.txt
//!  tocsin-trace json  x.txt -o x.json     for https://ui.perfetto.dev
//!  tocsin-trace flame x.txt -o x.svg      a flame graph
//! ```
//!
//! | file | does |
//! |---|---|
//! | `line` | one line of text -> what it tells |
//! | `calls` | lines -> calls, with their callers and times |
//! | `chrome` | calls -> JSON of traceEvents |
//! | `flame` | calls -> stacks, picture, table |
//!
//! Reads the texts of Linux's `function` and `function_graph`, Tocsin's or a Linux's,
//! with whatever a console put around them. docs/traces.md shows a session.
#![forbid(unsafe_code)]

mod calls;
mod chrome;
mod flame;
mod line;
#[cfg(test)]
mod tests;

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use calls::Trace;

const USAGE: &str = "\
usage: tocsin-trace [COMMAND] FILE [-o FILE] [--title TEXT]

commands:
  summary  (or none) which functions were called how often, and how long they took
  json     traceEvents, for https://ui.perfetto.dev or chrome://tracing
  folded   one line a stack, as flame graph tools read it
  flame    a flame graph as SVG; --title TEXT is written above it

FILE is the text of a trace, from Tocsin (`trace show`, `cat /sys/kernel/tracing/trace`)
or from Linux, by the tracer function or function_graph; `-` is the standard input.
Lines of a console around it do no harm. Of several traces the last is taken.
-o FILE writes there instead of to the standard output.
The status is 0 if all went well, 1 if there is no trace in FILE, 2 for a wrong command
line or a file that cannot be read or written.
example: tocsin-trace flame x.txt -o x.svg";

/// What the command line asks for.
struct Request {
    command: String,
    file: String,
    out: Option<String>,
    title: Option<String>,
}

/// Why it cannot be done, and the status that says so.
struct Failed(u8, String);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match parse(&words).and_then(|request| run(&request)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(status, why)) => {
            eprintln!("tocsin-trace: {why}");
            ExitCode::from(status)
        }
    }
}

fn parse(words: &[String]) -> Result<Request, Failed> {
    let wrong = |why: String| Failed(2, format!("{why}\n{USAGE}"));
    let mut words = words.iter().peekable();
    let is_command = |word: &str| matches!(word, "summary" | "json" | "folded" | "flame");
    let command = words.next_if(|word| is_command(word)).map_or("summary", String::as_str);
    let mut request =
        Request { command: command.into(), file: String::new(), out: None, title: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or_else(|| wrong(format!("{word}: of what?")));
        match word.as_str() {
            "-h" | "--help" => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            "-o" | "--out" => request.out = Some(value()?),
            "--title" => request.title = Some(value()?),
            word if word.starts_with('-') && word != "-" => {
                return Err(wrong(format!("{word}: no such option")));
            }
            word if request.file.is_empty() => request.file = word.into(),
            word => return Err(wrong(format!("{word}: one FILE is enough"))),
        }
    }
    if request.file.is_empty() {
        return Err(wrong("no FILE".into()));
    }
    Ok(request)
}

fn run(request: &Request) -> Result<(), Failed> {
    let file = &request.file;
    let mut bytes = Vec::new();
    let read = match file.as_str() {
        "-" => std::io::stdin().lock().read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.map_err(|why| Failed(2, format!("{file}: {why}")))?;
    let text = String::from_utf8_lossy(&bytes);
    let trace = Trace::read(&text).map_err(|why| Failed(1, format!("{file}: {why}")))?;
    if trace.traces > 1 {
        eprintln!("tocsin-trace: {file}: {} traces; this is the last", trace.traces);
    }
    if trace.noise > 0 {
        eprintln!("tocsin-trace: {file}: {} lines among the records left out", trace.noise);
    }
    let made = make(request, &trace).map_err(|why| Failed(1, format!("{file}: {why}")))?;
    let Some(path) = &request.out else {
        // A closed pipe ends the program, and is nobody's fault.
        let _ = std::io::stdout().lock().write_all(&made);
        return Ok(());
    };
    std::fs::write(path, made).map_err(|why| Failed(2, format!("{path}: {why}")))
}

/// The bytes that a command makes of a trace.
fn make(request: &Request, trace: &Trace) -> Result<Vec<u8>, String> {
    let title = || {
        let tracer = trace.tracer.as_deref().unwrap_or("trace");
        request.title.clone().unwrap_or_else(|| tracer.to_string())
    };
    Ok(match request.command.as_str() {
        "json" => chrome::text(trace).into_bytes(),
        "folded" => flame::folded(trace)
            .iter()
            .flat_map(|line| [line, "\n"].concat().into_bytes())
            .collect(),
        "flame" => flame::svg(trace, &title())?,
        _ => flame::summary(trace).into_bytes(),
    })
}
