//! Lines out, bytes in, and the log that `dmesg` shows.

use alloc::collections::VecDeque;
use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::machine::lock::Mutex;
use crate::machine::platform;

/// Bytes of console output that `dmesg` can show again.
const LOG_BYTES: usize = 32 * 1024;

static LOG: Mutex<VecDeque<u8>> = Mutex::new(VecDeque::new());

/// A person sits at the console: lines end as a terminal wants them.
static INTERACTIVE: AtomicBool = AtomicBool::new(false);

/// The first line has been printed.
static GREETED: AtomicBool = AtomicBool::new(false);

/// Says whether a person sits at the console.
pub fn set_interactive(yes: bool) {
    INTERACTIVE.store(yes, Ordering::Relaxed);
}

/// True if a person sits at the console.
pub fn interactive() -> bool {
    INTERACTIVE.load(Ordering::Relaxed)
}

/// Writes bytes, and keeps them for `dmesg`.
pub fn write_bytes(bytes: &[u8]) {
    write_plain(bytes);
    log_bytes(bytes);
}

/// Writes bytes as they are; a line end becomes CR LF for a person's terminal.
pub fn write_plain(bytes: &[u8]) {
    let Some(platform) = platform::get() else { return };
    if interactive() {
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if index > 0 {
                platform.console_write(b"\r\n");
            }
            platform.console_write(line);
        }
    } else {
        platform.console_write(bytes);
    }
}

/// Keeps bytes for `dmesg` without showing them.
pub fn log_bytes(bytes: &[u8]) {
    // A fault may come while the log is held: the console matters more.
    if let Some(mut log) = LOG.try_lock() {
        if log.capacity() == 0 {
            // All at once: `mem` must not show that lines were printed.
            if log.try_reserve_exact(LOG_BYTES).is_err() {
                return; // too early, or too late
            }
        }
        let excess = (log.len() + bytes.len()).saturating_sub(LOG_BYTES).min(log.len());
        log.drain(..excess);
        log.extend(bytes.iter().rev().take(LOG_BYTES).rev());
    }
}

/// What was written last, oldest first.
pub fn log() -> alloc::vec::Vec<u8> {
    LOG.lock().iter().copied().collect()
}

/// Collects text, so that the hypervisor is called once for 16 bytes.
struct Chunks {
    bytes: [u8; 128],
    len: usize,
}

impl Chunks {
    fn flush(&mut self) {
        write_bytes(&self.bytes[..self.len]);
        self.len = 0;
    }
}

impl fmt::Write for Chunks {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

/// The same for a kernel that dies before it knows what it runs on. What stands
/// before this line is taken for the firmware's.
pub fn greet_if_silent() {
    if !GREETED.swap(true, Ordering::Relaxed) {
        crate::kprintln!("tocsin {}", env!("CARGO_PKG_VERSION"));
    }
}

/// Prints formatted text; `kprint!` and `kprintln!` call it.
pub fn print(args: fmt::Arguments<'_>) {
    let mut chunks = Chunks { bytes: [0; 128], len: 0 };
    let _ = chunks.write_fmt(args); // a Display that fails has printed what it could
    chunks.flush();
}

/// The kernel's first line, and what it runs on.
pub fn greet(facts: &platform::MachineFacts) {
    GREETED.store(true, Ordering::Relaxed);
    crate::kprintln!("tocsin {}: {}", env!("CARGO_PKG_VERSION"), facts.model);
}

/// Prints to the console.
#[macro_export]
macro_rules! kprint {
    ($($arg:tt)*) => { $crate::kernel::console::print(format_args!($($arg)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! kprintln {
    () => { $crate::kernel::console::print(format_args!("\n")) };
    ($($arg:tt)*) => { $crate::kernel::console::print(format_args!("{}\n", format_args!($($arg)*))) };
}
