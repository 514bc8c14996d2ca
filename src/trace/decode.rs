//! Records to text: what `cat trace` shows on Linux 6.1, line for line.
//!
//! ```text
//!            shell-1       [000] .....     1.234567: crc16 <-run_call
//!   [%16s ]-[%-7d] [%03d]  flags   [ %5lu.%06lu]: callee <-caller
//! ```
//!
//! The pieces: [`Header`], one [`FunctionLine`] a record, and [`Merge`], which
//! takes the records of several CPUs in the order of their times.
//!
//! # Invariants
//! - Programs written for Linux's text read ours: every space counts.
//! - An address without a name is printed as `0x%08lx`, never guessed; a call
//!   without a parent has no `<-` part.
//!
//! # References
//! The format strings in Debian's `vmlinux` of 6.1, whose header says
//! `irqs-off/BH-disabled`; Documentation/trace/ftrace.rst shows older samples.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU64;

use super::options::Options;
use super::record::{PAYLOAD_WORDS, Record};
use crate::addr::Vaddr;

/// Longest task name in bytes: Linux's `comm` has 16 with its NUL.
pub const TASK_MAX: usize = 15;

/// Text for the addresses in records.
pub trait Names {
    /// The function that contains `at`, without its module.
    fn function_at(&self, at: Vaddr) -> Option<Cow<'_, str>>;

    /// The function whose hook left `ip` (LR at the hook). A kernel whose hooks
    /// also run in stubs maps those back; see `sites::SiteTable::hooked_site`.
    fn hooked_function(&self, ip: Vaddr) -> Option<Cow<'_, str>> {
        self.function_at(ip)
    }

    /// The address of the call site whose hook left `ip`.
    fn site_of(&self, ip: Vaddr) -> Vaddr {
        ip.offset(-4)
    }

    /// `NAME+0xOFF/0xSIZE [MOD]` for an address.
    fn place(&self, _at: Vaddr) -> Option<Cow<'_, str>> {
        None
    }

    /// The text of a note, with its line end; nothing if it is no longer kept.
    fn note(&self, _number: u64) -> Option<Cow<'_, str>> {
        None
    }

    /// What lies beside a record, if anything does, and it is still there.
    fn values(&self, _record: &Record) -> Option<[u64; PAYLOAD_WORDS]> {
        None
    }

    /// A text that a probe kept, by what stands for it; nothing if it is no longer kept.
    fn kept_text(&self, _kept: u64) -> Option<Vec<u8>> {
        None
    }

    /// The same with ` [MODULE]` behind it, unless it is the kernel's.
    fn hooked_with_module(&self, ip: Vaddr) -> Option<Cow<'_, str>> {
        self.hooked_function(ip)
    }
}

/// In the place of `ip`: the record is a note, whose number is in `parent`.
pub const NOTE: Vaddr = Vaddr((u64::MAX >> 1) - 3);
/// The bit of a note's number which says that it is a stack, and no marker.
pub const NOTE_OF_STACK: u64 = 1 << 63;

/// How timebase ticks become seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Ticks a second (`timebase-frequency` in the device tree; 512 MHz).
    pub ticks_per_second: NonZeroU64,
}

impl Clock {
    /// Seconds and microseconds, rounded to the nearest microsecond as Linux does.
    #[must_use]
    pub fn seconds(self, ticks: u64) -> (u64, u64) {
        let hertz = self.ticks_per_second.get();
        let (seconds, rest) = (ticks / hertz, ticks % hertz);
        // Wider than u64 only for clocks above 18 THz; no division is needed twice.
        let micros = match rest.checked_mul(1_000_000).and_then(|n| n.checked_add(hertz / 2)) {
            Some(scaled) => scaled / hertz,
            None => rest / (hertz / 1_000_000),
        };
        if micros >= 1_000_000 { (seconds.saturating_add(1), 0) } else { (seconds, micros) }
    }

    /// Nanoseconds in so many ticks, at most all that there is room for.
    #[must_use]
    pub fn nanos(self, ticks: u64) -> u64 {
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(self.ticks_per_second.get());
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// What a reader who takes records out of the ring is told of those that were
/// overwritten before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostEvents {
    /// The CPU's number.
    pub cpu: u32,
    /// How many.
    pub count: u64,
}

impl fmt::Display for LostEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "CPU:{} [LOST {} EVENTS]", self.cpu, self.count)
    }
}

