//! The PACA: what r13 points to, one a CPU.
//!
//! r13 is reserved in the kernel and in modules (Rust and gcc never touch it),
//! so it survives every call, and a stub that may not trust r2 finds the
//! kernel's TOC here. SPRG0 holds the same address, so that an exception that
//! arrives with r13 destroyed finds it too.
//!
//! ```text
//!     0  ours: TOC, shadow stack, ring, stacks, exception save area
//!   296  places that Linux's modules read and write through r13 (see below)
//! ```
//!
//! # Invariants
//! - Stubs load with DS-form instructions: the offsets that they use are
//!   multiples of 4 below 32 KiB, asserted here.
//! - Modules built for Linux use Linux's offsets: the stack protector's canary,
//!   the CPU number, interrupt flags, the current task. Those places exist in
//!   ours, hold harmless values, and nothing of ours lies there.
//!
//! # References
//! ELFv2 ABI, "Register Roles" (r13); Power ISA Book III, "Software-use SPRs".

use alloc::vec::Vec;
use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU64, Ordering, fence};

use crate::addr::Vaddr;
use crate::machine::boot::{BOOT_STACK, OWN_GUARD_BYTES, SHELL_STACK_BYTES, Stack, kernel_toc};
use crate::machine::lock::{Mutex, briefly};
use crate::machine::memory::{self, Pages};
use crate::machine::mmu;
use crate::machine::spr::number::SPRG0;

/// One field of this CPU's PACA, by name; compiles to one load through r13.
macro_rules! read {
    ($field:ident) => {{
        let value: u64;
        // SAFETY: r13 holds this CPU's PACA from `init_boot` on; the field is an
        // aligned u64 that only this CPU writes.
        unsafe {
            core::arch::asm!(
                "ld {value}, {offset}(13)",
                value = out(reg) value,
                offset = const core::mem::offset_of!($crate::machine::paca::Paca, $field),
                options(nostack, readonly, preserves_flags),
            );
        }
        value
    }};
}

/// Stores into one field of this CPU's PACA.
macro_rules! write {
    ($field:ident, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: as for `read`; the caller of the safe function round this
        // gives a value that the field's users expect.
        unsafe {
            core::arch::asm!(
                "std {value}, {offset}(13)",
                value = in(reg) value,
                offset = const core::mem::offset_of!($crate::machine::paca::Paca, $field),
                options(nostack, preserves_flags),
            );
        }
    }};
}

pub(crate) use {read, write};

/// The value that modules built with a stack protector compare with.
pub const CANARY: u64 = 0x746f_6373_696e_0d0a;

/// Bytes of the stack that an exception takes when r1 cannot be believed.
pub const EMERGENCY_STACK_BYTES: usize = 32 * 1024;

/// Bytes of the stack of every CPU but the first.
const SECONDARY_STACK_BYTES: usize = 32 * 1024;

/// Bytes of stack that are left to the report of a fault, which takes about half.
const HANDLER_BYTES: u64 = 8 * 1024;

/// One entry of the shadow stack: a call whose return passes through the kernel.
///
/// Offsets are from the entry's first byte; `boot/mcount.S` and the redirect
/// stubs (`loader::stubs`) write it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShadowEntry {
    /// Where the call returns to.
    pub lr: u64,
    /// r2 of the caller.
    pub toc: u64,
    /// r1 of the caller: names the frame for the unwinder.
    pub r1: u64,
    /// Unused.
    pub spare: u64,
}

/// One entry of the graph stack: a call that the graph tracer has seen begin, and
/// whose return passes through `graph_return`. `boot/mcount.S` writes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GraphEntry {
    /// Where the call returns to.
    pub lr: u64,
    /// r1 of the caller: names the frame for the unwinder.
    pub r1: u64,
    /// What the record of the return will say in [`crate::trace::record::Record::ip`].
    pub ip: u64,
    /// Time base when the call began.
    pub time: u64,
}

/// One entry of the stack of probes: a call whose return a probe waits for, and passes
/// through `probe_return`. `boot/mcount.S` writes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeEntry {
    /// Where the call returns to.
    pub lr: u64,
    /// r1 of the caller: names the frame for the unwinder. [`PROBE_TAKEN`] may be set.
    pub r1: u64,
    /// Address of the probe's block ([`crate::machine::probes`]).
    pub block: u64,
    /// What the block said of its probe when the call began.
    pub ip: u64,
}

/// Of [`ProbeEntry::r1`], which is a multiple of 16: the call counts among those that its
/// probe may wait for, and is to be given back.
pub const PROBE_TAKEN: u64 = 1;

/// Entries of one CPU's stack of probes.
pub const PROBE_ENTRIES: usize = 256;

