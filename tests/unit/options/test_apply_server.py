"""What single options of a server set."""

from ipaddress import IPv4Network

import pytest

from ginnel.options import apply_server
from ginnel.options.errors import ConfigError
from ginnel.options.model import Topology
from ginnel.options.server_model import PortShare
from tests.unit.options.memory_files import NET, run, serve


def test_pushes_keep_their_order_before_those_of_the_short_forms() -> None:
    options = serve(*NET, "--push", "echo b", "--push", "echo a").options
    assert options.push[:2] == ("echo b", "echo a")


def test_a_push_is_one_line_of_printable_text() -> None:
    for text in ("a,b", "a\x07b"):
        with pytest.raises(ConfigError):
            serve(*NET, "--push", text)


def test_the_number_of_pushes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_server, "MAX_PUSHES", 2)
    with pytest.raises(ConfigError, match="more than 2 pushed options"):
        serve(*NET, *["--push", "echo x"] * 3)


def test_limits() -> None:
    limits = serve(
        *NET,
        *("--max-clients", "7", "--max-routes-per-client", "8", "--connect-freq", "1", "2"),
        *("--connect-freq-initial", "3", "4", "--stale-routes-check", "5"),
        *("--hash-size", "64", "64"),
    ).options.limits
    assert (limits.max_clients, limits.max_routes_per_client) == (7, 8)
    assert (limits.connect_freq, limits.connect_freq_initial) == ((1, 2), (3, 4))
    assert limits.stale_routes == (5, 5)
    assert serve(*NET, "--stale-routes-check", "5", "2").options.limits.stale_routes == (5, 2)


def test_a_port_is_shared() -> None:
    words = ("--proto", "tcp", "--port-share", "192.0.2.1", "443", "/run/share")
    options = serve(*NET, *words).options
    assert options.port_share == PortShare(host="192.0.2.1", port="443", journal_dir="/run/share")


def test_the_old_word_for_single_addresses_means_a_topology() -> None:
    run_ = serve("--ifconfig-pool-linear", *NET)
    assert run_.options.tun.topology is Topology.P2P
    assert any("DEPRECATED" in note.text for note in run_.notes)


def test_switches_of_the_server_alone() -> None:
    options = serve(
        *NET, "--multihome", "same-interface", "--opt-verify", "--compress", "migrate"
    ).options
    assert options.multihome
    assert options.opt_verify
    assert options.compress_migrate
    assert options.data.compression is None
    assert serve(*NET, "--ifconfig-push-constraint", "10.0.0.0", "255.0.0.0").options == (
        serve(*NET, "--ifconfig-push-constraint", "10.1.2.3", "255.0.0.0").options
    )


def test_fixed_addresses_can_be_kept_to_a_network() -> None:
    words = ("--ifconfig-push-constraint", "10.0.0.0", "255.0.0.0")
    constraint = serve(*NET, *words).options.push_constraint
    assert constraint is not None
    assert constraint.network == IPv4Network("10.0.0.0/8")


def test_a_last_compress_takes_migrate_back() -> None:
    assert not serve(*NET, "--compress", "migrate", "--compress", "stub").options.compress_migrate


def test_sizes_of_tables_are_said_to_do_nothing() -> None:
    notes = serve(*NET, "--hash-size", "64", "64").notes
    assert any("--hash-size has no effect here: tables grow" in note.text for note in notes)


def test_dh_is_for_servers() -> None:
    served = serve(*NET, "--dh", "dh.pem")
    assert served.options.tls.dh is not None
    assert served.options.tls.dh.path == "dh.pem"
    assert not [note for note in served.notes if note.option == "dh"]
    assert serve(*NET, "--dh", "none").options.tls.dh is None
    assert any("--dh has no effect here" in note.text for note in run("--dh", "no.pem").notes)
