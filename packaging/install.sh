#!/bin/sh
# Installs the systemd units: packaging/install.sh [PROGRAM]
#
# PROGRAM is the ginnel command that they start; without it, the one on the PATH. A packager sets
# DESTDIR to a directory that stands for the root, and UNITDIR where units go elsewhere.
set -eu

here=$(dirname "$0")
unitdir=${UNITDIR:-/etc/systemd/system}
root=${DESTDIR:-}

program=${1:-$(command -v ginnel || true)}
case $program in
    /*) ;;
    '')
        echo "install.sh: there is no ginnel on the PATH: name it, for example" \
            "packaging/install.sh /opt/ginnel/bin/ginnel" >&2
        exit 2
        ;;
    *)
        echo "install.sh: '$program' is not an absolute path, and units need one" >&2
        exit 2
        ;;
esac
case $program in
    *[!A-Za-z0-9/._+-]*)
        echo "install.sh: '$program' has characters that units would read otherwise" >&2
        exit 2
        ;;
esac
if [ -z "$root" ] && [ ! -x "$program" ]; then
    echo "install.sh: '$program' cannot be run" >&2
    exit 2
fi

case $program in
    /home/* | /root/* | /run/user/* | /tmp/* | /var/tmp/*)
        echo "install.sh: the units hide home and temporary directories (ProtectHome, PrivateTmp)," \
            "so that systemd will not find '$program': install ginnel elsewhere, such as in /opt" >&2
        ;;
esac

install -d -m 755 "$root$unitdir" "$root/etc/openvpn/client" "$root/etc/openvpn/server"
for unit in ginnel-client@.service ginnel-server@.service; do
    sed "s|^ExecStart=/usr/bin/ginnel |ExecStart=$program |" "$here/systemd/$unit" \
        >"$root$unitdir/.$unit.new"
    chmod 644 "$root$unitdir/.$unit.new"
    mv "$root$unitdir/.$unit.new" "$root$unitdir/$unit"
    echo "$root$unitdir/$unit"
done
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
