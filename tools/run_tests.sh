#!/bin/sh
# Every test: Python (unit, property, simulation, host, interop), then the Rust workspace.
# PYTEST_ADDOPTS and CARGO_TEST_ARGUMENTS narrow a run.
set -eu

GINNEL_REQUIRE_ENGINE=$REQUIRE_ENGINE "$VENV/bin/python" -m pytest tests

problem=$(tools/rust_problem.sh)
if [ -n "$problem" ]; then
    echo "ginnel: $problem: the compiled engine's own tests (crates/*) were not run"
    [ "$REQUIRE_ENGINE" != 1 ] || exit 1
    exit 0
fi
# shellcheck disable=SC2086 -- words for cargo
"$CARGO" test --locked --quiet --workspace ${CARGO_TEST_ARGUMENTS:-}
