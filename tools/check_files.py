"""Checks single files for what no linter looks at: their end, their size, private keys.

``python -m tools.check_files FILE ...`` is a hook of each commit; ``check_tree`` runs the same over
all tracked files. Not responsible for rules that need to see more than one file.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

SIZE_LIMIT = 512 * 1024
# In pieces, so that this file does not find itself.
PRIVATE_KEY = b"-----BEGIN " + b"%s" + b"PRIVATE KEY-----"
KEY_KINDS = (b"", b"RSA ", b"EC ", b"DSA ", b"OPENSSH ", b"ENCRYPTED ")

CORPUS = "corpus"
"""Folders of a fuzzer's inputs, which may end in any way."""


def findings(paths: Iterable[Path]) -> list[str]:
    """Names what is wrong with each of the files."""
    found = []
    for path in paths:
        content = path.read_bytes()
        if len(content) > SIZE_LIMIT:
            found.append(f"{path}: {len(content)} bytes, the limit is {SIZE_LIMIT}")
        if any(PRIVATE_KEY % kind in content for kind in KEY_KINDS):
            found.append(f"{path}: holds a private key")
        if b"\0" in content or not content or CORPUS in path.parts:
            continue
        if not content.endswith(b"\n") or content.endswith(b"\n\n"):
            found.append(f"{path}: does not end with exactly one line feed")
        if b"\r\n" in content:
            found.append(f"{path}: has line ends of Windows")
    return found


def main(arguments: list[str]) -> int:
    """Prints every finding; exit status 1 when there is one."""
    found = findings(path for path in map(Path, arguments) if path.is_file())
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
