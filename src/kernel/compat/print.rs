//! `_printk` and the printf family: `compat::printf` with the machine's memory.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::addr::Vaddr;
use crate::compat::Memory;
use crate::compat::printf::{self, Format, Level, Sink, SymbolStyle, VaList, World};
use crate::kernel::{console, symbols};
use crate::machine::{memory, varargs};

/// Least urgent level that reaches the console; what is above goes to the log.
const CONSOLE_LEVEL: u8 = 6;

/// The memory and the names of this machine.
pub struct Machine;

impl Memory for Machine {
    fn read(&self, at: Vaddr, out: &mut [u8]) -> usize {
        memory::read_prefix(at, out)
    }
}

impl World for Machine {
    fn write_symbol(&self, at: Vaddr, style: SymbolStyle, out: &mut dyn Sink) -> bool {
        let text = match style {
            SymbolStyle::Name => symbols::name(at),
            SymbolStyle::Offset => symbols::describe(at),
            SymbolStyle::Return => symbols::describe(at.offset(-1)),
        };
        text.map(|text| out.put(text.as_bytes())).is_some()
    }
}

/// Puts the functions of this file behind their C names.
pub fn connect() {
    varargs::connect(&varargs::Targets {
        printk,
        sprintf,
        dynamic_pr_debug,
        snprintf: vsnprintf,
        scnprintf: vscnprintf,
        seq_printf: super::seq::seq_printf,
    });
}

/// The line on the console has not ended yet.
static OPEN_LINE: AtomicBool = AtomicBool::new(false);

/// Ends a line that a module left open, so that the next one starts at the edge.
pub fn end_open_line() {
    if OPEN_LINE.swap(false, Ordering::Relaxed) {
        console::write_bytes(b"\n");
    }
}

fn format(format: u64, args: u64) -> Vec<u8> {
    let mut text = Vec::new();
    let mut args = VaList::new(&Machine, Vaddr(args));
    printf::format(&mut text, Format::At(Vaddr(format)), &mut args, &Machine);
    text
}

/// Behind `_printk(format, ...)`: prints a message, a line each; its length.
pub extern "C" fn printk(message: u64, args: u64) -> i32 {
    let bytes = format(message, args);
    let (level, text) = printf::split_level(&bytes);
    let len = text.len() as i32;
    if matches!(level, Level::Number(level) if level > CONSOLE_LEVEL) {
        console::log_bytes(text);
        return len;
    }
    if level != Level::Continue {
        end_open_line();
    }
    console::write_bytes(text);
    OPEN_LINE.store(!text.ends_with(b"\n"), Ordering::Relaxed);
    len
}

/// Behind `__dynamic_pr_debug(descriptor, format, ...)`: into the log only.
pub extern "C" fn dynamic_pr_debug(_descriptor: u64, message: u64, args: u64) {
    console::log_bytes(&format(message, args));
}

/// Stores a formatted text as `vsnprintf` does; the length it has uncut.
fn store(buffer: u64, size: u64, format_at: u64, args: u64) -> usize {
    let mut text = format(format_at, args);
    let len = text.len();
    if let Some(room) = usize::try_from(size).unwrap_or(usize::MAX).checked_sub(1) {
        text.truncate(room);
        text.push(0);
        memory::write_for_module(Vaddr(buffer), &text);
    }
    len
}

/// `vsnprintf(buffer, size, format, va_list)`, and behind `snprintf`.
pub extern "C" fn vsnprintf(buffer: u64, size: u64, format: u64, args: u64) -> i32 {
    store(buffer, size, format, args) as i32
}

/// `vscnprintf(buffer, size, format, va_list)`, and behind `scnprintf`: the
/// number of bytes stored, without the NUL.
pub extern "C" fn vscnprintf(buffer: u64, size: u64, format: u64, args: u64) -> i32 {
    store(buffer, size, format, args).min((size as usize).saturating_sub(1)) as i32
}

/// Behind `sprintf(buffer, format, ...)`.
pub extern "C" fn sprintf(buffer: u64, format: u64, args: u64) -> i32 {
    store(buffer, i32::MAX as u64, format, args) as i32
}
