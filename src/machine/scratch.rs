//! Memory for the report of a fault.
//!
//! The code that faulted may hold the heap's lock, or the heap may be what is
//! broken. So while a CPU makes a report, everything it allocates comes from here,
//! and the code that names symbols and walks stacks stays as it is elsewhere.
//!
//! # Invariants
//! - Only the CPU that reports allocates here: `memory`'s allocator asks
//!   [`paca::reporting`] for each block.
//! - A block that outlives the report goes back by its address ([`owns`]).
//! - Waiting for the lock ends ([`briefly`]); then there is no memory, which ends
//!   the report, and the shorter report that follows needs none.

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::ptr::NonNull;

use linked_list_allocator::Heap;

use super::lock::{Mutex, briefly};
use super::paca::{read, write};

/// Bytes for one report; names and a back trace need a few hundred at a time.
const BYTES: usize = 16 * 1024;

#[repr(C, align(16))]
struct Room(UnsafeCell<[u8; BYTES]>);

// SAFETY: the bytes belong to the allocator in `HEAP`, which hands out disjoint
// blocks under a lock.
unsafe impl Sync for Room {}

static ROOM: Room = Room(UnsafeCell::new([0; BYTES]));
static HEAP: Mutex<Heap> = Mutex::new(Heap::empty());

/// From now on this CPU allocates here; how many reports it is making already.
pub fn begin() -> u64 {
    let depth = read!(reporting);
    if depth == 0 {
        write!(impatient, 0);
    }
    if let Some(mut heap) = briefly(&HEAP)
        && heap.bottom().is_null()
    {
        // SAFETY: the room is static and used by nobody else; done once.
        unsafe { heap.init(ROOM.0.get().cast(), BYTES) };
    }
    write!(reporting, depth + 1);
    depth
}

/// True while this CPU makes a report.
pub fn is_reporting() -> bool {
    read!(reporting) != 0
}

/// Ends what [`begin`] began.
pub fn end() {
    write!(reporting, read!(reporting) - 1);
}

/// True if the block was allocated here.
pub fn owns(block: *mut u8) -> bool {
    (block as usize).wrapping_sub(ROOM.0.get() as usize) < BYTES
}

/// A block, or null.
pub fn alloc(layout: Layout) -> *mut u8 {
    let block = briefly(&HEAP).and_then(|mut heap| heap.allocate_first_fit(layout).ok());
    block.map_or(core::ptr::null_mut(), NonNull::as_ptr)
}

/// Gives a block back.
///
/// # Safety
/// The block is one that [`owns`] knows, of this layout, and is not used any more.
pub unsafe fn dealloc(block: NonNull<u8>, layout: Layout) {
    if let Some(mut heap) = briefly(&HEAP) {
        // SAFETY: from this heap, with this layout (caller).
        unsafe { heap.deallocate(block, layout) };
    }
}