/// Entries of one CPU's graph stack.
pub const GRAPH_ENTRIES: usize = 256;

/// Bytes of one CPU's graph stack; it is aligned to as many, so that the place of an
/// entry tells its depth ([`crate::trace::record::depth_of`]).
pub const GRAPH_BYTES: usize = GRAPH_ENTRIES * size_of::<GraphEntry>();
const _: () = assert!(GRAPH_BYTES as u64 == crate::trace::record::GRAPH_STACK_BYTES);

/// Entries of one CPU's shadow stack.
pub const SHADOW_ENTRIES: usize = 256;

/// Per-CPU data, at the address in r13.
#[repr(C, align(128))]
pub struct Paca {
    /// This PACA's own address: a quick test that r13 is right.
    pub this: u64,
    /// CPU number, where Linux's modules read it (offset 8).
    pub cpu: u16,
    _pad10: [u8; 6],
    /// The kernel's TOC base; what a profiling stub starts from.
    pub kernel_toc: u64,
    /// Address of the routine behind stubs for tail calls that leave a module.
    pub sibling: u64,
    /// The next free entry of the shadow stack.
    pub shadow_sp: u64,
    /// The highest value of `shadow_sp`; room for one entry lies behind it,
    /// because the redirect stub's check comes after its first store.
    pub shadow_limit: u64,
    /// Always 0: Linux's modules read it (offset 48).
    _zero48: u64,
    /// Address of `shadow_return`.
    pub shadow_return: u64,
    /// Address of `trap_entry`.
    pub trap_entry: u64,
    /// The lowest r1 from which an exception goes on with the CPU's own stack;
    /// below it the emergency stack takes over before the guard page is met.
    pub stack_low: u64,
    /// The CPU's stack, first address above.
    pub stack_high: u64,
    /// The lowest r1 from which an exception goes on with the emergency stack; below
    /// it the same stack begins anew, for what is on it has run off it.
    pub emergency_low: u64,
    /// The emergency stack, first address above.
    pub emergency_high: u64,
    /// Saved by exception entry before there is a frame.
    pub exc_r10: u64,
    /// As above.
    pub exc_r11: u64,
    /// As above.
    pub exc_r12: u64,
    /// As above.
    pub exc_ctr: u64,
    /// As above.
    pub exc_cr: u64,
    /// r1 of the innermost `guarded_call`, or 0.
    pub job_sp: u64,
    /// The trace ring's records, or 0 while tracing is off.
    pub ring_base: u64,
    /// Records ever reserved in the ring.
    pub ring_head: u64,
    /// Records in the ring less one.
    pub ring_mask: u64,
    /// Depth of exceptions being handled; more than 1 is a fault in the handler.
    pub trap_depth: u64,
    /// First entry of the shadow stack.
    pub shadow_base: u64,
    /// The MSR that exception handlers run with, but for RI and EE.
    pub kernel_msr: u64,
    /// Ticks taken.
    pub ticks: u64,
    /// Time base at which the running call has to end; all ones is never.
    pub stop_at: u64,
    /// Not 0: somebody asked that the running call ends.
    pub stop_asked: u64,
    /// Number of the running call, 0 between calls.
    pub call_number: u64,
    /// 1 once the CPU has come up.
    pub online: u64,
    /// The next free entry of the graph stack; 0 until there is one.
    pub graph_sp: u64,
    /// From this value of `graph_sp` on, calls are not entered on the graph stack.
    pub graph_limit: u64,
    /// Address of `graph_return`.
    pub graph_return: u64,
    /// Calls that the graph tracer has left out for want of room, or as too deep.
    pub graph_missed: u64,
    /// First entry of the graph stack.
    pub graph_base: u64,
    /// Not 0: another CPU has rung since this one last slept.
    pub rung: u64,
    _pad288: [u8; 296 - 288],
    /// Linux's "current task" (newer kernels).
    _current_new: u64,
    _pad304: [u8; 1032 - 304],
    /// Reports of faults that are being made on this CPU; more than 1 is a fault in
    /// the report.
    pub reporting: u64,
    /// Not 0: the report has waited for a lock in vain, and waits for no other.
    pub impatient: u64,
    /// Where another CPU's end of the machine interrupted this one: address...
    pub where_nip: u64,
    /// ... and link register.
    pub where_lr: u64,
    /// 1 once the CPU has stopped for good.
    pub stopped: u64,
    /// Global entry of the function that the running call began with.
    pub call_entry: u64,
    /// How often other CPUs have looked at this one since its last tick.
    pub looks: u64,
    /// Time base at the last of them.
    pub looked_at: u64,
    /// The platform's number of this CPU.
    pub hardware: u64,
    /// Which of two targets a function that is changing over runs on this CPU, in
    /// bytes: 0 or 8 ([`super::quiesce`]).
    pub patch_side: u64,
    /// The last question of each kind that this CPU has answered.
    pub answered: [u64; 2],
    /// What on its stack has kept it from answering the newest; 0 is nothing.
    pub blocker: [u64; 2],
    /// Stack protector canary (newer kernels).
    _canary_new: u64,
    _pad1152: [u8; 1168 - 1152],
    /// The table of sites of which more is wanted ([`crate::trace::tools`]), or 0.
    pub tools: u64,
    /// Not 0: the graph tracer begins at some functions only.
    pub graph_rooted: u64,
    /// Where the graph tracer has begun: the place behind that call on the graph
    /// stack; 0 outside.
    pub graph_gate: u64,
    /// Where it has been told to be silent; 0 outside.
    pub graph_mute: u64,
    /// The planes beside the ring ([`crate::trace::record`]).
    pub payload: u64,
    /// Bytes of one of them.
    pub plane: u64,
    /// What `ring_base` is when no probe has it taken away for a moment.
    pub ring_wanted: u64,
    /// The next free entry of the stack of probes; 0 until there is one.
    pub probe_sp: u64,
    /// From this value of `probe_sp` on, returns are not waited for.
    pub probe_limit: u64,
    /// First entry of the stack of probes.
    pub probe_base: u64,
    /// Address of `probe_return`.
    pub probe_return: u64,
    /// Where texts that probes fetch are kept ([`crate::machine::probes`]), or 0.
    pub texts: u64,
    /// Bytes of texts that were ever kept.
    pub texts_head: u64,
    /// From this number on records are not written, for the ring is full.
    pub ring_limit: u64,
    /// How many were not.
    pub ring_dropped: u64,
    _pad1288: [u8; 2312 - 1288],
    /// Linux 6.1's "current task".
    _current: u64,
    _pad2320: [u8; 3192 - 2320],
    /// Stack protector canary (6.1).
    _canary: u64,
    _pad3200: [u8; 3328 - 3200],
}

