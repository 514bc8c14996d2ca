//! Bad modules, made of good ones, and what the library has to do about them.
//!
//! ```text
//!  a real module ──mutate──> a spoiled one ──drive──> loaded, or refused in one line
//!                  ^   elf.rs: where fields are         |
//!  a number ── rng.rs                         heap.rs: within so much memory
//! ```
//!
//! | file | does |
//! |---|---|
//! | [`rng`] | numbers that a seed decides, the same on every machine |
//! | [`elf`] | finds fields in a file that may be broken |
//! | [`mutate`] | changes a few of them to values that hurt |
//! | [`pack`] | the same for `.xz`: makes headers' checksums right again |
//! | [`drive`] | takes a file through everything that reads it, and checks what comes out |
//! | [`typed`] | the same for what people type, and for smaller formats |
//! | [`heap`] | counts the heap, and panics at what is out of proportion |
//!
//! Three use it, so that a finding of one can be repeated by the others: the fuzz
//! targets (`fuzz/`), the fixed set of `cargo test` (`tests/spoiled.rs`) and the
//! program `tocsin-spoil`, which writes files for the machine (`qemu/test_spoiled.py`).
//!
//! The loader's own views of a file are no use here: they exist for good files
//! only, and a mutator has to go on with what it has just broken.
#![allow(dead_code)] // each user takes its part

pub mod drive;
pub mod elf;
pub mod heap;
pub mod mutate;
pub mod pack;
pub mod rng;
pub mod typed;
