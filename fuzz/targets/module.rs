//! Bytes as a module: parse, layout, link, and all that reads a linked module.
#![no_main]

#[path = "../../tools/spoil/mod.rs"]
mod spoil;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use spoil::drive::{self, World};
use spoil::{heap, mutate, rng::Rng};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

fuzz_target!(|file: &[u8]| {
    let limit = drive::heap_limit(file);
    for world in [World::link_only(), World::number(drive::hash(file))] {
        let _ = heap::within(limit, || drive::module(file, &world));
    }
});

// Mostly by what fields mean; sometimes as libFuzzer likes, which knows what the
// code has compared bytes with.
fuzz_mutator!(|data: &mut [u8], size: usize, max: usize, seed: u32| {
    let mut rng = Rng::new(seed.into());
    if rng.once_in(4) {
        return fuzzer_mutate(data, size, max);
    }
    let mut file = data[..size].to_vec();
    mutate::spoil(&mut file, &mut rng, max);
    let len = file.len().min(max);
    data[..len].copy_from_slice(&file[..len]);
    len
});
