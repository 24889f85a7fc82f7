"""The directory of an authority: what it issued and revoked, kept so that a crash loses nothing.

::

    ca.crt  crl.pem           for everybody
    NAME.conf  NAME.ovpn      profiles with private keys in them (mode 0600)
    issued/NAME.crt           certificates in force
    revoked/SERIAL.crt        those that are not any more
    private/                  ca.key, tls-crypt-v2-server.key (mode 0600, in a folder of 0700)
    servers/NAME.json         what its clients have to know of a server

A certificate is revoked once the list says so; until the list is written it is in force.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ginnel.core.errors import GinnelError
from ginnel.core.key_files import (
    SERVER_KEY_LENGTH,
    STATIC_KEY_LENGTH,
    StaticKey,
    V2ServerKey,
    parse_v2_server_key,
    render_v2_client_key,
    render_v2_server_key,
)
from ginnel.core.wrap.crypt_v2 import METADATA_TIMESTAMP, wrap_client_key
from ginnel.dataclass import dataclass
from ginnel.options.values import FileContent, Origin, Secret
from ginnel.pki.certificates import (
    Identity,
    Role,
    common_name,
    issue,
    make_authority,
    revocation_list,
    role_of,
)
from ginnel.pki.profiles import Secrets, ServerSettings, client_profile, server_profile

MAX_NAME = 64
"""Longest common name of a certificate."""

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-")
_HOST_LETTERS = _LETTERS - {"@"} | {":"}
_MAX_HOST = 253
_PUBLIC, _PRIVATE = 0o644, 0o600


class PkiError(GinnelError):
    """What was asked for cannot be done; says why and what would help."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One certificate that was issued."""

    name: str
    role: Role
    serial: int
    until: datetime
    revoked: datetime | None = None


class Store:
    """An authority on disk. Each change holds a lock, so that two at once do no harm."""

    def __init__(self, directory: Path) -> None:
        """``directory`` was made by ``create``. Raises PkiError when it was not."""
        self._directory = directory
        if not (directory / "private" / "ca.key").is_file():
            raise PkiError(f"{directory} holds no authority: make one with 'ginnel pki init'")

    @classmethod
    def create(cls, directory: Path, name: str, *, now: datetime, days: int) -> "Store":
        """Makes a new authority. Raises PkiError when there is something already, and OSError."""
        _check_name(name)
        if directory.exists() and any(directory.iterdir()):
            raise PkiError(f"{directory} is not empty: an authority wants a directory of its own")
        authority = make_authority(name, now=now, days=days)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        for part in ("private", "issued", "revoked", "servers"):
            (directory / part).mkdir(mode=0o700)
        server_key = V2ServerKey(Secret(secrets.token_bytes(SERVER_KEY_LENGTH)))
        control_key = render_v2_server_key(server_key)
        _write(directory / "private" / "tls-crypt-v2-server.key", control_key, _PRIVATE)
        _write(directory / "ca.crt", authority.certificate_pem(), _PUBLIC)
        _write(directory / "crl.pem", revocation_list(authority, (), number=1, now=now), _PUBLIC)
        # Last, as it is what makes this an authority.
        _write(directory / "private" / "ca.key", authority.key_pem(), _PRIVATE)
        return cls(directory)

    def add_server(self, settings: ServerSettings, *, now: datetime, days: int) -> Path:
        """Issues a server's certificate; returns its profile. Raises PkiError and OSError."""
        _check_host(settings.host)
        with self._changing(settings.name):
            identity = issue(
                self._authority(),
                settings.name,
                Role.SERVER,
                now=now,
                days=days,
                hosts=(settings.host,),
            )
            control_key = (self._directory / "private" / "tls-crypt-v2-server.key").read_text()
            profile = server_profile(settings, self._secrets(identity, control_key))
            path = self._directory / f"{settings.name}.conf"
            _write(path, profile, _PRIVATE)
            _write(self._settings_path(settings.name), _render(settings), _PUBLIC)
            self._record(settings.name, identity)
            return path

    def add_client(self, name: str, server: str | None, *, now: datetime, days: int) -> Path:
        """Issues a client's certificate; returns its profile. Raises PkiError and OSError.

        ``server`` is the one that it connects to; None when there is only one.
        """
        with self._changing(name):
            settings = self._server(server)
            identity = issue(self._authority(), name, Role.CLIENT, now=now, days=days)
            control_key = self._client_control_key(now)
            profile = client_profile(settings, name, self._secrets(identity, control_key))
            path = self._directory / f"{name}.ovpn"
            _write(path, profile, _PRIVATE)
            self._record(name, identity)
            return path

    def revoke(self, name: str, *, now: datetime) -> Path:
        """Revokes a certificate; returns the new list. Raises PkiError and OSError."""
        _check_name(name)
        with self._locked():
            issued = self._issued_path(name)
            if not issued.exists():
                raise PkiError(f"there is no certificate for {name}; see 'ginnel pki list'")
            certificate = x509.load_pem_x509_certificate(issued.read_bytes())
            path = self._directory / "crl.pem"
            listed = x509.load_pem_x509_crl(path.read_bytes())
            revoked = [(entry.serial_number, entry.revocation_date_utc) for entry in listed]
            if certificate.serial_number not in {serial for serial, _ in revoked}:
                revoked.append((certificate.serial_number, now))
                number = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
                text = revocation_list(self._authority(), revoked, number=number + 1, now=now)
                _write(path, text, _PUBLIC)
            # Only now may the name be given anew, and the profile is of no use any more.
            issued.rename(self._directory / "revoked" / f"{certificate.serial_number:x}.crt")
            for profile in (f"{name}.ovpn", f"{name}.conf"):
                (self._directory / profile).unlink(missing_ok=True)
            self._settings_path(name).unlink(missing_ok=True)
            return path

    def entries(self) -> list[Entry]:
        """All certificates that were ever issued, by name and age. Raises PkiError and OSError."""
        listed = x509.load_pem_x509_crl((self._directory / "crl.pem").read_bytes())
        revoked = {entry.serial_number: entry.revocation_date_utc for entry in listed}
        found = []
        for path in [*self._directory.glob("issued/*.crt"), *self._directory.glob("revoked/*.crt")]:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            found.append(
                Entry(
                    name=common_name(certificate),
                    role=role_of(certificate),
                    serial=certificate.serial_number,
                    until=certificate.not_valid_after_utc,
                    revoked=revoked.get(certificate.serial_number),
                )
            )
        return sorted(found, key=lambda entry: (entry.name, entry.until))

    @contextlib.contextmanager
    def _changing(self, name: str) -> Iterator[None]:
        """Holds the lock while a name that is free gets its certificate."""
        _check_name(name)
        with self._locked():
            if self._issued_path(name).exists():
                raise PkiError(
                    f"{name} has a certificate already: revoke it first ('ginnel pki revoke "
                    f"{name}')"
                )
            yield

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _authority(self) -> Identity:
        certificate = x509.load_pem_x509_certificate((self._directory / "ca.crt").read_bytes())
        path = self._directory / "private" / "ca.key"
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise PkiError(f"{path} is no key that 'ginnel pki init' made")
        return Identity(certificate=certificate, key=key)

    def _secrets(self, identity: Identity, control_key: str) -> Secrets:
        return Secrets(
            ca=(self._directory / "ca.crt").read_text(),
            certificate=identity.certificate_pem(),
            key=identity.key_pem(),
            control_key=control_key,
        )

    def _client_control_key(self, now: datetime) -> str:
        """A key of the client's own, sealed with its time of making (``tls-crypt-v2-max-age``)."""
        path = self._directory / "private" / "tls-crypt-v2-server.key"
        content = FileContent(
            option="tls-crypt-v2",
            origin=Origin(str(path), 1),
            path=str(path),
            content=Secret(path.read_bytes()),
        )
        key = StaticKey(Secret(secrets.token_bytes(STATIC_KEY_LENGTH)))
        timestamp = int(now.timestamp()).to_bytes(8, "big")
        sealed = wrap_client_key(
            parse_v2_server_key(content), key, metadata_type=METADATA_TIMESTAMP, metadata=timestamp
        )
        return render_v2_client_key(sealed)

    def _server(self, name: str | None) -> ServerSettings:
        if name is not None:
            _check_name(name)
            if not self._settings_path(name).exists():
                raise PkiError(f"there is no server {name}; see 'ginnel pki list'")
            return _read(self._settings_path(name))
        known = sorted(self._directory.glob("servers/*.json"))
        if not known:
            raise PkiError("there is no server to connect to yet: 'ginnel pki server NAME HOST'")
        if len(known) > 1:
            names = ", ".join(path.stem for path in known)
            raise PkiError(f"there are several servers, say which: --server {names}")
        return _read(known[0])

    def _record(self, name: str, identity: Identity) -> None:
        _write(self._issued_path(name), identity.certificate_pem(), _PUBLIC)

    def _issued_path(self, name: str) -> Path:
        return self._directory / "issued" / f"{name}.crt"

    def _settings_path(self, name: str) -> Path:
        return self._directory / "servers" / f"{name}.json"


