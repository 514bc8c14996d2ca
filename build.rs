//! Hands the linker script to the kernel's link; host builds need nothing.

fn main() {
    println!("cargo::rerun-if-changed=linker.ld");
    println!("cargo::rerun-if-changed=boot");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rustc-link-arg-bins=-T{root}/linker.ld");
    println!("cargo::rustc-link-arg-bins=-zmax-page-size=0x1000");
    // 2,000 pointers that move with the image take less than 1 KB, not 48.
    println!("cargo::rustc-link-arg-bins=-zpack-relative-relocs");
    println!("cargo::rustc-link-arg-bins=--orphan-handling=error");
}
