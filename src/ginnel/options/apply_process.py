"""What the options about scripts, log, process and modes do, and the actions that replace a run.

Rows in ``rows.scripts``, ``rows.log`` and ``rows.legacy``.
"""

from ginnel.dataclass import replace
from ginnel.options.draft import STATIC_KEY, Draft, Handler, Use
from ginnel.options.errors import ConfigError
from ginnel.options.model import PullFilter, PullVerdict

MAX_ENVIRONMENT = 1024
MAX_ECHOES = 1024
MAX_FILTERS = 1024
ACTIONS = (
    "version",
    "help",
    "show-ciphers",
    "show-digests",
    "show-engines",
    "show-tls",
    "show-curves",
    "show-groups",
    "show-gateway",
    "genkey",
    "test-crypto",
    "mktun",
    "rmtun",
)
"""Options that replace a run, those that look at nothing else first."""

_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_SAFE_PREFIX = "OPENVPN_"
_VERB_MAX = 11


def _setenv(draft: Draft, use: Use) -> None:
    """A few names are switches in disguise (options.tsv)."""
    match use.text(0):
        case "FORWARD_COMPATIBLE":
            return  # acted on while the lines were read
        case "GENERIC_CONFIG":
            raise use.wrong("this is a generic configuration and cannot directly be used")
        case "PUSH_PEER_INFO":
            draft.set_field("tls.push_peer_info", True)
        case "SERVER_POLL_TIMEOUT":
            _server_poll_timeout(draft, use)
        case "REMOTE_RANDOM_HOSTNAME":
            draft.refusals.append(use.later("--setenv REMOTE_RANDOM_HOSTNAME"))
        case name:
            _set_variable(draft, use, name)


def _server_poll_timeout(draft: Draft, use: Use) -> None:
    text = use.text(1)
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= 65535:
        raise use.wrong("expected a number from 1 to 65535")
    draft.set_field("profile.connect_timeout", int(text))


def _setenv_safe(draft: Draft, use: Use) -> None:
    _set_variable(draft, use, _SAFE_PREFIX + use.text(0), bare=use.text(0))


def _set_variable(draft: Draft, use: Use, name: str, bare: str | None = None) -> None:
    own = name if bare is None else bare
    if not own or len(name) > 128 or not set(name) <= _NAME_LETTERS or own[0].isdigit():
        raise use.wrong("a variable's name is made of letters, digits and underscores")
    value = use.text(1)
    if "\0" in value or not value.isprintable():
        raise use.wrong("expected printable text")
    variables = draft.options.scripts.setenv
    if name not in variables and len(variables) >= MAX_ENVIRONMENT:
        raise use.wrong(f"there are more than {MAX_ENVIRONMENT} variables")
    draft.set_field("scripts.setenv", {**variables, name: value})


def _cd(draft: Draft, use: Use) -> None:
    """Where to has been followed while the lines were read; scripts and files see the result."""
    draft.places.note("cd", use.origin)


def _config(draft: Draft, use: Use) -> None:
    """Remembers the first configuration file, which scripts see as ``config``."""
    if draft.options.process.config is None:
        draft.set_field("process.config", use.text(0))


def _daemon(draft: Draft, use: Use) -> None:
    if draft.options.process.daemon is None:
        draft.set_field("process.daemon", use.text(0, "openvpn"))


def _syslog(draft: Draft, use: Use) -> None:
    if draft.options.process.syslog is None:
        draft.set_field("process.syslog", use.text(0, "openvpn"))


def _log(draft: Draft, use: Use) -> None:
    draft.options = replace(
        draft.options,
        process=replace(
            draft.options.process, log_file=use.text(0), log_append=use.row.name == "log-append"
        ),
    )


def _verb(draft: Draft, use: Use) -> None:
    draft.set_field("process.verb", min(use.number(0), _VERB_MAX))


def _status(draft: Draft, use: Use) -> None:
    draft.options = replace(
        draft.options,
        process=replace(
            draft.options.process, status=use.text(0), status_interval=use.number(1, 60)
        ),
    )


def _status_version(draft: Draft, use: Use) -> None:
    draft.set_field("process.status_version", int(use.text(0)))


def _echo(draft: Draft, use: Use) -> None:
    if len(draft.options.echo) >= MAX_ECHOES:
        raise use.wrong(f"there are more than {MAX_ECHOES} of these")
    text = "".join(char if char.isprintable() else "?" for char in " ".join(use.words))
    draft.options = replace(draft.options, echo=(*draft.options.echo, text))


def _pull_filter(draft: Draft, use: Use) -> None:
    filters = draft.options.pull_filters
    if len(filters) >= MAX_FILTERS:
        raise use.wrong(f"there are more than {MAX_FILTERS} filters")
    added = PullFilter(verdict=PullVerdict(use.text(0)), prefix=use.text(1))
    draft.options = replace(draft.options, pull_filters=(*filters, added))


def _management(draft: Draft, use: Use) -> None:
    """Address and port, or path and the word ``unix``; the password file is read at the end."""
    address, port = use.text(0), use.text(1)
    if address == "tunnel":
        raise use.later("--management tunnel")
    if port != "unix":
        number = port.isascii() and port.isdecimal() and len(port) <= 5
        if not number or not 0 < int(port) <= 65535:
            raise use.wrong("expected a port number from 1 to 65535, or the word unix")
    if use.text(2) == "stdin":
        raise use.later("--management with a password from stdin")
    draft.options = replace(
        draft.options,
        management=replace(draft.options.management, address=address, port=port),
    )
    draft.places.note("management", use.origin)
    draft.files.pop("management.password", None)
    if len(use.words) > 2:
        draft.refer("management.password", use, use.text(2))


def _management_query_remote(draft: Draft, use: Use) -> None:
    """Takes no argument that means anything, as OpenVPN does."""
    draft.set_field("management.query_remote", True)


def _key_method(draft: Draft, use: Use) -> None:
    if use.text(0) != "2":
        raise ConfigError(
            f"In {use.origin}: --key-method 1 is refused: it is insecure",
            origin=use.origin,
            option="key-method",
        )


def _ignore_unknown(draft: Draft, use: Use) -> None:
    """Has been acted on while the lines were read."""
    draft.places.note("ignore-unknown-option", use.origin)


def _noted(draft: Draft, use: Use) -> None:
    """Only a later check asks whether it was given."""
    draft.places.note(use.row.name, use.origin)


def _action(draft: Draft, use: Use) -> None:
    draft.actions[use.row.name] = use.values


def _secret(draft: Draft, use: Use) -> None:
    """The key of a tunnel without TLS; two actions take a key this way as well."""
    draft.refer(STATIC_KEY, use, use.words[0] if use.words else None)
    draft.places.note("secret", use.origin)
    if len(use.words) > 1:
        draft.set_field("profile.key_direction", use.text(1))


HANDLERS: dict[str, Handler] = {
    "setenv": _setenv,
    "setenv-safe": _setenv_safe,
    "cd": _cd,
    "config": _config,
    "daemon": _daemon,
    "syslog": _syslog,
    "log": _log,
    "log-append": _log,
    "verb": _verb,
    "status": _status,
    "status-version": _status_version,
    "echo": _echo,
    "parameter": _echo,
    "pull-filter": _pull_filter,
    "management": _management,
    "management-query-remote": _management_query_remote,
    "key-method": _key_method,
    "ignore-unknown-option": _ignore_unknown,
    "secret": _secret,
    "allow-deprecated-insecure-static-crypto": _noted,
    **dict.fromkeys(ACTIONS, _action),
}
