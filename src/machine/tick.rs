//! The decrementer: a tick on each CPU, 100 times a second, while module code runs
//! or the CPU sleeps.
//!
//! While somebody waits for what a CPU cannot yet answer about its stack (`quiesce`),
//! its ticks come some hundred times as often: code that is seldom out of what a live
//! patch changes would else keep a transition waiting for seconds.
//!
//! Each CPU has a place of its own in the period: no two look for the same locks at one
//! time, and where CPUs share an emulator's thread, which hands it on at each tick, each
//! has a like part of it.
//!
//! The same while a call has to end that is in the kernel's code.
//!
//! A tick counts, and looks whether the call that it interrupted has to end: its
//! time is up, or somebody asked for it. It takes no lock: the code that it
//! interrupted may hold any.
//!
//! Reference: Power ISA Book III, "Decrementer".

use super::lock::Once;
use super::paca::{read, write};
use super::spr;
use super::trap::TrapFrame;
use crate::addr::Vaddr;
use core::sync::atomic::{AtomicU64, Ordering};

/// Ticks a second.
pub const HZ: u64 = 100;

/// Timebase ticks between two of ours.
static PERIOD: AtomicU64 = AtomicU64::new(5_120_000);

/// Learns how fast the time base runs.
pub fn init(timebase_hz: u64) {
    PERIOD.store((timebase_hz / HZ).clamp(1, 0x7fff_ffff), Ordering::Relaxed);
}

/// Ticks of the time base between two of ours.
pub fn period() -> u64 {
    PERIOD.load(Ordering::Relaxed)
}

/// Ticks of the time base in a second.
pub fn timebase_hz() -> u64 {
    PERIOD.load(Ordering::Relaxed) * HZ
}

/// Sets this CPU's decrementer going, to its place in the period: a half for CPU 1,
/// quarters for 2 and 3, and so on.
pub fn start() {
    let period = period();
    let place = (u64::from(super::paca::cpu_number().reverse_bits()) * period) >> 16;
    let since = (spr::timebase() + period - place) % period;
    spr::set_decrementer((period - since) as u32);
}

/// As [`start`], for a tick that comes soon: after 20 to 40 microseconds, never the
/// same, so that a loop of that length does not hide behind it. But where handling a
/// tick, which `began` then, takes longer, what it interrupts gets four fifths of the time.
fn start_soon(began: u64) {
    let now = spr::timebase();
    let part = (period() / 500).max(4 * (now - began)).clamp(1000, period().max(2000) / 2);
    spr::set_decrementer((part + now % part) as u32);
}

static ON_TICK: Once<fn()> = Once::new();

/// Runs `look` in each tick that interrupts a call on the first CPU. It must not
/// wait for a lock, nor use the heap.
pub fn on_tick(look: fn()) {
    ON_TICK.call_once(|| look);
}

/// Handles a tick; true if the interrupted call has to end now.
pub fn handle(frame: &TrapFrame) -> bool {
    let began = spr::timebase();
    start();
    write!(ticks, read!(ticks).wrapping_add(1));
    write!(looks, 0);
    super::faults::if_due(super::faults::Place::Tick);
    super::smp::rouse_the_deaf();
    if super::quiesce::in_tick(frame) {
        start_soon(began);
    }
    // Also on the way into a call: a tick that waited comes there.
    if read!(call_number) != 0
        && super::paca::cpu_number() == 0
        && let Some(look) = ON_TICK.get()
    {
        look();
    }
    let ends = read!(job_sp) != 0 && (must_end() || off_stack(frame));
    // In the kernel's own code it may hold a lock: the next tick looks again. That comes
    // soon, for the call may be there most of the time (in probes that ask the kernel).
    if ends && super::boot::is_code(Vaddr(frame.nip)) {
        start_soon(began);
        return false;
    }
    ends
}

/// True if r1 of the interrupted code is in none of this CPU's stacks: a frame was
/// larger than the guard, or somebody has lost r1.
pub fn off_stack(frame: &TrapFrame) -> bool {
    super::paca::stack_around(Vaddr(frame.gpr[1])).is_none()
}

/// True if the call that runs on this CPU has to end: asked for, or out of time.
pub fn must_end() -> bool {
    read!(stop_asked) != 0 || spr::timebase() > read!(stop_at)
}

/// Asks that the call on this CPU ends.
pub fn ask_end() {
    write!(stop_asked, 1);
}

/// True if it was asked for, rather than out of time.
pub fn end_was_asked() -> bool {
    read!(stop_asked) != 0
}

/// Sets when the call that begins now has to end, in ticks of the time base from
/// now; `None` is never. Gives back what was set before.
pub fn set_limit(ticks: Option<u64>) -> u64 {
    let before = read!(stop_at);
    let at = ticks.map_or(u64::MAX, |ticks| spr::timebase().saturating_add(ticks));
    write!(stop_at, at.min(before));
    before
}

/// Restores what [`set_limit`] gave.
pub fn restore_limit(before: u64) {
    write!(stop_at, before);
}

/// Forgets that somebody asked for an end: what was meant is over.
pub fn forget_asked() {
    write!(stop_asked, 0);
}
