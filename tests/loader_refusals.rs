//! Every way to be refused, with the line that a person reads, and files cut or
//! damaged at random: an error or a module, never a panic.

mod loader_common;

use loader_common::builder::{ALLOC, Builder, CODE, Section, WRITE};
use loader_common::{FakeKernel, MODULE_BASE, Module, abi, assemble, compile};
use proptest::prelude::*;
use tocsin::addr::Vaddr;
use tocsin::loader::error::Cut;
use tocsin::loader::{
    self, Layout, LinkOptions, LoadError, Loaded, Object, Owner, Resolved, Resolver, exports,
    relocate,
};

const KERNEL: FakeKernel = FakeKernel { exports_at: 0x1000_0000 };
const NOP: u32 = 0x6000_0000;
const BL: u32 = 0x4800_0001;
const FUNC: u8 = 2;

fn load(file: &[u8]) -> Result<(), LoadError> {
    Module::load(file, &KERNEL, &LinkOptions::default()).map(|_| ())
}

fn refusal(file: &[u8]) -> String {
    let error = load(file).expect_err("refused").to_string();
    let first = error.chars().next().expect("not empty");
    assert!(!error.contains('\n') && !error.ends_with('.'), "{error}");
    assert!(error.contains("; "), "no remedy: {error}");
    assert!(!first.is_uppercase() || error.starts_with("ELF"), "{error}");
    error
}

/// A module with one function, spoiled by `spoil`.
fn small(spoil: impl FnOnce(&mut Builder)) -> Vec<u8> {
    let mut builder = Builder::default();
    builder.section(".text", ALLOC | CODE, &[BL, NOP, NOP, NOP]);
    builder.section(".data", ALLOC | WRITE, &[0; 4]);
    builder.symbol("start", FUNC, 1, 0, 0);
    builder.symbol("far", FUNC, 0, 0, 0);
    spoil(&mut builder);
    builder.build()
}

/// The same with one relocation of `.text`.
fn relocated(entry: (u64, u32, u32, i64)) -> String {
    refusal(&small(|builder| {
        builder.relocations(1, &[entry]);
    }))
}

#[test]
fn the_unspoiled_file_is_loaded() {
    assert_eq!(load(&small(|_| ())), Ok(()));
    let called = small(|builder| {
        builder.relocations(1, &[(0, 10, 2, 0)]);
    });
    assert_eq!(load(&called), Ok(()));
    let mut signed = called;
    signed.extend(b"a signature, and its trailer");
    assert_eq!(load(&signed), Ok(()));
}

#[test]
fn a_conditional_branch_out_of_the_module_is_refused_as_what_it_is() {
    let error = relocated((4, 11, 2, 0)); // R_PPC64_REL14 against `far`
    assert!(error.contains("a conditional branch cannot leave the module"), "{error}");
    assert!(!error.contains("0x0 from the start"), "{error}");
}

/// Where `rmmod` would jump: the first and the last instruction, and what is none.
#[test]
fn init_and_exit_are_instructions_of_the_module() {
    let with = |name: &'static str, section, value| {
        small(|builder| {
            builder.symbol(name, FUNC, section, value, 0);
        })
    };
    let not_code =
        |name: &str| format!("{name} does not lie in the module's code; build the module again");
    for name in ["init_module", "cleanup_module"] {
        assert_eq!(load(&with(name, 1, 0)), Ok(()));
        assert_eq!(load(&with(name, 1, 12)), Ok(()));
        assert_eq!(refusal(&with(name, 1, 16)), not_code(name));
        assert_eq!(refusal(&with(name, 1, 2)), not_code(name));
        assert_eq!(refusal(&with(name, 2, 0)), not_code(name));
        assert_eq!(refusal(&with(name, 0xfff1, 0)), not_code(name)); // SHN_ABS
        assert_eq!(load(&with(name, 0, 0)), Ok(())); // no more than a wish
    }
}

