"""The option table: complete, consistent with the model, helpful with misspellings."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from ginnel.options import apply
from ginnel.options.arguments import count_bounds
from ginnel.options.draft import SERVER_GROUPS, ProfileDraft
from ginnel.options.model import ClientOptions
from ginnel.options.rows import COMMON_ROWS
from ginnel.options.rows.all import ALL_ROWS
from ginnel.options.server_draft import ServerDraft
from ginnel.options.server_model import ClientConfig
from ginnel.options.table import OptionRow, Repeat, Support, all_rows, find_row, near_misses

NAMES = Path(__file__).parents[2] / "vectors" / "options" / "names.txt"
ROWS = list(all_rows().values())
HANDLERS = {**apply.HANDLERS, **apply.server_handlers()}
CONNECTION = Path(__file__).parents[2] / "vectors" / "options" / "connection.json"
CCD = Path(__file__).parents[2] / "vectors" / "options" / "ccd.json"
COUNTS = Path(__file__).parents[2] / "vectors" / "options" / "counts.json"
OWNERS: dict[str, Any] = {
    "profile": ProfileDraft(),
    "server": ServerDraft(),
    "instance": ClientConfig(),
}
# Where we differ from openvpn 2.6 on purpose: it ignores words, or newer releases take more.
DIFFERENT = {
    "auth-gen-token": "further words are ignored",
    "auth-user-pass-verify": "the method is required by newer releases",
    "bind-dev": "further words are ignored",
    "compat-mode": "a second word is ignored",
    "compat-names": "fatal in any form",
    "crl-verify": "further words are ignored",
    "dhcp-option": "PROXY_HTTP has two values",
    "dns": "a lone keyword says nothing",
    "force-tls-key-material-export": "further words are ignored",
    "http-proxy": "a port is required since it has no default",
    "http-proxy-option": "a lone keyword says nothing",
    "http-proxy-user-pass": "further words are ignored",
    "ip-remote-hint": "a word is ignored",
    "key-derivation": "further words are ignored",
    "keying-material-exporter": "further words are ignored",
    "local": "a port and a protocol are taken by newer releases",
    "management-query-remote": "words are taken by newer releases",
    "msg-channel": "further words are ignored",
    "mtu-dynamic": "fatal in any form",
    "multihome": "a word is taken by newer releases",
    "pkcs11-cert-private": "nothing to set without a word",
    "pkcs11-protected-authentication": "nothing to set without a word",
    "preresolve": "a word is ignored",
    "protocol-flags": "an empty list is legal",
    "server-bridge": "its forms are checked when it is built",
    "static-challenge": "a third word is taken by newer releases",
    "tun-mtu-max": "a second word is ignored",
}


def test_every_directive_of_openvpn_has_a_row() -> None:
    names = NAMES.read_text().split()
    ours = [name for name in all_rows() if name.startswith("ginnel-")]
    assert sorted(all_rows()) == sorted([*names, *ours])


def test_no_name_has_two_rows() -> None:
    assert len(ALL_ROWS) == len(all_rows())


def test_a_row_is_found_with_the_common_ones_and_without() -> None:
    assert find_row("remote") in COMMON_ROWS
    server = find_row("server")
    assert server is all_rows()["server"]
    assert server not in COMMON_ROWS
    assert find_row("no-such-option") is None


@pytest.mark.parametrize("row", [row for row in ROWS if row.field], ids=lambda row: row.name)
def test_fields_exist_in_the_model(row: OptionRow) -> None:
    group, _, name = row.field.partition(".")
    if group in SERVER_GROUPS:
        owner = getattr(ServerDraft(), group)
    elif group in OWNERS:
        owner = OWNERS[group]
    else:
        owner = getattr(ClientOptions(profiles=()), group)
    assert name in {entry.name for entry in fields(owner)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_are_consistent(row: OptionRow) -> None:
    assert row.help.endswith(".")
    assert row.help[0].isupper()
    assert (row.support in {Support.NO_EFFECT, Support.REFUSED}) == bool(row.why)
    assert row.support is Support.SUPPORTED or not row.gaps
    assert not (row.repeat is Repeat.FLAG and row.args)
    assert row.tier in {"A", "B", "C"}
    seen_optional = False
    for argument in row.args:
        assert argument.optional or not seen_optional, "a required argument after an optional one"
        seen_optional = seen_optional or argument.optional
    assert not any(argument.repeated for argument in row.args[:-1])


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.support is Support.SUPPORTED], ids=lambda row: row.name
)
def test_supported_options_do_something(row: OptionRow) -> None:
    handled_while_reading = {"connection"}
    assert row.field or row.name in HANDLERS or row.name in handled_while_reading


@pytest.mark.parametrize("row", [row for row in ROWS if row.field], ids=lambda row: row.name)
def test_a_field_takes_one_value(row: OptionRow) -> None:
    assert len(row.args) <= 1
    assert row.name not in HANDLERS


def test_handlers_belong_to_rows() -> None:
    assert not [name for name in HANDLERS if find_row(name) is None]
    assert not apply.HANDLERS.keys() & apply.server_handlers().keys()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("vreb", "verb"),
        ("remotes", "remote"),
        ("tls_crypt", "tls-crypt"),
        ("Keepalive", "keepalive"),
    ],
)
def test_misspelt_options_get_a_suggestion(wrong: str, right: str) -> None:
    assert right in near_misses(wrong)


@pytest.mark.parametrize("wrong", ["", "x", "qqqqqqqq", "a" * 5000])
def test_nonsense_gets_no_suggestion(wrong: str) -> None:
    assert near_misses(wrong) == []


@pytest.mark.parametrize("name", ["up", "ca", "script-security", "plugin", "config", "user", "log"])
def test_dangerous_options_are_not_pushable(name: str) -> None:
    row = find_row(name)
    assert row is not None
    assert row.push is None


def test_usage_shows_the_grammar() -> None:
    row = find_row("inactive")
    assert row is not None
    assert row.usage() == "--inactive seconds [bytes]"


def load_counts() -> dict[str, str]:
    counts: dict[str, str] = json.loads(COUNTS.read_text())["counts"]
    return {name: taken for name, taken in counts.items() if "1" in taken}


def test_options_take_as_many_words_as_in_openvpn() -> None:
    """Options that openvpn 2.6 on Linux does not have at all are not among the vectors' ones."""
    different = set()
    for name, taken in load_counts().items():
        row = find_row(name)
        assert row is not None
        least, most = count_bounds(row.args)
        ours = "".join(
            str(int(number >= least and (most is None or number <= most)))
            for number in range(len(taken))
        )
        if ours != taken:
            different.add(name)
    assert different == set(DIFFERENT)


def test_blocks_take_what_openvpn_takes_there() -> None:
    document = json.loads(CONNECTION.read_text())
    ours = {row.name for row in ROWS if row.in_connection}
    elsewhere = {
        "compat-mode": "a setting of the whole file, without effect there",
        "msg-channel": "fatal on Linux",
        "mtu-dynamic": "fatal in any form",
    }
    newer = {"auth-user-pass"}  # since 2.7
    assert ours == set(document["names"]) - elsewhere.keys() | newer


def test_clients_files_take_what_openvpn_takes_there() -> None:
    document = json.loads(CCD.read_text())
    ours = {row.name for row in ROWS if row.ccd}
    pointless = {
        "compat-mode": "a setting of the whole server, without effect there",
        "disable-dco": "without effect there",
        "max-routes": "without effect anywhere",
        "msg-channel": "fatal on Linux",
        "prng": "a setting of the whole process",
        "providers": "a setting of the whole process",
        "route-ipv6-gateway": "a setting of the whole server, without effect there",
    }
    not_asked = {"config", "disable"}
    newer = {"override-username"}  # since 2.7
    assert ours == set(document["names"]) - pointless.keys() | newer | not_asked
    assert not ours & set(document["misplaced"])
