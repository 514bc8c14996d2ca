//! What call sites recorded, as text: a ring for each CPU, and an archive.
//!
//! ```text
//!  CPU 0's ring ─┐
//!  CPU 1's ring ─┼─ merged by time ─> lines of Linux's `trace` file
//!  archive ──────┘  (lines of modules that are gone come first)
//! ```
//!
//! # Invariants
//! - Rings are made at the first `start` and stay. A CPU writes its own; reading
//!   takes nothing out, so any number may read. What `trace_pipe` takes is not shown
//!   again, by moving where reading starts.
//! - Of each CPU's records since the last `clear`: entries + overrun + read = written.
//! - Records of a module that goes are turned into text first: afterwards its
//!   addresses mean nothing, or something else.

use alloc::borrow::Cow;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::sync::atomic::AtomicU64;

use super::{symbols, tracing};
use crate::addr::Vaddr;
use crate::machine::lock::{Mutex, Once};
use crate::machine::smp::{self, Cpu};
use crate::machine::spr::timebase;
use crate::machine::{hooks, paca};
use crate::trace::decode::{
    BufferStarted, Clock, Flags, FunctionLine, Header, LostEvents, Merge, NOTE, Names, Stats, Task,
};
use crate::trace::options::Options;
use crate::trace::record::{Record, SIZE, WORDS};
use crate::trace::ring::{Next, Reader, Ring};

/// Records in a CPU's ring.
const RING_RECORDS: usize = 8192;
/// Lines kept of modules that are gone.
const ARCHIVE_LINES: usize = RING_RECORDS;
/// Notes whose text is kept.
const NOTES: usize = 1024;

/// One CPU's ring.
struct CpuRing {
    cpu: Cpu,
    words: &'static [AtomicU64],
}

impl CpuRing {
    fn ring(&self) -> Option<Ring<'static>> {
        Ring::new(paca::ring_head_of(self.cpu.paca), self.words).ok()
    }

    fn written(&self) -> u64 {
        self.ring().map_or(0, |ring| ring.written())
    }
}

/// What is known of one CPU's records besides those in its ring: since the last
/// `clear`, `read` + `lost` + those in the archive + the ring from `start` on is what
/// was written.
#[derive(Clone, Copy, Default)]
struct Account {
    /// The first record in the ring that counts: `clear` and `trace_pipe` move it.
    start: u64,
    /// Overwritten before anybody read them, or dropped from the archive.
    lost: u64,
    /// Of these, those that `trace_pipe` has told of.
    told: u64,
    /// Taken out by `trace_pipe`.
    read: u64,
}

/// A record whose module may be gone.
#[derive(Clone)]
struct Line {
    /// Which of the rings it was in.
    ring: usize,
    time: u64,
    text: String,
}

struct Kept {
    /// One for each ring.
    accounts: Vec<Account>,
    /// Lines of records before those in the rings.
    archive: Vec<Line>,
    /// Notes, with their numbers; the latest last.
    notes: VecDeque<(u64, String)>,
    /// How many notes there were ever.
    noted: u64,
    /// Ticks of the time base in a second.
    clock_hz: u64,
    options: Options,
}

static RINGS: Once<Vec<CpuRing>> = Once::new();
static KEPT: Mutex<Kept> = Mutex::new(Kept {
    accounts: Vec::new(),
    archive: Vec::new(),
    notes: VecDeque::new(),
    noted: 0,
    clock_hz: 512_000_000,
    options: Options::DEFAULT,
});

/// Learns how fast the clock runs.
pub fn init(timebase_hz: u64) {
    KEPT.lock().clock_hz = timebase_hz;
}

fn rings() -> &'static [CpuRing] {
    RINGS.get().map_or(&[], |rings| rings.as_slice())
}

