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
//!   writes its own; reading takes nothing out, so any number may read. What
//!   `trace_pipe` takes is not shown again, by moving where reading starts.
//! - Of each CPU's records since the last `clear`: entries + overrun + read + dropped are
//!   those that were to be written.
//! - If records name a module that goes, all are turned into text first: afterwards its
//!   addresses mean nothing, or something else. If none does, the rings stay as they are.
//! - A CPU that reads does not record meanwhile: with the kernel's own functions
//!   traced, it would write over what it reads.

use alloc::borrow::Cow;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt::Write as _;
use core::hint::black_box;
use core::num::NonZeroU64;
use core::ops::Range;
use core::sync::atomic::{Ordering, fence};

use super::livepatch::nobody_in_hooks;
use super::pool::{Pool, Words};
use super::{probes, symbols, tracing};
use crate::addr::Vaddr;
use crate::machine::hooks::Tool;
use crate::machine::lock::{Mutex, pause};
use crate::machine::smp::{self, Cpu};
use crate::machine::spr::timebase;
use crate::machine::{hooks, paca, probes as blocks};
use crate::sorted::SortedMap;
use crate::trace::decode::{
    BufferStarted, Clock, Flags, FunctionLine, Header, LostEvents, Merge, NOTE, NOTE_OF_STACK,
    Names, Prefix, Stats, Task,
};
use crate::trace::graph::{self, Screen, Style};
use crate::trace::options::Options;
use crate::trace::probes::text::EventText;
use crate::trace::record::{
    Kind, OWNER_WORD, PAYLOAD_WORDS, PLANES, Record, SIZE, WORDS, owner, payload_place,
};
use crate::trace::ring::{Reader, Ring};

/// Records in a CPU's ring, until somebody wants another number.
const RING_RECORDS: usize = 8192;
/// The fewest and the most: a page of Linux's, and what an eighth of 1 GiB holds.
const RING_LIMITS: (usize, usize) = (2048, 1 << 22);
/// Lines kept of modules that are gone, at most: as many as the rings have records, but
/// no more than this.
const ARCHIVE_LINES: usize = 1 << 16;
/// Memory that a line takes while it is made, and more for each ring; about.
const LINE_BYTES: (usize, usize) = (512, 128);
/// How often a reader looks again for records that other CPUs are writing, which takes
/// them a few dozen instructions, or a tick's or another guest's turn in between.
const PATIENCE: u32 = 1000;
/// Notes whose text is kept.
const NOTES: usize = 1024;
/// What notes of [`put`] begin with that somebody wrote.
pub const MARK: &str = "tracing_mark_write: ";
/// Why rings are not made.
const NO_MEMORY: &str = "no memory for the trace rings (see mem)";

/// One CPU's ring.
#[derive(Clone, Copy)]
struct CpuRing {
    cpu: Cpu,
    words: Words,
    /// What probes record beside it; there once there was a probe.
    planes: Option<Words>,
}

/// What lies beside a record.
type Payload = [u64; PAYLOAD_WORDS];