/// The counts of one CPU, as `per_cpu/cpuN/stats` shows them: what was written is
/// `entries + overrun + dropped + read`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records that can be read.
    pub entries: u64,
    /// Overwritten before anybody read them.
    pub overrun: u64,
    /// Bytes of those that can be read.
    pub bytes: u64,
    /// Time of the oldest of them, in ticks.
    pub oldest: u64,
    /// The time now, in ticks.
    pub now: u64,
    /// Not written, because the ring was full.
    pub dropped: u64,
    /// Taken out by `trace_pipe`.
    pub read: u64,
    /// Calls deeper than `function_graph` follows: never to be written, so not counted above.
    pub deep: u64,
}

impl Stats {
    /// As text.
    #[must_use]
    pub fn shown(&self, clock: Clock) -> String {
        let Self { entries, overrun, bytes, oldest, now, dropped, read, deep } = self;
        let time = |ticks| {
            let (seconds, micros) = clock.seconds(ticks);
            format!("{seconds:5}.{micros:06}")
        };
        let deep = if *deep > 0 { format!("too deep: {deep}\n") } else { String::new() };
        format!(
            "entries: {entries}\noverrun: {overrun}\ncommit overrun: 0\nbytes: {bytes}\n\
             oldest event ts: {}\nnow ts: {}\ndropped events: {dropped}\nread events: {read}\n{deep}",
            time(*oldest),
            time(*now),
        )
    }
}

/// The lines before the first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The tracer's name: `function`.
    pub tracer: &'a str,
    /// Records that can be shown.
    pub in_buffer: u64,
    /// Records ever written since the buffer was cleared.
    pub written: u64,
    /// CPUs that are up.
    pub cpus: u32,
    /// What lines have.
    pub options: Options,
}

impl fmt::Display for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tracer, in_buffer, written, cpus, options } = self;
        writeln!(f, "# tracer: {tracer}")?;
        writeln!(f, "#")?;
        if !options.contains(Options::CONTEXT_INFO) {
            return Ok(());
        }
        writeln!(f, "# entries-in-buffer/entries-written: {in_buffer}/{written}   #P:{cpus}")?;
        f.write_str(if options.contains(Options::IRQ_INFO) { LEGEND } else { SHORT_LEGEND })
    }
}

/// What the five flags mean, and the columns' names.
const LEGEND: &str = "\
#
#                                _-----=> irqs-off/BH-disabled
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| / _-=> migrate-disable
#                              |||| /     delay
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
";

/// The columns' names without the flags.
const SHORT_LEGEND: &str = "\
#
#           TASK-PID     CPU#     TIMESTAMP  FUNCTION
#              | |         |         |         |
";

/// The five columns under `irqs-off ... migrate-disable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub &'static str);

impl Flags {
    /// In a call: nothing is off, nothing is held.
    pub const CALL: Self = Self(".....");
    /// In a tick ([`Record::is_in_tick`]): interrupts are off, and this is a hard interrupt.
    pub const TICK: Self = Self("d.h..");
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Who was running: `shell` or `job`, and a number in place of a process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task<'a> {
    /// At most [`TASK_MAX`] bytes; what is longer is cut as Linux cuts it.
    pub name: &'a str,
    /// The CPU's number + 1, or the job's number.
    pub pid: u32,
}

/// What every line begins with: who, where, in what state, when.
#[derive(Clone, Copy, Debug)]
pub struct Prefix<'a> {
    /// Who was running.
    pub task: Task<'a>,
    /// On which CPU.
    pub cpu: u32,
    /// In what state.
    pub flags: Flags,
    /// When, in ticks.
    pub time: u64,
    /// How to tell the time.
    pub clock: Clock,
    /// What to show.
    pub options: Options,
}

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, cpu, flags, time, clock, options } = self;
        let (seconds, micros) = clock.seconds(*time);
        if options.contains(Options::CONTEXT_INFO) {
            let name = &task.name[..task.name.floor_char_boundary(TASK_MAX)];
            write!(f, "{name:>16}-{:<7} [{cpu:03}] ", task.pid)?;
            if options.contains(Options::IRQ_INFO) {
                write!(f, "{flags}")?;
            }
            write!(f, " {seconds:5}.{micros:06}: ")?;
        }
        Ok(())
    }
}

