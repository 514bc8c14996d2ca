//! `tocsin-spoil`: writes spoiled modules, for a machine to load, and says what the
//! library makes of each.
//!
//! ```text
//! tocsin-spoil OUT COUNT SEED FILE.ko...   OUT/m0.ko ... from the files in turn
//! tocsin-spoil --judge FILE...             what the library makes of files as they are
//! ```
//!
//! A line for each: its file, the name under which it would be listed, `ok` or why
//! `insmod --link-only` refuses it, and what it was made from; tabs between.

#[path = "mod.rs"]
mod spoil;

use std::path::Path;
use std::process::ExitCode;

use tocsin::loader::modinfo::module_name;
use tocsin::loader::{LoadError, Object};
use tocsin::shell::error::Shown;

use spoil::drive::{self, World};
use spoil::mutate;
use spoil::rng::Rng;

/// Longest file that is written.
const FILE_MAX: usize = 1 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *words {
        ["--judge", ref files @ ..] => {
            files.iter().try_for_each(|path| tell(path, &std::fs::read(path)?, path))
        }
        [out, count, seed, ref files @ ..] if !files.is_empty() => {
            match (count.parse(), seed.parse()) {
                (Ok(count), Ok(seed)) => write_spoiled(out, count, seed, files),
                _ => return usage(),
            }
        }
        _ => return usage(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tocsin-spoil: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: tocsin-spoil OUT COUNT SEED FILE.ko... | --judge FILE...");
    ExitCode::from(2)
}

fn write_spoiled(out: &str, count: u64, seed: u64, files: &[&str]) -> std::io::Result<()> {
    for number in 0..count {
        let source = files[number as usize % files.len()];
        let mut file = std::fs::read(source)?;
        mutate::spoil(&mut file, &mut Rng::new(seed ^ number << 20), FILE_MAX);
        let path = Path::new(out).join(format!("m{number}.ko"));
        std::fs::write(&path, &file)?;
        tell(&path.to_string_lossy(), &file, source)?;
    }
    Ok(())
}

fn tell(path: &str, file: &[u8], source: &str) -> std::io::Result<()> {
    let base = Path::new(path).file_name().map_or_else(|| path.into(), |it| it.to_string_lossy());
    let name = Object::parse(file).map(|object| module_name(&object, &base));
    let name = name.unwrap_or_else(|_: LoadError| "-".into());
    let verdict = drive::module(file, &World::link_only()).err().unwrap_or_else(|| "ok".into());
    println!("{base}\t{name}\t{}\t{source}", Shown(verdict.as_bytes()));
    Ok(())
}
