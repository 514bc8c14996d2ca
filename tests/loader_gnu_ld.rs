//! The same object linked by us and by GNU ld, at the same addresses: every byte
//! of every section must agree, except where the two mean to differ.
//!
//! They differ at calls that leave the module, because ld has no stubs of ours
//! (`loader_sites.rs` looks at those), and at the two words of a global entry
//! point, which ld makes absolute: there it is checked that they compute r2.

mod loader_common;

use std::collections::BTreeSet;

use loader_common::{FakeKernel, MODULE_BASE, Module, assemble, compile, run, temporary};
use tocsin::loader::{LinkOptions, Loaded};

const REL24: u32 = 10;
const ENTRY: u32 = 118;
const REL16_HA: u32 = 252;
const REL24_NOTOC: u32 = 116;
/// Loads from a doubleword that ld fills at run time, PLT_PCREL34*; and
/// what calls through one, which ld makes a `bl`: PLTSEQ_NOTOC, PLTCALL_NOTOC.
const ELSEWHERE: [u32; 4] = [121, 122, 134, 135];
const GOT_PCREL34: u32 = 133;
/// Where ld keeps such doublewords.
const GOT_AT: u64 = MODULE_BASE.0 + 0x10_0000;
/// Near enough for ld to reach without stubs.
const KERNEL: FakeKernel = FakeKernel { exports_at: 0x2080_0000 };

#[test]
fn medium_model_c_agrees_with_gnu_ld() {
    compare("medium", &compile("module.c", &["-mcmodel=medium"], "medium.o"));
}

#[test]
fn medium_model_c_with_profiling_agrees_with_gnu_ld() {
    let flags = ["-mcmodel=medium", "-pg", "-mprofile-kernel"];
    let loaded = compile("module.c", &flags, "medium-profile.o");
    compare("medium-profile", &loaded);
}

#[test]
fn large_model_c_agrees_with_gnu_ld() {
    let flags = ["-mcmodel=large", "-pg", "-mprofile-kernel"];
    compare("large", &compile("module.c", &flags, "large.o"));
}

#[test]
fn small_model_c_agrees_with_gnu_ld() {
    compare("small", &compile("module.c", &["-mcmodel=small"], "small.o"));
}

#[test]
fn every_field_agrees_with_gnu_ld() {
    compare("fields", &assemble("fields.S", "fields.o"));
}

#[test]
fn pc_relative_c_agrees_with_gnu_ld() {
    let flags = ["-mcpu=power10", "-mpcrel", "-mcmodel=medium", "-pg", "-mprofile-kernel"];
    compare("pcrel-c", &compile("module.c", &flags, "pcrel-c.o"));
}

#[test]
fn prefixed_fields_agree_with_gnu_ld() {
    compare("prefixed", &assemble("prefixed.S", "prefixed.o"));
}

#[test]
fn every_part_of_an_address_agrees_with_gnu_ld() {
    let far = FakeKernel { exports_at: 0x1234_89ab_cdef_8764 };
    compare_with(&far, "parts", &assemble("parts.S", "parts.o"));
}

fn compare(name: &str, file: &[u8]) {
    compare_with(&KERNEL, name, file);
}

fn compare_with(kernel: &FakeKernel, name: &str, file: &[u8]) {
    let loaded = Module::load(file, kernel, &LinkOptions::default()).expect("links");
    let linked = link_with_ld(kernel, name, &loaded);
    let mut compared = 0;
    let got = section_of(&linked, ".got");
    for (index, section) in loaded.object.sections().iter().enumerate() {
        let Some(start) = loaded.layout.offset_of(index) else {
            continue;
        };
        if section.data.is_empty() {
            continue;
        }
        let ours = &loaded.image[start as usize..][..section.data.len()];
        let theirs = section_of(&linked, section.name);
        let mut skip = BTreeSet::new();
        let relocations = loaded.object.relocations_of(index);
        for entry in relocations.iter().flat_map(|list| list.iter()) {
            let symbol = loaded.object.symbol((entry.r_info >> 32) as u32).expect("in range");
            let at = entry.r_offset as usize;
            match entry.r_info as u32 {
                REL24 if symbol.st_shndx == 0 || symbol.st_other >> 5 == 1 => {
                    skip.extend([at, at + 4]);
                }
                REL24_NOTOC if symbol.st_shndx == 0 || symbol.st_other >> 5 > 1 => {
                    skip.insert(at);
                }
                GOT_PCREL34 => {
                    let p = MODULE_BASE.0 + u64::from(start) + at as u64;
                    let (our_word, their_word) = (loads(ours, at, p), loads(&theirs, at, p));
                    let ours = &loaded.image[(our_word - MODULE_BASE.0) as usize..][..8];
                    let theirs = &got[(their_word - GOT_AT) as usize..][..8];
                    assert_eq!(hex(ours), hex(theirs), "{name} {at:#x}: what is loaded");
                    skip.extend([at, at + 4]);
                }
                kind if ELSEWHERE.contains(&kind) => {
                    skip.extend([at, at + 4]);
                }
                ENTRY => {
                    assert_sets_r2(&loaded, start, at);
                    skip.extend([at, at + 4]);
                }
                REL16_HA if word(ours, at) >> 16 == 0x3c4c => {
                    assert_sets_r2(&loaded, start, at);
                    skip.extend([at, at + 4]);
                }
                _ => {}
            }
        }
        assert_eq!(ours.len(), theirs.len(), "{name} {}", section.name);
        for at in (0..ours.len()).step_by(4).filter(|at| !skip.contains(at)) {
            let end = (at + 4).min(ours.len());
            let place = format!("{name} {}+{at:#x}", section.name);
            assert_eq!(hex(&ours[at..end]), hex(&theirs[at..end]), "{place}: ours, then ld's");
            compared += 1;
        }
    }
    assert!(compared > 20, "{name}: nothing compared");
}

