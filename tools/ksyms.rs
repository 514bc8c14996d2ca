//! Packs the kernel's symbols into the blob that `make kernel` puts in its image.
//!
//! ```text
//!  ksyms KERNEL_ELF OUT --size BYTES
//!  objcopy --update-section .ksyms=OUT KERNEL_ELF
//! ```
//!
//! The linker script reserves the section, so nothing moves when it is filled.
//! Rust names are written as people write them, without the hash.

use std::process::ExitCode;
use tocsin::ksyms::decode::Table;
use tocsin::ksyms::elf::read_symbols;
use tocsin::ksyms::encode::{encode_padded, fill_sizes};

const USAGE: &str = "ksyms KERNEL_ELF OUT --size BYTES";

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
    let [kernel, out, option, size] = arguments else {
        return Err(format!("four words are needed (usage: {USAGE})"));
    };
    if option != "--size" {
        return Err(format!("{option}: not an option (usage: {USAGE})"));
    }
    let room = parse_size(size)?;
    let file = std::fs::read(kernel).map_err(|why| format!("{kernel}: {why}"))?;
    let symbols = read_symbols(&file, &readable);
    let mut symbols = symbols.map_err(|why| format!("{kernel}: {why}"))?;
    fill_sizes(&mut symbols);
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
