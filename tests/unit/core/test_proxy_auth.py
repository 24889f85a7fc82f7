"""Challenges of HTTP proxies and the answers to them.

The expected responses were made with md5sum and sha256sum, by the rules of RFC 7616 section 3.4.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ginnel.core.actions import Credentials
from ginnel.core.proxy_auth import (
    Challenge,
    answerable,
    basic_authorization,
    choose,
    digest_authorization,
    is_complete,
    is_stale,
    parse_challenges,
)
from ginnel.options.values import Secret

LOGIN = Credentials(username="Mufasa", password=Secret(b"Circle of Life"))


def fields(header: bytes) -> dict[str, str]:
    assert header.startswith(b"Digest ")
    (challenge,) = parse_challenges(header.decode("latin-1"))
    return dict(challenge.parameters)


def test_one_challenge_with_its_parameters() -> None:
    (challenge,) = parse_challenges('Basic realm="the, office", charset="UTF-8"')
    assert challenge.scheme == "basic"
    assert challenge.parameters == {"realm": "the, office", "charset": "UTF-8"}
    assert challenge.text == 'realm="the, office", charset="UTF-8"'


def test_several_challenges_in_one_header() -> None:
    value = 'Negotiate, NTLM TlRMTVNT==, Digest realm="a\\"b", nonce=n1 , stale=TRUE, Basic realm=x'
    found = parse_challenges(value)
    assert [challenge.scheme for challenge in found] == ["negotiate", "ntlm", "digest", "basic"]
    assert found[2].parameters == {"realm": 'a"b', "nonce": "n1", "stale": "TRUE"}
    assert is_stale(found[2])
    assert is_complete(found[2])
    assert not is_complete(found[3])


def test_the_first_of_two_values_counts() -> None:
    (challenge,) = parse_challenges("Basic realm=a, realm=b")
    assert challenge.parameters == {"realm": "a"}


@given(st.text(max_size=400))
def test_any_header_is_read(value: str) -> None:
    for challenge in parse_challenges(value):
        assert challenge.scheme
        choose([challenge])


@given(st.text(alphabet=' "\\,=aB\t', max_size=200))
def test_headers_of_the_awkward_characters_are_read(value: str) -> None:
    parse_challenges(value)


def test_the_strongest_answerable_challenge_is_chosen() -> None:
    basic = Challenge("basic")
    md5 = Challenge("digest", {"realm": "r", "nonce": "n"})
    sha = Challenge("digest", {"realm": "r", "nonce": "n", "algorithm": "SHA-256"})
    unknown = Challenge("digest", {"realm": "r", "nonce": "n", "algorithm": "SHA-512-256"})
    assert choose([basic, md5, sha, unknown]) is sha
    assert choose([basic, md5]) is md5
    assert choose([unknown, basic]) is basic
    assert choose([Challenge("ntlm"), unknown]) is None


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, True),
        ({"qop": "auth-int, auth"}, True),
        ({"qop": "auth-int"}, False),
        ({"algorithm": "md5-sess", "qop": "auth"}, True),
        ({"algorithm": "md5-sess"}, False),  # there would be no client nonce to bind it to
    ],
)
def test_what_can_be_answered(parameters: dict[str, str], expected: bool) -> None:
    assert answerable(Challenge("digest", parameters)) is expected


def test_basic_is_base64_of_both() -> None:
    login = Credentials(username="Aladdin", password=Secret(b"open sesame"))
    assert basic_authorization(login) == b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_a_digest_names_everything_the_proxy_gave() -> None:
    given_parameters = {
        "realm": "http-auth@example.org",
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "qop": "auth",
        "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    }
    header = digest_authorization(
        Challenge("digest", given_parameters), LOGIN, "vpn.example.net:443", b"\0" * 8
    )
    sent = fields(header)
    assert sent == {
        "username": "Mufasa",
        "realm": given_parameters["realm"],
        "nonce": given_parameters["nonce"],
        "uri": "vpn.example.net:443",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "AAAAAAAAAAA=",
        "response": "cc135c5244f7444e4caf0bff4c197bcd",
        "opaque": given_parameters["opaque"],
    }


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("SHA-256", "0eb75262413bb450df9067eb7f84f96f61b9dd6a7d8a74a1ef53d7de484a3625"),
        ("MD5-sess", "4388d46b83108b40348c44e37f570dd9"),
    ],
)
def test_other_algorithms(algorithm: str, expected: str) -> None:
    parameters = {"realm": "r", "nonce": "n", "qop": "auth", "algorithm": algorithm}
    header = digest_authorization(Challenge("digest", parameters), LOGIN, "h:1", b"\1" * 8)
    assert fields(header)["response"] == expected
    assert fields(header)["algorithm"] == algorithm


def test_without_qop_the_old_form_is_sent() -> None:
    parameters = {"realm": "r", "nonce": "n"}
    sent = fields(digest_authorization(Challenge("digest", parameters), LOGIN, "h:1", b"\1" * 8))
    assert sent["response"] == "4ef14b6605dcbe3af557da17242709f4"
    assert not {"qop", "nc", "cnonce", "algorithm"} & sent.keys()


def test_quotes_in_a_user_name_cannot_end_its_field() -> None:
    login = Credentials(username='a", response="x', password=Secret(b"p"))
    header = digest_authorization(
        Challenge("digest", {"realm": "r", "nonce": "n"}), login, "h:1", b""
    )
    assert fields(header)["username"] == 'a", response="x'


def test_a_name_outside_ascii_is_sent_as_utf8() -> None:
    login = Credentials(username="jürgen", password=Secret("pä".encode()))
    assert basic_authorization(login) == b"Basic asO8cmdlbjpww6Q="
    header = digest_authorization(
        Challenge("digest", {"realm": "r", "nonce": "n"}), login, "h:1", b""
    )
    assert "jürgen".encode() in header
