//! The graph tracer's records to text: what `cat trace` shows on Linux 6.1 with
//! `function_graph` as the tracer.
//!
//! ```text
//!  0)               |  selfcheck [demo]() {
//!  0)   0.512 us    |    answer [demo]();          a call in which nothing else was traced
//!  0) + 12.250 us   |  }                           + ten microseconds, ! a hundred, # a thousand ...
//!  1)   0.100 us    |  } /* nine [demo] */         its beginning is no longer in the ring
//! ```
//!
//! A call has two records, one of its beginning and one of its end. Two that follow
//! each other in their CPU's ring become one line, at the time of the first.
//!
//! # Invariants
//! - Programs written for Linux's text read ours: every space counts.
//! - The state of a [`Screen`] is what has been printed as open; a brace without a
//!   name closes the function that was opened last at its depth on its CPU.
//!
//! # References
//! Documentation/trace/ftrace.rst, "function graph tracer", for the columns and the
//! marks; the format strings in Debian's `vmlinux` of 6.1.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::decode::{Clock, Names};
use super::record::{Kind, Record};
use crate::addr::Vaddr;

/// The most depths of which it is remembered what was opened there; Linux has a stack
/// of as many.
const OPEN_MAX: usize = 256;

/// What of a line is shown (`trace_options`' `funcgraph-*`), as Linux has it at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The number of the CPU.
    pub cpu: bool,
    /// How long it took.
    pub duration: bool,
    /// The mark for what took long.
    pub overhead: bool,
    /// The time of day, or of the machine.
    pub abstime: bool,
    /// The function's name behind every closing brace.
    pub tail: bool,
}

impl Options {
    /// As Linux has them at first.
    pub const LINUX: Self =
        Self { cpu: true, duration: true, overhead: true, abstime: false, tail: false };
}

impl Default for Options {
    fn default() -> Self {
        Self::LINUX
    }
}

/// The lines before the first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header(pub Options);

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { cpu, duration, abstime, .. } = self.0;
        let columns = |f: &mut fmt::Formatter<'_>, words: [&str; 4]| {
            let shown = [abstime, cpu, duration, true];
            f.write_str("#")?;
            words
                .iter()
                .zip(shown)
                .filter(|(_, shown)| *shown)
                .try_for_each(|it| f.write_str(it.0))?;
            writeln!(f)
        };
        f.write_str("# tracer: function_graph\n#\n")?;
        columns(f, ["     TIME       ", " CPU", "  DURATION   ", "               FUNCTION CALLS"])?;
        columns(f, ["      |         ", " |  ", "   |   |      ", "               |   |   |   |"])
    }
}

/// The marks of durations above so many nanoseconds.
const MARKS: [(u64, char); 6] = [
    (1_000_000_000, '$'),
    (100_000_000, '@'),
    (10_000_000, '*'),
    (1_000_000, '#'),
    (100_000, '!'),
    (10_000, '+'),
];

/// Digits of the largest of so many CPUs' numbers.
fn digits(cpus: u32) -> usize {
    cpus.saturating_sub(1).checked_ilog10().unwrap_or(0) as usize + 1
}

/// What has been printed so far, as far as later lines depend on it.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    /// For each CPU, the functions whose braces are open, by depth.
    open: Vec<(u32, Vec<Option<Vaddr>>)>,
}

/// How lines are made.
pub struct Style<'a, N: ?Sized> {
    /// What is shown.
    pub options: Options,
    /// How many CPUs there are.
    pub cpus: u32,
    /// How to tell the time.
    pub clock: Clock,
    /// How to name addresses.
    pub names: &'a N,
}

impl Screen {
    /// Nothing is open.
    #[must_use]
    pub const fn new() -> Self {
        Self { open: Vec::new() }
    }

    fn of(&mut self, cpu: u32) -> &mut Vec<Option<Vaddr>> {
        let place = self.open.iter().position(|(of, _)| *of == cpu).unwrap_or_else(|| {
            self.open.push((cpu, Vec::new()));
            self.open.len() - 1
        });
        &mut self.open[place].1
    }

    /// A line that somebody wrote (`trace_marker`), inside the functions that are open.
    pub fn comment<N: Names + ?Sized>(
        &mut self,
        style: &Style<'_, N>,
        cpu: u32,
        time: u64,
        text: &str,
        out: &mut impl Write,
    ) -> fmt::Result {
        let depth = self.of(cpu).iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        style.before(cpu, time, out)?;
        style.duration(None, out)?;
        let text = text.strip_prefix("tracing_mark_write: ").unwrap_or(text);
        writeln!(out, "{:1$}/* {2} */", "", depth * 2, text.trim_end())
    }

