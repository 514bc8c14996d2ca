#!/usr/bin/env bash
# Fetches Debian's kernel for ppc64el and unpacks it: 3,000 real modules.
#
#   debian-modules.sh DIR           makes DIR/lib/modules/VERSION/...
#   debian-modules.sh DIR kernel    and DIR/boot/vmlinux-VERSION, which bench/ boots
#
# DEBIAN_SUITE in the environment is a suite of Debian's to take them from, such as sid,
# instead of what this machine's sources say.
#
# They are test input and are never committed. The image's name changes with
# every update of Debian's kernel; linux-image-powerpc64le depends on today's.
# Indexes and package stay in DIR: the system's own apt is not touched, so this
# needs neither root nor a foreign architecture.
set -euo pipefail
dir=$1 wanted=${2:-modules}

if [ -e "$dir/complete" ]; then
    if [ "$wanted" = modules ] || compgen -G "$dir/boot/vmlinux-*" >/dev/null; then
        exit 0
    fi
fi
if ! command -v apt-get >/dev/null; then
    echo "debian-modules: no apt-get here. Unpack the Debian package linux-image-*-powerpc64le for" >&2
    echo "debian-modules: ppc64el yourself and set TOCSIN_MODULES_DIR to the folder" >&2
    exit 1
fi

rm -rf "$dir"
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
work=$dir/apt
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
: >"$work/status"
options=(
    -o APT::Architecture=ppc64el -o APT::Architectures::=ppc64el
    -o Dir::State="$work" -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status"
    -o Dir::Cache="$work/cache" -o APT::Sandbox::User= -o Acquire::Languages=none
)

if [ -n "${DEBIAN_SUITE:-}" ]; then
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$key] http://deb.debian.org/debian $DEBIAN_SUITE main" >"$work/sources.list"
    options+=(-o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=-)
fi

# An index may fail while the mirror changes, and the others are usable: what
# counts is whether the package is found.
for _ in 1 2 3; do
    apt-get "${options[@]}" update -o APT::Update::Error-Mode=any >&2 && break
    sleep 3
done || true
# Which package PACKAGE needs whose name begins with START.
needs() {
    apt-cache "${options[@]}" show "$1:ppc64el" | sed -n '/^Depends: /s/[ ,]/\n/gp' |
        sed -n "/^$2-[0-9]/p" | head -1
}
image=$(needs linux-image-powerpc64le linux-image)
[ -n "$image" ] || { echo "debian-modules: linux-image-powerpc64le:ppc64el: not found" >&2; exit 1; }
# From Linux 7 on the modules have a package of their own, and lie in /usr/lib.
modules=$(needs "$image" linux-modules)
(cd "$work" && apt-get "${options[@]}" download "${modules:-$image}:ppc64el" >&2)
dpkg-deb -x "$work/${modules:-$image}"_*.deb "$dir"
[ -e "$dir/lib/modules" ] || { mkdir -p "$dir/lib" && mv "$dir/usr/lib/modules" "$dir/lib"; }
rm -rf "$work" "$dir/usr"
[ "$wanted" = kernel ] || rm -rf "$dir/boot"
echo "$image" >"$dir/complete"
echo "debian-modules: $image: $(find "$dir/lib/modules" -name '*.ko*' | wc -l) modules" >&2
