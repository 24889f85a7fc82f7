#!/bin/sh
# Every test: Python (unit, property, simulation, host, interop), then the Rust workspace.
set -eu
"$VENV/bin/python" -m pytest tests "$@"
if command -v "$CARGO" >/dev/null 2>&1; then
    "$CARGO" test --locked --quiet --workspace
elif [ "${REQUIRE_ENGINE:-0}" = 1 ]; then
    echo "ginnel: no Rust toolchain: the compiled engine's own tests cannot run" >&2
    exit 1
else
    echo "ginnel: no Rust toolchain: the compiled engine's own tests were not run (crates/*)"
fi
