#!/bin/sh
# Prints in a few words what keeps the engine from being built here, and nothing when nothing does.
set -eu

version=$("$CARGO" --version 2>/dev/null) || { echo "no Rust toolchain ($CARGO) found"; exit 0; }
needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(echo "$version" | cut -d' ' -f2)
if [ "$(printf '%s\n%s\n' "$needed" "$found" | sort -V | head -n 1)" != "$needed" ]; then
    echo "$CARGO is version $found, the engine needs $needed"
    exit 0
fi
if ! command -v cc >/dev/null 2>&1; then
    { [ "$(id -u)" = 0 ] && tools/apt_install.sh gcc:cc libc6-dev:cc >&2; } ||
        { echo "no C compiler (cc) found"; exit 0; }
fi
"$CARGO" fetch --locked --quiet >/dev/null 2>&1 || echo "the engine's crates cannot be fetched"
