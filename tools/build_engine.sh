#!/bin/sh
# Builds and installs the compiled engine and marks that in $STAMP/engine, or says in one line why
# the Python engine serves instead. Without a mark, the next `make` tries again.
set -eu

log="$STAMP/engine.log"

without() {
    if [ "$REQUIRE_ENGINE" = 1 ]; then
        [ ! -s "$log" ] || cat "$log" >&2
        echo "ginnel: $1, and REQUIRE_ENGINE=1 insists on the compiled engine" >&2
        exit 1
    fi
    # One that was built from other sources is worse than none.
    "$VENV/bin/pip" uninstall --quiet --yes ginnel-engine 2>/dev/null || true
    echo "ginnel: $1; going on with the Python engine (slower, same behaviour)"
    exit 0
}

rm -f "$STAMP/engine" "$log"
problem=$(tools/rust_problem.sh)
[ -z "$problem" ] || without "$problem"

echo "ginnel: building the compiled engine (a minute or two the first time)"
if ! MATURIN_PEP517_ARGS=--locked "$VENV/bin/pip" install --quiet --disable-pip-version-check \
        --no-deps --no-build-isolation --force-reinstall ./crates/pymodule >"$log" 2>&1 ||
    ! "$VENV/bin/python" -c 'import ginnel_engine' >>"$log" 2>&1; then
    without "the compiled engine did not build (see $log)"
fi
rm -f "$log"
touch "$STAMP/engine"