/// Places that modules built for Linux use (design 4), of either PACA layout.
const _: () = {
    assert!(offset_of!(Paca, cpu) == 8);
    assert!(offset_of!(Paca, _zero48) == 48);
    assert!(offset_of!(Paca, _current_new) == 296);
    assert!(offset_of!(Paca, _canary_new) == 1144);
    assert!(offset_of!(Paca, _current) == 2312);
    assert!(offset_of!(Paca, _canary) == 3192);
    assert!(offset_of!(Paca, rung) + 8 == 288, "ours ends below theirs");
    assert!(offset_of!(Paca, reporting) == 1032 && offset_of!(Paca, hardware) == 1096);
    assert!(offset_of!(Paca, blocker) + 16 == 1144, "ours ends below the canary");
    assert!(size_of::<Paca>().is_multiple_of(128));
    // DS form: a multiple of 4; `li`-sized.
    assert!(
        offset_of!(Paca, kernel_toc).is_multiple_of(4) && offset_of!(Paca, kernel_toc) < 0x8000
    );
    assert!(offset_of!(Paca, sibling).is_multiple_of(4));
    assert!(offset_of!(Paca, shadow_sp).is_multiple_of(4));
    assert!(offset_of!(Paca, shadow_return).is_multiple_of(4));
};

/// Bytes of the block that stands in for Linux's current task.
const TASK_BYTES: usize = 16 * 1024;

/// What a CPU needs besides its PACA.
#[repr(C, align(128))]
struct PerCpu {
    paca: UnsafeCell<Paca>,
    task: UnsafeCell<[u8; TASK_BYTES]>,
    shadow: UnsafeCell<[ShadowEntry; SHADOW_ENTRIES]>,
    emergency: Stack<EMERGENCY_STACK_BYTES, OWN_GUARD_BYTES>,
}

// SAFETY: after `init_boot` only the CPU that owns a block writes it, through
// r13 and with single aligned accesses; other CPUs read single fields.
unsafe impl Sync for PerCpu {}

static BOOT_CPU: PerCpu = PerCpu {
    // SAFETY: a PACA is integers and bytes: all zero is a value.
    paca: UnsafeCell::new(unsafe { core::mem::zeroed() }),
    task: UnsafeCell::new([0; TASK_BYTES]),
    shadow: UnsafeCell::new([ShadowEntry { lr: 0, toc: 0, r1: 0, spare: 0 }; SHADOW_ENTRIES]),
    emergency: Stack::zeros(),
};

