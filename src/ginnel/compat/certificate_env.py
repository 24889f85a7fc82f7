"""What scripts are told about certificates: ``tls_*`` and ``X509_*``.

Responsible for the variables of ``tls-verify`` and of every later script, with the attributes that
``x509-track`` asks for. Their order and texts are OpenSSL's, as OpenVPN passes them on.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

from ginnel.compat.certificate_text import extension_text
from ginnel.core.actions import CertificateInfo
from ginnel.core.x509 import render_name, unreadable
from ginnel.options.model import TrackedAttribute

if TYPE_CHECKING:
    from cryptography import x509


def certificate_variables(
    chain: Sequence[CertificateInfo], tracked: Sequence[TrackedAttribute] = ()
) -> Iterator[tuple[str, str]]:
    """``tls_*`` and ``X509_*`` of each certificate, and the ``common_name`` of the last one.

    What is tracked takes the place of the subject's fields. A certificate that OpenSSL takes and a
    stricter parser refuses is told without its fields.
    """
    for info in chain:
        depth = info.depth
        yield f"tls_id_{depth}", info.subject
        yield f"tls_digest_{depth}", sha1(info.der, usedforsecurity=False).digest().hex(":")
        yield f"tls_digest_sha256_{depth}", sha256(info.der).digest().hex(":")
        try:
            certificate = _parsed(info.der)
            serial, fields = certificate.serial_number, dict(_subject_fields(certificate.subject))
            shown = _tracked_fields(certificate, info, tracked) if tracked else fields
        except unreadable():
            continue
        digits = f"{abs(serial):x}"
        octets = bytes.fromhex(digits.rjust(len(digits) + len(digits) % 2, "0"))
        yield f"tls_serial_{depth}", str(serial)
        yield f"tls_serial_hex_{depth}", octets.hex(":")
        for name, value in shown.items():
            yield f"X509_{depth}_{name}", value
        if depth == 0 and "CN" in fields:
            yield "common_name", _last_common_name(fields)


def _parsed(der: bytes) -> "x509.Certificate":
    """Raises one of ``unreadable`` when it cannot be parsed."""
    from cryptography import x509

    return x509.load_der_x509_certificate(der)


def _tracked_fields(
    certificate: "x509.Certificate", info: CertificateInfo, tracked: Sequence[TrackedAttribute]
) -> dict[str, str]:
    """The attributes asked for, as far as the certificate has them; a subject's first of a name."""
    fields: dict[str, str] = {}
    for wanted in tracked:
        if info.depth and not wanted.whole_chain:
            continue
        value = _attribute(certificate, info.der, wanted.oid)
        if value is not None:
            fields[wanted.name] = value
    return fields


def _attribute(certificate: "x509.Certificate", der: bytes, oid: str) -> str | None:
    match oid:
        case "sha1":
            return sha1(der, usedforsecurity=False).digest().hex(":").upper()
        case "sha256":
            return sha256(der).digest().hex(":").upper()
    for attribute in certificate.subject:
        if attribute.oid.dotted_string == oid:
            return _printable(attribute.value)
    for extension in certificate.extensions:
        if extension.oid.dotted_string == oid:
            text = extension_text(extension.value)
            return None if text is None else _printable(text)
    return None


def _printable(value: str | bytes) -> str:
    text = value if isinstance(value, str) else value.hex()
    return "".join(char if char.isprintable() else "_" for char in text)


def _subject_fields(subject: "x509.Name") -> Iterator[tuple[str, str]]:
    """Each attribute by its short name; further ones of a name get ``_1``, ``_2`` ..."""
    from cryptography import x509

    seen: dict[str, int] = {}
    for attribute in subject:
        name = render_name(x509.Name([attribute])).partition("=")[0]
        count = seen.get(name, 0)
        seen[name] = count + 1
        yield (f"{name}_{count}" if count else name), _printable(attribute.value)


def _last_common_name(fields: dict[str, str]) -> str:
    numbered = [name for name in fields if name == "CN" or name.startswith("CN_")]
    return fields[numbered[-1]]