/// One record of the function tracer.
#[derive(Clone, Copy)]
pub struct FunctionLine<'a, N: ?Sized> {
    /// What was recorded.
    pub record: Record,
    /// By whom.
    pub task: Task<'a>,
    /// On which CPU.
    pub cpu: u32,
    /// In what state.
    pub flags: Flags,
    /// How to tell the time.
    pub clock: Clock,
    /// What to show.
    pub options: Options,
    /// How to name addresses.
    pub names: &'a N,
}

impl<N: Names + ?Sized> fmt::Display for FunctionLine<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, task, cpu, flags, clock, options, names } = *self;
        let raw = options.contains(Options::RAW) && record.ip != NOTE;
        if raw && options.contains(Options::CONTEXT_INFO) {
            write!(f, "{} {cpu} {} ", task.pid, clock.nanos(record.time))?;
        } else {
            Prefix { task, cpu, flags, time: record.time, clock, options }.fmt(f)?;
        }
        if record.ip == NOTE {
            let note = names.note(record.parent.0);
            let none = match record.parent.0 & NOTE_OF_STACK {
                0 => "tracing_mark_write: (no longer kept)\n",
                _ => "<stack trace> (no longer kept)\n",
            };
            return f.write_str(note.as_deref().unwrap_or(none));
        }
        let is_asked = Options::RAW | Options::SYM_OFFSET | Options::SYM_ADDR;
        let site = match options.intersects(is_asked) {
            true => names.site_of(record.hook()),
            false => record.hook(),
        };
        if raw {
            return writeln!(f, "{:x} {:x}", site.0, record.parent.0);
        }
        let place = |at: Vaddr| names.place(at).filter(|_| options.contains(Options::SYM_OFFSET));
        let callee = place(site).or_else(|| names.hooked_function(record.hook()));
        write_name(f, callee, record.hook(), site, options)?;
        let parent = record.parent;
        if parent.0 != 0 && options.contains(Options::PRINT_PARENT) {
            f.write_str(" <-")?;
            let caller = place(parent).or_else(|| names.function_at(parent));
            write_name(f, caller, parent, parent, options)?;
        }
        writeln!(f)
    }
}

/// A name, or else the address `at`; behind it the address `site` if that is wanted.
fn write_name(
    f: &mut fmt::Formatter<'_>,
    name: Option<Cow<'_, str>>,
    at: Vaddr,
    site: Vaddr,
    options: Options,
) -> fmt::Result {
    match name {
        Some(name) => f.write_str(&name)?,
        None if at.0 == 0 => f.write_str("0")?,
        None => write!(f, "0x{:08x}", at.0)?,
    }
    if options.contains(Options::SYM_ADDR) {
        write!(f, " <{:016x}>", site.0)?;
    }
    Ok(())
}

/// The line that stands before the first record of a CPU that lost some, unless
/// that is the very first line of all: from here on its records are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferStarted {
    /// The CPU's number.
    pub cpu: u32,
}

impl fmt::Display for BufferStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "##### CPU {} buffer started ####", self.cpu)
    }
}

/// The records of several CPUs in the order of their times; those of one CPU
/// stay in their own order, and of equal times the lower CPU's comes first.
pub struct Merge<I: Iterator<Item = Record>> {
    sources: Vec<(u32, core::iter::Peekable<I>)>,
}

impl<I: Iterator<Item = Record>> Merge<I> {
    /// Merges `(CPU number, its records)`; give the CPUs in ascending order.
    pub fn new(sources: impl IntoIterator<Item = (u32, I)>) -> Self {
        Self { sources: sources.into_iter().map(|(cpu, own)| (cpu, own.peekable())).collect() }
    }

    /// The next record of one CPU, which stays where it is.
    pub fn peek_of(&mut self, cpu: u32) -> Option<&Record> {
        self.sources.iter_mut().find(|(number, _)| *number == cpu)?.1.peek()
    }

    /// Takes the next record of one CPU, out of turn.
    pub fn take_of(&mut self, cpu: u32) -> Option<Record> {
        self.sources.iter_mut().find(|(number, _)| *number == cpu)?.1.next()
    }
}

impl<I: Iterator<Item = Record>> Iterator for Merge<I> {
    type Item = (u32, Record);

