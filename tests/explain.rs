//! The relocation lens against GNU's tools and the loader's own image: what readelf
//! says of each relocation, what objdump says of the word before, what the formula
//! of the ABI makes of S, A and P, and what is in the image.

mod loader_common;

use std::collections::{BTreeMap, BTreeSet};

use loader_common::builder::{ALLOC, Builder, CODE};
use loader_common::{
    FakeKernel, MODULE_BASE, Module, abi, assemble, compile, modules_dir, run, temporary,
    walk_modules,
};
use tocsin::isa::{Insn, branch};
use tocsin::loader::error::RelocFault;
use tocsin::loader::explain::formula::{self, Value};
use tocsin::loader::explain::{Explained, Lens, Origin};
use tocsin::loader::{LinkOptions, LoadError, Loaded};

const KERNEL: FakeKernel = FakeKernel { exports_at: 0x1000_0000 };
const OPTIONS: LinkOptions = LinkOptions {
    link_only: false,
    force: false,
    stubs: tocsin::loader::StubStyle::Default,
    wrong_profile_stubs: false,
};

/// All relocations of a module, explained, and the module.
fn explain_all<'f>(file: &'f [u8]) -> (Loaded<'f>, Vec<Explained<'f>>) {
    let loaded = Module::load(file, &KERNEL, &OPTIONS).expect("links");
    let all = {
        let (object, layout) = (&loaded.object, &loaded.layout);
        let lens = Lens::new(object, layout, MODULE_BASE, &KERNEL, &abi(), &OPTIONS).unwrap();
        assert!(lens.explain(0).is_none() && lens.explain(lens.len() + 1).is_none());
        (1..=lens.len()).map(|number| lens.explain(number).expect("in range")).collect()
    };
    (loaded, all)
}

/// What readelf prints of a relocation: section, offset, type, symbol, addend.
type Row = (String, u64, String, String, i64);

fn readelf(object: &str) -> Vec<Row> {
    let text = run("readelf", &["-rW", temporary(object).to_str().unwrap()]);
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Relocation section '.rela") {
            section = rest.split('\'').next().unwrap().to_string();
        }
        // offset, info, type, [symbol's value, name, sign, addend]
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(Ok(offset)) = words.first().map(|word| u64::from_str_radix(word, 16)) else {
            continue;
        };
        let Some(kind) = words.get(2).filter(|kind| kind.starts_with("R_PPC64_")) else { continue };
        let (name, addend) = match words[3..] {
            [_, name, sign, addend] => {
                let addend = i64::from_str_radix(addend, 16).unwrap();
                (name, if sign == "-" { -addend } else { addend })
            }
            [addend] => ("", i64::from_str_radix(addend, 16).unwrap()),
            _ => panic!("{line}"),
        };
        rows.push((section.clone(), offset, kind.to_string(), name.to_string(), addend));
    }
    rows
}

/// The words of the code sections, as objdump shows them.
fn objdump(object: &str) -> BTreeMap<(String, u64), (u32, String)> {
    let path = temporary(object);
    let text = run("objdump", &["-d", "-Mpower10", path.to_str().unwrap()]);
    let mut section = String::new();
    let mut words = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Disassembly of section ") {
            section = rest.trim_end_matches(':').to_string();
        }
        let mut parts = line.splitn(3, '\t');
        let (Some(at), Some(bytes), Some(insn)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let Ok(at) = u64::from_str_radix(at.trim().trim_end_matches(':'), 16) else { continue };
        let bytes: Vec<u8> =
            bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let word = u32::from_le_bytes(bytes.try_into().expect("a word"));
        words.insert((section.clone(), at), (word, insn.replace('\t', " ")));
    }
    words
}

/// S + A - P and the like, written out from the ABI once more, by type name.
fn by_the_abi(it: &Explained) -> Option<(i64, u64, u32)> {
    const WORD: u64 = 0xffff_ffff;
    let sum = it.s.wrapping_add_signed(it.a).cast_signed();
    let (toc, p) = (it.toc.0.cast_signed(), it.p.0.cast_signed());
    let half = |value: i64, shift: u32, mask: u64| (value, (value >> shift) as u64 & mask, 0);
    let ha = |value: i64| (value, ((value + 0x8000) >> 16) as u64 & 0xffff, 0);
    let name = it.kind.to_string();
    Some(match name.split(' ').next().unwrap().trim_start_matches("R_PPC64_") {
        "ADDR64" => (sum, sum as u64, 64),
        "REL64" => (sum - p, (sum - p) as u64, 64),
        "ADDR32" => (sum, sum as u64 & WORD, 0),
        "REL32" => (sum - p, (sum - p) as u64 & WORD, 0),
        "ADDR16" | "ADDR16_LO" => half(sum, 0, 0xffff),
        "ADDR16_DS" | "ADDR16_LO_DS" => half(sum, 0, 0xfffc),
        "ADDR16_HI" | "ADDR16_HIGH" => half(sum, 16, 0xffff),
        "ADDR16_HA" | "ADDR16_HIGHA" => ha(sum),
        "ADDR16_HIGHER" => half(sum, 32, 0xffff),
        "ADDR16_HIGHERA" => (sum, (sum + 0x8000) as u64 >> 32 & 0xffff, 0),
        "ADDR16_HIGHEST" => half(sum, 48, 0xffff),
        "ADDR16_HIGHESTA" => (sum, (sum + 0x8000) as u64 >> 48 & 0xffff, 0),
        // 18 bits in the first word, 16 in the second.
        "PCREL34" => {
            let bits = (sum - p) as u64;
            (sum - p, bits >> 16 & 0x3_ffff | (bits & 0xffff) << 32, 34)
        }
        "TOC" => (toc, toc as u64, 64),
        "TOC16" | "TOC16_LO" => half(sum - toc, 0, 0xffff),
        "TOC16_DS" | "TOC16_LO_DS" => half(sum - toc, 0, 0xfffc),
        "TOC16_HI" => half(sum - toc, 16, 0xffff),
        "TOC16_HA" => ha(sum - toc),
        "REL16" | "REL16_LO" => half(sum - p, 0, 0xffff),
        "REL16_HI" => half(sum - p, 16, 0xffff),
        "REL16_HA" => ha(sum - p),
        "REL14" => half(sum - p + i64::from(it.local_entry), 0, 0xfffc),
        "REL24" if it.stub.is_none() && !it.is_site() => {
            half(sum - p + i64::from(it.local_entry), 0, 0x3ff_fffc)
        }
        _ => return None,
    })
}

