//! One line of a trace, as Linux and Tocsin print it.
//!
//! ```text
//!             sh-42      [001] d..1.     1.106294: callee <-caller      function
//!  0) + 10.006 us   |    callee [module]() {                           function_graph
//!     1.706280 |   0)     sh-42      |   3.750 us    |  callee();     ... with all columns
//!  0)     sh-42      =>     init-1                                    CPU 0 goes to another task
//! ```
//!
//! A line is told by its own form, not by the header: a console puts lines of its own
//! anywhere. What has no form of these is [`Line::Noise`].
//!
//! # Invariants
//! - Nothing is believed to be there: no index without a check, no number that
//!   overflows.
//! - `trace_options` may add columns (`funcgraph-abstime`, `-proc`, `-irqs`, `-tail`,
//!   `record-tgid`) or leave the CPU out. Without `funcgraph-duration`, and with
//!   `latency-format` for the function tracer, lines are noise.
//!
//! # References
//! Documentation/trace/ftrace.rst; tests/fixtures/trace has what Debian's 6.1 printed.

/// Calls in calls that are followed; Linux itself stops at 50.
pub const DEEPEST: usize = 1000;

/// Who ran: `sh-42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task<'t> {
    /// Its name.
    pub name: &'t str,
    /// Its number.
    pub pid: u32,
}

impl<'t> Task<'t> {
    /// Reads `name-pid`; the name may have dashes and blanks of its own.
    fn parse(text: &'t str) -> Option<Self> {
        let (name, pid) = text.trim().rsplit_once('-')?;
        let pid = digits(pid)?.parse().ok()?;
        (!name.is_empty()).then_some(Self { name, pid })
    }
}

/// What a line of the function tracer, or of an event, tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'t> {
    /// Who.
    pub task: Task<'t>,
    /// On which CPU.
    pub cpu: u32,
    /// When, in nanoseconds.
    pub at: i64,
    /// What.
    pub what: What<'t>,
}

/// What was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'t> {
    /// A function was entered; nobody knows from where if there is no caller.
    Entry { callee: &'t str, caller: Option<&'t str> },
    /// Something else, such as a probe: all of its text.
    Event(&'t str),
}

/// What a line of the graph tracer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graph<'t> {
    /// When, in nanoseconds, with `funcgraph-abstime`.
    pub at: Option<i64>,
    /// On which CPU; 0 with `nofuncgraph-cpu`.
    pub cpu: u32,
    /// Who, with `funcgraph-proc`.
    pub task: Option<Task<'t>>,
    /// Nanoseconds that the call took, where the line is a call's last.
    pub took: Option<i64>,
    /// How many calls it lies in.
    pub depth: usize,
    /// Which part of a call.
    pub part: Part<'t>,
}

