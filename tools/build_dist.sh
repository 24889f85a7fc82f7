#!/bin/sh
# Builds wheel and source archive of `ginnel` and, with a toolchain, of `ginnel-engine` into dist/.
set -eu

rm -rf dist build/lib build/bdist.*
mkdir -p dist
"$VENV/bin/python" -c '
from setuptools import build_meta
build_meta.build_sdist("dist")
build_meta.build_wheel("dist")' >/dev/null

problem=$(tools/rust_problem.sh)
if [ -n "$problem" ]; then
    echo "ginnel: $problem: dist/ holds no compiled engine"
    [ "$REQUIRE_ENGINE" != 1 ] || exit 1
else
    # One after the other: a wheel that is built from the source archive loses the type stub.
    "$VENV/bin/maturin" build --quiet --release --locked --out dist -m crates/pymodule/Cargo.toml
    "$VENV/bin/maturin" sdist --out dist -m crates/pymodule/Cargo.toml
fi
ls -1 dist
