//! RAM: the heap, pages for modules, reads that cannot fault.
//!
//! ```text
//!   image | initrd | heap, grows ->   | module pages ...        | firmware's leavings
//!                  ^ 64 KiB aligned   ^ a quarter of what is left  ^ memory_top
//! ```
//!
//! Module pages lie between the kernel's TOC and TOC + 2 GiB, because profiling
//! stubs find their target relative to the kernel's TOC.
//!
//! # Invariants
//! - The heap is one range that only grows; what it has taken is counted.
//! - A page has one owner: a [`Pages`] value, which gives it back when dropped.
//! - Reads and writes of foreign addresses go through [`read`] and
//!   [`Pages::store`]: a fault ends the first, the owner's bounds the second.
//!
//! The firmware's memory at the top is left alone also after quiesce: nobody has
//! promised that nothing runs there (RTAS lies in the image).

extern crate alloc;

use alloc::alloc::{alloc_zeroed, dealloc};
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::arch::{asm, global_asm};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use linked_list_allocator::Heap;

use super::lock::{Mutex, Once, briefly};
use super::platform::MachineFacts;
use super::{mmu, paca, scratch, spr};
use crate::addr::Vaddr;
use crate::memory::FreePages;
use crate::mmu::Rights;
use crate::mmu::radix::Grain;
use crate::patch::engine::LINE_BYTES;

global_asm!(
    include_str!("../../boot/mem.S"),
    LINE = const LINE_BYTES,
    LINE_SHIFT = const LINE_BYTES.ilog2(),
);

unsafe extern "C" {
    /// Copies bytes from any address until one faults; how many were copied.
    fn safe_copy(to: *mut u8, from: u64, len: usize) -> usize;
    fn safe_copy_wide();
    fn safe_copy_rest();
    fn safe_copy_load();
    fn safe_copy_fault();
    fn safe_store(to: u64, from: *const u8, len: usize) -> usize;
    fn safe_store_store();
    fn mem_text_start();
    fn mem_text_end();
}

/// True if the address lies in `memcpy` or one of its kind: they hold nothing and
/// keep LR, so whoever called them with a bad address is told by LR.
pub fn is_mem_routine(at: Vaddr) -> bool {
    let (start, end) = (mem_text_start as *const () as u64, mem_text_end as *const () as u64);
    (start..end).contains(&at.0)
}

/// Where to go on if a load or store at `nip` faults that is known to do so.
pub fn fixup(nip: Vaddr) -> Option<Vaddr> {
    if nip.0 == safe_copy_wide as *const () as u64 {
        return Some(Vaddr(safe_copy_rest as *const () as u64));
    }
    let places = [safe_copy_load as *const () as u64, safe_store_store as *const () as u64];
    places.contains(&nip.0).then_some(Vaddr(safe_copy_fault as *const () as u64))
}

/// Bytes that there must be behind the files that came along, of which nothing is
/// firmware's.
pub const LEAST: u64 = 0x100_0000;
/// The heap takes memory in steps of this many bytes.
const HEAP_STEP: usize = 256 * 1024;
/// Runs of free pages that the list has room for before it must grow.
const FREE_RUNS: usize = 64;

struct KernelHeap {
    heap: Mutex<Heap>,
    /// How far it may grow. Not under the lock of [`RAM`]: whoever holds that
    /// one may be allocating.
    limit: AtomicUsize,
    /// Where it begins.
    start: AtomicUsize,
}

/// Start and end of everything that is RAM; told once.
static ALL: Once<(u64, u64)> = Once::new();

/// The first address above the pages that can be taken.
static PAGES_END: Once<u64> = Once::new();

/// Between the tops of two stacks. What lies between is seldom taken, for pages are
/// taken from below, and what is not taken is not mapped: a frame of a mebibyte that
/// steps over the guard faults all the same.
const STACK_GAP: u64 = 4 << 20;

struct Ram {
    /// Bytes from the image to the end of what the kernel uses.
    usable: u64,
    pages: FreePages,
    page_bytes: u64,
    /// Bytes of pages that the kernel has taken for ever: for translation tables,
    /// for CPUs.
    table_bytes: u64,
    cpu_bytes: u64,
}

static RAM: Mutex<Ram> = Mutex::new(Ram {
    usable: 0,
    pages: FreePages::new(),
    page_bytes: 0,
    table_bytes: 0,
    cpu_bytes: 0,
});

