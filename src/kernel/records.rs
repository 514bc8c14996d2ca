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
//!   takes nothing out, so any number may read.
//! - Records of a module that goes are turned into text first: afterwards its
//!   addresses mean nothing, or something else.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::sync::atomic::AtomicU64;

use super::{symbols, tracing};
use crate::addr::Vaddr;
use crate::machine::lock::{Mutex, Once};
use crate::machine::smp::{self, Cpu};
use crate::machine::{hooks, paca};
use crate::trace::decode::{BufferStarted, Clock, Flags, FunctionLine, Header, Merge, Names, Task};
use crate::trace::record::{Record, WORDS};
use crate::trace::ring::{Next, Reader, Ring};

/// Records in a CPU's ring.
const RING_RECORDS: usize = 8192;
/// Lines kept of modules that are gone.
const ARCHIVE_LINES: usize = RING_RECORDS;

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

struct Kept {
    /// For each CPU, the first record that counts: `clear` moves it.
    starts: Vec<u64>,
    /// Lines of records before that, whose modules are gone.
    archive: Vec<String>,
    /// Records since the last `clear` that are in the archive, or were dropped from it.
    archived: u64,
    /// Ticks of the time base in a second.
    clock_hz: u64,
}

static RINGS: Once<Vec<CpuRing>> = Once::new();
static KEPT: Mutex<Kept> = Mutex::new(Kept {
    starts: Vec::new(),
    archive: Vec::new(),
    archived: 0,
    clock_hz: 512_000_000,
});

/// Learns how fast the clock runs.
pub fn init(timebase_hz: u64) {
    KEPT.lock().clock_hz = timebase_hz;
}

fn rings() -> &'static [CpuRing] {
    RINGS.get().map_or(&[], |rings| rings.as_slice())
}

/// Makes the rings, if there are none, and starts recording on every CPU.
pub fn start() -> Result<(), String> {
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
        KEPT.lock().starts = rings.iter().map(CpuRing::written).collect();
        RINGS.call_once(|| rings);
    }
    rings().iter().for_each(|ring| hooks::ring_on(ring.cpu.paca, ring.words));
    Ok(())
}

/// Stops recording; what was recorded stays.
pub fn stop() {
    rings().iter().for_each(|ring| hooks::ring_off(ring.cpu.paca));
}

/// Forgets what was recorded.
pub fn clear() {
    let mut kept = KEPT.lock();
    kept.starts = rings().iter().map(CpuRing::written).collect();
    kept.archive = Vec::new();
    kept.archived = 0;
}

/// Names for the decoder.
struct Machine;

impl Names for Machine {
    fn function_at(&self, at: Vaddr) -> Option<Cow<'_, str>> {
        symbols::function(at).map(Cow::Owned)
    }

    fn hooked_function(&self, ip: Vaddr) -> Option<Cow<'_, str>> {
        tracing::hooked(ip).or_else(|| self.function_at(ip))
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
    let found = rings().iter().zip(&kept.starts).filter_map(|(cpu_ring, start)| {
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

/// The lines of records, in the order of their times, without the first `skip`.
fn lines(found: Vec<Found>, clock_hz: u64, skip: usize, mut out: impl FnMut(&str)) {
    let ticks_per_second = NonZeroU64::new(clock_hz).unwrap_or(NonZeroU64::MIN);
    let clock = Clock { ticks_per_second };
    let mut incomplete: Vec<u32> =
        found.iter().filter(|cpu| cpu.lost > 0).map(|cpu| cpu.cpu.into()).collect();
    let mut first = true;
    let sources = found.into_iter().map(|cpu| (cpu.cpu.into(), cpu.records.into_iter()));
    for (number, (cpu, record)) in Merge::new(sources).enumerate() {
        if number < skip {
            continue;
        }
        if let Some(index) = incomplete.iter().position(|number| *number == cpu) {
            incomplete.swap_remove(index);
            if !first {
                out(&BufferStarted { cpu }.to_string());
            }
        }
        first = false;
        let task = Task { name: if cpu == 0 { "shell" } else { "job" }, pid: cpu + 1 };
        let line = FunctionLine { record, task, cpu, flags: Flags::CALL, clock, names: &Machine };
        out(&line.to_string());
    }
}

/// Turns the records into lines while all their modules are there.
pub fn archive() {
    let mut kept = KEPT.lock();
    let found = records(&kept);
    let read: u64 = found.iter().map(|cpu| cpu.records.len() as u64 + cpu.lost).sum();
    let hz = kept.clock_hz;
    kept.starts = found.iter().map(|cpu| cpu.next).collect();
    kept.archived += read;
    // Those that the archive has no room for need not become text.
    let fresh: usize = found.iter().map(|cpu| cpu.records.len()).sum();
    let archive = &mut kept.archive;
    let skip = fresh.saturating_sub(ARCHIVE_LINES);
    lines(found, hz, skip, |line| archive.push(line.to_string()));
    let excess = archive.len().saturating_sub(ARCHIVE_LINES);
    archive.drain(..excess);
}

/// Records that can be shown, and all that were written, since the last `clear`.
pub fn counts() -> (u64, u64) {
    let kept = KEPT.lock();
    count(&kept, &records(&kept))
}

fn count(kept: &Kept, found: &[Found]) -> (u64, u64) {
    let there: u64 = found.iter().map(|cpu| cpu.records.len() as u64).sum();
    let lost: u64 = found.iter().map(|cpu| cpu.lost).sum();
    (kept.archive.len() as u64 + there, kept.archived + there + lost)
}

/// The trace as Linux's `trace` file shows it, handed over in pieces.
pub fn show(on: bool, mut out: impl FnMut(&str)) {
    let (archive, found, (in_buffer, written), hz) = {
        let kept = KEPT.lock();
        let found = records(&kept);
        let counts = count(&kept, &found);
        (kept.archive.clone(), found, counts, kept.clock_hz)
    };
    let tracer = if on || written > 0 { "function" } else { "nop" };
    let cpus = smp::cpus().len().max(1) as u32;
    out(&Header { tracer, in_buffer, written, cpus }.to_string());
    archive.iter().for_each(|text| out(text));
    lines(found, hz, 0, out);
}
