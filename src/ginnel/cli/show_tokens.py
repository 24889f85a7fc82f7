"""``--show-pkcs11-ids``: the certificates on tokens, in OpenVPN's form."""

import asyncio
from collections.abc import Iterator, Sequence

from ginnel.compat.log_lines import LogLine
from ginnel.options.model import Pkcs11Options
from ginnel.shell.frontend import Unattended
from ginnel.shell.tokens import TokenCertificate, Tokens

HEADING = """
The following objects are available for use.
Each object shown below may be used as parameter to
--pkcs11-id option please remember to use single quote mark."""


def token_lines(options: Pkcs11Options) -> Iterator[str]:
    """The whole output. Raises ConfigError."""
    said: list[LogLine] = []
    found = asyncio.run(_found(options, said))
    yield from (line.text for line in said)
    yield from HEADING.split("\n")
    yield from render_certificates(found)


def render_certificates(found: Sequence[TokenCertificate]) -> Iterator[str]:
    """One block for each certificate."""
    from ginnel.core.certificate import Certificate
    from ginnel.core.x509 import render_name

    for entry in found:
        try:
            certificate = Certificate(entry.der)
            subject, serial = render_name(certificate.subject), certificate.serial_number
        except ValueError:
            subject, serial = "(not readable)", 0
        digits = f"{serial:X}"
        yield ""
        yield "Certificate"
        yield f"       DN:             {subject}"
        yield f"       Serial:         {digits.zfill(len(digits) + len(digits) % 2)}"
        yield f"       Serialized id:  {entry.id}"


async def _found(options: Pkcs11Options, said: list[LogLine]) -> list[TokenCertificate]:
    tokens = Tokens(options, Unattended(), said.append)
    try:
        return await tokens.certificates()
    finally:
        await tokens.close()
