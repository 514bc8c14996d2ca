//! Faults of the kernel itself, on purpose: `selftest fault`.
//!
//! The end of the machine is a path that nothing else exercises. Each function here
//! does one thing that kernel code must never do; what it is to show is that the
//! report comes and the machine ends, whatever else was going on.

use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};

use super::spr::{self, msr};

/// Higher than any memory of the machine.
const NOWHERE: u64 = 0x6000_0000_0000;

/// Where a fault can be made to wait for its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The next tick.
    Tick,
    /// The report of a fault.
    Report,
    /// As above; there the stack is run off.
    ReportStack,
}

static DUE: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Makes the next `times` passings of a place fault.
pub fn arm(place: Place, times: u64) {
    DUE[place as usize].store(times, Ordering::Relaxed);
}

/// Faults, if that was asked of this place.
pub fn if_due(place: Place) {
    let due = &DUE[place as usize];
    let left = due.load(Ordering::Relaxed);
    if left == 0 {
        return;
    }
    due.store(left - 1, Ordering::Relaxed);
    match place {
        Place::Tick | Place::Report => load(),
        Place::ReportStack => recurse(),
    }
}

/// Loads from where there is no memory.
pub fn load() {
    // SAFETY: a load changes nothing; that it faults is what it is for.
    unsafe { asm!("ld {0}, 0({0})", inout(reg) NOWHERE => _, options(nostack, readonly)) };
}

/// Stores into the kernel's code, the word that is there.
pub fn store_text() {
    let at = super::boot::text().0.0;
    // SAFETY: stores what it has loaded, if it can be stored at all.
    unsafe {
        asm!("lwz {0}, 0({1})", "stw {0}, 0({1})", out(reg) _, in(reg_nonzero) at,
            options(nostack));
    }
}

/// Jumps to where there is no memory.
pub fn jump() {
    // SAFETY: does not come back; the report is what it is for.
    unsafe { asm!("mtctr {0}", "bctrl", in(reg) NOWHERE, options(noreturn)) };
}

/// A word that is no instruction.
pub fn illegal() {
    // SAFETY: does not come back; the report is what it is for.
    unsafe { asm!(".long 0", options(noreturn)) };
}

/// A load with reservation from an address that may not have one.
pub fn misaligned() {
    let words = [0_u64; 2];
    // SAFETY: reads inside `words`, if at all.
    unsafe {
        asm!("lwarx {0}, 0, {1}", out(reg) _, in(reg) words.as_ptr() as u64 + 1, options(nostack));
    }
}

/// Goes on without a stack.
pub fn lose_stack() {
    // SAFETY: does not come back; the report is what it is for.
    unsafe { asm!("li 1, 0", "std 0, -8(1)", "trap", options(noreturn)) };
}

/// Goes on without its PACA.
pub fn lose_paca() {
    // SAFETY: does not come back; the report is what it is for.
    unsafe { asm!("li 13, 0", "ld 3, 8(13)", "trap", options(noreturn)) };
}

/// Runs off the stack, a small frame at a time.
pub fn recurse() {
    fn deeper(left: u64) -> u64 {
        let mut room = black_box([left; 32]);
        if left > 0 {
            room[0] += deeper(black_box(left - 1));
        }
        black_box(&mut room)[0]
    }
    black_box(deeper(u64::MAX));
}

/// Runs off the stack with one frame, larger than stack and guard together.
pub fn large_frame() {
    black_box(&mut [0_u8; 512 * 1024]);
}

/// Goes on at the vector of machine checks, as hardware would; nothing that can be
/// asked of an emulator makes a real one.
pub fn machine_check() {
    let real = spr::msr() & !(msr::EE | msr::IR | msr::DR | msr::RI);
    // SAFETY: low memory holds the vectors, and effective addresses are real ones;
    // does not come back.
    unsafe {
        asm!("mtsrr0 {vector}", "mtsrr1 {real}", "rfid",
            vector = in(reg) 0x200_u64, real = in(reg) real, options(noreturn));
    }
}

/// Never comes back, and takes no interrupt.
pub fn spin() -> ! {
    spr::interrupts_off();
    loop {
        super::lock::pause();
    }
}

/// Waits for a tick.
pub fn await_tick() {
    let (before, old) = (super::paca::ticks_of(super::paca::r13()), spr::interrupts_on());
    while super::paca::ticks_of(super::paca::r13()) == before {
        super::lock::pause();
    }
    spr::interrupts_restore(old);
}
