//! Every encoding of ours against GNU as: branches, displacement fields, well
//! known words and all words of all stubs, at both ends of every range; and one
//! step beyond each end, where the assembler (or the linker) has to refuse too.
//!
//! A case is a line of assembly and the word that we make of it. All cases of a
//! test go through one assembler run. The tools are Debian's package
//! binutils-powerpc64le-linux-gnu; without them these tests fail.

use std::path::PathBuf;
use std::process::{Command, Output};
use tocsin::addr::Vaddr;
use tocsin::isa::dform::{self, Ds, Form};
use tocsin::isa::encode::{self, Gpr};
use tocsin::isa::entry::LocalEntry;
use tocsin::isa::{Insn, branch, well_known};
use tocsin::loader::stubs::{
    LINUX_MAGIC, MISSING_MARK, Part, Stub, StubAbi, StubCause, StubError, StubKind,
};

/// Lines of assembly, each with the word that we encoded for it.
#[derive(Default)]
struct Sheet {
    lines: Vec<String>,
    ours: Vec<u32>,
}

impl Sheet {
    fn add(&mut self, line: impl Into<String>, ours: Insn) {
        self.lines.push(line.into());
        self.ours.push(ours.0);
    }

    /// A stub's words, one line of assembly each.
    fn add_stub(&mut self, lines: &[&str], words: &[u32]) {
        assert_eq!(lines.len(), words.len(), "{lines:?}");
        for (line, &word) in lines.iter().zip(words) {
            self.add(*line, Insn(word));
        }
    }

    fn check(&self, test: &str) {
        let theirs = assemble(test, &self.lines);
        assert_eq!(theirs.len(), self.lines.len(), "one word a line");
        for ((line, theirs), ours) in self.lines.iter().zip(&theirs).zip(&self.ours) {
            assert_eq!(theirs, ours, "{line}: as {theirs:08x}, ours {ours:08x}");
        }
    }
}

/// Runs one of the cross binutils.
fn run(tool: &str, args: &[&str]) -> Output {
    let tool = format!("powerpc64le-linux-gnu-{tool}");
    Command::new(&tool).args(args).output().unwrap_or_else(|error| {
        panic!("{tool}: {error}; install Debian's package binutils-powerpc64le-linux-gnu")
    })
}

fn scratch(test: &str, suffix: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("gnu_as_{test}.{suffix}"));
    path.into_os_string().into_string().expect("a UTF-8 path")
}

/// Assembles `source` and gives the object's path and what the assembler said.
fn assemble_object(test: &str, source: &str) -> (String, Output) {
    let (from, to) = (scratch(test, "s"), scratch(test, "o"));
    std::fs::write(&from, source).expect("scratch file");
    let output = run("as", &["-mpower10", "-o", &to, &from]);
    (to, output)
}