def today() -> datetime:
    """The time that certificates are made at: whole seconds, as they hold no parts of one."""
    return datetime.now(UTC).replace(microsecond=0)


def _check_name(name: str) -> None:
    """A name becomes a file's and stands in configuration lines."""
    good = 1 <= len(name) <= MAX_NAME and set(name) <= _LETTERS and name[0] not in ".-"
    if not good:
        raise PkiError(
            f"{name[:MAX_NAME]!r} cannot be a name: it has 1 to {MAX_NAME} letters, digits and "
            "any of . _ @ -, and does not begin with a dot or hyphen"
        )


def _check_host(host: str) -> None:
    """It stands in configuration lines, and in the certificate."""
    if not 1 <= len(host) <= _MAX_HOST or not set(host) <= _HOST_LETTERS or host[0] in ".-":
        raise PkiError(f"{host[:MAX_NAME]!r} is no name or address of a host")


def _render(settings: ServerSettings) -> str:
    fields = {key: value for key, value in asdict(settings).items() if value is not None}
    return json.dumps({key: str(value) for key, value in fields.items()}, indent=1) + "\n"


def _read(path: Path) -> ServerSettings:
    try:
        fields = json.loads(path.read_text())
        ipv6 = fields.get("network_ipv6")
        return ServerSettings(
            name=fields["name"],
            host=fields["host"],
            port=int(fields["port"]),
            protocol=fields["protocol"],
            network=IPv4Network(fields["network"]),
            network_ipv6=None if ipv6 is None else IPv6Network(ipv6),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PkiError(f"{path} is damaged: {error}") from error


def _write(path: Path, text: str, mode: int) -> None:
    """Puts a whole file in place, or none: what stood there stays until the new one is on disk."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "w") as file:
            os.fchmod(fd, mode)
            file.write(text)
            file.flush()
            os.fsync(fd)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
