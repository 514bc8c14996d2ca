//! Special purpose registers and the time base.

use core::arch::asm;

/// SPR numbers (Power ISA Book III, "Special Purpose Registers").
pub mod number {
    /// Data storage interrupt status.
    pub const DSISR: u32 = 18;
    /// Data address of the last storage interrupt.
    pub const DAR: u32 = 19;
    /// Software use: holds the PACA of this CPU, always.
    pub const SPRG0: u32 = 272;
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
    /// Machine check enable.
    pub const ME: u64 = 1 << 12;
    /// Floating point available.
    pub const FP: u64 = 1 << 13;
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

/// The machine state register.
pub fn msr() -> u64 {
    let value: u64;
    // SAFETY: reading the MSR has no side effect.
    unsafe { asm!("mfmsr {}", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Sets the decrementer: an interrupt comes after `ticks` if MSR[EE] is on.
pub fn set_decrementer(ticks: u32) {
    // SAFETY: the decrementer touches no memory; its interrupt has a handler.
    unsafe { asm!("mtdec {}", in(reg) u64::from(ticks), options(nomem, nostack, preserves_flags)) };
}