/// Fills in a PACA that no CPU uses yet.
///
/// # Safety
/// `per_cpu` is valid for ever and nobody else has or gets a reference into its
/// PACA; `stack` is a stack that only this CPU will use.
unsafe fn fill<const N: usize, const G: usize>(
    per_cpu: &'static PerCpu,
    stack: &Stack<N, G>,
    number: u16,
    hardware: u32,
) -> Vaddr {
    let (stack_low, stack_high) = stack.range();
    let (emergency_low, emergency_high) = per_cpu.emergency.range();
    let shadow = per_cpu.shadow.get() as u64;
    let task = per_cpu.task.get() as u64;
    let paca = per_cpu.paca.get();
    // SAFETY: nobody else refers to it (caller).
    let fields = unsafe { &mut *paca };
    fields.this = paca as u64;
    fields.cpu = number;
    fields.kernel_toc = kernel_toc().0;
    fields.sibling = super::hooks::sibling_call_address().0;
    fields.shadow_return = super::hooks::shadow_return_address().0;
    fields.graph_return = super::hooks::graph_return_address().0;
    fields.probe_return = super::hooks::probe_return_address().0;
    fields.trap_entry = super::trap::entry_address().0;
    fields.shadow_base = shadow;
    fields.shadow_sp = shadow;
    fields.shadow_limit = shadow + ((SHADOW_ENTRIES - 1) * size_of::<ShadowEntry>()) as u64;
    fields.stack_low = stack_low.0 + HANDLER_BYTES;
    fields.stack_high = stack_high.0;
    fields.emergency_low = emergency_low.0 + HANDLER_BYTES;
    fields.emergency_high = emergency_high.0;
    fields.kernel_msr = super::spr::kernel_msr();
    fields.hardware = hardware.into();
    (fields.stop_at, fields.ring_limit) = (u64::MAX, u64::MAX);
    fields._current_new = task;
    fields._current = task;
    fields._canary_new = CANARY;
    fields._canary = CANARY;
    Vaddr(paca as u64)
}

/// What a CPU other than the first has: everything in one piece.
#[repr(C, align(4096))]
struct Secondary {
    stack: Stack<SECONDARY_STACK_BYTES>,
    per_cpu: PerCpu,
}

/// Ranges that are never mapped, one below each stack: start and bytes.
static GUARDS: Mutex<Vec<(Vaddr, u64)>> = Mutex::new(Vec::new());

/// What CPUs keep of the pages: whose, start and end.
static KEPT: Mutex<Vec<(u16, Vaddr, Vaddr)>> = Mutex::new(Vec::new());

/// The memory with the stacks of each CPU: whose, start and end.
pub fn kept() -> Vec<(u16, Vaddr, Vaddr)> {
    KEPT.lock().clone()
}

fn keep(pages: Pages, number: u16) -> Vaddr {
    let end = pages.start().offset(pages.size().cast_signed());
    KEPT.lock().push((number, pages.start(), end));
    pages.keep_for_cpu()
}

/// Makes the PACA and the stacks of one more CPU; `None` if there is no memory.
pub fn build_secondary(number: u16, hardware: u32) -> Option<Vaddr> {
    let pages = Pages::take_for_stack(number, size_of::<Secondary>() as u64)?;
    let place = keep(pages, number).0 as *const Secondary;
    // SAFETY: zeroed pages that are kept for ever, aligned to a page; all zero is
    // a value of every field.
    let secondary: &'static Secondary = unsafe { &*place };
    let guards = [secondary.stack.guard(), secondary.per_cpu.emergency.guard()];
    for (start, len) in guards {
        mmu::unmap(start, len).ok()?;
    }
    GUARDS.lock().extend(guards);
    // SAFETY: the block is new, so nobody refers to it.
    Some(unsafe { fill(&secondary.per_cpu, &secondary.stack, number, hardware) })
}

/// Makes the stack that CPU 0 keeps, and says so to its exceptions; the first address
/// above it. `None` if there is no memory.
pub fn build_shell_stack() -> Option<Vaddr> {
    type ShellStack = Stack<SHELL_STACK_BYTES>;
    let pages = Pages::take_for_stack(0, size_of::<ShellStack>() as u64)?;
    let place = keep(pages, 0).0 as *const ShellStack;
    // SAFETY: zeroed pages that are kept for ever, aligned to a page; all zero is
    // a value of every field.
    let stack: &'static ShellStack = unsafe { &*place };
    let (start, len) = stack.guard();
    mmu::unmap(start, len).ok()?;
    GUARDS.lock().push((start, len));
    let (low, high) = stack.range();
    write!(stack_low, low.0 + HANDLER_BYTES);
    write!(stack_high, high.0);
    Some(high)
}

