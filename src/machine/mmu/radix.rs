//! The radix tree in memory, and making processors look at it again.
//!
//! ```text
//!  process table   PID 0: nothing    PID 1: kernel root    PID 2: patching root
//!
//!  kernel root   [0] -> tables of the first 512 GiB
//!  patching root [0] -> the same tables      [1] -> a table of windows
//! ```
//!
//! A CPU that patches loads PID 2 and sees the windows; all others, and itself
//! afterwards, run with PID 1 and do not. Translations are kept by PID, so none
//! of a window is left when PID 1 is back. A batch opens a window for each of its
//! pages, one beside the other, and all of them are taken away at once: to make
//! every CPU forget a page costs the machine more than to write all words in it.
//!
//! # References
//! Power ISA 3.0B Book III, "Radix Tree Translation", "TLB Invalidate Entry";
//! LoPAPR, "H_REGISTER_PROC_TBL".
//!
//! `tlbie` names partition 0, which on a bare machine is the kernel's own; a guest
//! cannot name one, and the processor takes that which it is in.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::{MapError, Region, Translation};
use crate::addr::Vaddr;
use crate::machine::lock::Mutex;
use crate::machine::memory;
use crate::machine::platform;
use crate::mmu::Rights;
use crate::mmu::radix::{self, Grain, PAGE, RadixError, Tables};

/// The windows: the first pages of the second half-tebibyte.
const WINDOW: Vaddr = Vaddr(1 << 39);
/// How many there are: one table of leaves.
const WINDOWS: u64 = radix::TABLE_ENTRIES as u64;

const KERNEL_PID: u64 = 1;
const PATCHING_PID: u64 = 2;
const ROOT_BYTES: u64 = radix::ROOT_ENTRIES as u64 * 8;
/// Tables are taken from memory in pieces of this many bytes: the first serves the
/// kernel and some small modules, and a module needs one table for 2 MiB.
const POOL_BYTES: u64 = 16 * PAGE;
/// Tables that mapping a new piece may need, and then what was to be mapped.
const POOL_RESERVE: u64 = 2 * 3;

/// Pages that every CPU is made to forget one by one; of more, it forgets all.
const FORGET_PAGES: u64 = 32;

struct Tree {
    kernel_root: u64,
    patching_root: u64,
    /// Tables not yet used: next and end; and those that come after them.
    pool: (u64, u64),
    spare: (u64, u64),
}

impl Tree {
    fn tables_left(&self) -> u64 {
        (self.pool.1 - self.pool.0 + self.spare.1 - self.spare.0) / PAGE
    }
}

static TREE: Mutex<Tree> =
    Mutex::new(Tree { kernel_root: 0, patching_root: 0, pool: (0, 0), spare: (0, 0) });

/// The table of windows, set once. Not in [`TREE`], whose lock the CPU that
/// patches would have to take for each page: nobody else comes here
/// (`mmu::PATCHING`).
static WINDOW_TABLE: AtomicU64 = AtomicU64::new(0);

impl Tables for Tree {
    fn get(&self, table: u64, index: usize) -> u64 {
        let at = (table as *const u64).wrapping_add(index);
        // SAFETY: `table` is one of this tree's tables and `index` below its
        // length (`mmu::radix` computes both); the processor may write the same
        // doubleword, hence volatile.
        u64::from_be(unsafe { at.read_volatile() })
    }

    fn set(&mut self, table: u64, index: usize, entry: u64) {
        let at = (table as *mut u64).wrapping_add(index);
        // SAFETY: as above; one aligned store, and `&mut self` keeps other
        // writers out.
        unsafe { at.write_volatile(entry.to_be()) };
    }

    fn new_table(&mut self) -> Option<u64> {
        if self.pool.0 == self.pool.1 {
            self.pool = core::mem::take(&mut self.spare);
        }
        let (next, end) = self.pool;
        (next < end).then(|| {
            self.pool.0 += PAGE;
            next
        })
    }
}

/// Memory for tables: zeroed, of the pages that modules also come from.
fn take(len: u64, align: u64) -> Option<u64> {
    memory::take_for_tables(len, align).map(|at| at.0)
}