#[global_allocator]
static HEAP: KernelHeap = KernelHeap {
    heap: Mutex::new(Heap::empty()),
    limit: AtomicUsize::new(0),
    start: AtomicUsize::new(0),
};

impl KernelHeap {
    /// A block of memory that the heap takes for it; null if there is none.
    #[cold]
    #[inline(never)]
    fn alloc_above(&self, heap: &mut Heap, layout: Layout) -> *mut u8 {
        let step = layout.size().saturating_add(layout.align()).next_multiple_of(HEAP_STEP);
        let limit = self.limit.load(Ordering::Relaxed);
        loop {
            if heap.bottom().is_null() || limit.saturating_sub(heap.top() as usize) < step {
                return core::ptr::null_mut();
            }
            let top = Vaddr(heap.top() as u64);
            if mmu::kind() == Some(mmu::Kind::Hash)
                && mmu::map(top, step as u64, Rights::ReadWrite, Grain::Page).is_err()
            {
                return core::ptr::null_mut();
            }
            // SAFETY: the memory up to `limit` was set aside for the heap, and is mapped.
            unsafe { heap.extend(step) };
            if let Ok(block) = heap.allocate_first_fit(layout) {
                return block.as_ptr();
            }
        }
    }
}

// SAFETY: `Heap` hands out disjoint blocks of the range it was given, under a
// lock; growing adds memory behind it that nobody else has (`init`).
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if paca::reporting() {
            return scratch::alloc(layout);
        }
        let mut heap = self.heap.lock();
        match heap.allocate_first_fit(layout) {
            Ok(block) => block.as_ptr(),
            Err(()) => self.alloc_above(&mut heap, layout),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(free) = NonNull::new(block) else { return };
        if scratch::owns(block) {
            // SAFETY: it came from there, with this layout (caller).
            unsafe { scratch::dealloc(free, layout) };
            return;
        }
        let heap = if paca::reporting() { briefly(&self.heap) } else { Some(self.heap.lock()) };
        // A report that cannot have the heap leaves the block behind.
        if let Some(mut heap) = heap {
            // SAFETY: the block came from `alloc` with this layout (caller).
            unsafe { heap.deallocate(free, layout) };
        }
    }
}

/// Divides the memory that the firmware reported. Called once, while only the
/// boot CPU runs and before anything is allocated.
#[optimize(size)]
pub fn init(facts: &MachineFacts) {
    let (start, len) = facts.memory;
    let (image_start, image_end) = super::boot::image();
    let initrd_end = facts.initrd.map_or(0, |(start, len)| start.0 + len);
    let heap = image_end.0.max(initrd_end).max(facts.files_end).next_multiple_of(0x1_0000);
    let end = start.0 + len;
    let usable = facts.memory_top.min(super::boot::kernel_toc().0 + 0x7fff_0000);
    assert!(
        heap + LEAST <= usable,
        "too little memory: 16 MiB are needed behind the initrd; give more (MEM=) or fewer modules"
    );
    // What one radix table of pages maps begins with the pages: a small module needs no other.
    let first = (heap + ((usable - heap) / 4).min(0x1000_0000)).next_multiple_of(0x20_0000);
    ALL.call_once(|| (start.0, end));
    HEAP.limit.store(first as usize, Ordering::Relaxed);
    HEAP.start.store(heap as usize, Ordering::Relaxed);
    // SAFETY: behind the image and the initrd, below the firmware: RAM that
    // nobody uses. The range lives for ever.
    unsafe { HEAP.heap.lock().init(heap as *mut u8, HEAP_STEP) };
    let mut pages = FreePages::with_room(FREE_RUNS);
    let len = (usable - first) & !0xffff;
    pages.give(Vaddr(first), len);
    PAGES_END.call_once(|| first + len);
    let mut ram = RAM.lock();
    ram.usable = usable - image_start.0;
    ram.page_bytes = pages.free_bytes();
    ram.pages = pages;
}

/// Maps the heap's memory; called while translation is being prepared.
pub fn map_heap() {
    let (start, size) = {
        let heap = HEAP.heap.lock();
        (heap.bottom() as u64, heap.size() as u64)
    };
    // A tree maps all that it may become with a few large leaves; a hash table has
    // an entry for each page, so there it is mapped as it grows.
    let end = match mmu::kind() {
        Some(mmu::Kind::Hash) => start + size,
        _ => HEAP.limit.load(Ordering::Relaxed) as u64,
    };
    mmu::map(Vaddr(start), end - start, Rights::ReadWrite, Grain::Large)
        .unwrap_or_else(|error| panic!("no room in the translation tables at {}", error.at));
}

