#!/bin/sh
# Makes the virtual environment $VENV with $PYTHON, installing Debian's Python when there is none.
set -eu

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    [ "$PYTHON" = python3 ] || { echo "ginnel: there is no $PYTHON (make PYTHON=...)" >&2; exit 1; }
    tools/apt_install.sh python3:python3
fi
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "ginnel: $PYTHON is $("$PYTHON" --version), 3.11 or later is needed (make PYTHON=...)" >&2
    exit 1
fi
if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    tools/apt_install.sh python3-venv:-
fi
"$PYTHON" -m venv "$VENV"
