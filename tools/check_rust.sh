#!/bin/sh
# rustfmt and clippy over the workspace; without a toolchain it says so.
set -eu
if ! command -v "$CARGO" >/dev/null 2>&1; then
    [ "${REQUIRE_ENGINE:-0}" = 1 ] && { echo "ginnel: no Rust toolchain to check with" >&2; exit 1; }
    echo "ginnel: no Rust toolchain, the Rust sources were not checked"
    exit 0
fi
"$CARGO" fmt --all --check
"$CARGO" clippy --locked --quiet --workspace --all-targets -- -D warnings