fn check(object: &str, file: &[u8], types: &mut BTreeSet<String>) {
    let (loaded, all) = explain_all(file);
    let rows = readelf(object);
    let words = objdump(object);
    let kept =
        rows.iter().filter(|row| loaded.object.section(&row.0).is_some_and(|it| it.1.is_alloc()));
    let kept: Vec<_> = kept.collect();
    assert_eq!(all.len(), kept.len());
    for (it, row) in all.iter().zip(kept) {
        let kind = it.kind.to_string();
        let kind = kind.split(' ').next().unwrap();
        assert_eq!((it.section, it.offset, kind, it.a), (&*row.0, row.1, &*row.2, row.4));
        if !matches!(it.origin, Origin::None) {
            assert_eq!(it.symbol, row.3);
        }
        if let Some((word, text)) = words.get(&(row.0.clone(), row.1)).filter(|_| it.width() == 4) {
            assert_eq!(it.before[..4], word.to_le_bytes());
            let ours = it.field(&it.before, &|_, _| Ok(())).to_string();
            let ours: Vec<&str> = ours.split_whitespace().skip(1).collect();
            let theirs: Vec<&str> = text.split('<').next().unwrap().split_whitespace().collect();
            // A branch shows its address, which is not yet the same.
            let branches = ours[0].starts_with('b');
            assert!(branches || ours == theirs, "{ours:?} {theirs:?}");
        }
        if !it.kept {
            continue;
        }
        let after = it.after.as_ref().expect("applied");
        let at = it.p.since(MODULE_BASE) as usize;
        let width = it.width().min(after.len());
        assert_eq!(after[..width], loaded.image[at..at + width], "{}+{:#x}", row.0, row.1);
        if let Some((value, bits, all_of_it)) = by_the_abi(it) {
            assert_eq!(it.value(), Some(value), "{kind}");
            let mut field = [0; 8];
            field[..after.len()].copy_from_slice(after);
            let field = u64::from_le_bytes(field);
            let mask = match (all_of_it, kind) {
                (64, _) => u64::MAX,
                (34, _) => 0xffff_0003_ffff,
                (_, "R_PPC64_ADDR32" | "R_PPC64_REL32") => 0xffff_ffff,
                (_, "R_PPC64_REL24") => 0x3ff_fffc,
                // Opcode bits of DS and DQ forms stay.
                (_, "R_PPC64_TOC16_DS" | "R_PPC64_TOC16_LO_DS") => 0xfff0,
                (_, "R_PPC64_ADDR16_DS" | "R_PPC64_ADDR16_LO_DS") => 0xfff0,
                (_, "R_PPC64_REL14") => 0xfffc,
                _ => 0xffff,
            };
            assert_eq!(field & mask, bits & mask, "{kind} at {}+{:#x}", row.0, row.1);
        }
        types.insert(kind.to_string());
    }
}

#[test]
fn explanations_agree_with_readelf_objdump_and_the_image() {
    let mut types = BTreeSet::new();
    for (source, name) in [
        ("fields.S", "explain-fields.o"),
        ("parts.S", "explain-parts.o"),
        ("prefixed.S", "explain-prefixed.o"),
        ("pcrel.S", "explain-pcrel.o"),
    ] {
        check(name, &assemble(source, name), &mut types);
    }
    for (model, name) in [("medium", "explain-medium.o"), ("large", "explain-large.o")] {
        let model = format!("-mcmodel={model}");
        let flags = [model.as_str(), "-pg", "-mprofile-kernel"];
        check(name, &compile("module.c", &flags, name), &mut types);
    }
    // What compilers emit, and the rare ones of fields.S.
    assert!(types.len() >= 40, "{types:?}");
    for kind in [
        "PCREL34",
        "GOT_PCREL34",
        "REL24_NOTOC",
        "ADDR16_HIGHERA",
        "ADDR64",
        "REL64",
        "REL32",
        "TOC16_HA",
        "TOC16_LO_DS",
        "REL24",
        "ENTRY",
        "REL14",
    ] {
        assert!(types.contains(&format!("R_PPC64_{kind}")), "{kind}");
    }
}

