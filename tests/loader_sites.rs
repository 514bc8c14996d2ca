//! What becomes of the calls that leave a module, and of the call sites.
//!
//! The expected words are written out here, or come from GNU as through the
//! fixture; none is computed by the code under test.

mod loader_common;

use loader_common::{
    FakeKernel, MCOUNT, MCOUNT_LATE, MODULE_BASE, Module, abi, assemble, assemble_with, compile,
};
use tocsin::addr::Vaddr;
use tocsin::isa::{Insn, branch};
use tocsin::loader::stubs::StubKind;
use tocsin::loader::{
    self, KernelAbi, LinkOptions, Loaded, Resolved, Resolver, SiteFault, SiteKind, StubStyle,
};

const NOP: u32 = 0x6000_0000;
const LD_R2_24_R1: u32 = 0xe841_0018;
const KERNEL: FakeKernel = FakeKernel { exports_at: 0x1000_0000 };

/// Offset of function `name`.
fn function(loaded: &Loaded, name: &str) -> u32 {
    let found = loaded.linked.functions.named(&loaded.object, name).first().copied();
    found.unwrap_or_else(|| panic!("no {name}")).at
}

fn word(loaded: &Loaded, at: u32) -> u32 {
    let at = at as usize;
    u32::from_le_bytes(loaded.image[at..at + 4].try_into().unwrap())
}

/// The doubleword at an address in the image.
fn doubleword(loaded: &Loaded, at: Vaddr) -> u64 {
    let at = at.since(loaded.linked.base) as usize;
    u64::from_le_bytes(loaded.image[at..at + 8].try_into().unwrap())
}

/// Where the branch at `at` goes: the kind of stub, and what its word holds.
fn stub_of(loaded: &Loaded, at: u32) -> (StubKind, u64) {
    let here = MODULE_BASE.offset(at.into());
    let to = branch::target_of(Insn(word(loaded, at)), here).expect("a branch");
    stub_at(loaded, to)
}

fn stub_at(loaded: &Loaded, at: Vaddr) -> (StubKind, u64) {
    let entry = loaded.linked.stubs.find(at).expect("a stub");
    let slot = at.since(MODULE_BASE) - loaded.layout.stubs.offset as i64;
    let stride = if entry.kind.align() == 8 { 64 } else { 32 };
    let number = slot / stride;
    let words = MODULE_BASE.offset(loaded.layout.targets.offset as i64);
    (entry.kind, doubleword(loaded, words.offset(number * 8)))
}

#[test]
fn each_kind_of_site_is_found_and_switched_off() {
    let file = assemble("sites.S", "sites.o");
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    let expected = [
        ("early", 12, SiteKind::Profile),
        ("early_leaf", 4, SiteKind::Profile),
        ("early_std", 16, SiteKind::ProfileStd),
        ("early_jump_label", 12, SiteKind::Profile),
        ("late", 20, SiteKind::Late),
        ("patch_global", 8, SiteKind::Patchable),
        ("patch_local", 8, SiteKind::Patchable),
        ("patch_leaf", 0, SiteKind::Patchable),
    ];
    assert_eq!(loaded.linked.sites.len(), expected.len());
    for (site, (name, offset, kind)) in loaded.linked.sites.iter().zip(expected) {
        assert_eq!(site.offset(), function(&loaded, name) + offset, "{name}");
        assert_eq!(site.kind(), kind, "{name}");
        let symbol = loaded.object.symbol(site.function()).unwrap();
        assert_eq!(loaded.object.name(&symbol), name);
        assert_eq!(word(&loaded, site.offset()), NOP, "{name}");
        let stub = site.stub(MODULE_BASE);
        match kind {
            SiteKind::Patchable => {
                let entry = loaded.linked.stubs.find(stub).unwrap();
                assert_eq!(entry.kind, StubKind::OutOfLine);
                assert_eq!(loaded.linked.sites[entry.owner as usize], *site);
                let at = stub.since(MODULE_BASE) as u32;
                // mflr r0; bl hook; mtlr r0; b site+4
                assert_eq!(word(&loaded, at), 0x7c08_02a6);
                assert_eq!(stub_of(&loaded, at + 4), (StubKind::Profile, MCOUNT.0));
                assert_eq!(word(&loaded, at + 8), 0x7c08_03a6);
                let back = branch::target_of(Insn(word(&loaded, at + 12)), stub.offset(12));
                assert_eq!(back, Some(site.at(MODULE_BASE).offset(4)));
            }
            SiteKind::Late => {
                assert_eq!(stub_at(&loaded, stub), (StubKind::Profile, MCOUNT_LATE.0));
            }
            _ => assert_eq!(stub_at(&loaded, stub), (StubKind::Profile, MCOUNT.0)),
        }
    }
    let refused = loaded.linked.refused.iter().map(|site| (site.at, site.fault));
    let expected = [
        (function(&loaded, "patch_early"), SiteFault::NopBeforeToc),
        (function(&loaded, "patch_wrong"), SiteFault::WrongToc),
        (function(&loaded, "patch_leaf") + 8, SiteFault::NotAtEntry),
    ];
    assert_eq!(refused.collect::<Vec<_>>(), expected);
}

