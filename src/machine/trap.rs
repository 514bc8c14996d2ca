//! Exceptions: vectors in low memory, the frame they save, who handles them.
//!
//! `boot/trap.S` does what must be done before Rust can run; the decision what
//! an exception means is the kernel's, which says so with [`on_exception`].

use core::arch::{asm, global_asm};
use core::mem::{offset_of, size_of};

use super::paca::{self, Paca, read, write};
use super::spr::number::{DAR, DSISR, HSRR0, HSRR1, SPRG0, SPRG1};
use super::step;
use crate::addr::Vaddr;
use crate::isa::{Insn, branch};
use crate::trace::record;

/// The interrupted registers.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct TrapFrame {
    /// r0 to r31.
    pub gpr: [u64; 32],
    /// Address of the instruction that did not complete, or comes next (SRR0 or HSRR0).
    pub nip: u64,
    /// Machine state, with the reason in some vectors (SRR1 or HSRR1).
    pub msr: u64,
    /// Count register.
    pub ctr: u64,
    /// Link register.
    pub lr: u64,
    /// Fixed-point exception register.
    pub xer: u64,
    /// Condition register.
    pub cr: u64,
    /// Data address of a storage interrupt.
    pub dar: u64,
    /// Reason of a data storage interrupt.
    pub dsisr: u64,
    /// Vector number, 0x100 and up.
    pub vector: u64,
}

/// Decides what an exception means.
pub type Handler = fn(&mut TrapFrame) -> Outcome;

static HANDLER: super::lock::Once<Handler> = super::lock::Once::new();

/// Hands every exception to `handler` from now on.
pub fn on_exception(handler: Handler) {
    HANDLER.call_once(|| handler);
}

/// What is done after the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Go on as the frame says.
    Resume,
    /// The running guarded call is over.
    EndJob,
}

/// Frame header of the ABI, before the registers (ELFv2, "The Stack Frame").
const REGS: usize = 32;
/// Compiled code stores registers below r1 before it moves r1 (ELFv2 ABI,
/// "Protected Zone"), so a handler steps over these bytes first.
const PROTECTED_ZONE: usize = 288;
/// Bytes of a trap frame on the stack.
const FRAME: usize = (REGS + size_of::<TrapFrame>()).next_multiple_of(16);

/// Those that only a hypervisor takes, which the kernel is on a bare machine.
const fn is_hypervisors(vector: u16) -> bool {
    matches!(vector, 0x980 | 0xe00..0xf00 | 0xf80 | 0x1500)
}

/// Hypervisor emulation assistance: how a hypervisor is told of an illegal instruction.
const EMULATION: u64 = 0xe40;
/// Another CPU has rung (`msgsnd`).
const DOORBELL: u64 = 0xe80;
/// A program interrupt, and its reason "illegal instruction" in SRR1.
const ILLEGAL: (u64, u64) = (0x700, 0x8_0000);

/// Low memory that `trap_low_hypervisor` and `trap_low` are copied to.
const LOW: u64 = 0x2000;

/// Every vector that a CPU of this family may take (Power ISA Book III,
/// "Interrupt Vectors"); each has 0x20 bytes at least.
const VECTORS: [u16; 31] = [
    0x100, 0x200, 0x300, 0x380, 0x400, 0x480, 0x500, 0x600, 0x700, 0x800, 0x900, 0x980, 0xa00,
    0xb00, 0xc00, 0xd00, 0xe00, 0xe20, 0xe40, 0xe60, 0xe80, 0xea0, 0xf00, 0xf20, 0xf40, 0xf60,
    0xf80, 0x1300, 0x1500, 0x1700, 0x1800,
];