impl CpuRing {
    fn ring(&self) -> Option<Ring<'static>> {
        Ring::new(paca::ring_head_of(self.cpu.paca), self.words).ok()
    }

    fn written(&self) -> u64 {
        paca::ring_head_of(self.cpu.paca).load(Ordering::Acquire)
    }

    /// Records that the full ring did not take, ever.
    fn dropped(&self) -> u64 {
        paca::ring_limit_of(self.cpu.paca).1.load(Ordering::Relaxed)
    }

    /// What lies beside a record; `None` if nothing does, or not any more.
    fn payload(&self, record: &Record) -> Option<Payload> {
        let slots = self.words.len() / WORDS;
        let index = record.seq.wrapping_sub(1);
        let slot = index as usize & (slots - 1);
        let mut payload = [0; PAYLOAD_WORDS];
        for (word, to) in payload.iter_mut().enumerate() {
            let from = self.planes?.get(payload_place(slots, slot, word))?;
            *to = from.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        let is_own = record.kind() == Kind::Probe || payload[OWNER_WORD] == owner(record.seq);
        (is_own && self.written().wrapping_sub(index) <= slots as u64).then_some(payload)
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
    /// Dropped by the CPU in all its life, when this began.
    dropped: u64,
    /// Calls that its graph stack had no room for, the same.
    deep: u64,
}

impl Account {
    fn fresh(ring: &CpuRing) -> Self {
        let deep = paca::graph_missed_of(ring.cpu.paca);
        Self { start: ring.written(), dropped: ring.dropped(), deep, ..Self::default() }
    }
}

/// A line of records whose module may be gone.
#[derive(Clone)]
struct Line {
    /// Which of the rings they were in.
    ring: usize,
    time: u64,
    /// How many they were.
    records: u64,
    /// What all lines share that were made at one time: a piece of the heap for each of
    /// thousands would make every other one hard to find.
    texts: Arc<String>,
    /// Where this one's is in there.
    at: Range<usize>,
}

impl Line {
    fn text(&self) -> &str {
        self.texts.get(self.at.clone()).unwrap_or_default()
    }
}

/// What lines depend on besides the records.
#[derive(Clone, Copy)]
struct Manner {
    clock: Clock,
    /// The tool that writes the records.
    tool: Tool,
    options: Options,
}

struct Kept {
    rings: Vec<CpuRing>,
    /// Memory of rings that have another size now.
    retired: Pool,
    /// Records in each ring.
    size: usize,
    /// The tracer is on, and `tracing_on` is 1.
    started: bool,
    recording: bool,
    /// The rings are about to get another size: nothing is recorded meanwhile, whatever
    /// a trigger or a tracer sets.
    resizing: bool,
    /// A probe is on, or was: there are planes beside the rings.
    probing: bool,
    planes: bool,
    /// A tracer has been on since the last `clear`.
    traced: bool,
    manner: Manner,
    /// What the graph tracer's lines have left open.
    screen: Screen,
    /// One for each ring.
    accounts: Vec<Account>,
    /// Lines of records before those in the rings.
    archive: Vec<Line>,
    /// Notes, with their numbers; the latest last.
    notes: VecDeque<(u64, String)>,
    /// How many notes there were ever.
    noted: u64,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    rings: Vec::new(),
    retired: Pool::EMPTY,
    size: RING_RECORDS,
    started: false,
    recording: true,
    resizing: false,
    probing: false,
    planes: false,
    traced: false,
    manner: Manner {
        clock: ticking(512_000_000),
        tool: Tool { graph: false, many: false },
        options: Options::DEFAULT,
    },
    screen: Screen::new(),
    accounts: Vec::new(),
    archive: Vec::new(),
    notes: VecDeque::new(),
    noted: 0,
});

impl Kept {
    /// There is a ring for each CPU, and nothing beside it is wanted.
    fn is_made(&self) -> bool {
        let is_right = |ring: &CpuRing| ring.words.len() == self.size * WORDS;
        !self.planes && self.rings.first().is_some_and(is_right)
    }

    /// Makes a ring for each CPU, if there are none of the right size.
    #[optimize(size)]
    fn make(&mut self) -> Result<(), String> {
        let size = self.size * WORDS;
        if self.rings.first().is_some_and(|ring| ring.words.len() == size) {
            return self.make_planes();
        }
        let mut rings = Vec::new();
        for cpu in smp::cpus() {
            let Some(words) = self.retired.take(size) else {
                self.retired.put(rings.iter().map(|ring: &CpuRing| ring.words));
                return Err(NO_MEMORY.to_string());
            };
            rings.push(CpuRing { cpu, words, planes: None });
        }
        let old = core::mem::replace(&mut self.rings, rings);
        self.retired.put(old.iter().map(|ring| ring.words));
        self.retired.put(old.iter().filter_map(|ring| ring.planes));
        // What was in other rings before is in the archive, and in the accounts.
        self.accounts.resize(self.rings.len(), Account::default());
        for (account, ring) in self.accounts.iter_mut().zip(&self.rings) {
            account.start = ring.written();
        }
        self.make_planes()
    }

    /// Makes what lies beside the rings, if there are probes.
    #[optimize(size)]
    fn make_planes(&mut self) -> Result<(), String> {
        if !self.planes {
            return Ok(());
        }
        for index in 0..self.rings.len() {
            if self.rings.get(index).is_some_and(|ring| ring.planes.is_none()) {
                let planes = self.retired.take(self.size * WORDS * PLANES).ok_or(NO_MEMORY)?;
                if let Some(ring) = self.rings.get_mut(index) {
                    ring.planes = Some(planes);
                }
            }
        }
        Ok(())
    }

    /// Gives the rings another size, while nothing is recorded; or leaves all as it was.
    fn remake(&mut self, size: usize) -> Result<(), String> {
        let before = core::mem::replace(&mut self.size, size);
        let made = self.make();
        if made.is_err() {
            self.size = before;
        }
        made
    }

