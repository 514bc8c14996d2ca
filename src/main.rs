//! The kernel binary.
#![cfg_attr(target_os = "none", no_std, no_main)]
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("tocsin-kernel runs on POWER: build it with `make kernel`, try it with `make run`");
    std::process::exit(2);
}