/// Builds empty trees and hands them to the platform. Nothing is mapped yet.
pub fn init() -> &'static dyn Translation {
    let tables = || {
        let process_table = take(PAGE, PAGE)?;
        let (kernel_root, patching_root) =
            (take(ROOT_BYTES, ROOT_BYTES)?, take(ROOT_BYTES, ROOT_BYTES)?);
        let pool = take(POOL_BYTES, PAGE)?;
        Some((process_table, kernel_root, patching_root, pool))
    };
    let (process_table, kernel_root, patching_root, pool) =
        tables().expect("there is memory for the first translation tables");
    let mut tree = TREE.lock();
    *tree = Tree { kernel_root, patching_root, pool: (pool, pool + POOL_BYTES), spare: (0, 0) };
    for (pid, root) in [(KERNEL_PID, kernel_root), (PATCHING_PID, patching_root)] {
        // An entry has two doublewords.
        tree.set(process_table, pid as usize * 2, radix::process_entry(root));
    }
    // The kernel's half-tebibyte, shared by both trees, and the tables for windows.
    let mut path = [0; 4];
    for table in &mut path {
        *table = tree.new_table().expect("the pool is fresh");
    }
    let [shared, second, third, window] = path;
    tree.set(kernel_root, 0, radix::directory_entry(shared));
    tree.set(patching_root, 0, radix::directory_entry(shared));
    tree.set(patching_root, 1, radix::directory_entry(second));
    tree.set(second, 0, radix::directory_entry(third));
    tree.set(third, 0, radix::directory_entry(window));
    WINDOW_TABLE.store(window, Ordering::Relaxed);
    for (start, len) in [
        (process_table, PAGE),
        (kernel_root, ROOT_BYTES),
        (patching_root, ROOT_BYTES),
        (pool, POOL_BYTES),
    ] {
        radix::map(&mut *tree, kernel_root, (start, len), Rights::ReadWrite, Grain::Page)
            .expect("fresh tables map");
    }
    drop(tree);
    let tree = radix::process_entry(kernel_root);
    assert!(
        platform::get().is_some_and(|it| it.use_trees(process_table, tree)),
        "the hypervisor takes no radix tree, though it offers radix; boot with mmu=hash"
    );
    &Radix
}

fn set_pid(pid: u64) {
    // SAFETY: both trees map the kernel alike; isync makes what follows run
    // with the new one.
    unsafe { asm!("mtspr 48, {}", "isync", in(reg) pid, options(nostack, preserves_flags)) };
}

/// Makes entries that were stored visible to the processor's own look-ups.
fn settle() {
    // SAFETY: a barrier.
    unsafe { asm!("ptesync", options(nostack, preserves_flags)) };
}

/// Makes every CPU forget a page of `pid`. Ranges that change have small leaves.
fn forget(at: u64, pid: u64) {
    // RB: page, with the actual page size 0 (4 KiB) in AP; RS: PID.
    // SAFETY: forgets cached translations only; the order of barriers is that of
    // Book III, "Translation Table Update Synchronization Requirements".
    unsafe {
        asm!(
            "tlbie {rb}, {rs}, 0, 1, 1",
            rb = in(reg) at & !(PAGE - 1),
            rs = in(reg) pid << 32,
            options(nostack, preserves_flags),
        );
    }
}

/// Makes every CPU forget all pages of `pid`, of any size.
fn forget_all(pid: u64) {
    // RB: IS 1, all of a process; RIC 2, also what led to the pages.
    // SAFETY: forgets cached translations only.
    unsafe {
        asm!(
            "tlbie {rb}, {rs}, 2, 1, 1",
            rb = in(reg) 1u64 << 10,
            rs = in(reg) pid << 32,
            options(nostack, preserves_flags),
        );
    }
}

fn finish() {
    // SAFETY: barriers that wait for `forget` on every CPU.
    unsafe { asm!("eieio", "tlbsync", "ptesync", "isync", options(nostack, preserves_flags)) };
}

fn error(start: Vaddr, error: RadixError) -> MapError {
    let at = match error {
        RadixError::Taken { at } | RadixError::NotMapped { at } => Vaddr(at),
        RadixError::BadRange | RadixError::NoMemory => start,
    };
    MapError { at }
}

/// Sees to it that a few tables are free.
fn refill(tree: &mut Tree) -> Option<()> {
    if tree.tables_left() > POOL_RESERVE {
        return Some(());
    }
    let piece = take(POOL_BYTES, PAGE)?;
    let root = tree.kernel_root;
    radix::map(tree, root, (piece, POOL_BYTES), Rights::ReadWrite, Grain::Page).ok()?;
    settle();
    // The old piece is not empty yet, and so there is no other spare one.
    tree.spare = (piece, piece + POOL_BYTES);
    Some(())
}

