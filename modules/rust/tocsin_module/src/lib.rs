//! `modinfo!`, `module_param!`, `pr_info!`, `export_symbol_gpl!` and the panic handler, for modules that
//! are one file. The samples include the same source; `module.rs` explains it.
#![no_std]

#[path = "../../rust_hello/src/module.rs"]
pub mod module;
