//! Locks that give way while they wait.
//!
//! Under single-threaded emulation a waiting CPU would otherwise burn its whole
//! time slice (0.1 s of virtual time); on hardware the same word lowers the
//! thread's priority.
//!
//! The report of a fault must not wait for ever: the code that faulted may hold the
//! lock itself, or a CPU that is stuck. It asks for locks with [`briefly`], and
//! speaks when it has its [`Turn`], or after a second without.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::paca::{self, read, write};
use super::{ending, spr};

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

/// The lock of a [`Mutex`]: whether somebody holds it.
pub struct Raw(AtomicBool);

/// Takes a lock, by a call: `spin`'s own mutex is taken in place, and would be 25
/// instructions at each of 300 places. Eight are executed if nobody holds the lock; of
/// `compare_exchange` the compiler makes eleven.
#[inline(never)]
#[patchable_function_entry(entry_nops = 0)] // or every graph would be full of it
fn take(held: &AtomicBool) {
    // SAFETY: `held` is one byte that is always there to be read and written; only
    // 0, false, becomes 1, true, and no other memory is touched. What follows is not
    // done before (Power ISA Book II, "Acquire Lock and Import Barrier").
    unsafe {
        asm!(
            "2: lbarx {was}, 0, {at}",
            "cmplwi {was}, 0",
            "beq 4f",
            "3: or 1, 1, 1", // somebody holds it: as `pause`
            "or 2, 2, 2",
            "lbz {was}, 0({at})",
            "cmplwi {was}, 0",
            "bne 3b",
            "b 2b",
            "4: stbcx. {one}, 0, {at}",
            "bne- 2b",
            "lwsync",
            was = out(reg) _,
            one = in(reg) 1_u64,
            at = in(reg_nonzero) held.as_ptr(),
            out("cr0") _,
            options(nostack),
        );
    }
}

// SAFETY: whoever changes `false` to `true` holds the lock, alone, until `unlock`.
unsafe impl lock_api::RawMutex for Raw {
    const INIT: Self = Self(AtomicBool::new(false));
    type GuardMarker = lock_api::GuardSend;

    #[inline(always)]
    fn lock(&self) {
        take(&self.0);
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline(always)]
    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A mutex that yields while it waits.
pub type Mutex<T> = lock_api::Mutex<Raw, T>;

/// A mutex that is locked.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, Raw, T>;

/// A value written once.
pub type Once<T> = spin::once::Once<T, Yield>;

/// Ticks of the time base that [`briefly`] waits: 65 ms at 512 MHz.
const BRIEF: u64 = 1 << 25;

/// Ticks after which a [`Turn`] is taken from a CPU that does not end its own: a
/// second at 512 MHz.
const PATIENCE: u64 = 1 << 29;

/// As `lock`, but gives up on a holder that does not let go. Within one report the
/// first such wait is also the last.
pub fn briefly<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let since = spr::timebase();
    loop {
        if let Some(guard) = mutex.try_lock() {
            return Some(guard);
        }
        if read!(impatient) != 0 {
            return None;
        }
        if spr::timebase() - since > BRIEF {
            if paca::reporting() {
                write!(impatient, 1);
            }
            return None;
        }
        pause();
    }
}

/// What CPUs do one after the other, each as long as it likes, and none for ever:
/// speaking. Taking it again on the same CPU is no wait.
pub struct Turn {
    /// r13 of the CPU whose turn it is, or 0.
    owner: AtomicU64,
}

/// Ends the turn when dropped, if it began it.
pub struct TurnGuard<'a>(Option<&'a Turn>);

impl Turn {
    /// A turn that nobody has.
    pub const fn free() -> Self {
        Self { owner: AtomicU64::new(0) }
    }

    /// True if nobody speaks, this CPU neither; the next moment may be another's.
    pub fn is_free(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == 0
    }

    /// Waits for the turn; does not come back on a CPU that has to stop
    /// ([`ending`]).
    pub fn take(&self) -> TurnGuard<'_> {
        ending::stop_if_ended();
        let own = paca::r13().0;
        if self.owner.load(Ordering::Relaxed) == own {
            return TurnGuard(None);
        }
        let since = spr::timebase();
        while self.owner.compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed).is_err() {
            ending::stop_if_ended();
            if ending::has_begun() || spr::timebase() - since > PATIENCE {
                self.owner.store(own, Ordering::Relaxed);
                break;
            }
            pause();
        }
        TurnGuard(Some(self))
    }
}

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        if let Some(turn) = self.0 {
            let own = paca::r13().0;
            // Not if somebody has lost patience.
            let _ = turn.owner.compare_exchange(own, 0, Ordering::Release, Ordering::Relaxed);
        }
    }
}
