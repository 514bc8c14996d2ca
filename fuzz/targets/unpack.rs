//! Bytes as a compressed file.
#![no_main]

#[path = "../../tools/spoil/mod.rs"]
mod spoil;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use spoil::{drive, heap, pack, rng::Rng};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Room for what comes out.
const ROOM: u64 = 1 << 20;

fuzz_target!(|file: &[u8]| {
    // Tables and one block's literals, whatever the file asks for.
    let limit = 192 << 10;
    let _ = heap::within(limit, || drive::unpack(file, ROOM));
});

fuzz_mutator!(|data: &mut [u8], size: usize, max: usize, seed: u32| {
    let mut rng = Rng::new(seed.into());
    let size = if rng.once_in(2) { fuzzer_mutate(data, size, max) } else { size };
    let mut file = data[..size].to_vec();
    if rng.once_in(2) && size > 0 {
        pack::spoil(&mut file, &mut rng, max);
    } else if file.starts_with(&tocsin::unpack::xz::MAGIC) {
        pack::repair(&mut file);
    }
    let len = file.len().min(max);
    data[..len].copy_from_slice(&file[..len]);
    len
});