#[test]
fn r2_comes_back_after_a_call_and_never_after_a_profiling_call() {
    let file = assemble("sites.S", "sites-r2.o");
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    let calls = function(&loaded, "calls") + 8;
    let callee = KERNEL.address_of("far_function").0;
    for call in 0..4 {
        assert_eq!(stub_of(&loaded, calls + call * 8), (StubKind::External, callee));
        assert_eq!(word(&loaded, calls + call * 8 + 4), LD_R2_24_R1);
    }
    let labelled = function(&loaded, "early_jump_label") + 12;
    assert_eq!(word(&loaded, labelled + 4), NOP, "the jump label's");
    let late = function(&loaded, "late") + 20;
    assert_eq!(word(&loaded, late + 4), NOP);
}

#[test]
fn a_sibling_call_and_a_neighbour_that_loses_r2_have_their_own_stubs() {
    let file = assemble("sites.S", "sites-sibling.o");
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    let sibling = function(&loaded, "sibling") + 8;
    let callee = KERNEL.address_of("far_function").0;
    assert_eq!(word(&loaded, sibling) & 1, 0, "still no call");
    assert_eq!(stub_of(&loaded, sibling), (StubKind::Sibling, callee));
    let call = function(&loaded, "calls_clobberer") + 8;
    let clobberer = MODULE_BASE.offset(function(&loaded, "clobberer").into());
    assert_eq!(stub_of(&loaded, call), (StubKind::External, clobberer.0));
    assert_eq!(word(&loaded, call + 4), LD_R2_24_R1);
}

#[test]
fn each_symbol_has_one_stub_of_each_kind_however_often_it_is_called() {
    let file = assemble("sites.S", "sites-count.o");
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    let count = |kind| loaded.linked.stubs.iter().filter(|stub| stub.kind == kind).count();
    assert_eq!(count(StubKind::External), 3); // far_function, far_other, clobberer
    assert_eq!(count(StubKind::Sibling), 1);
    assert_eq!(count(StubKind::Profile), 3); // early, late, patchable
    assert_eq!(count(StubKind::OutOfLine), 3);
}

#[test]
fn the_historic_shapes_are_built_on_request() {
    let file = assemble("sites.S", "sites-styles.o");
    for (stubs, call, profile) in [
        (StubStyle::Seed, StubKind::SeedExternal, StubKind::SeedProfile),
        (StubStyle::Linux, StubKind::LinuxExternal, StubKind::LinuxProfile),
    ] {
        let options = LinkOptions { stubs, ..LinkOptions::default() };
        let loaded = Module::load(&file, &KERNEL, &options).unwrap();
        let site = loaded.linked.sites[0];
        let entry = loaded.linked.stubs.find(site.stub(MODULE_BASE)).unwrap();
        assert_eq!(entry.kind, profile);
        assert_eq!(doubleword(&loaded, entry.at.offset(32)), MCOUNT.0);
        let at = function(&loaded, "calls") + 8;
        let here = MODULE_BASE.offset(at.into());
        let to = branch::target_of(Insn(word(&loaded, at)), here).unwrap();
        assert_eq!(loaded.linked.stubs.find(to).unwrap().kind, call);
        let callee = KERNEL.address_of("far_function").0;
        assert_eq!(doubleword(&loaded, to.offset(32)), callee);
    }
}