/// Makes the rings, if there are none.
fn make_rings() -> Result<(), String> {
    if RINGS.get().is_none() {
        let mut rings = Vec::new();
        for cpu in smp::cpus() {
            let mut words = Vec::new();
            words
                .try_reserve_exact(RING_RECORDS * WORDS)
                .map_err(|_| "no memory for the trace rings (see mem)".to_string())?;
            words.resize_with(RING_RECORDS * WORDS, || AtomicU64::new(0));
            rings.push(CpuRing { cpu, words: words.leak() });
        }
        let fresh = |ring: &CpuRing| Account { start: ring.written(), ..Account::default() };
        KEPT.lock().accounts = rings.iter().map(fresh).collect();
        RINGS.call_once(|| rings);
    }
    Ok(())
}

/// Makes the rings, if there are none, and starts recording on every CPU.
pub fn start() -> Result<(), String> {
    make_rings()?;
    rings().iter().for_each(|ring| hooks::ring_on(ring.cpu.paca, ring.words));
    Ok(())
}

/// Stops recording; what was recorded stays.
pub fn stop() {
    rings().iter().for_each(|ring| hooks::ring_off(ring.cpu.paca));
}

/// Forgets what was recorded, on all CPUs or on one.
pub fn clear(only: Option<u16>) {
    let mut kept = KEPT.lock();
    for (index, ring) in rings().iter().enumerate() {
        if only.is_none_or(|cpu| cpu == ring.cpu.number)
            && let Some(account) = kept.accounts.get_mut(index)
        {
            *account = Account { start: ring.written(), ..Account::default() };
            kept.archive.retain(|line| line.ring != index);
        }
    }
    if only.is_none() {
        (kept.archive, kept.notes) = (Vec::new(), VecDeque::new());
    }
}

/// Names for the decoder.
struct Machine<'k> {
    notes: &'k VecDeque<(u64, String)>,
}

impl Names for Machine<'_> {
    fn function_at(&self, at: Vaddr) -> Option<Cow<'_, str>> {
        symbols::function(at).map(Cow::Owned)
    }

    fn hooked_function(&self, ip: Vaddr) -> Option<Cow<'_, str>> {
        tracing::hooked(ip).or_else(|| self.function_at(ip))
    }

    fn site_of(&self, ip: Vaddr) -> Vaddr {
        tracing::hooked_at(ip).unwrap_or(ip)
    }

    fn place(&self, at: Vaddr) -> Option<Cow<'_, str>> {
        symbols::describe(at).map(Cow::Owned)
    }

    fn note(&self, number: u64) -> Option<Cow<'_, str>> {
        let place = self.notes.binary_search_by_key(&number, |(own, _)| *own).ok()?;
        self.notes.get(place).map(|(_, text)| Cow::Borrowed(text.as_str()))
    }
}

/// The records of one CPU that are still there.
struct Found {
    /// Which of the rings.
    ring: usize,
    cpu: u16,
    records: Vec<Record>,
    lost: u64,
    /// The first record that was not looked at.
    next: u64,
}

/// What is in the rings of all CPUs, or of one.
fn found(kept: &Kept, only: Option<u16>) -> Vec<Found> {
    let rings = rings().iter().zip(&kept.accounts).enumerate();
    let rings = rings.filter(|(_, (ring, _))| only.is_none_or(|cpu| cpu == ring.cpu.number));
    let found = rings.filter_map(|(index, (cpu_ring, account))| {
        let mut reader = Reader::new(cpu_ring.ring()?, account.start);
        let mut records = Vec::new();
        // Up to what is there now: a CPU that goes on may write faster than this reads.
        let end = cpu_ring.written();
        while reader.position() < end {
            match reader.next_record() {
                Next::Record(record) => records.push(record),
                // Begun and not ended: cut off by a fault, or being written now.
                Next::Pending => reader.skip(),
                Next::Empty => break,
            }
        }
        let (lost, next) = (reader.lost(), reader.position());
        Some(Found { ring: index, cpu: cpu_ring.cpu.number, records, lost, next })
    });
    found.collect()
}

/// What the text of records needs besides them.
struct Style<'k> {
    clock: Clock,
    options: Options,
    names: Machine<'k>,
}

impl<'k> Style<'k> {
    fn of(kept: &Kept, options: Options, notes: &'k VecDeque<(u64, String)>) -> Self {
        Self { clock: kept.clock(), options, names: Machine { notes } }
    }

