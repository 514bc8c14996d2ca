#!/usr/bin/env bash
# Makes boot media: what `make image` runs. From the environment, as for `make run`:
#
#   CMD        commands to run at boot; then the machine powers off. Without it the
#              demo runs and the prompt follows
#   MODULES    modules beside the samples: .ko, .ko.xz, .ko.zst, or folders
#   WORDS      boot words: reboot (instead of power off), interactive, console=hvc1,
#              mmu=hash, ... (src/kernel/run.rs)
#   EMBED      1: the modules go into the kernel's own file too, and nothing has to
#              lie beside it
#   ONLY       of mbr gpt iso net grub; all by default
#   OUT        where to (target/image)
#
#   OUT/tocsin.elf      the kernel as an Open Firmware client (tools/client-image.sh)
#   OUT/initrd.img      modules and commands: a cpio archive
#   OUT/commands.txt    the commands; edit them here or on the medium
#   OUT/tocsin-mbr.img  disk: PReP partition with the kernel, FAT partition with the rest
#   OUT/tocsin-gpt.img  the same with a GPT
#   OUT/tocsin.iso      CD or virtual medium
#   OUT/net/            for a TFTP server, with an example for dnsmasq
#   OUT/grub/           for /boot of a machine that runs Linux, with a menu entry
set -euo pipefail
# sfdisk and mkfs are not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

root=$(cd "$(dirname "$0")/.." && pwd)
kernel=${KERNEL:-$root/target/tocsin.stripped}
caller=${CALLER:-$PWD}
out=$root/target/image
[ -z "${OUT:-}" ] || out=$(cd "$caller" && realpath -m "$OUT")
read -ra only <<<"${ONLY:-mbr gpt iso net grub}"

refuse() {
    echo "image: $*" >&2
    exit 1
}

wants() {
    [[ " ${only[*]} " == *" $1 "* ]]
}

for form in "${only[@]}"; do
    case $form in
    mbr | gpt | iso | net | grub) ;;
    *) refuse "ONLY=$form: mbr, gpt, iso, net or grub" ;;
    esac