/// The memory set aside for the heap. Takes no lock.
pub fn heap_range() -> (Vaddr, Vaddr) {
    let [start, limit] = [&HEAP.start, &HEAP.limit].map(|at| at.load(Ordering::Relaxed) as u64);
    (Vaddr(start), Vaddr(limit))
}

/// Zeroed memory for translation tables, which are never given back.
pub fn take_for_tables(len: u64, align: u64) -> Option<Vaddr> {
    let mut ram = RAM.lock();
    let start = ram.pages.take_aligned(len, align)?;
    ram.page_bytes -= len;
    ram.table_bytes += len;
    drop(ram);
    zero_real(start, len);
    Some(start)
}

/// Zeroes memory that is not mapped yet, with translation off.
fn zero_real(start: Vaddr, len: u64) {
    let old = spr::data_translation_off();
    // SAFETY: free memory that was just taken; translation is off, so it can be
    // reached although it is not mapped.
    unsafe { (start.0 as *mut u8).write_bytes(0, len as usize) };
    spr::data_translation_restore(old);
}

/// All of RAM; nothing before the firmware told. Takes no lock.
fn all() -> (u64, u64) {
    ALL.get().copied().unwrap_or_default()
}

/// The first address above all memory.
pub fn end() -> Vaddr {
    Vaddr(all().1)
}

/// What `mem` shows, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The first range of RAM that the firmware reported.
    pub total: u64,
    /// What of it the kernel uses: from the image up to firmware's leavings, or as
    /// far as stubs reach.
    pub usable: u64,
    /// The kernel's image.
    pub image: u64,
    /// Heap in use.
    pub heap_used: u64,
    /// What the heap may grow to.
    pub heap_size: u64,
    /// Translation tables.
    pub tables: u64,
    /// PACAs and stacks of all CPUs but the first.
    pub cpus: u64,
    /// Module pages in use.
    pub pages_used: u64,
    /// Module pages free.
    pub pages_free: u64,
}

/// Runs `work` while the heap and the lists of pages are locked, as they are when a
/// fault comes inside an allocation.
pub fn while_locked(work: &mut dyn FnMut()) {
    let _heap = HEAP.heap.lock();
    let _ram = RAM.lock();
    work();
}

/// True if nobody has the heap now.
pub fn is_free() -> bool {
    HEAP.heap.try_lock().is_some()
}

/// How much memory is used for what.
pub fn usage() -> Usage {
    let (image_start, image_end) = super::boot::image();
    let (heap_used, heap_size) = {
        let heap = HEAP.heap.lock();
        (heap.used() as u64, (HEAP.limit.load(Ordering::Relaxed) - heap.bottom() as usize) as u64)
    };
    let ram = RAM.lock();
    let pages_free = ram.pages.free_bytes();
    Usage {
        total: all().1 - all().0,
        usable: ram.usable,
        image: image_end.since(image_start) as u64,
        heap_used,
        heap_size,
        tables: ram.table_bytes,
        cpus: ram.cpu_bytes,
        pages_used: ram.page_bytes - pages_free,
        pages_free,
    }
}

/// Whether the heap has room for `need` bytes more, in whatever pieces.
///
/// # Errors
/// How many bytes are free: too few, or not together.
pub fn heap_room(need: u64) -> Result<(), u64> {
    let top = HEAP.heap.lock().top() as u64;
    let above = (HEAP.limit.load(Ordering::Relaxed) as u64).saturating_sub(top);
    if need <= above - above % HEAP_STEP as u64 {
        return Ok(()); // nobody has ever been there
    }
    // Among what has been given back there may be enough.
    let mut piece: Vec<u8> = Vec::new();
    let found = usize::try_from(need).is_ok_and(|need| piece.try_reserve_exact(need).is_ok());
    let Usage { heap_used, heap_size, .. } = usage();
    if found { Ok(()) } else { Err(heap_size.saturating_sub(heap_used)) }
}

/// True if all `len` bytes at `at` are RAM.
pub fn is_ram(at: Vaddr, len: u64) -> bool {
    let (start, end) = all();
    at.0 >= start && at.0.checked_add(len).is_some_and(|last| last <= end)
}

