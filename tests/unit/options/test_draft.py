"""The draft: setting fields, remembering files and places."""

import pytest

from ginnel.options.draft import Draft, Use, not_supported
from ginnel.options.model import ClientOptions
from ginnel.options.notes import NoteKind
from ginnel.options.table import find_row
from ginnel.options.values import Origin, Secret

HERE = Origin("c", 2)


def use_of(name: str, *words: str, inline: bytes | None = None) -> Use:
    row = find_row(name)
    assert row is not None
    secret = None if inline is None else Secret(inline)
    return Use(row=row, origin=HERE, words=words, values=words, inline=secret)


def test_fields_are_set_by_path() -> None:
    draft = Draft()
    draft.set_field("link.ping", 5)
    draft.set_field("profile.float", True)
    assert draft.options.link.ping == 5
    assert draft.profile.float


def test_the_options_begun_from_are_left_alone() -> None:
    base = ClientOptions(profiles=())
    draft = Draft(options=base)
    draft.set_field("link.ping", 5)
    assert base.link.ping == 0


def test_what_only_servers_set_is_made_when_it_is_set() -> None:
    draft = Draft()
    assert (draft.of_server, draft.of_instance) == (None, None)
    draft.set_field("server.multihome", True)
    draft.set_field("pool.persist_path", "ipp.txt")
    draft.set_field("instance.disable", True)
    assert (draft.server.multihome, draft.server.pool.persist_path) == (True, "ipp.txt")
    assert draft.instance.disable
    assert (draft.of_server, draft.of_instance) == (draft.server, draft.instance)


def test_an_unknown_field_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        Draft().set_field("link.nonsense", 1)


def test_the_inline_word_keeps_an_earlier_block() -> None:
    draft = Draft()
    draft.refer("tls.ca", use_of("ca", inline=b"x"), None)
    draft.refer("tls.ca", use_of("ca", "[inline]"), "[inline]")
    assert draft.files["tls.ca"].inline == Secret(b"x")


def test_missing_arguments_have_defaults() -> None:
    use = use_of("inactive", "5")
    assert use.text(1, "d") == "d"
    assert use.number(3, 7) == 7


def test_messages_name_option_and_place() -> None:
    wrong = use_of("route", "x\x00y").wrong("expected more")
    assert wrong.message == "In c:2: route: 'x?y': expected more"
    assert (wrong.origin, wrong.option) == (HERE, "route")
    later = not_supported("--x", "x", HERE)
    assert later.message == "In c:2: --x is not supported by this release of ginnel yet"


def test_warnings_are_kept_with_their_place() -> None:
    draft = Draft()
    draft.warn("careful", use_of("dev", "x"))
    assert (draft.notes[0].kind, draft.notes[0].origin) == (NoteKind.WARNING, HERE)
