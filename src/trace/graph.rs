//! The graph tracer's records to text: what `cat trace` shows on Linux 6.1 with
//! `function_graph` as the tracer.
//!
//! ```text
//!  0)               |  selfcheck [demo]() {
//!  0)   0.512 us    |    answer [demo]();          a call in which nothing else was traced
//!  0) + 12.250 us   |  }                           + ten microseconds, ! a hundred, # a thousand ...
//!  1)   0.100 us    |  } /* nine [demo] */         its beginning is no longer in the ring
//!  0)   0.512 us    |  f(0x7, 0x1, ...); /* ret=-22 */     funcgraph-args, funcgraph-retval
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
//! marks, and for results (they have `ret=` from 6.13 on); the format strings in
//! Debian's `vmlinux` of 6.1.
//!
//! Linux knows from BTF how many arguments a function has, and shows none without; here
//! are always all that it would keep, as numbers.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::decode::{Clock, Names};
use super::options::Options;
use super::record::{GRAPH_ARGS, Kind, Record};
use crate::addr::Vaddr;

/// The most depths of which it is remembered what was opened there, which are all that
/// there are. (Linux's 6.1 follows calls no deeper than 50.)
const OPEN_MAX: usize = 256;
/// Error numbers that a pointer may be in Linux.
const ERRORS: i64 = 4095;

/// The lines before the first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header(pub Options);

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = |f: &mut fmt::Formatter<'_>, words: [&str; 4]| {
            let always = Options::empty();
            let of = [Options::GRAPH_ABSTIME, Options::GRAPH_CPU, Options::GRAPH_DURATION, always];
            f.write_str("#")?;
            words
                .iter()
                .zip(of)
                .filter(|(_, of)| self.0.contains(*of))
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
    /// One for each CPU.
    cpus: Vec<(u32, Column)>,
}

/// What has been printed of one CPU.
#[derive(Clone, Debug, Default)]
struct Column {
    /// The functions whose braces are open, by depth.
    open: Vec<Option<Vaddr>>,
    /// The depth of the function that the last line left us in.
    inside: usize,
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
        Self { cpus: Vec::new() }
    }

    fn of(&mut self, cpu: u32) -> &mut Column {
        let place = self.cpus.iter().position(|(of, _)| *of == cpu).unwrap_or_else(|| {
            self.cpus.push((cpu, Column::default()));
            self.cpus.len() - 1
        });
        &mut self.cpus[place].1
    }

    /// A line that somebody wrote (`trace_marker`) or that a probe did, inside the functions
    /// that are open; but as on Linux, in the first column inside the outermost one.
    pub fn comment<N: Names + ?Sized>(
        &mut self,
        style: &Style<'_, N>,
        cpu: u32,
        time: u64,
        text: &str,
        out: &mut impl Write,
    ) -> fmt::Result {
        let inside = self.of(cpu).inside;
        let indent = if inside > 0 { (inside + 1) * 2 } else { 0 };
        style.before(cpu, time, out)?;
        style.duration(None, out)?;
        let text = text.strip_prefix("tracing_mark_write: ").unwrap_or(text);
        writeln!(out, "{:indent$}/* {} */", "", text.trim_ascii_end())
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
        let wants = |option| style.options.contains(option);
        if record.kind() == Kind::GraphReturn {
            let column = self.of(cpu);
            column.inside = depth.saturating_sub(1);
            let open = column.open.get_mut(depth).and_then(Option::take);
            style.duration(Some(record.time.saturating_sub(record.began())), out)?;
            let result = style.result(record);
            if open == Some(hook) && !wants(Options::GRAPH_TAIL) && result.is_none() {
                writeln!(out, "{:indent$}}}", "")?;
            } else {
                let result = result.as_deref().unwrap_or_default();
                writeln!(out, "{:indent$}}} /* {}{result} */", "", name())?;
            }
            return Ok(false);
        }
        let same = |next: &&Record| {
            next.kind() == Kind::GraphReturn
                && (next.hook(), next.depth()) == (hook, record.depth())
        };
        let column = self.of(cpu);
        if let Some(end) = next.filter(same) {
            column.inside = depth.saturating_sub(1);
            style.duration(Some(end.time.saturating_sub(end.began())), out)?;
            write!(out, "{:indent$}{}{};", "", name(), style.args(record))?;
            match style.result(end) {
                Some(result) => writeln!(out, " /*{result} */")?,
                None => out.write_char('\n')?,
            }
            return Ok(true);
        }
        column.inside = depth;
        if depth < OPEN_MAX {
            let open = &mut column.open;
            open.resize((depth + 1).max(open.len()), None);
            open[depth] = Some(hook);
        }
        style.duration(None, out)?;
        writeln!(out, "{:indent$}{}{} {{", "", name(), style.args(record))?;
        Ok(false)
    }
}