/// Copies bytes from any address; false if they cannot all be read.
pub fn read(at: Vaddr, to: &mut [u8]) -> bool {
    read_prefix(at, to) == to.len()
}

/// Copies as many of the first bytes as can be read; how many.
pub fn read_prefix(at: Vaddr, to: &mut [u8]) -> usize {
    // Translation says what can be read; while it is off nothing does, and
    // addresses beyond memory would read as 0.
    let len = if mmu::kind().is_some() || is_ram(at, to.len() as u64) { to.len() } else { 0 };
    // SAFETY: `to` may be written; a fault at the source ends the copy
    // (`trap::handle` knows the instruction), whatever the address is.
    unsafe { safe_copy(to.as_mut_ptr(), at.0, len) }
}

/// A word from any address.
pub fn read_u32(at: Vaddr) -> Option<u32> {
    let mut bytes = [0; 4];
    read(at, &mut bytes).then(|| u32::from_le_bytes(bytes))
}

/// A doubleword from any address.
pub fn read_u64(at: Vaddr) -> Option<u64> {
    let mut bytes = [0; 8];
    read(at, &mut bytes).then(|| u64::from_le_bytes(bytes))
}

/// The bytes of a C string without its NUL; `None` if it runs out of RAM or
/// over `max` bytes.
pub fn read_cstr(at: Vaddr, max: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < max {
        let mut byte = [0];
        if !read(at.offset(bytes.len() as i64), &mut byte) {
            return None;
        }
        if byte[0] == 0 {
            return Some(bytes);
        }
        bytes.push(byte[0]);
    }
    None
}

/// Stores bytes where a module's C code asked for them; false if that is not
/// RAM, or is the kernel's own code or constants.
pub fn write_for_module(at: Vaddr, bytes: &[u8]) -> bool {
    let own = (super::boot::text().0, super::boot::rodata().1);
    let end = at.offset(bytes.len() as i64);
    if !is_ram(at, bytes.len() as u64) || (at < own.1 && end > own.0) {
        return false;
    }
    // SAFETY: memory that is no code of ours; whether it is the module's to write
    // is its own affair, as with any store of its C code. A fault ends the copy.
    let stored = unsafe { safe_store(at.0, bytes.as_ptr(), bytes.len()) };
    stored == bytes.len()
}

/// True if `len` bytes at `start` lie in memory behind the image, and begin with `magic`.
/// For what may be an address or anything; needs no heap.
pub fn begins_with(facts: &MachineFacts, start: Vaddr, len: u64, magic: &[u8]) -> bool {
    let (ram, ram_len) = facts.memory;
    let end = start.0.checked_add(len);
    let inside = start >= super::boot::image().1 && end.is_some_and(|end| end <= ram.0 + ram_len);
    let mut found = [0; 16];
    let Some(found) = found.get_mut(..magic.len()) else { return false };
    if !inside || len < magic.len() as u64 {
        return false;
    }
    // SAFETY: `found` may be written; the source is RAM, and before translation is on
    // nothing in RAM faults.
    let copied = unsafe { safe_copy(found.as_mut_ptr(), start.0, found.len()) };
    copied == magic.len() && found == magic
}

/// Bytes that the firmware loaded, or that were read from the boot medium, and that
/// nobody writes.
///
/// The range must be the one in [`MachineFacts::initrd`], or one of `bootfiles`; it is
/// checked to be RAM that lies behind the image and before the heap.
pub fn initrd_bytes(start: Vaddr, len: u64) -> &'static [u8] {
    let (_, image_end) = super::boot::image();
    let heap = HEAP.heap.lock().bottom() as u64;
    assert!(is_ram(start, len) && start >= image_end && start.0 + len <= heap);
    // SAFETY: RAM between the image and the heap, which no allocator owns, so
    // it is never written while the kernel runs.
    unsafe { core::slice::from_raw_parts(start.0 as *const u8, len as usize) }
}

/// Module memory: whole pages with one owner, given back when dropped.
#[derive(Debug)]
pub struct Pages {
    start: Vaddr,
    len: u64,
    /// Bytes at the start that have been given back.
    gone: AtomicU64,
}

impl Pages {
    /// Zeroed pages for `len` bytes, anywhere.
    pub fn take(len: u64) -> Option<Self> {
        let start = RAM.lock().pages.take(len)?;
        Self::own(start, len)
    }

