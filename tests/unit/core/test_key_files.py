"""Static key files and the PEM blocks of tls-crypt-v2 and auth-token."""

import json
from pathlib import Path

import pytest

from ginnel.core.errors import ConfigError
from ginnel.core.key_files import (
    StaticKey,
    V2ClientKey,
    V2ServerKey,
    parse_auth_token_key,
    parse_static_key,
    parse_v2_client_key,
    parse_v2_server_key,
    render_auth_token_key,
    render_static_key,
    render_v2_client_key,
    render_v2_server_key,
)
from ginnel.core.types import Side
from ginnel.options.model import KeyDirection
from ginnel.options.values import FileContent, Origin, Secret

VECTORS = Path(__file__).parents[2] / "vectors" / "control"
KEY = StaticKey(Secret(bytes(range(256))))


def file(text: str, path: str | None = "k.key") -> FileContent:
    return FileContent(
        option="tls-crypt",
        origin=Origin("client.ovpn", 7),
        path=path,
        content=Secret(text.encode("latin-1")),
    )


def recorded(name: str) -> dict[str, str]:
    loaded: dict[str, str] = json.loads((VECTORS / f"{name}.json").read_text())
    return loaded


def test_halves_follow_direction_and_side() -> None:
    send, receive = KEY.by_direction(KeyDirection.NONE)
    assert send == receive == KEY.half(0)
    assert KEY.by_direction(KeyDirection.NORMAL) == (KEY.half(0), KEY.half(1))
    assert KEY.by_direction(KeyDirection.INVERSE) == (KEY.half(1), KEY.half(0))
    assert KEY.by_side(Side.SERVER) == (KEY.half(0), KEY.half(1))
    assert KEY.by_side(Side.CLIENT) == (KEY.half(1), KEY.half(0))
    assert KEY.half(1).cipher.reveal() == bytes(range(128, 192))
    assert KEY.half(1).hmac.reveal() == bytes(range(192, 256))


def test_a_static_key_of_openvpn_is_read_and_written_alike() -> None:
    text = recorded("tls-crypt")["key_file"]
    key = parse_static_key(file(text))
    assert render_static_key(key) == text


def test_blank_lines_comments_and_windows_line_ends_do_not_matter() -> None:
    lines = ["garbage", *render_static_key(KEY).splitlines(), "after"]
    lines.insert(8, "# inside")
    lines.insert(9, "")
    assert parse_static_key(file("\r\n  ".join(lines))) == KEY


def test_more_key_material_than_needed_is_ignored() -> None:
    lines = static_lines()
    assert parse_static_key(file("\n".join([*lines[:-1], "ff" * 16, lines[-1]]))) == KEY


def static_lines() -> list[str]:
    return render_static_key(KEY).splitlines()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "lacks the lines"),
        ("\n".join(static_lines()[:-1]), "lacks the lines"),
        ("\n".join(static_lines()[:3] + static_lines()[4:]), "lacks the lines"),
        ("\n".join(static_lines()[:10] + static_lines()[11:]), "holds 240 bytes"),
        ("\n".join(static_lines()).replace("00010203", "0001020g"), "key line 5"),
        ("\n".join([static_lines()[3], *static_lines()]), "second"),
        ("\n".join(static_lines()) + "x" * 70000, "larger than"),
    ],
)
def test_a_bad_static_key_names_file_line_and_problem(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        parse_static_key(file(text))
    assert "'k.key'" in caught.value.message
    assert str(caught.value.origin) == "client.ovpn:7"
    assert caught.value.option == "tls-crypt"


def test_an_inline_key_is_called_inline() -> None:
    with pytest.raises(ConfigError, match="inline block lacks"):
        parse_static_key(file("", None))


def test_key_material_does_not_show() -> None:
    assert "000102" not in repr(KEY)
    assert "000102" not in repr(V2ClientKey(KEY, bytes(300)))


def test_v2_key_files_of_openvpn_are_read_and_written_alike() -> None:
    vector = recorded("tls-crypt-v2")
    server = parse_v2_server_key(file(vector["server_key_file"]))
    client = parse_v2_client_key(file(vector["key_file"]))
    assert render_v2_server_key(server) == vector["server_key_file"]
    assert render_v2_client_key(client) == vector["key_file"]


def test_an_auth_token_key_of_openvpn_is_read_and_written_alike() -> None:
    text = recorded("wrapped-client-keys")["auth_token_key_file"]
    key = parse_auth_token_key(file(text))
    assert len(key) == 128
    assert render_auth_token_key(key) == text


def test_the_wrong_kind_of_block_is_named() -> None:
    vector = recorded("tls-crypt-v2")
    with pytest.raises(ConfigError, match="it holds 'OpenVPN tls-crypt-v2 server key'"):
        parse_v2_client_key(file(vector["server_key_file"]))


def test_a_broken_block_is_refused() -> None:
    text = render_v2_server_key(V2ServerKey(Secret(bytes(128))))
    with pytest.raises(ConfigError, match="without its END"):
        parse_v2_server_key(file(text.replace("END", "ENDE")))
    with pytest.raises(ConfigError, match="base64"):
        parse_v2_server_key(file(text.replace("AAAA", "A*AA", 1)))
    with pytest.raises(ConfigError, match="125 bytes instead of 128"):
        parse_v2_server_key(file(text.replace("AAAA", "", 1)))
    with pytest.raises(ConfigError, match="125 bytes instead of 128"):
        parse_auth_token_key(
            file(text.replace("tls-crypt-v2", "auth-token").replace("AAAA", "", 1))
        )


@pytest.mark.parametrize(
    ("wrapped", "problem"),
    [
        (b"", "0 bytes"),
        (bytes(287) + b"\x01\x21", "289 bytes"),
        (bytes(1023) + b"\x04\x01", "1025 bytes"),
        (bytes(298) + b"\x01\x2d", "length field"),
    ],
)
def test_a_wrapped_key_of_impossible_length_is_refused(wrapped: bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_v2_client_key(file(render_v2_client_key(V2ClientKey(KEY, wrapped))))


def test_key_values_of_another_length_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="256"):
        StaticKey(Secret(bytes(255)))
    with pytest.raises(ValueError, match="128"):
        V2ServerKey(Secret(bytes(256)))
