"""auth-user-pass-verify: how the password gets there, and each way to say yes, no and later."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ginnel.core.server_actions import Admitted, Authenticate, Refused
from ginnel.dataclass import replace
from ginnel.options.model import TlsOptions
from ginnel.options.server_model import ScriptMethod
from ginnel.shell.guests import Guest
from ginnel.shell.password_script import PasswordScript
from ginnel.shell.script_gate import ScriptGate
from tests.unit.shell.loops import run, until
from tests.unit.shell.server_scripts import (
    Call,
    FakeScripts,
    Said,
    client,
    login,
    server_options,
)

VERIFY = ("/verify",)


class Rig:
    def __init__(self, folder: Path, answer: Callable[[Call], int], **access: Any) -> None:
        self.folder = folder
        self.scripts = FakeScripts({"user-pass-verify": answer})
        self.said = Said()
        self.pended: list[tuple[int, str]] = []
        self.options = replace(server_options(folder, **access), tls=TlsOptions(hand_window=1))
        self.guest = Guest(came=0, asked_password=True)

    def script(self) -> PasswordScript:
        gate = ScriptGate(self.scripts, self.said, script_security=3)
        return PasswordScript(self.options, gate, self.said, lambda: {"dev": "tun0"})

    def pend(self, seconds: int, text: str) -> bool:
        self.pended.append((seconds, text))
        return True

    def judge(self, action: Authenticate | None = None) -> Admitted | Refused:
        action = action or login(client())
        result = run(self.script().judge(VERIFY, action, self.guest, self.pend))
        assert list(self.folder.iterdir()) == [], "files are left"
        assert self.guest.open_files == {}
        return result


def test_via_file_hands_over_two_lines_and_no_variable(tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(call: Call) -> int:
        seen.append(call.read(0))
        assert "password" not in call.environment
        return 0

    made = Rig(tmp_path, answer)
    assert made.judge() == Admitted()
    assert seen == ["ada\nsecret word\n"]
    environment = made.scripts.calls[0].environment
    assert environment["username"] == ""  # the machine's facts have it later
    assert environment["untrusted_ip"] == "192.0.2.10"
    assert "trusted_ip" not in environment
    assert environment["dev"] == "tun0"


def test_via_env_hands_over_a_variable_and_no_word(tmp_path: Path) -> None:
    def answer(call: Call) -> int:
        assert call.words == ()
        return 0 if call.environment["password"] == "secret word" else 1

    made = Rig(tmp_path, answer, auth_user_pass_method=ScriptMethod.VIA_ENV)
    assert made.judge() == Admitted()
    assert made.judge(login(client(), password="other")) == Refused()
    # Others may see an environment: it holds passwords at script-security 3 only.
    made.scripts.plan["user-pass-verify"] = lambda call: int("password" in call.environment)
    made.options = replace(made.options, scripts=replace(made.options.scripts, script_security=2))
    assert made.judge() == Admitted()


def test_a_refusal_may_tell_the_client_why(tmp_path: Path) -> None:
    def answer(call: Call) -> int:
        call.write("auth_failed_reason_file", "try\x07 again\nand more\n")
        return 1

    made = Rig(tmp_path, answer)
    assert made.judge() == Refused(reason="try again")
    assert made.said.has("Failed running command (--auth-user-pass-verify)")


def test_a_verdict_may_come_later(tmp_path: Path) -> None:
    for verdict, expected in (("1", Admitted()), ("0", Refused(reason="no"))):
        files: list[str] = []

        def answer(call: Call, files: list[str] = files) -> int:
            files.append(call.environment["auth_control_file"])
            call.write("auth_failed_reason_file", "no")
            return 2

        made = Rig(tmp_path, answer)

        async def work(
            made: Rig = made, files: list[str] = files, verdict: str = verdict
        ) -> Admitted | Refused:
            async with asyncio.TaskGroup() as tasks:
                judging = tasks.create_task(
                    made.script().judge(VERIFY, login(client()), made.guest, made.pend)
                )
                await until(lambda: made.guest.open_files, "the deferral")
                assert made.guest.open_files["auth_control_file"] == files[0]
                Path(files[0]).write_text(verdict)
            return judging.result()

        assert run(work()) == expected
        assert made.pended == []
        assert not made.said.has("WARNING")


def test_a_verdict_that_never_comes_is_a_refusal(tmp_path: Path) -> None:
    made = Rig(tmp_path, lambda _call: 2)
    assert made.judge() == Refused()
    assert made.said.has("--auth-user-pass-verify: no answer came within 1 seconds")


def test_a_deferral_may_ask_the_client_for_something(tmp_path: Path) -> None:
    def answer(call: Call) -> int:
        call.write("auth_pending_file", "30\ncrtext\nCR_TEXT:R,E:Which one?")
        call.write("auth_control_file", "1")
        return 2

    made = Rig(tmp_path, answer)
    able = client(IV_SSO="webauth,crtext")
    assert made.judge(login(able)) == Admitted()
    assert made.pended == [(30, "CR_TEXT:R,E:Which one?")]
    refused = Refused(reason="Client does not support crtext")
    assert made.judge(login(client(IV_SSO="webauth"))) == refused
    assert made.said.has("the client does not support 'crtext'")


def test_a_pending_file_that_makes_no_sense_is_told(tmp_path: Path) -> None:
    for text in ("soon\ncrtext\nCR_TEXT", "0\ncrtext\nx", "30\n", "99999999\ncrtext\nx"):

        def answer(call: Call, text: str = text) -> int:
            call.write("auth_pending_file", text)
            return 2

        made = Rig(tmp_path, answer)
        assert made.judge(login(client(IV_SSO="crtext"))) == Refused()
        assert made.said.has("expected the lines SECONDS, METHOD and a message"), text


def test_no_room_for_files_refuses_and_tells(tmp_path: Path) -> None:
    made = Rig(tmp_path, lambda _call: 0)
    made.options = server_options(tmp_path / "gone")
    assert made.judge() == Refused()
    assert made.said.has("cannot make a file in tmp-dir")
    assert made.scripts.calls == []


def test_an_answer_to_a_question_goes_to_client_crresponse(tmp_path: Path) -> None:
    def answer(call: Call) -> int:
        assert call.environment["auth_control_file"] == "/tmp/control"
        return 0 if call.read(0) == "MTIzNDU2\n" else 1

    made = Rig(tmp_path, lambda _call: 0, client_crresponse=("/answer",))
    made.scripts.plan["client-crresponse"] = answer
    made.guest.open_files = {"auth_control_file": "/tmp/control"}
    assert run(made.script().answer(client(), made.guest, "MTIzNDU2"))
    assert not run(made.script().answer(client(), made.guest, "other"))
    assert made.scripts.ran[0].startswith("client-crresponse ")
    made.options = server_options(tmp_path)
    assert run(made.script().answer(client(), made.guest, "nobody wants it"))
