#!/usr/bin/env bash
# A disk as a POWER machine that runs Linux has one: GRUB in the PReP partition, and
# /boot on ext2 with what `make image` made for it. For tests: `make test-media`.
#
#   grub-disk.sh GRUB_MODULES IMAGES OUT [apart]
#
# GRUB_MODULES is /usr/lib/grub/powerpc-ieee1275 of Debian's grub-ieee1275-bin for
# ppc64el; IMAGES is target/image. `apart`: the files lie on a partition of their own,
# which is not the one with GRUB's menu.
set -euo pipefail
# sfdisk and mkfs are not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
modules=$1 images=$2 out=$3 apart=${4:-}
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

grub=$scratch/root/boot/grub files=$scratch/root/boot
[ -z "$apart" ] || files=$scratch/files
mkdir -p "$grub/powerpc-ieee1275" "$files"
cp "$modules"/*.mod "$modules"/*.lst "$grub/powerpc-ieee1275/"
cp -r "$images/grub/tocsin" "$files/"
{
    echo 'set timeout=0'
    echo 'set default=0'
    # As it may be after what a distribution has in front of our entry.
    echo 'set root=elsewhere'
    sh "$images/grub/41_tocsin"
} >"$grub/grub.cfg"

# MiB at which the next partition begins; the first, of 8, is GRUB's.
at=9
table=$'label: dos\nstart=1MiB, size=8MiB, type=41, bootable'
truncate -s ${at}M "$scratch/disk"
for folder in "$scratch/root" ${apart:+"$files"}; do
    size=$(($(du -sm "$folder" | cut -f1) * 5 / 4 + 16))
    mke2fs -q -t ext2 -d "$folder" "$scratch/ext2" "${size}M" 2>/dev/null
    dd if="$scratch/ext2" of="$scratch/disk" bs=1M seek=$at conv=notrunc,sparse status=none
    rm "$scratch/ext2"
    table+=$'\n'"start=${at}MiB, size=${size}MiB, type=83"
    at=$((at + size))
    truncate -s $((at + 1))M "$scratch/disk"
done
sfdisk --quiet --no-reread --no-tell-kernel "$scratch/disk" <<<"$table"
dd if="$scratch/grub" of="$scratch/disk" bs=1M seek=1 conv=notrunc status=none
mv "$scratch/disk" "$out"
