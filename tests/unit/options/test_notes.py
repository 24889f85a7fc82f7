"""Remarks for the log."""

from ginnel.options.notes import Note, NoteKind
from ginnel.options.values import Origin


def test_a_note_names_its_place() -> None:
    assert str(Note(text="x has no effect", origin=Origin("c", 3))) == "x has no effect (c:3)"


def test_a_warning_says_so() -> None:
    assert str(Note(text="careful", kind=NoteKind.WARNING)) == "WARNING: careful"
