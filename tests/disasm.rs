//! The disassembler against GNU objdump, which must agree on every word.
//!
//! objdump is taken as it is for `-M power10`: what its default knows beyond that
//! are the instructions of other families (POWER1, embedded). A word that only
//! objdump knows counts as unknown; a word on which the texts differ is an
//! error.
//!
//! - Words of every row's shape with random operands, and with operands at the
//!   ends of their ranges; words of all kinds at random. The seed is fixed.
//! - The code of Debian's modules: `TOCSIN_MODULES_DIR` names the directory.
//!   Some of them always, all 3126 with `--ignored` (some minutes, use
//!   `--release`).

mod loader_common;

use loader_common::{modules_dir, walk_modules};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tocsin::addr::Vaddr;
use tocsin::isa::Insn;
use tocsin::isa::disasm::{PREFIX_FREE, disassemble, shapes};

const OBJDUMP: &str = "powerpc64le-linux-gnu-objdump";

/// What became of the words compared.
#[derive(Default)]
struct Tally {
    exact: u64,
    /// Both print `.long`.
    data: u64,
    /// Known to objdump alone, by mnemonic.
    unknown: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, at: u64, words: [u32; 2], theirs: &str, ours: &str) {
        if ours == theirs && theirs.starts_with(".long") {
            self.data += 1;
        } else if ours == theirs {
            self.exact += 1;
        } else if ours.starts_with(".long") {
            let mnemonic = theirs.split(' ').next().unwrap_or_default();
            *self.unknown.entry(mnemonic.to_string()).or_default() += 1;
        } else if self.wrong.len() < 1000 {
            let [word, next] = words;
            self.wrong.push(format!("{at:#x}: {word:08x} {next:08x}: {theirs} | {ours}"));
        }
    }

    fn merge(&mut self, other: Self) {
        self.exact += other.exact;
        self.data += other.data;
        for (mnemonic, count) in other.unknown {
            *self.unknown.entry(mnemonic).or_default() += count;
        }
        self.wrong.extend(other.wrong);
    }

    fn unknown_words(&self) -> u64 {
        self.unknown.values().sum()
    }

    fn report(&self, what: &str) {
        let (exact, unknown) = (self.exact, self.unknown_words());
        println!(
            "{what}: {exact} exact, {unknown} unknown, {} wrong, {} no instruction",
            self.wrong.len(),
            self.data
        );
        let mut unknown: Vec<_> = self.unknown.iter().collect();
        unknown.sort_by_key(|&(mnemonic, count)| (std::cmp::Reverse(count), mnemonic));
        let mut line = String::new();
        for (mnemonic, count) in unknown.iter().take(100) {
            write!(line, " {mnemonic} {count}").unwrap();
        }
        println!("unknown, the most frequent:{line}");
        for wrong in self.wrong.iter().take(40) {
            println!("wrong: {wrong}");
        }
    }

    fn assert_right(&self) {
        assert!(self.wrong.is_empty(), "{} differ, first: {}", self.wrong.len(), self.wrong[0]);
        assert_ne!(self.exact, 0, "nothing was compared");
    }
}

/// A text as it is compared: any gap is one blank, and `0x` is left out, which
/// objdump writes before addresses in a flat file and not in an object. All
/// other numbers but the one of `.long` are decimal.
fn normal(text: &str) -> String {
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    words.join(" ").replace("0x", "")
}

/// Compares objdump's lines, `  ADDRESS:<tab>BYTES<tab>TEXT`, with ours. What it
/// prints for people, `<symbol+0x10>`, is not compared.
fn compare(objdump: &mut Command) -> Tally {
    let mut child = objdump.stdout(Stdio::piped()).spawn().unwrap_or_else(|error| {
        panic!("{OBJDUMP}: {error}; install Debian's package binutils-powerpc64le-linux-gnu")
    });
    let mut tally = Tally::default();
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let mut pending: Option<(u64, u32, String)> = None;
    let mut finish = |(at, word, text): (u64, u32, String), next: u32| {
        let ours = disassemble(Vaddr(at), Insn(word), Some(Insn(next))).to_string();
        let theirs = text.split('<').next().unwrap_or_default();
        tally.add(at, [word, next], &normal(theirs), &normal(&ours));
    };
    for line in output.lines() {
        let line = line.expect("UTF-8");
        let mut columns = line.splitn(3, '\t');
        let (Some(at), Some(bytes)) = (columns.next(), columns.next()) else { continue };
        let Some(at) = at.trim().strip_suffix(':') else { continue };
        let Ok(at) = u64::from_str_radix(at, 16) else { continue };
        let mut word = [0; 4];
        let mut digits = bytes.split_ascii_whitespace();
        if !word.iter_mut().all(|byte| {
            digits
                .next()
                .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                .map(|b| *byte = b)
                .is_some()
        }) {
            continue;
        }
        let word = u32::from_le_bytes(word);
        if let Some(before) = pending.take() {
            let next = if before.0 + 4 == at { word } else { 0 };
            finish(before, next);
        }
        // The second line of a prefixed instruction has no text.
        pending = columns.next().map(|text| (at, word, text.to_string()));
    }
    if let Some(before) = pending {
        finish(before, 0);
    }
    assert!(child.wait().expect("it ran").success());
    tally
}

