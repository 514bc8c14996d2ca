//! From the bytes of a `.ko` to an image whose every word has its final value.
#![forbid(unsafe_code)]

pub mod elf;
pub mod error;
mod reloc_names;