/// Linux finds both by the pointers in `struct module`, whatever they are called.
#[test]
fn init_and_exit_are_what_struct_module_points_to() {
    let with = |name: &str, entries: &[(u64, u32, u32, i64)]| {
        let file = small(|builder| {
            let this = builder.section(".gnu.linkonce.this_module", ALLOC | WRITE, &[0; 256]);
            builder.symbol(name, FUNC, 1, 4, 0);
            builder.relocations(this, entries);
        });
        let Loaded { linked, layout, .. } =
            Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
        let text = MODULE_BASE.offset(layout.offset_of(1).unwrap().into());
        let this = MODULE_BASE.offset(layout.offset_of(3).unwrap().into());
        assert_eq!(linked.this_module, Some(this));
        (linked.init.map(|it| it.since(text)), linked.cleanup.map(|it| it.since(text)))
    };
    const ADDR64: u32 = 38;
    let (other, global) = ("begin", "init_module");
    assert_eq!(with(other, &[]), (None, None)); // as on Linux: nothing says that it is init
    assert_eq!(with(global, &[]), (Some(4), None));
    let (init, exit) = (312, 944); // Linux 6.1
    assert_eq!(with(other, &[(init, ADDR64, 3, 0), (exit, ADDR64, 1, 8)]), (Some(4), Some(8)));
    assert_eq!(with(global, &[(init, ADDR64, 1, 12)]), (Some(12), None));
    // Neither instructions nor the module's own.
    for (symbol, addend) in [(1, 2), (1, 16), (2, 0)] {
        assert_eq!(with(other, &[(init, ADDR64, symbol, addend)]), (None, None));
    }
}

#[test]
fn a_file_without_symbols_is_refused() {
    let mut file = small(|_| ());
    let sections = file.len() - 7 * 64; // null, .text, .data, .symtab, .strtab, .shstrtab
    let kind = sections + 64 * 4 + 4;
    assert_eq!(file[kind], 2, "SHT_SYMTAB");
    file[kind] = 1;
    assert_eq!(refusal(&file), "has no symbols (stripped?); take the file as it was built");
}

#[test]
fn a_foreign_file_is_refused_by_name() {
    let header = |at: usize, value: u8| {
        let mut file = small(|_| ());
        file[at] = value;
        refusal(&file)
    };
    assert_eq!(refusal(b""), "the file is empty; copy it again, or build it");
    assert_eq!(
        refusal(b"#!/bin/sh"),
        "not an ELF file; give a .ko that the compiler or the linker wrote"
    );
    assert_eq!(header(4, 1), "ELF class 1, need 2 (64-bit); compile for powerpc64le");
    assert_eq!(header(5, 2), "big-endian; compile for powerpc64le");
    assert_eq!(header(6, 0), "ELF version 0, need 1; the file is damaged, build it again");
    assert_eq!(header(20, 2), "ELF version 2, need 1; the file is damaged, build it again");
    assert_eq!(header(18, 62), "for machine 62, need 21 (64-bit PowerPC); compile for powerpc64le");
    assert_eq!(
        header(16, 2),
        "an executable (ELF type 2), need a relocatable file; link with ld -r"
    );
    assert_eq!(
        header(16, 3),
        "a shared library (ELF type 3), need a relocatable file; link with ld -r"
    );
    assert_eq!(header(16, 9), "ELF type 9, need 1 (relocatable); link with ld -r");
    assert_eq!(header(48, 1), "e_flags say ELF ABI version 1, need 2; compile with -mabi=elfv2");
    assert_eq!(header(48, 3), "e_flags say ELF ABI version 3, need 2; compile with -mabi=elfv2");
    assert_eq!(
        header(58, 40),
        "section headers of 40 bytes, need 64; the file is damaged, build it again"
    );
    assert_eq!(
        header(60, 0),
        "no sections, or more than 65279; link with a script that joins sections (ld -r -T)"
    );
    assert_eq!(
        header(62, 1),
        "section 1 is no table of section names; the file is damaged, build it again"
    );
    let descriptors = small(|builder| {
        builder.section(".opd", ALLOC | WRITE, &[0; 6]);
    });
    assert_eq!(
        refusal(&descriptors),
        "section 3 (.opd): function descriptors of ELFv1; compile with -mabi=elfv2"
    );
}