/// Runs `addis r2,r12,a; addi r2,r2,b` with r12 = the words' own address.
fn assert_sets_r2(loaded: &Loaded, start: u32, at: usize) {
    let code = &loaded.image[start as usize..];
    let (addis, addi) = (word(code, at), word(code, at + 4));
    assert_eq!((addis >> 16, addi >> 16), (0x3c4c, 0x3842), "addis r2,r12; addi r2,r2");
    let half = |word: u32| i64::from(word as u16 as i16);
    let r12 = MODULE_BASE.0 + u64::from(start) + at as u64;
    let r2 = r12.wrapping_add_signed(half(addis) * 0x1_0000).wrapping_add_signed(half(addi));
    assert_eq!(r2, loaded.linked.toc.0);
}

/// Links the object with ld, each section where we have put it.
fn link_with_ld(kernel: &FakeKernel, name: &str, loaded: &Loaded) -> String {
    let mut script = String::from("SECTIONS {\n");
    for &index in loaded.layout.order() {
        let name = loaded.object.sections()[index as usize].name;
        let offset = loaded.layout.offset_of(index as usize).expect("kept");
        let addr = loaded.linked.base.0 + u64::from(offset);
        script += &format!("  {name} {addr:#x} : {{ *({name}) }}\n");
    }
    script += &format!("  .got {:#x} : {{ *(.got .plt .iplt .branch_lt) }}\n", GOT_AT);
    script += "  /DISCARD/ : { *(.comment) *(.note*) *(.gnu.attributes) }\n}\n";
    for symbol in loaded.object.symbols() {
        let name = loaded.object.name(&symbol);
        if symbol.st_shndx == 0 && !["", ".TOC."].contains(&name) {
            let addr = kernel.address_of(name);
            script += &format!("{name} = {:#x};\n", addr.0);
        }
    }
    let path = |suffix: &str| temporary(&format!("{name}{suffix}")).to_str().unwrap().to_string();
    std::fs::write(path(".ld"), script).expect("writable");
    let (script, object, output) = (path(".ld"), path(".o"), path(".linked"));
    let plain = [
        "--no-toc-optimize",
        "--no-multi-toc",
        "--no-tls-optimize",
        "--no-pcrel-optimize",
        "-e",
        "0",
    ];
    run("ld", &[&plain[..], &["-T", &script, "-o", &output, &object]].concat());
    output
}

/// A section's bytes, cut out by objcopy.
fn section_of(file: &str, section: &str) -> Vec<u8> {
    let output = format!("{file}.section");
    run("objcopy", &["-O", "binary", "--only-section", section, file, &output]);
    std::fs::read(output).expect("objcopy wrote it")
}

/// The address that the prefixed instruction at `at`, which runs at `p`, loads from.
fn loads(code: &[u8], at: usize, p: u64) -> u64 {
    let (prefix, suffix) = (word(code, at), word(code, at + 4));
    assert_eq!((prefix >> 18, suffix >> 26), (0x0410_0000 >> 18, 57), "pld, R=1");
    let bits = i64::from(prefix & 0x3_ffff) << 16 | i64::from(suffix & 0xffff);
    p.wrapping_add_signed(bits << 30 >> 30)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}
