"""What a peer shows of itself: certificates, and tokens in place of a password."""

from collections.abc import Callable, Mapping

from ginnel.compat.certificate_env import certificate_variables
from ginnel.compat.log_lines import render
from ginnel.core.auth_token import TokenIssuer, is_token
from ginnel.core.server_actions import TokenState
from ginnel.core.tls import Judge
from ginnel.core.types import Side
from ginnel.core.x509 import CertificatePolicy
from ginnel.options.model import NameMatch, TlsOptions, TrackedAttribute, VerifyName
from ginnel.options.server_model import TokenOptions
from ginnel.options.values import Secret
from tests.fuzz.pieces import cut

CONTROL = "\0\n\r"
NOW = 1_800_000_000
TRACKED = tuple(
    TrackedAttribute(name=name, oid=oid, whole_chain=True)
    for name, oid in (("CN", "2.5.4.3"), ("subjectAltName", "2.5.29.17"), ("none", "1.2.3"))
)
STRICT = TlsOptions(
    x509_username_field=("ext:subjectAltName", "CN"),
    ns_cert_type="client",
    remote_cert_ku=(0x80,),
    remote_cert_eku="clientAuth",
    verify_x509_name=VerifyName(name="x", match=NameMatch.NAME_PREFIX),
)


def peer_certificate(data: bytes) -> None:
    """The first byte chooses rules, depth and what the library has to complain about."""
    flags, der = (data[0], data[1:]) if data else (0, b"")
    options = STRICT if flags & 1 else TlsOptions()
    policy = CertificatePolicy(options=options, has_trust_anchor=bool(flags & 2))
    judge = Judge(policy, Side.SERVER)
    judge(der, depth=flags >> 6, error_number=(flags >> 2) & 0x0F, error_text="bad")
    lines = [line.text for verdict in judge.take_verdicts() for line in render(verdict)]
    assert not any(char in text for text in lines for char in CONTROL)
    chain = judge.describe(tls_version="", cipher="").chain
    for name, value in certificate_variables(chain, TRACKED if flags & 3 else ()):
        assert not any(char in value for char in CONTROL), name


def auth_token(data: bytes) -> None:
    """User name and password; nobody without the key makes a token that is worth anything."""
    username, password, *_ = (*cut(data), b"", b"")
    issuer = TokenIssuer(
        TokenOptions(), reneg_sec=3600, hand_window=60, process_key=Secret(bytes(range(128)))
    )
    secret = Secret(password)
    if is_token(secret):
        judged = issuer.judge(username.decode("utf-8", "surrogateescape"), secret, NOW)
        assert judged.state is TokenState.INVALID
        assert judged.session is None


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "peer-certificate": peer_certificate,
    "auth-token": auth_token,
}
