//! What call sites recorded, as text: a ring for each CPU, and an archive.
//!
//! ```text
//!  CPU 0's ring ─┐
//!  CPU 1's ring ─┼─ merged by time ─> lines of Linux's `trace` file
//!  archive ──────┘  (lines of modules that are gone come first)
//! ```
//!
//! # Invariants
//! - Rings are made at the first `start`, and their memory stays, also when they get
//!   another size: a hook that was interrupted may write one more record. A CPU
//!   writes its own; reading takes nothing out, so any number may read.
//! - Records of a module that goes are turned into text first: afterwards its
//!   addresses mean nothing, or something else.
//! - A CPU that reads does not record meanwhile: with the kernel's own functions
//!   traced, it would write over what it reads.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::sync::atomic::AtomicU64;

use super::{symbols, tracing};
use crate::addr::Vaddr;
use crate::machine::hooks::Tool;
use crate::machine::lock::Mutex;
use crate::machine::smp::{self, Cpu};
use crate::machine::{hooks, paca};
use crate::trace::decode::{BufferStarted, Clock, Flags, FunctionLine, Header, Merge, Names, Task};
use crate::trace::graph::{self, Screen, Style};
use crate::trace::record::{Kind, Record, SIZE, WORDS};
use crate::trace::ring::{Next, Reader, Ring};

/// Records in a CPU's ring, until somebody wants another number.
const RING_RECORDS: usize = 8192;
/// The fewest and the most: a page of Linux's, and what an eighth of 1 GiB holds.
const RING_LIMITS: (usize, usize) = (2048, 1 << 22);
/// Lines kept of modules that are gone.
const ARCHIVE_LINES: usize = RING_RECORDS;

/// One CPU's ring.
#[derive(Clone, Copy)]
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

struct Kept {
    rings: Vec<CpuRing>,
    /// Memory of rings that have another size now; never given back, but used again.
    retired: Vec<&'static [AtomicU64]>,
    /// Records in each ring.
    size: usize,
    /// The tracer is on, and `tracing_on` is 1.
    started: bool,
    recording: bool,
    /// The tool that writes the records, and what its lines have left open.
    tool: Tool,
    screen: Screen,
    options: graph::Options,
    /// For each CPU, the first record that counts: `clear` moves it.
    starts: Vec<u64>,
    /// Lines of records before that, whose modules are gone.
    archive: Vec<String>,
    /// Records since the last `clear` that are in the archive, or were dropped from it.
    archived: u64,
    /// Ticks of the time base in a second.
    clock_hz: u64,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    rings: Vec::new(),
    retired: Vec::new(),
    size: RING_RECORDS,
    started: false,
    recording: true,
    tool: Tool::Function,
    screen: Screen::new(),
    options: graph::Options::LINUX,
    starts: Vec::new(),
    archive: Vec::new(),
    archived: 0,
    clock_hz: 512_000_000,
});

impl Kept {
    /// Memory for a ring: what is there already, or new.
    fn memory(&mut self) -> Result<&'static [AtomicU64], String> {
        let count = self.size * WORDS;
        if let Some(place) = self.retired.iter().position(|words| words.len() == count) {
            return Ok(self.retired.swap_remove(place));
        }
        let mut words = Vec::new();
        words
            .try_reserve_exact(count)
            .map_err(|_| "no memory for the trace rings (see mem)".to_string())?;
        words.resize_with(count, || AtomicU64::new(0));
        Ok(words.leak())
    }

    /// Makes a ring for each CPU, if there are none of the right size.
    fn make(&mut self) -> Result<(), String> {
        let size = self.size * WORDS;
        if self.rings.first().is_some_and(|ring| ring.words.len() == size) {
            return Ok(());
        }
        let mut rings = Vec::new();
        for cpu in smp::cpus() {
            match self.memory() {
                Ok(words) => rings.push(CpuRing { cpu, words }),
                Err(reason) => {
                    self.retired.extend(rings.iter().map(|ring: &CpuRing| ring.words));
                    return Err(reason);
                }
            }
        }
        let old = core::mem::replace(&mut self.rings, rings);
        self.retired.extend(old.iter().map(|ring| ring.words));
        self.starts = self.rings.iter().map(CpuRing::written).collect();
        Ok(())
    }

    /// Has every CPU record, or none: as it was asked for.
    fn apply(&self) {
        for ring in &self.rings {
            if self.started && self.recording {
                hooks::ring_on(ring.cpu.paca, ring.words);
            } else {
                hooks::ring_off(ring.cpu.paca);
            }
        }
    }

    fn forget(&mut self) {
        self.starts = self.rings.iter().map(CpuRing::written).collect();
        self.archive = Vec::new();
        self.archived = 0;
        self.screen = Screen::new();
    }
}