    /// From which record on a CPU's ring is full. What the archive has of it counts.
    #[optimize(size)]
    #[inline(never)] // recording begins without it
    fn limit(&self, index: usize) -> u64 {
        let archived = self.archive.iter().filter(|line| line.ring == index);
        let room = self.size as u64;
        let room = room.saturating_sub(archived.map(|line| line.records).sum());
        self.accounts.get(index).map_or(u64::MAX, |account| account.start + room)
    }

    /// Has every CPU record, or none: as it was asked for.
    fn apply(&self) {
        let overwrites = self.manner.options.contains(Options::OVERWRITE);
        let on = (self.started || self.probing) && self.recording && !self.resizing;
        for (index, ring) in self.rings.iter().enumerate() {
            let limit = if overwrites { u64::MAX } else { self.limit(index) };
            paca::ring_limit_of(ring.cpu.paca).0.store(limit, Ordering::Release);
            let is_whole = !self.planes || ring.planes.is_some();
            if on && is_whole {
                hooks::ring_on(ring.cpu.paca, ring.words, ring.planes);
            } else {
                hooks::ring_off(ring.cpu.paca);
            }
        }
    }

    /// Has CPUs record as it was asked for; `anew` forgets what there is, if there is any.
    fn applied(&mut self, anew: bool) {
        // What was dropped, or too deep, came after something that was written.
        let is_fresh =
            |(ring, it): (&CpuRing, &Account)| it.start == ring.written() && it.read + it.lost == 0;
        let has_lines = !self.archive.is_empty() || !self.notes.is_empty();
        if anew && (has_lines || !self.rings.iter().zip(&self.accounts).all(is_fresh)) {
            self.forget(None);
        } else {
            self.traced = self.started || (self.traced && !anew);
            self.apply();
        }
    }

    /// Forgets what all CPUs recorded, or one.
    #[optimize(size)]
    fn forget(&mut self, only: Option<u16>) {
        for (index, ring) in self.rings.iter().enumerate() {
            if only.is_none_or(|cpu| cpu == ring.cpu.number)
                && let Some(account) = self.accounts.get_mut(index)
            {
                *account = Account::fresh(ring);
                self.archive.retain(|line| line.ring != index);
            }
        }
        if only.is_none() {
            (self.archive, self.notes) = (Vec::new(), VecDeque::new());
            self.screen = Screen::new();
            self.traced = self.started;
        }
        self.apply();
    }
}

/// Runs `work` while this CPU records nothing.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    hooks::ring_off(paca::r13());
    let done = work();
    KEPT.lock().apply();
    done
}

const fn ticking(ticks_per_second: u64) -> Clock {
    let ticks_per_second = match NonZeroU64::new(ticks_per_second) {
        Some(ticks) => ticks,
        None => NonZeroU64::MIN,
    };
    Clock { ticks_per_second }
}

/// How fast the clock runs.
pub fn clock() -> Clock {
    KEPT.lock().manner.clock
}

/// Learns how fast the clock runs.
pub fn init(timebase_hz: u64) {
    KEPT.lock().manner.clock = ticking(timebase_hz);
}

/// Makes the rings, if there are none, and starts recording on every CPU; `anew` forgets
/// what there was, unless the tracer is on.
pub fn start(anew: bool) -> Result<(), String> {
    let mut kept = KEPT.lock();
    if !kept.is_made() {
        kept.make()?;
    }
    let before = core::mem::replace(&mut kept.started, true);
    kept.applied(anew && !before);
    Ok(())
}

/// Records also, or only, what probes see; or that no more.
pub fn set_probing(on: bool) -> Result<(), String> {
    let mut kept = KEPT.lock();
    if on {
        kept.planes = true;
        kept.make()?;
    }
    kept.probing = on;
    kept.apply();
    Ok(())
}