    /// Zeroed pages for the stack of a CPU, from the top of memory, where below them
    /// is nothing; anywhere if that is taken.
    pub fn take_for_stack(cpu: u16, len: u64) -> Option<Self> {
        let len = len.next_multiple_of(crate::memory::PAGE);
        let end = PAGES_END.get()?.checked_sub(u64::from(cpu) * STACK_GAP)?;
        let at = Vaddr(end.checked_sub(len)?);
        Self::take_within(len, at, Vaddr(end - 1)).or_else(|| Self::take(len))
    }

    /// Keeps the pages for ever, for a CPU; where they begin.
    pub fn keep_for_cpu(self) -> Vaddr {
        let mut ram = RAM.lock();
        ram.page_bytes -= self.len;
        ram.cpu_bytes += self.len;
        let start = self.start;
        core::mem::forget(self);
        start
    }

    /// Zeroed pages that lie wholly inside `low..=high`.
    pub fn take_within(len: u64, low: Vaddr, high: Vaddr) -> Option<Self> {
        let start = RAM.lock().pages.take_within(len, low.0, high.0)?;
        Self::own(start, len)
    }

    /// As [`take`](Self::take), at a multiple of `align`, a power of two.
    pub fn take_aligned(len: u64, align: u64) -> Option<Self> {
        let start = RAM.lock().pages.take_aligned(len, align)?;
        Self::own(start, len)
    }

    /// Maps pages that were taken just now. Not under the lock of [`RAM`]: mapping may
    /// take pages for tables.
    fn own(start: Vaddr, len: u64) -> Option<Self> {
        let len = len.max(1).next_multiple_of(crate::memory::PAGE);
        if mmu::map(start, len, Rights::ReadWrite, Grain::Page).is_err() {
            RAM.lock().pages.give(start, len);
            return None;
        }
        // SAFETY: pages that were free a moment ago, are ours alone now and have
        // been mapped.
        unsafe { (start.0 as *mut u8).write_bytes(0, len as usize) };
        Some(Self { start, len, gone: AtomicU64::new(0) })
    }

    /// Gives back the pages in front of the one that holds `end`: nobody uses them
    /// any more. Called once at most.
    pub fn give_front(&self, end: Vaddr) {
        let len = end.since(self.start) as u64 & !(crate::memory::PAGE - 1);
        assert!(len < self.len, "not these pages");
        if len == 0
            || self.gone.compare_exchange(0, len, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        mmu::unmap(self.start, len).expect("pages that are taken are mapped");
        RAM.lock().pages.give(self.start, len);
    }

    /// Bytes at the start that have been given back.
    fn gone(&self) -> u64 {
        self.gone.load(Ordering::Relaxed)
    }

    /// The first byte's address, whether it is still there or not.
    pub fn start(&self) -> Vaddr {
        self.start
    }

    /// Bytes, a multiple of the page, without what has been given back.
    pub fn size(&self) -> u64 {
        self.len - self.gone()
    }

    /// True if `len` bytes at `at` are inside.
    pub fn contains(&self, at: Vaddr, len: u64) -> bool {
        at >= Vaddr(self.start.0 + self.gone())
            && at.since(self.start) as u64 <= self.len
            && len <= self.len - at.since(self.start) as u64
    }

    /// Gives back the pages behind the first `len` bytes.
    fn shrink(&mut self, len: u64) {
        let len = len.max(1).next_multiple_of(crate::memory::PAGE);
        let (tail, rest) = (self.start.offset(len.cast_signed()), self.len.saturating_sub(len));
        if rest != 0 {
            self.len = len;
            drop(Self { start: tail, len: rest, gone: AtomicU64::new(0) });
        }
    }

    /// Says what may be done in a part of the pages, whole pages of it.
    ///
    /// # Panics
    /// If the part is not inside.
    pub fn protect(&self, (start, end): (Vaddr, Vaddr), rights: Rights) {
        let first = Vaddr(start.0 & !(crate::memory::PAGE - 1));
        let len = (end.since(first) as u64).next_multiple_of(crate::memory::PAGE);
        assert!(self.contains(first, len), "not these pages");
        mmu::protect(first, len, rights).expect("pages that are taken are mapped");
    }

    /// All bytes, to be filled before anything in them is live.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the pages are ours (`take`), and `&mut self` keeps every other
        // user of this method out. Code in them runs only after the image is
        // linked and this borrow has ended.
        unsafe { core::slice::from_raw_parts_mut(self.start.0 as *mut u8, self.len as usize) }
    }

