#!/usr/bin/env bash
# Everything that must hold, `make test`: one line per step, and the tests' sum alone on the last line.
# One profile, one feature set, one target folder; whatever was built for the tests serves the demo, too.
# Goes on after a failed step, so that one run tells all; fails if any failed.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
step() { scripts/quiet.sh "$@" || failed=1; }

step "format" cargo fmt --all --check
# The demo's binaries side by side in one folder: tests start them as a user does.
if scripts/quiet.sh "build" cargo build --workspace --all-targets --locked; then
    QUIET_LOG=$log step "tests, doctests" cargo test --workspace --locked --no-fail-fast
    step "lints" cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" step "documentation" cargo doc --workspace --no-deps --locked
else
    failed=1
fi

# What could not be tried here, and why.
grep -ho 'skipped: .*' "$log" | sort -u

# Each test binary closes with "test result: ok. 5 passed; 0 failed; 1 ignored; …".
awk '/^test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^passed/) passed += $(i - 1)
            if ($i ~ /^failed/) failed += $(i - 1)
            if ($i ~ /^ignored/) skipped += $(i - 1)
        }
    }
    END { printf "%d passed, %d failed", passed, failed; if (skipped) printf ", %d skipped", skipped; print "" }' "$log"
exit "$failed"