done
case ${EMBED:-0} in 0 | 1) ;; *) refuse "EMBED=$EMBED: 1 or nothing" ;; esac
[ -f "$kernel" ] || refuse "$kernel: no kernel there; 'make kernel' builds it"
mkdir -p "$out"
scratch=$(mktemp -d "$out/.new.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# --- what goes in ----------------------------------------------------------

words=${WORDS:-}
if [ -n "${CMD:-}" ]; then
    commands=$CMD
else
    commands=$(<"$root/qemu/demo.cmds")
    words="interactive${words:+ $words}"
fi
# The first line makes the kernel miss the last if it is not there (src/media.rs).
end='# end of commands'
printf '%s\n' "# Whole if it has the line: $end" "$words --" "$commands" "$end" >"$scratch/commands.txt"

shopt -s nullglob
modules=("$root"/target/modules/*.ko)
if [ -n "${MODULES:-}" ]; then
    # Words as a shell makes them, but nothing in them is run.
    list=$(xargs printf '%s\n' <<<"$MODULES") || refuse "MODULES: a quote is not closed"
    mapfile -t -O ${#modules[@]} modules <<<"$list"
fi
python3 "$root/qemu/mkinitrd.py" --base "$caller" --seal --commands "$scratch/commands.txt" \
    "$scratch/initrd.img" "${modules[@]}"
carried=()
[ "${EMBED:-0}" = 0 ] || carried=("$scratch/initrd.img")
"$root/tools/client-image.sh" "$kernel" "$scratch/tocsin.elf" "${carried[@]}" 2>"$scratch/log" || {
    cat "$scratch/log" >&2
    exit 1
}

size_of() {
    stat -c %s "$1"
}

# --- disks -----------------------------------------------------------------

# The kernel's partition: 8 MiB are what installers give it, and what does not fit
# into that takes more. Firmware reads all of it (32 MiB at most with an MBR).
sector=512
mib=$((1 << 20))
prep_mib=8
while [ $((prep_mib * mib)) -lt "$(size_of "$scratch/tocsin.elf")" ]; do
    prep_mib=$((prep_mib + 8))
done
# The files': FAT16, because SLOF and PowerVM both know it, with a quarter of room.
# The largest clusters that leave FAT16 enough of them: firmware reads cluster by
# cluster. SLOF takes the last two for none, one more reason for room.
files_mib=$((($(size_of "$scratch/initrd.img") / 4 * 5) / mib + 32))
[ "$files_mib" -ge 64 ] || files_mib=64
[ "$files_mib" -le 2000 ] || refuse "the modules are $files_mib MiB: FAT16 holds 2 GiB"

fat() {
    local cluster=64
    while [ $((files_mib * mib / (cluster * sector))) -lt 4200 ]; do
        cluster=$((cluster / 2))
    done
    rm -f "$scratch/fat"
    truncate -s "${files_mib}M" "$scratch/fat"
    # A fixed number: the same input makes the same image.
    mkfs.fat -F 16 -s $cluster -S $sector -n TOCSIN -i 7063736e --invariant "$scratch/fat" >/dev/null
    # No long names, for which SLOF has no eyes.
    MTOOLS_SKIP_CHECK=1 mmd -i "$scratch/fat" ::/boot
    MTOOLS_SKIP_CHECK=1 mcopy -i "$scratch/fat" "$scratch/initrd.img" "$scratch/commands.txt" ::/boot/
}

# disk LABEL OUT: partitions by sfdisk, contents by dd.
disk() {
    local label=$1 image=$scratch/$2 prep=41 files=6 start=1
    if [ "$label" = gpt ]; then
        prep=9E1A2D38-C612-4316-AA26-8B49521E5A8B
        files=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
    fi
    truncate -s $(((start + prep_mib + files_mib + 1) * mib)) "$image"
    local uuid='label-id: 0x7063736e' first='' second=''
    if [ "$label" = gpt ]; then
        uuid='label-id: 7063736E-0000-4000-8000-000000000000'
        first=', uuid=7063736E-0000-4000-8000-000000000001, name=prep'
        second=', uuid=7063736E-0000-4000-8000-000000000002, name=tocsin'
    fi
    sfdisk --quiet --no-reread --no-tell-kernel "$image" <<END
label: $([ "$label" = gpt ] && echo gpt || echo dos)
$uuid
start=${start}MiB, size=${prep_mib}MiB, type=$prep$first$([ "$label" = gpt ] || echo ', bootable')
start=$((start + prep_mib))MiB, size=${files_mib}MiB, type=$files$second
END
    dd if="$scratch/tocsin.elf" of="$image" bs=1M seek=$start conv=notrunc,sparse status=none
    dd if="$scratch/fat" of="$image" bs=1M seek=$((start + prep_mib)) conv=notrunc,sparse status=none
}

made=(tocsin.elf initrd.img commands.txt)
if wants mbr || wants gpt; then
    fat
    if wants mbr; then
        disk mbr tocsin-mbr.img
        made+=(tocsin-mbr.img)
    fi
    if wants gpt; then
        disk gpt tocsin-gpt.img
        made+=(tocsin-gpt.img)
    fi
fi

# --- CD, network, GRUB -----------------------------------------------------

if wants iso; then
    mkdir -p "$scratch/iso/ppc" "$scratch/iso/boot"
    cp "$scratch"/{tocsin.elf,initrd.img,commands.txt} "$scratch/iso/boot/"
    cat >"$scratch/iso/ppc/bootinfo.txt" <<'END'
<chrp-boot>
<description>Tocsin</description>
<os-name>Tocsin</os-name>
<boot-script>boot &device;:,\boot\tocsin.elf</boot-script>
</chrp-boot>
END
    SOURCE_DATE_EPOCH=0 xorriso -as mkisofs -quiet -r -chrp-boot-part -V TOCSIN \
        -o "$scratch/tocsin.iso" "$scratch/iso" 2>"$scratch/log" ||
        { cat "$scratch/log" >&2; exit 1; }
    made+=(tocsin.iso)
fi

if wants net; then
    mkdir -p "$scratch/net/tocsin"
    cp "$scratch"/{tocsin.elf,initrd.img,commands.txt} "$scratch/net/tocsin/"
    cat >"$scratch/net/dnsmasq.conf" <<'END'
# A boot server for Tocsin, in one network of its own:
#
#   dnsmasq --no-daemon --conf-file=dnsmasq.conf --tftp-root="$PWD"
#
# In a network that has a DHCP server, tell that one instead: file name
# tocsin/tocsin.elf, next server the machine that has this folder on TFTP.

# No DNS.
port=0
# The card on the machines' network, and addresses to give them.
interface=eth1
bind-interfaces
dhcp-range=10.42.0.100,10.42.0.199,1h
# For one machine alone, by its MAC address:
#dhcp-host=52:54:00:12:34:56,10.42.0.10

# Open Firmware asks by BOOTP (PowerVM) or DHCP (SLOF): answer both, and put the
# file's name where both look for it.
bootp-dynamic
dhcp-no-override
dhcp-boot=tocsin/tocsin.elf
enable-tftp
# PowerVM wants blocks of 512 bytes from servers that do not know it well.
#tftp-no-blocksize
END
    made+=(net)
fi

if wants grub; then
    mkdir -p "$scratch/grub/tocsin"
    cp "$scratch"/{tocsin.elf,initrd.img} "$scratch/grub/tocsin/"
    cat >"$scratch/grub/41_tocsin" <<'END'
#!/bin/sh
# An entry for GRUB's menu. On the machine:
#
#   cp -r tocsin /boot/
#   cp 41_tocsin /etc/grub.d/ && chmod +x /etc/grub.d/41_tocsin && update-grub
#
# (grub2-mkconfig -o /boot/grub2/grub.cfg elsewhere). The commands come from
# initrd.img. Others go behind `--`, on the line `linux`; GRUB wants a $, a quote or a
# semicolon behind a backslash, or single quotes round all of it.
exec tail -n +12 "$0"

menuentry 'Tocsin' --class tocsin {
    # What files may lie on; GRUB says which of these it does not have, and goes on.
    for module in part_msdos part_gpt ext2 xfs btrfs regexp; do insmod $module; done
    # /boot is where GRUB's own files are, whatever came before has made of $root, and may
    # be a partition of its own. If the files are elsewhere, all partitions are searched.
    regexp --set=1:root '^\(([^)]*)\)' "$prefix"
    if [ -f /boot/tocsin/tocsin.elf ]; then set tocsin=/boot/tocsin
    elif [ -f /tocsin/tocsin.elf ]; then set tocsin=/tocsin
    elif search --no-floppy --file --set=root /tocsin/tocsin.elf; then set tocsin=/tocsin
    else
        set tocsin=/boot/tocsin
        search --no-floppy --file --set=root /boot/tocsin/tocsin.elf
    fi
    echo 'Loading Tocsin ...'
    linux $tocsin/tocsin.elf
    initrd $tocsin/initrd.img
}
END
    chmod +x "$scratch/grub/41_tocsin"
    made+=(grub)
fi

for file in "${made[@]}"; do
    rm -rf "${out:?}/$file"
    mv "$scratch/$file" "$out/$file"
    echo "image: $out/$file" >&2
done