global_asm!(
    include_str!("../../boot/trap.S"),
    SPRG0 = const SPRG0,
    SPRG1 = const SPRG1,
    HSRR0 = const HSRR0,
    HSRR1 = const HSRR1,
    SPR_DAR = const DAR,
    SPR_DSISR = const DSISR,
    EXC_R10 = const offset_of!(Paca, exc_r10),
    EXC_R11 = const offset_of!(Paca, exc_r11),
    EXC_R12 = const offset_of!(Paca, exc_r12),
    EXC_CTR = const offset_of!(Paca, exc_ctr),
    EXC_CR = const offset_of!(Paca, exc_cr),
    TRAP_ENTRY = const offset_of!(Paca, trap_entry),
    STACK_LOW = const offset_of!(Paca, stack_low),
    STACK_HIGH = const offset_of!(Paca, stack_high),
    EMERGENCY_LOW = const offset_of!(Paca, emergency_low),
    JOB_SP = const offset_of!(Paca, job_sp),
    EMERGENCY_HIGH = const offset_of!(Paca, emergency_high),
    KERNEL_TOC = const offset_of!(Paca, kernel_toc),
    KERNEL_MSR = const offset_of!(Paca, kernel_msr),
    RING_BASE = const offset_of!(Paca, ring_base),
    RING_WANTED = const offset_of!(Paca, ring_wanted),
    RING_HEAD = const offset_of!(Paca, ring_head),
    RING_MASK = const offset_of!(Paca, ring_mask),
    RECORD_SHIFT = const record::SIZE.ilog2(),
    RECORD_STATE = const record::STATE,
    IN_TICK = const record::IN_TICK,
    PROTECTED_ZONE = const PROTECTED_ZONE,
    FRAME = const FRAME,
    REGS = const REGS,
    GPR = const REGS + offset_of!(TrapFrame, gpr),
    NIP = const REGS + offset_of!(TrapFrame, nip),
    MSR = const REGS + offset_of!(TrapFrame, msr),
    CTR = const REGS + offset_of!(TrapFrame, ctr),
    LR = const REGS + offset_of!(TrapFrame, lr),
    XER = const REGS + offset_of!(TrapFrame, xer),
    CR = const REGS + offset_of!(TrapFrame, cr),
    DAR = const REGS + offset_of!(TrapFrame, dar),
    DSISR = const REGS + offset_of!(TrapFrame, dsisr),
    VECTOR = const REGS + offset_of!(TrapFrame, vector),
    handle = sym handle,
);

unsafe extern "C" {
    fn trap_entry();
    fn trap_return();
    static trap_vector: [u32; 0];
    static trap_vector_number: [u32; 0];
    static trap_vector_branch: [u32; 0];
    static trap_vector_end: [u32; 0];
    static trap_low: [u32; 0];
    static trap_low_hypervisor: [u32; 0];
    static trap_low_end: [u32; 0];
}

/// Where the vectors go on; kept in the PACA.
pub fn entry_address() -> Vaddr {
    Vaddr(trap_entry as *const () as u64)
}

/// The return address by which an unwinder knows a trap frame.
pub fn return_address() -> Vaddr {
    Vaddr(trap_return as *const () as u64)
}

/// Bytes from a trap frame's r1 to its [`TrapFrame`].
pub const FRAME_REGS: u64 = REGS as u64;

/// Writes the vectors into low memory. After this no firmware may be called but
/// RTAS, and exceptions must arrive in little-endian mode.
pub fn install() {
    let words = |from: *const u32, to: *const u32| (to as usize - from as usize) / 4;
    let (start, end) =
        (&raw const trap_vector as *const u32, &raw const trap_vector_end as *const u32);
    let number = words(start, &raw const trap_vector_number as *const u32);
    let jump = words(start, &raw const trap_vector_branch as *const u32);
    let (low, low_end) =
        (&raw const trap_low_hypervisor as *const u32, &raw const trap_low_end as *const u32);
    let usual = LOW + words(low, &raw const trap_low as *const u32) as u64 * 4;
    for vector in VECTORS {
        let at = u64::from(vector);
        copy_low(start, words(start, end), at);
        let jump_at = Vaddr(at + jump as u64 * 4);
        let target = if is_hypervisors(vector) { LOW } else { usual };
        let branch = branch::b(jump_at, Vaddr(target)).expect("low memory reaches low memory");
        write_low(at + number as u64 * 4, Insn(0x3980_0000 | u32::from(vector))); // li r12,vector
        write_low(jump_at.0, branch);
    }
    copy_low(low, words(low, low_end), LOW);
    super::memory::publish_code(Vaddr(0x100), LOW);
}

fn copy_low(from: *const u32, count: usize, to: u64) {
    for index in 0..count {
        // SAFETY: a word of the kernel's own text, between two of its labels.
        let word = unsafe { from.add(index).read() };
        write_low(to + index as u64 * 4, Insn(word));
    }
}