#[test]
fn a_call_that_leaves_goes_to_its_stub_and_takes_r2_back() {
    let file = compile("module.c", &["-mcmodel=medium"], "explain-calls.o");
    let (loaded, all) = explain_all(&file);
    let calls: Vec<_> = all.iter().filter(|it| it.also().is_some()).collect();
    assert!(!calls.is_empty());
    for it in calls {
        let stub = it.stub.expect("a stub");
        assert_eq!(loaded.linked.stubs.find(stub.at), Some(stub));
        assert!(matches!(it.origin, Origin::Outside(_)));
        assert_eq!(it.formula_text(), "T - P");
        let after: [u8; 4] = it.after.as_ref().unwrap()[..4].try_into().unwrap();
        let word = Insn(u32::from_le_bytes(after));
        assert_eq!(branch::target_of(word, it.p), Some(stub.at));
        assert_eq!(it.value(), Some(stub.at.since(it.p)));
        assert_eq!(it.also().unwrap(), (Insn::NOP, Insn(0xe841_0018))); // ld r2,24(r1)
        let text = it.lines(&|_, _| Ok(()), &|_| String::new()).to_string();
        let last = text.lines().last().unwrap();
        assert!(last.ends_with("60000000 nop -> e8410018 ld      r2,24(r1)"), "{text}");
    }
}

#[test]
fn a_call_of_the_hook_becomes_a_nop() {
    let flags = ["-mcmodel=medium", "-pg", "-mprofile-kernel"];
    let file = compile("module.c", &flags, "explain-hook.o");
    let (loaded, all) = explain_all(&file);
    let sites = all.iter().filter(|it| it.is_site());
    let sites: BTreeSet<u64> = sites.map(|it| it.p.0).collect();
    let found: BTreeSet<u64> = loaded.linked.sites.iter().map(|it| it.at(MODULE_BASE).0).collect();
    assert_eq!(sites, found);
    assert!(all.iter().filter(|it| it.is_site()).all(|it| it.value().is_none()));
}

/// One word, and one relocation of the given type for it, against itself.
fn with_type(kind: u32) -> Vec<u8> {
    let mut file = Builder::default();
    let text = file.section(".text", ALLOC | CODE, &[0x4bff_ffff; 4]);
    let symbol = file.symbol("here", 2, text, 0, 0);
    file.relocations(text, &[(0, kind, symbol, 0)]);
    file.build()
}

#[test]
fn there_is_a_formula_for_exactly_the_types_that_the_loader_applies() {
    for kind in 0..=255 {
        let file = with_type(kind);
        let error = Module::load(&file, &KERNEL, &OPTIONS).err();
        let unknown = matches!(
            error,
            Some(LoadError::Reloc {
                fault: RelocFault::Unknown | RelocFault::LinkageTable | RelocFault::ThreadLocal,
                ..
            })
        );
        assert_eq!(formula::of(kind).is_none(), unknown, "{kind}: {error:?}");
    }
}

#[test]
fn what_cannot_be_applied_is_explained_with_the_loaders_reason() {
    let file = with_type(11); // R_PPC64_REL14 on a word that is no `bc`
    let error = Module::load(&file, &KERNEL, &OPTIONS).unwrap_err();
    let object = tocsin::loader::Object::parse(&file).unwrap();
    let layout = tocsin::loader::Layout::plan(&object, &OPTIONS, 0x1000).unwrap();
    let lens = Lens::new(&object, &layout, MODULE_BASE, &KERNEL, &abi(), &OPTIONS).unwrap();
    let it = lens.explain(1).unwrap();
    assert_eq!(it.after, Err(error.clone()));
    assert_eq!(it.formula.map(|(value, _)| value), Some(Value::Branch));
    let text = it.lines(&|_, _| Ok(()), &|_| String::new()).to_string();
    assert!(text.ends_with(&format!("after    refused: {error}")), "{text}");
}

#[test]
fn every_relocation_of_real_modules_is_explained_as_it_is_applied() {
    let Some(dir) = modules_dir() else { return };
    let wanted = ["ext4.ko", "crc7.ko", "libarc4.ko", "dummy.ko", "nfs.ko"];
    let mut seen = 0;
    for path in walk_modules(&dir) {
        if !wanted.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let file = std::fs::read(&path).expect("readable");
        let (loaded, all) = explain_all(&file);
        for it in all.iter().filter(|it| it.kept) {
            let after = it.after.as_ref().expect("applied");
            let at = it.p.since(MODULE_BASE) as usize;
            let width = it.width().min(after.len());
            assert_eq!(
                after[..width],
                loaded.image[at..at + width],
                "{}+{:#x}",
                it.section,
                it.offset
            );
            seen += 1;
        }
    }
    assert!(seen > 1000, "{seen}");
}