/// A generator of equally likely numbers (splitmix64), the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn word(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }
}

fn compare_flat(name: &str, words: &[u32]) -> Tally {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("disasm_{name}.bin"));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(&path, bytes).expect("scratch file");
    let mut objdump = Command::new(OBJDUMP);
    objdump.args(["-b", "binary", "-m", "powerpc:common64", "-EL", "-D", "-z", "-Mpower10"]);
    compare(objdump.arg(&path))
}

/// Values for the free bits of a row: at both ends, one bit, each value of each
/// five-bit column, one value in all columns (for rows that want two registers
/// alike), and any.
fn operands(free: u32, random: &mut Random) -> Vec<u32> {
    let mut values = vec![0, free];
    for bit in (0..32).map(|bit| 1 << bit).filter(|bit| free & bit != 0) {
        values.extend([bit, free & !bit]);
    }
    for value in 0..32 {
        values.push(value << 21 | value << 16 | value << 11 | value << 6 | value << 1);
        for column in [21, 16, 11, 6, 1] {
            let others = random.word() & !(31 << column);
            values.extend([value << column, others | value << column]);
        }
    }
    values.extend((0..300).map(|_| random.word()));
    values.iter().map(|value| value & free).collect()
}

#[test]
fn every_row_reads_as_objdump_reads_it_at_any_operands() {
    let mut random = Random(2);
    let mut words = Vec::new();
    let mut never = Vec::new();
    for shape in shapes() {
        let mut chosen = 0;
        for operands in operands(shape.free, &mut random) {
            let mut word = shape.word | operands;
            let mut prefix = shape.prefix;
            if prefix != 0 {
                // The no-op's prefix has no free bits.
                if shape.free != 0 {
                    prefix |= random.word() & PREFIX_FREE;
                }
                // Relative to itself there is no base; leave some that have one.
                if prefix & 0x0010_0000 != 0 && random.word() & 7 != 0 {
                    word &= !0x001f_0000;
                }
                words.push(prefix);
            }
            words.push(word);
            let first = if prefix != 0 { prefix } else { word };
            let insn = disassemble(Vaddr(0), Insn(first), Some(Insn(word)));
            chosen += u32::from(shape.is_of(&insn));
        }
        if chosen == 0 {
            never.push(format!("{:08x} {:08x}", shape.prefix, shape.word));
        }
        // One bit beside the row is another instruction, or none.
        for bit in (0..26).map(|bit| 1 << bit).filter(|bit| shape.free & bit == 0) {
            words.push((shape.word | random.word() & shape.free) ^ bit);
        }
    }
    // Names of special-purpose registers.
    for number in 0..1024 {
        let field = (number & 31) << 16 | (number >> 5) << 11;
        words.extend([0x7c60_02a6 | field, 0x7c60_03a6 | field]);
    }
    assert!(never.is_empty(), "rows that are never chosen: {never:?}");
    let tally = compare_flat("rows", &words);
    tally.report("rows");
    tally.assert_right();
    assert!(tally.exact > 500_000, "objdump knows nearly all of them");
}

#[test]
fn random_words_of_every_opcode_read_as_objdump_reads_them() {
    let mut random = Random(1);
    let mut words = Vec::new();
    for opcode in 0..64 {
        let many = matches!(opcode, 4 | 16 | 19 | 30 | 31 | 59 | 60 | 63);
        for _ in 0..if many { 20_000 } else { 1500 } {
            let mut word = random.word();
            // Most rows want zeros in some field: clear some, at random.
            for (field, chance) in
                [(0x03e0_0000, 1), (0x001f_0000, 2), (0x0000_f800, 4), (0x0000_07c0, 8), (1, 16)]
            {
                if random.word() & chance == 0 && random.word() & 1 == 0 {
                    word &= !field;
                }
            }
            words.push(opcode << 26 | word & 0x03ff_ffff);
        }
    }
    let tally = compare_flat("random", &words);
    tally.report("random words");
    tally.assert_right();
}

fn compare_module(path: &Path) -> Tally {
    let mut objdump = Command::new(OBJDUMP);
    compare(objdump.args(["-d", "-z", "-Mpower10"]).arg(path))
}

#[test]
fn code_of_some_modules_reads_as_objdump_reads_it() {
    let Some(dir) = modules_dir() else { return };
    let chosen = ["xfs.ko", "crc16.ko", "raid6_pq.ko", "vmx-crypto.ko", "crc32c-vpmsum.ko"];
    let mut tally = Tally::default();
    let modules = walk_modules(&dir);
    for path in modules.iter().filter(|path| chosen.iter().any(|name| path.ends_with(name))) {
        tally.merge(compare_module(path));
    }
    tally.report("some modules");
    tally.assert_right();
    assert!(tally.unknown_words() * 1000 < tally.exact);
}

#[test]
#[ignore = "three thousand modules: some minutes"]
fn code_of_all_modules_reads_as_objdump_reads_it() {
    let Some(dir) = modules_dir() else { return };
    let mut tally = Tally::default();
    for path in walk_modules(&dir) {
        tally.merge(compare_module(&path));
    }
    tally.report("all modules");
    tally.assert_right();
    assert!(tally.unknown_words() * 1000 < tally.exact);
}
