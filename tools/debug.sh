#!/usr/bin/env bash
# Boots the kernel under gdb, stopped before its first instruction.
#
# The image is linked at 0x4000000 and QEMU puts it 0x400000 higher, where it
# relocates itself; gdb moves its symbols by the same distance. Through the
# environment: what qemu/run.sh reads, GDB (the port, default 1234), and
# GDBFLAGS (more words for gdb: GDBFLAGS="-batch -ex 'break kernel_main' -ex c").
#
# What gdb is taught is in tools/gdb: symbols of modules that come and go, commands
# (`lsmod`, `paca`, `stubs`, `sites`), and printers for the kernel's structures.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
port=${GDB:-1234}
serial=$root/target/debug-console.log

# The kernel's lines go to a file: the terminal is gdb's.
GDB=$port FIRMWARE=${FIRMWARE:-vof} CMD=${CMD:-$(grep -v '^#' "$root/qemu/demo.cmds")} \
    TIMEOUT=${TIMEOUT:-86400} "$root/qemu/run.sh" </dev/null >"$serial" 2>&1 &
runner=$!
trap 'kill "$runner" 2>/dev/null || true; wait "$runner" 2>/dev/null || true' EXIT
echo "debug.sh: the console is in $serial" >&2

flags=()
[ -z "${GDBFLAGS:-}" ] || mapfile -t flags < <(xargs printf '%s\n' <<<"$GDBFLAGS")
cd "$root"
gdb-multiarch -q -nx \
    -ex 'set architecture powerpc:common64' \
    -ex 'set endian little' \
    -ex 'set confirm off' \
    -ex 'symbol-file target/tocsin -o 0x400000' \
    -ex 'source tools/gdb/tocsin.gdb' \
    -ex "target remote localhost:$port" \
    -ex 'watch-modules' \
    -ex 'tbreak kernel_main' \
    -ex 'echo stopped before the first instruction; c goes on to kernel_main\n' \
    "${flags[@]}"
