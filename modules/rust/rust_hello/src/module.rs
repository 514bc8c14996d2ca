//! What every Rust module needs: its sections, and a way to print.
//!
//! The file format is Linux's, so this says in Rust what modules/include says
//! in C: `.modinfo` texts, `__ksymtab` entries, and `init_module`,
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
    ($name:ident, $text:literal) => {
        #[used]
        #[unsafe(link_section = ".modinfo")]
        static $name: [u8; $text.len() + 1] = {
            let (mut out, mut i) = ([0; $text.len() + 1], 0);
            while i < $text.len() {
                out[i] = $text.as_bytes()[i];
                i += 1;
            }
            out
        };
    };
}

/// One entry of `__ksymtab_gpl`: three absolute pointers (Linux 6.1).
#[repr(C)]
pub struct KernelSymbol {
    /// The function, at its global entry point.
    pub value: unsafe extern "C" fn(u64) -> u64,
    /// Its name, NUL-terminated.
    pub name: *const u8,
    /// Its namespace, NUL-terminated; empty for most.
    pub namespace: *const u8,
}

// SAFETY: the pointers lead to constants, and nobody writes through them.
unsafe impl Sync for KernelSymbol {}

const _: () = assert!(size_of::<KernelSymbol>() == 24);

/// Exports a function from one u64 to another under its own name.
#[macro_export]
macro_rules! export_symbol_gpl {
    ($function:ident) => {
        const _: () = {
            #[unsafe(link_section = "__ksymtab_strings")]
            static NAME: [u8; stringify!($function).len() + 2] = {
                let (name, mut out, mut i) =
                    (stringify!($function).as_bytes(), [0; stringify!($function).len() + 2], 0);
                while i < name.len() {
                    out[i] = name[i];
                    i += 1;
                }
                out // two NULs: the second is the empty namespace
            };
            #[used]
            #[unsafe(link_section = concat!("___ksymtab_gpl+", stringify!($function)))]
            #[unsafe(export_name = concat!("__ksymtab_", stringify!($function)))]
            static ENTRY: $crate::module::KernelSymbol = $crate::module::KernelSymbol {
                value: $function,
                name: &raw const NAME as *const u8,
                namespace: (&raw const NAME as *const u8).wrapping_add(NAME.len() - 1),
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