/// Stops recording; what was recorded stays, or is forgotten, unless the tracer is off.
pub fn stop(forget: bool) {
    let mut kept = KEPT.lock();
    let before = core::mem::take(&mut kept.started);
    kept.applied(forget && before);
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

/// Gives every CPU's ring at least so many KiB: a power of two of records. Of what was
/// recorded the latest is kept as text (see [`archive`]); all of it if the size is as it
/// was.
pub fn resize(kib: usize) -> Result<(), String> {
    let (least, most) = RING_LIMITS;
    let wanted = kib.checked_mul(1024 / SIZE).filter(|wanted| *wanted > 0 && *wanted <= most);
    let Some(wanted) = wanted else {
        return Err(format!("a ring has 1 to {} KiB", most * SIZE / 1024));
    };
    let size = wanted.next_power_of_two().max(least);
    {
        let mut kept = KEPT.lock();
        if kept.size == size || kept.rings.is_empty() {
            kept.size = size;
            return Ok(());
        }
    }
    // A hook under way knows where one ring is, and may be about to read how large
    // another is: so nothing is recorded until every CPU has been seen outside.
    set_resizing(true);
    let made = nobody_in_hooks().and_then(|()| {
        archive(Gone::All);
        KEPT.lock().remake(size)
    });
    set_resizing(false);
    made
}

fn set_resizing(on: bool) {
    let mut kept = KEPT.lock();
    kept.resizing = on;
    kept.apply();
}

/// Forgets what all CPUs recorded, or one.
pub fn clear(only: Option<u16>) {
    KEPT.lock().forget(only);
}

/// Forgets what was recorded: `tool` writes from now on.
pub fn begin_anew(tool: Tool) {
    let mut kept = KEPT.lock();
    kept.manner.tool = tool;
    kept.forget(None);
}

/// Names for the decoder. The same few functions come again and again, and to look one
/// up costs some ten thousand instructions if it is the kernel's: each is asked for once.
struct Machine<'k> {
    notes: &'k VecDeque<(u64, String)>,
    functions: Known,
    hooked: Known,
    qualified: Known,
    /// Of each CPU its PACA, and what lies beside its records.
    beside: Vec<(Vaddr, Payloads)>,
    /// Whose record is shown.
    shown: Cell<usize>,
}

/// What lies beside records, by their numbers, ascending.
type Payloads = Vec<(u64, Payload)>;

impl<'k> Machine<'k> {
    fn with(notes: &'k VecDeque<(u64, String)>) -> Self {
        let none = RefCell::default;
        let (beside, shown) = (Vec::new(), Cell::default());
        Self { notes, functions: none(), hooked: none(), qualified: none(), beside, shown }
    }
}

/// What is known of addresses.
type Known = RefCell<SortedMap<Vaddr, Option<String>>>;

/// What is known of an address, or is found out now.
#[inline(never)]
#[optimize(size)]
fn once<'n>(known: &Known, at: Vaddr, find: &dyn Fn() -> Option<String>) -> Option<Cow<'n, str>> {
    let mut known = known.borrow_mut();
    let name = match known.get(&at) {
        Some(name) => name.clone(),
        None => {
            let name = find();
            known.insert(at, name.clone());
            name
        }
    };
    name.map(Cow::Owned)
}

impl Names for Machine<'_> {
    fn function_at(&self, at: Vaddr) -> Option<Cow<'_, str>> {
        once(&self.functions, at, &|| symbols::function(at))
    }

    fn hooked_function(&self, ip: Vaddr) -> Option<Cow<'_, str>> {
        let found = || tracing::hooked(ip).map(|(name, _)| name);
        once(&self.hooked, ip, &|| found().or_else(|| symbols::function(ip)))
    }

    fn hooked_with_module(&self, ip: Vaddr) -> Option<Cow<'_, str>> {
        once(&self.qualified, ip, &|| match tracing::hooked(ip) {
            Some((name, Some(module))) => Some(format!("{name} [{}]", module.name)),
            Some((name, None)) => Some(name),
            None => symbols::name(ip),
        })
    }

    fn site_of(&self, ip: Vaddr) -> Vaddr {
        tracing::hooked_at(ip).unwrap_or(ip)
    }

    fn place(&self, at: Vaddr) -> Option<Cow<'_, str>> {
        symbols::describe(at).map(Cow::Owned)
    }

    fn kept_text(&self, kept: u64) -> Option<Vec<u8>> {
        blocks::text(self.beside.get(self.shown.get())?.0, kept)
    }

    fn values(&self, record: &Record) -> Option<Payload> {
        let (_, payloads) = self.beside.get(self.shown.get())?;
        let place = payloads.binary_search_by_key(&record.seq, |(seq, _)| *seq).ok()?;
        payloads.get(place).map(|(_, payload)| *payload)
    }

    fn note(&self, number: u64) -> Option<Cow<'_, str>> {
        let number = number & !NOTE_OF_STACK;
        let place = self.notes.binary_search_by_key(&number, |(own, _)| *own).ok()?;
        self.notes.get(place).map(|(_, text)| Cow::Borrowed(text.as_str()))
    }
}

/// The records of one CPU that are still there.
struct Found {
    /// Which of the rings.
    ring: usize,
    cpu: u16,
    /// How many there are, and the time of the first: also if they are not taken along.
    count: u64,
    oldest: Option<u64>,
    records: Vec<Record>,
    /// What lies beside some of them.
    payloads: Payloads,
    paca: Vaddr,
    lost: u64,
    /// The first record that was not looked at.
    next: u64,
}

