//! Has `src/trace/ring.rs` take loom's atomics in place of the machine's.

fn main() {
    println!("cargo::rustc-cfg=loom");
}
