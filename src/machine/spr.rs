//! Special purpose registers and the time base.

use core::arch::asm;

/// SPR numbers (Power ISA Book III, "Special Purpose Registers").
pub mod number {
    /// Data storage interrupt status.
    pub const DSISR: u32 = 18;
    /// Data address of the last storage interrupt.
    pub const DAR: u32 = 19;
    /// As SRR0 and SRR1, of interrupts that only a hypervisor takes.
    pub const HSRR0: u32 = 314;
    /// See [`HSRR0`].
    pub const HSRR1: u32 = 315;
    /// Software use: holds the PACA of this CPU, always.
    pub const SPRG0: u32 = 272;
    /// Which CPU this is, on a bare machine.
    pub const PIR: u32 = 1023;
    /// Software use: holds the interrupted r13 during exception entry.
    pub const SPRG1: u32 = 273;
}

/// Machine state register bits (Power ISA Book III, "Machine State Register").
pub mod msr {
    /// Little-endian mode.
    pub const LE: u64 = 1;
    /// Recoverable interrupt.
    pub const RI: u64 = 1 << 1;
    /// Data relocation.
    pub const DR: u64 = 1 << 4;
    /// Instruction relocation.
    pub const IR: u64 = 1 << 5;
    /// Single step: a trace interrupt follows each instruction.
    pub const SE: u64 = 1 << 10;
    /// Machine check enable.
    pub const ME: u64 = 1 << 12;
    /// Branch trace.
    pub const BE: u64 = 1 << 9;
    /// Floating point available.
    pub const FP: u64 = 1 << 13;
    /// VSX available.
    pub const VSX: u64 = 1 << 23;
    /// Vector unit available.
    pub const VEC: u64 = 1 << 25;
    /// External interrupts and the decrementer enabled.
    pub const EE: u64 = 1 << 15;
    /// 64-bit mode.
    pub const SF: u64 = 1 << 63;
}

/// Ticks of the time base; its frequency is in the device tree.
#[inline]
pub fn timebase() -> u64 {
    let ticks: u64;
    // SAFETY: mftb reads a register that nothing writes; no memory is touched.
    unsafe { asm!("mftb {}", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}

/// The processor version register: version in the upper half, revision below.
pub fn pvr() -> u32 {
    let value: u64;
    // SAFETY: reading the PVR has no side effect.
    unsafe { asm!("mfspr {}, 287", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value as u32
}

/// The number of this CPU, on a bare machine.
pub fn pir() -> u32 {
    let value: u64;
    // SAFETY: reading the PIR has no side effect.
    unsafe {
        asm!("mfspr {}, {}", out(reg) value, const number::PIR, options(nomem, nostack));
    }
    value as u32
}

/// Whether the processor has prefixed instructions: POWER10 and later.
pub fn has_prefixes() -> bool {
    pvr() >> 16 >= 0x80
}

/// The machine state register.
pub fn msr() -> u64 {
    let value: u64;
    // SAFETY: reading the MSR has no side effect.
    unsafe { asm!("mfmsr {}", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// The MSR with which this CPU takes exceptions while translation is off: machine
/// checks allowed, recoverable, and no unit on whose registers nobody saves.
pub fn kernel_msr() -> u64 {
    let off = msr::EE | msr::IR | msr::DR | msr::FP | msr::VEC | msr::VSX | msr::SE | msr::BE;
    msr() & !off | msr::ME | msr::RI
}

/// Goes on with [`kernel_msr`]: firmware hands CPUs over with what it likes.
pub fn settle_msr() {
    // SAFETY: translation and interrupts stay off, where the boot of a CPU has them;
    // the rest changes nothing for code that uses general registers.
    unsafe { asm!("mtmsrd {}", "isync", in(reg) kernel_msr(), options(nostack, preserves_flags)) };
}

/// r1 of whoever calls this.
#[inline(always)]
pub fn stack_pointer() -> u64 {
    let value: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mr {}, 1", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Goes on with data and instruction translation on.
pub fn translation_on() {
    // SAFETY: the code that runs, its stack and its data are mapped at their own
    // addresses (`mmu::init`), so the next instruction is the same one.
    unsafe {
        asm!(
            "mfmsr {msr}",
            "ori {msr}, {msr}, {on}",
            "mtmsrd {msr}",
            "isync",
            msr = out(reg) _,
            on = const msr::IR | msr::DR,
            options(nostack, preserves_flags),
        );
    }
}

/// Turns data translation off for a moment; what it was before.
pub fn data_translation_off() -> u64 {
    let old = msr();
    // SAFETY: effective and real addresses are equal, so what could be reached
    // still can.
    unsafe {
        asm!("mtmsrd {}", "isync", in(reg) old & !msr::DR, options(nostack, preserves_flags));
    }
    old
}

/// Ends [`data_translation_off`].
pub fn data_translation_restore(old: u64) {
    // SAFETY: the state that was before.
    unsafe { asm!("mtmsrd {}", "isync", in(reg) old, options(nostack, preserves_flags)) };
}

/// Lets the decrementer and external interrupts in; what it was before.
pub fn interrupts_on() -> u64 {
    let old = msr();
    // SAFETY: changes only whether interrupts are taken; they have handlers.
    unsafe { asm!("mtmsrd {}, 1", in(reg) old | msr::EE, options(nostack, preserves_flags)) };
    old
}

/// Keeps the decrementer and external interrupts out; what it was before.
pub fn interrupts_off() -> u64 {
    let old = msr();
    // SAFETY: changes only whether interrupts are taken.
    unsafe { asm!("mtmsrd {}, 1", in(reg) old & !msr::EE, options(nostack, preserves_flags)) };
    old
}

/// Lets them in again if `old`, from [`interrupts_off`], had them.
pub fn interrupts_restore(old: u64) {
    // SAFETY: changes only whether interrupts are taken; they have handlers.
    unsafe { asm!("mtmsrd {}, 1", in(reg) old, options(nostack, preserves_flags)) };
}

/// Sets the decrementer: an interrupt comes after `ticks` if MSR[EE] is on.
pub fn set_decrementer(ticks: u32) {
    // SAFETY: the decrementer touches no memory; its interrupt has a handler.
    unsafe { asm!("mtdec {}", in(reg) u64::from(ticks), options(nomem, nostack, preserves_flags)) };
}
