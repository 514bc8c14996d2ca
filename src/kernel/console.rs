//! Lines out, bytes in, and the log that `dmesg` shows.

use alloc::collections::VecDeque;
use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::machine::lock::{Mutex, Turn, TurnGuard, pause};
use crate::machine::{call, paca, platform, smp, spr, tick};
use crate::shell::screen;

/// Bytes of console output that `dmesg` can show again.
const LOG_BYTES: usize = 32 * 1024;

static LOG: Mutex<VecDeque<u8>> = Mutex::new(VecDeque::new());

/// A person sits at the console: lines end as a terminal wants them.
static INTERACTIVE: AtomicBool = AtomicBool::new(false);

/// The first line has been printed.
static GREETED: AtomicBool = AtomicBool::new(false);

/// Who prints.
static TURN: Turn = Turn::free();

/// The last byte shown was a line's end.
static AT_EDGE: AtomicBool = AtomicBool::new(true);

/// Keeps what other CPUs print from coming in between, until it is dropped.
pub fn turn() -> TurnGuard<'static> {
    TURN.take()
}

/// Ends the line that is open, if one is.
pub fn fresh_line() {
    if !AT_EDGE.load(Ordering::Relaxed) {
        write_bytes(b"\n");
    }
}

/// Runs `work` while this CPU prints, and holds what it has printed.
pub fn while_locked(work: &mut dyn FnMut()) {
    let _turn = turn();
    let _log = LOG.lock();
    let _typed = TYPED.lock();
    work();
}

/// What the shell's commands print goes to `dmesg` alone.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Says whether what this CPU prints is kept from the console.
pub fn set_quiet(on: bool) {
    QUIET.store(on, Ordering::Relaxed);
}

/// Says whether a person sits at the console.
pub fn set_interactive(yes: bool) {
    INTERACTIVE.store(yes, Ordering::Relaxed);
}

/// True if a person sits at the console.
pub fn interactive() -> bool {
    INTERACTIVE.load(Ordering::Relaxed)
}

/// Rows and columns of a person's terminal.
static SIZE: [AtomicUsize; 2] =
    [AtomicUsize::new(screen::UNKNOWN[0]), AtomicUsize::new(screen::UNKNOWN[1])];

/// Rows of the page that are left, and one more; 0 if nobody is asked.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Columns of the last row that have something.
static COLUMN: AtomicUsize = AtomicUsize::new(0);

/// Columns of a person's terminal.
pub fn columns() -> usize {
    SIZE[1].load(Ordering::Relaxed)
}

/// A page of it: all rows but one, and one more.
fn page() -> usize {
    SIZE[0].load(Ordering::Relaxed)
}

/// Notes how many rows and columns a person's terminal has.
pub fn set_size(rows: u8, columns: u8) {
    SIZE[0].store(usize::from(rows), Ordering::Relaxed);
    SIZE[1].store(usize::from(columns), Ordering::Relaxed);
}

/// The person has seen enough of the command that runs.
static ENOUGH: AtomicBool = AtomicBool::new(false);

/// Says whether a person waits for a command: what it prints stops at each page then,
/// and if it takes long, that is said. Until the next call.
#[optimize(size)]
pub fn set_waiting(platform: &dyn platform::Platform, on: bool) {
    LEFT.store(if on { page() } else { 0 }, Ordering::Relaxed);
    COLUMN.store(0, Ordering::Relaxed);
    ENOUGH.store(false, Ordering::Relaxed);
    let now = spr::timebase();
    BEGAN.store(now, Ordering::Relaxed);
    TELL_AT.store(if on { now + tick::timebase_hz() / 2 } else { u64::MAX }, Ordering::Relaxed);
    hide_waiting(platform);
}

/// When the command began, by the time base.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// When the person is told next that it still runs; the last moment if nobody waits.
static TELL_AT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Rounds of it that are done, and of how many; 0 if that is not known.
static DONE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// The line is shown that says so.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Notes how many rounds are done, and of how many; 0 if that is not known.
pub fn count(done: u64, of: u64) {
    DONE[0].store(done, Ordering::Relaxed);
    DONE[1].store(of, Ordering::Relaxed);
}

/// Takes the line away that says that a command runs.
#[optimize(size)]
#[inline(never)]
fn hide_waiting(platform: &dyn platform::Platform) {
    if TOLD.load(Ordering::Relaxed) {
        TOLD.store(false, Ordering::Relaxed);
        platform.console_write(b"\r\x1b[K");
    }
}

