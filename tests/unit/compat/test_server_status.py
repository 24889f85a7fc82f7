"""The three forms of a server's status, byte for byte as openvpn 2.6.14 gives them."""

from collections.abc import Iterator

import pytest

from ginnel.compat.server_status import ClientRow, RouteRow, ServerStatus, status_lines

TITLE = "OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)]"
TIMES = {
    1795734586: "2026-11-26 23:09:46",
    1795734568: "2026-11-26 23:09:28",
    1795734574: "2026-11-26 23:09:34",
}
CLIENT = ClientRow(
    common_name="laptop",
    real_address="192.0.2.10:35810",
    virtual_ip4="10.10.112.2",
    virtual_ip6="fd00:10:112::1000",
    received=4206,
    sent=3066,
    since=1795734568,
    username="ada",
    client_id=0,
    peer_id=0,
    cipher="AES-256-GCM",
)
ARRIVING = ClientRow(
    common_name="",
    real_address="192.0.2.11:1194",
    received=14,
    sent=0,
    since=1795734574,
    client_id=1,
    peer_id=1,
    cipher="BF-CBC",
)
ROUTE = RouteRow(
    address="192.168.7.0/24",
    common_name="laptop",
    real_address="192.0.2.10:35810",
    last_used=1795734574,
)

FIRST = """\
OpenVPN CLIENT LIST
Updated,2026-11-26 23:09:46
Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since
laptop,192.0.2.10:35810,4206,3066,2026-11-26 23:09:28
UNDEF,192.0.2.11:1194,14,0,2026-11-26 23:09:34
ROUTING TABLE
Virtual Address,Common Name,Real Address,Last Ref
192.168.7.0/24,laptop,192.0.2.10:35810,2026-11-26 23:09:34
GLOBAL STATS
Max bcast/mcast queue length,3
END
"""
SECOND = """\
TITLE,OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)]
TIME,2026-11-26 23:09:46,1795734586
HEADER,CLIENT_LIST,Common Name,Real Address,Virtual Address,Virtual IPv6 Address,\
Bytes Received,Bytes Sent,Connected Since,Connected Since (time_t),Username,\
Client ID,Peer ID,Data Channel Cipher
CLIENT_LIST,laptop,192.0.2.10:35810,10.10.112.2,fd00:10:112::1000,4206,3066,\
2026-11-26 23:09:28,1795734568,ada,0,0,AES-256-GCM
CLIENT_LIST,UNDEF,192.0.2.11:1194,,,14,0,2026-11-26 23:09:34,1795734574,UNDEF,1,1,BF-CBC
HEADER,ROUTING_TABLE,Virtual Address,Common Name,Real Address,Last Ref,Last Ref (time_t)
ROUTING_TABLE,192.168.7.0/24,laptop,192.0.2.10:35810,2026-11-26 23:09:34,1795734574
GLOBAL_STATS,Max bcast/mcast queue length,3
GLOBAL_STATS,dco_enabled,0
END
"""


def _status(*clients: ClientRow) -> ServerStatus:
    return ServerStatus(
        title=TITLE,
        now=1795734586,
        clients=clients,
        routes=[ROUTE],
        broadcast_queue=3,
    )


def _text(status: ServerStatus, version: int) -> str:
    return "".join(f"{line}\n" for line in status_lines(status, version, TIMES.__getitem__))


@pytest.mark.parametrize(
    ("version", "form"),
    [(1, FIRST), (2, SECOND), (3, SECOND.replace(",", "\t"))],
    ids=["1", "2", "3"],
)
def test_forms_are_openvpn_s(version: int, form: str) -> None:
    assert _text(_status(CLIENT, ARRIVING), version) == form


def test_names_cannot_make_lines_or_columns_of_their_own() -> None:
    hostile = ClientRow(
        common_name="a\nEND\n\tb" + "x" * 2000,
        real_address="192.0.2.11:1194",
        received=0,
        sent=0,
        since=1795734574,
        username="\r\n>CLIENT:",
        client_id=1,
        peer_id=1,
        cipher="BF-CBC",
    )
    lines = _text(_status(hostile), 3).splitlines()
    assert len(lines) == 9
    assert lines[3].count("\t") == 12
    assert len(lines[3]) < 1000


def test_rows_are_rendered_as_they_are_asked_for() -> None:
    taken = 0

    def rows() -> Iterator[ClientRow]:
        nonlocal taken
        while True:
            taken += 1
            yield CLIENT

    status = ServerStatus(title=TITLE, now=1795734586, clients=rows(), routes=())
    lines = status_lines(status, 1, TIMES.__getitem__)
    for _ in range(5):
        next(lines)
    assert taken <= 2
