"""Our client against our server with real TLS: certificates, wanted or not, and names."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from ginnel.core.notices import CertificateAccepted, CertificateRejected, ControlChannelReady
from ginnel.core.tls import TlsChannel
from ginnel.core.tls_context import build_tls_context, client_check
from ginnel.core.types import Side
from ginnel.options.model import TlsCrypt, TlsOptions
from ginnel.options.server_model import VerifyClientCert
from tests.sim.duo import Duo, server_options
from tests.sim.pair import STATIC_KEY, client_options, profile
from tests.sim.pki import NOW, Identity, issue, make_ca, tls_options
from tests.sim.wire import Faults

CA = make_ca()
SERVER = issue(CA, "server", server=True)
CLIENT = issue(CA, "client")
UNIX_TIME = int(NOW.timestamp())


def channels(
    options: TlsOptions, side: Side, wanted: VerifyClientCert | None = None
) -> Callable[[], TlsChannel]:
    check = None if wanted is None else client_check(wanted)
    context = build_tls_context(options, side=side, unix_time=UNIX_TIME, peer_check=check)
    return context.channel


def real_duo(
    client: TlsOptions | None = None,
    server: TlsOptions | None = None,
    *,
    wanted: VerifyClientCert | None = None,
    faults: Faults | None = None,
) -> Duo:
    """A duo on tls-crypt with real TLS at both ends."""
    ours = tls_options(CA, CLIENT) if client is None else client
    theirs = tls_options(CA, SERVER) if server is None else server
    connection = profile(TlsCrypt(key=STATIC_KEY))
    return Duo(
        server=server_options(wrapping=TlsCrypt(key=STATIC_KEY), tls=theirs),
        connection=connection,
        client=replace(client_options(connection), tls=ours),
        client_tls=channels(ours, Side.CLIENT),
        server_tls=channels(theirs, Side.SERVER, wanted),
        faults=faults,
    )


def without_certificate() -> TlsOptions:
    return replace(tls_options(CA, CLIENT), cert=None, key=None)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_keys_agree_and_the_name_is_known(version: str) -> None:
    options = replace(tls_options(CA, CLIENT), tls_version_min=version, tls_version_max=version)
    duo = real_duo(options)
    duo.connect()
    assert duo.keys_match
    assert duo.machine.facts.common_name == "client"
    assert [certificate.depth for certificate in duo.machine.facts.chain] == [1, 0]
    accepted = [one for one in duo.server.notices if isinstance(one, CertificateAccepted)]
    assert [one.certificate.depth for one in accepted] == [1, 0]
    (ready,) = duo.told(ControlChannelReady)
    assert isinstance(ready, ControlChannelReady)
    assert ready.tls_version == f"TLSv{version}"


def test_over_a_bad_link_it_takes_longer() -> None:
    duo = real_duo(faults=Faults(loss=0.2, duplicate=0.1, corrupt=0.05, jitter=0.2))
    duo.connect(within=300.0)
    assert duo.keys_match


def test_renegotiations_keep_the_name() -> None:
    duo = real_duo(server=replace(tls_options(CA, SERVER), reneg_sec=100))
    duo.connect()
    duo.advance(1000.0)
    assert duo.keys_match
    assert duo.machine.facts.common_name == "client"


@pytest.mark.parametrize(
    ("wanted", "has_certificate", "is_let_in"),
    [
        (VerifyClientCert.REQUIRE, False, False),
        (VerifyClientCert.OPTIONAL, False, True),
        (VerifyClientCert.OPTIONAL, True, True),
        (VerifyClientCert.NONE, False, True),
        (VerifyClientCert.NONE, True, True),
    ],
)
def test_certificates_may_be_wanted(
    wanted: VerifyClientCert, has_certificate: bool, is_let_in: bool
) -> None:
    duo = real_duo(None if has_certificate else without_certificate(), wanted=wanted)
    duo.start()
    if not is_let_in:
        duo.until(lambda: duo.server_ended is not None, 70.0)
        assert duo.server_ended is not None
        assert duo.server_ended.signal_text == "tls-error"
        return
    duo.until(lambda: duo.is_connected, 30.0)
    seen = has_certificate and wanted is not VerifyClientCert.NONE
    assert duo.machine.facts.common_name == ("client" if seen else "")


def foreign() -> Identity:
    return issue(make_ca("other ca"), "stranger")


def test_a_strangers_certificate_is_refused_also_where_none_is_needed() -> None:
    options = replace(tls_options(CA, foreign()), ca=tls_options(CA, CLIENT).ca)
    duo = real_duo(options, wanted=VerifyClientCert.OPTIONAL)
    duo.start()
    duo.until(lambda: duo.server_ended is not None, 70.0)
    assert len(duo.told(CertificateRejected)) == 1


def test_a_server_without_certificates_of_clients_needs_no_authority() -> None:
    alone = replace(tls_options(CA, SERVER), ca=None)
    duo = real_duo(without_certificate(), alone, wanted=VerifyClientCert.NONE)
    duo.connect()


def test_a_fingerprint_stands_in_for_an_authority() -> None:
    der = CLIENT.der()
    alone = replace(tls_options(CA, SERVER), ca=None, peer_fingerprint=(sha256(der).digest(),))
    duo = real_duo(server=alone)
    duo.connect()
    assert duo.machine.facts.common_name == "client"
    other = replace(alone, peer_fingerprint=(bytes(32),))
    duo = real_duo(server=other)
    duo.start()
    duo.until(lambda: duo.server_ended is not None, 70.0)


def test_the_name_may_come_from_another_field() -> None:
    server = replace(tls_options(CA, SERVER), x509_username_field=("O",))
    duo = real_duo(server=server)
    duo.connect()
    assert duo.machine.facts.common_name == "Example"


def test_another_certificate_at_a_renegotiation_is_the_end() -> None:
    twin = issue(CA, "client")
    connection = profile(TlsCrypt(key=STATIC_KEY))
    first = channels(tls_options(CA, CLIENT), Side.CLIENT)
    second = channels(tls_options(CA, twin), Side.CLIENT)
    sessions = [second(), first()]
    duo = Duo(
        server=server_options(
            wrapping=TlsCrypt(key=STATIC_KEY), tls=replace(tls_options(CA, SERVER), reneg_sec=100)
        ),
        connection=connection,
        client=replace(client_options(connection), tls=tls_options(CA, CLIENT)),
        client_tls=sessions.pop,
        server_tls=channels(tls_options(CA, SERVER), Side.SERVER),
    )
    duo.connect()
    duo.until(lambda: duo.server_ended is not None, 200.0)
    assert any("certificate attempted to change" in str(one) for one in duo.server.notices)