#[test]
fn the_wrong_stub_for_profiling_calls_is_built_only_if_asked_for() {
    let file = assemble("sites.S", "sites-wrong.o");
    let options = LinkOptions { wrong_profile_stubs: true, ..LinkOptions::default() };
    let loaded = Module::load(&file, &KERNEL, &options).unwrap();
    let stub = loaded.linked.sites[0].stub(MODULE_BASE);
    assert_eq!(stub_at(&loaded, stub), (StubKind::External, MCOUNT.0));
}

/// Exports nothing.
struct Nothing;

impl Resolver for Nothing {
    fn resolve(&self, _: &str) -> Option<Resolved> {
        None
    }
}

#[test]
fn what_is_missing_is_named_or_bound_to_a_trap() {
    let file = compile("module.c", &["-mcmodel=medium"], "missing.o");
    let refused = Module::load(&file, &Nothing, &LinkOptions::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "unresolved: far_data, far_function, far_other; \
         load the modules that export them first; insmod --link-only takes this one to be looked at, but never run"
    );
    for stubs in [StubStyle::Default, StubStyle::Seed, StubStyle::Linux] {
        let options = LinkOptions { link_only: true, stubs, ..LinkOptions::default() };
        let loaded = Module::load(&file, &Nothing, &options).unwrap();
        let traps = loaded.linked.stubs.iter().filter(|stub| stub.kind == StubKind::Missing);
        let mut names = Vec::new();
        for trap in traps {
            let at = trap.at.since(MODULE_BASE) as u32;
            assert_eq!(word(&loaded, at), 0x7fe0_0008); // trap
            assert_eq!(word(&loaded, at + 8), trap.owner);
            let symbol = loaded.object.symbol(trap.owner).unwrap();
            names.push(loaded.object.name(&symbol));
        }
        names.sort_unstable();
        assert_eq!(names, ["far_function", "far_other", "far_weak"]);
        // A pointer to what is missing leads to the trap as well.
        let (index, _) = loaded.object.section(".data.rel").unwrap();
        let table = MODULE_BASE.offset(loaded.layout.offset_of(index).unwrap().into());
        let pointer = Vaddr(doubleword(&loaded, table.offset(16)));
        assert_eq!(loaded.linked.stubs.find(pointer).unwrap().kind, StubKind::Missing);
    }
}

