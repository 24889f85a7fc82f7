"""Lines about process and host, as OpenVPN 2.6.14 logged them."""

from ipaddress import ip_address

import pytest

from ginnel.compat import shell_lines
from ginnel.compat.log_lines import LogLine, Severity
from ginnel.compat.shell_lines import SignalSource
from ginnel.compat.status_file import LinkStatistics
from ginnel.compat.versions import library_versions, title
from ginnel.core.types import Endpoint, Transport
from ginnel.options.model import ProcessOptions

REMOTE = Endpoint(ip_address("127.0.0.1"), 11940)
REMOTE6 = Endpoint(ip_address("::1"), 9)
ANY = Endpoint(ip_address("0.0.0.0"), 1194)
ANY6 = Endpoint(ip_address("::"), 4444)


@pytest.mark.parametrize(
    ("line", "verb", "text"),
    [
        (shell_lines.initialization_completed(), 1, "Initialization Sequence Completed"),
        (
            shell_lines.signal_received("SIGTERM", SignalSource.HARD),
            1,
            "SIGTERM[hard,] received, process exiting",
        ),
        (
            shell_lines.signal_received("SIGINT", SignalSource.HARD),
            1,
            "SIGINT[hard,] received, process exiting",
        ),
        (
            shell_lines.signal_received("SIGHUP", SignalSource.HARD),
            1,
            "SIGHUP[hard,] received, process restarting",
        ),
        (
            shell_lines.signal_received("SIGUSR1", SignalSource.SOFT, "ping-restart"),
            1,
            "SIGUSR1[soft,ping-restart] received, process restarting",
        ),
        (
            shell_lines.exit_notification(),
            1,
            "SIGTERM received, sending exit notification to peer",
        ),
        (shell_lines.restart_pause(1), 3, "Restart pause, 1 second(s)"),
        (
            shell_lines.preserving_remote(REMOTE),
            1,
            "TCP/UDP: Preserving recently used remote address: [AF_INET]127.0.0.1:11940",
        ),
        (
            shell_lines.socket_buffers((212992, 212992), (212992, 425984)),
            3,
            "Socket Buffers: R=[212992->212992] S=[212992->425984]",
        ),
        (shell_lines.link_local(REMOTE, None, Transport.UDP), 1, "UDPv4 link local: (not bound)"),
        (
            shell_lines.link_local(REMOTE, ANY, Transport.UDP),
            1,
            "UDPv4 link local (bound): [AF_INET][undef]:1194",
        ),
        (
            shell_lines.link_local(REMOTE6, Endpoint(ip_address("::1"), 1194), Transport.UDP),
            1,
            "UDPv6 link local (bound): [AF_INET6]::1:1194",
        ),
        (
            shell_lines.link_local(REMOTE6, ANY6, Transport.UDP),
            1,
            "UDPv6 link local (bound): [AF_INET6][undef]:4444",
        ),
        (
            shell_lines.link_remote(REMOTE, Transport.UDP),
            1,
            "UDPv4 link remote: [AF_INET]127.0.0.1:11940",
        ),
        (
            shell_lines.link_local(REMOTE6, None, Transport.TCP),
            1,
            "TCPv6_CLIENT link local: (not bound)",
        ),
        (
            shell_lines.link_remote(REMOTE, Transport.TCP),
            1,
            "TCPv4_CLIENT link remote: [AF_INET]127.0.0.1:11940",
        ),
        (
            shell_lines.tcp_connecting(REMOTE),
            1,
            "Attempting to establish TCP connection with [AF_INET]127.0.0.1:11940",
        ),
        (
            shell_lines.tcp_connected(REMOTE),
            1,
            "TCP connection established with [AF_INET]127.0.0.1:11940",
        ),
        (
            shell_lines.tcp_connect_failed(REMOTE, "Connection refused"),
            1,
            "TCP: connect to [AF_INET]127.0.0.1:11940 failed: Connection refused",
        ),
        (
            shell_lines.cannot_resolve("no.such.host", "1", "Name or service not known"),
            1,
            "RESOLVE: Cannot resolve host address: no.such.host:1 (Name or service not known)",
        ),
        (shell_lines.tun_opened("tun1"), 1, "TUN/TAP device tun1 opened"),
        (shell_lines.tun_preserved("tun1"), 1, "Preserving previous TUN/TAP instance: tun1"),
        (shell_lines.tun_closing(), 2, "Closing TUN/TAP interface"),
        (shell_lines.persist_state(on=True), 1, "Persist state set to: ON"),
        (shell_lines.mtu_set("tun1", 1500), 1, "net_iface_mtu_set: mtu 1500 for tun1"),
        (shell_lines.interface_up("tun1"), 1, "net_iface_up: set tun1 up"),
        (
            shell_lines.address_changed("tun1", "10.8.0.2/24", version=4, added=True),
            1,
            "net_addr_v4_add: 10.8.0.2/24 dev tun1",
        ),
        (
            shell_lines.address_changed("tun1", "10.8.0.2/24", version=4, added=False),
            1,
            "net_addr_v4_del: 10.8.0.2 dev tun1",
        ),
        (
            shell_lines.address_changed("tun1", "2001:db8:8::1000/64", version=6, added=False),
            1,
            "net_addr_v6_del: 2001:db8:8::1000/64 dev tun1",
        ),
        (
            shell_lines.address_changed("tun0", "10.1.0.1", version=4, added=True, peer="10.1.0.2"),
            1,
            "net_addr_ptp_v4_add: 10.1.0.1 peer 10.1.0.2 dev tun0",
        ),
        (
            shell_lines.address_changed(
                "tun0", "10.1.0.1", version=4, added=False, peer="10.1.0.2"
            ),
            1,
            "net_addr_ptp_v4_del: 10.1.0.1 dev tun0",
        ),
        (
            shell_lines.route_changed("10.99.0.0/16", "10.8.0.1", None, 50, version=4, added=True),
            3,
            "net_route_v4_add: 10.99.0.0/16 via 10.8.0.1 dev [NULL] table 0 metric 50",
        ),
        (
            shell_lines.route_changed("0.0.0.0/1", None, "tun0", None, version=4, added=False),
            3,
            "net_route_v4_del: 0.0.0.0/1 via 0.0.0.0 dev tun0 table 0 metric -1",
        ),
        (
            shell_lines.route_gateway("192.0.2.1", "255.255.255.0", "eth0", "02:fc:00:00:00:01"),
            3,
            "ROUTE_GATEWAY 192.0.2.1/255.255.255.0 IFACE=eth0 HWADDR=02:fc:00:00:00:01",
        ),
        (shell_lines.route6_gateway("fd00::1", "eth0"), 3, "ROUTE6_GATEWAY fd00::1 IFACE=eth0"),
        (
            shell_lines.script_run(["/tmp/up.sh", "tun0", "1500", "0", "init"]),
            1,
            "/tmp/up.sh tun0 1500 0 init",
        ),
        (
            shell_lines.key_file_accessible("client.key"),
            0,
            "WARNING: file 'client.key' is group or others accessible",
        ),
    ],
)
def test_texts_and_verbs_are_openvpns(line: LogLine, verb: int, text: str) -> None:
    assert (line.verb, line.text) == (verb, text)