fn assemble(test: &str, lines: &[String]) -> Vec<u32> {
    let (object, output) = assemble_object(test, &(lines.join("\n") + "\n"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let binary = scratch(test, "bin");
    let output = run("objcopy", &["-O", "binary", "-j", ".text", &object, &binary]);
    assert!(output.status.success(), "{output:?}");
    let bytes = std::fs::read(&binary).expect("objcopy wrote it");
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    words.iter().map(|&w| u32::from_le_bytes(w)).collect()
}

/// The assembler must complain about every single line.
fn assert_all_refused(test: &str, lines: &[&str]) {
    let (_, output) = assemble_object(test, &(lines.join("\n") + "\n"));
    let said = String::from_utf8_lossy(&output.stderr);
    for (number, line) in (1..).zip(lines) {
        let place = format!(".s:{number}: Error");
        assert!(said.contains(&place), "as takes `{line}`:\n{said}");
    }
}

#[test]
fn well_known_words_are_what_their_text_says() {
    let mut sheet = Sheet::default();
    for &(insn, text) in well_known::ALL {
        sheet.add(text, insn);
    }
    sheet.add("nop", Insn::NOP);
    sheet.check("well_known");
}

#[test]
fn branches_agree_at_both_ends_and_are_refused_beyond() {
    let at = Vaddr(0x1000_0000);
    let mut sheet = Sheet::default();
    for d in [-0x200_0000, -0x1ff_fffc, -4, 0, 4, 0x8000, 0x1ff_fffc] {
        let to = at.offset(d);
        let (b, bl) = (branch::b(at, to).unwrap(), branch::bl(at, to).unwrap());
        sheet.add(format!("b .+{d}"), b);
        sheet.add(format!("bl .+{d}"), bl);
        let ba = branch::retarget(Insn(0x4800_0002), at, Vaddr(0).offset(d)).unwrap();
        sheet.add(format!("ba {d}"), ba);
        sheet.add(format!("bla {d}"), Insn(ba.0 | 1));
        // Aimed again from elsewhere, nothing of the old field is left.
        let again = branch::retarget(branch::bl(at, at.offset(-4)).unwrap(), at, to).unwrap();
        sheet.add(format!("bl .+{d}"), again);
    }
    let beq = Insn(0x4182_0000);
    for d in [-0x8000, -0x7ffc, -4, 0, 4, 0x7ff8, 0x7ffc] {
        sheet.add(format!("beq .+{d}"), branch::insert_bd(beq, d).unwrap());
        let bdnzl = Insn(0x4200_fffd);
        sheet.add(format!("bdnzl .+{d}"), branch::insert_bd(bdnzl, d).unwrap());
    }
    sheet.check("branches");

    for d in [-0x200_0004, 0x200_0000, 2] {
        assert!(branch::b(at, at.offset(d)).is_err());
        assert!(branch::retarget(Insn(0x4800_0002), at, Vaddr(0).offset(d)).is_err());
    }
    for d in [-0x8004, 0x8000, 2] {
        assert!(branch::insert_bd(beq, d).is_err());
    }
    assert_all_refused(
        "branches_beyond",
        &[
            "b .-0x2000004",
            "b .+0x2000000",
            "b .+2",
            "bl .-0x2000004",
            "bl .+0x2000000",
            "ba -0x2000004",
            "ba 0x2000000",
            "beq .-0x8004",
            "beq .+0x8000",
            "beq .+2",
        ],
    );
}

#[test]
fn instructions_with_operands_agree_for_every_register() {
    let mut sheet = Sheet::default();
    for n in 0..32_u8 {
        let (r, m) = (Gpr::new(n).unwrap(), 31 - n);
        let s = Gpr::new(m).unwrap();
        for i in [i16::MIN, -1, 0, 1, i16::MAX] {
            sheet.add(format!("addi {n},{m},{i}"), encode::addi(r, s, i));
            sheet.add(format!("addis {n},{m},{i}"), encode::addis(r, s, i));
            sheet.add(format!("lis {n},{i}"), encode::lis(r, i));
            let u = i.cast_unsigned();
            sheet.add(format!("ori {n},{m},{u}"), encode::ori(r, s, u));
            sheet.add(format!("oris {n},{m},{u}"), encode::oris(r, s, u));
        }
        for d in [-0x8000, -4, 0, 4, 0x7ffc] {
            let ds = Ds::new(d).unwrap();
            sheet.add(format!("ld {n},{d}({m})"), encode::ld(r, ds, s));
            sheet.add(format!("std {n},{d}({m})"), encode::std(r, ds, s));
        }
        sheet.add(format!("tdlgt {n},{m}"), encode::tdlgt(r, s));
    }
    sheet.check("operands");
    for d in [-0x8004, 0x8000, 0x7ffe] {
        assert!(Ds::new(d).is_err());
    }
    assert_all_refused("operands_beyond", &["ld 1,-0x8004(2)", "ld 1,0x8000(2)", "ld 1,0x7ffe(2)"]);
}

#[test]
fn displacements_go_where_the_assembler_puts_them() {
    let forms = [
        (
            Form::D,
            "lwz 3 lwzu 3 lbz 3 lbzu 3 stw 3 stwu 3 stb 3 stbu 3 lhz 3 lhzu 3 lha 3 lhau 3 \
             sth 3 sthu 3 lfs 3 lfsu 3 lfd 3 lfdu 3 stfs 3 stfsu 3 stfd 3 stfdu 3",
        ),
        (Form::Ds, "ld 3 ldu 3 lwa 3 std 3 stdu 3 stq 4 lxsd 3 lxssp 3 stxsd 3 stxssp 3"),
        (Form::Dq, "lq 4 lxv 3 lxv 35 stxv 3 stxv 35 lxvp 4 lxvp 36 stxvp 4 stxvp 36"),
    ];
    let mut sheet = Sheet::default();
    let mut refused = Vec::new();
    for (form, list) in forms {
        let step = form.reach_with_addis().step;
        let words: Vec<&str> = list.split_whitespace().collect();
        let (instructions, _) = words.as_chunks::<2>();
        let plain: Vec<String> =
            instructions.iter().map(|[name, reg]| format!("{name} {reg},0(9)")).collect();
        let plain = assemble("plain", &plain);
        for ([name, reg], insn) in instructions.iter().zip(plain) {
            assert_eq!(Form::of(Insn(insn)), Some(form), "{name}");
            for d in [-0x8000, -step, 0, step, 0x8000 - step] {
                // From a word with every displacement bit set.
                let full = form.insert(Insn(insn), dform::lo(-step)).unwrap();
                let ours = form.insert(full, dform::lo(d)).unwrap();
                sheet.add(format!("{name} {reg},{d}(9)"), ours);
            }
            if step > 1 {
                assert!(form.insert(Insn(insn), dform::lo(step / 2)).is_err());
                refused.push(format!("{name} {reg},{}(9)", step / 2));
            }
        }
    }
    sheet.check("displacements");
    let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
    assert_all_refused("displacements_odd", &refused);
}

#[test]
fn offsets_split_as_the_assembler_splits_them() {
    let mut sheet = Sheet::default();
    let ends = [-0x8000_8000, -0x8000_7fff, -0x8000_0000, 0x7fff_7ffc, 0x7fff_7fff];
    let carries = [-0x1_8000, -0x8001, -0x8000, -1, 0, 1, 0x7fff, 0x8000, 0xffff];
    for v in ends.into_iter().chain(carries) {
        let halves = dform::split(v).unwrap();
        let (r11, r2) = (Gpr::R11, Gpr::R2);
        sheet.add(format!("addis 11,2,({v})@ha"), encode::addis(r11, r2, halves.ha));
        sheet.add(format!("addi 11,11,({v})@l"), encode::addi(r11, r11, halves.lo));
        assert_eq!(dform::ha(v), Ok(halves.ha.cast_unsigned()));
        if v % 4 == 0 {
            let halves = dform::split_ds(v).unwrap();
            sheet.add(format!("addis 12,2,({v})@ha"), encode::addis(Gpr::R12, r2, halves.ha));
            let ld = encode::ld(Gpr::R12, halves.lo, Gpr::R12);
            sheet.add(format!("ld 12,({v})@l(12)"), ld);
        }
    }
    sheet.check("split");
}

/// The assembler takes any constant for `@ha`; the linker checks.
#[test]
fn the_linker_ends_the_reach_of_ha_where_we_do() {
    let values: [(i64, bool); 6] = [
        (-0x8000_8001, false),
        (-0x8000_8000, true),
        (0x7fff_7fff, true),
        (0x7fff_8000, false),
        (0x7fff_ffff, false),
        (0x8000_0000, false),
    ];
    let lines: Vec<String> = (0..values.len()).map(|i| format!("addis 12,2,v{i}@ha\n")).collect();
    let (object, output) = assemble_object("ha", &lines.concat());
    assert!(output.status.success(), "{output:?}");
    let defined: Vec<String> =
        values.iter().enumerate().map(|(i, (v, _))| format!("--defsym=v{i}={v}")).collect();
    let image = scratch("ha", "elf");
    let mut args = vec!["-e0", "-o", &image, &object];
    args.extend(defined.iter().map(String::as_str));
    let output = run("ld", &args);
    let said = String::from_utf8_lossy(&output.stderr);
    for (i, (v, fits)) in values.into_iter().enumerate() {
        let truncated = said.contains(&format!("against symbol `v{i}'"));
        assert_eq!(truncated, !fits, "{v:#x}: {said}");
        assert_eq!(dform::split(v).is_ok(), fits, "{v:#x}");
    }
}

/// `st_other` of `name` in an object file of the assembler's.
fn st_other(object: &[u8], name: &str) -> u8 {
    let u32_at = |at: usize| u32::from_le_bytes(object[at..at + 4].try_into().unwrap()) as usize;
    let u64_at = |at: usize| u64::from_le_bytes(object[at..at + 8].try_into().unwrap()) as usize;
    let sections: Vec<usize> = (u64_at(0x28)..).step_by(64).take(object[0x3c].into()).collect();
    let symtab = *sections.iter().find(|&&s| u32_at(s + 4) == 2).unwrap();
    let names = u64_at(sections[u32_at(symtab + 40)] + 24);
    let wanted = [name.as_bytes(), b"\0"].concat();
    let mut symbols = (u64_at(symtab + 24)..).step_by(24).take(u64_at(symtab + 32) / 24);
    let symbol = symbols.find(|&s| object[names + u32_at(s)..].starts_with(&wanted));
    object[symbol.expect("the symbol is there") + 5]
}

#[test]
fn local_entries_are_where_the_assembler_says() {
    let offsets = [0, 1, 4, 8, 16, 32, 64];
    let source: Vec<String> =
        offsets.iter().map(|o| format!("f{o}:\n.localentry f{o},{o}\nnop\n")).collect();
    let (object, output) = assemble_object("entry", &source.concat());
    assert!(output.status.success(), "{output:?}");
    let object = std::fs::read(object).expect("as wrote it");
    for offset in offsets {
        let entry = LocalEntry::from_st_other(st_other(&object, &format!("f{offset}"))).unwrap();
        // The assembler spells "one entry, r2 not kept" as an offset of 1.
        let (bytes, keeps_r2) = if offset == 1 { (0, false) } else { (offset, true) };
        assert_eq!((entry.offset, entry.keeps_r2), (bytes, keeps_r2));
    }
}

const AT: Vaddr = Vaddr(0x1000_0000);
const KERNEL_TOC: Vaddr = Vaddr(0x2_0000_8000);
const MODULE_TOC: Vaddr = Vaddr(0x2_1001_8000);
/// PACA offsets at both ends of what `ld` reaches, and between.
const ABI: StubAbi = StubAbi {
    kernel_toc: KERNEL_TOC,
    module_toc: MODULE_TOC,
    paca_toc: 0x10,
    paca_sibling: 0x7ffc,
    paca_shadow_sp: 0x0,
    paca_shadow_limit: 0x128,
    paca_shadow_return: 0x7ff8,
};

/// Ends of `addis` + `ld`, and places near a carry. All keep a word 8-aligned
/// if its TOC is, except the last, which needs a TOC that is not.
const WORD_OFFSETS: [i64; 9] =
    [-0x8000_8000, -0x8000_7ff8, -0x8008, -8, 0, 0x7ff8, 0x8000, 0x7fff_7ff8, 0x7fff_7ffc];

/// The TOC moved by 4 bytes if only so a doubleword can lie at `offset` from it.
fn toc_for(toc: Vaddr, offset: i64) -> Vaddr {
    toc.offset(offset & 4)
}

fn far_error(stub: Stub, at: Vaddr, abi: &StubAbi) -> (Part, i64) {
    match stub.encode(at, abi) {
        Err(StubError { cause: StubCause::OutOfReach { what, range }, .. }) => {
            (what, range.distance)
        }
        other => panic!("not out of reach: {other:?}"),
    }
}

#[test]
fn stubs_with_a_target_word_are_what_the_assembler_makes() {
    let mut sheet = Sheet::default();
    for off in WORD_OFFSETS {
        let abi = StubAbi {
            kernel_toc: toc_for(KERNEL_TOC, off),
            module_toc: toc_for(MODULE_TOC, off),
            ..ABI
        };
        let near_module = abi.module_toc.offset(off);
        let near_kernel = abi.kernel_toc.offset(off);
        let (ha, l) = (format!("({off})@ha"), format!("({off})@l"));

        let words = Stub::External { word: near_module }.encode(AT, &abi).unwrap();
        sheet.add_stub(
            &[
                "std 2,24(1)",
                &format!("addis 12,2,{ha}"),
                &format!("ld 12,{l}(12)"),
                "mtctr 12",
                "bctr",
                ".long 0",
                ".long 0",
                ".long 0",
            ],
            &words,
        );
        let words = Stub::Profile { word: near_kernel }.encode(AT, &abi).unwrap();
        sheet.add_stub(
            &[
                "ld 12,0x10(13)",
                &format!("addis 12,12,{ha}"),
                &format!("ld 12,{l}(12)"),
                "mtctr 12",
                "bctr",
                ".long 0",
                ".long 0",
                ".long 0",
            ],
            &words,
        );
        let words = Stub::Sibling { word: near_module }.encode(AT, &abi).unwrap();
        sheet.add_stub(
            &[
                &format!("addis 12,2,{ha}"),
                &format!("ld 12,{l}(12)"),
                "ld 11,0x7ffc(13)",
                "mtctr 11",
                "bctr",
                ".long 0",
                ".long 0",
                ".long 0",
            ],
            &words,
        );
        for (first, traced) in [
            ("nop", None),
            ("bl .-0x2000000", Some(AT.offset(-0x200_0000))),
            ("bl .+0x1fffffc", Some(AT.offset(0x1ff_fffc))),
        ] {
            let word = near_kernel;
            let words = Stub::Redirect { word, traced }.encode(AT, &abi).unwrap();
            sheet.add_stub(
                &[
                    first,
                    "ld 12,0(13)",
                    "addi 12,12,32",
                    "std 12,0(13)",
                    "std 0,-32(12)",
                    "ld 0,0x128(13)",
                    "tdlgt 12,0",
                    "std 2,-24(12)",
                    "std 1,-16(12)",
                    "ld 0,0x7ff8(13)",
                    "mtlr 0",
                    "ld 12,0x10(13)",
                    &format!("addis 12,12,{ha}"),
                    &format!("ld 12,{l}(12)"),
                    "mtctr 12",
                    "bctr",
                ],
                &words,
            );
        }
    }
    sheet.check("target_word");
}

#[test]
fn a_target_word_one_step_beyond_is_refused_with_its_distance() {
    for off in [0x7fff_8000, -0x8000_8008, -0x8000_8004, i64::MAX - 0xf_ffff_fff7] {
        let abi = StubAbi {
            kernel_toc: toc_for(KERNEL_TOC, off),
            module_toc: toc_for(MODULE_TOC, off),
            ..ABI
        };
        let (module, kernel) = (abi.module_toc.offset(off), abi.kernel_toc.offset(off));
        let refused = (Part::TargetWord, off);
        assert_eq!(far_error(Stub::External { word: module }, AT, &abi), refused);
        assert_eq!(far_error(Stub::Sibling { word: module }, AT, &abi), refused);
        assert_eq!(far_error(Stub::Profile { word: kernel }, AT, &abi), refused);
        let redirect = Stub::Redirect { word: kernel, traced: None };
        assert_eq!(far_error(redirect, AT, &abi), refused);
    }
    let refused = Stub::External { word: MODULE_TOC.offset(4) };
    let refused = refused.encode(AT, &ABI).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "external stub at 0x10000000: target word at 0x210018004 is not 8-byte aligned"
    );
    let far = Stub::External { word: MODULE_TOC.offset(0x7fff_8000) };
    assert_eq!(
        far.encode(AT, &ABI).unwrap_err().to_string(),
        "external stub at 0x10000000: target word: \
         +0x7fff8000 is outside -0x80008000..=+0x7fff7ffc"
    );
}

#[test]
fn an_out_of_line_stub_reaches_as_far_as_branches_do() {
    let mut sheet = Sheet::default();
    for d in [-0x200_0000, -4, 0, 0x1ff_fffc] {
        // The `bl` is the second word, the `b` the fourth; it returns to site + 4.
        let hook = AT.offset(4 + d);
        let site = AT.offset(12 + d - 4);
        let words = Stub::OutOfLine { site, hook }.encode(AT, &ABI).unwrap();
        sheet.add_stub(&["mflr 0", &format!("bl .+{d}"), "mtlr 0", &format!("b .+{d}")], &words);
    }
    sheet.check("out_of_line");
    for d in [-0x200_0004, 0x200_0000] {
        let (hook, site) = (AT.offset(4 + d), AT.offset(8 + d));
        let far_hook = Stub::OutOfLine { site: AT, hook };
        assert_eq!(far_error(far_hook, AT, &ABI), (Part::Hook, d));
        let far_site = Stub::OutOfLine { site, hook: AT };
        assert_eq!(far_error(far_site, AT, &ABI), (Part::WayBack, d));
        let traced = Stub::Redirect { word: KERNEL_TOC, traced: Some(AT.offset(d)) };
        assert_eq!(far_error(traced, AT, &ABI), (Part::Hook, d));
    }
}

#[test]
fn a_missing_stub_traps_and_names_its_symbol() {
    let mut sheet = Sheet::default();
    for symbol in [0, 1, 0x1234_5678, u32::MAX] {
        let words = Stub::Missing { symbol }.encode(AT, &ABI).unwrap();
        let (mark, symbol, not) = (
            format!(".long {MISSING_MARK:#x}"),
            format!(".long {symbol:#x}"),
            format!(".long {:#x}", !symbol),
        );
        let zero = ".long 0";
        sheet.add_stub(&["tw 31,0,0", &mark, &symbol, &not, zero, zero, zero, zero], &words);
    }
    sheet.check("missing");
    assert_eq!(MISSING_MARK >> 26, 0, "illegal to execute");
}

/// For the historic call stubs it is the stub that lies `off` from the TOC, for
/// the profiling ones it is the target.
#[test]
fn the_seeds_and_linuxs_stubs_are_what_the_assembler_makes() {
    let mut sheet = Sheet::default();
    let offsets = [-0x8000_8000, -0x8000, -8, 0, 0x7ff8, 0x8000, 0x7fff_7ff8];
    for off in offsets.into_iter().chain([0x7fff_7fff]) {
        let (ha, l) = (format!("({off})@ha"), format!("({off})@l"));
        // No slot begins at an odd address: there the TOC is the odd one.
        let at = MODULE_TOC.offset(off & !7);
        let abi = StubAbi { module_toc: MODULE_TOC.offset(-(off & 7)), ..ABI };
        let target = Vaddr(0xc000_0000_89ab_cdef);
        let (low, high) = (".long 0x89abcdef", ".long 0xc0000000");
        let magic = format!(".long {LINUX_MAGIC}");
        let zero = ".long 0";
        let (addis, addi) = (format!("addis 11,2,{ha}"), format!("addi 11,11,{l}"));
        let words = Stub::SeedExternal { target }.encode(at, &abi).unwrap();
        sheet.add_stub(
            &[
                "std 2,24(1)",
                &addis,
                &addi,
                "ld 12,32(11)",
                "mtctr 12",
                "bctr",
                zero,
                zero,
                low,
                high,
            ],
            &words,
        );
        let words = Stub::LinuxExternal { target }.encode(at, &abi).unwrap();
        sheet.add_stub(
            &[
                &addis,
                &addi,
                "std 2,24(1)",
                "ld 12,32(11)",
                "mtctr 12",
                "bctr",
                zero,
                &magic,
                low,
                high,
            ],
            &words,
        );

        let target = KERNEL_TOC.offset(off);
        let low = format!(".long {:#x}", target.0 & 0xffff_ffff);
        let high = format!(".long {:#x}", target.0 >> 32);
        let words = Stub::SeedProfile { target }.encode(AT, &ABI).unwrap();
        sheet.add_stub(
            &[
                "ld 12,0x10(13)",
                &format!("addis 11,12,{ha}"),
                &addi,
                "addi 12,11,0",
                "mtctr 12",
                "bctr",
                zero,
                zero,
                &low,
                &high,
            ],
            &words,
        );
        let words = Stub::LinuxProfile { target }.encode(AT, &ABI).unwrap();
        sheet.add_stub(
            &[
                "ld 12,0x10(13)",
                &format!("addis 12,12,{ha}"),
                &format!("addi 12,12,{l}"),
                "mtctr 12",
                "bctr",
                zero,
                zero,
                &magic,
                &low,
                &high,
            ],
            &words,
        );
    }
    sheet.check("historic");

    for off in [0x7fff_8000, -0x8000_8008] {
        let (at, target) = (MODULE_TOC.offset(off), AT);
        let seed = Stub::SeedExternal { target };
        assert_eq!(far_error(seed, at, &ABI), (Part::Slot, off));
        let linux = Stub::LinuxExternal { target };
        assert_eq!(far_error(linux, at, &ABI), (Part::Slot, off));
    }
    for off in [0x7fff_8000, -0x8000_8001] {
        let target = KERNEL_TOC.offset(off);
        let seed = Stub::SeedProfile { target };
        assert_eq!(far_error(seed, AT, &ABI), (Part::Target, off));
        let linux = Stub::LinuxProfile { target };
        assert_eq!(far_error(linux, AT, &ABI), (Part::Target, off));
    }
}

#[test]
fn a_paca_field_that_ld_cannot_reach_is_refused() {
    for field in [0x7ffd, 0x8000, 0xfff8] {
        let abi = StubAbi { paca_toc: field, paca_sibling: field, paca_shadow_sp: field, ..ABI };
        let word = KERNEL_TOC;
        let expected = (Part::PacaField, i64::from(field));
        assert_eq!(far_error(Stub::Profile { word }, AT, &abi), expected);
        let word = MODULE_TOC;
        assert_eq!(far_error(Stub::Sibling { word }, AT, &abi), expected);
    }
}

#[test]
fn a_slot_that_is_not_aligned_is_refused() {
    let word = MODULE_TOC;
    let external = Stub::External { word };
    assert_eq!(external.kind(), StubKind::External);
    assert!(external.encode(AT.offset(32), &ABI).is_ok());
    let refused = external.encode(AT.offset(16), &ABI).unwrap_err().cause;
    let expected = StubCause::Misaligned { what: Part::Slot, address: AT.offset(16), align: 32 };
    assert_eq!(refused, expected);
}
