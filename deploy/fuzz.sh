#!/usr/bin/env bash
# make fuzz: runs the fuzz targets one after another, each for so many seconds, and says what they did.
#   deploy/fuzz.sh PROGRAM SECONDS [TARGET ...]
# The seeds in tests/fuzz/corpus are read and not written: what is found goes to $USAGED_FUZZ_DIR (fuzz/ in the target
# directory), where the next run goes on from it. An input that breaks a promise is kept there, in crash/TARGET: copy it
# to the corpus, where every `make test` runs it.
set -u
program=$1 seconds=$2
shift 2
here=$(cd "$(dirname "$0")/.." && pwd)
work=${USAGED_FUZZ_DIR:-${CARGO_TARGET_DIR:-$HOME/.cache/usaged/target}/fuzz}
# Name and the longest input, from the table of targets.
table=$(sed -nE 's/.*Target \{ name: "([a-z]+)", max_len: ([0-9]+).*/\1 \2/p' "$here/tests/fuzz/targets/mod.rs")
mapfile -t all < <(cut -d' ' -f1 <<<"$table")
[ $# -gt 0 ] || set -- "${all[@]}"
rows=() failed=0
for target in "$@"; do
    longest=$(sed -n "s/^$target //p" <<<"$table")
    [ -n "$longest" ] || { echo "usaged: no fuzz target is called $target; there are: ${all[*]}" >&2; exit 2; }
    mkdir -p "$work/corpus/$target" "$work/crash/$target"
    log=$work/$target.log
    args=(-max_total_time="$seconds" -max_len="$longest" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1)
    [ ! -f "$here/tests/fuzz/dict/$target.dict" ] || args+=(-dict="$here/tests/fuzz/dict/$target.dict")
    [ "$longest" -le 16384 ] || args+=(-len_control=0)
    echo "$target: $seconds s"
    # Progress goes to the terminal, all of it to the log.
    USAGED_FUZZ=$target "$program" "${args[@]}" -artifact_prefix="$work/crash/$target/" \
        "$work/corpus/$target" "$here/tests/fuzz/corpus/$target" 2>&1 | tee "$log" |
        grep --line-buffered -E '^#[0-9]+.*(pulse|DONE)|panicked at|^ERROR|^SUMMARY' | sed 's/^/  /'
    status=${PIPESTATUS[0]}
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -1; }
    first=$(sed -nE 's/.*INITED cov: ([0-9]+).*/\1/p' "$log" | head -1)
    last=$(sed -nE 's/^#.*cov: ([0-9]+).*/\1/p' "$log" | tail -1)
    result=kept
    [ "$status" -eq 0 ] || { result="BROKEN: $work/crash/$target"; failed=1; }
    rows+=("$(printf '%-12s %12s %8s %9s %9s  %s' "$target" "$(stat number_of_executed_units)" \
        "$(stat average_exec_per_sec)" "${first:-?}" "+$((${last:-0} - ${first:-0}))" "$result")")
done
printf '\n%-12s %12s %8s %9s %9s  %s\n' target executions per-s edges new promises
printf '%s\n' "${rows[@]}"
exit $failed