    /// The line of a record, of the graph tracer's, into `out`. `next` is the record
    /// behind it on the same CPU; true if the line tells of that one too.
    pub fn line<N: Names + ?Sized>(
        &mut self,
        style: &Style<'_, N>,
        cpu: u32,
        record: &Record,
        next: Option<&Record>,
        out: &mut impl Write,
    ) -> Result<bool, fmt::Error> {
        let (hook, depth) = (record.hook(), record.depth() as usize);
        style.before(cpu, record.time, out)?;
        let name = || style.name(hook);
        let indent = depth * 2;
        if record.kind() == Kind::GraphReturn {
            let open = self.of(cpu).get_mut(depth).and_then(Option::take);
            style.duration(Some(record.time.saturating_sub(record.began())), out)?;
            if open == Some(hook) && !style.options.tail {
                writeln!(out, "{:indent$}}}", "")?;
            } else {
                writeln!(out, "{:indent$}}} /* {} */", "", name())?;
            }
            return Ok(false);
        }
        let same = |next: &&Record| {
            next.kind() == Kind::GraphReturn
                && (next.hook(), next.depth()) == (hook, record.depth())
        };
        if let Some(end) = next.filter(same) {
            style.duration(Some(end.time.saturating_sub(end.began())), out)?;
            writeln!(out, "{:indent$}{}();", "", name())?;
            return Ok(true);
        }
        if depth < OPEN_MAX {
            let open = self.of(cpu);
            open.resize((depth + 1).max(open.len()), None);
            open[depth] = Some(hook);
        }
        style.duration(None, out)?;
        writeln!(out, "{:indent$}{}() {{", "", name())?;
        Ok(false)
    }
}

