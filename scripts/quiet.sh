#!/usr/bin/env bash
# Runs one step: one line with its time when it passes, its whole output when it fails.
#   scripts/quiet.sh NAME COMMAND [ARGUMENT...]
# With QUIET_LOG=FILE the output is also left there.
set -euo pipefail

name=$1
shift
log=${QUIET_LOG:-$(mktemp)}
[ -n "${QUIET_LOG:-}" ] || trap 'rm -f "$log"' EXIT
[ -t 1 ] && printf '     %s ...\r' "$name"

status=0
"$@" >"$log" 2>&1 </dev/null || status=$?

if [ "$status" -eq 0 ]; then
    printf 'ok   %-44s %5d s\n' "$name" "$SECONDS"
else
    printf 'FAIL %-44s %5d s, exit %d: %s\n' "$name" "$SECONDS" "$status" "$*"
    cat "$log"
fi
exit "$status"
