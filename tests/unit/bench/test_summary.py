from bench.summary import Goal, both_ways, rows


def goal(measure: str, value: float, verdict: str, system: str = "ginnel") -> Goal:
    return {
        "system": system,
        "measure": measure,
        "value": value,
        "limit": 9.0,
        "aim": 12.0,
        "absolute": False,
        "verdict": verdict,
    }


def test_both_directions_share_a_line_with_the_worse_verdict() -> None:
    table = rows(
        [
            goal("TCP, 1 stream up, AES-256-GCM, UDP", 12.5, "met, and the aim"),
            goal("TCP, 1 stream down, AES-256-GCM, UDP", 8.1, "MISSED"),
            goal("TCP, 1 stream up, AES-256-GCM, UDP", 1.4, "met", "ginnel to openvpn"),
        ]
    )
    assert table[2:] == [
        "| TCP, 1 stream, AES-256-GCM, UDP | 12.5 / 8.1 | 9 | 12 | MISSED |",
        "| TCP, 1 stream, AES-256-GCM, UDP, ginnel to openvpn | 1.4 | 9 | 12 | met |",
    ]


def test_a_direction_is_left_out_wherever_it_stands() -> None:
    assert both_ways("64-byte datagrams up, delivered") == "64-byte datagrams, delivered"
    assert both_ways("round trip while a stream goes up, p99") == (
        "round trip while a stream goes, p99"
    )