/// What is about to lose its names.
#[derive(Clone, Copy)]
pub enum Gone<'g> {
    /// Any records.
    All,
    /// Those of events, by their numbers.
    Events(&'g [u32]),
    /// Those of functions in this memory, or of their calls, or of what lies there.
    Memory(Vaddr, Vaddr),
}

impl Gone<'_> {
    /// True if a record needs it, or what a probe left beside it.
    #[optimize(size)]
    fn is_named_by(self, record: &Record, beside: Option<Payload>) -> bool {
        match self {
            Gone::All => true,
            Gone::Events(events) => {
                record.kind() == Kind::Probe && events.contains(&record.event())
            }
            Gone::Memory(start, end) => {
                let parent = if record.kind() == Kind::GraphReturn { 0 } else { record.parent.0 };
                let own = [record.hook().0, parent];
                let mut words = beside.iter().flatten().chain(&own);
                // What returns to its end was called from it.
                words.any(|word| (start.0..=end.0).contains(word))
            }
        }
    }
}

/// Which records are wanted.
#[derive(Clone, Copy)]
enum Want<'g> {
    All,
    /// Of each ring so many, the last ones; those before count as lost.
    Latest(usize),
    /// Only how many there are.
    Count,
    /// Only whether there is one that needs this: 1 of each ring, or none.
    Of(Gone<'g>),
}

/// What is in the rings of all CPUs, or of one.
#[optimize(size)]
fn records(kept: &Kept, only: Option<u16>, want: Want<'_>) -> Vec<Found> {
    let values = kept.manner.options.intersects(Options::VALUES);
    let (mut found, mut patience) = (Vec::new(), PATIENCE);
    for (ring, (cpu_ring, account)) in kept.rings.iter().zip(&kept.accounts).enumerate() {
        let Cpu { number: cpu, paca, .. } = cpu_ring.cpu;
        if only.is_some_and(|only| only != cpu) {
            continue;
        }
        let (mut records, mut payloads) = (Vec::new(), Vec::new());
        let (mut count, mut oldest) = (0, None);
        // Up to what is there now: a CPU that goes on may write faster than this reads.
        let end = cpu_ring.written();
        let last = if let Want::Latest(last) = want { last as u64 } else { u64::MAX };
        let start = account.start.max(end.saturating_sub(last));
        let Some(words) = cpu_ring.ring() else { continue };
        let mut reader = Reader::new(words, start);
        // One that is pending was cut off by a fault, or is being written now.
        while let Some(record) = reader.next_before(end, &mut patience, pause) {
            let is_asked = match (want, record.kind()) {
                (Want::Count, _) | (_, Kind::Function) => false,
                (_, Kind::Probe) => true,
                _ => values,
            };
            let payload = if is_asked { cpu_ring.payload(&record) } else { None };
            if let Want::Of(gone) = want {
                if gone.is_named_by(&record, payload) {
                    count = 1;
                    break;
                }
                continue;
            }
            count += 1;
            oldest.get_or_insert(record.time);
            if !matches!(want, Want::Count) {
                payloads.extend(payload.map(|payload| (record.seq, payload)));
                records.push(record);
            }
        }
        let (lost, next) = (start - account.start + reader.lost(), reader.position());
        found.push(Found { ring, cpu, count, oldest, records, payloads, paca, lost, next });
    }
    found
}

/// How the lines are made.
struct Lines<'s> {
    manner: Manner,
    names: Machine<'s>,
    screen: &'s mut Screen,
    /// So many of the first records make none.
    skip: usize,
}

/// What stands before a CPU's first line, if anything.
type Mark<'m> = &'m dyn Fn(&Found) -> Option<String>;

/// What a record became: its ring, its time, how many records are in the line. The
/// text is empty if it was skipped.
type Made<'m> = &'m mut dyn FnMut(usize, u64, u64, &str);

