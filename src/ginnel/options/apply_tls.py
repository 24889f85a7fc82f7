"""What the TLS options do: certificate checks, control keys. Rows in ``rows.tls``."""

import binascii

from ginnel.dataclass import replace
from ginnel.options.draft import Draft, Handler, Use, no_effect
from ginnel.options.files import FileRef
from ginnel.options.model import NameMatch, TrackedAttribute, VerifyName
from ginnel.options.notes import Note, NoteKind
from ginnel.options.x509_names import trackable

MAX_FINGERPRINTS = 4096
MAX_TRACKED = 256
_DIGEST_BYTES = {"SHA1": 20, "SHA256": 32}
_KEY_USAGE_MAX = 0xFFFF
# The role a certificate is made for: key usage must be present, plus this extended usage.
_ROLE_EKU = {
    "client": "TLS Web Client Authentication",
    "server": "TLS Web Server Authentication",
}


def _tls_key(field: str) -> Handler:
    def apply(draft: Draft, use: Use) -> None:
        earlier = getattr(draft.profile, field)
        if isinstance(earlier, FileRef):
            draft.files["pending"] = earlier
        ref = draft.refer("pending", use, use.words[0] if use.words else None)
        del draft.files["pending"]
        draft.set_field(f"profile.{field}", ref)

    return apply


def _tls_auth(draft: Draft, use: Use) -> None:
    _tls_key("tls_auth")(draft, use)
    if len(use.words) > 1:
        draft.set_field("profile.key_direction", use.text(1))


def _tls_crypt_v2(draft: Draft, use: Use) -> None:
    """What clients without cookies are told is a server's setting; a client has no use for it."""
    _tls_key("tls_crypt_v2")(draft, use)
    draft.set_field("server.crypt_v2_force_cookie", use.text(1) == "force-cookie")


def _key_direction(draft: Draft, use: Use) -> None:
    draft.set_field("profile.key_direction", use.text(0))


def _crl_verify(draft: Draft, use: Use) -> None:
    if len(use.words) > 1:
        ref = FileRef(option="crl-verify", origin=use.origin, path=use.text(0))
        draft.files.pop("tls.crl_verify", None)
        draft.files["tls.crl_verify_dir"] = ref
    else:
        draft.files.pop("tls.crl_verify_dir", None)
        draft.refer("tls.crl_verify", use, use.words[0] if use.words else None)


def _capath(draft: Draft, use: Use) -> None:
    draft.files["tls.capath"] = FileRef(option="capath", origin=use.origin, path=use.text(0))


def _export_dir(draft: Draft, use: Use) -> None:
    draft.files["tls.tls_export_cert"] = FileRef(
        option="tls-export-cert", origin=use.origin, path=use.text(0)
    )


def _askpass(draft: Draft, use: Use) -> None:
    draft.set_field("tls.askpass_requested", True)
    if use.words and use.text(0) != "stdin":
        draft.refer("tls.askpass", use, use.text(0))


def _peer_fingerprint(draft: Draft, use: Use) -> None:
    digests = _fingerprints(use, 32)
    kept = (*draft.options.tls.peer_fingerprint, *digests)
    if len(kept) > MAX_FINGERPRINTS:
        raise use.wrong(f"there are more than {MAX_FINGERPRINTS} fingerprints")
    draft.set_field("tls.peer_fingerprint", kept)


def _verify_hash(draft: Draft, use: Use) -> None:
    default = "SHA256" if use.inline is not None else "SHA1"
    algorithm = use.text(1, default)
    digests = _fingerprints(use, _DIGEST_BYTES[algorithm])
    tls = draft.options.tls
    if tls.verify_hash and tls.verify_hash_algorithm != algorithm:
        raise use.wrong(f"earlier digests are {tls.verify_hash_algorithm}, all must be of one kind")
    if len(tls.verify_hash) + len(digests) > MAX_FINGERPRINTS:
        raise use.wrong(f"there are more than {MAX_FINGERPRINTS} digests")
    draft.options = replace(
        draft.options,
        tls=replace(tls, verify_hash=(*tls.verify_hash, *digests), verify_hash_algorithm=algorithm),
    )


def _fingerprints(use: Use, size: int) -> tuple[bytes, ...]:
    """Reads digests in colon-separated hex: one word, or one on each line of a block."""
    if use.inline is None:
        return (_fingerprint(use.text(0), size, use),)
    lines = use.inline.reveal().decode("utf-8", "replace").splitlines()
    wanted = [line.strip() for line in lines]
    return tuple(_fingerprint(line, size, use) for line in wanted if line and line[0] not in "#;")


def _fingerprint(text: str, size: int, use: Use) -> bytes:
    try:
        digest = binascii.unhexlify(text.replace(":", ""))
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != size:
        raise use.wrong(f"expected {size} bytes in hexadecimal, separated by colons")
    return digest


def _verify_x509_name(draft: Draft, use: Use) -> None:
    if not use.text(0):
        raise use.wrong("expected a name")
    match = NameMatch(use.text(1, "subject"))
    draft.set_field("tls.verify_x509_name", VerifyName(name=use.text(0), match=match))


