"""Lines reach the real system log socket as ``program[pid]``, through forks and a chroot.

The socket is a private /dev/log: the test's processes live in a mount namespace of their own.
"""

import re
import subprocess
import sys
from pathlib import Path

SETUP = """
set -e
mount --make-rprivate /
mount -t tmpfs none "$1/dev"
for name in null zero random urandom; do
    touch "$1/dev/$name"
    mount --bind "/dev/$name" "$1/dev/$name"
done
mount --move "$1/dev" /dev
exec "$2" -c "$3" "$1"
"""

PROGRAM = """
import os, socket, sys
directory = sys.argv[1]
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind("/dev/log")
server.settimeout(30)

from ginnel.compat.log_lines import LogLine, Severity
from ginnel.options.model import ProcessOptions
from ginnel.shell.logging_setup import setup_logging

log = setup_logging(ProcessOptions(syslog="nm-openvpn", verb=3))
print("pid", os.getpid())
log.log(LogLine(text="Initialization Sequence Completed"))
log.log(LogLine(text="WARNING: 100% odd", verb=0, severity=Severity.WARNING))
log.log(LogLine(text="TLS Error: x", severity=Severity.ERROR))
log.log(LogLine(text="hidden", verb=4))
sys.stdout.flush()
child = os.fork()
if child == 0:
    os.chroot(directory)
    log.log(LogLine(text="from the child in its chroot"))
    os._exit(0)
print("child", child)
os.waitpid(child, 0)
for _ in range(4):
    print(server.recv(9000).decode())
log.close()
"""


def test_lines_arrive_as_openvpn_sends_them(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    words = ["unshare", "--mount", "sh", "-c", SETUP, "sh", str(tmp_path), sys.executable, PROGRAM]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    pid_line, child_line, *lines = done.stdout.splitlines()
    pid, child = pid_line.split()[1], child_line.split()[1]
    # The priorities that openvpn 2.6.14 uses: daemon.notice, daemon.warning, daemon.err.
    expected = [
        ("29", pid, "Initialization Sequence Completed"),
        ("28", pid, "WARNING: 100% odd"),
        ("27", pid, "TLS Error: x"),
        ("29", child, "from the child in its chroot"),
    ]
    shape = r"<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d nm-openvpn\[(\d+)\]: (.*)"
    found = [re.fullmatch(shape, line) for line in lines]
    assert [match.groups() for match in found if match is not None] == expected
    assert len(found) == len(expected)
