"""Revocation while clients are connected: who is ended, and when a list counts."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ginnel.core.actions import CertificateInfo
from ginnel.core.server_actions import ClientFacts
from ginnel.dataclass import replace
from ginnel.options.model import TlsOptions
from ginnel.options.values import FileContent, Secret
from ginnel.shell.revocation import RevocationWatch
from tests.unit.shell.loops import run, until
from tests.unit.shell.remotes import ORIGIN
from tests.unit.shell.server_scripts import client

KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime.now(UTC)
SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])


def certificate(serial: int) -> CertificateInfo:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"client{serial}")])
    builder = x509.CertificateBuilder(SUBJECT, name, KEY.public_key(), serial, NOW, NOW)
    made = builder.sign(KEY, hashes.SHA256())
    der = made.public_bytes(serialization.Encoding.DER)
    return CertificateInfo(depth=0, subject=f"CN=client{serial}", der=der)


def crl(*serials: int) -> bytes:
    builder = x509.CertificateRevocationListBuilder(SUBJECT, NOW, NOW + timedelta(days=1))
    for serial in serials:
        entry = x509.RevokedCertificateBuilder(serial, NOW).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass
class Someone:
    facts: ClientFacts


def someone(serial: int) -> Someone:
    root = CertificateInfo(depth=1, subject="CN=root", der=b"not to be parsed")
    return Someone(replace(client(serial), chain=(root, certificate(serial))))


@dataclass
class Rig:
    options: TlsOptions
    clients: list[Someone] = field(default_factory=lambda: [someone(n) for n in range(1, 251)])
    ended: list[str] = field(default_factory=list)
    renewed: int = 0

    def renew(self) -> bool:
        self.renewed += 1
        return True

    def end(self, one: Someone, certificate: CertificateInfo) -> None:
        self.ended.append(certificate.subject)
        self.clients.remove(one)

    async def watching(self) -> "asyncio.Task[None]":
        watch = RevocationWatch(self.options, renew=self.renew, look=0.001)
        assert watch.is_needed
        loop = asyncio.get_running_loop()
        return loop.create_task(watch.run(lambda: self.clients, self.end))


def change(path: Path, content: bytes) -> None:
    """Puts a new file in the place of the old one, as tools do."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def test_those_on_a_new_list_are_ended_once(tmp_path: Path) -> None:
    path = tmp_path / "crl.pem"
    path.write_bytes(crl(1))
    content = FileContent(option="crl-verify", origin=ORIGIN, path=str(path), content=Secret(b""))

    async def work() -> None:
        made = Rig(TlsOptions(crl_verify=content))
        watching = await made.watching()
        change(path, crl(1, 7, 203))
        await until(lambda: len(made.ended) == 3, "the ends")
        assert made.ended == ["CN=client1", "CN=client7", "CN=client203"]
        assert made.renewed == 1
        change(path, b"-----BEGIN X509 CRL-----\nbroken\n")
        await until(lambda: made.renewed == 2, "the complaint")
        path.unlink()
        await until(lambda: made.renewed == 3, "the complaint")
        change(path, crl(8))
        await until(lambda: len(made.ended) == 4, "the last one")
        assert not watching.done()
        watching.cancel()

    run(work())


def test_a_list_that_changed_before_the_watch_began_counts(tmp_path: Path) -> None:
    path = tmp_path / "crl.pem"
    path.write_bytes(crl(7))
    loaded = FileContent(option="crl-verify", origin=ORIGIN, path=str(path), content=Secret(crl()))

    async def work() -> None:
        made = Rig(TlsOptions(crl_verify=loaded))
        watching = await made.watching()
        await until(lambda: made.ended, "the end")
        assert made.ended == ["CN=client7"]
        watching.cancel()

    run(work())


def test_files_of_a_directory_revoke_by_their_names(tmp_path: Path) -> None:
    async def work() -> None:
        made = Rig(TlsOptions(crl_verify_dir=str(tmp_path), hand_window=1))
        watching = await made.watching()
        (tmp_path / "7").touch()
        (tmp_path / "README").touch()
        await until(lambda: made.ended, "the end")
        assert made.ended == ["CN=client7"]
        # Its next handshake had begun before: it is looked at once more when that must be over.
        made.clients.append(someone(7))
        await until(lambda: len(made.ended) == 2, "the other end")
        assert made.ended == ["CN=client7"] * 2
        watching.cancel()

    run(work())


@pytest.mark.parametrize("inline", [True, False])
def test_nothing_is_watched_that_cannot_change(inline: bool) -> None:
    content = FileContent(option="crl-verify", origin=ORIGIN, path=None, content=Secret(b""))
    options = TlsOptions(crl_verify=content if inline else None)
    assert not RevocationWatch(options, renew=lambda: True).is_needed
