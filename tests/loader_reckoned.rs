//! Large modules, whose stubs nobody counts before they are linked: the same stubs, the
//! same words and the same refusals as of those that were counted.

mod loader_common;

use std::collections::BTreeSet;

use loader_common::{
    FakeKernel, MODULE_BASE, Module, abi, assemble_with, modules_dir, walk_modules,
};
use tocsin::addr::Vaddr;
use tocsin::isa::{Insn, branch};
use tocsin::loader::explain::Lens;
use tocsin::loader::stubs::StubKind;
use tocsin::loader::{
    Layout, LinkOptions, Linked, LoadError, Loaded, Object, Resolved, Resolver, relocate,
};

const PAGE: u64 = 0x1000;
const LINK_ONLY: LinkOptions = LinkOptions {
    link_only: true,
    force: false,
    stubs: tocsin::loader::StubStyle::Default,
    wrong_profile_stubs: false,
};

/// Exports what does not say that it is missing.
struct World;

const KERNEL: FakeKernel = FakeKernel { exports_at: 0x1000_0000 };

impl Resolver for World {
    fn resolve(&self, name: &str) -> Option<Resolved> {
        let missing = name.ends_with("missing") || name == "only_pointed";
        // That of another module, which a branch reaches.
        let near = FakeKernel { exports_at: MODULE_BASE.0 + 0x10_0000 };
        match name {
            _ if missing => None,
            "near_neighbour" => near.resolve(name),
            _ => KERNEL.resolve(name),
        }
    }
}

fn link<'f>(
    object: &Object<'f>,
    layout: &Layout,
    world: &dyn Resolver,
) -> Result<(Linked<'f>, Vec<u8>), LoadError> {
    let mut image = vec![0xa5; layout.size as usize];
    let linked =
        relocate::link(object, layout, MODULE_BASE, &mut image, world, &abi(), &LINK_ONLY)?;
    Ok((linked, image))
}

fn word(image: &[u8], at: u64) -> u32 {
    u32::from_le_bytes(*image[at as usize..].first_chunk().unwrap())
}

fn doubleword(image: &[u8], at: u64) -> u64 {
    u64::from_le_bytes(*image[at as usize..].first_chunk().unwrap())
}

/// Each stub's symbol and kind.
fn stubs(linked: &Linked) -> BTreeSet<(u32, String)> {
    linked.stubs.iter().map(|stub| (stub.owner, stub.kind.to_string())).collect()
}

#[test]
fn what_is_used_has_a_stub_and_nothing_else_has() {
    let file = assemble_with("reckoned.S", &[], "reckoned.o");
    let object = Object::parse(&file).unwrap();
    let layout = Layout::plan(&object, &LINK_ONLY, PAGE).unwrap();
    let (linked, image) = link(&object, &layout, &World).unwrap();
    let name = |index| object.name(&object.symbol(index).unwrap());
    let found: BTreeSet<_> =
        linked.stubs.iter().map(|stub| (name(stub.owner), stub.kind.to_string())).collect();
    let expected = [
        ("_mcount", "profile"),
        ("far_function", "external"),
        ("far_missing", "missing"),
        ("far_other", "external"),
        ("weak_missing", "missing"),
    ];
    let expected = expected.into_iter().map(|(name, kind)| (name, kind.into()));
    assert_eq!(found, expected.collect::<BTreeSet<(_, String)>>());
    assert_eq!((linked.sites.len(), linked.stubs.len()), (3, 6), "two kinds of sites");
    assert!(layout.slots > 6, "there is room that nobody needs: {}", layout.slots);
    // It holds nothing, neither in the text nor among the targets.
    let used: BTreeSet<_> = linked.stubs.iter().map(|stub| stub.at.since(MODULE_BASE)).collect();
    for slot in 0..u64::from(layout.slots) {
        let at = layout.stubs.offset + slot * 32;
        if !used.contains(&at.cast_signed()) {
            assert_eq!(image[at as usize..][..32], [0; 32], "slot {slot}");
            assert_eq!(doubleword(&image, layout.targets.offset + slot * 8), 0, "slot {slot}");
        }
    }
}

/// Data comes before the code in the file, and points to what only the code calls.
#[test]
fn a_pointer_to_what_is_missing_and_called_leads_to_its_trap() {
    let file = assemble_with("reckoned.S", &[], "reckoned-pointers.o");
    let object = Object::parse(&file).unwrap();
    let layout = Layout::plan(&object, &LINK_ONLY, PAGE).unwrap();
    let (linked, image) = link(&object, &layout, &World).unwrap();
    let (data, _) = object.section(".data.first").unwrap();
    let start = u64::from(layout.offset_of(data).unwrap());
    let trap = linked.stubs.find(Vaddr(doubleword(&image, start))).expect("a stub");
    assert_eq!(trap.kind, StubKind::Missing);
    assert_eq!(doubleword(&image, start + 8), 0, "only pointed to");
    assert_eq!(doubleword(&image, start + 16), 0, "weak");
    assert_eq!(doubleword(&image, start + 24), KERNEL.address_of("far_function").0);
}

