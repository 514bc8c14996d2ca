//! A fixed set of spoiled modules: thousands of real ones, each changed where it
//! hurts, the same on every machine. Each is loaded or refused in one line, within
//! its share of the heap, in time; what is loaded can be looked at in every way.
//!
//! How they are spoiled, and what is checked: `tools/spoil/`. The same through a
//! machine: `qemu/test_spoiled.py`. Without end, guided by coverage: `make fuzz`.

#[path = "../tools/spoil/mod.rs"]
mod spoil;

mod loader_common;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use loader_common::{modules_dir, walk_modules};
use spoil::drive::{self, World};
use spoil::{heap, mutate, pack, rng::Rng};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Spoiled modules, of ours and of Debian's each.
const COUNT: usize = 5000;
/// Modules of this many bytes at most: what is small is tried often.
const FILE_MAX: u64 = 40 << 10;
/// Longest that one file may take, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends the program with the name of a case that does not end by itself.
struct Watch(&'static Current);

/// The case that runs, since when.
type Current = Mutex<Option<(String, Instant)>>;

impl Watch {
    fn new() -> Self {
        let current: &'static Current = Box::leak(Box::default());
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let late = |it: &&(String, Instant)| it.1.elapsed() > PATIENCE;
                if let Some((name, _)) = current.lock().unwrap().as_ref().filter(late) {
                    eprintln!("{name}: still not done after {PATIENCE:?}");
                    std::process::abort();
                }
            }
        });
        Self(current)
    }

    /// Runs a case; its panic says which one it was.
    fn run<R>(&self, name: &str, work: impl FnOnce() -> R) -> R {
        *self.0.lock().unwrap() = Some((name.into(), Instant::now()));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        *self.0.lock().unwrap() = None;
        result.unwrap_or_else(|_| panic!("{name}: see above"))
    }
}

/// The modules that the samples' Makefile has built.
fn samples() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/modules");
    let mut found: Vec<_> = std::fs::read_dir(dir)
        .map(|dir| dir.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    found.retain(|path: &PathBuf| path.extension().is_some_and(|it| it == "ko"));
    found.sort();
    found
}

fn small(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let short = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() <= FILE_MAX);
    paths.into_iter().filter(short).collect()
}

fn spoil_and_load(paths: &[PathBuf], seed: u64) {
    let files: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("readable")).collect();
    let watch = Watch::new();
    let (mut loaded, mut most) = (0, 0);
    let mut reasons = std::collections::BTreeSet::new();
    for number in 0..COUNT {
        let index = number % files.len();
        let mut file = files[index].clone();
        let mut rng = Rng::new(seed ^ (number as u64) << 20);
        mutate::spoil(&mut file, &mut rng, 2 * FILE_MAX as usize);
        let name = format!("{} spoiled, number {number}", paths[index].display());
        for world in [World::link_only(), World::number(rng.next())] {
            let limit = drive::heap_limit(&file);
            let (verdict, peak) =
                watch.run(&name, || heap::within(limit, || drive::module(&file, &world)));
            most = most.max(peak * 100 / limit);
            match verdict {
                Ok(()) => loaded += 1,
                Err(line) => {
                    let kind = line.rsplit_once(": ").map_or(&*line, |(_, kind)| kind);
                    reasons.insert(kind.replace(|letter: char| letter.is_ascii_digit(), ""));
                }
            }
        }
    }
    let all = 2 * COUNT;
    println!("{loaded} of {all} loaded, {} reasons, at most {most} % of the heap", reasons.len());
    assert!((all / 5..all * 4 / 5).contains(&loaded), "{loaded} of {all} loaded");
    assert!(reasons.len() > 50, "{} reasons", reasons.len());
}

#[test]
fn thousands_of_our_modules_spoiled_are_loaded_or_refused() {
    let paths = small(samples());
    if paths.is_empty() {
        println!("skipped: no modules in target/modules (make modules)");
        return;
    }
    spoil_and_load(&paths, 0x7463_6f73_696e);
}

#[test]
fn thousands_of_debians_modules_spoiled_are_loaded_or_refused() {
    let Some(dir) = modules_dir() else { return };
    let paths = small(walk_modules(&dir));
    let step = (paths.len() / 200).max(1);
    let paths: Vec<_> = paths.into_iter().step_by(step).collect();
    spoil_and_load(&paths, 0x6465_6269_616e);
}

/// What a compressed file may ask for besides its output: a decoder's tables.
const DECODER: usize = 192 << 10;

#[test]
fn thousands_of_compressed_files_spoiled_are_unpacked_or_refused() {
    let plain = include_bytes!("gnu_as.rs");
    let lines = [
        "xz -c --check=none",
        "xz -0c --block-size=2000",
        "xz -c --powerpc --lzma2",
        "zstd -c",
        "zstd -19c",
    ];
    let files: Vec<_> = lines.iter().map(|line| loader_common::packed(line, plain)).collect();
    let watch = Watch::new();
    let mut unpacked = 0;
    for number in 0..COUNT {
        let index = number % files.len();
        let mut file = files[index].clone();
        pack::spoil(&mut file, &mut Rng::new(number as u64), 1 << 16);
        let name = format!("{} spoiled, number {number}", lines[index]);
        let (len, _) = watch.run(&name, || heap::within(DECODER, || drive::unpack(&file, 1 << 18)));
        unpacked += usize::from(len.is_ok());
    }
    println!("{unpacked} of {COUNT} unpacked");
    assert!((COUNT / 100..COUNT / 2).contains(&unpacked), "{unpacked}");
}
