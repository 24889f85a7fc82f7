#!/bin/sh
# Every test: Python (unit, property, simulation, host, interop), then the Rust workspace.
# PYTEST_ADDOPTS narrows the first part.
set -eu

# One process for each processor; what the caller says counts.
export PYTEST_ADDOPTS="-n $(nproc) --dist worksteal ${PYTEST_ADDOPTS:-}"
GINNEL_REQUIRE_ENGINE=$REQUIRE_ENGINE "$VENV/bin/python" -m pytest tests

problem=$(tools/rust_problem.sh)
if [ -n "$problem" ]; then
    echo "ginnel: $problem: the compiled engine's own tests (crates/*) were not run"
    [ "$REQUIRE_ENGINE" != 1 ] || exit 1
    exit 0
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
"$CARGO" test --locked --quiet --no-fail-fast --workspace --lib --tests >"$log" 2>&1 || status=$?
cat "$log"
# One line for all crates: cargo ends with whatever crate came last.
awk '/^test result:/ { passed += $4; failed += $6 }
     END { printf "cargo: %d passed, %d failed\n", passed, failed }' "$log"
exit "$status"