/// Runs `work` while this CPU records nothing.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    hooks::ring_off(paca::r13());
    let done = work();
    KEPT.lock().apply();
    done
}

/// Learns how fast the clock runs.
pub fn init(timebase_hz: u64) {
    KEPT.lock().clock_hz = timebase_hz;
}

/// Makes the rings, if there are none, and starts recording on every CPU.
pub fn start() -> Result<(), String> {
    let mut kept = KEPT.lock();
    kept.make()?;
    kept.started = true;
    kept.apply();
    Ok(())
}

/// Stops recording; what was recorded stays.
pub fn stop() {
    let mut kept = KEPT.lock();
    kept.started = false;
    kept.apply();
}

/// Records nothing while `on` is false, whatever is traced: `tracing_on`.
pub fn set_recording(on: bool) {
    let mut kept = KEPT.lock();
    kept.recording = on;
    kept.apply();
}

/// Whether anything is recorded.
pub fn recording() -> bool {
    KEPT.lock().recording
}

/// KiB of a CPU's ring.
pub fn size_kib() -> usize {
    KEPT.lock().size * SIZE / 1024
}

/// Gives every CPU's ring at least so many KiB: a power of two of records. What was
/// recorded is kept as text.
pub fn resize(kib: usize) -> Result<(), String> {
    let (least, most) = RING_LIMITS;
    let wanted = kib.checked_mul(1024 / SIZE).filter(|wanted| *wanted > 0 && *wanted <= most);
    let Some(wanted) = wanted else {
        return Err(format!("a ring has 1 to {} KiB", most * SIZE / 1024));
    };
    archive();
    let mut kept = KEPT.lock();
    let before = kept.size;
    kept.size = wanted.next_power_of_two().max(least);
    if !kept.rings.is_empty() {
        if let Err(reason) = kept.make() {
            kept.size = before;
            return Err(reason);
        }
        kept.apply();
    }
    Ok(())
}

/// Forgets what was recorded.
pub fn clear() {
    KEPT.lock().forget();
}

/// Forgets what was recorded: `tool` writes from now on.
pub fn begin_anew(tool: Tool) {
    let mut kept = KEPT.lock();
    kept.tool = tool;
    kept.forget();
}

/// Names for the decoder.
struct Machine;

impl Names for Machine {
    fn function_at(&self, at: Vaddr) -> Option<Cow<'_, str>> {
        symbols::function(at).map(Cow::Owned)
    }

    fn hooked_function(&self, ip: Vaddr) -> Option<Cow<'_, str>> {
        let found = tracing::hooked(ip).map(|(name, _)| Cow::Owned(name));
        found.or_else(|| self.function_at(ip))
    }

    fn hooked_with_module(&self, ip: Vaddr) -> Option<Cow<'_, str>> {
        match tracing::hooked(ip) {
            Some((name, Some(module))) => Some(format!("{name} [{}]", module.name).into()),
            Some((name, None)) => Some(name.into()),
            None => symbols::name(ip).map(Cow::Owned),
        }
    }
}

/// The records of one CPU that are still there.
struct Found {
    cpu: u16,
    records: Vec<Record>,
    lost: u64,
    /// The first record that was not looked at.
    next: u64,
}

fn records(kept: &Kept) -> Vec<Found> {
    let found = kept.rings.iter().zip(&kept.starts).filter_map(|(cpu_ring, start)| {
        let mut reader = Reader::new(cpu_ring.ring()?, *start);
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
        Some(Found { cpu: cpu_ring.cpu.number, records, lost, next })
    });
    found.collect()
}

/// How the lines are made.
struct Lines<'s> {
    clock_hz: u64,
    tool: Tool,
    options: graph::Options,
    screen: &'s mut Screen,
    /// So many of the first records make none.
    skip: usize,
}

