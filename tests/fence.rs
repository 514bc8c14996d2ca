//! The fence of `src/lib.rs`: what the host tests has no `unsafe`, by its own word,
//! so there is no undefined behaviour to look for but in what it is built from.

use std::path::Path;

#[test]
fn whatever_is_above_the_fence_forbids_unsafe() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let map = read(&src.join("lib.rs"));
    let (mut above, mut below) = (Vec::new(), Vec::new());
    let mut last = "";
    for line in map.lines() {
        if let Some(name) = line.strip_prefix("pub mod ").and_then(|it| it.strip_suffix(';')) {
            let fenced = last == "#[cfg(target_os = \"none\")]";
            if fenced { &mut below } else { &mut above }.push(name);
        }
        last = line;
    }
    assert_eq!(below, ["kernel", "machine"]);
    assert!(above.len() >= 15, "{above:?}");
    for name in above.into_iter().chain(["kernel"]) {
        let root = read(&src.join(name).join("mod.rs")) + &read(&src.join(format!("{name}.rs")));
        assert!(root.contains("#![forbid(unsafe_code)]"), "{name}");
    }
}