impl<'a, N: Names + ?Sized> Style<'a, N> {
    fn name(&self, hook: Vaddr) -> Cow<'a, str> {
        self.names.hooked_with_module(hook).unwrap_or_else(|| format!("0x{:08x}", hook.0).into())
    }

    /// What a function was called with, between parentheses.
    fn args(&self, record: &Record) -> String {
        let values = self.names.values(record);
        let values = values.filter(|_| self.options.contains(Options::GRAPH_ARGS));
        let mut text = String::from("(");
        for (place, value) in values.iter().flat_map(|it| it.iter().take(GRAPH_ARGS)).enumerate() {
            let _ = write!(text, "{}{value:#x}", if place == 0 { "" } else { ", " });
        }
        text + ")"
    }

    /// What one has returned, if that is to be told and known.
    fn result(&self, record: &Record) -> Option<String> {
        if !self.options.contains(Options::GRAPH_RETVAL) {
            return None;
        }
        let [value, ..] = self.names.values(record)?;
        // A negative number of 32 bits may be meant, which only the lower half has.
        let error = if value >> 31 == 1 { i64::from(value as i32) } else { value.cast_signed() };
        let is_error = (-ERRORS..0).contains(&error);
        Some(if is_error && !self.options.contains(Options::GRAPH_RETVAL_HEX) {
            format!(" ret={error}")
        } else {
            format!(" ret={value:#x}")
        })
    }

    /// The columns before the duration.
    fn before(&self, cpu: u32, time: u64, out: &mut impl Write) -> fmt::Result {
        if self.options.contains(Options::GRAPH_ABSTIME) {
            let (seconds, micros) = self.clock.seconds(time);
            write!(out, "{seconds:5}.{micros:06} |  ")?;
        }
        if self.options.contains(Options::GRAPH_CPU) {
            write!(out, " {cpu:0$}) ", digits(self.cpus))?;
        }
        Ok(())
    }

    /// The column of the duration, empty at a beginning.
    fn duration(&self, ticks: Option<u64>, out: &mut impl Write) -> fmt::Result {
        if !self.options.contains(Options::GRAPH_DURATION) {
            return Ok(());
        }
        let Some(ticks) = ticks else {
            return out.write_str("              |  ");
        };
        let took = self.clock.nanos(ticks);
        let mark = MARKS.iter().find(|(above, _)| took > *above).map_or(' ', |(_, mark)| *mark);
        let marked = self.options.contains(Options::GRAPH_OVERHEAD);
        write!(out, "{} ", if marked { mark } else { ' ' })?;
        // Seven digits at most, and at least one space before the bar.
        let mut digits = format!("{}", took / 1000);
        if digits.len() < 7 {
            let rest = format!("{:03}", took % 1000);
            let room = 7 - digits.len();
            write!(digits, ".{}", &rest[..rest.len().min(room)])?;
        }
        write!(out, "{digits} us {:1$}|  ", "", 8_usize.saturating_sub(digits.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::record::PAYLOAD_WORDS;
    use core::num::NonZeroU64;
    use std::string::ToString;

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
            Some(if hook.0 < 0x2000 { format!("{name} [mod]").into() } else { name })
        }

        fn values(&self, record: &Record) -> Option<[u64; PAYLOAD_WORDS]> {
            // What is returned is the record's number; nothing is known of the first.
            let result = record.kind() == Kind::GraphReturn;
            let first = if result { record.seq } else { 7 };
            let words = core::array::from_fn(|n| if n == 0 { first } else { n as u64 });
            (record.seq != 1).then_some(words)
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
        let tail = Style { options: Options::default() | Options::GRAPH_TAIL, ..style(1) };
        let open =
            [entry(0, OUTER, 0), entry(1, INNER, 1), end(2, INNER, 1, 1), end(9, OUTER, 0, 0)];
        assert!(text(tail, 0, &open).ends_with("|  } /* outer [mod] */\n"));
    }

    /// The columns are those of Debian's 6.1, with a probe at a function that others call.
    #[test]
    fn what_somebody_wrote_stands_where_linux_has_it() {
        let mut screen = Screen::new();
        let mut told = |before: &[Record]| {
            let (mut out, mut left) = (String::new(), before.iter().peekable());
            while let Some(record) = left.next() {
                let next = left.peek().copied();
                if screen.line(&style(1), 0, record, next, &mut out) == Ok(true) {
                    left.next();
                }
            }
            out.clear();
            screen.comment(&style(1), 0, 0, "x", &mut out).unwrap();
            out.split_once('|').unwrap().1.to_string()
        };
        assert_eq!(told(&[]), "  /* x */\n");
        assert_eq!(told(&[entry(0, OUTER, 0)]), "  /* x */\n");
        assert_eq!(told(&[entry(0, OUTER, 1)]), "      /* x */\n");
        let leaf = [entry(1, INNER, 2), end(2, INNER, 2, 1)];
        assert_eq!(told(&leaf), "      /* x */\n");
        assert_eq!(told(&[end(3, OUTER, 1, 0)]), "  /* x */\n");
        // Also where the beginning of what this is inside of is lost.
        assert_eq!(told(&[end(3, OUTER, 21, 0)]), format!("  {:42}/* x */\n", ""));
        assert_eq!(told(&[end(3, OUTER, 0, 0)]), "  /* x */\n");
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

    /// The words behind the name are those of 6.15's `print_graph_retval`, and the numbers
    /// follow its rule: an error if the value, or its lower half alone, is one.
    #[test]
    fn arguments_and_results_are_told_if_they_are_known() {
        let with = |extra| Style { options: Options::default() | extra, ..style(1) };
        let (args, results) = (Options::GRAPH_ARGS, Options::GRAPH_RETVAL);
        let call =
            |seq| [Record { seq: 2, ..entry(0, OUTER, 0) }, Record { seq, ..end(1, OUTER, 0, 0) }];
        assert_eq!(
            text(with(args | results), 0, &call((-22_i64).cast_unsigned())),
            " 0)   0.001 us    |  outer [mod](0x7, 0x1, 0x2, 0x3, 0x4, 0x5); /* ret=-22 */\n"
        );
        for (value, shown) in [
            (0, "0x0"),
            (0x2a, "0x2a"),
            (0xffff_ffea, "-22"),
            (0xffff_f001, "-4095"),
            (0xffff_f000, "0xfffff000"),
            (0x1_ffff_ffea, "0x1ffffffea"),
            (u64::MAX, "-1"),
            (0xffff_ffff_ffff_f000, "0xfffffffffffff000"),
        ] {
            let line = text(with(results), 0, &call(value));
            assert!(line.ends_with(&format!("outer [mod](); /* ret={shown} */\n")), "{line}");
            let line = text(with(results), 0, &[call(value)[1]]);
            assert!(line.ends_with(&format!("|  }} /* outer [mod] ret={shown} */\n")), "{line}");
            let hex = with(results | Options::GRAPH_RETVAL_HEX);
            let line = text(hex, 0, &call(value));
            assert!(line.ends_with(&format!("ret={value:#x} */\n")), "{line}");
        }
        // Of a function that is open the brace has its name, too.
        let nested =
            [call(0)[0], entry(1, INNER, 1), end(2, INNER, 1, 1), Record { seq: 3, ..call(0)[1] }];
        assert_eq!(
            text(with(args | results), 0, &nested),
            " 0)               |  outer [mod](0x7, 0x1, 0x2, 0x3, 0x4, 0x5) {\n \
             0)   0.001 us    |    inner();\n \
             0)   0.001 us    |  } /* outer [mod] ret=0x3 */\n"
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
