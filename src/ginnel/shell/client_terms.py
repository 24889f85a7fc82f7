"""What one client gets: addresses, networks behind it, options, from all who have a say in it.

In OpenVPN's order: the client's file in ``client-config-dir``, authenticators, ``client-connect``,
the management client. Who asks them when is ``admission``'s business.
"""

import os
import stat
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from ginnel.compat import admission_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.pool import AddressPool, Lease
from ginnel.core.server_actions import ClientTerms
from ginnel.core.server_push import pushes_for
from ginnel.dataclass import dataclass, replace
from ginnel.options.client_config import merge, parse_client_config
from ginnel.options.model import DeviceType
from ginnel.options.server_model import ClientConfig, ServerOptions

DEFAULT_FILE = "DEFAULT"
"""For clients without a file of their own."""
MAX_FILE = 1 << 20
_MAX_NAME = 255

Log = Callable[[LogLine], None]


@dataclass(frozen=True, kw_only=True)
class OptionText:
    """Lines about one client, and what they are called in the log."""

    source: str
    text: bytes


class OptionFiles:
    """Reads what ``config`` lines of a client's options name."""

    def read(self, path: str) -> bytes:
        return _read_regular(path)


def file_name_of(common_name: str) -> str | None:
    """The file's name of a client: ``/`` and what cannot be printed become ``_``.

    None for names that are no file's: empty, ``.`` and ``..``, or too long.
    """
    safe = "".join("_" if char == "/" or not _is_printable(char) else char for char in common_name)
    if safe in ("", ".", "..") or len(safe.encode("utf-8", "surrogateescape")) > _MAX_NAME:
        return None
    return safe


def _is_printable(char: str) -> bool:
    """As C has it for bytes: from the space on, but for DEL. Surrogates stand for odd bytes."""
    return char >= " " and char != "\x7f"


def client_file(options: ServerOptions, common_name: str) -> OptionText | None:
    """The client's file in ``client-config-dir``, or ``DEFAULT``; None when there is neither."""
    directory = options.access.client_config_dir
    if directory is None:
        return None
    for name in (file_name_of(common_name), DEFAULT_FILE):
        if name is None:
            continue
        path = str(Path(directory) / name)
        try:
            return OptionText(source=path, text=_read_regular(path))
        except OSError:
            continue
    return None


def lacks_own_file(options: ServerOptions, common_name: str) -> str | None:
    """With ``ccd-exclusive``: the path of the file that a client lacks; None when all is well."""
    directory = options.access.client_config_dir
    if not options.access.ccd_exclusive or directory is None:
        return None
    name = file_name_of(common_name)
    if name is None:
        return "UNDEF"
    path = Path(directory) / name
    return None if name != DEFAULT_FILE and os.access(path, os.R_OK) else str(path)


