#!/bin/sh
# Format, lints and the stub of the Rust workspace; without a toolchain it says so.
set -eu

problem=$(tools/rust_problem.sh)
if [ -n "$problem" ]; then
    echo "ginnel: $problem: the Rust sources were not checked"
    [ "$REQUIRE_ENGINE" != 1 ] || exit 1
    exit 0
fi
for tool in fmt clippy; do
    if "$CARGO" "$tool" --version >/dev/null 2>&1; then
        continue
    fi
    echo "ginnel: cargo $tool is not installed: the Rust sources were not checked"
    [ "$REQUIRE_ENGINE" != 1 ] || exit 1
    exit 0
done
"$CARGO" fmt --all --check
"$CARGO" clippy --locked --quiet --workspace --all-targets -- -D warnings
if [ -f "$STAMP/engine" ]; then
    "$VENV/bin/python" -m mypy.stubtest --allowlist tools/stubtest_allow.txt ginnel_engine
fi
if "$CARGO" deny --version >/dev/null 2>&1; then
    "$CARGO" deny --locked --offline check bans licenses sources
fi