def _remote_cert_tls(draft: Draft, use: Use) -> None:
    draft.set_field("tls.remote_cert_ku", ())
    draft.set_field("tls.remote_cert_eku", _ROLE_EKU[use.text(0)])


def _remote_cert_ku(draft: Draft, use: Use) -> None:
    masks: list[int] = []
    for text in use.words:
        digits = text.removeprefix("0x")
        if not 1 <= len(digits) <= 4 or not set(digits) <= set("0123456789abcdefABCDEF"):
            raise use.wrong("expected hexadecimal key-usage masks such as a0 88")
        masks.append(int(digits, 16) & _KEY_USAGE_MAX)
    draft.set_field("tls.remote_cert_ku", tuple(masks))


def _x509_track(draft: Draft, use: Use) -> None:
    name = use.text(0).removeprefix("+")
    oid = trackable(name)
    if oid is None:
        raise use.wrong(
            "no such attribute; expected a part of the subject such as CN or emailAddress, SHA1, "
            "SHA256, subjectAltName, keyUsage, extendedKeyUsage, basicConstraints or "
            "subjectKeyIdentifier"
        )
    tracked = draft.options.tls.x509_track
    if len(tracked) >= MAX_TRACKED:
        raise use.wrong(f"there are more than {MAX_TRACKED} of these")
    added = TrackedAttribute(name=name, oid=oid, whole_chain=use.text(0).startswith("+"))
    draft.set_field("tls.x509_track", (*tracked, added))


def _keying_material_exporter(draft: Draft, use: Use) -> None:
    if not use.text(0).startswith("EXPORTER"):
        raise use.wrong('keying material exporter label must begin with "EXPORTER"')
    draft.notes.append(no_effect(use))


def _tls_version_min(draft: Draft, use: Use) -> None:
    draft.set_field("tls.tls_version_min", use.text(0))
    draft.set_field("tls.tls_version_min_or_highest", len(use.words) > 1)


def _reneg_sec(draft: Draft, use: Use) -> None:
    longest = use.number(0)
    if len(use.words) > 1 and use.number(1) > longest:
        raise use.wrong("the least time must not be longer than the greatest")
    if len(use.words) > 1:
        draft.set_field("limits.reneg_sec_range", (use.number(1), longest))
    else:
        draft.set_field("limits.reneg_sec_range", None)
    draft.set_field("tls.reneg_sec", longest)


def _reneg_bytes(draft: Draft, use: Use) -> None:
    draft.set_field("tls.reneg_bytes", None if use.number(0) < 0 else use.number(0))


def _max_packet_size(draft: Draft, use: Use) -> None:
    """Sets the control packets' limit, and the data packets' by MSS (options.tsv)."""
    draft.set_field("tls.max_packet_size", use.number(0))
    draft.set_field("profile.max_packet_size", use.number(0))
    draft.profile = replace(draft.profile, mssfix=use.number(0), mssfix_mode="mtu")


def _tls_client(draft: Draft, use: Use) -> None:
    draft.places.note("tls-client", use.origin)


def _tls_server(draft: Draft, use: Use) -> None:
    draft.places.note("tls-server", use.origin)
    draft.set_field("tls.tls_server", True)


def _client(draft: Draft, use: Use) -> None:
    draft.places.note("tls-client", use.origin)
    draft.options = replace(draft.options, pull=True)


def _pull(draft: Draft, use: Use) -> None:
    draft.options = replace(draft.options, pull=True)


def warn_unverified_server(draft: Draft) -> None:
    """Warns when any certificate of the CA would do for the server."""
    tls = draft.options.tls
    checks = (
        tls.remote_cert_ku is not None
        or tls.remote_cert_eku
        or tls.ns_cert_type
        or tls.verify_x509_name
        or tls.verify_hash
        or tls.peer_fingerprint
        or tls.tls_verify
    )
    if not checks:
        text = (
            "No server certificate verification method has been enabled. Any certificate of the "
            "CA can pose as the server; add --remote-cert-tls server"
        )
        draft.notes.append(Note(text=text, kind=NoteKind.WARNING))


HANDLERS: dict[str, Handler] = {
    "tls-auth": _tls_auth,
    "tls-crypt": _tls_key("tls_crypt"),
    "tls-crypt-v2": _tls_crypt_v2,
    "key-direction": _key_direction,
    "crl-verify": _crl_verify,
    "capath": _capath,
    "tls-export-cert": _export_dir,
    "askpass": _askpass,
    "peer-fingerprint": _peer_fingerprint,
    "verify-hash": _verify_hash,
    "verify-x509-name": _verify_x509_name,
    "remote-cert-tls": _remote_cert_tls,
    "remote-cert-ku": _remote_cert_ku,
    "x509-track": _x509_track,
    "keying-material-exporter": _keying_material_exporter,
    "tls-version-min": _tls_version_min,
    "reneg-sec": _reneg_sec,
    "reneg-bytes": _reneg_bytes,
    "max-packet-size": _max_packet_size,
    "tls-client": _tls_client,
    "tls-server": _tls_server,
    "client": _client,
    "pull": _pull,
}
