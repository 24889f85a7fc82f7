"""What the options about scripts, log, process and filters set."""

import pytest

from ginnel.options.errors import ConfigError
from ginnel.options.model import PullFilter, PullVerdict
from tests.unit.options.memory_files import run, run_config


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
