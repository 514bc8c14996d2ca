//! The entry point and the boot stack (`boot/entry.S`), and the image's own parts.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::addr::Vaddr;

/// Bytes of the stack that CPU 0 boots on and runs the shell on.
pub const BOOT_STACK_BYTES: usize = 64 * 1024;

/// Where `linker.ld` puts the image; it asserts the same number.
pub const LINK_BASE: u64 = 0x400_0000;
const _: () = assert!(LINK_BASE.is_multiple_of(0x1_0000), "one `lis` loads it");

/// Bytes below a stack that are never mapped: a stack that overflows faults.
pub const GUARD_BYTES: usize = 4096;

/// A stack: bytes that only `r1` ever points to.
#[repr(C, align(4096))]
pub struct Stack<const N: usize> {
    guard: UnsafeCell<[u8; GUARD_BYTES]>,
    bytes: UnsafeCell<[u8; N]>,
}

// SAFETY: Rust code never reads or writes the bytes through this type; each
// stack is used by the one CPU whose r1 points into it.
unsafe impl<const N: usize> Sync for Stack<N> {}

impl<const N: usize> Stack<N> {
    /// A stack of zeros.
    pub const fn zeros() -> Self {
        Self { guard: UnsafeCell::new([0; GUARD_BYTES]), bytes: UnsafeCell::new([0; N]) }
    }

    /// Lowest address and the first address above.
    pub fn range(&self) -> (Vaddr, Vaddr) {
        let low = self.bytes.get() as u64;
        (Vaddr(low), Vaddr(low + N as u64))
    }

    /// The page that must not be mapped.
    pub fn guard(&self) -> Vaddr {
        Vaddr(self.guard.get() as u64)
    }
}

/// The stack that `boot/entry.S` starts on.
pub static BOOT_STACK: Stack<BOOT_STACK_BYTES> = Stack::zeros();

unsafe extern "C" {
    /// Defined by the binary: the boot order.
    fn kernel_main(initrd: u64, initrd_len: u64, firmware: u64, entered: u64) -> !;
    static _image_start: u8;
    static _text_end: u8;
    static _rodata_start: u8;
    static _rodata_end: u8;
    static _data_start: u8;
    static _image_end: u8;
    static _ksyms_start: u8;
    static _ksyms_end: u8;
    static __toc_start: u8;
}

global_asm!(
    include_str!("../../boot/entry.S"),
    LINK_BASE_HIGH = const LINK_BASE >> 16,
    R_PPC64_RELATIVE = const 22,
    boot_stack = sym BOOT_STACK,
    BOOT_STACK_TOP = const GUARD_BYTES + BOOT_STACK_BYTES,
    kernel_main = sym kernel_main,
);

/// The time base at the kernel's first instruction.
static ENTERED: AtomicU64 = AtomicU64::new(0);

/// Notes when the kernel was entered.
pub fn set_entered(ticks: u64) {
    ENTERED.store(ticks, Ordering::Relaxed);
}

/// The time base when the kernel was entered.
pub fn entered() -> u64 {
    ENTERED.load(Ordering::Relaxed)
}

/// The address of a linker symbol.
macro_rules! symbol {
    ($name:ident) => {
        Vaddr(&raw const $name as u64)
    };
}

/// The image in memory, from its first byte to the end of `.bss`.
pub fn image() -> (Vaddr, Vaddr) {
    (symbol!(_image_start), symbol!(_image_end))
}

/// The kernel's own code.
pub fn text() -> (Vaddr, Vaddr) {
    (symbol!(_image_start), symbol!(_text_end))
}

/// The kernel's constants.
pub fn rodata() -> (Vaddr, Vaddr) {
    (symbol!(_rodata_start), symbol!(_rodata_end))
}

/// The kernel's variables.
pub fn data() -> (Vaddr, Vaddr) {
    (symbol!(_data_start), symbol!(_image_end))
}

/// The kernel's TOC base, the value of r2 in its code (ELFv2 ABI, "The TOC").
pub fn kernel_toc() -> Vaddr {
    symbol!(__toc_start).offset(0x8000)
}

/// Room in the image for the packed symbols; `make kernel` fills it.
#[used]
#[unsafe(link_section = ".ksyms")]
static KSYMS_ROOM: [u8; 56 * 1024] = [0; 56 * 1024];

/// The packed symbols of the kernel (`ksyms`); all zero if the build left them out.
pub fn ksyms() -> &'static [u8] {
    let (start, end) = (symbol!(_ksyms_start), symbol!(_ksyms_end));
    // SAFETY: the linker script puts the two symbols round one section that is
    // never written; u8 has no invalid values and no alignment.
    unsafe { core::slice::from_raw_parts(start.0 as *const u8, end.since(start) as usize) }
}