/// Links both ways, and compares all that does not depend on how many slots there are.
fn same_as_counted(name: &str, file: &[u8], world: &dyn Resolver) -> bool {
    let object = Object::parse(file).unwrap();
    let exact = Layout::plan_exactly(&object, &LINK_ONLY, PAGE).unwrap();
    let layout = Layout::plan(&object, &LINK_ONLY, PAGE).unwrap();
    let counted = link(&object, &exact, world).map(|(linked, _)| stubs(&linked));
    let (linked, image) = match link(&object, &layout, world) {
        Err(LoadError::Recount) => return false,
        other => other.unwrap_or_else(|error| panic!("{name}: {error}")),
    };
    assert_eq!(stubs(&linked), counted.unwrap(), "{name}");
    // Whoever looks at it later, without its relocations at hand, sees the same stubs.
    let lens = Lens::new(&object, &layout, MODULE_BASE, world, &abi(), &LINK_ONLY).expect("binds");
    let seen: Vec<_> = lens.stubs().iter().collect();
    let there: Vec<_> = linked.stubs.iter().filter(|stub| stub.owner != 0).collect();
    assert_eq!(seen, there, "{name}");
    let step = lens.len() / 4000 + 1;
    for number in (1..=lens.len()).step_by(step) {
        let explained = lens.explain(number).unwrap();
        let at = explained.p.since(MODULE_BASE).cast_unsigned();
        let width = explained.width();
        if explained.kept && width != 0 {
            let after = explained.after.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(after[..width], image[at as usize..][..width], "{name}: {number}");
        }
    }
    layout.slots != exact.slots
}

#[test]
fn a_lens_sees_what_was_linked() {
    for flags in [&[][..], &["--defsym=UNKEPT=1"]] {
        let file = assemble_with("reckoned.S", flags, "reckoned-lens.o");
        assert!(same_as_counted("reckoned.S", &file, &World), "{flags:?}");
    }
}

#[test]
fn real_modules_have_the_stubs_that_were_counted() {
    let Some(dir) = modules_dir() else { return };
    let wanted = ["xfs.ko", "nfs.ko", "ext4.ko", "isofs.ko", "kvm.ko", "mac80211.ko"];
    let chosen = walk_modules(&dir);
    let chosen = chosen.iter().filter(|path| wanted.iter().any(|name| path.ends_with(name)));
    let mut reckoned = 0;
    for path in chosen {
        let file = std::fs::read(path).unwrap();
        reckoned += usize::from(same_as_counted(&path.to_string_lossy(), &file, &World));
    }
    assert!(reckoned >= 5, "{reckoned}");
}

/// The way that every caller goes: [`Module::load`] counts after all.
#[test]
fn what_the_symbols_do_not_tell_is_counted_after_all() {
    for flag in ["--defsym=SIBLING=1", "--defsym=EARLY=1", "--defsym=NOTOC=1"] {
        let file = assemble_with("reckoned.S", &[flag], "reckoned-again.o");
        let object = Object::parse(&file).unwrap();
        let layout = Layout::plan(&object, &LINK_ONLY, PAGE).unwrap();
        assert_eq!(link(&object, &layout, &World).unwrap_err(), LoadError::Recount, "{flag}");
        let loaded = Module::load(&file, &World, &LINK_ONLY).unwrap();
        assert_eq!(loaded.layout.slots as usize, loaded.linked.stubs.len(), "{flag}");
        let siblings = loaded.linked.stubs.iter().filter(|stub| stub.kind == StubKind::Sibling);
        assert_eq!(siblings.count(), usize::from(flag.contains("SIBLING")));
        call_leads_to(&loaded, "far_missing", StubKind::Missing);
        let notoc = loaded.linked.stubs.iter().filter(|stub| stub.kind == StubKind::Notoc);
        assert_eq!(notoc.count(), usize::from(flag.contains("NOTOC")));
    }
}

/// When that goes, the patch is linked again, and has the stubs that it had.
#[test]
fn a_patch_that_borrows_is_counted() {
    let flags = ["--defsym=BORROWED=1"];
    let file = assemble_with("reckoned.S", &flags, "reckoned-borrows.o");
    let object = Object::parse(&file).unwrap();
    assert!(Layout::plan(&object, &LINK_ONLY, PAGE).unwrap().is_exact());
    let file = assemble_with("reckoned.S", &[], "reckoned-owns.o");
    let object = Object::parse(&file).unwrap();
    assert!(!Layout::plan(&object, &LINK_ONLY, PAGE).unwrap().is_exact());
}

#[test]
fn a_branch_that_another_relocation_makes_a_call_is_refused() {
    for flag in ["--defsym=CHANGED=1", "--defsym=CHANGED=2"] {
        let file = assemble_with("reckoned.S", &[flag], "reckoned-changed.o");
        let refused = Module::load(&file, &World, &LINK_ONLY).unwrap_err().to_string();
        assert!(refused.contains("an earlier relocation"), "{flag}: {refused}");
    }
}

fn call_leads_to(loaded: &Loaded, name: &str, kind: StubKind) {
    let (text, _) = loaded.object.section(".text").unwrap();
    let start = u64::from(loaded.layout.offset_of(text).unwrap());
    let list = loaded.object.relocations_of(text).unwrap();
    let named = |index| loaded.object.name(&loaded.object.symbol(index).unwrap()) == name;
    let calls = list.iter().filter(|entry| entry.r_info as u32 == 10);
    let calls: Vec<_> = calls.filter(|entry| named((entry.r_info >> 32) as u32)).collect();
    assert!(!calls.is_empty());
    for call in calls {
        let at = start + call.r_offset;
        let insn = Insn(word(&loaded.image, at));
        let to = branch::target_of(insn, MODULE_BASE.offset(at.cast_signed())).unwrap();
        assert_eq!(loaded.linked.stubs.find(to).unwrap().kind, kind);
    }
}

#[test]
fn a_bad_module_is_refused_for_what_is_wrong_with_it() {
    let file = assemble_with("reckoned.S", &["--defsym=BAD=1"], "reckoned-bad.o");
    let refused = Module::load(&file, &World, &LINK_ONLY).unwrap_err().to_string();
    assert!(refused.contains("function") && refused.contains("nop"), "{refused}");
}