impl Lines<'_> {
    /// True if the record is what somebody wrote into `trace_marker`.
    fn is_mark(&self, record: &Record) -> bool {
        let note = (record.ip == NOTE).then(|| self.names.note(record.parent.0));
        note.flatten().is_some_and(|note| note.starts_with(MARK))
    }

    /// What a probe's record says.
    fn event(&self, record: &Record, task: &str) -> String {
        let Some(shape) = probes::shape(record.event()) else {
            return format!("event {}: (gone)", record.event());
        };
        let names = &self.names;
        let payload = &names.values(record).unwrap_or_default();
        EventText { shape: &shape, record: *record, payload, task, names }.to_string()
    }

    /// The lines of records, in the order of their times. Of a CPU that lost some,
    /// the first has `mark` before it.
    #[optimize(size)]
    fn make(mut self, found: Vec<Found>, mark: Mark<'_>, out: Made<'_>) {
        let cpus = smp::cpus().len().max(1) as u32;
        let Manner { clock, tool, options } = self.manner;
        let mut marks: Vec<Option<String>> = found.iter().map(mark).collect();
        let rings: Vec<(u32, usize)> = found.iter().map(|it| (it.cpu.into(), it.ring)).collect();
        let mut sources = Vec::new();
        for cpu in found {
            self.names.beside.push((cpu.paca, cpu.payloads));
            sources.push((cpu.cpu.into(), cpu.records.into_iter()));
        }
        let style = Style { options, cpus, clock, names: &self.names };
        let mut merge = Merge::new(sources);
        let mut number = 0;
        while let Some((cpu, record)) = merge.next() {
            number += 1;
            let place = rings.iter().position(|(number, _)| *number == cpu).unwrap_or_default();
            let ring = rings.get(place).map_or(0, |(_, ring)| *ring);
            if number <= self.skip {
                out(ring, record.time, 1, "");
                continue;
            }
            if let Some(mark) = marks.get_mut(place).and_then(Option::take) {
                out(ring, record.time, 0, &mark);
            }
            self.names.shown.set(place);
            let mut count = 1;
            let mut line = String::new();
            let task = Task { name: blocks::task_of(cpu as u16), pid: cpu + 1 };
            let flags = if record.is_in_tick() { Flags::TICK } else { Flags::CALL };
            match (record.kind(), tool) {
                (Kind::Probe, tool) => {
                    let time = record.time;
                    let text = self.event(&record, task.name);
                    if tool.graph {
                        let _ = self.screen.comment(&style, cpu, time, &text, &mut line);
                    } else {
                        let prefix = Prefix { task, cpu, flags, time, clock, options };
                        let _ = writeln!(line, "{prefix}{text}");
                    }
                }
                (Kind::Function, tool) if tool.graph && self.is_mark(&record) => {
                    let note = self.names.note(record.parent.0);
                    let note = note.as_deref().unwrap_or_default();
                    // Writing to a text does not fail.
                    let _ = self.screen.comment(&style, cpu, record.time, note, &mut line);
                }
                (Kind::Function, _) => {
                    let names = &self.names;
                    let shown = FunctionLine { record, task, cpu, flags, clock, options, names };
                    let _ = write!(line, "{shown}");
                }
                (Kind::GraphEntry | Kind::GraphReturn, tool) if tool.graph => {
                    let next = merge.peek_of(cpu).copied();
                    if self.screen.line(&style, cpu, &record, next.as_ref(), &mut line) == Ok(true)
                    {
                        merge.take_of(cpu);
                        number += 1;
                        count += 1;
                    }
                }
                // A call that began under the graph tracer, and ended under another.
                _ => {}
            }
            out(ring, record.time, count, &line);
        }
    }
}

/// Turns the records into lines while all their names are known, if one needs what is about
/// to go: the latest, as many as the rings hold, up to [`ARCHIVE_LINES`] or what there is
/// memory for.
#[optimize(size)]
pub fn archive(gone: Gone<'_>) {
    quietly(|| {
        let mut kept = KEPT.lock();
        let kept = &mut *kept;
        if records(kept, None, Want::Of(gone)).iter().all(|cpu| cpu.count == 0) {
            return;
        }
        let rings = kept.rings.len();
        let mut room = (kept.size * rings).min(ARCHIVE_LINES);
        let bytes = LINE_BYTES.0 + LINE_BYTES.1 * rings;
        let is_free = |room| black_box(Vec::<u8>::new()).try_reserve_exact(room * bytes).is_ok();
        while room > RING_RECORDS && !is_free(room) {
            room /= 2;
        }
        // Those that the archive has no room for need not become text.
        let found = records(kept, None, Want::Latest(room));
        for cpu in &found {
            if let Some(account) = kept.accounts.get_mut(cpu.ring) {
                account.start = cpu.next;
                account.lost += cpu.lost;
            }
        }
        let fresh: usize = found.iter().map(|cpu| cpu.records.len()).sum();
        let archive = &mut kept.archive;
        let lines = Lines {
            manner: kept.manner,
            names: Machine::with(&kept.notes),
            screen: &mut kept.screen,
            skip: fresh.saturating_sub(room),
        };
        let (mut texts, mut made) = (String::new(), Vec::new());
        lines.make(found, &|_| None, &mut |ring, time, records, text| {
            let start = texts.len();
            texts += text;
            made.push((ring, time, records, start..texts.len()));
        });
        let texts = Arc::new(texts);
        archive.extend(made.into_iter().map(|(ring, time, records, at)| {
            let texts = texts.clone();
            Line { ring, time, records, texts, at }
        }));
        let excess = archive.len().saturating_sub(room);
        for line in archive.drain(..excess) {
            if let Some(account) = kept.accounts.get_mut(line.ring) {
                account.lost += line.records;
            }
        }
    });
}

