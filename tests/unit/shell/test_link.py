"""The seam between transports and the drive: both transports fit it, and its error carries why."""

from ginnel.shell.link import Link, LinkUnavailable
from ginnel.shell.tcp import TcpLink
from ginnel.shell.udp import UdpLink


def test_both_transports_are_links() -> None:
    kinds: list[type[Link]] = [UdpLink, TcpLink]
    assert [kind.__name__ for kind in kinds] == ["UdpLink", "TcpLink"]


def test_an_unavailable_link_says_what_the_signal_is_called() -> None:
    assert LinkUnavailable("there", "no IPv6").reason == "network-unreachable"
    refused = LinkUnavailable("there", "refused", reason="connection-failed")
    assert (refused.reason, str(refused)) == ("connection-failed", "there: refused")
