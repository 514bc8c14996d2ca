//! An allocator that counts, so that what is out of proportion is noticed.
//!
//! A count in a file that somebody believed shows itself as an allocation that has
//! nothing to do with the file's length. So a piece of work gets a limit, and it is a
//! panic to have been beyond it. The memory is there, up to a gibibyte: a report of
//! something else that went wrong takes memory too.
//!
//! # Invariants
//! - Counted is what a thread has taken and not given back since it was asked to
//!   count. Other threads do not disturb it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocator; whoever wants to count makes it the global one.
pub struct Counting;

#[derive(Clone, Copy)]
struct Count {
    now: isize,
    peak: isize,
}

/// What nothing here may take at once, whatever it is for.
const ALL: isize = 1 << 30;
const NOTHING: Count = Count { now: 0, peak: 0 };

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(NOTHING) };
}

/// Counts `by` more bytes; false if nobody could want so many.
fn count(by: isize) -> bool {
    // No thread's count is there while the thread ends.
    let counted = COUNT.try_with(|cell| {
        let count = cell.get();
        let now = count.now.saturating_add(by);
        cell.set(Count { now, peak: count.peak.max(now) });
        by < ALL
    });
    counted.unwrap_or(true)
}

// SAFETY: every call is handed on to `System` as it came, or answered with null,
// which means that there is no memory. Counting takes no memory: the cell is
// initialised at compile time and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !count(layout.size() as isize) {
            return std::ptr::null_mut();
        }
        // SAFETY: `layout` has a size (caller).
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `at` came from `alloc` with this layout (caller), which is System's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !count(layout.size() as isize) {
            return std::ptr::null_mut();
        }
        // SAFETY: `layout` has a size (caller). Pages that nobody touches stay the
        // system's, which the default, `alloc` and a fill, would not leave there.
        unsafe { System.alloc_zeroed(layout) }
    }
}

/// Bytes that are not counted: what a caller of the library would have anyway.
pub struct Aside(Vec<u8>);

impl Aside {
    /// `len` times `byte`.
    pub fn new(byte: u8, len: usize) -> Self {
        aside(|| Self(vec![byte; len]))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        aside(|| drop(bytes));
    }
}

impl std::ops::Deref for Aside {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl std::ops::DerefMut for Aside {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

fn aside<R>(work: impl FnOnce() -> R) -> R {
    let count = COUNT.replace(NOTHING);
    let result = work();
    COUNT.set(count);
    result
}

/// Runs `work` with at most `limit` bytes of the heap beyond what is taken already;
/// its result, and the most that it had. Panics if that was more.
pub fn within<R>(limit: usize, work: impl FnOnce() -> R) -> (R, usize) {
    let outer = COUNT.get();
    COUNT.set(NOTHING);
    let result = work();
    let inner = COUNT.replace(outer);
    count(inner.peak);
    count(inner.now - inner.peak);
    let peak = inner.peak.unsigned_abs();
    assert!(peak <= limit, "took {peak} bytes of the heap, and may take {limit}");
    (result, peak)
}
