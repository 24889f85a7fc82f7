"""The passphrase of the private key: where it comes from, what follows a wrong one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ginnel.compat.log_lines import LogLine
from ginnel.core.tls_context import PassphraseNeeded, PassphraseWrong
from ginnel.core.types import Side
from ginnel.options.model import AuthRetry, TlsOptions
from ginnel.options.values import Secret
from ginnel.shell import unlock as module
from ginnel.shell.unlock import Unlocking, build_context, unlock


@dataclass
class Opened:
    passphrase: bytes | None


@dataclass
class Asked:
    """A frontend with answers."""

    answers: list[bytes] = field(default_factory=list)
    asks_passwords: bool = True
    told: list[str] = field(default_factory=list)

    async def passphrase(self, type_name: str) -> Secret:
        self.told.append(f"asked for {type_name}")
        return Secret(self.answers.pop(0))

    def verification_failed(self, type_name: str) -> None:
        self.told.append(f"wrong {type_name}")

    def choose_auth_retry(self, configured: AuthRetry) -> AuthRetry:
        return configured

    def state(self, name: str, detail: str = "") -> None:
        self.told.append(f"{name} {detail}")

    def fatal(self, text: str) -> None:
        self.told.append(f"fatal: {text}")


RIGHT = Secret(b"correct horse")
WANTED = Unlocking(tls=TlsOptions(), side=Side.SERVER, pause=0)


@pytest.fixture(autouse=True)
def locked(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(options: TlsOptions, **_: object) -> Opened:
        if options.askpass is None:
            raise PassphraseNeeded("the key is encrypted", option="key")
        if options.askpass != RIGHT:
            raise PassphraseWrong("it does not open", option="askpass")
        return Opened(options.askpass.reveal())

    monkeypatch.setattr(module, "build_tls_context", build)


def run(wanted: Unlocking, asked: Asked) -> tuple[Opened, list[str]]:
    lines: list[LogLine] = []
    context = asyncio.run(unlock(wanted, asked, lines.append))
    assert isinstance(context, Opened)
    return context, [line.text for line in lines]


def test_a_given_passphrase_opens_without_a_question() -> None:
    asked = Asked()
    given = Secret(b"correct horse")
    wanted = replace(WANTED, tls=TlsOptions(askpass=given), forget=True)
    assert run(wanted, asked)[0].passphrase == b"correct horse"
    assert asked.told == []
    assert len(given) == 0, "auth-nocache wipes it"


def test_a_given_passphrase_that_is_no_good_is_not_asked_for_again() -> None:
    with pytest.raises(PassphraseWrong):
        run(replace(WANTED, tls=TlsOptions(askpass=Secret(b"wrong"))), Asked())


def test_the_frontend_is_asked_again_when_that_is_wanted() -> None:
    asked = Asked([b"wrong", b"correct horse"])
    context, lines = run(replace(WANTED, auth_retry=AuthRetry.INTERACT), asked)
    assert context.passphrase == b"correct horse"
    assert asked.told == [
        "asked for Private Key",
        "wrong Private Key",
        "RECONNECTING private-key-password-failure",
        "asked for Private Key",
    ]
    assert "SIGUSR1[soft,private-key-password-failure] received, process restarting" in lines


def test_otherwise_a_wrong_answer_ends_it() -> None:
    asked = Asked([b"wrong"])
    with pytest.raises(PassphraseWrong):
        run(WANTED, asked)
    assert asked.told[-1] == "fatal: it does not open"


def test_the_terminal_is_asked_without_a_frontend(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> Secret:
        return Secret(b"correct horse")

    monkeypatch.setattr(module, "ask_passphrase", ask)
    assert run(WANTED, Asked(asks_passwords=False))[0].passphrase == b"correct horse"


def test_a_list_that_cannot_be_looked_at_is_no_permission(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file by a serial number's name revokes it; not to know is an error, not a no."""
    given: list[Callable[[int], bool]] = []

    def build(_options: TlsOptions, *, is_revoked: Callable[[int], bool], **_: object) -> Opened:
        given.append(is_revoked)
        return Opened(None)

    monkeypatch.setattr(module, "build_tls_context", build)
    (tmp_path / "17").touch()
    (tmp_path / "loop").symlink_to("loop")
    build_context(TlsOptions(), WANTED)
    for directory in (tmp_path, tmp_path / "absent", tmp_path / "17", tmp_path / "loop"):
        build_context(TlsOptions(crl_verify_dir=str(directory)), WANTED)
    without, listed, absent, a_file, untold = given
    assert [listed(17), listed(18)] == [True, False]
    assert not any(is_revoked(17) for is_revoked in (without, absent, a_file))
    with pytest.raises(OSError, match="loop"):
        untold(17)
