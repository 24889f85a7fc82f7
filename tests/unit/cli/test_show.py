"""The lists keep the shape that programs parse, and name only what ginnel takes."""

import re
import subprocess

import pytest

from ginnel.cli import show
from ginnel.core.digests import available_digests, digest_named
from ginnel.core.tls_text import openssl_cipher_name
from ginnel.options.ciphers import CIPHERS
from ginnel.options.errors import ConfigError
from ginnel.options.model import TlsOptions

CIPHER_LINE = re.compile(r"(\S+)  \((\d+) bit key, (\d+ bit block|stream cipher)(, [^)]*)?\)")
DIGEST_LINE = re.compile(r"(\S+) (\d+) bit digest size")


def entries(text: str) -> list[str]:
    """What a program reads: the lines between the first empty line and the next."""
    _, _, rest = text.partition("\n\n")
    return rest.partition("\n\n")[0].splitlines()


def deprecated(text: str) -> str:
    """The part with the short blocks."""
    return text[text.index("less than 128 bits") :]


def real(*words: str) -> str:
    done = subprocess.run(["openvpn", *words], capture_output=True, text=True, check=True)
    return done.stdout


def test_cipher_lines_are_those_of_openvpn_for_the_ciphers_we_have() -> None:
    mine, legacy = "\n".join(show.ciphers()), ("--providers", "legacy", "default")
    real_text = real(*legacy, "--show-ciphers")
    named = [line.split()[0] for line in mine.splitlines() if CIPHER_LINE.fullmatch(line)]
    assert sorted(named) == sorted(set(CIPHERS) - {"none"})
    for ours, theirs in ((mine, real_text), (deprecated(mine), deprecated(real_text))):
        assert all(CIPHER_LINE.fullmatch(line) for line in entries(theirs))
        both = set(entries(ours))
        assert both <= set(entries(theirs))
        assert entries(ours) == [line for line in entries(theirs) if line in both]


def test_digest_lines_are_those_of_openvpn() -> None:
    ours = entries("\n".join(show.digests()))
    theirs = entries(real("--show-digests"))
    assert all(DIGEST_LINE.fullmatch(line) for line in theirs)
    assert [line.split()[0] for line in ours] == [d.name for d in available_digests()]
    known = {line.split()[0] for line in theirs}
    assert {line for line in ours if line.split()[0] in known} <= set(theirs)
    for line in ours:
        assert digest_named(line.split()[0]).size * 8 == int(line.split()[1])


def sections(text: str) -> tuple[list[str], list[str]]:
    """The names under the two headings of --show-tls."""
    found: list[list[str]] = []
    for block in text.split("\n\n"):
        if block.startswith("For TLS"):
            found.append([])
        elif found and block.startswith("TLS"):
            found[-1].extend(block.splitlines())
    modern, older = found
    return modern, older


def test_tls_list_equals_openvpns_where_both_libraries_know_the_cipher() -> None:
    ours = sections("\n".join(show.tls(TlsOptions())))
    theirs = sections(real("--show-tls"))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine
        both = set(mine) & set(other)
        assert both
        assert [name for name in mine if name in both] == [name for name in other if name in both]
    assert "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384" in ours[1]
    assert "TLS_AES_256_GCM_SHA384" in ours[0]


def test_tls_list_honours_its_options() -> None:
    options = TlsOptions(
        tls_cipher="TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384:TLS-DHE-RSA-WITH-AES-128-CBC-SHA",
        tls_ciphersuites="TLS_AES_128_GCM_SHA256",
    )
    assert show.tls_cipher_names(options) == (
        ["TLS_AES_128_GCM_SHA256"],
        ["TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384", "TLS-DHE-RSA-WITH-AES-128-CBC-SHA"],
    )
    suite_b = show.tls_cipher_names(TlsOptions(tls_cert_profile="suiteb"))[1]
    assert set(suite_b) <= {
        "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
        "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384",
    }
    assert suite_b


def test_tls_list_without_a_known_cipher_is_an_error() -> None:
    with pytest.raises(ConfigError, match="tls-cipher"):
        list(show.tls(TlsOptions(tls_cipher="FOO")))


@pytest.mark.parametrize(
    ("openssl", "iana"),
    [
        ("ECDHE-RSA-AES256-GCM-SHA384", "TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384"),
        ("DHE-RSA-AES256-SHA256", "TLS-DHE-RSA-WITH-AES-256-CBC-SHA256"),
        ("DHE-RSA-AES128-SHA", "TLS-DHE-RSA-WITH-AES-128-CBC-SHA"),
        ("AES128-SHA", "TLS-RSA-WITH-AES-128-CBC-SHA"),
        ("AES256-GCM-SHA384", "TLS-RSA-WITH-AES-256-GCM-SHA384"),
        (
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "TLS-ECDHE-ECDSA-WITH-CHACHA20-POLY1305-SHA256",
        ),
        ("DHE-RSA-CAMELLIA256-SHA256", "TLS-DHE-RSA-WITH-CAMELLIA-256-CBC-SHA256"),
        ("ECDHE-ECDSA-AES128-CCM8", "TLS-ECDHE-ECDSA-WITH-AES-128-CCM-8"),
        ("ECDHE-ECDSA-AES256-CCM", "TLS-ECDHE-ECDSA-WITH-AES-256-CCM"),
    ],
)
def test_cipher_names_translate_both_ways(openssl: str, iana: str) -> None:
    assert show.iana_cipher_name(openssl) == iana
    assert openssl_cipher_name(iana) == openssl


@pytest.mark.parametrize("name", ["FOO", "", "TLS_AES_128_GCM_SHA256", "ECDHE-RSA-DES-CBC3-SHA"])
def test_other_names_are_shown_as_they_are(name: str) -> None:
    assert show.iana_cipher_name(name) == name


def test_groups_can_be_used_and_follow_the_heading_tools_look_for() -> None:
    lines = list(show.groups())
    names = lines[lines.index("Available Elliptic curves/groups:") + 1 :]
    assert {"X25519", "prime256v1", "secp384r1"} <= set(names)
    assert "Available Elliptic curves/groups:" in real("--show-groups").splitlines()
    # Each can be given to tls-groups, one by one and all together.
    assert show.tls_cipher_names(TlsOptions(tls_groups=":".join(names)))
