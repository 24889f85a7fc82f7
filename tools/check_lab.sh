#!/bin/sh
# Checks what the lab needs of the machine; each line that fails names the cause and the fix.
set -eu

fail() { echo "ginnel: $1" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "the demo and the tests make network namespaces: run this as root"
[ -c /dev/net/tun ] || fail "/dev/net/tun is missing: load the tun module (modprobe tun)"
name="gnlcheck$$"
ip netns add "$name" 2>/dev/null || fail "cannot make a network namespace: the kernel or container forbids it"
ip netns delete "$name"
