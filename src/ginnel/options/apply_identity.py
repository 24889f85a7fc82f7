"""What the options about a private key outside this process do. Rows in ``rows.tls``, ``rows.log``.

Which of the ways to name certificate and key go together is checked here too, once all is read.
"""

from ginnel.dataclass import replace
from ginnel.options.draft import Draft, Handler, Use
from ginnel.options.errors import ConfigError
from ginnel.options.model import ExternalKey, Pkcs11Options

DEFAULT_PROVIDER = "p11-kit-proxy.so"
"""What serves where no library is named: every module that this system has registered."""


def _external_key(draft: Draft, use: Use) -> None:
    earlier = draft.options.tls.external_key or ExternalKey()
    draft.set_field("tls.external_key", replace(earlier, **dict.fromkeys(use.words, True)))


def _external_cert(draft: Draft, use: Use) -> None:
    draft.set_field("tls.external_cert", use.text(0))


def _flags(field: str) -> Handler:
    """One ``0`` or ``1`` for each library, in their order."""

    def apply(draft: Draft, use: Use) -> None:
        draft.set_field(f"pkcs11.{field}", tuple(word == "1" for word in use.words))

    return apply


def _private_mode(draft: Draft, use: Use) -> None:
    modes = []
    for word in use.words:
        try:
            mode = int(word, 16)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0xF:
            raise use.wrong("expected hexadecimal masks of 1 (sign), 2, 4 and 8, such as 1; or 0")
        if mode and not mode & 1:
            raise use.wrong("only signing with the key (1) is done here, not decrypting with it")
        modes.append(mode)
    draft.set_field("pkcs11.private_mode", tuple(modes))


def _show_ids(draft: Draft, use: Use) -> None:
    """One library of its own, or those of ``pkcs11-providers`` so far."""
    if use.words:
        draft.set_field("pkcs11.providers", (use.text(0),))
        draft.set_field("pkcs11.cert_private", (use.text(1) == "1",))
    draft.actions["show-pkcs11-ids"] = use.values


HANDLERS: dict[str, Handler] = {
    "management-external-key": _external_key,
    "management-external-cert": _external_cert,
    "pkcs11-protected-authentication": _flags("protected_authentication"),
    "pkcs11-cert-private": _flags("cert_private"),
    "pkcs11-private-mode": _private_mode,
    "show-pkcs11-ids": _show_ids,
}


def check_identity(draft: Draft) -> None:
    """Wants one way to prove who we are, and all that belongs to it. Raises ConfigError."""
    pkcs11 = draft.options.pkcs11
    if pkcs11 != Pkcs11Options():
        _check_pkcs11(draft)
    elif "tls.pkcs12" in draft.files:
        _exclude(draft, "pkcs12", ("cert", "key"))
    elif draft.options.tls.external_key is not None:
        _check_external(draft)
    else:
        _check_files(draft)


def _check_pkcs11(draft: Draft) -> None:
    pkcs11 = draft.options.pkcs11
    if pkcs11.id_management and pkcs11.id is not None:
        raise ConfigError(
            "Parameter --pkcs11-id cannot be used when --pkcs11-id-management is also specified",
            origin=draft.places.of("pkcs11-id"),
            option="pkcs11-id",
        )
    if not pkcs11.wanted:
        raise ConfigError(
            "Parameter --pkcs11-id or --pkcs11-id-management should be specified: "
            "--show-pkcs11-ids lists what a library holds",
            option="pkcs11-id",
        )
    _exclude(draft, "pkcs11-providers", ("cert", "key", "pkcs12"))


def _check_external(draft: Draft) -> None:
    if "tls.key" in draft.files:
        raise ConfigError(
            "--key and --management-external-key are mutually exclusive",
            origin=draft.files["tls.key"].origin,
            option="key",
        )
    has_hint = draft.options.tls.external_cert is not None
    if "tls.cert" in draft.files and has_hint:
        raise ConfigError(
            "--cert and --management-external-cert are mutually exclusive",
            origin=draft.files["tls.cert"].origin,
            option="cert",
        )
    if "tls.cert" not in draft.files and not has_hint:
        raise ConfigError(
            "--management-external-key needs the certificate of that key: give --cert FILE, or "
            "--management-external-cert HINT to ask the management client for it",
            origin=draft.places.of("management-external-key"),
            option="management-external-key",
        )


def _check_files(draft: Draft) -> None:
    files = draft.files
    if draft.options.tls.external_cert is not None:
        raise ConfigError(
            "--management-external-cert must be used with --management-external-key",
            origin=draft.places.of("management-external-cert"),
            option="management-external-cert",
        )
    if ("tls.cert" in files) != ("tls.key" in files):
        given = files.get("tls.cert") or files.get("tls.key")
        raise ConfigError(
            "If you use one of --cert or --key, you must use them both",
            origin=given.origin if given is not None else None,
            option=given.option if given is not None else None,
        )
    if draft.options.tls.tls_server and "tls.cert" not in files:
        raise ConfigError(
            "--tls-server needs a certificate: --cert and --key, or --pkcs12",
            origin=draft.places.of("tls-server"),
            option="tls-server",
        )
    if "tls.cert" not in files and not draft.options.login.auth_user_pass:
        raise ConfigError(
            "No client-side authentication method is specified. You must use either --cert/--key, "
            "--pkcs12, --pkcs11-id, --management-external-key, or --auth-user-pass"
        )


def _exclude(draft: Draft, chosen: str, others: tuple[str, ...]) -> None:
    for name in others:
        if f"tls.{name}" in draft.files:
            raise ConfigError(
                f"Parameter --{name} cannot be used when --{chosen} is also specified",
                origin=draft.files[f"tls.{name}"].origin,
                option=name,
            )
    _exclude_external(draft, chosen)


def _exclude_external(draft: Draft, chosen: str) -> None:
    for name in ("management-external-key", "management-external-cert"):
        if draft.places.has(name):
            raise ConfigError(
                f"Parameter --{name} cannot be used when --{chosen} is also specified",
                origin=draft.places.of(name),
                option=name,
            )
