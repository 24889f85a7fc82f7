"""Certificate extensions as OpenSSL prints them, for ``x509-track``.

Kinds without a rule here are left out: their printed form has several lines, or no fixed one.
"""

from collections.abc import Iterator
from ipaddress import IPv6Address

from ginnel.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

_KEY_USES = (
    ("digital_signature", "Digital Signature"),
    ("content_commitment", "Non Repudiation"),
    ("key_encipherment", "Key Encipherment"),
    ("data_encipherment", "Data Encipherment"),
    ("key_agreement", "Key Agreement"),
    ("key_cert_sign", "Certificate Sign"),
    ("crl_sign", "CRL Sign"),
)
_KEY_AGREEMENT_USES = (("encipher_only", "Encipher Only"), ("decipher_only", "Decipher Only"))

_EXTENDED_USES = {
    "1.3.6.1.5.5.7.3.1": "TLS Web Server Authentication",
    "1.3.6.1.5.5.7.3.2": "TLS Web Client Authentication",
    "1.3.6.1.5.5.7.3.3": "Code Signing",
    "1.3.6.1.5.5.7.3.4": "E-mail Protection",
    "1.3.6.1.5.5.7.3.8": "Time Stamping",
    "1.3.6.1.5.5.7.3.9": "OCSP Signing",
    "2.5.29.37.0": "Any Extended Key Usage",
}


def extension_text(value: "x509.ExtensionType") -> str | None:
    """Renders one extension; None for a kind that has no rule here."""
    from cryptography import x509

    match value:
        case x509.BasicConstraints(ca=ca, path_length=length):
            limit = "" if length is None else f", pathlen:{length}"
            return f"CA:{'TRUE' if ca else 'FALSE'}{limit}"
        case x509.KeyUsage():
            return ", ".join(_key_uses(value))
        case x509.ExtendedKeyUsage():
            oids = (use.dotted_string for use in value)
            return ", ".join(_EXTENDED_USES.get(oid, oid) for oid in oids)
        case x509.SubjectAlternativeName() | x509.IssuerAlternativeName():
            return ", ".join(_general_name(name) for name in value)
        case x509.SubjectKeyIdentifier(digest=digest):
            return digest.hex(":").upper()
        case _:
            return None


def _key_uses(usage: "x509.KeyUsage") -> Iterator[str]:
    kinds = _KEY_USES + (_KEY_AGREEMENT_USES if usage.key_agreement else ())
    for field, words in kinds:
        if getattr(usage, field):
            yield words


def _general_name(name: "x509.GeneralName") -> str:
    from cryptography import x509

    match name:
        case x509.DNSName(value=text):
            return f"DNS:{text}"
        case x509.RFC822Name(value=text):
            return f"email:{text}"
        case x509.UniformResourceIdentifier(value=text):
            return f"URI:{text}"
        case x509.IPAddress(value=address):
            if not isinstance(address, IPv6Address):
                return f"IP Address:{address}"
            words = (f"{int(word, 16):X}" for word in address.exploded.split(":"))
            return "IP Address:" + ":".join(words)
        case x509.RegisteredID(value=oid):
            return f"Registered ID:{oid.dotted_string}"
        case x509.DirectoryName(value=distinguished):
            return f"DirName:{distinguished.rfc4514_string()}"
        case _:
            return "othername:<unsupported>"
