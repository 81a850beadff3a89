#!/usr/bin/env bash
# Runs fuzz targets one after the other, a minute each unless FUZZ_SECONDS says otherwise:
#   tests/fuzz/run.sh [TARGET...]
# On the stable compiler, with coverage and without a memory sanitizer: the code is Rust without `unsafe`, and what
# is looked for is panics, overflows, broken promises, and inputs that take too long or too much memory.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${FUZZ_SECONDS:-60}
export RUSTC_BOOTSTRAP=1

cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked

targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(cargo fuzz list --fuzz-dir .)

cargo fuzz build --fuzz-dir . --sanitizer none

# Foreign test vectors, where they are: each is offered to every target, which keeps what reaches something new.
vectors=()
for folder in ../../../shared/vectors/{cose,c2sp,evidence/cca/rust-ccatoken,evidence/nitro/nitro_attest,evidence/snp,merkle}; do
    [ -d "$folder" ] && vectors+=("$folder")
done

failed=0
for target in "${targets[@]}"; do
    log=$(mktemp)
    status=0
    mkdir -p "corpus/$target"
    cargo fuzz run --fuzz-dir . --sanitizer none "$target" "corpus/$target" "${vectors[@]}" -- \
        -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        >"$log" 2>&1 || status=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    slowest=$(sed -n 's/^stat::slowest_unit_time_sec: *//p' "$log")
    coverage=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1)
    if [ "$status" -eq 0 ]; then
        printf 'ok   %-18s %9s executions, %s, slowest %s s\n' "$target" "$executions" "$coverage" "$slowest"
    else
        failed=1
        printf 'FAIL %-18s after %s executions\n' "$target" "${executions:-?}"
        grep -E 'panicked|assertion|ERROR: libFuzzer|Test unit written' -A 3 "$log" || tail -n 30 "$log"
    fi
    rm -f "$log"
done
exit "$failed"
