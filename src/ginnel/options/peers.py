"""Rules of tunnels between two peers that configure themselves: with TLS, or with a static key.

Such a peer pulls nothing. It may take the server's part in the TLS handshake, may wait for the
other one without a remote of its own, and with ``secret`` there is no TLS at all.
"""

from ginnel.options.ciphers import CIPHERS, canonical_cipher
from ginnel.options.compat_mode import OLD_DEFAULT_CIPHER
from ginnel.options.draft import STATIC_KEY, Draft
from ginnel.options.errors import ConfigError
from ginnel.options.model import KeyDirection
from ginnel.options.notes import Note, NoteKind
from ginnel.options.values import FileContent

DIRECTIONS = {None: KeyDirection.NONE, "0": KeyDirection.NORMAL, "1": KeyDirection.INVERSE}


def has_static_key(draft: Draft) -> bool:
    """Whether this is a tunnel without TLS."""
    return STATIC_KEY in draft.files


def check_roles(draft: Draft) -> None:
    """Exactly one part is taken: TLS client, TLS server or static key. Raises ConfigError."""
    places = draft.places
    parts = [name for name in ("tls-client", "tls-server", "secret") if places.has(name)]
    if len(parts) > 1:
        names = ", ".join(f"--{name}" for name in parts)
        raise ConfigError(
            f"{names} exclude each other: a tunnel is made in one of these ways",
            origin=places.of(parts[-1]),
            option=parts[-1],
        )
    if draft.options.pull and "tls-client" not in parts:
        raise ConfigError(
            "--pull needs --tls-client as well, or --client in place of both",
            origin=places.of("pull"),
            option="pull",
        )
    if not parts:
        raise ConfigError(
            "nothing says which role to take: use --client to connect to a server, or --secret, "
            "--tls-client or --tls-server between two peers"
        )


def check_static_key(draft: Draft) -> None:
    """Checks what a tunnel without TLS needs, and warns about it. Raises ConfigError."""
    origin = draft.places.of("secret")
    if draft.options.login.auth_user_pass:
        raise ConfigError(
            "--auth-user-pass needs a server that is logged in to, but --secret makes a tunnel "
            "without TLS",
            origin=draft.places.of("auth-user-pass"),
            option="auth-user-pass",
        )
    if draft.options.link.mtu_test:
        raise ConfigError(
            "--mtu-test is not supported with --secret by ginnel: set --tun-mtu, --fragment or "
            "--mssfix by hand",
            option="mtu-test",
        )
    given = draft.actions.get("cipher")  # without one openvpn 2.6 still means the old default
    cipher = OLD_DEFAULT_CIPHER if given is None else str(given[0])
    kind = CIPHERS.get(canonical_cipher(cipher) or "")
    if kind is not None and kind.is_aead:
        raise ConfigError(
            f"--cipher {cipher} cannot be used with --secret: its packets would repeat nonces "
            "after a restart. Take --cipher AES-256-CBC at both ends",
            origin=draft.places.of("cipher") or origin,
            option="cipher",
        )
    draft.set_field("data.configured_cipher", cipher)
    if not draft.places.has("allow-deprecated-insecure-static-crypto"):
        text = (
            "DEPRECATED OPTION: The option --secret is deprecated: whoever learns the key can read "
            "all that was ever sent. Use TLS, with --peer-fingerprint where a CA is too much"
        )
        draft.notes.append(Note(text=text, kind=NoteKind.WARNING, origin=origin, option="secret"))
    if given is None:
        text = f"--cipher is not given and defaults to {OLD_DEFAULT_CIPHER}, which is weak"
        draft.notes.append(Note(text=text, kind=NoteKind.WARNING, origin=origin, option="cipher"))


def put_static_key(draft: Draft, key: FileContent) -> None:
    """Puts the key that was read in its place, with its direction."""
    draft.set_field("data.static_key", key)
    direction = DIRECTIONS[draft.profile.key_direction]
    draft.set_field("data.static_key_direction", direction)
