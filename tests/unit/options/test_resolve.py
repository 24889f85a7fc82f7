"""From a command line to options or to an action."""

import pytest

from ginnel.options.actions import (
    GenKey,
    GenKeyKind,
    MkTun,
    RmTun,
    RunClient,
    ShowCiphers,
    ShowCurves,
    ShowDigests,
    ShowGateway,
    ShowHelp,
    ShowTls,
    ShowVersion,
    TestCrypto,
)
from ginnel.options.errors import ConfigError
from ginnel.options.model import DeviceType
from ginnel.options.resolve import resolve
from ginnel.options.source import lex_argv
from ginnel.options.table import Support, all_rows
from tests.unit.options.memory_files import (
    BASE,
    CA,
    MemoryFiles,
    resolve_words,
    run,
    run_config,
)

SIMPLE_VALUES = {
    "auth-user-pass-verify": ("/bin/x", "via-file"),
    "client-nat": ("snat", "10.0.0.0", "255.0.0.0", "11.0.0.0"),
    "fragment": ("1300",),
    "ifconfig-push": ("10.0.0.2", "10.0.0.1"),
    "keying-material-exporter": ("EXPORTER-x", "16"),
    "http-proxy-option": ("AGENT", "x"),
    "static-challenge": ("text", "1"),
    "secret": ("ta.key",),
}


def sample(name: str) -> tuple[str, ...]:
    """Returns arguments that fit the grammar of a row."""
    if name in SIMPLE_VALUES:
        return SIMPLE_VALUES[name]
    row = all_rows()[name]
    words = []
    for argument in row.args:
        if argument.optional:
            break
        if argument.choices:
            words.append(argument.choices[0])
        else:
            words.append(str(max(argument.low, 1)) if argument.high else "80")
    return tuple(words)


@pytest.mark.parametrize(
    "name",
    [
        row.name
        for row in all_rows().values()
        if row.support is Support.NO_EFFECT and row.name != "hash-size"  # which clients cannot have
    ],
)
def test_options_without_effect_leave_one_line(name: str) -> None:
    words = ("2",) if name == "key-method" else sample(name)
    notes = [note for note in run(f"--{name}", *words).notes if note.option == name]
    if name == "key-method":
        assert notes == []
    else:
        (note,) = notes
        assert f"--{name} has no effect here: " in str(note)


@pytest.mark.parametrize(
    "name",
    [row.name for row in all_rows().values() if row.support is Support.REFUSED],
)
def test_removed_options_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--{name} is refused: "):
        run(f"--{name}", *sample(name))


def test_the_smallest_client() -> None:
    options = run().options
    assert options.pull
    (profile,) = options.profiles
    assert (profile.host, profile.port) == ("192.0.2.1", "1194")
    assert options.tls.ca is not None
    assert options.tls.ca.content.reveal() == CA
    assert options.login.source.credentials is not None
    assert options.login.source.credentials.content.reveal() == b"alice\nsecret\n"
    assert options.tun.dev == "tun"
    assert options.link.ping_restart == 0


def test_directives_resolve_without_a_command_line() -> None:
    files = MemoryFiles({"ca.crt": CA, "login": b"a\n"})
    assert resolve(lex_argv(BASE), files) == run(files={"login": b"a\n"})


def test_files_are_looked_for_where_cd_led() -> None:
    files = {
        "d": None,
        "d/ca.crt": CA,
        "d/login": b"bob\n",
        "ca.crt": b"wrong",
        "login": b"wrong\n",
    }
    options = run("--cd", "d", files=files).options
    assert options.process.cd == "d"
    assert options.login.source.credentials is not None
    assert options.login.source.credentials.content.reveal() == b"bob\n"
    assert options.login.source.credentials.path == "login"


def test_an_inline_block_wins_over_the_inline_word() -> None:
    text = f"client\nremote x\nauth-user-pass login\nca [inline]\n<ca>\n{CA.decode()}</ca>\n"
    ca = run_config(text).options.tls.ca
    assert ca is not None
    assert ca.path is None
    assert ca.content.reveal() == CA