/// Maps a range in parts, so that the pool is filled up in between: 2 MiB need one
/// table. `done` is how many bytes it came.
fn map_parts(
    tree: &mut Tree,
    done: &mut u64,
    (start, len): (Vaddr, u64),
    rights: Rights,
    grain: Grain,
) -> Result<(), MapError> {
    while *done < len {
        let at = start.0 + *done;
        let most = match grain {
            Grain::Page => (1 << 21) - (at & ((1 << 21) - 1)),
            Grain::Large => u64::MAX,
        };
        let part = (at, most.min(len - *done));
        refill(tree).ok_or(MapError { at: Vaddr(at) })?;
        let root = tree.kernel_root;
        radix::map(tree, root, part, rights, grain).map_err(|why| error(Vaddr(at), why))?;
        *done += part.1;
    }
    Ok(())
}

/// Changes a range in place, or takes it away.
fn change(start: Vaddr, len: u64, rights: Option<Rights>) -> Result<(), MapError> {
    let mut tree = TREE.lock();
    let root = tree.kernel_root;
    radix::change(&mut *tree, root, (start.0, len), rights).map_err(|why| error(start, why))?;
    settle();
    for pid in [KERNEL_PID, PATCHING_PID] {
        if len > FORGET_PAGES * PAGE {
            forget_all(pid);
        } else {
            (start.0..start.0 + len).step_by(PAGE as usize).for_each(|page| forget(page, pid));
        }
    }
    finish();
    Ok(())
}

/// Stores a window's leaf, or takes it away.
#[inline]
fn set_window(number: u64, leaf: u64) {
    let table = WINDOW_TABLE.load(Ordering::Relaxed) as *mut u64;
    let at = table.wrapping_add((number % WINDOWS) as usize);
    // SAFETY: an entry of the table of windows (`init`), which has this many; one
    // aligned store, and the only CPU that patches stores here.
    unsafe { at.write_volatile(leaf.to_be()) };
}

/// Puts a window, of which nothing is mapped, onto a page; where it lies.
#[inline]
pub fn aim_window(number: u64, page: Vaddr) -> Vaddr {
    set_window(number, radix::leaf(page.0, Rights::ReadWrite));
    settle();
    WINDOW.offset((number * PAGE).cast_signed())
}

/// The tree, as [`super`] uses it.
struct Radix;

impl Translation for Radix {
    fn load(&self) {
        set_pid(KERNEL_PID);
    }

    fn map(&self, start: Vaddr, len: u64, rights: Rights, grain: Grain) -> Result<(), MapError> {
        let mut tree = TREE.lock();
        let mut done = 0;
        let result = map_parts(&mut tree, &mut done, (start, len), rights, grain);
        if result.is_err() {
            let root = tree.kernel_root;
            radix::change(&mut *tree, root, (start.0, done), None).expect("mapped just now");
        }
        settle();
        if result.is_err() {
            // Processors may have looked, also where nobody asked them to.
            forget_all(KERNEL_PID);
            forget_all(PATCHING_PID);
            finish();
        }
        result
    }

    fn protect(&self, start: Vaddr, len: u64, rights: Rights) -> Result<(), MapError> {
        change(start, len, Some(rights))
    }

    fn unmap(&self, start: Vaddr, len: u64) -> Result<(), MapError> {
        change(start, len, None)
    }

    #[optimize(size)]
    fn regions(&self, visit: &mut dyn FnMut(Region)) {
        let tree = TREE.lock();
        radix::walk(&*tree, tree.kernel_root, &mut |leaf| {
            let (start, to) = (Vaddr(leaf.start), Vaddr(leaf.to));
            visit(Region { start, len: leaf.len, to, rights: leaf.rights });
        });
    }

    fn rights_at(&self, at: Vaddr) -> Option<Rights> {
        let tree = TREE.lock();
        radix::rights_at(&*tree, tree.kernel_root, at.0)
    }

    fn while_locked(&self, work: &mut dyn FnMut()) {
        let _tree = TREE.lock();
        work();
    }

    fn window(&self) -> Vaddr {
        WINDOW
    }

    fn window_leads(&self) -> Option<Region> {
        let tree = TREE.lock();
        let mut found = None;
        radix::walk(&*tree, tree.patching_root, &mut |leaf| {
            if leaf.start >= WINDOW.0 && found.is_none() {
                let (start, to) = (Vaddr(leaf.start), Vaddr(leaf.to));
                found = Some(Region { start, len: leaf.len, to, rights: leaf.rights });
            }
        });
        found
    }

    fn show_windows(&self, shown: bool) {
        set_pid(if shown { PATCHING_PID } else { KERNEL_PID });
    }

    fn windows(&self) -> u64 {
        WINDOWS
    }

    fn aim_window(&self, number: u64, page: Vaddr) -> Vaddr {
        aim_window(number, page)
    }

    fn clear_windows(&self, count: u64) {
        (0..count.min(WINDOWS)).for_each(|number| set_window(number, 0));
        settle();
        forget_all(PATCHING_PID);
        finish();
    }
}
