//! Packs the kernel's symbols into the blob that `make kernel` puts in its image.
//!
//! ```text
//!  ksyms KERNEL_ELF --needs                  how many bytes, for tools/link-kernel
//!  ksyms KERNEL_ELF OUT --size BYTES         the blob, for tools/kernel-image.sh
//! ```
//!
//! The linker script reserves the section, so nothing moves when it is filled.
//! Rust names are written as people write them, without the hash.

use std::process::ExitCode;
use tocsin::ksyms::decode::Table;
use tocsin::ksyms::elf::read_symbols;
use tocsin::ksyms::encode::{Symbol, encode, encode_padded, fill_sizes};

const USAGE: &str = "ksyms KERNEL_ELF (--needs | OUT --size BYTES)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ksyms: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [kernel, option] if option == "--needs" => {
            println!("{}", encode(&symbols_of(kernel)?).len());
            Ok(())
        }
        [kernel, out, option, size] if option == "--size" => pack(kernel, out, parse_size(size)?),
        _ => Err(format!("what shall be done? (usage: {USAGE})")),
    }
}

fn symbols_of(kernel: &str) -> Result<Vec<Symbol>, String> {
    let file = std::fs::read(kernel).map_err(|why| format!("{kernel}: {why}"))?;
    let symbols = read_symbols(&file, &readable);
    let mut symbols = symbols.map_err(|why| format!("{kernel}: {why}"))?;
    fill_sizes(&mut symbols);
    Ok(symbols)
}

fn pack(kernel: &str, out: &str, room: usize) -> Result<(), String> {
    let symbols = symbols_of(kernel)?;
    let blob = encode_padded(&symbols, room).map_err(|why| format!("{kernel}: {why}"))?;

    // What the kernel will see: read it back before anybody relies on it.
    let table = Table::parse(&blob).map_err(|why| format!("{kernel}: {why}"))?;
    if table.iter().count() != symbols.len() {
        return Err(format!("{kernel}: the packed table does not unpack (a bug of ksyms)"));
    }
    std::fs::write(out, &blob).map_err(|why| format!("{out}: {why}"))?;
    let used = blob.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    eprintln!("ksyms: {} symbols in {used} of {room} bytes", symbols.len());
    Ok(())
}

fn parse_size(word: &str) -> Result<usize, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("{word}: not a size in bytes (write 65536 or 0x10000)"))
}

/// The name as people write it; none for what has no name and for the local
/// labels that compilers make.
fn readable(raw: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(raw).ok()?;
    if text.is_empty() || text.starts_with(".L") {
        return None;
    }
    Some(tocsin::ksyms::readable::readable(text).into_owned())
}
