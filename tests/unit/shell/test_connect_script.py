"""client-connect: options that a script writes, now or later, and its refusals."""

from pathlib import Path

from ginnel.core.server_actions import Refused
from ginnel.shell.connect_script import ConnectScript, WrittenConfig
from ginnel.shell.guests import Guest
from ginnel.shell.script_gate import ScriptGate
from tests.unit.shell.loops import run
from tests.unit.shell.server_scripts import (
    Answer,
    Call,
    FakeScripts,
    Said,
    client,
    server_options,
)


def connect(folder: Path, answer: Answer, said: Said) -> WrittenConfig | Refused:
    async def work() -> WrittenConfig | Refused:
        scripts = FakeScripts({"client-connect": answer})
        gate = ScriptGate(scripts, said, script_security=2)
        options = server_options(folder)
        script = ConnectScript(options, gate, said, dict, deferral=0.5)
        return await script.connect(("/connect",), client(), Guest(came=0, began=5))

    result = run(work())
    assert list(folder.iterdir()) == [], "files are left"
    return result


def test_what_a_script_writes_is_read(tmp_path: Path) -> None:
    def answer(call: Call) -> int:
        assert call.words == (call.environment["client_connect_config_file"],)
        assert call.environment["trusted_port"] == "4001"
        Path(call.words[0]).write_text('push "route 10.30.0.0"\n')
        return 0

    result = connect(tmp_path, answer, Said())
    assert isinstance(result, WrittenConfig)
    assert result.text == b'push "route 10.30.0.0"\n'
    assert "openvpn_cc_" in result.path


def test_a_script_that_fails_refuses_the_client(tmp_path: Path) -> None:
    said = Said()
    assert connect(tmp_path, lambda _call: 1, said) == Refused()
    assert said.has("Failed running command (--client-connect)")


def test_a_script_may_answer_later(tmp_path: Path) -> None:
    import threading

    def later(verdict: str) -> Answer:
        def answer(call: Call) -> int:
            call.write("client_connect_deferred_file", "2")
            write = (call.write, ("client_connect_deferred_file", verdict))
            threading.Timer(0.05, *write).start()
            return 0

        return answer

    assert isinstance(connect(tmp_path, later("1"), Said()), WrittenConfig)
    assert connect(tmp_path, later("0"), Said()) == Refused()


def test_a_script_that_never_answers_is_told(tmp_path: Path) -> None:
    def answer(call: Call) -> int:
        call.write("client_connect_deferred_file", "2")
        return 0

    said = Said()
    assert connect(tmp_path, answer, said) == Refused()
    assert said.has("--client-connect: no answer came within 0.5 seconds")


def test_no_room_for_files_refuses_and_tells(tmp_path: Path) -> None:
    said = Said()

    async def work() -> WrittenConfig | Refused:
        gate = ScriptGate(FakeScripts(), said, script_security=2)
        script = ConnectScript(server_options(tmp_path / "gone"), gate, said, dict)
        return await script.connect(("/connect",), client(), Guest(came=0))

    assert run(work()) == Refused()
    assert said.has("--client-connect: cannot make a file in tmp-dir")