/// Records that can be shown, and those and the overwritten, since the last `clear`.
pub fn counts() -> (u64, u64) {
    quietly(|| {
        let kept = KEPT.lock();
        count(&kept, &records(&kept, None, Want::Count))
    })
}

fn count(kept: &Kept, found: &[Found]) -> (u64, u64) {
    let stats = found.iter().map(|found| stats_of(kept, found));
    stats.fold((0, 0), |(there, written), stats| {
        (there + stats.entries, written + stats.entries + stats.overrun)
    })
}

#[optimize(size)]
fn stats_of(kept: &Kept, found: &Found) -> Stats {
    let account = kept.accounts.get(found.ring).copied().unwrap_or_default();
    let archived = || kept.archive.iter().filter(|line| line.ring == found.ring);
    let oldest = archived().next().map(|line| line.time);
    let oldest = oldest.or(found.oldest);
    let lines: u64 = archived().map(|line| line.records).sum();
    let dropped = kept.rings.get(found.ring).map_or(account.dropped, CpuRing::dropped);
    let entries = lines + found.count;
    Stats {
        entries,
        overrun: account.lost + found.lost,
        bytes: entries * SIZE as u64,
        oldest: oldest.unwrap_or_default(),
        now: timebase(),
        dropped: dropped - account.dropped,
        read: account.read,
        deep: paca::graph_missed_of(found.paca) - account.deep,
    }
}

/// The counts of one CPU, as `per_cpu/cpuN/stats` shows them.
pub fn stats(cpu: u16) -> String {
    quietly(|| {
        let kept = KEPT.lock();
        let found = records(&kept, Some(cpu), Want::Count);
        let stats = found.first().map(|found| stats_of(&kept, found));
        let none = || Stats { now: timebase(), ..Stats::default() };
        stats.unwrap_or_else(none).shown(kept.manner.clock)
    })
}

/// What is shown or taken: all that it needs when nothing is locked any more.
struct View {
    found: Vec<Found>,
    archive: Vec<Line>,
    notes: VecDeque<(u64, String)>,
    screen: Screen,
    traced: bool,
    manner: Manner,
}

impl View {
    #[optimize(size)]
    fn of(kept: &Kept, found: Vec<Found>) -> Self {
        let mut archive = Vec::new();
        for line in &kept.archive {
            if found.iter().any(|cpu| cpu.ring == line.ring) {
                archive.push(line.clone());
            }
        }
        let (notes, screen) = (kept.notes.clone(), kept.screen.clone());
        let Kept { manner, traced, .. } = *kept;
        Self { found, archive, notes, screen, traced, manner }
    }

    fn make(mut self, mark: Mark<'_>, out: &mut dyn FnMut(&str)) {
        self.archive.iter().for_each(|line| out(line.text()));
        let lines = Lines {
            manner: self.manner,
            names: Machine::with(&self.notes),
            screen: &mut self.screen,
            skip: 0,
        };
        lines.make(self.found, mark, &mut |_, _, _, text| out(text));
    }
}

/// The trace of all CPUs, or of one, as Linux's `trace` file shows it, handed over in
/// pieces.
#[optimize(size)]
pub fn show(on: bool, only: Option<u16>, out: &mut dyn FnMut(&str)) {
    quietly(|| {
        let (view, (in_buffer, written)) = {
            let kept = KEPT.lock();
            let found = records(&kept, only, Want::All);
            let counts = count(&kept, &found);
            (View::of(&kept, found), counts)
        };
        let Manner { tool, options, .. } = view.manner;
        let traced = on || (written > 0 && view.traced);
        if tool.graph && traced {
            out(&graph::Header(options).to_string());
        } else {
            let tracer = if traced { "function" } else { "nop" };
            let cpus = smp::cpus().len().max(1) as u32;
            out(&Header { tracer, in_buffer, written, cpus, options }.to_string());
        }
        let annotate = options.contains(Options::ANNOTATE);
        let mark = |cpu: &Found| {
            let started = BufferStarted { cpu: cpu.cpu.into() };
            (annotate && cpu.lost > 0).then(|| started.to_string())
        };
        let mut first = true;
        view.make(&mark, &mut |text| {
            // Of the very first line nobody need be told so.
            if !(core::mem::take(&mut first) && text.starts_with("#####")) {
                out(text);
            }
        });
    });
}