#[test]
fn an_unstated_abi_is_elfv2() {
    let mut file = small(|_| ());
    file[48] = 0;
    assert_eq!(load(&file), Ok(()));
}

#[test]
fn a_file_that_ends_early_is_refused() {
    let file = small(|_| ());
    assert_eq!(
        refusal(&file[..63]),
        "the ELF header ends at 0x40, but the file has 0x3f bytes; copy the file again"
    );
    let len = file.len();
    assert_eq!(
        refusal(&file[..len - 1]),
        format!(
            "the table of sections ends at {len:#x}, but the file has {:#x} bytes; copy the file again",
            len - 1
        )
    );
}

#[test]
fn a_wrong_section_is_refused() {
    let spoiled = |spoil: &dyn Fn(&mut Section)| {
        refusal(&small(|builder| {
            let index = builder.relocations(1, &[(0, 10, 2, 0)]);
            spoil(builder.at(index));
        }))
    };
    let text = |spoil: &dyn Fn(&mut Section)| refusal(&small(|builder| spoil(builder.at(1))));
    assert_eq!(
        text(&|text| text.align = 3),
        "section 1 (.text): alignment 0x3 is not a power of two up to 0x10000; ask for less"
    );
    assert!(load(&small(|builder| builder.at(1).align = 0x1_0000)).is_ok());
    assert!(text(&|text| text.align = 0x2_0000).contains("alignment 0x20000"));
    assert!(
        text(&|text| text.size = Some(1 << 40))
            .contains("(.text): 0x10000000000 bytes from 0x40 lie outside")
    );
    assert!(text(&|text| text.size = Some(u64::MAX)).contains("lie outside"));
    assert_eq!(
        text(&|text| text.flags |= WRITE),
        "section 1 (.text): both writable and executable, which no mapping is; split code from data"
    );
    assert!(text(&|text| text.flags |= 0x800).contains("compressed"));
    assert!(text(&|text| text.flags |= 0x400).contains("thread-local"));
    assert_eq!(
        spoiled(&|rela| rela.entry = 16),
        "section 3 (.rela): entries of 16 bytes, need 24; the file is damaged, build it again"
    );
    assert!(spoiled(&|rela| rela.data.truncate(23)).contains("size 0x17 is no multiple of 24"));
    assert!(spoiled(&|rela| rela.link = 1).contains("sh_link 1 is not the table"));
    assert!(spoiled(&|rela| rela.info = 0).contains("sh_info 0 is out of range"));
    assert!(spoiled(&|rela| rela.info = 99).contains("sh_info 99 is out of range"));
    assert!(spoiled(&|rela| rela.kind = 9).contains("without addends (SHT_REL)"));
    let zeros = small(|builder| {
        builder.relocations(2, &[(0, 38, 1, 0)]);
        builder.at(2).kind = 8;
    });
    assert!(refusal(&zeros).contains("relocates a section without bytes"));
    let second = small(|builder| {
        builder.raw(Section { name: ".symtab", kind: 2, entry: 24, ..Section::default() });
    });
    assert!(refusal(&second).contains("second symbol table"));
    // The last three sections are `.symtab`, `.strtab` and `.shstrtab`.
    let header = |from_end: usize, field: usize, value: u8| {
        let mut file = small(|_| ());
        let at = file.len() - from_end * 64 + field;
        file[at] = value;
        refusal(&file)
    };
    assert!(header(3, 40, 1).contains("(.symtab): sh_link 1 is not"));
    assert!(header(3, 44, 9).contains("(.symtab): sh_info 9 is out of range"));
    assert!(header(2, 32, 5).contains("(.strtab): string table without a final NUL"));
    assert!(header(5, 0, 0xff).contains("section 1: name at 0xff of the name table"));
}