def test_the_inline_word_after_the_block_keeps_it() -> None:
    text = f"client\nremote x\nauth-user-pass login\n<ca>\n{CA.decode()}</ca>\nca [inline]\n"
    ca = run_config(text).options.tls.ca
    assert ca is not None
    assert ca.content.reveal() == CA


def test_a_later_file_replaces_an_earlier_one() -> None:
    ca = run("--ca", "ca.crt", files={"ca.crt": CA}).options.tls.ca
    assert ca is not None
    with pytest.raises(ConfigError, match="--ca fails with 'nope'"):
        run("--ca", "nope")


def test_notes_come_in_the_order_of_lines() -> None:
    config = "client\nremote x\nca ca.crt\nauth-user-pass login\nauth-nocache\n"
    config += "persist-key\nremote-cert-tls server\nfast-io\n"
    notes = run_config(config).notes
    assert [note.option for note in notes] == ["persist-key", "fast-io"]
    assert str(notes[1]).endswith("(c.ovpn:8)")


@pytest.mark.parametrize(
    ("words", "action"),
    [
        ((), ShowHelp()),
        (("--help",), ShowHelp()),
        (("--version",), ShowVersion()),
        (("--version", "--nonsense"), ShowVersion()),
        (("--show-ciphers",), ShowCiphers()),
        (("--show-digests",), ShowDigests()),
        (("--show-curves",), ShowCurves()),
        (("--show-groups",), ShowCurves()),
        (("--show-gateway",), ShowGateway(destination=None)),
        (("--show-gateway", "2001:db8::1"), ShowGateway(destination="2001:db8::1")),
        (("--genkey",), GenKey(kind=GenKeyKind.SECRET, path=None)),
        (("--genkey", "secret", "k"), GenKey(kind=GenKeyKind.SECRET, path="k")),
        (("--genkey", "--secret", "k"), GenKey(kind=GenKeyKind.SECRET, path="k")),
        (("--genkey", "tls-auth", "k"), GenKey(kind=GenKeyKind.TLS_AUTH, path="k")),
        (
            ("--genkey", "tls-crypt-v2-server", "k"),
            GenKey(kind=GenKeyKind.TLS_CRYPT_V2_SERVER, path="k"),
        ),
        (
            ("--mktun", "--dev", "tun3", "--user", "u", "--group", "g"),
            MkTun(dev="tun3", dev_type=DeviceType.TUN, user="u", group="g"),
        ),
        (
            ("--mktun", "--dev", "tun"),
            MkTun(dev="tun", dev_type=DeviceType.TUN, user=None, group=None),
        ),
        (
            ("--mktun", "--dev", "tap3"),
            MkTun(dev="tap3", dev_type=DeviceType.TAP, user=None, group=None),
        ),
        (
            ("--rmtun", "--dev", "odd", "--dev-type", "tap"),
            RmTun(dev="odd", dev_type=DeviceType.TAP),
        ),
    ],
)
def test_actions(words: tuple[str, ...], action: object) -> None:
    assert resolve_words(*words) == action


def test_show_tls_honours_the_cipher_options() -> None:
    action = resolve_words("--show-tls", "--tls-cipher", "X", "--tls-cert-profile", "suiteb")
    assert isinstance(action, ShowTls)
    assert action.options.tls_cipher == "X"
    assert action.options.tls_cert_profile == "suiteb"


