"""Log lines about the process and its host, in the words of OpenVPN's log.

Each function renders one event; verbs and categories are those of an OpenVPN 2.6.14 client. Lines
that tell what the protocol machine said are in ``compat.log_lines``.
"""

from collections.abc import Sequence

from ginnel.compat.log_lines import Category, LogLine, Severity, printable
from ginnel.compat.status_file import LinkStatistics, statistics_lines
from ginnel.compat.versions import library_versions, title
from ginnel.core.types import Endpoint, Transport
from ginnel.enumeration import Enum
from ginnel.options.errors import ConfigError, render_config_error
from ginnel.options.model import ProcessOptions


class SignalSource(Enum):
    """Where a signal came from: the operating system, or the program itself."""

    HARD = "hard"
    SOFT = "soft"
    CONNECTION_FAILED = "connection failed(soft)"
    """A server that did not accept a connection."""


# --- start and stop ----------------------------------------------------------------------------


def banner() -> tuple[LogLine, ...]:
    """Who is starting; the first lines of every run and of every SIGHUP."""
    return (LogLine(text=title()), LogLine(text=library_versions()))


def initialization_completed() -> LogLine:
    """The line that scripts and service managers wait for; last of a start.

    As OpenVPN 2.6 has it, routes that could not be set do not change it.
    """
    return LogLine(text="Initialization Sequence Completed")


def signal_received(signal: str, source: SignalSource, text: str = "") -> LogLine:
    """``SIGTERM[hard,] received, process exiting`` and its kin.

    ``signal`` is a name such as ``SIGUSR1``; SIGUSR1 and SIGHUP restart, others exit. ``text`` is
    the soft-signal name such as ``ping-restart``.
    """
    what = "restarting" if signal in {"SIGUSR1", "SIGHUP"} else "exiting"
    return LogLine(text=f"{signal}[{source.value},{printable(text)}] received, process {what}")


def exit_notification() -> LogLine:
    """Said when ``explicit-exit-notify`` delays the end."""
    return LogLine(text="SIGTERM received, sending exit notification to peer")


def restart_pause(seconds: int) -> LogLine:
    """Said before each reconnect that waits."""
    return LogLine(text=f"Restart pause, {seconds} second(s)", verb=3, category=Category.RESTART)


def fatal(text: str) -> tuple[LogLine, ...]:
    """A cause, then the line every fatal end closes with. The process must exit with status 1."""
    return (
        LogLine(text=printable(text), verb=0, severity=Severity.FATAL),
        exiting_on_error(),
    )


def exiting_on_error() -> LogLine:
    """The line that every end with status 1 closes with."""
    return LogLine(text="Exiting due to fatal error")


def identity_changed(process: ProcessOptions) -> tuple[LogLine, ...]:
    """Which rights were given up, in the order in which OpenVPN says so."""
    lines: list[str] = []
    if process.chroot is not None:
        lines.append(f"chroot to '{printable(process.chroot)}' and cd to '/' succeeded")
    if process.user is not None:
        lines.append(f"UID set to {printable(process.user)}")
    if process.group is not None:
        lines.append(f"GID set to {printable(process.group)}")
    return tuple(LogLine(text=line) for line in lines)


def statistics(values: LinkStatistics, now_text: str) -> tuple[LogLine, ...]:
    """The answer to SIGUSR2."""
    return tuple(LogLine(text=line) for line in statistics_lines(values, now_text))


def options_error(error: ConfigError) -> tuple[LogLine, ...]:
    """``Options error: …`` for a mistake that shows only when the program already runs."""
    return tuple(
        LogLine(text=text, verb=0, severity=Severity.FATAL) for text in render_config_error(error)
    )


def crashed(trace: Sequence[str]) -> tuple[LogLine, ...]:
    """A bug of ours: where it happened, in a form fit for a report."""
    lines = [line for part in trace for line in part.splitlines() if line]
    head = "internal error, please report it with the lines that follow"
    return (
        *(LogLine(text=text, verb=0, severity=Severity.FATAL) for text in (head, *lines)),
        exiting_on_error(),
    )


def note(text: str) -> LogLine:
    """A remark in words of our own."""
    return LogLine(text=printable(text))


