"""Names of certificate attributes, as OpenSSL has them, and the numbers they stand for."""

SHORT_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.45": "x500UniqueIdentifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}
"""What OpenSSL puts before the value of a subject's attribute, by dotted number."""

_LONG_NAMES = {
    "commonName": "2.5.4.3",
    "surname": "2.5.4.4",
    "countryName": "2.5.4.6",
    "localityName": "2.5.4.7",
    "stateOrProvinceName": "2.5.4.8",
    "streetAddress": "2.5.4.9",
    "organizationName": "2.5.4.10",
    "organizationalUnitName": "2.5.4.11",
    "givenName": "2.5.4.42",
    "userId": "0.9.2342.19200300.100.1.1",
    "domainComponent": "0.9.2342.19200300.100.1.25",
}
_EXTENSIONS = {
    "subjectKeyIdentifier": "2.5.29.14",
    "keyUsage": "2.5.29.15",
    "subjectAltName": "2.5.29.17",
    "issuerAltName": "2.5.29.18",
    "basicConstraints": "2.5.29.19",
    "extendedKeyUsage": "2.5.29.37",
    "X509v3 Subject Key Identifier": "2.5.29.14",
    "X509v3 Key Usage": "2.5.29.15",
    "X509v3 Subject Alternative Name": "2.5.29.17",
    "X509v3 Issuer Alternative Name": "2.5.29.18",
    "X509v3 Basic Constraints": "2.5.29.19",
    "X509v3 Extended Key Usage": "2.5.29.37",
}
_DIGESTS = {"SHA1": "sha1", "sha1": "sha1", "SHA256": "sha256", "sha256": "sha256"}
_TRACKABLE = {
    **{short: oid for oid, short in SHORT_NAMES.items()},
    **_LONG_NAMES,
    **_EXTENSIONS,
    **_DIGESTS,
}


def trackable(name: str) -> str | None:
    """The dotted number of an attribute that ``x509-track`` can name, or ``sha1`` or ``sha256``.

    None for what OpenSSL does not know, or for an extension whose text is not rendered here.
    """
    if name in SHORT_NAMES or name in _EXTENSIONS.values():
        return name
    return _TRACKABLE.get(name)
