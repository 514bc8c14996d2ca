#!/usr/bin/env bash
# Runs tests and adds up what they count: test.sh host|qemu|media|power8|power9|power10 ...
#
#   host      cargo test, also of tests/loom, and the tests of the scripts under qemu/, lessons/,
#             bench/ and tools/patch/
#   qemu      the console transcripts of qemu/cases, modules/check.sh, qemu/test_image.py,
#             test_kernel.py, test_shell.py, test_registered.py, test_text.py, test_debug.py,
#             test_spoiled.py and test_many.py there, one boot medium, the lessons, the figures,
#             a sample of `make corpus`, and a minute of qemu/stress.py, with two patches on top
#             of each other for some seconds more
#   media     qemu/test_media.py: every boot medium, on three processors
#   powerN    the same on that CPU
#   powerN-MMU-SMP[-FIRMWARE]   the transcripts on that machine: power9-hash-4;
#              with like8 for MMU, on one that has to look like a POWER8
#   powernvN-MMU-SMP   the same on a machine without a hypervisor: powernv9-radix-2
#
# The last line is `N passed, N failed` (and `, N skipped`), and the status
# agrees. Something that fails before it can count, as a build, is one failure.
# CASES='name ...' runs some transcripts and nothing else.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
mkdir -p target/test
passed=0 failed=0 skipped=0

# Runs a command, shows and keeps its output, and adds to the sums what FILTER
# makes of it: lines `PASSED FAILED SKIPPED`.
count() {
    local name=$1 filter=$2 status p f s sum=0
    shift 2
    "$@" 2>&1 | tee "target/test/$name.log"
    status=${PIPESTATUS[0]}
    while read -r p f s; do
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + 10#$s))
        sum=$((sum + f))
    done < <("$filter" "target/test/$name.log")
    if [ "$status" != 0 ] && [ "$sum" = 0 ]; then
        echo "test.sh: $name: status $status, and no test says why" >&2
        failed=$((failed + 1))
    fi
}

# test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out
of_cargo() {
    sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p' "$1"
}

# Ran 12 tests in 0.3s / FAILED (failures=1, errors=1, skipped=2)
of_unittest() {
    awk '/^Ran [0-9]+ test/ { ran = $2 }
         match($0, /failures=[0-9]+/) { bad += substr($0, RSTART + 9, RLENGTH - 9) }
         match($0, /errors=[0-9]+/) { bad += substr($0, RSTART + 7, RLENGTH - 7) }
         match($0, /skipped=[0-9]+/) { skipped += substr($0, RSTART + 8, RLENGTH - 8) }
         END { print ran - bad - skipped, bad + 0, skipped + 0 }' "$1"
}

# 12 passed, 0 failed, 1 skipped
of_cases() {
    sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)\{0,1\}$/\1 \2 0\4/p' "$1" | tail -1
}

for what in "$@"; do
    case $what in
    host)
        count host of_cargo cargo test --locked --no-fail-fast
        count loom of_cargo cargo test --locked --manifest-path tests/loom/Cargo.toml --target-dir target/loom
        count scripts of_unittest python3 qemu/test_scripts.py
        count pages of_unittest python3 -B lessons/test_lesson.py
        count bench of_unittest python3 bench/test_bench.py
        count patch of_unittest python3 -B tools/patch/test_patch.py
        ;;
    # shellcheck disable=SC2086 # CASES holds several words
    qemu)
        count qemu of_cases qemu/cases.py ${CASES:-}
        if [ -z "${CASES:-}" ]; then
            count samples of_cases make --no-print-directory -C modules check
            count image of_unittest python3 qemu/test_image.py
            count kernel of_unittest python3 qemu/test_kernel.py
            count shell of_unittest python3 qemu/test_shell.py
            count registered of_unittest python3 qemu/test_registered.py
            count text of_unittest python3 qemu/test_text.py
            count debug of_unittest python3 qemu/test_debug.py
            count figures of_unittest python3 -B tools/figures/test_figures.py
            count lessons of_cases lessons/lesson.py test
            count spoiled of_unittest python3 qemu/test_spoiled.py
            count many of_unittest python3 qemu/test_many.py
            MEDIA=mbr-vscsi CPUS=power9 count media of_unittest python3 qemu/test_media.py Client Media Rtas
            count corpus of_unittest python3 tools/corpus/test_corpus.py
            count stress of_cases qemu/stress.py
            FOR=1 STACKED=8 count stacked of_cases qemu/stress.py
        fi
        ;;
    media) count media of_unittest python3 -u qemu/test_media.py -v ;;
    powernv*-*-*)
        IFS=- read -r machine mmu smp <<<"$what"
        echo "MACHINE=$machine MMU=$mmu SMP=$smp"
        # shellcheck disable=SC2086
        MACHINE=$machine MMU=$mmu SMP=$smp count "$what" of_cases qemu/cases.py ${CASES:-}
        ;;
    power*-*-*)
        older=''
        IFS=- read -r cpu mmu smp firmware <<<"$what"
        [ "$mmu" != like8 ] || mmu='' older='-machine max-cpu-compat=power8'
        echo "CPU=$cpu MMU=$mmu SMP=$smp FIRMWARE=${firmware:-vof} $older"
        # shellcheck disable=SC2086
        QEMUFLAGS="$older${QEMUFLAGS:+ $QEMUFLAGS}" CPU=$cpu MMU=$mmu SMP=$smp FIRMWARE=${firmware:-vof} \
            count "$what" of_cases qemu/cases.py ${CASES:-}
        ;;
    power*)
        echo "CPU=$what"
        # shellcheck disable=SC2086
        CPU=$what count "$what" of_cases qemu/cases.py ${CASES:-}
        [ -n "${CASES:-}" ] || CPU=$what count "kernel-$what" of_unittest python3 qemu/test_kernel.py
        ;;
    *)
        echo "test.sh: $what: host, qemu, media, power8, power9, power10, or power9-hash-4 and the like" >&2
        exit 2
        ;;
    esac
done

summary="$passed passed, $failed failed"
[ "$skipped" = 0 ] || summary+=", $skipped skipped"
echo "$summary"
[ "$failed" = 0 ]
