//! The end of the machine: one CPU speaks, the others stop.
//!
//! ```text
//!   claim  ->  a system reset to every other CPU  ->  they stop, and say where they were
//!        \->  who does not hear it stops at its next tick, fault or printed line
//! ```
//!
//! # Invariants
//! - One CPU claims the end, so there is one verdict. Others that try stop.
//! - Nothing here waits for ever: a CPU that does not stop in time is left behind.
//!
//! A system reset reaches a CPU also with interrupts off. It cannot be held back,
//! so the moment at which it comes may be one that cannot be returned to (MSR\[RI\]
//! is 0); a CPU that only has to stop does not mind.
//!
//! Reference: LoPAPR, "H_SIGNAL_SYS_RESET"; Power ISA Book III, "System Reset
//! Interrupt".

use core::sync::atomic::{AtomicU64, Ordering};

use super::lock::pause;
use super::paca::{self, write};
use super::trap::TrapFrame;
use super::{platform, smp, spr};

/// r13 of the CPU that ends the machine, or 0.
static BY: AtomicU64 = AtomicU64::new(0);

/// Ticks of the time base that the others get to stop: a quarter of a second at
/// 512 MHz.
const PATIENCE: u64 = 1 << 27;

/// True once a CPU has claimed the end.
pub fn has_begun() -> bool {
    BY.load(Ordering::Relaxed) != 0
}

fn is_mine() -> bool {
    BY.load(Ordering::Relaxed) == paca::r13().0
}

/// Makes this CPU the one that ends the machine, and stops the others. If another
/// has claimed that already, this one stops. Claiming it again changes nothing.
pub fn claim() {
    let own = paca::r13().0;
    match BY.compare_exchange(0, own, Ordering::AcqRel, Ordering::Relaxed) {
        Ok(_) => stop_others(),
        Err(by) if by == own => {}
        Err(_) => stop(),
    }
}

fn stop_others() {
    let Some(platform) = platform::get() else { return };
    let others = || smp::visit().filter(|cpu| cpu.paca != paca::r13());
    for cpu in others() {
        platform.reset_cpu(cpu.hardware);
    }
    let since = spr::timebase();
    while others().any(|cpu| !paca::stopped(cpu.paca)) && spr::timebase() - since < PATIENCE {
        pause();
    }
}

/// Stops this CPU for good if another one ends the machine.
pub fn stop_if_ended() {
    if has_begun() && !is_mine() {
        stop();
    }
}

/// As [`stop_if_ended`], and leaves word of what was interrupted.
pub fn stop_if_ended_at(frame: &TrapFrame) {
    if has_begun() && !is_mine() {
        write!(where_nip, frame.nip);
        write!(where_lr, frame.lr);
        stop();
    }
}

fn stop() -> ! {
    spr::interrupts_off();
    write!(stopped, 1);
    loop {
        pause();
    }
}