def _read_regular(path: str) -> bytes:
    """Reads a file that is one, following links as OpenVPN does. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{path} is not a file")
        return file.read(MAX_FILE)


class TermsMaker:
    """Puts the terms of clients together; the pool is shared by all of them."""

    def __init__(self, options: ServerOptions, pool: AddressPool) -> None:
        self._options = options
        self._pool = pool

    def add(self, config: ClientConfig, source: OptionText, log: Log) -> ClientConfig:
        """Adds what lines say; those that are wrong are told and left out."""
        parsed = parse_client_config(source.text, source.source, self._options, OptionFiles())
        for problem in parsed.problems:
            log(admission_lines.option_problem(problem))
        return merge(config, parsed.config)

    def add_lines(
        self, config: ClientConfig, source: str, lines: tuple[str, ...], log: Log
    ) -> ClientConfig:
        """Adds what somebody said in lines, if there are any."""
        if not lines:
            return config
        text = "\n".join(lines).encode("utf-8", "surrogateescape")
        return self.add(config, OptionText(source=source, text=text), log)

    def lease(self, common_name: str, log: Log) -> Lease | None:
        """Takes an address of the pool; None when there is no pool, or nothing left in it."""
        if not self._pool.size:
            return None
        lease = self._pool.lease(common_name)
        if lease is None:
            log(admission_lines.pool_empty())
            return None
        four = "(Not enabled)" if lease.ifconfig is None else str(lease.ifconfig[0])
        six = "(Not enabled)" if lease.ifconfig_ipv6 is None else str(lease.ifconfig_ipv6[0].ip)
        log(admission_lines.pool_answered(four, six))
        return lease

    def release(self, lease: Lease) -> None:
        """Gives an address back."""
        self._pool.release(lease)

    def terms(self, config: ClientConfig, lease: Lease | None) -> ClientTerms:
        """The terms with these options and this address of the pool."""
        four = config.ifconfig_push or (None if lease is None else lease.ifconfig)
        six = None if lease is None else lease.ifconfig_ipv6
        if config.ifconfig_ipv6_push is not None:
            interface, ours = config.ifconfig_ipv6_push
            own = self._options.tun.ifconfig_ipv6
            gateway = ours or (own.ip if own is not None else interface.network[1])
            six = (interface, gateway)
        return ClientTerms(
            config=config, ifconfig=four, ifconfig_ipv6=six, push=self._pushes(config)
        )

    def limit_routes(self, terms: ClientTerms) -> ClientTerms:
        """Networks behind the client: each once, not more than allowed, and of tun only."""
        config = terms.config
        if self._options.tun.dev_type is not DeviceType.TUN:
            return terms  # the data plane says that they are of no use
        if not (config.iroutes or config.iroutes_ipv6):
            return terms
        four = tuple(dict.fromkeys(config.iroutes))
        six = tuple(dict.fromkeys(config.iroutes_ipv6))
        return replace(terms, config=replace(config, iroutes=four, iroutes_ipv6=six))

    def violated_constraint(self, terms: ClientTerms) -> str | None:
        """The network of ``ifconfig-push-constraint`` that the client's address is outside of."""
        constraint = self._options.push_constraint
        if constraint is None or terms.config.ifconfig_push is None or terms.ifconfig is None:
            return None
        return None if terms.ifconfig[0] in constraint.network else str(constraint.network)

    def _pushes(self, config: ClientConfig) -> tuple[str, ...]:
        """A client is not told to send what is behind itself into the tunnel."""
        behind = {*map(str, config.iroutes), *map(str, config.iroutes_ipv6)}
        pushes = pushes_for(self._options.push, config)
        if not behind:
            return pushes
        return tuple(item for item in pushes if _route_of(item) not in behind)


def _route_of(item: str) -> str | None:
    """The network of a pushed ``route`` or ``route-ipv6``, if it is one."""
    words = item.split()
    try:
        match words:
            case ["route", address]:
                return str(IPv4Network(address, strict=False))
            case ["route", address, mask, *_]:
                return str(IPv4Network(f"{address}/{mask}", strict=False))
            case ["route-ipv6", network, *_]:
                return str(IPv6Network(network, strict=False))
    except ValueError:
        return None
    return None


def addresses_to_learn(terms: ClientTerms, limit: int) -> tuple[str, ...]:
    """What leads to a client, in the order in which ``learn-address`` is told.

    ``limit``: networks behind it that count; further ones lead nowhere.
    """
    single = []
    if terms.ifconfig is not None:
        single.append(str(terms.config.ifconfig_push_alias or terms.ifconfig[0]))
    if terms.ifconfig_ipv6 is not None:
        single.append(str(terms.ifconfig_ipv6[0].ip))
    networks = (*terms.config.iroutes, *terms.config.iroutes_ipv6)
    return (*single, *(_told(str(network)) for network in networks[:limit]))


def without_addresses(terms: ClientTerms, refused: set[str]) -> ClientTerms:
    """The terms without the networks that ``learn-address`` does not want."""
    config = terms.config
    return replace(
        terms,
        config=replace(
            config,
            iroutes=tuple(n for n in config.iroutes if _told(str(n)) not in refused),
            iroutes_ipv6=tuple(n for n in config.iroutes_ipv6 if _told(str(n)) not in refused),
        ),
    )


def _told(network: str) -> str:
    """A network of one address is told as that address."""
    found = ip_network(network)
    return str(found.network_address) if found.num_addresses == 1 else network
