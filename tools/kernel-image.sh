#!/usr/bin/env bash
# Puts the kernel's own symbols into its image.
#
#   kernel-image.sh KSYMS KERNEL_ELF OUT
#
# The link keeps a place for them, .ksyms (tools/link-kernel): the symbols'
# addresses are known only after it. KSYMS packs the names into that many bytes,
# objcopy puts them there, and no address moves. OUT keeps its symbols and lines for gdb; OUT.stripped is what boots.
set -euo pipefail
ksyms=$1 kernel=$2 out=$3
objdump=powerpc64le-linux-gnu-objdump
objcopy=powerpc64le-linux-gnu-objcopy
limit=1000000

# `objdump -h`: index, name, size in hex, ...
size=$("$objdump" -h "$kernel" | awk '$2 == ".ksyms" { print $3 }')
[ -n "$size" ] || { echo "kernel-image: $kernel has no section .ksyms" >&2; exit 1; }

blob=$(mktemp)
trap 'rm -f "$blob"' EXIT
"$ksyms" "$kernel" "$blob" --size $((16#$size))
[ "$(stat -c %s "$blob")" = $((16#$size)) ] || {
    echo "kernel-image: $ksyms wrote $(stat -c %s "$blob") bytes, .ksyms has $((16#$size))" >&2
    exit 1
}
"$objcopy" --update-section ".ksyms=$blob" "$kernel" "$out.new"
"$objcopy" --strip-all -R __patchable_function_entries "$out.new" "$out.stripped.new"
bytes=$(stat -c %s "$out.stripped.new")
if [ "$bytes" -ge $limit ]; then
    echo "kernel-image: the stripped image has $bytes bytes; it stays under $limit" >&2
    exit 1
fi
for place in /root/ /home/ "${HOME:-/root}/" "${CARGO_HOME:-/root/.cargo}/" "$PWD/"; do
    # A home that is / is no home.
    if [ "$place" != // ] && grep -qaF -- "$place" "$out.stripped.new"; then
        echo "kernel-image: the image names $place, where it was built: see REMAP in the Makefile" >&2
        exit 1
    fi
done
mv "$out.new" "$out"
mv "$out.stripped.new" "$out.stripped"
echo "kernel-image: $out.stripped: $bytes bytes" >&2
