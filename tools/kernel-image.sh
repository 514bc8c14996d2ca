#!/usr/bin/env bash
# Puts the kernel's own symbols into its image.
#
#   kernel-image.sh KSYMS KERNEL_ELF OUT
#
# The link keeps a place for them, .ksyms (tools/link-kernel): the symbols'
# addresses are known only after it. KSYMS packs the names into that many bytes,
# objcopy puts them there, and no address moves. OUT keeps its symbols and lines for
# gdb; OUT.stripped is what boots: the same bytes as one piece (boot/image.ld).
set -euo pipefail
ksyms=$1 kernel=$2 out=$3
here=$(dirname "$0")/..
cross=powerpc64le-linux-gnu-
limit=1000000

# `objdump -h`: index, name, size in hex, ...
size=$("${cross}objdump" -h "$kernel" | awk '$2 == ".ksyms" { print $3 }')
[ -n "$size" ] || { echo "kernel-image: $kernel has no section .ksyms" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
blob=$scratch/ksyms
"$ksyms" "$kernel" "$blob" --size $((16#$size))
[ "$(stat -c %s "$blob")" = $((16#$size)) ] || {
    echo "kernel-image: $ksyms wrote $(stat -c %s "$blob") bytes, .ksyms has $((16#$size))" >&2
    exit 1
}
"${cross}objcopy" --update-section ".ksyms=$blob" "$kernel" "$out.new"

# The one loadable segment: bytes in the file, bytes in memory.
read -r in_file in_memory < <("${cross}readelf" -lW "$out.new" |
    awk '$1 == "LOAD" { print $5, $6; loads++ } END { if (loads != 1) exit 1 }') ||
    { echo "kernel-image: $kernel: not one loadable segment" >&2; exit 1; }
"${cross}objcopy" -O binary "$out.new" "$scratch/image"
"${cross}as" -mlittle -a64 -I "$scratch" -o "$scratch/image.o" - <<'END'
    .abiversion 2
    .section .image, "awx"
    .incbin "image"
END
"${cross}ld" -z max-page-size=0x100 --no-warn-rwx-segments --strip-all -T "$here/boot/image.ld" \
    --defsym "bytes=$in_file" --defsym "zeros=$((in_memory - in_file))" \
    -o "$out.stripped.new" "$scratch/image.o"
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
