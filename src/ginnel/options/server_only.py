"""What becomes of a server's options where no server was asked for.

Most are refused as openvpn 2.6 does; the ones that it takes and forgets leave a line in the log.
"""

from ginnel.options.draft import Draft
from ginnel.options.errors import ConfigError
from ginnel.options.notes import Note
from ginnel.options.table import OptionSide, find_row

_TAKEN = frozenset(
    {
        "auth-gen-token-secret",
        "connect-freq-initial",
        "ifconfig-push-constraint",
        "management-client-auth",
        "max-clients",
        "max-routes-per-client",
        "push",
        "tcp-nodelay",
        "tcp-queue-limit",
        "tls-crypt-v2-max-age",
        "tls-crypt-v2-verify",
        "verify-client-cert",
        "vlan-accept",
        "vlan-pvid",
    }
)
_ANYBODYS = frozenset({"bcast-buffers", "dh", "tls-server"})
_ALSO = ("multihome", "opt-verify")
"""Options without a side that only servers act upon."""


def refuse_server_options(draft: Draft) -> None:
    """Raises ConfigError for the first option that needs a server."""
    for name, origin in draft.places.origins.items():
        if _is_server_option(name) and name not in _TAKEN:
            raise ConfigError(f"--{name} requires --mode server", origin=origin, option=name)
    for local in draft.of_server.locals if draft.of_server is not None else ():
        if local.port is not None:
            raise ConfigError(
                "--local takes a port and a protocol for servers only; see --lport and --proto",
                origin=local.origin,
                option="local",
            )


def note_server_options(draft: Draft) -> None:
    """Says which options do nothing here."""
    for name, origin in draft.places.origins.items():
        if name in _TAKEN or name in _ALSO:
            text = f"--{name} has no effect here: it is for --mode server"
            draft.notes.append(Note(text=text, origin=origin, option=name))
    server = draft.of_server
    if server is None:
        return
    if server.crypt_v2_force_cookie:
        text = "--tls-crypt-v2: force-cookie has no effect here: it is for --mode server"
        place = draft.places.of("tls-crypt-v2")
        draft.notes.append(Note(text=text, origin=place, option="tls-crypt-v2"))
    if server.dh is not None:
        text = "--dh has no effect here: it is for --mode server"
        draft.notes.append(Note(text=text, origin=server.dh.origin, option="dh"))
    bounds = server.limits.reneg_sec_range
    if bounds is not None and bounds[0] != bounds[1]:
        text = f"--reneg-sec: a client makes new keys after exactly {bounds[1]} seconds"
        place = draft.places.of("reneg-sec")
        draft.notes.append(Note(text=text, origin=place, option="reneg-sec"))


def _is_server_option(name: str) -> bool:
    row = find_row(name)
    return row is not None and row.side is OptionSide.SERVER and name not in _ANYBODYS
