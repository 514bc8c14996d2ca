#!/usr/bin/env bash
# Boots the kernel in QEMU: the one place that spells QEMU's command line.
#
# Everything it needs comes through the environment, because that is the only
# way on which a command full of quotes and semicolons stays as it was typed:
#
#   CMD        shell commands to run; then the machine powers off. Without it
#              the demo (qemu/demo.cmds) runs, and a person gets the shell.
#              make reads a $ as its own: write $$ for each (make run CMD='... $$arg1')
#   MODULES    more modules for /lib/modules: .ko, .ko.xz, .ko.zst, or folders
#   CPU        power8, power9 (default) or power10
#   SMP MEM    how many CPUs (1), how much memory (1G)
#   MMU        radix, hash or off; handed to the kernel as the word mmu=...
#   CAS        1: the kernel negotiates also where it need not (the word cas)
#   MACHINE    pseries (default), or a machine without a hypervisor: powernv9, powernv10,
#              and powernv8 with MMU=off. skiboot takes 1 to 4 s and a BMC powers off;
#              no FIRMWARE, CAS, MEDIUM, ICOUNT or other CPU there
#   FIRMWARE   slof (default) or vof: QEMU's own, which starts in 0.1 s
#   ICOUNT     1: one instruction is one nanosecond; runs repeat to the tick.
#              fine: one is 1024 ns, so that with SMP CPUs take turns every few
#              thousand instructions instead of every hundred million
#   THREADS    single (default): CPUs take turns. multi: a host thread for each;
#              then QEMU 7.2 may go on with an instruction that has been replaced
#   QEMUFLAGS  more words for QEMU, as they are (quotes group words)
#   TIMEOUT    seconds before the run is given up (120; none for a person)
#   MEDIUM     boots what `make image` has made, as a machine would: no -kernel, and
#              modules and commands are those on the medium. A form and what it is
#              attached to: mbr-virtio, mbr-vscsi, gpt-virtio, gpt-vscsi, iso-virtio,
#              iso-vscsi, net-vlan, net-virtio; grub-virtio, grub-vscsi if
#              tools/grub-disk.sh has made tocsin-grub.img
#   GDB        a port: QEMU waits there for gdb before the first instruction
#   AUDIT      1: modules that are loaded at the end are audited, a drift fails
#   KERNEL CONSOLE_LOG CALLER IMAGES   for the Makefile and the tests, see below
#
# What the kernel gets as bootargs: `[interactive] [audit] [mmu=...] [cas] -- COMMANDS`;
# from a MEDIUM the words alone, as Open Firmware's variable boot-file.
# Who watches the run, filters the console and knows the verdict: watch.py.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
kernel=${KERNEL:-$root/target/tocsin.stripped}
console_log=${CONSOLE_LOG:-$root/target/console.log}
# Where relative paths in MODULES start: the folder that make was called from.
caller=${CALLER:-$PWD}
# What `make image` has made, in its OUT.
images=$root/target/image
[ -z "${OUT:-}" ] || images=$(cd "$caller" && realpath -m "$OUT")
images=${IMAGES:-$images}

refuse() {
    echo "run.sh: $*" >&2
    exit 2
}

# Splits a variable into words as a shell does, but runs nothing in it.
words() {
    xargs printf '%s\n' <<<"$1"
}

[ -n "${MEDIUM:-}" ] || [ -f "$kernel" ] || refuse "$kernel: no kernel there; 'make kernel' builds it"

# --- the machine -----------------------------------------------------------

case ${MACHINE:-pseries} in
pseries)
    # TCG has none of the speculation barriers that pseries asks for by default.
    machine=pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken
    board=(-cpu "${CPU:-power9}")
    ;;
powernv8 | powernv9 | powernv10)
    machine=$MACHINE
    # Power-off is asked of a BMC.
    board=(-device ipmi-bmc-sim,id=bmc0 -device isa-ipmi-bt,bmc=bmc0,irq=10)
    [ "${CPU:-power${machine#powernv}}" = "power${machine#powernv}" ] || refuse "CPU=$CPU: not on $machine"
    [ "${ICOUNT:-0}" = 0 ] || refuse "ICOUNT=$ICOUNT: QEMU 7.2 cannot run skiboot so"
    [ -z "${MEDIUM:-}" ] || refuse "MEDIUM=$MEDIUM: only on pseries"
    case $machine-${MMU:-} in
    powernv8-off) ;;
    powernv8-*) refuse "MACHINE=powernv8: only with MMU=off: hash tables are a hypervisor's here" ;;
    *-hash) refuse "MMU=hash: only on pseries" ;;
    esac
    FIRMWARE='' CAS=''
    ;;
