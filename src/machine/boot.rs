//! The entry point and the boot stack (`boot/entry.S`), and the image's own parts.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::addr::Vaddr;

/// Bytes of the stack that CPU 0 boots on.
pub const BOOT_STACK_BYTES: usize = 32 * 1024;

/// Bytes of the stack that CPU 0 runs the shell on.
pub const SHELL_STACK_BYTES: usize = 64 * 1024;

/// Bytes of the guard below stacks on which only the kernel's own code runs: it
/// touches every page of a large frame (`stack-probes` in `ppc64le-none.json`).
pub const OWN_GUARD_BYTES: usize = 4096;

/// Where `linker.ld` puts the image; it asserts the same number.
pub const LINK_BASE: u64 = 0x400_0000;
const _: () = assert!(LINK_BASE.is_multiple_of(0x1_0000), "one `lis` loads it");

/// Bytes below a stack that are never mapped: a stack that overflows faults.
///
/// One `stdu` makes a frame of up to 32 KiB and stores at its far end; a guard of a
/// page would be stepped over. Frames that a register's value makes (`stdux`) can
/// be larger than any guard; the next tick finds r1 outside then.
pub const GUARD_BYTES: usize = 64 * 1024;
const _: () = assert!(GUARD_BYTES >= 0x8000 + 288, "a `stdu` and the protected zone below it");

/// A stack: bytes that only `r1` ever points to.
#[repr(C, align(4096))]
pub struct Stack<const N: usize, const G: usize = GUARD_BYTES> {
    guard: UnsafeCell<[u8; G]>,
    bytes: UnsafeCell<[u8; N]>,
}

// SAFETY: Rust code never reads or writes the bytes through this type; each
// stack is used by the one CPU whose r1 points into it.
unsafe impl<const N: usize, const G: usize> Sync for Stack<N, G> {}

impl<const N: usize, const G: usize> Stack<N, G> {
    /// A stack of zeros.
    pub const fn zeros() -> Self {
        Self { guard: UnsafeCell::new([0; G]), bytes: UnsafeCell::new([0; N]) }
    }

    /// Lowest address and the first address above.
    pub fn range(&self) -> (Vaddr, Vaddr) {
        let low = self.bytes.get() as u64;
        (Vaddr(low), Vaddr(low + N as u64))
    }

    /// The pages that must not be mapped: start and bytes.
    pub fn guard(&self) -> (Vaddr, u64) {
        (Vaddr(self.guard.get() as u64), G as u64)
    }
}

/// The stack that `boot/entry.S` starts on.
pub static BOOT_STACK: Stack<BOOT_STACK_BYTES, OWN_GUARD_BYTES> = Stack::zeros();

unsafe extern "C" {
    /// Defined by the binary: the boot order.
    fn kernel_main(r3: u64, r4: u64, firmware: u64, entered: u64) -> !;
    static _image_start: u8;
    static _text_end: u8;
    static _rodata_start: u8;
    static _rodata_end: u8;
    static _data_start: u8;
    static _image_end: u8;
    static _ksyms_start: u8;
    static _ksyms_end: u8;
    static __toc_start: u8;
    static _ool_start: u8;
    static _ool_end: u8;
}

global_asm!(
    include_str!("../../boot/endian.S"),
    include_str!("../../boot/entry.S"),
    ".purgem turn_little_endian",
    LINK_BASE_HIGH = const LINK_BASE >> 16,
    R_PPC64_RELATIVE = const 22,
    boot_stack = sym BOOT_STACK,
    BOOT_STACK_TOP = const OWN_GUARD_BYTES + BOOT_STACK_BYTES,
    kernel_main = sym kernel_main,
);

global_asm!(
    ".section .text.run_on_stack, \"ax\", @progbits",
    ".balign 16",
    // In: r3 = first address above a stack, r4 = global entry of a function that
    // does not return, r5 = its argument. Sets r1; the back chain ends here.
    ".global run_on_stack",
    ".type run_on_stack, @function",
    "run_on_stack:",
    "li %r0, 0",
    "std %r0, -64(%r3)",
    "addi %r1, %r3, -64",
    "std %r0, 16(%r1)",
    "mr %r12, %r4",
    "mtctr %r12",
    "mr %r3, %r5",
    "bctrl",
    "trap",
    ".size run_on_stack, . - run_on_stack",
);

unsafe extern "C" {
    fn run_on_stack(top: u64, work: u64, argument: u64) -> !;
}

/// Goes on in `work` on the stack that CPU 0 keeps, with nothing below it.
///
/// # Panics
/// If there is no memory for it.
pub fn leave_boot_stack<T>(work: extern "C" fn(&T) -> !, argument: &T) -> ! {
    let top = super::paca::build_shell_stack().expect("there is memory for a stack");
    // SAFETY: the stack is new and this CPU's; the boot stack stays as it is, so the
    // argument lives on it for ever.
    unsafe { run_on_stack(top.0, work as *const () as u64, argument as *const T as u64) }
}

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

/// Where stubs of the kernel's own call sites are made ([`super::own`]).
pub fn stubs() -> (Vaddr, Vaddr) {
    (symbol!(_ool_start), symbol!(_ool_end))
}

/// True if the kernel's own code is at this address: text, or a stub of its sites.
pub fn is_code(at: Vaddr) -> bool {
    [text(), stubs()].into_iter().any(|(start, end)| (start..end).contains(&at))
}

/// Two pages at the end of [`stubs`], as `linker.ld` leaves them: for the redirect stubs
/// of the kernel's own functions, and for their words. They must be near, and there is
/// nothing else near.
pub fn island() -> (Vaddr, Vaddr) {
    let end = stubs().1;
    (end.offset(-0x2000), end)
}

/// The packed symbols of the kernel (`ksyms`); all zero if the build left them out.
pub fn ksyms() -> &'static [u8] {
    let (start, end) = (symbol!(_ksyms_start), symbol!(_ksyms_end));
    // SAFETY: the linker script puts the two symbols round one section that is
    // never written; u8 has no invalid values and no alignment.
    unsafe { core::slice::from_raw_parts(start.0 as *const u8, end.since(start) as usize) }
}
