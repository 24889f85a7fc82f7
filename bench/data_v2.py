"""ginnel without the epoch data format, which two ginnels agree on when both have it.

    python -m bench.data_v2 openvpn --config FILE

What it does then is DATA_V2, the format that every OpenVPN has. For comparing the two.
"""

import sys

from ginnel.core.data_key import DataFormat
from ginnel.core.negotiate import DataCapabilities
from ginnel.shell import process

_probe = process.probe


def probe(engine: str | None) -> DataCapabilities:
    """What the data plane can do, but for the epoch format."""
    found = _probe(engine)
    return DataCapabilities(ciphers=found.ciphers, formats=found.formats - {DataFormat.EPOCH})


def main() -> int:
    process.probe = probe  # before client and server import it from there
    from ginnel.cli.main import main as ginnel

    return ginnel(["ginnel", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
