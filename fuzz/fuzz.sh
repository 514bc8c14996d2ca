#!/usr/bin/env bash
# Coverage-guided fuzzing: `make fuzz`, with the variables
#
#   FOR=60      seconds in all
#   TARGET=...  module, unpack or words; without it all three
#   SEED=1      where libFuzzer's random numbers begin
#   INPUT=file  run this file once instead, to see a finding again
#
# The targets are built with LLVM's coverage counters, overflow checks and debug
# assertions, and linked with libFuzzer. What has reached new code is kept in
# target/fuzz/corpus, so the next run goes on from there; what went wrong is in
# target/fuzz/found. One line a target says what was reached; the status is 1 if
# anything was found.
#
# This is what `cargo fuzz --sanitizer none` does, without cargo-fuzz: that wants a
# nightly compiler, and Debian has none.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${FOR:=60}" "${SEED:=1}" "${TARGET:=}" "${INPUT:=}"
work=$PWD/target/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
names=(module unpack words)
share=(6 3 1) # tenths of the time
longest=(65536 16384 4096)

coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
 -Cllvm-args=-sanitizer-coverage-pc-table
 -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"

build() {
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=$(tr '\n' ' ' <<<"$coverage") \
        cargo build --quiet --locked --release --target "$host" --manifest-path fuzz/Cargo.toml \
        --target-dir "$work/build" >&2
}

# What each target begins with: our modules, and small ones of Debian's.
seeds() {
    local to=$work/seeds file line
    [ -e "$to/complete" ] && return
    rm -rf "$to"
    mkdir -p "$to"/{module,unpack,words}
    find target/modules -maxdepth 1 -name '*.ko' -size -64k -exec cp {} "$to/module" \;
    if [ -n "${TOCSIN_MODULES_DIR:-}" ]; then
        find "$TOCSIN_MODULES_DIR" -name '*.ko' -size -24k | sort | awk 'NR % 25 == 1' |
            xargs -d '\n' cp -t "$to/module"
    fi
    for file in target/modules/{hello,demo,weak}.ko; do
        for line in 'xz --check=none' 'xz --check=crc32 --lzma2=dict=4KiB' \
            'xz --powerpc --lzma2=lc=0,lp=2,pb=0' 'xz -0 --block-size=2000' \
            zstd 'zstd -1 --no-check' 'zstd --ultra -22' 'zstd --no-compress-literals'; do
            # shellcheck disable=SC2086 # a command line
            $line -c <"$file" >"$to/unpack/$(basename "$file")-${line//[ =]/_}"
        done
    done
    # The commands of the transcripts, one file each; names, and an archive.
    sed -n 's/^> //p' qemu/cases/*.case | sort -u | awk -v to="$to/words/command" \
        'NR % 3 == 1 { print > (to NR); close(to NR) }'
    printf '_RNvMs_NtCs9DzdQh44P4I_10rust_hello6moduleNtB4_4Line5print' >"$to/words/rust"
    printf 'scsi_* !vscsi_?[a-z]* crc16:crc* :mod:demo\n' >"$to/words/filter"
    (cd "$to/words" && some=(*) && printf '%s\n' "${some[@]:0:3}" |
        cpio -o -H newc --quiet >../archive && mv ../archive .)
    touch "$to/complete"
}

# edges FILE: the last count of reached edges in a log, and the first.
edges() { sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$1" | "$2" -1; }

run() {
    local name=$1 seconds=$2 len=$3 status=0 log=$work/$1.log
    mkdir -p "$work/corpus/$name" "$work/found"
    "$work/build/$host/release/$name" "$work/corpus/$name" "$work/seeds/$name" \
        -max_total_time="$seconds" -seed="$SEED" -max_len="$len" -timeout=10 \
        -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$work/found/$name-" \
        >"$log" 2>&1 || status=$?
    printf '%s: %s runs, %s edges at first, %s at the end, %s files in the corpus\n' "$name" \
        "$(sed -n 's/^stat::number_of_executed_units: //p' "$log")" \
        "$(edges "$log" head)" "$(edges "$log" tail)" "$(find "$work/corpus/$name" -type f | wc -l)"
    [ "$status" = 0 ] && return
    grep -E 'panicked|ERROR: libFuzzer|Test unit written' -A1 "$log" | head -20
    echo "$name: found something; see $log, and again with: make fuzz TARGET=$name INPUT=FILE"
    return 1
}

build
if [ -n "$INPUT" ]; then
    exec "$work/build/$host/release/${TARGET:?names the target}" "${CALLER:-.}/${INPUT#"${CALLER:-.}/"}"
fi
seeds
bad=0
for index in "${!names[@]}"; do
    name=${names[index]} seconds=$((FOR * share[index] / 10))
    [ -z "$TARGET" ] || { [ "$TARGET" = "$name" ] && seconds=$FOR; } || continue
    run "$name" "$((seconds > 0 ? seconds : 1))" "${longest[index]}" || bad=1
    known=1
done
[ -n "${known:-}" ] || { echo "fuzz.sh: $TARGET: ${names[*]}" >&2; exit 2; }
exit "$bad"