fn write_low(at: u64, word: Insn) {
    assert!((0x100..0x3000).contains(&at) && at.is_multiple_of(4));
    // SAFETY: low memory belongs to the exception vectors, and the firmware that
    // had them has been quiesced; the address is checked above.
    unsafe { (at as *mut u32).write_volatile(word.0) };
}

/// Called by `trap_entry` on the stack of the frame.
extern "C" fn handle(frame: &mut TrapFrame) {
    super::ending::stop_if_ended_at(frame);
    let depth = read!(trap_depth) + 1;
    write!(trap_depth, depth);
    if frame.vector == EMULATION {
        frame.vector = ILLEGAL.0;
        frame.msr |= ILLEGAL.1;
    }
    let done = match frame.vector {
        0x900 => !super::tick::handle(frame),
        DOORBELL => {
            write!(rung, 1);
            true
        }
        _ => fixed(frame) || selftest_trap(frame) || (depth == 1 && step::handle(frame)),
    };
    if done {
        write!(trap_depth, depth - 1);
        return;
    }
    if depth == 1 {
        step::interrupted(frame);
    }
    let handler = HANDLER.get().expect("the kernel handles exceptions before it takes any");
    match handler(frame) {
        Outcome::Resume => {}
        Outcome::EndJob => {
            let (at, stack) = super::call::abort_point().expect("only a running job is ended");
            frame.nip = at.0;
            frame.gpr[1] = stack;
            frame.gpr[13] = paca::r13().0;
            frame.msr = read!(kernel_msr);
        }
    }
    write!(trap_depth, depth - 1);
}

/// True if the fault was one that the code was ready for: it goes on elsewhere.
fn fixed(frame: &mut TrapFrame) -> bool {
    let storage = matches!(frame.vector, 0x300 | 0x380);
    let Some(next) = super::memory::fixup(Vaddr(frame.nip)).filter(|_| storage) else {
        return false;
    };
    frame.nip = next.0;
    true
}

global_asm!(
    ".section .text.selftest, \"ax\", @progbits",
    ".balign 16",
    // In: r3 = value for r13, r4 = value for r2. Out: r3 = 1 if both were
    // unchanged after the exception. Clobbers r0 r5-r8 cr0. Keeps all else.
    ".global selftest_registers",
    ".type selftest_registers, @function",
    "selftest_registers:",
    "mr %r5, %r13",
    "mr %r6, %r2",
    "mr %r13, %r3",
    "mr %r2, %r4",
    ".global selftest_trap_site",
    "selftest_trap_site:",
    "trap",
    "xor %r7, %r13, %r3",
    "xor %r8, %r2, %r4",
    "mr %r13, %r5",
    "mr %r2, %r6",
    "or %r7, %r7, %r8",
    "cntlzd %r7, %r7",
    "srdi %r3, %r7, 6",
    "blr",
    ".size selftest_registers, . - selftest_registers",
);

unsafe extern "C" {
    fn selftest_registers(r13: u64, r2: u64) -> u64;
    fn selftest_trap_site();
}

/// What the handler saw of the self-test's exception: interrupted r13 and r2,
/// and whether its own were right.
static SELFTEST: super::lock::Mutex<Option<(u64, u64, bool)>> = super::lock::Mutex::new(None);

fn selftest_trap(frame: &mut TrapFrame) -> bool {
    if frame.nip != selftest_trap_site as *const () as u64 {
        return false;
    }
    let toc: u64;
    // SAFETY: reads r2.
    unsafe { asm!("mr {}, 2", out(reg) toc, options(nomem, nostack, preserves_flags)) };
    let own = read!(this) == paca::r13().0 && toc == super::boot::kernel_toc().0;
    *SELFTEST.lock() = Some((frame.gpr[13], frame.gpr[2], own));
    frame.nip += 4;
    true
}

/// Takes an exception with r13 and r2 destroyed. True if the handler ran with
/// the right ones, and the interrupted code had its own back afterwards.
pub fn selftest() -> bool {
    let (r13, r2) = (0x1313_1313_1313_1313, 0x0202_0202_0202_0202);
    // SAFETY: restores r13 and r2 before it returns; interrupts are off, so the
    // only exception between is the one that `selftest_trap` handles.
    let kept = unsafe { selftest_registers(r13, r2) } == 1;
    kept && SELFTEST.lock().take() == Some((r13, r2, true))
}
