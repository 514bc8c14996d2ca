//! Tables that change code: what is applied, and what is told because it cannot be.

mod loader_common;

use loader_common::builder::{ALLOC, Builder, CODE, Section, WRITE};
use loader_common::{FakeKernel, MODULE_BASE, Module};
use tocsin::loader::LinkOptions;
use tocsin::loader::tables::{Facts, Key, Left, settle};

const NOP: u32 = 0x6000_0000;
/// `b .+8`.
const B_8: u32 = 0x4800_0008;
const REL32: u32 = 26;
const REL64: u32 = 44;
const ADDR64: u32 = 38;

/// What is left of a module whose keys are `key`, and its first word then.
fn settled(builder: Builder, key: Key) -> (Vec<Left>, u32) {
    let file = builder.build();
    let kernel = FakeKernel { exports_at: 0x1000_0000 };
    let mut loaded = Module::load(&file, &kernel, &LinkOptions::default()).expect("loaded");
    let facts = Facts { arch_31: false, key: &|_| key };
    let (object, layout) = (&loaded.object, &loaded.layout);
    let sites = &loaded.linked.sites;
    let left = settle(object, layout, MODULE_BASE, &mut loaded.image, &facts, sites);
    (left, u32::from_le_bytes(*loaded.image.first_chunk().expect("code")))
}

/// A static branch at `code`, to `target` in `.text` or elsewhere.
fn branch(word: u32, code: i64, target: i64) -> Builder {
    let mut builder = Builder::default();
    builder.section(".text", ALLOC | CODE, &[word, NOP, NOP, NOP]);
    builder.section(".data", ALLOC | WRITE, &[0; 2]);
    let table = builder.section("__jump_table", ALLOC | WRITE, &[0; 4]);
    let text = builder.symbol("text", 0, 1, 0, 0);
    let data = builder.symbol("data", 0, 2, 0, 0);
    builder.relocations(
        table,
        &[(0, REL32, text, code), (4, REL32, text, target), (8, REL64, data, 0)],
    );
    builder
}

const ONE: &[Left] = &[Left { section: "__jump_table", count: 1 }];

#[test]
fn a_static_branch_follows_its_key() {
    for (word, key, then) in [
        (NOP, Key::AsCompiled, NOP),
        (B_8, Key::AsCompiled, B_8),
        (NOP, Key::Enabled(0), NOP),
        (NOP, Key::Enabled(2), B_8),
        (B_8, Key::Enabled(0), NOP),
    ] {
        assert_eq!(settled(branch(word, 0, 8), key), (vec![], then), "{word:#x} {key:?}");
    }
}

#[test]
fn a_static_branch_that_can_never_follow_its_key_is_told() {
    let keys = [Key::AsCompiled, Key::Enabled(0), Key::Enabled(1)];
    let li = 0x3860_0000;
    for key in keys {
        // Another word; no word; a place behind the code; a target out of reach.
        for (word, code, target) in [(li, 0, 8), (NOP, 2, 8), (NOP, 16, 8), (NOP, 0, 0x200_0000)] {
            let (left, now) = settled(branch(word, code, target), key);
            assert_eq!((&left[..], now), (ONE, word), "{word:#x} {code} {target} {key:?}");
        }
        assert_eq!(settled(branch(NOP, 0, 0x1ff_fffc), key).0, [], "the farthest");
    }
    assert_eq!(settled(branch(NOP, 0, 8), Key::Nowhere), (ONE.to_vec(), NOP));
}

#[test]
fn a_static_branch_at_a_call_site_is_told() {
    let mut builder = branch(NOP, 0, 8);
    let list = builder.section("__patchable_function_entries", ALLOC | WRITE, &[0; 2]);
    let function = builder.symbol("function", 0x12, 1, 0, 16);
    builder.relocations(list, &[(0, ADDR64, function, 0)]);
    for key in [Key::AsCompiled, Key::Enabled(1)] {
        assert_eq!(settled(builder.clone(), key), (ONE.to_vec(), NOP), "{key:?}");
    }
}

#[test]
fn a_table_of_zeros_is_told() {
    for (name, entry) in [
        ("__jump_table", 16),
        ("__bug_table", 12),
        ("__ex_table", 8),
        ("__ftr_fixup", 48),
        ("__lwsync_fixup", 8),
        ("__mmu_ftr_fixup", 48),
    ] {
        for (size, count) in [(entry * 3, 3), (0, 0)] {
            let mut builder = Builder::default();
            builder.section(".text", ALLOC | CODE, &[NOP; 4]);
            let flags = ALLOC | WRITE;
            let size = Some(size);
            builder.raw(Section { name, kind: 8, flags, align: 8, size, ..Section::default() });
            let (left, _) = settled(builder, Key::AsCompiled);
            let told: Vec<_> = left.iter().map(|left| (left.section, left.count)).collect();
            let expected = [(name, count)];
            assert_eq!(told, expected[..usize::from(count != 0)], "{name}");
        }
    }
}