def test_a_client_key_is_sealed_with_the_servers() -> None:
    words = ("--tls-crypt-v2", "v2-server.key", "--genkey", "tls-crypt-v2-client", "out", "aGk=")
    action = resolve_words(*words)
    assert isinstance(action, GenKey)
    assert (action.kind, action.path, action.metadata) == (
        GenKeyKind.TLS_CRYPT_V2_CLIENT,
        "out",
        "aGk=",
    )
    assert action.server_key is not None
    assert action.server_key.path == "v2-server.key"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--genkey", "tls-crypt-v2-client", "k"), "requires a server key"),
        (("--genkey", "nonsense", "k"), "is not one of 'secret', "),
        (("--genkey", "auth-token", "k", "not base64!"), "metadata is not base64"),
        (("--mktun",), "need a device"),
        (("--mktun", "--dev", "null"), "need a device"),
        (("--rmtun", "--dev", "tun"), "needs the device by its full name"),
        (("--test-crypto",), "requires --secret"),
        (
            ("--tls-crypt-v2", "v2.key", "--genkey", "tls-crypt-v2-client", "k"),
            "is not a tls-crypt-v2 server key",
        ),
    ],
)
def test_actions_that_lack_something(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve_words(*words)
    assert message in raised.value.message


def test_test_crypto_takes_a_static_key() -> None:
    action = resolve_words("--test-crypto", "--secret", "ta.key", "--cipher", "AES-256-CBC")
    assert isinstance(action, TestCrypto)
    assert action.key is not None
    assert (action.cipher, action.auth) == ("AES-256-CBC", "SHA1")


def test_askpass_takes_the_first_line() -> None:
    tls = run("--askpass", "pass", files={"pass": b"open sesame\r\nmore\n"}).options.tls
    assert tls.askpass is not None
    assert tls.askpass.reveal() == b"open sesame"
    assert tls.askpass_requested


def test_askpass_without_a_file_asks() -> None:
    tls = run("--askpass").options.tls
    assert tls.askpass is None
    assert tls.askpass_requested


def test_a_large_mtu_raises_what_may_be_pushed() -> None:
    tun = run("--tun-mtu", "9000").options.tun
    assert (tun.tun_mtu, tun.tun_mtu_max, tun.tun_mtu_defined) == (9000, 9000, True)


def test_dev_null_has_no_device() -> None:
    assert run("--dev", "null").options.tun.dev_type is DeviceType.NULL


@pytest.mark.parametrize(
    "name", ["up", "down", "route-up", "route-pre-down", "ipchange", "tls-verify"]
)
def test_a_missing_script_is_told_in_openvpns_words(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        run(f"--{name}", "/bin/nope 'a b'")
    assert raised.value.message == (
        f"--{name} script fails with '/bin/nope': No such file or directory (errno=2) "
        "([CMD-LINE]:1)"
    )


def test_scripts_are_looked_for_where_cd_led() -> None:
    files = {"d": None, "d/ca.crt": CA, "d/login": b"a\n", "d/hook": b"#!"}
    assert run("--cd", "d", "--up", "hook", files=files).options.scripts.up == ("hook",)


def test_scripts_of_a_chroot_are_not_looked_for() -> None:
    assert run("--up", "/nowhere", "--chroot", "dir").options.scripts.up == ("/nowhere",)


def test_a_script_that_may_not_be_read_is_left_to_the_run() -> None:
    class Guarded(MemoryFiles):
        def read(self, path: str) -> bytes:
            if path == "/bin/secret":
                raise PermissionError(13, "Permission denied", path)
            return super().read(path)

    resolved = resolve(
        lex_argv([*BASE, "--up", "/bin/secret"]), Guarded({"ca.crt": CA, "login": b"a\n"})
    )
    assert isinstance(resolved, RunClient)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("--dev", "tap"), DeviceType.TAP),
        (("--dev", "tap7"), DeviceType.TAP),
        (("--dev", "office", "--dev-type", "tap"), DeviceType.TAP),
        (("--dev", "tap0", "--dev-type", "tun"), DeviceType.TUN),
        (("--dev", "tun0"), DeviceType.TUN),
        (("--dev", "null", "--dev-type", "tap"), DeviceType.NULL),
    ],
)
def test_the_type_of_the_device(words: tuple[str, ...], kind: DeviceType) -> None:
    assert run(*words).options.tun.dev_type is kind
