#!/bin/sh
# Installs the Debian packages whose commands are missing, saying so. Words: PACKAGE:COMMAND; a
# package without a command of its own has a `-` there and is installed in any case.
# Exit status 1, with one line that names the packages, when that cannot be done.
set -eu

missing_packages() {
    for word in "$@"; do
        [ "${word##*:}" != "$ignored" ] || continue
        command -v "${word##*:}" >/dev/null 2>&1 || printf ' %s' "${word%%:*}"
    done
}

ignored=
missing=$(missing_packages "$@")
[ -n "$missing" ] || exit 0

fail() {
    echo "ginnel: $1:$missing" >&2
    exit 1
}
command -v apt-get >/dev/null 2>&1 || fail "install these packages, there is no apt-get here"
[ "$(id -u)" = 0 ] || fail "run this as root, or install these system packages"

echo "ginnel: installing system packages with apt:$missing"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=
trap 'rm -f "$log" $made_policy' EXIT
# The programs are wanted, not the services that some packages would start on this machine.
if [ ! -e "$policy" ]; then
    made_policy=$policy
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 -- one word a package
if ! { apt-get update -qq &&
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 $missing; } \
    >"$log" 2>&1; then
    cat "$log" >&2
    fail "apt could not install"
fi
ignored=-
missing=$(missing_packages "$@")
[ -z "$missing" ] || fail "installed, but their commands are not on PATH"