def warning(text: str) -> LogLine:
    """A warning in words of our own; ``WARNING: `` is put before it when it is not there."""
    shown = printable(text)
    return LogLine(
        text=shown if shown.startswith(("WARNING", "NOTE")) else f"WARNING: {shown}",
        verb=0,
        severity=Severity.WARNING,
    )


def not_restored(reason: str) -> LogLine:
    """The one end that leaves the host changed, and what to do about it."""
    return warning(f"the host is not restored ({reason}): run 'ginnel restore' as root")


def key_file_accessible(path: str) -> LogLine:
    """A private file that its group or others may read."""
    return LogLine(
        text=f"WARNING: file '{printable(path)}' is group or others accessible",
        verb=0,
        severity=Severity.WARNING,
    )


# --- the link ----------------------------------------------------------------------------------


def _protocol(endpoint: Endpoint, transport: Transport) -> str:
    version = endpoint.address.version
    return f"UDPv{version}" if transport is Transport.UDP else f"TCPv{version}_CLIENT"


def preserving_remote(remote: Endpoint) -> LogLine:
    return LogLine(text=f"TCP/UDP: Preserving recently used remote address: {remote}")


def socket_buffers(receive: tuple[int, int], send: tuple[int, int]) -> LogLine:
    """Sizes in bytes, before and after the options were applied."""
    return LogLine(
        text=f"Socket Buffers: R=[{receive[0]}->{receive[1]}] S=[{send[0]}->{send[1]}]",
        verb=3,
        category=Category.SOCKET_BUFFERS,
    )


def link_local(remote: Endpoint, bound: Endpoint | None, transport: Transport) -> LogLine:
    """``UDPv4 link local: (not bound)`` or ``… (bound): [AF_INET]address:port``.

    An unspecified address shows as ``[undef]``, as OpenVPN writes it.
    """
    head = f"{_protocol(remote, transport)} link local"
    if bound is None:
        return LogLine(text=f"{head}: (not bound)")
    shown = str(bound)
    if bound.address.is_unspecified:
        shown = shown.replace(str(bound.address), "[undef]", 1)
    return LogLine(text=f"{head} (bound): {shown}")


def link_remote(remote: Endpoint, transport: Transport) -> LogLine:
    shown = "[AF_UNSPEC]" if remote.is_anybody else str(remote)
    return LogLine(text=f"{_protocol(remote, transport)} link remote: {shown}")


def tcp_connecting(remote: Endpoint) -> LogLine:
    return LogLine(text=f"Attempting to establish TCP connection with {remote}")


def tcp_connected(remote: Endpoint) -> LogLine:
    return LogLine(text=f"TCP connection established with {remote}")


def tcp_connect_failed(remote: Endpoint, cause: str) -> LogLine:
    return LogLine(
        text=f"TCP: connect to {remote} failed: {cause}",
        severity=Severity.ERROR,
        category=Category.LINK_ERROR,
    )


_NO_RETRY = "I would have retried this name query if you had specified the --resolv-retry option."


def cannot_resolve(host: str, port: str, reason: str, *, retries: bool = True) -> LogLine:
    hint = "" if retries else f" ({_NO_RETRY})"
    return LogLine(
        text=f"RESOLVE: Cannot resolve host address: {printable(host)}:{printable(port)} "
        f"({printable(reason)}){hint}",
        severity=Severity.ERROR,
        category=Category.TLS_ERROR,
    )


# --- the tunnel device and routes --------------------------------------------------------------


def tun_opened(name: str) -> LogLine:
    return LogLine(text=f"TUN/TAP device {printable(name)} opened")


def tun_preserved(name: str) -> LogLine:
    return LogLine(text=f"Preserving previous TUN/TAP instance: {printable(name)}")


def tun_closing() -> LogLine:
    return LogLine(text="Closing TUN/TAP interface", verb=2, category=Category.CLOSE)


def persist_state(*, on: bool) -> LogLine:
    """``mktun`` and ``rmtun`` say this last."""
    return LogLine(text=f"Persist state set to: {'ON' if on else 'OFF'}")


def pulled_options_changed() -> LogLine:
    """Said when a kept device does not fit the new push."""
    return LogLine(
        text="NOTE: Pulled options changed on restart, will need to close and reopen "
        "TUN/TAP device."
    )


def mtu_set(device: str, mtu: int) -> LogLine:
    return LogLine(text=f"net_iface_mtu_set: mtu {mtu} for {printable(device)}")


