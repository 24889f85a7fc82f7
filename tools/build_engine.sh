#!/bin/sh
# Builds and installs the compiled engine, or says in one line why the Python engine serves instead.
set -eu

without() {
    if [ "${REQUIRE_ENGINE:-0}" = 1 ]; then
        echo "ginnel: $1, and REQUIRE_ENGINE=1 insists on the compiled engine" >&2
        exit 1
    fi
    "$VENV/bin/pip" uninstall --quiet --yes ginnel-engine 2>/dev/null || true
    echo "ginnel: $1; going on with the Python engine (slower, same behaviour)"
    exit 0
}

command -v "$CARGO" >/dev/null 2>&1 || without "no Rust toolchain ($CARGO) found"
if ! command -v cc >/dev/null 2>&1; then
    tools/apt_install.sh gcc:cc libc6-dev:cc || without "no C compiler for the AEAD crate"
fi
"$CARGO" fetch --locked --quiet || without "the engine's crates cannot be fetched"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "ginnel: building the compiled engine (a minute or two the first time)"
if ! "$VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --force-reinstall ./crates/pymodule >"$log" 2>&1; then
    cat "$log" >&2
    without "the compiled engine did not build"
fi
"$VENV/bin/python" -c 'import ginnel_engine'