    fn next(&mut self) -> Option<Self::Item> {
        let mut earliest: Option<(usize, u64)> = None;
        for (index, (_, source)) in self.sources.iter_mut().enumerate() {
            if let Some(record) = source.peek()
                && earliest.is_none_or(|(_, time)| record.time < time)
            {
                earliest = Some((index, record.time));
            }
        }
        let (cpu, source) = self.sources.get_mut(earliest?.0)?;
        source.next().map(|record| (*cpu, record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    struct Two;

    impl Names for Two {
        fn function_at(&self, at: Vaddr) -> Option<Cow<'_, str>> {
            match at.0 {
                0x1000..0x1100 => Some("tcp_poll".into()),
                0x2000..0x2100 => Some("sock_poll".into()),
                _ => None,
            }
        }

        fn place(&self, at: Vaddr) -> Option<Cow<'_, str>> {
            let name = self.function_at(at)?;
            let module = if at.0 < 0x2000 { "" } else { " [net]" };
            Some(format!("{name}+{:#x}/0x100{module}", at.0 & 0xfff).into())
        }

        fn note(&self, number: u64) -> Option<Cow<'_, str>> {
            (number == 7).then_some("tracing_mark_write: hello world\n".into())
        }
    }

    /// The lines are Debian's 6.1's answers to the same words, with other names,
    /// addresses and times.
    #[test]
    fn options_change_the_line_as_on_linux() {
        let line = |words: &str, ip: u64, parent: u64| {
            let words = words.split_ascii_whitespace();
            let line = FunctionLine {
                record: record(6_081_156_222, ip, parent),
                task: Task { name: "init", pid: 1 },
                cpu: 0,
                flags: Flags::CALL,
                clock: clock(1_000_000_000),
                options: words.fold(Options::default(), |all, word| all.with(word).unwrap()),
                names: &Two,
            };
            line.to_string()
        };
        let start = "            init-1       [000] .....     6.081156: ";
        let is = |words: &str, expected: &str| {
            assert_eq!(line(words, 0x1010, 0x2130 - 0x100), format!("{start}{expected}\n"));
        };
        is("sym-offset", "tcp_poll+0xc/0x100 <-sock_poll+0x30/0x100 [net]");
        is("sym-addr", "tcp_poll <000000000000100c> <-sock_poll <0000000000002030>");
        is("noprint-parent", "tcp_poll");
        assert_eq!(
            line("noirq-info", 0x1010, 0x2020),
            "            init-1       [000]      6.081156: tcp_poll <-sock_poll\n"
        );
        assert_eq!(line("nocontext-info", 0x1010, 0x2020), "tcp_poll <-sock_poll\n");
        assert_eq!(line("raw", 0x1010, 0x2020), "1 0 6081156222 100c 2020\n");
        let note = format!("{start}tracing_mark_write: hello world\n");
        assert_eq!(line("raw", NOTE.0, 7).split_once(' ').unwrap().0, "");
        assert_eq!(line("", NOTE.0, 7), note);
    }

    #[test]
    fn headers_without_flags_and_without_anything_are_linux_6_1s() {
        let header = |words: &str| {
            let options = Options::default().with(words).unwrap();
            Header { tracer: "function", in_buffer: 2, written: 2, cpus: 1, options }.to_string()
        };
        assert_eq!(header("nocontext-info"), "# tracer: function\n#\n");
        assert_eq!(
            header("noirq-info"),
            "# tracer: function\n#\n# entries-in-buffer/entries-written: 2/2   #P:1\n#\n\
             #           TASK-PID     CPU#     TIMESTAMP  FUNCTION\n\
             #              | |         |         |         |\n"
        );
    }

    /// As Debian's 6.1 printed them.
    #[test]
    fn stats_have_linuxs_lines() {
        let stats =
            Stats { entries: 2, bytes: 56, oldest: 6_081_156, now: 6_152_793, ..Stats::default() };
        assert_eq!(
            stats.shown(clock(1_000_000)),
            "entries: 2\noverrun: 0\ncommit overrun: 0\nbytes: 56\n\
             oldest event ts:     6.081156\nnow ts:     6.152793\n\
             dropped events: 0\nread events: 0\n"
        );
    }

    fn clock(hertz: u64) -> Clock {
        Clock { ticks_per_second: NonZeroU64::new(hertz).unwrap() }
    }

