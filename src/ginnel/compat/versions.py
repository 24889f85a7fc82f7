"""Which OpenVPN release ginnel answers for, and the version texts that tools parse.

Not here: the version of ginnel itself (``ginnel.__version__``) and how ``--version`` is reached.
"""

import os

from ginnel import OPENVPN_RELEASE, __version__

__all__ = ["OPENVPN_RELEASE", "library_versions", "title", "version_text"]


def title() -> str:
    """Renders the first line of ``--version`` and of every log: release, platform, who we are."""
    machine = os.uname().machine
    vendor = "pc" if machine in {"x86_64", "i686"} else "unknown"
    return (
        f"OpenVPN {OPENVPN_RELEASE} {machine}-{vendor}-linux-gnu "
        f"[SSL (OpenSSL)] [EPOLL] [AEAD] [ginnel {__version__}]"
    )


def library_versions() -> str:
    """Renders ``library versions: OpenSSL …``: the library TLS and the control channel run on."""
    from cryptography.hazmat.bindings._rust import openssl

    return f"library versions: {openssl.openssl_version_text()}"


def version_text() -> tuple[str, ...]:
    """Renders all lines of ``--version``."""
    return (
        title(),
        library_versions(),
        f"ginnel {__version__}: an independent implementation of the OpenVPN protocol for Linux.",
        f"The first line names OpenVPN {OPENVPN_RELEASE} because programs read the compatible "
        "release from it.",
        "Licensed under the Apache License 2.0. OpenVPN is a trademark of OpenVPN Inc.",
    )
