#!/usr/bin/env bash
# Fetches packages of Debian's for ppc64el and unpacks them.
#
#   debian-fetch.sh DIR PACKAGE...
#
# The system's own apt is not touched, so this needs neither root nor a foreign
# architecture. Nothing is done if DIR has them all.
set -euo pipefail
dir=$1
shift

[ "$(cat "$dir/complete" 2>/dev/null)" != "$*" ] || exit 0
command -v apt-get >/dev/null || {
    echo "debian-fetch: no apt-get here. Unpack Debian's $* (ppc64el) into $dir, and write" >&2
    echo "debian-fetch: '$*' into $dir/complete" >&2
    exit 1
}
rm -rf "$dir"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
dir=$(cd "$dir" && pwd)
work=$dir/apt
: >"$work/status"
options=(
    -o APT::Architecture=ppc64el -o APT::Architectures::=ppc64el
    -o Dir::State="$work" -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status"
    -o Dir::Cache="$work/cache" -o APT::Sandbox::User= -o Acquire::Languages=none
)
# An index may fail while the mirror changes, and the others are usable: what counts
# is whether the packages are found.
for _ in 1 2 3; do
    apt-get "${options[@]}" update -o APT::Update::Error-Mode=any >&2 && break
    sleep 3
done || true
(cd "$work" && apt-get "${options[@]}" download "$@" >&2)
for package in "$work"/*.deb; do
    dpkg-deb -x "$package" "$dir"
done
rm -rf "$work"
echo "$*" >"$dir/complete"