#[test]
fn a_wrong_symbol_is_refused() {
    let spoiled = |kind, section, value, other| {
        refusal(&small(|builder| {
            builder.symbol("odd", kind, section, value, other);
        }))
    };
    assert_eq!(
        spoiled(1, 0xfff2, 8, 0),
        "symbol 3 (odd): common symbol without a place; compile with -fno-common"
    );
    assert!(spoiled(1, 0xffff, 0, 0).contains("extended section index"));
    assert!(spoiled(1, 0xff20, 0, 0).contains("late livepatch symbol"));
    assert!(spoiled(1, 0xff00, 0, 0).contains("section 0xff00 does not exist"));
    assert!(spoiled(1, 99, 0, 0).contains("section 0x63 does not exist"));
    assert!(spoiled(1, 1, 17, 0).contains("lies at 0x11 of a section of 0x10 bytes"));
    assert!(
        load(&small(|builder| {
            builder.symbol("end", 1, 1, 16, 0);
        }))
        .is_ok()
    );
    assert!(spoiled(2, 1, 0, 0xe0).contains("reserved local entry code 7"));
    assert!(spoiled(6, 1, 0, 0).contains("thread-local"));
    assert!(spoiled(10, 1, 0, 0).contains("indirect function"));
    let mut file = small(|_| ());
    let symbols = file.windows(8).position(|bytes| bytes == [1, 0, 0, 0, 0x12, 0, 1, 0]).unwrap();
    file[symbols + 1] = 0x7f;
    assert!(refusal(&file).contains("symbol 1: name at 0x7f01 lies outside the string table"));
}

#[test]
fn a_wrong_relocation_is_refused() {
    assert_eq!(
        relocated((0, 69, 2, 0)),
        ".text+0x0: R_PPC64_TPREL16 (69) against far: thread-local, and the kernel has no \
         threads; use an ordinary variable"
    );
    assert_eq!(
        relocated((0, 30, 2, 0)),
        ".text+0x0: R_PPC64_PLT16_HI (30) against far: a call through a linkage table, for the \
         loader makes stubs itself; compile without -fno-plt and -mlongcall"
    );
    assert_eq!(
        relocated((0, 15, 2, 0)),
        ".text+0x0: R_PPC64_GOT16_LO (15) against far: type not supported; \
         compile with -mcmodel=medium or large and -fno-pic"
    );
    assert!(relocated((4, 116, 2, 0)).contains("expected a relative b or bl, found 0x60000000"));
    assert!(relocated((0, 116, 2, 4)).contains("branch to 0x4 from the start of a function"));
    assert_eq!(
        relocated((0, 132, 1, 0)),
        ".text+0x0: R_PPC64_PCREL34 (132) against start: expected a prefix, found 0x48000001; \
         the file is damaged, build it again"
    );
    let crossing = small(|builder| {
        let mut words = [0x0610_0000; 18]; // plwz r3,0(0),1 where it matters
        (words[15], words[16]) = (0x0610_0000, 0x8060_0000);
        let code = builder.section(".text.more", ALLOC | CODE, &words);
        builder.at(code).align = 64;
        builder.relocations(code, &[(60, 132, 1, 0)]);
    });
    assert_eq!(
        refusal(&crossing),
        ".text.more+0x3c: R_PPC64_PCREL34 (132) against start: prefixed instruction across a \
         64-byte boundary; align the section to 64"
    );
    assert!(relocated((0, 999, 2, 0)).contains(".text+0x0: relocation type 999 against far"));
    assert!(relocated((0, 38, 3, 0)).contains("symbol 3 of 3 does not exist"));
    assert!(relocated((0, 10, 3, 0)).contains("symbol 3 of 3 does not exist"));
    assert_eq!(
        relocated((9, 38, 1, 0)),
        ".text+0x9: R_PPC64_ADDR64 (38) against start: 8 bytes there lie outside the section of 0x10; \
         the file is damaged, build it again"
    );
    assert!(relocated((13, 10, 2, 0)).contains("4 bytes there lie outside"));
    assert!(relocated((u64::MAX, 38, 1, 0)).contains("lie outside"));
    assert_eq!(
        relocated((0, 10, 1, 0x200_0000)),
        ".text+0x0: R_PPC64_REL24 (10) against start: +0x2000000 is outside -0x2000000..=+0x1fffffc; \
         bring both ends nearer, or compile with -mcmodel=large"
    );
    assert!(
        relocated((0, 10, 1, 2)).contains("+0x2 is not a multiple of 4; align what it points to")
    );
    assert!(relocated((4, 10, 2, 0)).contains("expected a relative b or bl, found 0x60000000"));
    assert!(
        relocated((0, 10, 2, 8)).contains("branch to 0x8 from the start of a function outside")
    );
    let data = small(|builder| {
        builder.relocations(2, &[(0, 10, 2, 0)]);
    });
    assert!(
        refusal(&data).contains(".data+0x0: R_PPC64_REL24 (10) against far: branch in a section")
    );
    let note = small(|builder| {
        let note = builder.section("__versions", ALLOC, &[0; 4]);
        let symbol = builder.symbol("versions", 1, note, 0, 0);
        builder.relocations(2, &[(0, 38, symbol, 0)]);
    });
    assert_eq!(
        refusal(&note),
        ".data+0x0: R_PPC64_ADDR64 (38) against versions: __versions is not kept in memory; \
         put the object into another section"
    );
}