/// Says for how long the command has been running, in a line that goes with the next
/// output. As [`look_for_interrupt`], it may come from a tick.
#[cold]
#[inline(never)]
#[optimize(size)]
fn tell_waiting(now: u64) {
    let hz = tick::timebase_hz();
    TELL_AT.store(now + hz / 4, Ordering::Relaxed);
    // A line that is open is left alone, and so is what another CPU prints. (Should one
    // begin just now, it is the worse for a person's screen; a tick waits for nobody.)
    let Some(platform) = platform::get() else { return };
    if !(AT_EDGE.load(Ordering::Relaxed) && TURN.is_free()) {
        return;
    }
    TOLD.store(true, Ordering::Relaxed);
    let mut line = Chunks { bytes: [0; 128], len: 0 };
    let (done, of) = (DONE[0].load(Ordering::Relaxed), DONE[1].load(Ordering::Relaxed));
    let seconds = (now - BEGAN.load(Ordering::Relaxed)) / hz;
    // There is room for all of it, and `dmesg` need not have it.
    let _ = if of > 0 {
        write!(line, "\r\x1b[K{done} of {of} rounds, {seconds} s (Ctrl-C ends it)")
    } else {
        write!(line, "\r\x1b[K{seconds} s (Ctrl-C ends it)")
    };
    platform.console_write(&line.bytes[..line.len]);
}

/// True if what is printed is a command's own: not that of a module's code, of another
/// CPU, or of a fault, which wait for nobody.
fn may_wait() -> bool {
    smp::this_cpu() == 0 && !call::job_runs() && !paca::reporting()
}

/// Asks at the end of a page whether to go on: a blank for a page, Enter for a line,
/// `q` or Ctrl-C for no more. False if no more is wanted.
#[cold]
#[inline(never)]
#[optimize(size)]
fn page_ends(platform: &dyn platform::Platform) -> bool {
    platform.console_write(b"--more--");
    let mut keys = [0; 16];
    // An answer of the terminal's that comes late is no key.
    while read(&mut keys) == 0 || keys[0] == 0x1b {
        pause();
    }
    platform.console_write(b"\r\x1b[K");
    LEFT.store(if keys[0] == b'\r' { 2 } else { page() }, Ordering::Relaxed);
    let enough = matches!(keys[0], b'q' | INTERRUPT);
    ENOUGH.store(enough, Ordering::Relaxed);
    !enough
}

/// Tells of a mistake: in red, if a person sees it, who may have had enough of the rest.
#[optimize(size)]
pub fn complain(line: &str) {
    ENOUGH.store(false, Ordering::Relaxed);
    let (red, plain) = if interactive() { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
    crate::kprintln!("{red}{line}{plain}");
}

/// Writes bytes, and keeps them for `dmesg`.
pub fn write_bytes(bytes: &[u8]) {
    // Jobs on other CPUs are not the shell's commands.
    if !(QUIET.load(Ordering::Relaxed) && smp::this_cpu() == 0) {
        write_plain(bytes);
    }
    log_bytes(bytes);
}

/// Writes bytes as they are; a line end becomes CR LF for a person's terminal.
pub fn write_plain(bytes: &[u8]) {
    let (Some(platform), Some(last)) = (platform::get(), bytes.last()) else { return };
    let _turn = turn();
    AT_EDGE.store(false, Ordering::Relaxed); // a fault may come half-way
    hide_waiting(platform);
    if interactive() {
        if ENOUGH.load(Ordering::Relaxed) && may_wait() {
            return;
        }
        let mut column = COLUMN.load(Ordering::Relaxed);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (row, below) = rest.split_at(screen::row(rest, &mut column, columns()));
            if LEFT.load(Ordering::Relaxed) == 1 && !row.is_empty() {
                if !may_wait() {
                    LEFT.store(page(), Ordering::Relaxed); // it has gone by
                } else if !page_ends(platform) {
                    break;
                }
            }
            platform.console_write(row);
            rest = below;
            if let Some(behind) = below.strip_prefix(b"\n") {
                platform.console_write(b"\r\n");
                rest = behind;
            } else if below.is_empty() {
                break;
            }
            column = 0;
            let left = LEFT.load(Ordering::Relaxed);
            if left > 1 {
                LEFT.store(left - 1, Ordering::Relaxed);
            }
        }
        COLUMN.store(column, Ordering::Relaxed);
    } else {
        platform.console_write(bytes);
    }
    AT_EDGE.store(*last == b'\n', Ordering::Relaxed);
}

