#!/bin/sh
# Installs the Debian packages whose commands are missing, saying so. Words: PACKAGE:COMMAND.
# The command `venv-module` stands for a Python that can make virtual environments.
set -eu

missing=""
for word in "$@"; do
    package=${word%%:*}
    command=${word##*:}
    if [ "$command" = venv-module ]; then
        "${package%-venv}" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing $package"
    elif ! command -v "$command" >/dev/null 2>&1; then
        missing="$missing $package"
    fi
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "ginnel: these system packages are missing and need root to install:$missing" >&2
    exit 1
fi
echo "ginnel: installing system packages with apt:$missing"
apt-get update -qq
# shellcheck disable=SC2086 -- one word a package
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