#[test]
fn a_call_without_a_place_for_r2_names_function_symbol_word_and_remedy() {
    let mut builder = Builder::default();
    builder.section(".text", ALLOC | CODE, &[NOP, BL, 0x3821_0020]);
    builder.symbol("start", FUNC, 1, 0, 0);
    let far = builder.symbol("far", FUNC, 0, 0, 0);
    builder.relocations(1, &[(4, 10, far, 0)]);
    assert_eq!(
        refusal(&builder.clone().build()),
        ".text+0x4: R_PPC64_REL24 (10) against far: expected nop after the call in start, \
         found 0x38210020; put a nop after it, for ld r2,24(r1)"
    );
    builder.at(1).data.truncate(8); // the call is the section's last word
    assert!(
        refusal(&builder.build())
            .contains("expected nop after the call in start, found 0x00000000")
    );
}

#[test]
fn exports_that_make_no_sense_are_refused() {
    let table = |words: &[u32], entries: &[(u64, u32, u32, i64)]| {
        refusal(&small(|builder| {
            let table = builder.section("__ksymtab", ALLOC, words);
            builder.relocations(table, entries);
        }))
    };
    assert_eq!(
        table(&[0; 5], &[(0, 38, 1, 0)]),
        "__ksymtab+0x0: size 0x14 is no whole number of entries; build the module again"
    );
    assert!(table(&[0; 6], &[(0, 38, 2, 0)]).contains("which is not in the module"));
    assert!(table(&[0; 6], &[(0, 38, 1, 0)]).contains("name at 0x0 is no text of the module"));
}

/// Two exports of the function, both under the name at the start of the names.
fn exporting_twice(names: &[u8]) -> Vec<u8> {
    small(|builder| {
        let strings = builder.raw(Section {
            name: "__ksymtab_strings",
            kind: 1,
            flags: ALLOC,
            data: names.to_vec(),
            ..Section::default()
        });
        let string = builder.symbol("string", 1, strings, 0, 0);
        for name in ["__ksymtab", "__ksymtab_gpl"] {
            let table = builder.section(name, ALLOC, &[0; 6]);
            builder.relocations(table, &[(0, 38, 1, 0), (8, 38, string, 0)]);
        }
    })
}

#[test]
fn an_export_has_a_name_of_its_own() {
    assert_eq!(
        refusal(&exporting_twice(b"\0")),
        "__ksymtab+0x0: the name is empty; build the module again"
    );
    let file = exporting_twice(b"both\0");
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    let twice = exports::refuse_duplicates(&loaded.linked.exports, &Gpl, |_| String::new());
    assert_eq!(
        twice.unwrap_err().to_string(),
        "exports both, which the module itself already does; remove the other or rename it"
    );
}

#[test]
fn what_a_module_says_of_itself_does_not_fill_a_line() {
    let licence = "L".repeat(100_000);
    let error = LoadError::GplOnly { name: "name".into(), licence };
    let line = error.to_string();
    assert!(line.len() < 300 && line.contains("LLL...\"; do without"), "{line}");
    let cut = |text: &str| Cut(text).to_string();
    assert_eq!(cut(&"c".repeat(80)), "c".repeat(80));
    assert_eq!(cut(&"c".repeat(81)), "c".repeat(80) + "...");
    assert_eq!(cut(&"\u{e9}".repeat(41)), "\u{e9}".repeat(40) + "...");
    assert_eq!(
        cut(&("c".to_string() + &"\u{e9}".repeat(40))),
        "c".to_string() + &"\u{e9}".repeat(39) + "..."
    );
}

