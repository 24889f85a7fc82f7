"""Words of a server's commands: what they become, and that nothing breaks the parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.server_actions import ClientId
from ginnel.core.types import Transport
from ginnel.management.commands import Refused
from ginnel.management.server_commands import (
    Allow,
    Deny,
    KeyOf,
    KillAddress,
    KillName,
    Pending,
    PushUpdate,
    Restart,
    parse_key,
    parse_server_command,
)

KEY = KeyOf(client_id=ClientId(7), key_number=2)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("client-auth-nt 7 2 more", Allow(key=KEY)),
        ("client-deny 7 2 why", Deny(key=KEY, reason="why", client_reason=None)),
        ("client-deny 7 2 why no", Deny(key=KEY, reason="why", client_reason="no")),
        ("client-pending-auth 7 2 x 30s", Pending(key=KEY, extra="x", timeout=30)),
        ("client-kill 7", Restart(client_id=ClientId(7), message="RESTART")),
        ("client-kill 7x HALT", Restart(client_id=ClientId(7), message="HALT")),
        ("push-update-broad a,,b,", PushUpdate(client_id=None, options=("a", "b"))),
        ("push-update-cid 7 a", PushUpdate(client_id=ClientId(7), options=("a",))),
        ("kill udp", KillName(name="udp")),
        ("kill tcp:", KillName(name="tcp:")),
        ("kill -", KillName(name="-")),
    ],
)
def test_words_become_commands(line: str, command: object) -> None:
    assert parse_server_command(tuple(line.split(" "))) == command


@pytest.mark.parametrize(
    ("target", "address", "transport"),
    [
        ("192.0.2.7:1194", "[AF_INET]192.0.2.7:1194", None),
        ("udp:192.0.2.7:1194", "[AF_INET]192.0.2.7:1194", Transport.UDP),
        ("tcp:[2001:db8::7]:1194", "[AF_INET6]2001:db8::7:1194", Transport.TCP),
        ("[2001:db8::7]:1194", "[AF_INET6]2001:db8::7:1194", None),
    ],
)
def test_addresses_with_and_without_a_transport(
    target: str, address: str, transport: Transport | None
) -> None:
    command = parse_server_command(("kill", target))
    assert isinstance(command, KillAddress)
    assert (str(command.remote), command.transport) == (address, transport)


def test_numbers_are_read_as_c_reads_them() -> None:
    key = parse_key("-1", "+5")
    assert key == KeyOf(client_id=ClientId(2**64 - 1), key_number=5)
    assert parse_key("٣", "1") == Refused(replies=("ERROR: cannot parse CID",))


@given(
    st.sampled_from(
        [
            "kill",
            "client-auth-nt",
            "client-deny",
            "client-kill",
            "client-pending-auth",
            "push-update-broad",
            "push-update-cid",
            "nclients",
        ]
    ),
    st.lists(st.text(max_size=40) | st.from_regex(r"[0-9.:\[\]a-f]{1,30}"), min_size=5),
)
def test_any_words_have_an_answer(name: str, words: list[str]) -> None:
    parse_server_command((name, *words))
    parse_key(words[0], words[1])
