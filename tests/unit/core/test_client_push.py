"""Pushes put together, applied, refused, and what of them may be logged."""

from collections.abc import Sequence

from ginnel.core.client_outbox import Outbox
from ginnel.core.client_push import PUSH_FAILED, Imported, PushImport
from ginnel.core.notices import Ended, OptionsImported, PushOptionRefused, PushReceived
from tests.sim.pair import CAPABILITIES, client_options, profile

GOOD = ("ifconfig 10.8.0.2 10.8.0.1", "peer-id 4", "cipher AES-128-GCM")


def push() -> tuple[PushImport, Outbox]:
    outbox = Outbox()
    return PushImport(client_options(profile()), CAPABILITIES, outbox), outbox


def failure(items: Sequence[str]) -> str:
    importer, _ = push()
    ended = importer.apply(items, None)
    assert isinstance(ended, Ended)
    assert ended.signal_text == PUSH_FAILED
    return ended.explanation


def test_good_push_gives_options_and_agreement() -> None:
    importer, outbox = push()
    imported = importer.apply(GOOD, None)
    assert isinstance(imported, Imported)
    assert imported.agreement.send_peer_id == 4
    assert imported.options.data.peer_id == 4
    assert imported.device_items
    assert [type(notice) for notice in outbox.notices] == [OptionsImported]


def test_servers_options_string_stands_in_for_a_pushed_cipher() -> None:
    importer, _ = push()
    imported = importer.apply(("peer-id 4",), "AES-256-GCM")
    assert isinstance(imported, Imported)
    assert imported.agreement.cipher.value == "AES-256-GCM"


def test_compression_that_is_not_allowed_is_fatal_and_named() -> None:
    assert "allow-compression asym" in failure((*GOOD, "comp-lzo yes"))


def test_unknown_cipher_is_fatal_and_named() -> None:
    assert "BF-CBC" in failure(("peer-id 4", "cipher BF-CBC"))


def test_refused_items_are_told_and_the_rest_counts() -> None:
    importer, outbox = push()
    assert isinstance(importer.apply((*GOOD, "script-security 3"), None), Imported)
    refused = [n.option for n in outbox.notices if isinstance(n, PushOptionRefused)]
    assert refused == ["script-security 3"]


def test_parts_are_collected_within_bounds() -> None:
    importer, outbox = push()
    assert importer.add(("route 10.1.0.0", "push-continuation 2")) is None
    whole = importer.add(("route 10.2.0.0", "push-continuation 1"))
    assert whole == ("route 10.1.0.0", "route 10.2.0.0")
    assert [type(notice) for notice in outbox.notices] == [PushReceived, PushReceived]
    endless = ("x" * 1000, "push-continuation 2")
    outcomes = [importer.add(endless) for _ in range(1100)]
    ended = next(outcome for outcome in outcomes if outcome is not None)
    assert isinstance(ended, Ended)
    assert ended.signal_text == PUSH_FAILED


def test_token_of_a_later_push_is_found() -> None:
    importer, _ = push()
    token = importer.options_of(("auth-token abc",)).login.auth_token
    assert token is not None
    assert token.reveal() == b"abc"
