//! Tocsin: a kernel for little-endian POWER that loads relocatable modules,
//! traces their `_mcount` call sites and live-patches their functions.
//!
//! # The map
//! One line per folder; a module file travels through them from top to bottom.
//!
//! ```text
//! isa/        one instruction word at a time: encode, decode, reach
//! unpack/     .ko.xz and .ko.zst -> the bytes of a module
//! loader/     bytes -> Object -> Layout -> linked image, stubs, call sites
//! patch/      what to change in live text, and what must be there before
//! trace/      filters, the record format, records to text
//! livepatch/  patch sets and what state each redirected function is in
//! compat/     the parts of Linux's C world that modules see: printf, layouts
//! step/       one instruction at a time: what to do at each, what to say
//! shell/      words to commands; the table of commands
//! ksyms/      the kernel's own symbols, packed into its image
//! mmu/        what an address may be used for: radix tree, hash table
//! memory/     which pages are free; initrd.rs the files that came along
//! fdt.rs      the device tree of a machine without Open Firmware
//! media.rs    where a boot medium has the files that belong to the kernel
//! digest.rs   do these bytes equal those elsewhere?
//! sorted.rs   a map for few keys; address_map.rs, for many addresses
//! text.rs     words within texts, with little code
//! slack.rs    lists that grow and shrink by a few places
//! ------------ above: pure, runs under `cargo test`; below: the machine only
//! kernel/     loaded modules, exports, command bodies, console
//! machine/    every `unsafe`, every instruction that a host cannot execute
//! ```
//!
//! # The fence
//! The pure folders forbid `unsafe`, and `kernel` and `machine` exist only when
//! the target has no operating system: a pure file that reaches for the machine
//! does not compile under `cargo test`.
#![cfg_attr(not(test), no_std)]
// The compiler is asked not to make places for tracers in what tracers use, and for
// short code where only people wait.
#![cfg_attr(target_os = "none", feature(optimize_attribute, patchable_function_entry))]

extern crate alloc;

pub mod addr;
pub mod address_map;
pub mod compat;
pub mod digest;
pub mod fdt;
pub mod initrd;
pub mod isa;
pub mod ksyms;
pub mod livepatch;
pub mod loader;
pub mod media;
pub mod memory;
pub mod mmu;
pub mod patch;
pub mod shell;
pub mod slack;
pub mod sorted;
pub mod step;
pub mod text;
pub mod trace;
pub mod unpack;

#[cfg(target_os = "none")]
pub mod kernel;
#[cfg(target_os = "none")]
pub mod machine;