*) refuse "MACHINE=$MACHINE: pseries, powernv8, powernv9 or powernv10" ;;
esac
case ${FIRMWARE:-slof} in
slof) ;;
vof) machine+=,x-vof=on ;;
*) refuse "FIRMWARE=$FIRMWARE: slof or vof" ;;
esac
case ${MEDIUM:-} in
'') ;;
mbr-virtio | mbr-vscsi | gpt-virtio | gpt-vscsi | grub-virtio | grub-vscsi | \
    iso-virtio | iso-vscsi | net-vlan | net-virtio)
    [ "${FIRMWARE:-slof}" = slof ] || refuse "MEDIUM=$MEDIUM: only SLOF reads media"
    ;;
*) refuse "MEDIUM=$MEDIUM: a form (mbr, gpt, iso, net), -, and virtio, vscsi or vlan" ;;
esac
case ${CPU:-power9} in
power8 | power9 | power10) ;;
*) refuse "CPU=$CPU: power8, power9 or power10" ;;
esac
case ${MMU:-} in
'' | radix | hash | off) ;;
*) refuse "MMU=$MMU: radix, hash or off" ;;
esac
case ${SMP:-1} in
[1-9] | [1-9][0-9]) ;;
*) refuse "SMP=$SMP: a number of CPUs, from 1 on" ;;
esac
# pseries hands out memory in pieces of 256 MiB; a bare number is of MiB.
mem=${MEM:-1G}
[[ $mem =~ ^([1-9][0-9]{0,5})([MG]?)$ ]] || refuse "MEM=$mem: a size such as 256M or 2G"
mebibytes=${BASH_REMATCH[1]}
[ "${BASH_REMATCH[2]}" != G ] || mebibytes=$((mebibytes * 1024))
[ $((mebibytes % 256)) = 0 ] || refuse "MEM=$mem: a multiple of 256M, such as 512M or 2G"
[ "${MACHINE:-pseries}" = pseries ] || [ $mebibytes -ge 1024 ] || refuse "MEM=$mem: $MACHINE has 1G at least"
case ${CAS:-0} in
0 | 1) ;;
*) refuse "CAS=$CAS: 1 or nothing" ;;
esac
case ${ICOUNT:-0} in
0 | 1 | fine) ;;
*) refuse "ICOUNT=$ICOUNT: 1, fine or nothing" ;;
esac
case ${THREADS:-single} in
single) ;;
multi) [ "${ICOUNT:-0}" = 0 ] || refuse "THREADS=multi: not together with ICOUNT" ;;
*) refuse "THREADS=$THREADS: single or multi" ;;
esac
[[ ${TIMEOUT:-120} =~ ^[1-9][0-9]*$ ]] || refuse "TIMEOUT=$TIMEOUT: a number of seconds"

qemu=(
    qemu-system-ppc64
    -M "$machine" "${board[@]}" -smp "${SMP:-1}" -m "${MEM:-1G}"
    -nodefaults -display none
    # ibm,os-term, the end of a panic, becomes status 1; power-off is 0. OPAL has no
    # such thing: there the verdict alone tells.
    -action panic=exit-failure
)
if [ "${ICOUNT:-0}" = 1 ]; then
    qemu+=(-icount shift=0,sleep=off)
elif [ "${ICOUNT:-0}" = fine ]; then
    # Slices end at the next CPU's tick, 10 ms later: 9766 instructions.
    qemu+=(-icount shift=10,sleep=off)
elif [ "${THREADS:-single}" = multi ]; then
    qemu+=(-accel tcg,thread=multi)
elif [ "${SMP:-1}" != 1 ]; then
    # With one host thread a CPU, QEMU 7.2 sometimes goes on running an
    # instruction that another CPU has replaced (docs/boot.md, "What QEMU
    # hides"). One thread for all has no such race.
    qemu+=(-accel tcg,thread=single)
fi
[ -z "${GDB:-}" ] || qemu+=(-gdb "tcp:localhost:$GDB" -S)

# --- a person at the keyboard, or a script? --------------------------------

