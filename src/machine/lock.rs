//! Locks that give way while they wait.
//!
//! Under single-threaded emulation a waiting CPU would otherwise burn its whole
//! time slice (0.1 s of virtual time); on hardware the same word lowers the
//! thread's priority.

use core::arch::asm;

/// Relaxes with `or 1,1,1` (low priority), then back to `or 2,2,2` (medium).
pub struct Yield;

impl spin::RelaxStrategy for Yield {
    #[inline(always)]
    fn relax() {
        pause();
    }
}

/// Lets another CPU or thread go first.
#[inline(always)]
pub fn pause() {
    // SAFETY: both words are no-ops but for the thread's priority
    // (Power ISA Book II, "Program Priority Registers").
    unsafe { asm!("or 1,1,1", "or 2,2,2", options(nomem, nostack, preserves_flags)) };
}

/// A mutex that yields while it waits.
pub type Mutex<T> = spin::mutex::Mutex<T, Yield>;

/// A mutex that is locked.
pub type MutexGuard<'a, T> = spin::mutex::MutexGuard<'a, T>;

/// A value written once.
pub type Once<T> = spin::once::Once<T, Yield>;
