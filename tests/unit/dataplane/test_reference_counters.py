"""What is refused counts as a drop and nowhere else."""

from ginnel.dataplane.reference_counters import PeerCounters


def test_only_what_passed_is_counted() -> None:
    counters = PeerCounters()
    assert counters.count(counters.link_read, [b"abc", b"d"]) == [2, 4]
    refused = [("tun-full", [b"abc"]), ("tun-down", [b"e", b"f"])]
    assert counters.count(counters.tun_write, [b"abc", b"d", b"e", b"f"], refused) == [1, 1]
    stats = counters.snapshot()
    assert (stats.link_read_packets, stats.link_read_bytes) == (2, 4)
    assert (stats.tun_write_packets, stats.tun_write_bytes) == (1, 1)
    assert stats.drops == (("tun-down", 2), ("tun-full", 1))