impl<'a, N: Names + ?Sized> Style<'a, N> {
    fn name(&self, hook: Vaddr) -> Cow<'a, str> {
        self.names
            .hooked_with_module(hook)
            .unwrap_or_else(|| alloc::format!("0x{:08x}", hook.0).into())
    }

    /// The columns before the duration.
    fn before(&self, cpu: u32, time: u64, out: &mut impl Write) -> fmt::Result {
        if self.options.abstime {
            let (seconds, micros) = self.clock.seconds(time);
            write!(out, "{seconds:5}.{micros:06} |  ")?;
        }
        if self.options.cpu {
            write!(out, " {cpu:0$}) ", digits(self.cpus))?;
        }
        Ok(())
    }

    /// The column of the duration, empty at a beginning.
    fn duration(&self, ticks: Option<u64>, out: &mut impl Write) -> fmt::Result {
        if !self.options.duration {
            return Ok(());
        }
        let Some(ticks) = ticks else {
            return out.write_str("              |  ");
        };
        let took = self.clock.nanos(ticks);
        let mark = MARKS.iter().find(|(above, _)| took > *above).map_or(' ', |(_, mark)| *mark);
        write!(out, "{} ", if self.options.overhead { mark } else { ' ' })?;
        // Seven digits at most, and at least one space before the bar.
        let mut digits = alloc::format!("{}", took / 1000);
        if digits.len() < 7 {
            let rest = alloc::format!("{:03}", took % 1000);
            let room = 7 - digits.len();
            write!(digits, ".{}", &rest[..rest.len().min(room)])?;
        }
        write!(out, "{digits} us {:1$}|  ", "", 8_usize.saturating_sub(digits.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::num::NonZeroU64;
    use std::string::{String, ToString};

    struct Named;

    impl Names for Named {
        fn function_at(&self, at: Vaddr) -> Option<Cow<'_, str>> {
            match at.0 {
                0x1000..0x1100 => Some("outer".into()),
                0x2000..0x2100 => Some("inner".into()),
                _ => None,
            }
        }

        fn hooked_with_module(&self, hook: Vaddr) -> Option<Cow<'_, str>> {
            let name = self.function_at(hook)?;
            Some(if hook.0 < 0x2000 { alloc::format!("{name} [mod]").into() } else { name })
        }
    }

    const OUTER: u64 = 0x1004;
    const INNER: u64 = 0x2004;

    fn style(cpus: u32) -> Style<'static, Named> {
        // A tick is a nanosecond.
        let clock = Clock { ticks_per_second: NonZeroU64::new(1_000_000_000).unwrap() };
        Style { options: Options::default(), cpus, clock, names: &Named }
    }

    fn record(time: u64, kind: Kind, hook: u64, depth: u64, began: u64) -> Record {
        let place = 0x4_2000 + (depth + 1) * 32;
        Record { time, ip: Vaddr(place << 32 | hook | kind as u64), parent: Vaddr(began), seq: 1 }
    }

    fn entry(time: u64, hook: u64, depth: u64) -> Record {
        record(time, Kind::GraphEntry, hook, depth, 0)
    }

    fn end(time: u64, hook: u64, depth: u64, began: u64) -> Record {
        record(time, Kind::GraphReturn, hook, depth, began)
    }

    fn text(style: Style<'_, Named>, cpu: u32, records: &[Record]) -> String {
        let (mut screen, mut text) = (Screen::new(), String::new());
        let mut rest = records;
        while let [record, after @ ..] = rest {
            let both = screen.line(&style, cpu, record, after.first(), &mut text).unwrap();
            rest = if both { &after[1..] } else { after };
        }
        text
    }

    /// The columns are those of the samples in Documentation/trace/ftrace.rst.
    #[test]
    fn calls_nest_as_linux_prints_them() {
        let records = [
            entry(0, OUTER, 0),
            entry(100, INNER, 1),
            end(768, INNER, 1, 100),
            end(12_345, OUTER, 0, 0),
        ];
        assert_eq!(
            text(style(1), 0, &records),
            " 0)               |  outer [mod]() {\n \
             0)   0.668 us    |    inner();\n \
             0) + 12.345 us   |  }\n"
        );
    }

    #[test]
    fn an_end_whose_beginning_is_lost_names_its_function() {
        let lost = [end(1, INNER, 1, 0), end(2, OUTER, 0, 0)];
        assert_eq!(
            text(style(4), 3, &lost),
            " 3)   0.001 us    |    } /* inner */\n 3)   0.002 us    |  } /* outer [mod] */\n"
        );
        // Another function's brace is open at that depth.
        let other = [entry(0, INNER, 0), entry(1, INNER, 1), end(9, OUTER, 0, 0)];
        assert!(text(style(1), 0, &other).ends_with("|  } /* outer [mod] */\n"));
        let tail = Style { options: Options { tail: true, ..Options::default() }, ..style(1) };
        let open =
            [entry(0, OUTER, 0), entry(1, INNER, 1), end(2, INNER, 1, 1), end(9, OUTER, 0, 0)];
        assert!(text(tail, 0, &open).ends_with("|  } /* outer [mod] */\n"));
    }

    #[test]
    fn a_leaf_is_one_line_only_if_its_own_end_follows() {
        let recursion =
            [entry(0, INNER, 0), entry(1, INNER, 1), end(2, INNER, 1, 1), end(3, INNER, 0, 0)];
        assert_eq!(
            text(style(1), 0, &recursion),
            " 0)               |  inner() {\n 0)   0.001 us    |    inner();\n 0)   0.003 us    |  }\n"
        );
    }

    /// Both sides of each limit of Documentation/trace/ftrace.rst's table.
    #[test]
    fn what_takes_long_is_marked() {
        let mut shown = Vec::new();
        for (limit, mark) in MARKS {
            for took in [limit, limit + 1] {
                let line = text(style(1), 0, &[end(took, INNER, 0, 0)]);
                shown.push((took > limit, line.chars().nth(4), mark));
            }
        }
        for (above, seen, mark) in shown {
            let below = [' ', '+', '!', '#', '*', '@'];
            match seen {
                Some(seen) if above => assert_eq!(seen, mark),
                Some(seen) => assert!(below.contains(&seen) && seen != mark),
                None => panic!("an empty line"),
            }
        }
    }

    /// Linux shows seven digits: the fraction is cut first.
    #[test]
    fn durations_keep_their_column() {
        let column = |took| text(style(1), 0, &[end(took, INNER, 0, 0)])[4..24].to_string();
        assert_eq!(column(999), "  0.999 us    |  } /");
        assert_eq!(column(99_999_999), "* 99999.99 us |  } /");
        assert_eq!(column(999_999_999), "@ 999999.9 us |  } /");
        assert_eq!(column(9_999_999_999), "$ 9999999 us  |  } /");
    }

    #[test]
    fn the_header_is_linux_6_1s_and_the_cpu_column_as_wide_as_needed() {
        assert_eq!(
            Header(Options::default()).to_string(),
            "# tracer: function_graph\n#\n\
             # CPU  DURATION                  FUNCTION CALLS\n\
             # |     |   |                     |   |   |   |\n"
        );
        let wide = text(style(11), 3, &[end(1, INNER, 0, 0)]);
        assert!(wide.starts_with("  3)   0.001 us"), "{wide}");
        let ten = text(style(10), 3, &[end(1, INNER, 0, 0)]);
        assert!(ten.starts_with(" 3)   0.001 us"), "{ten}");
    }
}
