"""``python -m ginnel``: the same as the ``ginnel`` command."""

import sys

from ginnel.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["ginnel", *sys.argv[1:]]))
