"""The generic ways an option reaches the model."""

from ginnel.options.apply import apply_use
from ginnel.options.draft import Draft
from ginnel.options.lexer import Directive
from ginnel.options.source import match_directive
from ginnel.options.values import Origin, Secret

HERE = Origin("c", 1)


def applied(name: str, *words: str, inline: bytes | None = None) -> Draft:
    draft = Draft()
    block = None if inline is None else Secret(inline)
    directive = Directive(name=name, words=words, origin=HERE, inline=block)
    apply_use(draft, match_directive(directive))
    return draft


def test_a_flag_is_set() -> None:
    assert applied("tls-exit").options.tls.tls_exit


def test_a_single_value_is_set() -> None:
    assert applied("hand-window", "30").options.tls.hand_window == 30


def test_repeated_words_become_a_tuple() -> None:
    fields = applied("x509-username-field", "CN", "ext:subjectAltName").options.tls
    assert fields.x509_username_field == ("CN", "ext:subjectAltName")


def test_a_command_becomes_argv() -> None:
    assert applied("up", "/bin/x 'a b'").options.scripts.up == ("/bin/x", "a b")


def test_a_profile_field_is_set() -> None:
    assert applied("float").profile.float


def test_a_file_is_remembered_not_read() -> None:
    ref = applied("ca", "x.crt").files["tls.ca"]
    assert (ref.option, ref.path, ref.inline) == ("ca", "x.crt", None)


def test_a_block_is_remembered_with_its_bytes() -> None:
    ref = applied("ca", inline=b"abc").files["tls.ca"]
    assert ref.path is None
    assert ref.inline == Secret(b"abc")


def test_a_file_that_takes_no_block_is_a_plain_path() -> None:
    assert applied("writepid", "/run/x.pid").options.process.writepid == "/run/x.pid"
