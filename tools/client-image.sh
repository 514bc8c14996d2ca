#!/usr/bin/env bash
# Wraps the kernel for Open Firmware: ELF32, big-endian, with the notes that PowerVM
# reads (boot/client.S). The kernel's bytes stay what they are.
#
#   client-image.sh KERNEL_ELF OUT [ARCHIVE]
#
# KERNEL_ELF is target/tocsin.stripped. ARCHIVE, a cpio archive of modules, is
# carried along, so that the file needs nothing beside it.
set -euo pipefail
kernel=$1 out=$2 archive=${3:-}
here=$(cd "$(dirname "$0")/.." && pwd)
cross=powerpc64le-linux-gnu-

# Firmware reads the file to 16 KiB (load-base) first, and itself sits at 32 MiB
# (real-base); SLOF reads no more than 32 MiB from a PReP partition with an MBR.
load_base=$((0x4000)) real_base=$((0x2000000))

refuse() {
    echo "client-image: $*" >&2
    exit 1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The one loadable segment: bytes in the file, bytes in memory.
read -r file_bytes memory_bytes < <("${cross}readelf" -lW "$kernel" |
    awk '$1 == "LOAD" { print $5, $6; loads++ } END { if (loads != 1) exit 1 }') ||
    refuse "$kernel: not one loadable segment"
"${cross}objcopy" -O binary "$kernel" "$scratch/kernel"
[ "$(stat -c %s "$scratch/kernel")" = $((file_bytes)) ] ||
    refuse "$kernel: its segment has $((file_bytes)) bytes, and objcopy finds others"

symbols=(
    --defsym REAL_BASE=$real_base
    --defsym KERNEL_BSS=$((memory_bytes - file_bytes))
    --defsym "KERNEL_SUM=$(python3 - "$scratch/kernel" <<'END'
import array, sys
data = open(sys.argv[1], "rb").read()
words = array.array("I", data + bytes(-len(data) % 4))
if sys.byteorder == "little":
    words.byteswap()
total = 0
for word in words:
    total = ((total << 1 | total >> 31) + word) & 0xffffffff
print(total)
END
)"
)
if [ -n "$archive" ]; then
    cp "$archive" "$scratch/archive"
    symbols+=(--defsym HAVE_ARCHIVE=1)
fi
# What the image takes, from 64 MiB on; what firmware keeps (38 MiB), RTAS (37 MiB on
# PowerVM), and the rest to work in. With less than 256 MiB nothing is promised.
size=$((memory_bytes + $([ -z "$archive" ] || stat -c %s "$archive") + 0))
symbols+=(--defsym MIN_RMO_MIB=$((192 + (size >> 20))))

"${cross}as" -mbig -a32 -mregnames "${symbols[@]}" -I "$scratch" -o "$scratch/client.o" "$here/boot/client.S"
"${cross}ld" -m elf32ppc -z max-page-size=0x1000 --no-warn-rwx-segments -T "$here/boot/client.ld" -o "$scratch/client" "$scratch/client.o"
"${cross}objcopy" --strip-all "$scratch/client" "$scratch/stripped"
bytes=$(stat -c %s "$scratch/stripped")
if [ "$bytes" -gt $((real_base - load_base)) ]; then
    refuse "$out would have $bytes bytes, firmware reads at most $((real_base - load_base)):" \
        "leave modules out, or beside it (EMBED=0)"
fi
mv "$scratch/stripped" "$out"
echo "client-image: $out: $bytes bytes" >&2
