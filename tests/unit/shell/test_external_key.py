"""The words a management client is asked with, as recorded with openvpn 2.6.14, and its answers."""

import asyncio
import base64

import pytest

from ginnel.core.actions import Failed, Signature
from ginnel.core.errors import ConfigError
from ginnel.core.padding import digest, digest_info, pkcs1_block, pss_block
from ginnel.core.signing import Scheme, SignatureRequest
from ginnel.options.model import ExternalKey, TlsOptions
from ginnel.shell.external_key import ManagementSigner, describe, outside_key, pem_from_body
from tests.sim.pki import issue, make_ca


def request(scheme: Scheme, hash_name: str = "SHA256", size: int = 256) -> SignatureRequest:
    return SignatureRequest(scheme=scheme, hash_name=hash_name, message=b"msg", key_bytes=size)


PSS, PKCS1 = request(Scheme.RSA_PSS), request(Scheme.RSA_PKCS1)
ECDSA = request(Scheme.ECDSA, "SHA384", 104)
ED25519 = request(Scheme.ED25519, "", 64)
PSS_WORDS = "RSA_PKCS1_PSS_PADDING,hashalg=SHA256,saltlen=digest"


def salt(count: int) -> bytes:
    return b"s" * count


@pytest.mark.parametrize(
    ("asked", "can", "content", "words"),
    [
        (PSS, {"pss"}, digest(PSS), PSS_WORDS),
        (PSS, {"pss", "digest"}, b"msg", f"{PSS_WORDS},data=message"),
        (PSS, {"pss", "nopadding", "pkcs1"}, digest(PSS), PSS_WORDS),
        (PSS, {"nopadding"}, pss_block(PSS, salt(32)), "RSA_NO_PADDING"),
        (PKCS1, set(), digest_info(PKCS1), "RSA_PKCS1_PADDING"),
        (PKCS1, {"pss"}, digest_info(PKCS1), "RSA_PKCS1_PADDING"),
        (PKCS1, {"nopadding", "pkcs1"}, digest_info(PKCS1), "RSA_PKCS1_PADDING"),
        (PKCS1, {"nopadding"}, pkcs1_block(PKCS1), "RSA_NO_PADDING"),
        (PKCS1, {"digest"}, b"msg", "RSA_PKCS1_PADDING,hashalg=SHA256,data=message"),
        (
            request(Scheme.RSA_PKCS1, "MD5-SHA1"),
            {"digest"},
            digest(request(Scheme.RSA_PKCS1, "MD5-SHA1")),
            "RSA_PKCS1_PADDING",
        ),
        (ECDSA, {"pkcs1"}, digest(ECDSA), "ECDSA"),
        (ECDSA, {"digest"}, b"msg", "ECDSA,hashalg=SHA384,data=message"),
        (ED25519, set(), b"msg", "ED25519,data=message"),
        (request(Scheme.ED448, "", 114), set(), b"msg", "ED448,data=message"),
    ],
)
def test_words_and_content(
    asked: SignatureRequest, can: set[str], content: bytes, words: str
) -> None:
    assert describe(asked, ExternalKey(**dict.fromkeys(can, True)), salt) == (content, words)


class Client:
    """Gives one answer, and knows what it was asked and how often at once."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.seen: list[tuple[str, str]] = []
        self.at_once = 0
        self.free = asyncio.Event()

    async def sign(self, content: str, algorithm: str) -> str:
        self.seen.append((content, algorithm))
        self.at_once += 1
        assert self.at_once == 1, "one question at a time"
        try:
            await self.free.wait()
        finally:
            self.at_once -= 1
        return self.answer


async def ask(answer: str, asked: SignatureRequest = ECDSA) -> Signature | Failed:
    client = Client(answer)
    client.free.set()
    result = await ManagementSigner(ExternalKey(), client).sign(asked)
    assert isinstance(result, Signature | Failed)
    return result


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("!!!!", "not base64"),
        ("AAA", "not base64"),
        ("é" * 8, "not base64"),
        ("", "has 0 bytes"),
        ("A" * 400, "has 300 bytes, expected at most 104"),
    ],
)
def test_wrong_answers_are_named(answer: str, said: str) -> None:
    result = asyncio.run(ask(answer))
    assert isinstance(result, Failed)
    assert said in result.reason


def test_a_signature_comes_decoded() -> None:
    assert asyncio.run(ask(base64.b64encode(b"signed").decode())) == Signature(signature=b"signed")


def test_what_the_client_cannot_do_is_not_asked() -> None:
    result = asyncio.run(ask("", PSS))
    assert isinstance(result, Failed)
    assert "does not name 'pss'" in result.reason


def test_a_question_given_up_leaves_room_for_the_next() -> None:
    async def scenario() -> None:
        client = Client("c2lnbmVk")
        signer = ManagementSigner(ExternalKey(), client)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(signer.sign(ECDSA))
            await asyncio.sleep(0)
            second = tasks.create_task(signer.sign(ED25519))
            first.cancel()
            client.free.set()
        assert second.result() == Signature(signature=b"signed")
        assert [words for _, words in client.seen] == ["ECDSA", "ED25519,data=message"]

    asyncio.run(scenario())


def test_a_certificate_is_restored_from_its_joined_lines() -> None:
    ca = make_ca()
    pem = issue(ca, "client").cert_pem() + ca.cert_pem()
    body = "".join(pem.decode().splitlines())
    restored = pem_from_body(body).content.reveal()
    assert restored.replace(b"\n", b"") == pem.replace(b"\n", b"")
    assert restored.count(b"\n") == 6
    for broken in ("", "AAAA", "-----BEGIN CERTIFICATE-----AAAA"):
        with pytest.raises(ConfigError, match="sent no certificate"):
            pem_from_body(broken)


def test_only_an_external_key_is_outside() -> None:
    assert outside_key(TlsOptions()) is None
    for can, pss in (({}, False), ({"pss": True}, True), ({"nopadding": True}, True)):
        outside = outside_key(TlsOptions(external_key=ExternalKey(**can)))
        assert outside is not None
        assert outside.rsa_pss is pss
