"""Command lines, seen from outside: what they print, where, and their exit status."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ginnel import __version__
from ginnel.cli import openvpn
from ginnel.cli.main import USAGE, main
from ginnel.cli.report import early_process_options
from ginnel.compat.versions import OPENVPN_RELEASE, version_text
from ginnel.options.model import ProcessOptions

GINNEL = [sys.executable, "-m", "ginnel"]


def run(
    *arguments: str, program: list[str] | None = None, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*(program or GINNEL), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("word", ["--version", "version"])
def test_version_of_ginnel(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ginnel", word]) == 0
    expected = f"ginnel {__version__} (compatible with OpenVPN {OPENVPN_RELEASE})\n"
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_for_people(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ginnel", word]) == 0
    assert capsys.readouterr().out == USAGE


@pytest.mark.parametrize("command", ["check", "restore"])
def test_help_of_a_command_without_options_is_the_same(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a configuration nor a directory of that name is looked for."""
    assert main(["ginnel", command, "--help"]) == 0
    assert capsys.readouterr().out == USAGE


def test_no_command_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ginnel"]) == 2
    assert capsys.readouterr().err == USAGE
    assert main([]) == 2


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["fly"], "unknown command 'fly'; see 'ginnel --help'"),
        (["office.ovpn"], "did you mean 'ginnel openvpn office.ovpn'?"),
        (["--config", "x"], "did you mean 'ginnel openvpn --config x'?"),
        (["restore", "a", "b"], "unknown command 'restore a b'"),
    ],
)
def test_unknown_commands_are_explained(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ginnel", *arguments]) == 2
    assert hint in capsys.readouterr().err


def test_openvpn_version_in_both_guises(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ginnel", "openvpn", "--version"]) == 0
    first = capsys.readouterr().out
    assert first.splitlines() == list(version_text())
    assert main(["/usr/sbin/openvpn", "--version"]) == 0
    assert capsys.readouterr().out == first
    # Once more through the options, where OpenVPN stops at --version as well.
    assert main(["openvpn", "--verb", "3", "--version", "--foo"]) == 0
    assert capsys.readouterr().out == first


def test_linked_as_openvpn_it_behaves_as_openvpn(tmp_path: Path) -> None:
    script = tmp_path / "openvpn"
    script.symlink_to(Path(sys.executable).parent / "ginnel")
    done = run("--version", program=[str(script)])
    assert (done.returncode, done.stdout.splitlines()) == (0, list(version_text()))
    done = run("--foo", program=[str(script)])
    assert done.returncode == 1
    assert "in [CMD-LINE]:1: foo (" in done.stdout


def test_help_and_no_option_print_the_usage_and_fail_as_openvpn_does() -> None:
    for arguments in (["--help"], []):
        done = run("openvpn", *arguments)
        assert done.returncode == 1
        assert done.stdout.startswith("OpenVPN 2.")
        assert "--config" in done.stdout
        assert done.stderr == ""


REAL = ["openvpn"]
UNRECOGNIZED = (
    r"Options error: Unrecognized option or missing or extra parameter\(s\) in "
    r"\[CMD-LINE\]:1: %s \(\d+\.\d+\.\d+\)"
)


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (["--foo"], UNRECOGNIZED % "foo"),
        (["--verb"], UNRECOGNIZED % "verb"),
        (["--show-ciphers", "x"], UNRECOGNIZED % "show-ciphers"),
        (
            ["--config", "/nonexistent"],
            r"Options error: In \[CMD-LINE\]:1: Error opening configuration file: /nonexistent.*",
        ),
        (
            ["--client", "--dev", "tun", "--remote", "192.0.2.1"],
            r"Options error: You must define CA file \(--ca\) or CA path \(--capath\).*",
        ),
    ],
)
def test_mistakes_look_as_openvpns_do(arguments: list[str], first: str) -> None:
    """The same expression matches what the real program says."""
    for program in (None, REAL):
        done = run(*arguments, program=program or [*GINNEL, "openvpn"])
        lines = [line for line in done.stdout.splitlines() if "Note:" not in line]
        assert done.returncode == 1
        assert done.stderr == ""
        assert any(re.fullmatch(first, line) for line in lines), done.stdout
        assert lines[-1] == "Use --help for more information."


def test_mistakes_go_to_the_log_file_named_before(tmp_path: Path) -> None:
    for name, program in (("ours", [*GINNEL, "openvpn"]), ("real", REAL)):
        log = tmp_path / name
        done = run("--log", str(log), "--foo", program=program)
        assert (done.returncode, done.stdout) == (1, "")
        assert log.read_text().startswith("Options error: Unrecognized option")


