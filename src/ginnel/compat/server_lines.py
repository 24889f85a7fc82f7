"""Log lines of a server, in the words of OpenVPN 2.6.14: what its clients' machines say, and more.

Lines about one client get its name in front (``about``); those that a client's own machine says as
well are rendered in ``compat.log_lines``.
"""

from ginnel.compat import log_lines
from ginnel.compat.log_lines import Category, LogLine, Severity, printable
from ginnel.core.notices import (
    CertificateAccepted,
    CertificateRejected,
    ControlChannelReady,
    ControlMessage,
    DataChannelReady,
    Ended,
    InitialPacket,
    KeyRenegotiating,
    Outcome,
    PathNarrowed,
    PeerConnected,
    Warned,
)
from ginnel.core.pool import MAX_SIZE
from ginnel.core.server_notices import (
    AuthenticationFailed,
    ClientConnected,
    ClientMoved,
    ExitScheduled,
    PeerInfoReceived,
    PushSent,
    ServerNotice,
)
from ginnel.core.types import Endpoint, IPAddress, IPNetwork, PeerId, Transport
from ginnel.options.model import DeviceType, PlainWrapping, TlsAuth, TlsCrypt, Topology
from ginnel.options.server_model import ServerOptions

DETAILS = (InitialPacket, PushSent, ExitScheduled)
"""Notices whose lines are all of ``DETAIL_VERB``: most servers need not have them rendered."""

DETAIL_VERB = 3

Wrapping = PlainWrapping | TlsAuth | TlsCrypt


def about(name: str, line: LogLine) -> LogLine:
    """Puts the client's name in front, as each of its lines has it."""
    return LogLine(
        text=f"{printable(name)} {line.text}",
        verb=line.verb,
        severity=line.severity,
        category=line.category,
        timestamp=line.timestamp,
    )


def render(notice: ServerNotice, *, common_name: str) -> tuple[LogLine, ...]:
    """Renders what a client's machine said, without the client's name."""
    match notice:
        case PeerInfoReceived(variables=variables):
            return tuple(
                LogLine(text=f"peer info: {printable(name)}={printable(value)}")
                for name, value in variables
            )
        case PushSent(common_name=name, text=text):
            return (_push(f"SENT CONTROL [{printable(name)}]: '{printable(text)}' (status=1)"),)
        case AuthenticationFailed(by_login=True):
            text = "TLS Auth Error: Auth Username/Password verification failed for peer"
            return (_error(text, category=Category.TLS_ERROR),)
        case AuthenticationFailed():
            return ()  # something else said why, and the message to the client follows
        case ExitScheduled(seconds=seconds):
            return (_push(f"Delayed exit in {int(seconds)} seconds"),)
        case ControlMessage(keyword="EXIT"):
            return (_push("CC-EEN exit message received by peer"),)
        case ClientConnected() | ClientMoved():
            return ()
        case (
            InitialPacket()
            | CertificateAccepted()
            | CertificateRejected()
            | ControlChannelReady()
            | DataChannelReady()
            | PeerConnected()
            | KeyRenegotiating()
            | ControlMessage()
            | PathNarrowed()
            | Warned()
            | Ended()
        ):
            return log_lines.render(notice, common_name=common_name)


def _error(text: str, *, category: Category = Category.NONE) -> LogLine:
    return LogLine(text=text, severity=Severity.ERROR, category=category)


def _push(text: str) -> LogLine:
    return LogLine(text=text, verb=DETAIL_VERB, category=Category.PUSH)


# --- start -------------------------------------------------------------------------------------


def _protocol(endpoint: Endpoint, transport: Transport) -> str:
    version = endpoint.address.version
    return f"UDPv{version}" if transport is Transport.UDP else f"TCPv{version}_SERVER"


def _bound(endpoint: Endpoint) -> str:
    """An unspecified address shows as ``[undef]``, as OpenVPN writes it."""
    shown = str(endpoint)
    if endpoint.address.is_unspecified:
        shown = shown.replace(f"]{endpoint.address}:", "][undef]:", 1)
    return shown


def listening(endpoint: Endpoint) -> LogLine:
    return LogLine(text=f"Listening for incoming TCP connection on {_bound(endpoint)}")


def bound(endpoint: Endpoint, transport: Transport) -> tuple[LogLine, LogLine]:
    """``UDPv4 link local (bound): …`` and the line about the remote that always follows it."""
    family = _protocol(endpoint, transport)
    return (
        LogLine(text=f"{family} link local (bound): {_bound(endpoint)}"),
        LogLine(text=f"{family} link remote: [AF_UNSPEC]"),
    )


def family_guessed() -> LogLine:
    """No option said which of the two it is."""
    return LogLine(text="Could not determine IPv4/IPv6 protocol. Using AF_INET")


def multi_init(real: int, virtual: int) -> LogLine:
    """Sizes of hash tables; monitoring waits for this line."""
    return LogLine(text=f"MULTI: multi_init called, r={real} v={virtual}", verb=3)


def pool_lines(options: ServerOptions) -> tuple[LogLine, ...]:
    """What addresses there are for clients."""
    lines: list[str] = []
    four, six = options.pool.ipv4, options.pool.ipv6
    count = 0
    if four is not None:
        in_fours = options.tun.dev_type is DeviceType.TUN
        in_fours = in_fours and options.tun.topology is Topology.NET30
        count = (int(four.last) - int(four.first) + 1) // (4 if in_fours else 1)
        lines.append(f"IFCONFIG POOL IPv4: base={four.first} size={count}")
    if six is not None:
        size = min(int(six.network.broadcast_address) - int(six.first) + 1, MAX_SIZE)
        bits = six.network.prefixlen
        lines.append(f"IFCONFIG POOL IPv6: base={six.first} size={size} netbits={bits}")
        if four is not None and count != size:
            least = "IPv4" if count < size else "IPv6"
            lines.append(
                f"NOTE: IPv4 pool size is {count}, IPv6 pool size is {size}. {least} pool size "
                "limits the number of clients that can be served from the pool"
            )
    return tuple(LogLine(text=text, verb=3) for text in lines)


