//! Control files that C code could fill: `seq_file`, and two of Linux's `/proc` files.
//!
//! ```text
//!  seq_file:  0 buf   8 size   16 from   24 count      what is shown so far: buf[..count]
//! ```
//!
//! `/proc/cmdline` and `/proc/meminfo` are made by functions of the kernel that have
//! Linux's names and parameters. They are called by address, so a live patch may replace
//! them: the patch that Linux's documentation begins with runs here as it is.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::print;
use crate::addr::Vaddr;
use crate::kernel::call::{self, CallEnd};
use crate::kernel::exports;
use crate::loader::Name;
use crate::machine::lock::Once;
use crate::machine::memory::{self, Block};

const SEQ_BYTES: usize = 128;
const BUFFER_BYTES: usize = 4096;

static CMDLINE: Once<Vec<u8>> = Once::new();

/// Remembers what the kernel was started with.
pub fn set_cmdline(bootargs: &[u8]) {
    CMDLINE.call_once(|| bootargs.to_vec());
}

/// The file that a `..._proc_show` function fills; why not, if it faults.
pub fn show(function: &str) -> Option<Result<String, String>> {
    let entry = exports::find(&Name::new(function))?;
    let (mut file, buffer) = (Block::take(SEQ_BYTES)?, Block::take(BUFFER_BYTES)?);
    let fields = [buffer.start().0, BUFFER_BYTES as u64].map(u64::to_le_bytes);
    file.fill(&fields.concat());
    Some(match call::run(entry, &[file.start().0, 0]) {
        CallEnd::Oops(cause) => Err(cause),
        CallEnd::Returned(_) => {
            let count = memory::read_u64(file.start().offset(24)).unwrap_or(0);
            let mut bytes = buffer.bytes();
            bytes.truncate(usize::try_from(count).unwrap_or(usize::MAX));
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
    })
}

fn field(file: u64, offset: i64) -> u64 {
    memory::read_u64(Vaddr(file).offset(offset)).unwrap_or(0)
}

fn set_count(file: u64, count: u64) {
    memory::write_for_module(Vaddr(file).offset(24), &count.to_le_bytes());
}

/// Behind `seq_printf(file, format, ...)`.
pub extern "C" fn seq_printf(file: u64, format: u64, args: u64) -> i32 {
    let (buffer, size, count) = (field(file, 0), field(file, 8), field(file, 24));
    let room = size.saturating_sub(count);
    let stored = print::vscnprintf(buffer + count, room, format, args);
    set_count(file, count + u64::from(stored.cast_unsigned()));
    0
}

/// `seq_write(file, data, len)`: 0, or -1 if there was no room for all of it.
pub extern "C" fn seq_write(file: u64, data: u64, len: u64) -> i32 {
    let (buffer, size, count) = (field(file, 0), field(file, 8), field(file, 24));
    let fits = len.min(size.saturating_sub(count));
    let mut bytes = alloc::vec![0; fits as usize];
    memory::read(Vaddr(data), &mut bytes);
    memory::write_for_module(Vaddr(buffer + count), &bytes);
    set_count(file, count + fits);
    if fits == len { 0 } else { -1 }
}

fn put(file: u64, text: &str) -> i32 {
    seq_write(file, text.as_ptr() as u64, text.len() as u64)
}

/// `cmdline_proc_show(file, unused)`: what `/proc/cmdline` says.
#[inline(never)]
pub extern "C" fn cmdline_proc_show(file: u64, _unused: u64) -> i32 {
    let line = CMDLINE.get().map_or(String::new(), |line| String::from_utf8_lossy(line).into());
    put(file, &format!("{}\n", line.trim_end_matches('\0')))
}

/// `meminfo_proc_show(file, unused)`: what `/proc/meminfo` says.
#[inline(never)]
pub extern "C" fn meminfo_proc_show(file: u64, _unused: u64) -> i32 {
    let usage = memory::usage();
    let (total, free) = (usage.total >> 10, usage.pages_free >> 10);
    put(file, &format!("MemTotal:       {total:8} kB\nMemFree:        {free:8} kB\n"))
}
