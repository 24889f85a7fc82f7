"""Who is asked for the certificate, and who signs."""

import asyncio

import pytest

from ginnel.core.errors import ConfigError
from ginnel.dataclass import replace
from ginnel.options.model import ClientOptions, ExternalKey, Pkcs11Options, TlsOptions
from ginnel.shell.external_key import ManagementSigner
from ginnel.shell.frontend import Unattended
from ginnel.shell.identity import Identity, find_identity, is_elsewhere
from tests.sim.pki import make_ca

PEM = make_ca().cert_pem().decode()
FILES = ClientOptions(profiles=())
EXTERNAL = replace(FILES, tls=TlsOptions(external_key=ExternalKey(pss=True)))


class Gui(Unattended):
    """Answers with a body, and keeps what it heard at the end."""

    def __init__(self, body: str = "") -> None:
        self.body = body
        self.hint = ""
        self.said = ""

    async def certificate(self, hint: str) -> str:
        self.hint = hint
        return self.body

    def fatal(self, text: str) -> None:
        self.said = text


def found(options: ClientOptions, gui: Unattended) -> Identity:
    return asyncio.run(find_identity(options, gui, lambda _line: None))


def test_files_need_nobody() -> None:
    identity = found(FILES, Gui())
    assert (identity.signer, identity.outside, identity.tls) == (None, None, FILES.tls)
    assert not is_elsewhere(FILES)
    asyncio.run(identity.close())


def test_the_management_client_signs() -> None:
    identity = found(EXTERNAL, Gui())
    assert isinstance(identity.signer, ManagementSigner)
    assert identity.outside is not None
    assert identity.tls.cert is None
    assert not is_elsewhere(EXTERNAL), "the certificate is in a file"


def test_the_management_client_has_the_certificate() -> None:
    options = replace(EXTERNAL, tls=replace(EXTERNAL.tls, external_cert="card"))
    assert is_elsewhere(options)
    gui = Gui("".join(PEM.splitlines()))
    identity = found(options, gui)
    assert gui.hint == "card"
    assert identity.tls.cert is not None
    silent = Gui()
    with pytest.raises(ConfigError):
        found(options, silent)
    assert "sent no certificate" in silent.said


def test_a_token_that_is_misnamed_is_told_to_the_client() -> None:
    options = replace(FILES, pkcs11=Pkcs11Options(id="nonsense"))
    assert is_elsewhere(options)
    gui = Gui()
    with pytest.raises(ConfigError):
        found(options, gui)
    assert "--show-pkcs11-ids" in gui.said