/// True if the address lies in the guard pages of some stack.
pub fn in_guard(at: u64) -> bool {
    let inside = |(start, len): &(Vaddr, u64)| at.wrapping_sub(start.0) < *len;
    let others = || briefly(&GUARDS).is_some_and(|guards| guards.iter().any(inside));
    boot_guards().iter().any(inside) || others()
}

/// The stack of this CPU that an address lies in, the emergency stack included:
/// its lowest address and the first above.
pub fn stack_around(at: Vaddr) -> Option<(Vaddr, Vaddr)> {
    let main = (Vaddr(read!(stack_low) - HANDLER_BYTES), Vaddr(read!(stack_high)));
    let emergency = (Vaddr(read!(emergency_low) - HANDLER_BYTES), Vaddr(read!(emergency_high)));
    [main, emergency].into_iter().find(|(low, high)| at >= *low && at < *high)
}

/// True while this CPU makes the report of a fault.
pub fn reporting() -> bool {
    read!(reporting) != 0
}

/// A field of another CPU's PACA.
fn field_of(paca: Vaddr, offset: usize) -> &'static AtomicU64 {
    // SAFETY: PACAs live for ever; the field is an aligned u64 that its owner
    // reads and writes with single instructions.
    unsafe { AtomicU64::from_ptr(paca.offset(offset as i64).0 as *mut u64) }
}

/// True once the CPU with this PACA has said that it is up.
pub fn online(paca: Vaddr) -> bool {
    field_of(paca, offset_of!(Paca, online)).load(Ordering::Acquire) != 0
}

/// Says that this CPU is up.
pub fn set_online() {
    field_of(r13(), offset_of!(Paca, online)).store(1, Ordering::Release);
}

/// Ticks that the CPU with this PACA has taken.
pub fn ticks_of(paca: Vaddr) -> u64 {
    field_of(paca, offset_of!(Paca, ticks)).load(Ordering::Relaxed)
}

/// The side of the CPU with this PACA: what a function that is changing over runs.
pub fn patch_side_of(paca: Vaddr) -> &'static AtomicU64 {
    field_of(paca, offset_of!(Paca, patch_side))
}

/// The last question of a kind that the CPU with this PACA has answered.
pub fn answered_of(paca: Vaddr, kind: usize) -> &'static AtomicU64 {
    field_of(paca, offset_of!(Paca, answered) + kind % 2 * 8)
}

/// What keeps the CPU with this PACA from answering; 0 is nothing.
pub fn blocker_of(paca: Vaddr, kind: usize) -> &'static AtomicU64 {
    field_of(paca, offset_of!(Paca, blocker) + kind % 2 * 8)
}

/// Asks the CPU with this PACA to end the call that it runs.
pub fn ask_stop(paca: Vaddr) {
    field_of(paca, offset_of!(Paca, stop_asked)).store(1, Ordering::Relaxed);
}

/// Looks at the CPU with this PACA: true if it runs a call that should have ended,
/// and has taken no tick while it was looked at `patience` times, each `apart` ticks of
/// the time base after the one before. Says so once, then begins anew.
pub fn is_deaf(paca: Vaddr, patience: u64, apart: u64) -> bool {
    let field = |offset| field_of(paca, offset);
    let get = |offset| field(offset).load(Ordering::Relaxed);
    let (now, last) = (super::spr::timebase(), get(offset_of!(Paca, looked_at)));
    let mine = |at: &AtomicU64, from, to| {
        at.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    };
    if now.saturating_sub(last) < apart
        || !mine(field(offset_of!(Paca, looked_at)), last, now)
        || field(offset_of!(Paca, looks)).fetch_add(1, Ordering::Relaxed) < patience
    {
        return false;
    }
    let asked = get(offset_of!(Paca, stop_asked)) != 0 || now > get(offset_of!(Paca, stop_at));
    let deaf =
        asked && get(offset_of!(Paca, job_sp)) != 0 && get(offset_of!(Paca, trap_depth)) == 0;
    if deaf {
        field(offset_of!(Paca, looks)).store(0, Ordering::Relaxed);
    }
    deaf
}

/// True once the CPU with this PACA has stopped for good.
pub fn stopped(paca: Vaddr) -> bool {
    field_of(paca, offset_of!(Paca, stopped)).load(Ordering::Acquire) != 0
}

/// Where the end of the machine interrupted the CPU with this PACA: address and LR.
pub fn was_at(paca: Vaddr) -> (Vaddr, Vaddr) {
    let field = |offset| Vaddr(field_of(paca, offset).load(Ordering::Relaxed));
    (field(offset_of!(Paca, where_nip)), field(offset_of!(Paca, where_lr)))
}