/// Keeps bytes for `dmesg` without showing them.
pub fn log_bytes(bytes: &[u8]) {
    // A fault may come while the log is held: the console matters more.
    if let Some(mut log) = LOG.try_lock() {
        if log.capacity() == 0 {
            // All at once: `mem` must not show that lines were printed.
            if paca::reporting() || log.try_reserve_exact(LOG_BYTES).is_err() {
                return; // too early, or too late
            }
        }
        let excess = (log.len() + bytes.len()).saturating_sub(LOG_BYTES).min(log.len());
        log.drain(..excess);
        log.extend(bytes.iter().rev().take(LOG_BYTES).rev());
    }
}

/// Ctrl-C.
const INTERRUPT: u8 = 3;

/// What a person typed while a call ran: the line editor gets it afterwards.
struct Typed {
    bytes: [u8; 256],
    len: usize,
}

static TYPED: Mutex<Typed> = Mutex::new(Typed { bytes: [0; 256], len: 0 });

/// Looks, in a tick, whether a person wants the running call to end (Ctrl-C), and says
/// that it runs if that takes long.
/// Waits for no lock and uses no heap: the interrupted code may have both.
pub fn look_for_interrupt() {
    let now = spr::timebase();
    if now >= TELL_AT.load(Ordering::Relaxed) {
        tell_waiting(now);
    }
    let (Some(platform), Some(mut typed)) = (platform::get(), TYPED.try_lock()) else { return };
    if !interactive() {
        return;
    }
    let mut fresh = [0; 16];
    let len = platform.console_read(&mut fresh);
    for byte in &fresh[..len] {
        let place = typed.len;
        if *byte == INTERRUPT {
            typed.len = 0;
            tick::ask_end();
        } else if let Some(slot) = typed.bytes.get_mut(place) {
            *slot = *byte;
            typed.len += 1;
        }
    }
}

/// Bytes that a person has typed, at most 16; 0 if none.
pub fn read(buffer: &mut [u8; 16]) -> usize {
    let mut typed = TYPED.lock();
    if typed.len == 0 {
        return platform::get().map_or(0, |platform| platform.console_read(buffer));
    }
    let (len, all) = (typed.len.min(buffer.len()), typed.len);
    buffer[..len].copy_from_slice(&typed.bytes[..len]);
    typed.bytes.copy_within(len..all, 0);
    typed.len -= len;
    len
}

/// What was written last, oldest first.
pub fn log() -> alloc::vec::Vec<u8> {
    LOG.lock().iter().copied().collect()
}

/// Collects text, so that the hypervisor is called once for 16 bytes.
struct Chunks {
    bytes: [u8; 128],
    len: usize,
}

impl Chunks {
    fn flush(&mut self) {
        write_bytes(&self.bytes[..self.len]);
        self.len = 0;
    }
}

impl fmt::Write for Chunks {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

/// The same for a kernel that dies before it knows what it runs on. What stands
/// before this line is taken for the firmware's.
pub fn greet_if_silent() {
    if !GREETED.swap(true, Ordering::Relaxed) {
        crate::kprintln!("tocsin {}", env!("CARGO_PKG_VERSION"));
    }
}

/// Prints formatted text; `kprint!` and `kprintln!` call it.
pub fn print(args: fmt::Arguments<'_>) {
    let _turn = turn();
    let mut chunks = Chunks { bytes: [0; 128], len: 0 };
    let _ = chunks.write_fmt(args); // a Display that fails has printed what it could
    chunks.flush();
}

/// The kernel's first line, and what it runs on.
pub fn greet(facts: &platform::MachineFacts) {
    GREETED.store(true, Ordering::Relaxed);
    crate::kprintln!("tocsin {}: {}", env!("CARGO_PKG_VERSION"), facts.model);
}

/// Prints to the console.
#[macro_export]
macro_rules! kprint {
    ($($arg:tt)*) => { $crate::kernel::console::print(format_args!($($arg)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! kprintln {
    () => { $crate::kernel::console::print(format_args!("\n")) };
    ($($arg:tt)*) => { $crate::kernel::console::print(format_args!("{}\n", format_args!($($arg)*))) };
}
