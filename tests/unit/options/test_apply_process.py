"""What the options about scripts, log, process and filters set."""

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.model import PullFilter, PullVerdict
from ginnel.options.values import Secret
from tests.unit.options.memory_files import STANDARD, run, run_config


def test_variables_for_scripts() -> None:
    words = ("--setenv", "NAME", "a b", "--setenv-safe", "X", "1", "--setenv", "EMPTY")
    assert dict(run(*words, "--setenv", "NAME", "c").options.scripts.setenv) == {
        "NAME": "c",
        "OPENVPN_X": "1",
        "EMPTY": "",
    }


@pytest.mark.parametrize("name", ["", "a b", "1a", "a=b", "é", "x" * 129])
def test_variable_names_are_checked(name: str) -> None:
    with pytest.raises(ConfigError, match="a variable's name"):
        run("--setenv", name, "x")


def test_variable_values_are_text() -> None:
    with pytest.raises(ConfigError, match="printable"):
        run("--setenv", "A", "a\nb")


def test_switches_in_disguise() -> None:
    words = ("--setenv", "PUSH_PEER_INFO", "--setenv", "SERVER_POLL_TIMEOUT", "9")
    options = run(*words, "--setenv", "FORWARD_COMPATIBLE", "1").options
    assert options.tls.push_peer_info
    assert options.profiles[0].connect_timeout == 9
    assert dict(options.scripts.setenv) == {}
    with pytest.raises(ConfigError, match="SERVER_POLL_TIMEOUT"):
        run("--setenv", "SERVER_POLL_TIMEOUT", "x")
    with pytest.raises(ConfigError, match="generic configuration"):
        run("--setenv", "GENERIC_CONFIG", "1")
    with pytest.raises(ConfigError, match="REMOTE_RANDOM_HOSTNAME is not supported"):
        run("--setenv", "REMOTE_RANDOM_HOSTNAME")


def test_daemon_and_syslog_take_the_first() -> None:
    process = run("--daemon", "a", "--daemon", "b", "--syslog").options.process
    assert (process.daemon, process.syslog) == ("a", "openvpn")


def test_log_and_log_append() -> None:
    process = run("--log", "a", "--log-append", "b").options.process
    assert (process.log_file, process.log_append) == ("b", True)


def test_process_settings() -> None:
    words = ("--verb", "15", "--mute", "9", "--nice", "-5", "--status", "s", "10")
    process = run(*words, "--status-version", "3", "--user", "u", "--group", "g").options.process
    assert (process.verb, process.mute, process.nice) == (11, 9, -5)
    assert (process.status, process.status_interval, process.status_version) == ("s", 10, 3)
    assert (process.user, process.group) == ("u", "g")


def test_the_first_configuration_file_is_remembered() -> None:
    text = "config more\nclient\nremote x\nca ca.crt\nauth-user-pass login\n"
    assert run_config(text, more=b"nobind\n").options.process.config == "c.ovpn"


def test_pull_filters_keep_their_order() -> None:
    words = ("--pull-filter", "accept", "route 10.", "--pull-filter", "ignore", "route")
    assert run(*words).options.pull_filters == (
        PullFilter(verdict=PullVerdict.ACCEPT, prefix="route 10."),
        PullFilter(verdict=PullVerdict.IGNORE, prefix="route"),
    )


def test_echo_joins_words_and_drops_control_characters() -> None:
    assert run("--echo", "a", "b\x1b", "--parameter", "c").options.echo == ("a b?", "c")


def test_key_method_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="key-method 1 is refused"):
        run("--key-method", "1")


def test_scripts_and_their_security() -> None:
    words = ("--script-security", "2", "--down", "/bin/d", "--route-up", "/bin/r x", "--up-delay")
    scripts = run(*words).options.scripts
    assert scripts.script_security == 2
    assert (scripts.down, scripts.route_up) == (("/bin/d",), ("/bin/r", "x"))
    assert scripts.up_delay
    with pytest.raises(ConfigError, match="from 0 to 3"):
        run("--script-security", "4")


def test_management_on_a_unix_socket() -> None:
    flags = ("hold", "signal", "query-passwords", "query-remote", "up-down", "forget-disconnect")
    words = ["--management", "/run/m.sock", "unix", "pw", "--management-client-user", "root"]
    words += ["--management-client-group", "adm", "--management-log-cache", "17"]
    words += [f"--management-{flag}" for flag in flags]
    done = run(*words, files={**STANDARD, "pw": b"secret\n"})
    management = done.options.management
    assert (management.address, management.port) == ("/run/m.sock", "unix")
    assert management.password is not None
    assert management.password.content == Secret(b"secret\n")
    assert (management.client_user, management.client_group) == ("root", "adm")
    assert (management.hold, management.signal, management.up_down) == (True, True, True)
    assert (management.query_passwords, management.query_remote) == (True, True)
    assert (management.forget_disconnect, management.log_cache) == (True, 17)
    assert not management.connects
    assert not [note for note in done.notes if note.option == "management"]


def test_management_over_tcp_warns_without_a_password() -> None:
    done = run("--management", "127.0.0.1", "7505", "--management-client")
    assert done.options.management.connects
    assert not [note for note in done.notes if note.option == "management"]
    done = run("--management", "127.0.0.1", "7505")
    (warning,) = [note for note in done.notes if note.option == "management"]
    assert "WITHOUT passwords is STRONGLY discouraged" in warning.text


def test_management_warns_of_a_socket_open_to_all() -> None:
    (warning,) = [
        note for note in run("--management", "m", "unix").notes if note.option == "management"
    ]
    assert "--management-client-user" in warning.text


def test_the_last_management_counts() -> None:
    files = {**STANDARD, "pw": b"secret\n"}
    words = ("--management", "127.0.0.1", "1", "pw", "--management", "m", "unix")
    management = run(*words, files=files).options.management
    assert (management.address, management.port, management.password) == ("m", "unix", None)


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1", "UNIX", "１"])
def test_management_ports_are_checked(port: str) -> None:
    with pytest.raises(ConfigError, match="the word unix"):
        run("--management", "127.0.0.1", port)


def test_management_forms_of_later_releases() -> None:
    with pytest.raises(ConfigError, match="--management tunnel is not supported"):
        run("--management", "tunnel", "7505")
    with pytest.raises(ConfigError, match="from stdin is not supported"):
        run("--management", "127.0.0.1", "7505", "stdin")


def test_management_options_need_each_other() -> None:
    with pytest.raises(ConfigError, match="--management is not specified"):
        run("--management-hold")
    with pytest.raises(ConfigError, match="only be used on unix domain sockets"):
        run("--management", "127.0.0.1", "7505", "--management-client-user", "root")
