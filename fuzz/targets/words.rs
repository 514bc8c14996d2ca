//! Bytes as words that somebody typed, and as the smaller formats: filters of the
//! tracer, cpio archives, the kernel's own table of symbols.
#![no_main]

#[path = "../../tools/spoil/mod.rs"]
mod spoil;

use libfuzzer_sys::fuzz_target;
use spoil::{heap, typed};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

fuzz_target!(|bytes: &[u8]| {
    // A word is a few dozen bytes of the heap, and may be one byte long.
    let limit = (256 << 10) + bytes.len() * 256;
    let _ = heap::within(limit, || typed::typed(bytes));
});