    fn line<'s>(&'s self, cpu: u32, record: Record) -> FunctionLine<'s, Machine<'k>> {
        let task = Task { name: if cpu == 0 { "shell" } else { "job" }, pid: cpu + 1 };
        let Self { clock, options, names } = self;
        let (clock, options) = (*clock, *options);
        FunctionLine { record, task, cpu, flags: Flags::CALL, clock, options, names }
    }
}

impl Kept {
    fn clock(&self) -> Clock {
        Clock { ticks_per_second: NonZeroU64::new(self.clock_hz).unwrap_or(NonZeroU64::MIN) }
    }
}

/// The lines of records, in the order of their times, each with its ring and time.
/// Of a CPU that lost some, the first line has `mark` before it. The first `skip` are
/// not made into text, and handed over as none.
fn lines(
    found: Vec<Found>,
    style: &Style<'_>,
    skip: usize,
    mark: impl Fn(&Found) -> Option<String>,
    mut out: impl FnMut(usize, u64, &str),
) {
    let mut marks: Vec<Option<String>> = found.iter().map(mark).collect();
    let rings: Vec<(u32, usize)> = found.iter().map(|it| (it.cpu.into(), it.ring)).collect();
    let sources = found.into_iter().map(|cpu| (cpu.cpu.into(), cpu.records.into_iter()));
    for (number, (cpu, record)) in Merge::new(sources).enumerate() {
        let place = rings.iter().position(|(number, _)| *number == cpu).unwrap_or_default();
        let ring = rings.get(place).map_or(0, |(_, ring)| *ring);
        if number < skip {
            out(ring, record.time, "");
            continue;
        }
        if let Some(mark) = marks.get_mut(place).and_then(Option::take) {
            out(ring, record.time, &mark);
        }
        out(ring, record.time, &style.line(cpu, record).to_string());
    }
}

/// Turns the records into lines while all their modules are there.
pub fn archive() {
    let mut kept = KEPT.lock();
    let found = found(&kept, None);
    for cpu in &found {
        if let Some(account) = kept.accounts.get_mut(cpu.ring) {
            account.start = cpu.next;
            account.lost += cpu.lost;
        }
    }
    let mut archive = core::mem::take(&mut kept.archive);
    let style = Style::of(&kept, kept.options, &kept.notes);
    // Those that the archive has no room for need not become text.
    let fresh: usize = found.iter().map(|cpu| cpu.records.len()).sum();
    let skip = fresh.saturating_sub(ARCHIVE_LINES);
    lines(
        found,
        &style,
        skip,
        |_| None,
        |ring, time, text| {
            archive.push(Line { ring, time, text: text.to_string() });
        },
    );
    let excess = archive.len().saturating_sub(ARCHIVE_LINES);
    for line in archive.drain(..excess) {
        if let Some(account) = kept.accounts.get_mut(line.ring) {
            account.lost += 1;
        }
    }
    kept.archive = archive;
}

/// Records that can be shown, and those and the overwritten, since the last `clear`.
pub fn counts() -> (u64, u64) {
    let kept = KEPT.lock();
    count(&kept, &found(&kept, None))
}

fn count(kept: &Kept, found: &[Found]) -> (u64, u64) {
    let sum = |of: fn(&Stats) -> u64| found.iter().map(|it| of(&stats_of(kept, it))).sum::<u64>();
    let there = sum(|stats| stats.entries);
    (there, there + sum(|stats| stats.overrun))
}

fn stats_of(kept: &Kept, found: &Found) -> Stats {
    let account = kept.accounts.get(found.ring).copied().unwrap_or_default();
    let mut archived = kept.archive.iter().filter(|line| line.ring == found.ring).peekable();
    let oldest = archived.peek().map(|line| line.time);
    let oldest = oldest.or_else(|| found.records.first().map(|record| record.time));
    let entries = archived.count() as u64 + found.records.len() as u64;
    Stats {
        entries,
        overrun: account.lost + found.lost,
        bytes: entries * SIZE as u64,
        oldest: oldest.unwrap_or_default(),
        now: timebase(),
        dropped: 0,
        read: account.read,
    }
}