def test_banner_names_release_and_libraries() -> None:
    assert [line.text for line in shell_lines.banner()] == [title(), library_versions()]


def test_fatal_ends_with_the_greppable_line() -> None:
    cause, last = shell_lines.fatal("no tun\ndevice")
    assert cause == LogLine(text="no tun?device", verb=0, severity=Severity.FATAL)
    assert last.text == "Exiting due to fatal error"


def test_rights_are_given_up_in_openvpns_order() -> None:
    process = ProcessOptions(user="nobody", group="nogroup", chroot="/var/empty")
    assert [line.text for line in shell_lines.identity_changed(process)] == [
        "chroot to '/var/empty' and cd to '/' succeeded",
        "UID set to nobody",
        "GID set to nogroup",
    ]
    assert shell_lines.identity_changed(ProcessOptions()) == ()


def test_statistics_are_the_status_files_lines() -> None:
    lines = shell_lines.statistics(LinkStatistics(link_read=7), "2026-11-22 12:09:49")
    assert lines[0].text == "OpenVPN STATISTICS"
    assert lines[4].text == "TCP/UDP read bytes,7"


def test_own_remarks_are_marked_once() -> None:
    assert shell_lines.warning("odd").text == "WARNING: odd"
    assert shell_lines.warning("WARNING: odd").text == "WARNING: odd"
    assert shell_lines.note("fine").text == "fine"


def test_failures_say_what_and_why() -> None:
    failed = shell_lines.route_failed("10.0.0.0/8", "Network is unreachable", added=True)
    assert failed.text.startswith("ERROR: Linux route add command failed")
    assert "10.0.0.0/8" in failed.text
    assert "Network is unreachable" in failed.text
    script = shell_lines.script_failed("up", "external program exited with error status: 1")
    assert script.text == (
        "WARNING: Failed running command (--up): external program exited with error status: 1"
    )
