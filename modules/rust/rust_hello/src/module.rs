//! What every Rust module needs: its sections, and a way to print.
//!
//! The file format is Linux's, so this says in Rust what modules/include says
//! in C: `.modinfo` texts, `__ksymtab` and `__param` entries, and `init_module`,
//! `cleanup_module` as plain symbols. A panic traps: the kernel shows an oops.

use core::ffi::{c_char, c_int};
use core::fmt;

unsafe extern "C" {
    /// The kernel's printf: a format and C varargs; a line may begin with a level.
    fn _printk(format: *const c_char, ...) -> c_int;
}

/// Puts `tag=text` where `modinfo` looks for it.
#[macro_export]
macro_rules! modinfo {
    ($name:ident, $text:expr) => {
        #[used]
        #[unsafe(link_section = ".modinfo")]
        static $name: [u8; $text.len() + 1] = $crate::module::with_nuls($text);
    };
}

/// A text with NULs behind it, up to `N` bytes.
pub const fn with_nuls<const N: usize>(text: &str) -> [u8; N] {
    let (mut out, mut i) = ([0; N], 0);
    while i < text.len() {
        out[i] = text.as_bytes()[i];
        i += 1;
    }
    out
}

/// One entry of `__ksymtab_gpl`: three absolute pointers (Linux 6.1).
#[repr(C)]
pub struct KernelSymbol {
    /// The function, at its global entry point.
    pub value: *const (),
    /// Its name, NUL-terminated.
    pub name: *const u8,
    /// Its namespace, NUL-terminated; empty for most.
    pub namespace: *const u8,
}

// SAFETY: the pointers lead to constants, and nobody writes through them.
unsafe impl Sync for KernelSymbol {}

const _: () = assert!(size_of::<KernelSymbol>() == 24);

/// Exports a function under its own name.
#[macro_export]
macro_rules! export_symbol_gpl {
    ($function:ident) => {
        const _: () = {
            #[unsafe(link_section = "__ksymtab_strings")]
            // Two NULs: the second is the empty namespace.
            static NAME: [u8; stringify!($function).len() + 2] =
                $crate::module::with_nuls(stringify!($function));
            #[used]
            #[unsafe(link_section = concat!("___ksymtab_gpl+", stringify!($function)))]
            #[unsafe(export_name = concat!("__ksymtab_", stringify!($function)))]
            static ENTRY: $crate::module::KernelSymbol = $crate::module::KernelSymbol {
                value: $function as *const (),
                name: &raw const NAME as *const u8,
                namespace: (&raw const NAME as *const u8).wrapping_add(NAME.len() - 1),
            };
        };
    };
}

/// How the kernel reads and shows values of a type (`param_ops_long` ...): its own.
#[repr(C)]
pub struct KernelParamOps([u64; 4]);

/// One entry of `__param` (Linux 6.1).
#[repr(C)]
pub struct KernelParam {
    /// Its name, NUL-terminated.
    pub name: *const u8,
    /// The module; nobody asks.
    pub module: *const u8,
    /// Who reads and shows the value.
    pub ops: *const KernelParamOps,
    /// Who may, in its file under /sys/module: 0o444 all read it, 0o644 it can be written.
    pub perm: u16,
    /// Level and flags.
    pub rest: [u8; 6],
    /// The variable.
    pub variable: *const (),
}

// SAFETY: as for `KernelSymbol`, but for the variable, which is an atomic.
unsafe impl Sync for KernelParam {}

const _: () = assert!(size_of::<KernelParam>() == 40);
const _: () = assert!(core::mem::offset_of!(KernelParam, variable) == 32);

/// Lets `insmod NAME name=value` set a variable: an atomic, for the kernel may change it
/// whenever its file is written.
///
/// ```text
///   static START: AtomicI64 = AtomicI64::new(1);
///   module_param!(START, "start", long, 0o444, "the first number");
/// ```
#[macro_export]
macro_rules! module_param {
    (@atomic int) => { core::sync::atomic::AtomicI32 };
    (@atomic uint) => { core::sync::atomic::AtomicU32 };
    (@atomic long) => { core::sync::atomic::AtomicI64 };
    (@atomic ulong) => { core::sync::atomic::AtomicU64 };
    (@atomic bool) => { core::sync::atomic::AtomicBool };
    ($variable:ident, $name:literal, $type:ident, $perm:literal, $about:literal) => {
        const _: () = {
            unsafe extern "C" {
                #[link_name = concat!("param_ops_", stringify!($type))]
                static OPS: $crate::module::KernelParamOps;
            }
            $crate::modinfo!(TYPE, concat!("parmtype=", $name, ":", stringify!($type)));
            $crate::modinfo!(ABOUT, concat!("parm=", $name, ":", $about));
            static NAME: [u8; $name.len() + 1] = $crate::module::with_nuls($name);
            // What the kernel will store has to be what the variable is.
            const _: fn() -> &'static $crate::module_param!(@atomic $type) = || &$variable;
            #[used]
            #[unsafe(link_section = "__param")]
            static ENTRY: $crate::module::KernelParam = $crate::module::KernelParam {
                name: &raw const NAME as *const u8,
                module: core::ptr::null(),
                ops: &raw const OPS,
                perm: $perm,
                rest: [0; 6],
                variable: &raw const $variable as *const (),
            };
        };
    };
}

/// Bytes in a line, with its NUL; what is longer is cut.
const LINE_BYTES: usize = 128;

/// A line in the making. It goes to the kernel whole, so that lines of several
/// CPUs do not mix.
pub struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    /// An empty line.
    pub const fn new() -> Self {
        Self { bytes: [0; LINE_BYTES], len: 0 }
    }

    /// Prints the line with the level "information".
    pub fn print(&self) {
        // SAFETY: `%s` takes a text that ends with NUL: `write_str` fills all
        // bytes but the last, which is 0 from `new` on.
        unsafe { _printk(c"\x016%s\n".as_ptr(), self.bytes.as_ptr()) };
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len < LINE_BYTES - 1 {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// Prints one line with the level "information".
#[macro_export]
macro_rules! pr_info {
    ($($arg:tt)*) => {{
        use core::fmt::Write;
        let mut line = $crate::module::Line::new();
        let _ = write!(line, $($arg)*);
        line.print();
    }};
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    pr_info!("{info}");
    // SAFETY: `trap` enters the kernel, which ends the job that ran this module.
    unsafe { core::arch::asm!("trap", options(noreturn)) }
}
