"""What the link options do: remotes, ports, binding, timers. Rows in ``rows.link``."""

from ginnel.dataclass import replace
from ginnel.options.draft import MAX_REMOTES, Draft, Handler, RemoteDraft, Use
from ginnel.options.model import AddressFamily, LinkProtocol

_MAX_TIME = 2**31 - 1


def parse_protocol(word: str) -> tuple[LinkProtocol, AddressFamily]:
    """Reads OpenVPN's protocol word; a bare ``tcp`` is a client's here."""
    family = AddressFamily.ANY
    base, _, role = word.partition("-")
    if base[-1] in "46":
        family = AddressFamily.IPV4 if base[-1] == "4" else AddressFamily.IPV6
        base = base[:-1]
    if base == "udp":
        return LinkProtocol.UDP, family
    return (LinkProtocol.TCP_SERVER if role == "server" else LinkProtocol.TCP_CLIENT), family


def _proto(draft: Draft, use: Use) -> None:
    protocol, family = parse_protocol(use.text(0))
    draft.actions["proto"] = (use.text(0),)
    draft.profile = replace(
        draft.profile, protocol=protocol, family=family, protocol_origin=use.origin
    )


def _remote(draft: Draft, use: Use) -> None:
    if len(draft.remotes) >= MAX_REMOTES:
        raise use.wrong(f"there are more than {MAX_REMOTES} remotes")
    host = use.text(0)
    if not host or len(host) > 255 or not host.isprintable() or " " in host:
        raise use.wrong("expected a host name or address of at most 255 characters")
    protocol = parse_protocol(use.text(2)) if len(use.words) > 2 else None
    port = use.text(1) or None
    draft.remotes.append(RemoteDraft(host=host, port=port, protocol=protocol, origin=use.origin))


def _local(draft: Draft, use: Use) -> None:
    """A server listens on each; for a client the last one counts, and only its address."""
    host = None if use.text(0) == "*" else use.text(0)
    if draft.in_block:
        if len(use.words) > 1:
            raise use.wrong("only servers have ports and protocols here; see --lport and --proto")
        draft.profile = replace(draft.profile, local=host)
        return
    from ginnel.options.server_draft import MAX_LISTENERS, LocalDraft

    locals_ = draft.server.locals
    if len(locals_) >= MAX_LISTENERS:
        raise use.wrong(f"there are more than {MAX_LISTENERS} local addresses")
    added = LocalDraft(
        host=host,
        port=use.text(1) or None,
        protocol=parse_protocol(use.text(2)) if len(use.words) > 2 else None,
        is_client_word=use.text(2).endswith("-client"),
        origin=use.origin,
    )
    draft.set_field("server.locals", (*locals_, added))
    draft.profile = replace(draft.profile, local=host)


def _port(draft: Draft, use: Use) -> None:
    draft.profile = replace(draft.profile, lport=use.text(0), rport=use.text(0))


def _lport(draft: Draft, use: Use) -> None:
    draft.profile = replace(draft.profile, lport=use.text(0), lport_defined=True)


def _rport(draft: Draft, use: Use) -> None:
    draft.profile = replace(draft.profile, rport=use.text(0))


def _bind(draft: Draft, use: Use) -> None:
    draft.profile = replace(draft.profile, bind_defined=True, bind_ipv6only=bool(use.words))


def _nobind(draft: Draft, use: Use) -> None:
    draft.profile = replace(draft.profile, nobind=True)


def _connect_retry(draft: Draft, use: Use) -> None:
    draft.profile = replace(
        draft.profile,
        connect_retry=use.number(0),
        connect_retry_max_delay=use.number(1, max(draft.profile.connect_retry_max_delay, 1)),
    )


def _resolv_retry(draft: Draft, use: Use) -> None:
    text = use.text(0)
    if text == "infinite":
        draft.set_field("link.resolv_retry", float("inf"))
    elif text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= _MAX_TIME:
        draft.set_field("link.resolv_retry", float(int(text)))
    else:
        raise use.wrong("expected a number of seconds or 'infinite'")


def _mtu_disc(draft: Draft, use: Use) -> None:
    draft.set_field("profile.mtu_disc", use.text(0))
    draft.set_field("link.mtu_disc", use.text(0))


def _mssfix(draft: Draft, use: Use) -> None:
    value = use.number(0) if use.words else None
    if value is not None and 0 < value < 154:
        raise use.wrong("expected 0 to switch it off, or at least 154")
    draft.profile = replace(draft.profile, mssfix=value, mssfix_mode=use.text(1))


def _explicit_exit_notify(draft: Draft, use: Use) -> None:
    count = use.number(0, 1)
    if use.pushed:
        draft.set_field("link.explicit_exit_notify", count)
    else:
        draft.set_field("profile.explicit_exit_notify", count)


def _ping_exit(draft: Draft, use: Use) -> None:
    draft.options = replace(
        draft.options,
        link=replace(draft.options.link, ping_exit=use.number(0), ping_restart=0),
    )


def _ping_restart(draft: Draft, use: Use) -> None:
    draft.options = replace(
        draft.options,
        link=replace(draft.options.link, ping_restart=use.number(0), ping_exit=0),
    )


def _keepalive(draft: Draft, use: Use) -> None:
    """A client's expansion; a server's doubles the timeout at the end (protocol-facts 24)."""
    interval, timeout = use.number(0), use.number(1)
    if timeout < 2 * interval:
        raise use.wrong(
            f"the timeout ({timeout}) must be at least twice the interval ({interval}), "
            "better five times"
        )
    draft.set_field("server.keepalive", (interval, timeout))
    draft.options = replace(
        draft.options,
        link=replace(draft.options.link, ping=interval, ping_restart=timeout, ping_exit=0),
    )


def _inactive(draft: Draft, use: Use) -> None:
    draft.options = replace(
        draft.options,
        link=replace(draft.options.link, inactive=use.number(0), inactive_bytes=use.number(1, 0)),
    )


def _buffer(draft: Draft, use: Use) -> None:
    """Zero leaves the size to the system, as many a profile says."""
    draft.set_field(f"link.{use.row.name}", use.number(0) or None)


def _always_so(draft: Draft, use: Use) -> None:
    """What is asked for is done in any case."""


def _remember(draft: Draft, use: Use) -> None:
    draft.actions[use.row.name] = use.values


HANDLERS: dict[str, Handler] = {
    "proto": _proto,
    "proto-force": _remember,
    "remote": _remote,
    "local": _local,
    "port": _port,
    "lport": _lport,
    "rport": _rport,
    "bind": _bind,
    "nobind": _nobind,
    "connect-retry": _connect_retry,
    "resolv-retry": _resolv_retry,
    "sndbuf": _buffer,
    "rcvbuf": _buffer,
    "mtu-disc": _mtu_disc,
    "socket-flags": _always_so,
    "mssfix": _mssfix,
    "explicit-exit-notify": _explicit_exit_notify,
    "ping-exit": _ping_exit,
    "ping-restart": _ping_restart,
    "keepalive": _keepalive,
    "inactive": _inactive,
}