/// Number of the CPU with this PACA, ours and the platform's.
pub fn numbers_of(paca: Vaddr) -> (u16, u32) {
    // `cpu` is the lower quarter of its doubleword.
    let number = field_of(paca, offset_of!(Paca, cpu)).load(Ordering::Relaxed) as u16;
    let hardware = field_of(paca, offset_of!(Paca, hardware)).load(Ordering::Relaxed) as u32;
    (number, hardware)
}

/// Says what the platform calls this CPU.
pub fn set_hardware(number: u32) {
    write!(hardware, number.into());
}

/// The count of records ever reserved in the ring of the CPU with this PACA.
pub fn ring_head_of(paca: Vaddr) -> &'static AtomicU64 {
    field_of(paca, offset_of!(Paca, ring_head))
}

/// The number from which on the CPU with this PACA writes no records, and how many it
/// has not written for that.
pub fn ring_limit_of(paca: Vaddr) -> (&'static AtomicU64, &'static AtomicU64) {
    (field_of(paca, offset_of!(Paca, ring_limit)), field_of(paca, offset_of!(Paca, ring_dropped)))
}

/// Sets the ring of the CPU with this PACA: mask first, then the base, which
/// switches it on (or off, if 0). One CPU at a time does so.
pub fn set_ring_of(paca: Vaddr, base: u64, mask: u64) {
    if base != 0 {
        field_of(paca, offset_of!(Paca, ring_mask)).store(mask, Ordering::Relaxed);
    }
    // Who has taken the base away (a probe that asks the kernel, a trigger) gives back what
    // is wanted, and looks again.
    let before = field_of(paca, offset_of!(Paca, ring_wanted)).swap(base, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    let there = field_of(paca, offset_of!(Paca, ring_base));
    let is = there.load(Ordering::SeqCst);
    if is != 0 || before == 0 {
        // Else it is taken away at this moment. If it has been since, it is not exchanged.
        let _ = there.compare_exchange(is, base, Ordering::SeqCst, Ordering::Relaxed);
    }
}

/// Says where the planes beside the ring of the CPU with this PACA are, and how many
/// bytes each has.
pub fn set_payload_of(paca: Vaddr, base: u64, plane: u64) {
    field_of(paca, offset_of!(Paca, plane)).store(plane, Ordering::Release);
    field_of(paca, offset_of!(Paca, payload)).store(base, Ordering::Release);
}

/// Gives the CPU with this PACA a stack of probes, if it has none.
pub fn set_probe_stack_of(paca: Vaddr, base: u64) {
    let set = |offset, value| field_of(paca, offset).store(value, Ordering::Release);
    set(offset_of!(Paca, probe_base), base);
    set(offset_of!(Paca, probe_sp), base);
    set(offset_of!(Paca, probe_limit), base + (PROBE_ENTRIES * size_of::<ProbeEntry>()) as u64);
}

/// True if the CPU with this PACA has one.
pub fn has_probe_stack(paca: Vaddr) -> bool {
    field_of(paca, offset_of!(Paca, probe_base)).load(Ordering::Relaxed) != 0
}

/// Where the CPU with this PACA keeps texts, and how many bytes it ever kept.
pub fn texts_of(paca: Vaddr) -> (&'static AtomicU64, &'static AtomicU64) {
    (field_of(paca, offset_of!(Paca, texts)), field_of(paca, offset_of!(Paca, texts_head)))
}

/// The returns that probes wait for on this CPU, innermost first.
pub fn probe_entries() -> Calls {
    Calls::between(read!(probe_base), read!(probe_sp), offset_of!(ProbeEntry, r1))
}

/// Gives this CPU's ring back: who has taken it away does not come either.
pub fn give_ring_back() {
    write!(ring_base, read!(ring_wanted));
}

/// This CPU's number.
pub fn cpu_number() -> u16 {
    read!(cpu) as u16
}

/// Builds CPU 0's PACA and puts it into r13 and SPRG0. Called once, first of all.
pub fn init_boot() {
    super::spr::settle_msr();
    // SAFETY: the blocks are static, this is called once, and only this CPU runs.
    let paca = unsafe { fill(&BOOT_CPU, &BOOT_STACK, 0, 0) };
    // SAFETY: r13 and SPRG0 are ours by the ABI and by the ISA's software-use
    // registers; the PACA lives for ever.
    unsafe {
        asm!(
            "mr 13, {paca}",
            "mtspr {sprg0}, {paca}",
            paca = in(reg) paca.0,
            sprg0 = const SPRG0,
            options(nostack, preserves_flags),
        );
    }
}

/// Says with which MSR exception handlers run from now on, on this CPU.
pub fn set_kernel_msr(msr: u64) {
    write!(kernel_msr, msr);
}

/// The ranges of the boot CPU's data that must not be mapped, ascending.
pub fn boot_guards() -> [(Vaddr, u64); 2] {
    let mut guards = [BOOT_STACK.guard(), BOOT_CPU.emergency.guard()];
    if guards[0] > guards[1] {
        guards.swap(0, 1);
    }
    guards
}

/// The address in r13.
pub fn r13() -> Vaddr {
    let value: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mr {}, 13", out(reg) value, options(nomem, nostack, preserves_flags)) };
    Vaddr(value)
}

/// Offsets of fields that code generated at run time and other modules use.
pub mod offset {
    use super::{Paca, offset_of};
    /// [`Paca::kernel_toc`].
    pub const KERNEL_TOC: u16 = offset_of!(Paca, kernel_toc) as u16;
    /// [`Paca::sibling`].
    pub const SIBLING: u16 = offset_of!(Paca, sibling) as u16;
    /// [`Paca::shadow_sp`].
    pub const SHADOW_SP: u16 = offset_of!(Paca, shadow_sp) as u16;
    /// [`Paca::shadow_limit`].
    pub const SHADOW_LIMIT: u16 = offset_of!(Paca, shadow_limit) as u16;
    /// [`Paca::shadow_return`].
    pub const SHADOW_RETURN: u16 = offset_of!(Paca, shadow_return) as u16;
    /// [`Paca::patch_side`].
    pub const PATCH_SIDE: u16 = offset_of!(Paca, patch_side) as u16;
}

/// The fields that `paca` shows: name, offset, value.
pub fn fields() -> [(&'static str, usize, u64); 29] {
    macro_rules! row {
        ($field:ident) => {
            (stringify!($field), offset_of!(Paca, $field), read!($field))
        };
    }
    [
        row!(this),
        ("cpu", offset_of!(Paca, cpu), read!(cpu) & 0xffff),
        row!(kernel_toc),
        row!(sibling),
        row!(shadow_base),
        row!(shadow_sp),
        row!(shadow_limit),
        row!(shadow_return),
        row!(trap_entry),
        row!(stack_low),
        row!(stack_high),
        row!(emergency_low),
        row!(emergency_high),
        row!(exc_r10),
        row!(exc_r11),
        row!(exc_r12),
        row!(exc_ctr),
        row!(exc_cr),
        row!(job_sp),
        row!(ring_base),
        row!(ring_head),
        row!(graph_base),
        row!(graph_sp),
        row!(graph_limit),
        row!(graph_return),
        row!(_current_new),
        row!(_canary_new),
        row!(_current),
        row!(_canary),
    ]
}

/// A call whose return passes through the kernel, as the stacks of such calls say.
#[derive(Clone, Copy)]
pub struct Call {
    /// Where it returns to.
    pub lr: u64,
    /// r1 of the caller: names the frame for the unwinder.
    pub r1: u64,
}

/// The calls on a stack of such, innermost first.
#[derive(Clone)]
pub struct Calls {
    base: u64,
    left: usize,
    r1: usize,
}

const CALL_BYTES: usize = size_of::<ShadowEntry>();
const _: () = assert!(size_of::<GraphEntry>() == CALL_BYTES && GRAPH_ENTRIES == SHADOW_ENTRIES);
const _: () = assert!(size_of::<ProbeEntry>() == CALL_BYTES && PROBE_ENTRIES == SHADOW_ENTRIES);
const _: () = assert!(offset_of!(ShadowEntry, lr) == 0);
const _: () = assert!(offset_of!(GraphEntry, lr) == 0 && offset_of!(ProbeEntry, lr) == 0);

impl Calls {
    /// Those between `base` and `next`, or the lowest of them if there is no room for so
    /// many; in each, r1 is at `r1`.
    fn between(base: u64, next: u64, r1: usize) -> Self {
        let used = next.saturating_sub(base) as usize;
        Self { base, left: (used / CALL_BYTES).min(SHADOW_ENTRIES), r1 }
    }
}

impl Iterator for Calls {
    type Item = Call;

    /// Read so that no address faults: whoever is reported may have spoiled the PACA.
    #[optimize(size)]
    #[inline(never)]
    fn next(&mut self) -> Option<Call> {
        self.left = self.left.checked_sub(1)?;
        let entry = Vaddr(self.base).offset((self.left * CALL_BYTES) as i64);
        let r1 = memory::read_u64(entry.offset(self.r1 as i64))?;
        // Only a probe's entry has that bit.
        Some(Call { lr: memory::read_u64(entry)?, r1: r1 & !PROBE_TAKEN })
    }
}

/// The calls on this CPU's shadow stack, innermost first.
pub fn shadow_entries() -> Calls {
    Calls::between(read!(shadow_base), read!(shadow_sp), offset_of!(ShadowEntry, r1))
}

/// Adds a call to this CPU's shadow stack; false if it is full. Only where nobody
/// else on this CPU is about to: in an exception, between two instructions.
pub fn push_shadow(entry: ShadowEntry) -> bool {
    let place = read!(shadow_sp);
    let room = place <= read!(shadow_limit);
    if room {
        // SAFETY: from the base up to the limit, and one behind it, lie entries
        // of this CPU's shadow stack, which only this CPU writes.
        unsafe { (place as *mut ShadowEntry).write_volatile(entry) };
        write!(shadow_sp, place + size_of::<ShadowEntry>() as u64);
    }
    room
}

/// Takes the innermost call off this CPU's shadow stack.
pub fn pop_shadow() -> Option<Call> {
    let entry = shadow_entries().next()?;
    write!(shadow_sp, read!(shadow_sp) - size_of::<ShadowEntry>() as u64);
    Some(entry)
}

/// Gives the CPU with this PACA a graph stack, and says how deep it is to be used.
pub fn set_graph_of(paca: Vaddr, base: u64, depth: usize) {
    let set = |offset, value| field_of(paca, offset).store(value, Ordering::Relaxed);
    if field_of(paca, offset_of!(Paca, graph_base)).load(Ordering::Relaxed) == 0 {
        set(offset_of!(Paca, graph_base), base);
        set(offset_of!(Paca, graph_sp), base);
    }
    let bytes = depth.min(GRAPH_ENTRIES) * size_of::<GraphEntry>();
    let base = field_of(paca, offset_of!(Paca, graph_base)).load(Ordering::Relaxed);
    set(offset_of!(Paca, graph_limit), base + bytes as u64);
}

/// Sets where calls that the graph tracer enters return to, on the CPU with this PACA.
pub fn set_graph_return_of(paca: Vaddr, to: Vaddr) {
    field_of(paca, offset_of!(Paca, graph_return)).store(to.0, Ordering::Relaxed);
}

/// Gives the CPU with this PACA another table of tools.
pub fn set_tools_of(paca: Vaddr, table: u64, rooted: bool) {
    field_of(paca, offset_of!(Paca, tools)).store(table, Ordering::Release);
    field_of(paca, offset_of!(Paca, graph_rooted)).store(rooted.into(), Ordering::Relaxed);
}

/// True if the CPU with this PACA has a graph stack.
pub fn has_graph(paca: Vaddr) -> bool {
    field_of(paca, offset_of!(Paca, graph_base)).load(Ordering::Relaxed) != 0
}

/// Calls that the graph tracer has left out on the CPU with this PACA.
pub fn graph_missed_of(paca: Vaddr) -> u64 {
    field_of(paca, offset_of!(Paca, graph_missed)).load(Ordering::Relaxed)
}

/// The calls on this CPU's graph stack, innermost first.
pub fn graph_entries() -> Calls {
    Calls::between(read!(graph_base), read!(graph_sp), offset_of!(GraphEntry, r1))
}

/// How deep this CPU's three stacks of calls are: the shadow stack, the graph tracer's, that
/// of probes.
#[derive(Clone, Copy)]
pub struct Marks {
    shadow: u64,
    graph: u64,
    probes: u64,
}

/// How deep they are, to go back to with [`rewind`]. Both are part of nobody's trace: what is
/// on the stacks after them was there before.
#[inline(always)]
pub fn marks() -> Marks {
    Marks { shadow: read!(shadow_sp), graph: read!(graph_sp), probes: read!(probe_sp) }
}

/// Forgets the calls that began after the marks were taken: they will not return. Whatever
/// a module has made of the pointers, the marks are the kernel's own; one from before there
/// was a stack is its base.
#[inline(never)]
#[patchable_function_entry(entry_nops = 0)] // it would forget its own return
pub fn rewind(marks: Marks) {
    let or_base = |mark, base| if mark == 0 { base } else { mark };
    write!(shadow_sp, marks.shadow);
    let probes = or_base(marks.probes, read!(probe_base));
    let mut place = read!(probe_sp);
    while place > probes {
        place -= size_of::<ProbeEntry>() as u64;
        super::probes::forget(Vaddr(place));
    }
    write!(probe_sp, probes);
    let graph = or_base(marks.graph, read!(graph_base));
    if read!(graph_gate) > graph {
        write!(graph_gate, 0);
    }
    if read!(graph_mute) > graph {
        write!(graph_mute, 0);
    }
    write!(graph_sp, graph);
}