/// A kernel with one export, for GPL-compatible modules.
struct Gpl;

impl Resolver for Gpl {
    fn resolve(&self, name: &str) -> Option<Resolved> {
        let (addr, owner) = (Vaddr(0x1000), Owner::Module(7));
        (name == "far").then_some(Resolved { addr, owner, gpl_only: true })
    }
}

#[test]
fn the_licence_decides_about_gpl_only_exports() {
    let stating = |licence: Option<&str>| {
        let file = small(|builder| {
            if let Some(licence) = licence {
                let data = format!("name=x\0license={licence}\0").into_bytes();
                builder.raw(Section {
                    name: ".modinfo",
                    kind: 1,
                    flags: ALLOC,
                    data,
                    ..Section::default()
                });
            }
        });
        let loaded = Module::load(&file, &Gpl, &LinkOptions::default());
        loaded.map(|loaded| loaded.linked.owners).map_err(|error| error.to_string())
    };
    for licence in [
        "GPL",
        "GPL v2",
        "Dual MIT/GPL",
        "Dual BSD/GPL",
        "Dual MPL/GPL",
        "GPL and additional rights",
    ] {
        assert_eq!(stating(Some(licence)), Ok(vec![7]));
    }
    assert_eq!(
        stating(Some("MIT")).unwrap_err(),
        "far is for GPL-compatible modules, and this one's licence is \"MIT\"; do without the symbol"
    );
    assert_eq!(
        stating(None).unwrap_err(),
        "far is for GPL-compatible modules, and this one states no licence; add MODULE_LICENSE"
    );
}

/// As Linux has it: an export that a licence closes is nobody's.
#[test]
fn a_weak_symbol_is_absent_where_the_licence_closes_its_export() {
    let with = |licence: &str| {
        let text = format!("name=x\0license={licence}\0");
        let file = small(|builder| {
            let data = text.into_bytes();
            builder.raw(Section {
                name: ".modinfo",
                kind: 1,
                flags: ALLOC,
                data,
                ..Section::default()
            });
            builder.bind(2, 2); // STB_WEAK
            builder.relocations(2, &[(0, 38, 2, 0)]);
        });
        let loaded = Module::load(&file, &Gpl, &LinkOptions::default()).unwrap();
        let data = loaded.layout.offset_of(2).unwrap() as usize;
        let pointer = loaded.image[data..data + 8].try_into().unwrap();
        (u64::from_le_bytes(pointer), loaded.linked.missing, loaded.linked.owners)
    };
    let there = Gpl.resolve("far").unwrap().addr.0;
    assert_eq!(with("GPL"), (there, vec![], vec![7]));
    assert_eq!(with("Proprietary"), (0, vec![2], vec![]));
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let file = exporting("far");
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    let taken = exports::refuse_duplicates(&loaded.linked.exports, &Gpl, |number| {
        format!("module {number}")
    });
    assert_eq!(
        taken.unwrap_err().to_string(),
        "exports far, which module 7 already does; remove the other or rename it"
    );
    let file = exporting("near");
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    assert!(exports::refuse_duplicates(&loaded.linked.exports, &Gpl, |_| String::new()).is_ok());
}

/// A module that exports its function under `name`, in the absolute form.
fn exporting(name: &str) -> Vec<u8> {
    small(|builder| {
        let data = format!("{name}\0").into_bytes();
        let strings = builder.raw(Section {
            name: "__ksymtab_strings",
            kind: 1,
            flags: ALLOC,
            data,
            ..Section::default()
        });
        let string = builder.symbol("string", 1, strings, 0, 0);
        let table = builder.section("__ksymtab_gpl", ALLOC, &[0; 6]);
        builder.relocations(table, &[(0, 38, 1, 0), (8, 38, string, 0)]);
    })
}

