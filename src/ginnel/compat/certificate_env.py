"""What scripts are told about certificates: ``tls_*`` and ``X509_*``.

Responsible for the variables of ``tls-verify`` and of every later script, with the attributes that
``x509-track`` asks for. Their order and texts are OpenSSL's, as OpenVPN passes them on.
"""

from collections.abc import Iterator, Sequence

from ginnel.core.actions import CertificateInfo
from ginnel.core.certificate import Attribute, Certificate
from ginnel.core.x509 import render_name, unreadable
from ginnel.options.model import TrackedAttribute


def certificate_variables(
    chain: Sequence[CertificateInfo], tracked: Sequence[TrackedAttribute] = ()
) -> Iterator[tuple[str, str]]:
    """``tls_*`` and ``X509_*`` of each certificate, and the ``common_name`` of the last one.

    What is tracked takes the place of the subject's fields. A certificate that OpenSSL takes and a
    stricter parser refuses is told without its fields.
    """
    from hashlib import sha1, sha256

    for info in chain:
        depth = info.depth
        yield f"tls_id_{depth}", info.subject
        yield f"tls_digest_{depth}", sha1(info.der, usedforsecurity=False).digest().hex(":")
        yield f"tls_digest_sha256_{depth}", sha256(info.der).digest().hex(":")
        try:
            certificate = Certificate(info.der)
            serial, fields = certificate.serial_number, dict(_subject_fields(certificate))
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


def _tracked_fields(
    certificate: Certificate, info: CertificateInfo, tracked: Sequence[TrackedAttribute]
) -> dict[str, str]:
    """The attributes asked for, as far as the certificate has them; a subject's first of a name."""
    fields: dict[str, str] = {}
    for wanted in tracked:
        if info.depth and not wanted.whole_chain:
            continue
        value = _attribute(certificate, wanted.oid)
        if value is not None:
            fields[wanted.name] = value
    return fields


def _attribute(certificate: Certificate, oid: str) -> str | None:
    from hashlib import sha1, sha256

    match oid:
        case "sha1":
            return sha1(certificate.der, usedforsecurity=False).digest().hex(":").upper()
        case "sha256":
            return sha256(certificate.der).digest().hex(":").upper()
    for kind, value in _attributes(certificate):
        if kind == oid:
            return _printable(value)
    from cryptography import x509

    from ginnel.compat.certificate_text import extension_text

    for extension in x509.load_der_x509_certificate(certificate.der).extensions:
        if extension.oid.dotted_string == oid:
            text = extension_text(extension.value)
            return None if text is None else _printable(text)
    return None


def _printable(value: str | bytes) -> str:
    text = value if isinstance(value, str) else value.hex()
    return "".join(char if char.isprintable() else "_" for char in text)


def _attributes(certificate: Certificate) -> Iterator[Attribute]:
    return (attribute for together in certificate.subject for attribute in together)


def _subject_fields(certificate: Certificate) -> Iterator[tuple[str, str]]:
    """Each attribute by its short name; further ones of a name get ``_1``, ``_2`` ..."""
    seen: dict[str, int] = {}
    for attribute in _attributes(certificate):
        name = render_name(((attribute,),)).partition("=")[0]
        count = seen.get(name, 0)
        seen[name] = count + 1
        yield (f"{name}_{count}" if count else name), _printable(attribute[1])


def _last_common_name(fields: dict[str, str]) -> str:
    numbered = [name for name in fields if name == "CN" or name.startswith("CN_")]
    return fields[numbered[-1]]