#[test]
fn a_weak_symbol_that_nobody_exports_is_zero_for_data_and_a_trap_for_calls() {
    /// Exports everything but one name.
    struct But(&'static str);
    impl Resolver for But {
        fn resolve(&self, name: &str) -> Option<Resolved> {
            if name == self.0 { None } else { KERNEL.resolve(name) }
        }
    }
    let file = compile("module.c", &["-mcmodel=medium"], "weak.o");
    let loaded = Module::load(&file, &But("far_weak"), &LinkOptions::default()).unwrap();
    let [missing] = loaded.linked.missing[..] else { panic!("one is missing") };
    let (toc, _) = loaded.object.section(".toc").unwrap();
    let pointers = loaded.object.relocations_of(toc).unwrap();
    let pointer = pointers.iter().find(|entry| (entry.r_info >> 32) as u32 == missing).unwrap();
    let start = MODULE_BASE.offset(loaded.layout.offset_of(toc).unwrap().into());
    assert_eq!(doubleword(&loaded, start.offset(pointer.r_offset as i64)), 0);
    let traps = loaded.linked.stubs.iter().filter(|stub| stub.kind == StubKind::Missing);
    assert_eq!(traps.map(|stub| stub.owner).collect::<Vec<_>>(), [missing]);
}

/// The word at a symbol of the module that is no function.
fn label(loaded: &Loaded, name: &str) -> u32 {
    let symbol = loaded.object.symbols().find(|symbol| loaded.object.name(symbol) == name);
    let symbol = symbol.unwrap_or_else(|| panic!("no {name}"));
    let section = loaded.layout.offset_of(symbol.st_shndx.into()).unwrap();
    section + symbol.st_value as u32
}

#[test]
fn code_without_a_toc_pointer_crosses_to_code_with_one_and_back() {
    let file = assemble("pcrel.S", "sites-pcrel.o");
    for stubs in [StubStyle::Default, StubStyle::Linux] {
        let options = LinkOptions { stubs, ..LinkOptions::default() };
        let loaded = Module::load(&file, &KERNEL, &options).unwrap();
        let callee = KERNEL.address_of("far_function").0;
        let with_toc = MODULE_BASE.offset(function(&loaded, "with_toc").into()).0;
        let kind_at = |name: &str| {
            let at = label(&loaded, name);
            let here = MODULE_BASE.offset(at.into());
            let to = branch::target_of(Insn(word(&loaded, at)), here).unwrap();
            let entry = loaded.linked.stubs.find(to);
            (entry.map(|entry| entry.kind), to)
        };
        // To a neighbour of its own kind directly: it sets up nothing.
        let neighbour = MODULE_BASE.offset(function(&loaded, "neighbour").into());
        assert_eq!(kind_at("notoc_near"), (None, neighbour));
        for name in ["notoc_far", "notoc_toc", "notoc_sibling"] {
            assert_eq!(kind_at(name).0, Some(StubKind::Notoc), "{name}");
        }
        assert_eq!(kind_at("notoc_far"), kind_at("notoc_sibling"), "one stub serves both");
        if stubs == StubStyle::Default {
            assert_eq!(stub_of(&loaded, label(&loaded, "notoc_far")).1, callee);
            assert_eq!(stub_of(&loaded, label(&loaded, "notoc_toc")).1, with_toc);
        }
        // The words of the stub, but for its distance: r12 by way of the PACA alone.
        let at = kind_at("notoc_toc").1.since(MODULE_BASE) as u32;
        let upper = [0, 4, 8].map(|word_at| word(&loaded, at + word_at) >> 16);
        assert_eq!(upper, [0xe98d, 0x3d8c, 0xe98c]); // ld r12,x(r13); addis; ld r12,y(r12)
        assert_eq!([12, 16].map(|word_at| word(&loaded, at + word_at)), [0x7d89_03a6, 0x4e80_0420]);
        // Code with a TOC gets its r2 back from a neighbour without.
        let call = label(&loaded, "toc_calls_plain");
        assert!(kind_at("toc_calls_plain").0.is_some_and(StubKind::saves_r2));
        assert_eq!(word(&loaded, call + 4), LD_R2_24_R1);
        let sites = loaded.linked.sites.iter().map(|site| (site.kind(), site.offset()));
        let expected = [("neighbour", 4), ("with_toc", 12)]
            .map(|(name, offset)| (SiteKind::Profile, function(&loaded, name) + offset));
        assert_eq!(sites.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_is_no_function_takes_one_slot_as_anything_else_does() {
    let file = assemble("numbers.S", "sites-numbers.o");
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    // One slot for each target, in the order of the symbols, and none left over.
    let slots = loaded.linked.stubs.iter().map(|stub| stub.at.since(MODULE_BASE) as u64);
    let first = loaded.layout.stubs.offset;
    assert_eq!(slots.collect::<Vec<_>>(), [first, first + 32, first + 64]);
    assert_eq!(loaded.layout.slots, 3);
    for name in ["far_function", "far_other"] {
        let label = if name == "far_other" { "to_other" } else { "to_far" };
        let target = KERNEL.address_of(name).0;
        assert_eq!(stub_of(&loaded, self::label(&loaded, label)), (StubKind::Notoc, target));
    }
}

#[test]
fn a_word_that_two_relocations_change_is_no_call_site_and_no_other_branch() {
    let load = |flags: &[&str]| {
        let file = assemble_with("twice.S", flags, "sites-twice.o");
        let loaded = Module::load(&file, &KERNEL, &LinkOptions::default());
        loaded.map(|loaded| (loaded.linked.sites.len(), loaded.linked.refused))
    };
    assert_eq!(load(&["--defsym=KEEP=1"]).unwrap(), (2, vec![]));
    let (sites, refused) = load(&[]).unwrap();
    let changed = |site: &loader::RefusedSite| matches!(site.fault, SiteFault::NotANop { .. });
    assert_eq!((sites, refused.iter().filter(|site| changed(site)).count()), (0, 2));
    // The order of relocations is the file's: here the branch comes last.
    for kind in ["--defsym=CALL=1", "--defsym=JUMP=1"] {
        let mut file = assemble_with("twice.S", &[kind, "--defsym=KEEP=1"], "sites-twice.o");
        swap_relocations_at(&mut file, 8);
        let error = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap_err();
        assert!(error.to_string().contains("made this branch another one"), "{kind}: {error}");
    }
}

/// Swaps the two relocations of the word at an offset of `.text`.
fn swap_relocations_at(file: &mut [u8], offset: u64) {
    let is_there = |entry: &[u8]| entry[..8] == offset.to_le_bytes() && entry[12..16] != [0; 4];
    let all = file.windows(48).step_by(8);
    let place =
        8 * all.into_iter().position(|two| is_there(two) && two[24..32] == two[..8]).unwrap();
    file[place..place + 48].rotate_left(24);
}

/// The doubleword that the prefixed load at `at` reads: `pld rt,d(0),1`.
fn loaded_by(loaded: &Loaded, at: u32) -> Vaddr {
    let (prefix, suffix) = (word(loaded, at), word(loaded, at + 4));
    assert_eq!((prefix >> 18, suffix >> 26), (0x0410_0000 >> 18, 57), "pld, R=1");
    let bits = i64::from(prefix & 0x3_ffff) << 16 | i64::from(suffix & 0xffff);
    MODULE_BASE.offset(i64::from(at) + (bits << 30 >> 30))
}

#[test]
fn each_address_has_one_doubleword_however_often_it_is_loaded() {
    let file = assemble("prefixed.S", "sites-got.o");
    let loaded = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap();
    let (text, _) = loaded.object.section(".text").unwrap();
    let start = loaded.layout.offset_of(text).unwrap();
    let mut words = std::collections::BTreeMap::new();
    for entry in loaded.object.relocations_of(text).unwrap().iter() {
        if matches!(entry.r_info as u32, 133..=135) {
            let symbol = loaded.object.symbol((entry.r_info >> 32) as u32).unwrap();
            let name = loaded.object.name(&symbol);
            let at = loaded_by(&loaded, start + entry.r_offset as u32);
            if symbol.st_shndx == 0 {
                let address = KERNEL.address_of(name).offset(entry.r_addend);
                assert_eq!(doubleword(&loaded, at), address.0, "{name}");
            }
            assert_eq!(*words.entry((name, entry.r_addend)).or_insert(at), at, "{name}");
        }
    }
    // far_data three times, weak_data, far_function, only_data + 16, data + 4.
    assert_eq!(words.len(), 7);
    let targets = loaded.layout.targets;
    assert_eq!(targets.len, u64::from(loaded.layout.slots) * 8 + 7 * 8);
}

#[test]
fn prefixed_instructions_are_refused_where_the_processor_has_none() {
    let file = assemble("pcrel.S", "sites-power9.o");
    let older = KernelAbi { prefixed: false, ..abi() };
    let load = |options| loader::load(&file, 0x1000, |_| MODULE_BASE, &KERNEL, &older, &options);
    let refused = load(LinkOptions::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        ".text+0x0: R_PPC64_PCREL34 (132) against .data: a prefixed instruction, which only \
         POWER10 and later have; run on one (CPU=power10) or compile with -mcpu=power8"
    );
    load(LinkOptions { link_only: true, ..LinkOptions::default() }).expect("it never runs");
}

/// Whoever counts sites, the kernel's table or the host tool, finds no word twice.
#[test]
fn a_word_that_two_relocations_make_a_call_site_is_refused() {
    let file = assemble("site-twice.S", "sites-site-twice.o");
    let refused = Module::load(&file, &KERNEL, &LinkOptions::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        ".text+0xc: R_PPC64_REL24 (10): an earlier relocation made this branch \
         another one; relocate each word once"
    );
}