bootargs=()
if [ -t 0 ] && [ -t 1 ] && [ -z "${CMD:-}" ]; then
    person=1
    [ -n "${MEDIUM:-}" ] || bootargs+=(interactive)
else
    person=
    # A medium made for a person ends in a prompt otherwise.
    [ -z "${MEDIUM:-}" ] || bootargs+=(unattended)
    # A kernel that reboots in a loop ends here too.
    qemu+=(-no-reboot)
fi
[ "${AUDIT:-0}" != 1 ] || bootargs+=(audit)
[ -z "${MMU:-}" ] || bootargs+=("mmu=$MMU")
[ "${CAS:-0}" = 0 ] || bootargs+=(cas)

if [ -n "${CMD:-}" ]; then
    commands=$CMD
else
    commands=$(grep -v -e '^#' -e '^[[:blank:]]*$' "$here/demo.cmds")
fi
append="${bootargs[*]:+${bootargs[*]} }-- $commands"
# The host's limit for one argument, its final NUL included.
[ "$(printf %s "$append" | wc -c)" -lt 131072 ] || refuse "the commands are longer than 128 KiB"

# --- the initrd, or the medium ---------------------------------------------

scratch=$(mktemp -d "${TMPDIR:-/tmp}/tocsin.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
boot_kernel() {
    local samples extra=() list
    shopt -s nullglob
    samples=("$root"/target/modules/*.ko)
    if [ -n "${MODULES:-}" ]; then
        list=$(words "$MODULES") || refuse "MODULES: a quote is not closed"
        mapfile -t extra <<<"$list"
    fi
    python3 "$here/mkinitrd.py" --base "$caller" "$scratch/initrd" "${samples[@]}" "${extra[@]}"
    qemu+=(-kernel "$kernel" -initrd "$scratch/initrd" -append "$append")
}

boot_medium() {
    local form=${MEDIUM%-*} bus=${MEDIUM#*-} file media=disk
    qemu+=(-boot order=c)
    case $form in
    net)
        [ -d "$images/net" ] || refuse "$images/net: no such folder; 'make image' makes it"
        local nic=spapr-vlan
        # The card has a ROM for PCs, which Debian does not ship.
        [ "$bus" = vlan ] || nic=virtio-net-pci,romfile=
        qemu+=(-netdev "user,id=net,tftp=$images/net,bootfile=/tocsin/tocsin.elf" -device "$nic,netdev=net")
        return
        ;;
    mbr | gpt | grub) file=$images/tocsin-$form.img ;;
    iso) file=$images/tocsin.iso media=cdrom ;;
    esac
    [ -f "$file" ] || refuse "$file: no such file; 'make image' makes it"
    qemu+=(-drive "if=none,id=medium,file=$file,format=raw,readonly=on,media=$media")
    case $form-$bus in
    iso-virtio) qemu+=(-device virtio-scsi-pci -device scsi-cd,drive=medium) ;;
    iso-vscsi) qemu+=(-device spapr-vscsi -device scsi-cd,drive=medium) ;;
    *-virtio) qemu+=(-device virtio-blk-pci,drive=medium) ;;
    *-vscsi) qemu+=(-device spapr-vscsi -device scsi-hd,drive=medium) ;;
    esac
}

if [ -n "${MEDIUM:-}" ]; then
    boot_medium
    [ ${#bootargs[@]} = 0 ] || qemu+=(-prom-env "boot-file=${bootargs[*]}")
else
    boot_kernel
fi

if [ -n "${QEMUFLAGS:-}" ]; then
    list=$(words "$QEMUFLAGS") || refuse "QEMUFLAGS: a quote is not closed"
    mapfile -t flags <<<"$list"
    qemu+=("${flags[@]}")
fi

# --- go --------------------------------------------------------------------

watch=(python3 "$here/watch.py" --scratch "$scratch" --log "$console_log")
if [ -n "$person" ]; then
    # Ctrl-A X leaves QEMU, Ctrl-A C is its monitor; Ctrl-C goes to the kernel.
    console=stdio,id=console,mux=on,signal=off,logfile=$scratch/console.log
    qemu+=(-chardev "$console" -serial chardev:console -mon chardev=console)
    watch+=(--person)
else
    qemu+=(-serial stdio -monitor none)
    watch+=(--timeout "${TIMEOUT:-120}")
fi
exec "${watch[@]}" -- "${qemu[@]}"