impl Lines<'_> {
    /// The lines of records, in the order of their times.
    fn make(self, found: Vec<Found>, mut out: impl FnMut(&str)) {
        let ticks_per_second = NonZeroU64::new(self.clock_hz).unwrap_or(NonZeroU64::MIN);
        let clock = Clock { ticks_per_second };
        let cpus = smp::cpus().len().max(1) as u32;
        let style = Style { options: self.options, cpus, clock, names: &Machine };
        let mut incomplete: Vec<u32> =
            found.iter().filter(|cpu| cpu.lost > 0).map(|cpu| cpu.cpu.into()).collect();
        let mut first = true;
        let sources = found.into_iter().map(|cpu| (cpu.cpu.into(), cpu.records.into_iter()));
        let mut merge = Merge::new(sources);
        let mut number = 0;
        while let Some((cpu, record)) = merge.next() {
            number += 1;
            if number <= self.skip {
                continue;
            }
            if let Some(index) = incomplete.iter().position(|number| *number == cpu) {
                incomplete.swap_remove(index);
                if !first {
                    out(&BufferStarted { cpu }.to_string());
                }
            }
            first = false;
            match (record.kind(), self.tool) {
                (Kind::Function, _) => {
                    let task = Task { name: if cpu == 0 { "shell" } else { "job" }, pid: cpu + 1 };
                    let (flags, names) = (Flags::CALL, &Machine);
                    out(&FunctionLine { record, task, cpu, flags, clock, names }.to_string());
                }
                (Kind::GraphEntry | Kind::GraphReturn, Tool::Graph) => {
                    let mut line = String::new();
                    let next = merge.peek_of(cpu).copied();
                    // Writing to a text does not fail.
                    if self.screen.line(&style, cpu, &record, next.as_ref(), &mut line) == Ok(true)
                    {
                        merge.take_of(cpu);
                        number += 1;
                    }
                    out(&line);
                }
                // A call that began under the graph tracer, and ended under another.
                _ => {}
            }
        }
    }
}

/// Turns the records into lines while all their modules are there.
pub fn archive() {
    quietly(|| {
        let mut kept = KEPT.lock();
        let kept = &mut *kept;
        let found = records(kept);
        let read: u64 = found.iter().map(|cpu| cpu.records.len() as u64 + cpu.lost).sum();
        kept.starts = found.iter().map(|cpu| cpu.next).collect();
        kept.archived += read;
        // Those that the archive has no room for need not become text.
        let fresh: usize = found.iter().map(|cpu| cpu.records.len()).sum();
        let archive = &mut kept.archive;
        let lines = Lines {
            clock_hz: kept.clock_hz,
            tool: kept.tool,
            options: kept.options,
            screen: &mut kept.screen,
            skip: fresh.saturating_sub(ARCHIVE_LINES),
        };
        lines.make(found, |line| archive.push(line.to_string()));
        let excess = archive.len().saturating_sub(ARCHIVE_LINES);
        archive.drain(..excess);
    });
}

/// Records that can be shown, and all that were written, since the last `clear`.
pub fn counts() -> (u64, u64) {
    quietly(|| {
        let kept = KEPT.lock();
        count(&kept, &records(&kept))
    })
}

fn count(kept: &Kept, found: &[Found]) -> (u64, u64) {
    let there: u64 = found.iter().map(|cpu| cpu.records.len() as u64).sum();
    let lost: u64 = found.iter().map(|cpu| cpu.lost).sum();
    (kept.archive.len() as u64 + there, kept.archived + there + lost)
}

/// The trace as Linux's `trace` file shows it, handed over in pieces.
pub fn show(on: bool, mut out: impl FnMut(&str)) {
    quietly(|| {
        let (archive, found, (in_buffer, written), clock_hz, tool, options, mut screen) = {
            let kept = KEPT.lock();
            let found = records(&kept);
            let counts = count(&kept, &found);
            let screen = kept.screen.clone();
            (kept.archive.clone(), found, counts, kept.clock_hz, kept.tool, kept.options, screen)
        };
        if tool == Tool::Graph && (on || written > 0) {
            out(&graph::Header(options).to_string());
        } else {
            let tracer = if on || written > 0 { "function" } else { "nop" };
            let cpus = smp::cpus().len().max(1) as u32;
            out(&Header { tracer, in_buffer, written, cpus }.to_string());
        }
        archive.iter().for_each(|text| out(text));
        Lines { clock_hz, tool, options, screen: &mut screen, skip: 0 }.make(found, out);
    });
}
