//! The reader of flattened trees, on what the device tree compiler makes.

use std::path::Path;
use std::process::Command;

use tocsin::fdt::{Tree, ranges};

/// `fixtures/bare.dts` as bytes; `None`, and a word about it, without the compiler.
fn bare() -> Option<Vec<u8>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bare.dts");
    match Command::new("dtc").args(["-q", "-O", "dtb"]).arg(source).output() {
        Ok(done) if done.status.success() => Some(done.stdout),
        Ok(done) => panic!("{}", String::from_utf8_lossy(&done.stderr)),
        Err(_) => {
            eprintln!("skipped: no dtc (make deps)");
            None
        }
    }
}

#[test]
fn finds_nodes_and_properties_where_the_compiler_put_them() {
    let Some(bytes) = bare() else { return };
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Tree::new(&longer).unwrap().bytes(), bytes);
    let tree = Tree::new(&bytes).unwrap();
    assert!(tree.reserved().eq([(0x3000_0000, 0x60_0000), (0x203f_fd80_0000, 0x40_0000)]));
    let root = tree.find(&[]).unwrap();
    assert_eq!(root.text("model"), Some(&b"bare machine"[..]));
    assert_eq!(root.text("compatible"), Some(&b"one"[..]));
    assert_eq!(root.property("compatible"), Some(&b"one\0two\0"[..]));
    assert_eq!(root.property("bootargs"), None);
    let names: Vec<_> = root.children().map(|node| node.name()).collect();
    assert_eq!(names, [&b"chosen"[..], b"cpu-map", b"cpus", b"memory@0"]);
    let chosen = tree.find(&["chosen"]).unwrap();
    assert_eq!(chosen.text("bootargs"), Some(&b"mmu=off -- echo a"[..]));
    assert_eq!(chosen.number("linux,initrd-start"), Some(0x2800_0000));
    assert_eq!(chosen.number("linux,initrd-end"), Some(0x2800_1388));
    assert_eq!(chosen.number("bootargs"), None);
    let cpus: Vec<_> = tree.below(&["cpus"]).collect();
    assert_eq!(cpus.len(), 2);
    assert_eq!(tree.below(&["gpus"]).count(), 0);
    let servers = cpus.iter().map(|cpu| cpu.property("ibm,ppc-interrupt-server#s").unwrap().len());
    assert!(servers.eq([16, 4]));
    assert_eq!(cpus[1].property("64-bit"), Some(&[][..]));
    assert_eq!(cpus[0].property("level"), None);
    assert!(tree.find(&["cpus", "PowerPC,POWER9@0"]).unwrap().property("64-bit").is_some());
    assert_eq!(
        tree.find(&["cpus", "PowerPC,POWER9", "l2-cache"]).unwrap().number("level"),
        Some(2)
    );
    assert!(tree.find(&["cpus", "l2-cache"]).is_none() && tree.find(&["cpu"]).is_none());
    let memory = tree.find(&["memory"]).unwrap().property("reg").unwrap();
    assert!(ranges(memory).eq([(0, 0x8000_0000), (0x1_0000_0000, 0x4000_0000)]));
}

#[test]
fn a_tree_that_was_cut_or_damaged_ends_early_and_never_panics() {
    let Some(bytes) = bare() else { return };
    let walk = |bytes: &[u8]| {
        let Some(tree) = Tree::new(bytes) else { return 0 };
        let Some(root) = tree.find(&[]) else { return 0 };
        root.children().count()
            + tree.below(&["cpus"]).count()
            + tree.reserved().count()
            + usize::from(root.text("none").is_some())
    };
    assert_eq!(walk(&bytes), 8);
    for len in 0..bytes.len() {
        assert_eq!(walk(&bytes[..len]), 0, "all of it must be there");
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut spoiled = bytes.clone();
            spoiled[at] = value;
            walk(&spoiled);
            // Its length is believed only as far as there are bytes.
            spoiled.truncate(at);
            walk(&spoiled);
        }
    }
}

#[test]
fn what_no_compiler_of_today_makes_is_no_tree() {
    let Some(bytes) = bare() else { return };
    // Header words: magic, the version that it is, the oldest that it says it is.
    for (at, value) in [(0, 0xd00d_fee0_u32), (20, 15), (24, 18)] {
        let mut other = bytes.clone();
        other[at..at + 4].copy_from_slice(&value.to_be_bytes());
        assert!(Tree::new(&other).is_none(), "{at}");
    }
}