def interface_up(device: str) -> LogLine:
    return LogLine(text=f"net_iface_up: set {printable(device)} up")


def address_changed(
    device: str, address: str, *, version: int, added: bool, peer: str | None = None
) -> LogLine:
    """``net_addr_v4_add: 10.8.0.2/24 dev tun1``; removals name IPv4 addresses without prefix.

    With ``peer`` it is a point-to-point address: ``net_addr_ptp_v4_add: L peer R dev D``.
    """
    verb = "add" if added else "del"
    name = f"net_addr_ptp_v4_{verb}" if peer is not None else f"net_addr_v{version}_{verb}"
    shown = address.partition("/")[0] if version == 4 and not added else address
    other = f" peer {peer}" if peer is not None and added else ""
    return LogLine(text=f"{name}: {shown}{other} dev {device}")


def route_changed(
    destination: str,
    gateway: str | None,
    device: str | None,
    metric: int | None,
    *,
    version: int,
    added: bool,
) -> LogLine:
    """``net_route_v4_add: 10.99.0.0/16 via 10.8.0.1 dev [NULL] table 0 metric -1``."""
    via = gateway or ("0.0.0.0" if version == 4 else "::")  # noqa: S104 -- text, nothing is bound
    return LogLine(
        text=f"net_route_v{version}_{'add' if added else 'del'}: {destination} via {via} "
        f"dev {device or '[NULL]'} table 0 metric {-1 if metric is None else metric}",
        verb=3,
    )


def route_failed(destination: str, reason: str, *, added: bool) -> LogLine:
    """``ERROR: Linux route add command failed``, with what and why."""
    return LogLine(
        text=f"ERROR: Linux route {'add' if added else 'delete'} command failed: "
        f"{printable(destination)}: {printable(reason)}",
        verb=0,
        severity=Severity.WARNING,
    )


def route_exists(destination: str) -> LogLine:
    """A route that was there before us: it stays when we leave."""
    return LogLine(
        text=f"NOTE: Linux route add command failed because route exists: {printable(destination)}",
        verb=0,
    )


def route_gateway(address: str, netmask: str, device: str, hardware: str | None = None) -> LogLine:
    """``ROUTE_GATEWAY 192.0.2.1/255.255.255.0 IFACE=eth0 HWADDR=…``."""
    tail = f" HWADDR={hardware}" if hardware else ""
    return LogLine(text=f"ROUTE_GATEWAY {address}/{netmask} IFACE={device}{tail}", verb=3)


def route6_gateway(address: str, device: str) -> LogLine:
    return LogLine(text=f"ROUTE6_GATEWAY {address} IFACE={device}", verb=3)


# --- scripts -----------------------------------------------------------------------------------


def scripts_allowed() -> LogLine:
    """Said once when ``script-security`` lets user-defined scripts run."""
    return LogLine(
        text="NOTE: the current --script-security setting may allow this configuration to call "
        "user-defined scripts",
        verb=0,
        severity=Severity.WARNING,
    )


def script_run(argv: Sequence[str]) -> LogLine:
    """The command line of a script that is about to run."""
    return LogLine(text=" ".join(printable(word) for word in argv))


def certificate_script(depth: int, subject: str, *, accepted: bool) -> LogLine:
    """``VERIFY SCRIPT OK: depth=1, CN=…``, or ``ERROR``: what ``tls-verify`` said."""
    if accepted:
        text = f"VERIFY SCRIPT OK: depth={depth}, {printable(subject)}"
        return LogLine(text=text, verb=2, category=Category.HANDSHAKE)
    text = f"VERIFY SCRIPT ERROR: depth={depth}, {printable(subject)}"
    return LogLine(text=text, severity=Severity.ERROR, category=Category.TLS_ERROR)


def dns_command_ended(status: int, *, up: bool) -> LogLine:
    """Told after each run of ``dns-updown``, in the words of OpenVPN 2.7."""
    return LogLine(text=f"dns {'up' if up else 'down'} command exited with status {status}")


def script_failed(hook: str, reason: str) -> LogLine:
    """``WARNING: Failed running command (--up): external program exited with …``."""
    return LogLine(
        text=f"WARNING: Failed running command (--{hook}): {printable(reason)}",
        verb=0,
        severity=Severity.WARNING,
    )
