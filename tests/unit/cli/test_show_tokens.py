"""The blocks of ``--show-pkcs11-ids``."""

from ginnel.cli.show_tokens import HEADING, render_certificates
from ginnel.core.token_id import ObjectId, TokenId
from ginnel.shell.tokens import TokenCertificate
from tests.sim.pki import make_ca

NAME = ObjectId(
    token=TokenId(manufacturer="m", model="o", serial="s", label="my token"), id=b"\xa1"
)


def test_a_block_for_each_certificate() -> None:
    ca = make_ca()
    lines = list(render_certificates([TokenCertificate(name=NAME, der=ca.der())]))
    number = f"{ca.certificate.serial_number:X}"
    assert lines == [
        "",
        "Certificate",
        "       DN:             C=GB, O=Example, CN=test ca",
        f"       Serial:         {number.zfill(len(number) + len(number) % 2)}",
        "       Serialized id:  m/o/s/my\\x20token/A1",
    ]


def test_what_cannot_be_read_is_shown_all_the_same() -> None:
    lines = list(render_certificates([TokenCertificate(name=NAME, der=b"rubbish")]))
    assert lines[2].endswith("(not readable)")
    assert "--pkcs11-id" in HEADING