/// Takes out what is there, of all CPUs or of one, and hands it over in pieces.
#[optimize(size)]
pub fn take(only: Option<u16>, out: &mut dyn FnMut(&str)) {
    quietly(|| {
        let mut untold = Vec::new();
        let view = {
            let mut kept = KEPT.lock();
            let kept = &mut *kept;
            let found = records(kept, only, Want::All);
            for cpu in &found {
                let Some(account) = kept.accounts.get_mut(cpu.ring) else { continue };
                // Told before the next line of that CPU; if there is none, another time.
                let tell = |account: &mut Account| {
                    let count = account.lost - account.told;
                    account.told = account.lost;
                    LostEvents { cpu: cpu.cpu.into(), count }
                };
                let mut archived = kept.archive.iter_mut().filter(|line| line.ring == cpu.ring);
                if let Some(first) = archived.next() {
                    let lost = tell(account);
                    if lost.count > 0 {
                        let text = lost.to_string() + first.text();
                        (first.at, first.texts) = (0..text.len(), Arc::new(text));
                    }
                    account.read += first.records + archived.map(|line| line.records).sum::<u64>();
                }
                account.start = cpu.next;
                account.lost += cpu.lost;
                account.read += cpu.count;
                if cpu.count > 0 {
                    untold.push(tell(account));
                }
            }
            let view = View::of(kept, found);
            kept.archive.retain(|line| view.found.iter().all(|cpu| cpu.ring != line.ring));
            view
        };
        let mark = |cpu: &Found| {
            let lost = untold.iter().find(|lost| lost.cpu == cpu.cpu.into() && lost.count > 0);
            lost.map(ToString::to_string)
        };
        view.make(&mark, out);
    });
}

/// Writes a line into this CPU's ring, between what is recorded there. An error if
/// nothing is recorded now.
pub fn note(text: String) -> Result<(), String> {
    put(NOTE, Some(text), Vaddr::default())
}

/// Writes a call as the function tracer does.
pub fn call(ip: Vaddr, parent: Vaddr) -> Result<(), String> {
    put(ip, None, parent)
}

#[optimize(size)]
fn put(ip: Vaddr, note: Option<String>, mut parent: Vaddr) -> Result<(), String> {
    let mut kept = KEPT.lock();
    if !kept.recording {
        return Err("nothing is recorded (tracing_on is 0)".to_string());
    }
    kept.make()?;
    let this = smp::this_cpu();
    let cpu_ring = kept.rings.iter().find(|ring| ring.cpu.number == this).copied();
    let (cpu_ring, ring) =
        cpu_ring.and_then(|it| Some((it, it.ring()?))).ok_or("this CPU has no ring")?;
    if let Some(text) = note {
        kept.noted += 1;
        let kind = if text.starts_with(MARK) { 0 } else { NOTE_OF_STACK };
        let number = kept.noted;
        parent = Vaddr(number | kind);
        kept.notes.push_back((number, text));
        if kept.notes.len() > NOTES {
            kept.notes.pop_front();
        }
    }
    let (limit, dropped) = paca::ring_limit_of(cpu_ring.cpu.paca);
    if !ring.write_below(limit.load(Ordering::Relaxed), timebase(), ip, parent) {
        dropped.fetch_add(1, Ordering::Relaxed);
        return Err("the ring is full (see trace_pipe, options/overwrite)".to_string());
    }
    Ok(())
}

/// The switches of `trace_options`.
pub fn options() -> Options {
    KEPT.lock().manner.options
}

/// Sets them; [`super::graph`] has to be told of some.
pub fn set_options(options: Options) -> Result<(), String> {
    let mut kept = KEPT.lock();
    if options.intersects(Options::VALUES) {
        let before = core::mem::replace(&mut kept.planes, true);
        if !kept.rings.is_empty()
            && let Err(why) = kept.make()
        {
            kept.planes = before;
            return Err(why);
        }
    }
    kept.manner.options = options;
    kept.apply();
    Ok(())
}