/// The counts of one CPU, as `per_cpu/cpuN/stats` shows them.
pub fn stats(cpu: u16) -> String {
    let kept = KEPT.lock();
    let found = found(&kept, Some(cpu));
    let stats = found.first().map(|found| stats_of(&kept, found));
    let none = || Stats { now: timebase(), ..Stats::default() };
    stats.unwrap_or_else(none).shown(kept.clock())
}

/// The trace of all CPUs, or of one, as Linux's `trace` file shows it, handed over
/// in pieces.
pub fn show(on: bool, only: Option<u16>, mut out: impl FnMut(&str)) {
    let kept = KEPT.lock();
    let found = found(&kept, only);
    let ((in_buffer, written), options) = (count(&kept, &found), kept.options);
    let (archive, notes, clock) = (kept.archive.clone(), kept.notes.clone(), kept.clock());
    let rings: Vec<usize> = found.iter().map(|cpu| cpu.ring).collect();
    drop(kept);
    let tracer = if on || written > 0 { "function" } else { "nop" };
    let cpus = smp::cpus().len().max(1) as u32;
    out(&Header { tracer, in_buffer, written, cpus, options }.to_string());
    let mut first = true;
    for line in archive.iter().filter(|line| rings.contains(&line.ring)) {
        out(&line.text);
        first = false;
    }
    let style = Style { clock, options, names: Machine { notes: &notes } };
    let annotate = options.contains(Options::ANNOTATE);
    let mark = |cpu: &Found| {
        let started = BufferStarted { cpu: cpu.cpu.into() };
        (annotate && cpu.lost > 0).then(|| started.to_string())
    };
    lines(found, &style, 0, mark, |_, _, text| {
        // Nobody needs to be told so of the very first line.
        if !(core::mem::take(&mut first) && text.starts_with('#')) {
            out(text);
        }
    });
}

/// Takes out what is there, of all CPUs or of one, and hands it over in pieces.
pub fn take(only: Option<u16>, mut out: impl FnMut(&str)) {
    let mut kept = KEPT.lock();
    let found = found(&kept, only);
    let mut untold = Vec::new();
    for cpu in &found {
        let archived = kept.archive.iter().filter(|line| line.ring == cpu.ring).count() as u64;
        let Some(account) = kept.accounts.get_mut(cpu.ring) else { continue };
        account.start = cpu.next;
        account.lost += cpu.lost;
        account.read += archived + cpu.records.len() as u64;
        untold.push(LostEvents { cpu: cpu.cpu.into(), count: account.lost - account.told });
        account.told = account.lost;
    }
    let is_taken = |line: &mut Line| found.iter().any(|cpu| cpu.ring == line.ring);
    let archive: Vec<Line> = kept.archive.extract_if(.., is_taken).collect();
    let (options, notes, clock) = (kept.options, kept.notes.clone(), kept.clock());
    drop(kept);
    archive.iter().for_each(|line| out(&line.text));
    let style = Style { clock, options, names: Machine { notes: &notes } };
    let mark = |cpu: &Found| {
        let lost = untold.iter().find(|lost| lost.cpu == cpu.cpu.into() && lost.count > 0);
        lost.map(ToString::to_string)
    };
    lines(found, &style, 0, mark, |_, _, text| out(text));
}

/// Writes a line into this CPU's ring, between what is recorded there.
pub fn note(text: String) -> Result<(), String> {
    make_rings()?;
    let this = smp::this_cpu();
    let ring = rings().iter().find(|ring| ring.cpu.number == this).and_then(CpuRing::ring);
    let ring = ring.ok_or("this CPU has no ring")?;
    let mut kept = KEPT.lock();
    kept.noted += 1;
    let number = kept.noted;
    kept.notes.push_back((number, text));
    if kept.notes.len() > NOTES {
        kept.notes.pop_front();
    }
    ring.write(timebase(), NOTE, Vaddr(number));
    Ok(())
}

/// The switches of `trace_options`.
pub fn options() -> Options {
    KEPT.lock().options
}

/// Sets them.
pub fn set_options(options: Options) {
    KEPT.lock().options = options;
}