    /// Stores into data of a live module; false if the place is not inside.
    pub fn store(&self, at: Vaddr, bytes: &[u8]) -> bool {
        if !self.contains(at, bytes.len() as u64) {
            return false;
        }
        for (index, byte) in bytes.iter().enumerate() {
            // SAFETY: inside pages that this value owns; volatile because the
            // module's code may read it at any time.
            unsafe { (at.0 as *mut u8).wrapping_add(index).write_volatile(*byte) };
        }
        true
    }
}

/// A file in pages of its own: written once, then only read.
#[derive(Debug)]
pub struct FileCopy {
    pages: Pages,
    len: usize,
}

impl FileCopy {
    /// Takes pages for at most `max` bytes, lets `write` fill them from the front,
    /// and keeps as many as it says. `None` if there is no memory.
    pub fn make<E>(
        max: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Option<Result<Self, E>> {
        let mut pages = Pages::take(max as u64)?;
        let len = match write(&mut pages.bytes_mut()[..max]) {
            Ok(len) => len.min(max),
            Err(error) => return Some(Err(error)),
        };
        pages.shrink(len as u64);
        pages.protect((pages.start(), pages.start().offset(pages.len as i64)), Rights::Read);
        Some(Ok(Self { pages, len }))
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: pages that this value owns alone, mapped and initialised. Only
        // `make` wrote them; nobody else has them to call `store` on, and their
        // translation refuses every other store.
        unsafe { core::slice::from_raw_parts(self.pages.start.0 as *const u8, self.len) }
    }

    /// Bytes of memory.
    pub fn size(&self) -> u64 {
        self.pages.size()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let (start, len) = (Vaddr(self.start.0 + self.gone()), self.size());
        mmu::unmap(start, len).expect("pages that are taken are mapped");
        RAM.lock().pages.give(start, len);
    }
}

/// Writes a range back to memory and drops old copies from every instruction
/// cache: `dcbst` all, `sync`, `icbi` all, `sync`, `isync`.
///
/// Reference: Power ISA Book II, "Instruction Storage".
pub fn publish_code(start: Vaddr, len: u64) {
    if len == 0 {
        return;
    }
    let first = start.0 & !(LINE_BYTES - 1);
    let blocks = || (first..start.0 + len).step_by(LINE_BYTES as usize);
    for block in blocks() {
        // SAFETY: dcbst changes no contents; the block is RAM of the caller's.
        unsafe { asm!("dcbst 0, {}", in(reg) block, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier.
    unsafe { asm!("sync", options(nostack, preserves_flags)) };
    for block in blocks() {
        // SAFETY: icbi only forgets cached copies.
        unsafe { asm!("icbi 0, {}", in(reg) block, options(nostack, preserves_flags)) };
    }
    // SAFETY: barriers.
    unsafe { asm!("sync", "isync", options(nostack, preserves_flags)) };
}

/// A zeroed block of the heap that C code knows by its address.
#[derive(Debug)]
pub struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a block is memory with one owner; it is not tied to a CPU.
unsafe impl Send for Block {}
// SAFETY: a shared block gives away its address and copies of its bytes only.
unsafe impl Sync for Block {}

impl Block {
    /// `len` bytes aligned to 16 (and to their own size if that is a power of
    /// two up to 4096, as C allocators promise); `None` if there is no memory.
    pub fn take(len: usize) -> Option<Self> {
        let align = if len.is_power_of_two() { len.clamp(16, 4096) } else { 16 };
        let layout = Layout::from_size_align(len.max(1), align).ok()?;
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { start, layout })
    }

    /// Its address.
    pub fn start(&self) -> Vaddr {
        Vaddr(self.start.as_ptr() as u64)
    }

    /// Bytes.
    pub fn size(&self) -> usize {
        self.layout.size()
    }

    /// Fills the start of the block.
    pub fn fill(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.size());
        for (index, byte) in bytes.iter().enumerate() {
            // SAFETY: inside the block; volatile: C code reads it by address.
            unsafe { self.start.as_ptr().add(index).write_volatile(*byte) };
        }
    }

    /// A copy of what is in it now.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = alloc::vec![0; self.size()];
        read(self.start(), &mut bytes);
        bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `take` with this layout; nobody else frees it.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}