def test_machine_readable_mistakes() -> None:
    done = run("openvpn", "--machine-readable-output", "--foo")
    assert done.returncode == 1
    shape = r"\d+\.\d{6} [0-9a-f]+ Options error: Unrecognized option .*"
    assert re.fullmatch(shape, done.stdout.splitlines()[0])


def test_errors_to_stderr() -> None:
    done = run("openvpn", "--errors-to-stderr", "--foo")
    assert done.stderr.startswith("Options error: Unrecognized option")
    assert done.stdout == "Use --help for more information.\n"


def test_early_options_are_read_without_understanding_the_rest() -> None:
    words = ["--syslog", "nm-openvpn", "--verb", "1", "--syslog", "later", "--log-append", "a"]
    assert early_process_options([*words, "--log", "b"]) == ProcessOptions(
        syslog="nm-openvpn", log_file="b", log_append=False
    )
    assert early_process_options(["--daemon"]) == ProcessOptions(syslog="")
    assert early_process_options(["--daemon", "a", "b", "--log"]) == ProcessOptions()
    assert early_process_options(["x.ovpn"]) == ProcessOptions()
    assert early_process_options(["--up", "--suppress-timestamps"]) == ProcessOptions(
        suppress_timestamps=True
    )


@pytest.mark.parametrize("option", ["--show-ciphers", "--show-digests", "--show-curves"])
def test_lists_are_printed(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openvpn", option]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_show_tls_reads_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--show-tls", "--tls-cipher", "TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384"]
    assert main(["openvpn", *words]) == 0
    older = capsys.readouterr().out.partition("(--tls-cipher):")[2]
    assert re.findall(r"^TLS-\S+$", older, re.MULTILINE) == [
        "TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384"
    ]


def test_genkey_both_forms(tmp_path: Path) -> None:
    for name, words in (
        ("new", ["--genkey", "secret", "new"]),
        ("old", ["--genkey", "--secret", "old"]),
    ):
        done = run("openvpn", *words, cwd=tmp_path)
        assert done.returncode == 0
        assert "BEGIN OpenVPN Static key V1" in (tmp_path / name).read_text()


def test_genkey_chain_of_tls_crypt_v2(tmp_path: Path) -> None:
    assert run("openvpn", "--genkey", "tls-crypt-v2-server", "s", cwd=tmp_path).returncode == 0
    words = ["--tls-crypt-v2", "s", "--genkey", "tls-crypt-v2-client"]
    assert run("openvpn", *words, "c", "aGk=", cwd=tmp_path).returncode == 0
    assert "tls-crypt-v2 client key" in (tmp_path / "c").read_text()
    missing = run("openvpn", *words[2:], "d", cwd=tmp_path)
    assert missing.returncode == 1
    assert "requires a server key" in missing.stdout


def test_test_crypto_as_a_command(tmp_path: Path) -> None:
    run("openvpn", "--genkey", "secret", "k", cwd=tmp_path)
    done = run("openvpn", "--test-crypto", "--secret", "k", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].endswith("self-test mode SUCCEEDED.")


def test_a_reader_that_leaves_early_is_no_disaster() -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*GINNEL, "openvpn", "--show-tls"], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    os.close(reading)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors == ""


HEAVY = ("asyncio", "OpenSSL", "pyroute2", "ginnel.options", "ginnel.core", "ginnel.shell")


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["ginnel", "--help"], ()),
        (["ginnel", "openvpn", "--version"], ()),
        (["ginnel", "openvpn", "--show-ciphers"], ("ginnel.options", "ginnel.core")),
    ],
)
def test_start_up_is_light(arguments: list[str], allowed: tuple[str, ...]) -> None:
    """Time depends on the machine; which modules were imported does not."""
    code = (
        "import sys\nfrom ginnel.cli.main import main\nmain(sys.argv[1:])\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = run("-c", code, *arguments, program=[sys.executable])
    loaded = done.stderr.splitlines()
    heavy = {
        name
        for name in HEAVY
        if any(module == name or module.startswith(f"{name}.") for module in loaded)
    }
    assert heavy <= set(allowed)
    assert "ginnel.cli.main" in loaded


def test_an_interrupt_ends_it_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(openvpn, "run", interrupt)
    assert main(["ginnel", "openvpn", "--config", "x.conf"]) == 130
