"""When a draft asks for a server."""

from ipaddress import IPv4Network, IPv6Interface

import pytest

from ginnel.options.server_draft import BridgeDraft, ServerDraft


@pytest.mark.parametrize(
    "draft",
    [
        ServerDraft(mode=True),
        ServerDraft(network=IPv4Network("10.8.0.0/24")),
        ServerDraft(network_ipv6=IPv6Interface("fd00::/64")),
        ServerDraft(bridge=BridgeDraft()),
    ],
)
def test_each_form_asks_for_a_server(draft: ServerDraft) -> None:
    assert draft.is_wanted


def test_nothing_asks_for_none() -> None:
    assert not ServerDraft().is_wanted