    fn record(time: u64, ip: u64, parent: u64) -> Record {
        Record { time, ip: Vaddr(ip), parent: Vaddr(parent), seq: 1 }
    }

    /// The first line was printed by a Linux with 6.1's columns, and stands in a
    /// public tutorial on ftrace; the second is ours, in the same columns.
    #[test]
    fn a_line_is_what_linux_prints() {
        let line = FunctionLine {
            record: record(1_067_412_298_925, 0x1010, 0x2020),
            task: Task { name: "sshd", pid: 91001 },
            cpu: 3,
            flags: Flags::CALL,
            clock: clock(1_000_000),
            options: Options::default(),
            names: &Two,
        };
        assert_eq!(
            line.to_string(),
            "            sshd-91001   [003] ..... 1067412.298925: tcp_poll <-sock_poll\n"
        );
        let ours = FunctionLine {
            record: record(512_000_000 / 4, 0x1010, 0x3000),
            task: Task { name: "shell", pid: 1 },
            cpu: 0,
            flags: Flags::TICK,
            clock: clock(512_000_000),
            ..line
        };
        assert_eq!(
            ours.to_string(),
            "           shell-1       [000] d.h..     0.250000: tcp_poll <-0x00003000\n"
        );
    }

    #[test]
    fn a_long_task_name_is_cut_and_a_missing_parent_left_out() {
        let line = FunctionLine {
            record: record(0, 0, 0),
            task: Task { name: "sixteen_letters_", pid: 12_345_678 },
            cpu: 1234,
            flags: Flags::CALL,
            clock: clock(1),
            options: Options::default(),
            names: &Two,
        };
        assert_eq!(line.to_string(), " sixteen_letters-12345678 [1234] .....     0.000000: 0\n");
    }

    /// From Linux 6.1's format strings in Debian's vmlinux, with `%.*s` at the
    /// width 2 that it has when no thread group is shown.
    #[test]
    fn the_header_is_linux_6_1s() {
        let pad = |text: &str| text.replace("%.*s", "  ");
        let mut expected = format!(
            "# tracer: {}\n#\n# entries-in-buffer/entries-written: {}/{}   #P:{}\n#\n",
            "function", 3, 10, 1
        );
        for line in [
            "#                            %.*s  _-----=> irqs-off/BH-disabled\n",
            "#                            %.*s / _----=> need-resched\n",
            "#                            %.*s| / _---=> hardirq/softirq\n",
            "#                            %.*s|| / _--=> preempt-depth\n",
            "#                            %.*s||| / _-=> migrate-disable\n",
            "#                            %.*s|||| /     delay\n",
            "#           TASK-PID  %.*s CPU#  |||||  TIMESTAMP  FUNCTION\n",
            "#              | |    %.*s   |   |||||     |         |\n",
        ] {
            expected.push_str(&pad(line));
        }
        let header = Header {
            tracer: "function",
            in_buffer: 3,
            written: 10,
            cpus: 1,
            options: Options::default(),
        };
        assert_eq!(header.to_string(), expected);
    }

    #[test]
    fn ticks_round_to_the_nearest_microsecond_and_carry() {
        let power = clock(512_000_000); // 512 ticks a microsecond
        assert_eq!(power.seconds(255), (0, 0));
        assert_eq!(power.seconds(256), (0, 1));
        assert_eq!(power.seconds(512_000_000 - 257), (0, 999_999));
        assert_eq!(power.seconds(512_000_000 - 256), (1, 0));
        assert_eq!(power.seconds(u64::MAX), (36_028_797_018, 963_968));
        assert_eq!(clock(u64::MAX).seconds(u64::MAX - 1), (1, 0));
    }

    #[test]
    fn cpus_are_merged_by_time_and_ties_go_to_the_lower() {
        let cpu0 = [record(1, 0, 0), record(5, 0, 0), record(4, 0, 0)];
        let cpu1 = [record(1, 1, 0), record(4, 1, 0), record(9, 1, 0)];
        let merged: Vec<_> = Merge::new([(0, cpu0.into_iter()), (1, cpu1.into_iter())])
            .map(|(cpu, record)| (cpu, record.time))
            .collect();
        // CPU 0's 4 stays behind its 5: one CPU's order is never changed.
        assert_eq!(merged, [(0, 1), (1, 1), (1, 4), (0, 5), (0, 4), (1, 9)]);
    }
}