/// A part of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'t> {
    /// All of it: `f();`
    Whole(&'t str),
    /// `f() {`
    Begin(&'t str),
    /// `}`, or `} /* f */`
    End(Option<&'t str>),
    /// `/* text */`: an event between calls.
    Comment(&'t str),
    /// An interrupt's arrow.
    Arrow,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'t> {
    /// `# tracer: NAME`: a new trace.
    Tracer(&'t str),
    /// Another line that belongs to a trace and tells nothing.
    Frame,
    /// From here on this CPU's records are complete; some before it are gone.
    Lost { cpu: u32 },
    /// Another task runs from here on.
    Switch { cpu: u32, from: Task<'t>, to: Task<'t> },
    /// Of the function tracer.
    Record(Record<'t>),
    /// Of the graph tracer.
    Graph(Graph<'t>),
    /// No line of a trace.
    Noise,
}

impl<'t> Line<'t> {
    /// Reads a line, without its end.
    pub fn parse(text: &'t str) -> Self {
        let text = text.trim_end_matches(['\r', '\n']);
        if let Some(name) = text.strip_prefix("# tracer: ") {
            return Self::Tracer(name.trim());
        }
        if let Some(cpu) = lost(text) {
            return Self::Lost { cpu };
        }
        let trimmed = text.trim();
        if trimmed.is_empty() || text.starts_with('#') || trimmed.bytes().all(|b| b == b'-') {
            return Self::Frame;
        }
        switch(text)
            .or_else(|| record(text).map(Self::Record))
            .or_else(|| graph(text).map(Self::Graph))
            .unwrap_or(Self::Noise)
    }
}

/// `text`, if it is digits and nothing else.
fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// `12.345` in units of `unit` nanoseconds; a number without a point (another
/// `trace_clock`) is taken for microseconds.
fn nanos(text: &str, unit: i64) -> Option<i64> {
    let Some((whole, fraction)) = text.split_once('.') else {
        return digits(text)?.parse::<i64>().ok()?.checked_mul(1000);
    };
    let whole = digits(whole)?.parse::<i64>().ok()?.checked_mul(unit)?;
    let mut part = unit;
    let mut sum = 0;
    for digit in digits(fraction)?.bytes() {
        part /= 10;
        sum += part * i64::from(digit - b'0');
    }
    whole.checked_add(sum)
}

/// `##### CPU 1 buffer started ####`, or `CPU:1 [LOST 12 EVENTS]`.
fn lost(text: &str) -> Option<u32> {
    let text = text.trim();
    let number = if let Some(rest) = text.strip_prefix("##### CPU ") {
        rest.strip_suffix(" buffer started ####")?
    } else {
        text.strip_prefix("CPU:")?.split_once(" [LOST ")?.0
    };
    digits(number)?.parse().ok()
}

fn switch(text: &str) -> Option<Line<'_>> {
    let (cpu, tasks) = text.trim_start().split_once(')')?;
    let (from, to) = tasks.split_once("=>")?;
    let cpu = digits(cpu)?.parse().ok()?;
    Some(Line::Switch { cpu, from: Task::parse(from)?, to: Task::parse(to)? })
}

fn record(text: &str) -> Option<Record<'_>> {
    // A task's name may have brackets: the CPU is the first number in some.
    let (before, cpu, after) = text.match_indices(" [").find_map(|(at, _)| {
        let (number, after) = text.get(at + 2..)?.split_once("] ")?;
        Some((text.get(..at)?, digits(number)?, after))
    })?;
    let mut who = before.trim_end();
    if who.ends_with(')') {
        who = &who[..who.rfind('(')?]; // record-tgid
    }
    let (columns, what) = after.split_once(": ")?;
    let at = nanos(columns.split_whitespace().next_back()?, 1_000_000_000)?;
    let what = match what.split_once(" <-") {
        // A return probe has a blank behind its arrow.
        Some((callee, caller)) if !caller.starts_with(' ') => {
            What::Entry { callee: name(callee), caller: Some(name(caller)) }
        }
        None if !what.contains(' ') && !what.contains(':') => {
            What::Entry { callee: name(what), caller: None }
        }
        _ => What::Event(what.trim()),
    };
    Some(Record { task: Task::parse(who)?, cpu: cpu.parse().ok()?, at, what })
}

/// A function's name without its arguments and offset.
fn name(text: &str) -> &str {
    let text = text.trim();
    let text = text.split_once("+0x").map_or(text, |(name, _)| name);
    if !text.ends_with(')') {
        return text;
    }
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate().rev() {
        match byte {
            b')' => open += 1,
            b'(' => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            return text[..at].trim_end();
        }
    }
    text
}

fn graph(text: &str) -> Option<Graph<'_>> {
    let mut found = Graph { at: None, cpu: 0, task: None, took: None, depth: 0, part: Part::Arrow };
    let mut rest = text;
    loop {
        let (field, after) = rest.split_once('|')?;
        rest = after;
        let mut field = field.trim();
        if let Some((cpu, others)) = field.split_once(')')
            && let Some(cpu) = digits(cpu)
        {
            found.cpu = cpu.parse().ok()?;
            field = others.trim();
        }
        if matches!(field, "==========>" | "<==========") {
            return Some(found);
        } else if let Some(took) = field.strip_suffix(" us") {
            let took = took.trim_start_matches(['+', '!', '#', '*', '@', '$']).trim_start();
            found.took = Some(nanos(took, 1000)?);
            break;
        } else if field.is_empty() {
            break;
        } else if field.contains('.') && nanos(field, 1_000_000_000).is_some() {
            found.at = nanos(field, 1_000_000_000);
        } else if let Some(task) = Task::parse(field) {
            found.task = Some(task);
        } else if !(4..=6).contains(&field.len()) || field.contains(' ') {
            return None;
        }
    }
    let call = rest.trim_start_matches(' ');
    let indent = (rest.len() - call.len()).checked_sub(2)?;
    found.depth = (indent / 2 < DEEPEST).then_some(indent / 2)?;
    found.part = part(call.trim_end())?;
    Some(found)
}

fn part(text: &str) -> Option<Part<'_>> {
    if text.starts_with("/*") {
        let inner = text.strip_prefix("/*")?.trim_end();
        return Some(Part::Comment(inner.strip_suffix("*/").unwrap_or(inner).trim()));
    }
    if let Some(rest) = text.strip_prefix('}') {
        let rest = rest.trim();
        let inner = if rest.is_empty() { "" } else { text_of_comment(rest)? };
        // Later kernels add what was returned: `/* f = 0x0 */`, `/* = 0x0 */`.
        let named = inner.split("ret=").next().unwrap_or("").split(" = ").next().unwrap_or("");
        let named = if named.starts_with('=') { "" } else { named.trim() };
        return Some(Part::End((!named.is_empty()).then_some(named)));
    }
    let text = match text.rfind(" /*") {
        Some(at) if text_of_comment(text.get(at + 1..)?).is_some() => &text[..at],
        _ => text,
    };
    if let Some(head) = text.strip_suffix('{') {
        return head.trim_end().ends_with(')').then(|| Part::Begin(name(head)));
    }
    let head = text.strip_suffix(';')?;
    head.ends_with(')').then(|| Part::Whole(name(head)))
}

fn text_of_comment(text: &str) -> Option<&str> {
    Some(text.strip_prefix("/*")?.strip_suffix("*/")?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh() -> Task<'static> {
        Task { name: "my-sh", pid: 42 }
    }

    #[test]
    fn a_function_line_is_read_with_every_column_that_may_be_there() {
        let expected = Record {
            task: sh(),
            cpu: 1,
            at: 1_106_294_000,
            what: What::Entry { callee: "f", caller: Some("g") },
        };
        for text in [
            "           my-sh-42      [001] d..1.     1.106294: f <-g",
            "my-sh-42 [001] .... 1.106294: f <-g\r",
            "           my-sh-42      [001]     1.106294: f <-g",
            "           my-sh-42      (-------) [001] .....     1.106294: f <-g",
            "           my-sh-42      (     42) [001] .....     1.106294: f+0x8/0x20 <-g+0x1c/0x30",
            "           my-sh-42      [001] .....     1.106294: f(a=1, b=(2)) <-g",
        ] {
            assert_eq!(Line::parse(text), Line::Record(expected), "{text}");
        }
    }

    #[test]
    fn a_function_line_without_a_caller_is_a_call_and_a_probe_is_an_event() {
        fn what(text: &str) -> What<'_> {
            match Line::parse(text) {
                Line::Record(record) => record.what,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(what("my-sh-42 [001] ..... 1.0: f"), What::Entry { callee: "f", caller: None });
        let probe = what("my-sh-42 [001] ..... 1.0: r0: (g+0x1c/0x30 <- f) a=0x1");
        assert_eq!(probe, What::Event("r0: (g+0x1c/0x30 <- f) a=0x1"));
        let rust = what("s-1 [001] ..... 1.0: <a::B as c::D>::e <-<f::G>::h::{closure#0}");
        let (callee, caller) = ("<a::B as c::D>::e", Some("<f::G>::h::{closure#0}"));
        assert_eq!(rust, What::Entry { callee, caller });
    }

    #[test]
    fn a_graph_line_is_read_with_every_column_that_may_be_there() {
        let part = Part::Whole("f [m]");
        let plain = Graph { at: None, cpu: 3, task: None, took: Some(3_750), depth: 2, part };
        let (at, task) = (Some(1_706_280_000), Some(sh()));
        for (text, expected) in [
            (" 3)   3.750 us    |      f [m]();", plain),
            (" 3) + 3.750 us    |      f [m](a=1); /* = 0x0 */", plain),
            (" 3)   3.75 us    |      f [m]();", plain),
            ("   3.750 us    |      f [m]();", Graph { cpu: 0, ..plain }),
            ("    1.706280 |   3)   3.750 us    |      f [m]();", Graph { at, ..plain }),
            (" 3)    my-sh-42    |   3.750 us    |      f [m]();", Graph { task, ..plain }),
            (" 3)  d..1. |   3.750 us    |      f [m]();", plain),
            (
                "    1.706280 |   3)    my-sh-42    |  d..1. |   3.750 us    |      f [m]();",
                Graph { at, task, ..plain },
            ),
        ] {
            assert_eq!(Line::parse(text), Line::Graph(expected), "{text}");
        }
    }

    #[test]
    fn every_part_of_a_call_is_told_apart() {
        let part = |text: &'static str| match Line::parse(text) {
            Line::Graph(graph) => Some((graph.depth, graph.took, graph.part)),
            _ => None,
        };
        for (text, expected) in [
            (" 0)               |  f() {", Some((0, None, Part::Begin("f")))),
            (" 0) * 20587.19 us |            }", Some((5, Some(20_587_190), Part::End(None)))),
            (
                " 0) $ 1234567 us |  } /* f [m] */",
                Some((0, Some(1_234_567_000), Part::End(Some("f [m]")))),
            ),
            (" 0)   0.100 us    |  } /* f = 0x0 */", Some((0, Some(100), Part::End(Some("f"))))),
            (" 0)   0.100 us    |  } /* = 0x0 */", Some((0, Some(100), Part::End(None)))),
            (" 0)   0.100 us    |  } /* f ret=0x0 */", Some((0, Some(100), Part::End(Some("f"))))),
            (" 0)               |    /* a|b */", Some((1, None, Part::Comment("a|b")))),
            (" 0)   ==========> |", Some((0, None, Part::Arrow))),
            (" 0)               |  what", None),
            (" 0)   1.0 us    | f();", None),
            (" 0)   x us    |  f();", None),
        ] {
            assert_eq!(part(text), expected, "{text}");
        }
    }

    #[test]
    fn no_call_is_deeper_than_the_limit() {
        let line = |depth: usize| format!(" 0)   0.100 us    |  {}f();", "  ".repeat(depth));
        let deepest = line(DEEPEST - 1);
        assert!(matches!(Line::parse(&deepest), Line::Graph(it) if it.depth == DEEPEST - 1));
        assert_eq!(Line::parse(&line(DEEPEST)), Line::Noise);
    }

    #[test]
    fn lines_around_the_records_are_known() {
        for (text, expected) in [
            ("# tracer: function_graph", Line::Tracer("function_graph")),
            ("#           TASK-PID     CPU#", Line::Frame),
            (" ------------------------------------------", Line::Frame),
            ("", Line::Frame),
            (
                " 0)    my-sh-42    =>     init-1    ",
                Line::Switch { cpu: 0, from: sh(), to: Task { name: "init", pid: 1 } },
            ),
            ("##### CPU 2 buffer started ####", Line::Lost { cpu: 2 }),
            ("CPU:3 [LOST 12 EVENTS]", Line::Lost { cpu: 3 }),
            ("tocsin: ok", Line::Noise),
            ("> call demo:answer", Line::Noise),
            ("= 0x29", Line::Noise),
            ("[    0.000000] Linux version 6.1", Line::Noise),
            ("sh-42 [99999999999] ..... 1.0: f <-g", Line::Noise),
            ("sh-42 [001] ..... 99999999999999999999.0: f <-g", Line::Noise),
            ("| a | table |", Line::Noise),
        ] {
            assert_eq!(Line::parse(text), expected, "{text}");
        }
    }
}
