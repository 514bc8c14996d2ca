#!/usr/bin/env bash
# A disk as a POWER machine that runs Linux has one: GRUB in the PReP partition, and
# /boot on ext2 with what `make image` made for it. For tests: `make test-media`.
#
#   grub-disk.sh GRUB_MODULES IMAGES OUT
#
# GRUB_MODULES is /usr/lib/grub/powerpc-ieee1275 of Debian's grub-ieee1275-bin for
# ppc64el; IMAGES is target/image.
set -euo pipefail
# sfdisk and mkfs are not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
modules=$1 images=$2 out=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mib=$((1 << 20))

cat >"$scratch/early.cfg" <<'END'
search.file /boot/grub/grub.cfg root
set prefix=($root)/boot/grub
END
grub-mkimage -O powerpc-ieee1275 -d "$modules" -p /boot/grub -c "$scratch/early.cfg" --note \
    -o "$scratch/grub" part_msdos part_gpt ext2 normal linux search search_fs_file \
    configfile echo test boot

mkdir -p "$scratch/root/boot/grub"
cp -r "$images/grub/tocsin" "$scratch/root/boot/"
{
    echo 'set timeout=0'
    echo 'set default=0'
    sh "$images/grub/41_tocsin"
} >"$scratch/root/boot/grub/grub.cfg"
root_mib=$(($(du -sm "$scratch/root" | cut -f1) * 5 / 4 + 16))
mke2fs -q -t ext2 -d "$scratch/root" "$scratch/ext2" "${root_mib}M" 2>/dev/null

truncate -s $(((root_mib + 10) * mib)) "$scratch/disk"
sfdisk --quiet --no-reread --no-tell-kernel "$scratch/disk" <<END
label: dos
start=1MiB, size=8MiB, type=41, bootable
start=9MiB, size=${root_mib}MiB, type=83
END
dd if="$scratch/grub" of="$scratch/disk" bs=1M seek=1 conv=notrunc status=none
dd if="$scratch/ext2" of="$scratch/disk" bs=1M seek=9 conv=notrunc,sparse status=none
mv "$scratch/disk" "$out"
