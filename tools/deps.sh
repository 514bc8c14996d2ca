#!/usr/bin/env bash
# Installs what the build and the tests need, where it is missing.
#
#   deps.sh build     compiler, cross tools, python3
#   deps.sh run       QEMU, and what packs an initrd
#   deps.sh test      what the tests compare with
#   deps.sh fuzz      what compiles libFuzzer
#   deps.sh media     what makes boot media
#   deps.sh grub      what makes a disk with GRUB, for tests
#   deps.sh debug     gdb
#   deps.sh fetch     what unpacks a Debian kernel package
#
# Nothing to do takes a few milliseconds, so every make target that needs
# something asks here first. Debian and its relatives: apt-get, as root or
# through sudo. Elsewhere: says what is missing and how others call it.
set -euo pipefail

# Commands and the packages that have them on Debian 12.
packages_of() {
    case $1 in
    build)
        want powerpc64le-linux-gnu-gcc gcc-powerpc64le-linux-gnu
        want powerpc64le-linux-gnu-ld binutils-powerpc64le-linux-gnu
        want python3 python3
        want cc gcc libc6-dev
        # rustc 1.96: Debian's own rustc is older. Crates come over https.
        rust_is_there || echo rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web ca-certificates
        ;;
    run)
        want qemu-system-ppc64 qemu-system-ppc
        want python3 python3
        ;;
    test)
        want cpio cpio
        want xz xz-utils
        want zstd zstd
        want dtc device-tree-compiler
        ;;
    fuzz) want g++ g++ ;;
    media)
        want xorriso xorriso
        want sfdisk fdisk
        want mkfs.fat dosfstools
        want mcopy mtools
        ;;
    grub)
        want grub-mkimage grub-common
        want mke2fs e2fsprogs
        ;;
    debug) want gdb-multiarch gdb-multiarch ;;
    fetch) want dpkg-deb dpkg ;;
    *)
        echo "deps.sh: $1: build, run, test, media, grub, fuzz, debug or fetch" >&2
        exit 2
        ;;
    esac
}

# Some are in folders that are not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

want() {
    local command=$1
    shift
    command -v "$command" >/dev/null || echo "$@"
}

# Debian's packages (any version from 1.96 on), or rustup's pinned toolchain.
rust_is_there() {
    if new_enough "$(/usr/bin/rustc --version 2>/dev/null)"; then
        [ -e /usr/bin/cargo ] && [ -e /usr/bin/cargo-clippy ] && [ -e /usr/bin/rustfmt ] &&
            [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]
    else
        new_enough "$(rustc --version 2>/dev/null)" &&
            [ -d "$(rustc --print sysroot)/lib/rustlib/src/rust/library" ]
    fi
}

new_enough() {
    [[ $1 =~ ^rustc\ 1\.([0-9]+)\. ]] && [ "${BASH_REMATCH[1]}" -ge 96 ]
}

missing() {
    local group
    for group in "$@"; do packages_of "$group"; done | tr ' ' '\n' | sort -u
}

mapfile -t list < <(missing "$@")
[ ${#list[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && as_root=(sudo)
fi
if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && [ ${#as_root[@]} = 0 ]; }; then
    cat >&2 <<END
deps.sh: missing, by the names of Debian 12's packages: ${list[*]}
Without apt-get (or without root and sudo) please install by hand:
  - QEMU's system emulator for ppc64, with its firmware   (qemu-system-ppc64)
  - gcc and binutils for powerpc64le-linux-gnu            (the prefix powerpc64le-linux-gnu-)
  - rustup, which reads rust-toolchain.toml: rustc 1.96 with rust-src, clippy, rustfmt
  - python3, xz, zstd, cpio, dtc, make, a C compiler; g++ for make fuzz; gdb with support for powerpc
  - for boot media: xorriso, sfdisk, mkfs.fat, mtools; for tests of GRUB: grub-mkimage
END
    exit 1
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >&2
}

echo "deps.sh: installing ${list[*]}" >&2
# One index that cannot be had makes `update` fail, and the rest is usable: what
# counts is whether the packages can be installed.
for _ in 1 2 3; do
    apt update -o APT::Update::Error-Mode=any && break
    sleep 3
done || true
apt install -y --no-install-recommends "${list[@]}"

mapfile -t list < <(missing "$@")
if [ ${#list[@]} -gt 0 ]; then
    echo "deps.sh: still missing after the installation: ${list[*]}" >&2
    echo "deps.sh: rustc 1.96 is in Debian 12's security archive (bookworm-security)" >&2
    exit 1
fi