def tcp_init(max_clients: int, max_events: int) -> LogLine:
    text = f"MULTI: TCP INIT maxclients={max_clients} maxevents={max_events}"
    return LogLine(text=text, verb=3)


# --- clients -----------------------------------------------------------------------------------


def tcp_accepted(remote: Endpoint) -> LogLine:
    return LogLine(text=f"TCP connection established with {remote}")


def revoked(depth: int, subject: str) -> LogLine:
    """A connected client's certificate is on a new revocation list."""
    text = f"VERIFY ERROR: depth={depth}, error=certificate revoked: {printable(subject)}"
    return _error(text, category=Category.TLS_ERROR)


def stranger_refused(reason: str, wrapping: Wrapping, source: Endpoint) -> tuple[LogLine, ...]:
    """Why the first packet of somebody is not answered; nothing for what is mere noise."""
    match reason, wrapping:
        case (("wkc" | "client-key-age" | "early-negotiation"), _):
            text = f"TLS Error: can not extract tls-crypt-v2 client key from {source}"
        case "force-cookie", _:
            text = (
                "tls-crypt-v2 force-cookie is enabled, ignoring connection attempt from old client "
                f"({source})"
            )
        case "wrapping", _:
            text = f"TLS Error: could not determine wrapping from {source}"
        case (("hmac" | "short"), TlsCrypt()):
            text = f"TLS Error: tls-crypt unwrapping failed from {source}"
        case "short", TlsAuth():
            text = f"TLS Error: cannot locate HMAC in incoming packet from {source}"
        case "hmac", TlsAuth():
            cause = "Authenticate/Decrypt packet error: packet HMAC authentication failed"
            text = f"TLS Error: incoming packet authentication failed from {source}"
            return tuple(_error(line, category=Category.TLS_ERROR) for line in (cause, text))
        case _:
            return ()
    return (_error(text, category=Category.TLS_ERROR),)


def not_openvpn(remote: Endpoint) -> LogLine:
    """``port-share`` takes the connection."""
    return LogLine(text=f"{remote} Non-OpenVPN client protocol detected")


def too_many_clients(limit: int) -> LogLine:
    text = f"MULTI: new incoming connection would exceed maximum number of clients ({limit})"
    return _error(text)


def too_frequent(remote: str) -> LogLine:
    return LogLine(
        text=f"MULTI: Connection from {remote} would exceed new connection frequency limit as "
        "controlled by --connect-freq",
        severity=Severity.ERROR,
    )


def shutting_down(remote: str) -> LogLine:
    text = f"MULTI: Connection attempt from {remote} ignored while server is shutting down"
    return _error(text)


def name_taken_over(common_name: str) -> LogLine:
    return LogLine(
        text=f"MULTI: new connection by client '{printable(common_name)}' will cause previous "
        "active sessions by this client to be dropped.  Remember to use the --duplicate-cn option "
        "if you want multiple clients using the same certificate or username to concurrently "
        "connect.",
        severity=Severity.ERROR,
    )


def learnt(address: IPAddress | str, name: str, *, anew: bool = False) -> LogLine:
    how = "" if not anew else " (RELEARN)"
    return LogLine(text=f"MULTI: Learn{how}: {address} -> {printable(name)}", verb=3)


def primary_address(address: IPAddress, name: str) -> LogLine:
    family = "IP" if address.version == 4 else "IPv6"
    return LogLine(text=f"MULTI: primary virtual {family} for {printable(name)}: {address}", verb=3)


def internal_route(network: IPNetwork, name: str) -> LogLine:
    single = network.num_addresses == 1
    shown = str(network.network_address) if single else str(network)
    return LogLine(text=f"MULTI: internal route {shown} -> {printable(name)}", verb=3)


def routes_refused(name: str, *, limit: int) -> LogLine:
    return LogLine(
        text=f"MULTI ROUTE: route quota ({limit}) exceeded for {printable(name)} (see "
        "--max-routes-per-client option)",
        severity=Severity.ERROR,
    )


def iroutes_useless(name: str) -> LogLine:
    return _error(
        f"MULTI: --iroute options rejected for {printable(name)} -- iroute only works with "
        "tun-style tunnels"
    )


def moved(peer_id: PeerId, common_name: str, before: str, now: Endpoint) -> LogLine:
    """``before`` is the address without a family: that is how OpenVPN has it."""
    return LogLine(
        text=f"peer {peer_id} ({printable(common_name)}) floated from {before} to {now}", verb=4
    )


def float_refused(other: str) -> LogLine:
    return _error(f"Disallow float to an address taken by another client {printable(other)}")


def bad_source(address: str) -> LogLine:
    return LogLine(
        text=f"MULTI: bad source address from client [{address}], packet dropped",
        verb=1,
        severity=Severity.ERROR,
    )


def client_ended(ended: Ended) -> LogLine:
    """``SIGUSR1[soft,ping-restart] received, client-instance restarting``."""
    restarts = ended.outcome is Outcome.RESTART
    signal, what = ("SIGUSR1", "restarting") if restarts else ("SIGTERM", "exiting")
    text = f"{signal}[soft,{printable(ended.signal_text)}] received, client-instance {what}"
    return LogLine(text=text)