#[test]
fn both_forms_of_exports_are_read() {
    let absolute = exporting("name");
    let relative = small(|builder| {
        let data = b"other\0".to_vec();
        let strings = builder.raw(Section {
            name: "__ksymtab_strings",
            kind: 1,
            flags: ALLOC,
            data,
            ..Section::default()
        });
        let string = builder.symbol("string", 1, strings, 0, 0);
        let table = builder.section("__ksymtab", ALLOC, &[0; 3]);
        builder.relocations(table, &[(0, 26, 1, 4), (4, 26, string, 0)]);
    });
    for (file, name, inside, gpl_only) in
        [(absolute, "name", 0, true), (relative, "other", 4, false)]
    {
        let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
        let [export] = loaded.linked.exports[..] else { panic!("one export") };
        assert_eq!((export.name, export.gpl_only), (name, gpl_only));
        let start = loaded.linked.functions.iter().next().unwrap().at;
        assert_eq!(export.addr, MODULE_BASE.offset(i64::from(start) + inside));
    }
}

#[test]
fn a_module_that_has_no_room_or_no_aligned_place_is_refused() {
    let file = small(|_| ());
    let object = Object::parse(&file).unwrap();
    let layout = Layout::plan(&object, &LinkOptions::default(), 0x1000).unwrap();
    assert_eq!(layout.size, 0x2000);
    let link = |base, len: usize| {
        let mut image = vec![0xa5; len];
        let options = LinkOptions::default();
        let linked =
            relocate::link(&object, &layout, Vaddr(base), &mut image, &KERNEL, &abi(), &options);
        linked.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(link(0x1000, 0x2000), Ok(()));
    assert_eq!(layout.stored(&object), 0x1010); // .data, four words, ends there
    assert_eq!(link(0x1000, 0x1010), Ok(()));
    assert_eq!(
        link(0x1000, 0x100f).unwrap_err(),
        "no room: needs 4112 bytes, 4111 free; remove a module or give the machine more memory"
    );
    assert_eq!(
        link(0x1800, 0x2000).unwrap_err(),
        "base 0x1800 is no multiple of 0x1000; place the image as its layout asks"
    );
    assert!(link(0xffff_ffff_ffff_f000, 0x2000).is_err());
    let huge = small(|builder| {
        builder.at(2).kind = 8;
        builder.at(2).size = Some(u64::MAX);
    });
    assert!(refusal(&huge).contains("no room"));
}

/// Linking again, to compare, needs no room for `.bss`.
#[test]
fn an_image_without_its_zeros_has_the_same_bytes_before_them() {
    let file = small(|builder| {
        let bss = builder.section(".bss", ALLOC | WRITE, &[]);
        builder.at(bss).kind = 8;
        builder.at(bss).size = Some(40 << 20);
        builder.relocations(1, &[(0, 10, 2, 0)]);
    });
    let object = Object::parse(&file).unwrap();
    let layout = Layout::plan(&object, &LinkOptions::default(), 0x1000).unwrap();
    let stored = layout.stored(&object);
    assert!(layout.size > 40 << 20 && stored < 0x4000, "{stored:#x} of {:#x}", layout.size);
    let link = |len: u64| {
        let mut image = vec![0xa5; len as usize];
        let options = LinkOptions::default();
        relocate::link(&object, &layout, MODULE_BASE, &mut image, &KERNEL, &abi(), &options)
            .map(|_| image)
    };
    let (whole, short) = (link(layout.size).unwrap(), link(stored).unwrap());
    assert!(whole[..short.len()] == short[..] && whole[short.len()..].iter().all(|&it| it == 0));
    assert!(link(stored - 1).is_err());
}

#[test]
fn code_may_be_as_long_as_a_branch_reaches() {
    let long = |bytes: u64| {
        small(|builder| {
            builder.relocations(1, &[(0, 10, 2, 0)]);
            // Code without bytes in the file, behind the call.
            builder.raw(Section {
                name: ".zeros",
                kind: 8,
                flags: ALLOC | CODE,
                align: 4,
                size: Some(bytes),
                ..Section::default()
            });
        })
    };
    // 16 bytes of code and one stub of 32 bytes, aligned to its size.
    let most = 0x200_0000 - 32 - 16;
    assert_eq!(load(&long(most)), Ok(()));
    assert_eq!(
        refusal(&long(most + 4)),
        "code and stubs take 0x2000020 bytes, but a branch spans 0x2000000 and all stubs stand in one place, behind the code; split the module"
    );
}

/// 40 MiB in one section, which no stub can stand inside of.
#[test]
fn code_longer_than_a_branch_reaches_loads_if_no_call_leaves_it() {
    const LEN: u64 = 40 << 20;
    let with = |callee: u32, kind: u32| {
        let mut builder = Builder::default();
        let mut words = vec![NOP; LEN as usize / 4];
        words[0] = 0x4800_0001;
        words[LEN as usize / 4 - 2] = 0x4800_0001;
        builder.section(".text", ALLOC | CODE, &words);
        builder.symbol("first", FUNC, 1, 8, 0);
        builder.symbol("last", FUNC, 1, LEN - 16, 0);
        builder.symbol("far", FUNC, 0, 0, 0);
        builder.relocations(1, &[(0, kind, callee, 0), (LEN - 8, kind, callee.max(2), 0)]);
        builder.build()
    };
    assert_eq!(
        refusal(&with(3, 10)),
        "code and stubs take 0x2800020 bytes, but a branch spans 0x2000000 and all stubs stand in one place, behind the code; split the module"
    );
    assert_eq!(load(&with(1, 10)), Ok(()));
    // Nor does a branch to the other end reach.
    let line = refusal(&with(2, 10));
    assert!(line.starts_with(".text+0x0: R_PPC64_REL24 (10) against last: "), "{line}");
}

#[test]
fn a_stub_too_far_from_the_kernel_is_refused() {
    let file = small(|builder| {
        let mcount = builder.symbol("_mcount", FUNC, 0, 0, 0);
        builder.relocations(1, &[(0, 10, mcount, 0)]);
    });
    let at = |base| {
        let options = LinkOptions::default();
        loader::load(&file, 0x1000, |_| Vaddr(base), &KERNEL, &abi(), &options).map(|_| ())
    };
    assert_eq!(at(0x8000_0000), Ok(()));
    let far = at(0x1_0000_0000).unwrap_err().to_string();
    assert!(far.starts_with("_mcount: profile stub at 0x100000020: target word: +0x"), "{far}");
    assert!(far.ends_with("; load the module nearer to the kernel"), "{far}");
}

#[test]
fn every_byte_of_the_image_is_written() {
    let file = assemble("sites.S", "written.o");
    let object = Object::parse(&file).unwrap();
    let layout = Layout::plan(&object, &LinkOptions::default(), 0x1000).unwrap();
    let link = |before: u8| {
        let mut image = vec![before; layout.size as usize];
        let options = LinkOptions::default();
        relocate::link(&object, &layout, MODULE_BASE, &mut image, &KERNEL, &abi(), &options)
            .unwrap();
        image
    };
    assert!(link(0) == link(0xff), "what the buffer held shows through");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = compile("module.c", &["-mcmodel=medium", "-pg", "-mprofile-kernel"], "cut.o");
    assert_eq!(load(&file), Ok(()));
    for len in 0..file.len() {
        // The table of sections is the last thing in the file.
        assert!(load(&file[..len]).is_err(), "{len} bytes of {}", file.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_damaged_file_is_loaded_or_refused(
        large in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        use std::sync::OnceLock;
        static FILES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
        let files = FILES.get_or_init(|| [
            compile("module.c", &["-mcmodel=large", "-pg", "-mprofile-kernel"], "damaged.o"),
            assemble("sites.S", "damaged-sites.o"),
        ]);
        let mut file = files[usize::from(large)].clone();
        for (place, value) in damage {
            let place = place.index(file.len());
            file[place] = value;
        }
        // Zeros cost nothing in the file, but the buffer is real.
        if let Ok(object) = Object::parse(&file)
            && let Ok(layout) = Layout::plan(&object, &LinkOptions::default(), 0x1000)
            && layout.size < 1 << 24
        {
            let _ = load(&file);
        }
    }
}
