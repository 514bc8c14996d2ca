#!/bin/sh
# Compiles one Rust source to a static library: rust.sh NAME SOURCE.rs OUT.a
#
# A crate is made round the source, in target/modules/rust/yours/NAME, with two
# dependencies: `tocsin_module` (sections, printing, the panic handler) and `klp`
# (live patches). `core` is built once, for all Rust modules.
set -eu
name=$1 source=$(realpath "$2") out=$3
here=$(cd "$(dirname "$0")" && pwd)
target=$here/../target/modules/rust
case $name in
[!a-z_]* | *[!a-z0-9_]*)
	echo "rust.sh: $name: a crate's name has small letters, digits and _, and begins with a letter" >&2
	exit 2
	;;
esac

crate=$target/yours/$name
mkdir -p "$crate"
cat > "$crate/Cargo.toml.new" << END
[workspace]
[package]
name = "$name"
version = "0.1.0"
edition = "2024"
[lib]
crate-type = ["staticlib"]
path = "$source"
[dependencies]
tocsin_module = { path = "$here/rust/tocsin_module" }
klp = { path = "$here/rust/klp" }
[profile.release]
panic = "abort"
opt-level = "s"
lto = true
codegen-units = 1
END
cmp -s "$crate/Cargo.toml.new" "$crate/Cargo.toml" || cp "$crate/Cargo.toml.new" "$crate/Cargo.toml"
rm "$crate/Cargo.toml.new"
cd "$crate"
RUSTC_BOOTSTRAP=1 RUSTC_WORKSPACE_WRAPPER=$here/../tools/rustc-patchable \
	cargo build --quiet --offline --release --target "$here/../boot/ppc64le-none.json" \
	--target-dir "$target" -Zjson-target-spec -Zbuild-std=core >&2
cp "$target/ppc64le-none/release/lib$name.a" "$out"
