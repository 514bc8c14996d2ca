//! What the loader's tests share: a kernel that exports every name at an address
//! computed from it, and modules found or compiled on the spot.
#![allow(dead_code)] // each test file uses its part

pub mod builder;

use std::path::{Path, PathBuf};

use tocsin::addr::Vaddr;
use tocsin::loader::stubs::StubAbi;
use tocsin::loader::{self, KernelAbi, LinkOptions, LoadError, Loaded, Owner, Resolved, Resolver};

/// The fake kernel's r2.
pub const KERNEL_TOC: Vaddr = Vaddr(0x0440_8000);
/// Where modules are linked to run.
pub const MODULE_BASE: Vaddr = Vaddr(0x2000_0000);
/// The fake `_mcount`, and the one for late sites.
pub const MCOUNT: Vaddr = Vaddr(0x0440_1000);
/// See [`MCOUNT`].
pub const MCOUNT_LATE: Vaddr = Vaddr(0x0440_1100);

/// Exports whatever is asked for.
pub struct FakeKernel {
    /// Exports lie in the 16 MiB from here.
    pub exports_at: u64,
}

impl FakeKernel {
    /// Where `name` is: the same for the same name.
    pub fn address_of(&self, name: &str) -> Vaddr {
        let hash =
            name.bytes().fold(5381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
        Vaddr(self.exports_at + (hash % 0x10_0000) * 16)
    }
}

impl Resolver for FakeKernel {
    fn resolve(&self, name: &str) -> Option<Resolved> {
        Some(Resolved { addr: self.address_of(name), owner: Owner::Kernel, gpl_only: false })
    }
}

/// What stubs rely on, with made-up PACA offsets.
pub fn abi() -> KernelAbi {
    KernelAbi {
        stubs: StubAbi::stand_in(KERNEL_TOC),
        mcount: MCOUNT,
        mcount_late: MCOUNT_LATE,
        prefixed: true,
    }
}

/// Ways to get a module.
pub struct Module;

impl Module {
    /// Loads `file` at [`MODULE_BASE`], with 4 KiB pages.
    pub fn load<'a>(
        file: &'a [u8],
        resolver: &dyn Resolver,
        options: &LinkOptions,
    ) -> Result<Loaded<'a>, LoadError> {
        loader::load(file, 0x1000, |_| MODULE_BASE, resolver, &abi(), options)
    }
}

/// The directory of unpacked modules, or `None` after saying that it is not set.
pub fn modules_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("TOCSIN_MODULES_DIR").map(PathBuf::from);
    if dir.is_none() {
        println!("skipped: TOCSIN_MODULES_DIR is not set");
    }
    dir
}

/// All `.ko` files below `dir`.
pub fn walk_modules(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "ko") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Flags for C modules, as `modules/` uses them.
pub const C_FLAGS: &[&str] = &[
    "-O2",
    "-ffreestanding",
    "-fno-pic",
    "-fno-pie",
    "-fno-common",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fno-strict-aliasing",
    "-msoft-float",
    "-mno-vsx",
    "-mno-altivec",
    "-mcpu=power8",
];

/// A path for a file of the test called `name`.
pub fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a cross tool; its failure is the test's.
pub fn run(tool: &str, arguments: &[&str]) -> String {
    let tool = format!("powerpc64le-linux-gnu-{tool}");
    let output = std::process::Command::new(&tool).args(arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!(
            "{tool}: {error}; install gcc-powerpc64le-linux-gnu and binutils-powerpc64le-linux-gnu"
        )
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Compiles a C fixture; `object` names the file, for other tools to use.
pub fn compile(source: &str, flags: &[&str], object: &str) -> Vec<u8> {
    let object = temporary(object);
    let path = object.to_str().expect("a plain path");
    let source = fixture(source);
    let arguments = [C_FLAGS, flags, &["-c", "-o", path, &source]].concat();
    run("gcc", &arguments);
    std::fs::read(&object).expect("the compiler wrote it")
}

/// Assembles an assembly fixture.
pub fn assemble(source: &str, object: &str) -> Vec<u8> {
    assemble_with(source, &[], object)
}

/// The same, with more flags.
pub fn assemble_with(source: &str, flags: &[&str], object: &str) -> Vec<u8> {
    let object = temporary(object);
    let path = object.to_str().expect("a plain path");
    run("as", &[flags, &["-mpower10", "-o", path, &fixture(source)]].concat());
    std::fs::read(&object).expect("the assembler wrote it")
}

/// Compresses `bytes` with a command line.
pub fn packed(line: &str, bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut words = line.split(' ');
    let tool = words.next().expect("a program");
    let mut child = std::process::Command::new(tool)
        .args(words)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{tool}: {error}; install xz-utils and zstd"));
    let (mut input, bytes) = (child.stdin.take().expect("piped"), bytes.to_vec());
    let feed = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().expect("ran");
    feed.join().expect("fed").expect("read all");
    assert!(output.status.success(), "{line}");
    output.stdout
}
