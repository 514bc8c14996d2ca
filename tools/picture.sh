#!/usr/bin/env bash
# Draws docs/flame.svg: picture.sh OUT.svg
#
# Boots Tocsin, traces the seed's two modules, which call each other, and makes a
# flame graph of the text that the console showed. Time is counted in instructions
# (ICOUNT): every run of the same kernel draws the same.
set -euo pipefail
cd "$(dirname "$0")/.."
work=target/picture
mkdir -p "$work"

# Without a graph tracer the function tracer stays, and calls are counted. The first
# call is not shown: nothing that happens once shall be drawn.
commands='insmod seed_scsi; insmod seed_ibmvscsi; trace on scsi_* vscsi_*
  set +e; echo function_graph > /sys/kernel/tracing/current_tracer; set -e
  call vscsi_checksum; trace clear; call vscsi_checksum; trace show'

if ! CMD=$commands FIRMWARE=vof ICOUNT=1 qemu/run.sh >"$work/trace.txt" 2>"$work/log"; then
    tail -3 "$work/log" "$work/trace.txt" >&2
    exit 1
fi
target/debug/tocsin-trace flame "$work/trace.txt" -o "$1" --title 'One call of vscsi_checksum'
