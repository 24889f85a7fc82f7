"""What the DNS options do. Rows in ``rows.dns``.

Names and addresses end up in files and daemons of the host, so their form is checked strictly, no
matter who sent them.
"""

from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address

from ginnel.dataclass import replace
from ginnel.options.arguments import parse_number
from ginnel.options.draft import Draft, Handler, Use
from ginnel.options.model import DnsServer

MAX_DHCP_OPTIONS = 256
MAX_SEARCH_DOMAINS = 64
MAX_ADDRESSES = 8
MAX_SERVERS = 64
_ADDRESS_TYPES = frozenset({"DNS", "DNS6", "WINS", "NTP", "NBDD"})
_DOMAIN_TYPES = frozenset({"DOMAIN", "ADAPTER_DOMAIN_SUFFIX", "DOMAIN-SEARCH", "DOMAIN-ROUTE"})
_DOMAIN_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def _dhcp_option(draft: Draft, use: Use) -> None:
    """Keeps the words as they are: scripts see them all, the host picks what it knows."""
    dns = draft.options.dns
    if len(dns.dhcp_options) >= MAX_DHCP_OPTIONS:
        raise use.wrong(f"there are more than {MAX_DHCP_OPTIONS} of these")
    kind, value = use.text(0), use.text(1)
    if kind in _ADDRESS_TYPES:
        _address(value, use)
    elif kind in _DOMAIN_TYPES:
        _domain(value, use)
    if not all(word.isprintable() for word in use.words):
        raise use.wrong("expected printable text")
    draft.set_field("dns.dhcp_options", (*dns.dhcp_options, use.words))


def _dns(draft: Draft, use: Use) -> None:
    if use.text(0) == "search-domains":
        dns = draft.options.dns
        domains = tuple(_domain(word, use) for word in use.words[1:])
        if len(dns.search_domains) + len(domains) > MAX_SEARCH_DOMAINS:
            raise use.wrong(f"there are more than {MAX_SEARCH_DOMAINS} search domains")
        draft.set_field("dns.search_domains", (*dns.search_domains, *domains))
        return
    if len(use.words) < 4:
        raise use.wrong("expected: dns server NUMBER SETTING VALUE...")
    low = 0 if use.pushed else -128
    number = parse_number("dns server", use.text(1), low, 127, use.origin)
    servers = {server.number: server for server in draft.options.dns.servers}
    if number not in servers and len(servers) >= MAX_SERVERS:
        raise use.wrong(f"there are more than {MAX_SERVERS} servers")
    earlier = servers.get(number) or DnsServer(number=number)
    servers[number] = _with_setting(earlier, use)
    draft.set_field("dns.servers", tuple(servers[key] for key in sorted(servers)))


def _with_setting(server: DnsServer, use: Use) -> DnsServer:
    values = use.words[3:]
    match use.text(2):
        case "address":
            addresses = (*server.addresses, *(_address_and_port(word, use) for word in values))
            if len(addresses) > MAX_ADDRESSES:
                raise use.wrong(f"a server has at most {MAX_ADDRESSES} addresses")
            return replace(server, addresses=addresses)
        case "resolve-domains":
            domains = (*server.resolve_domains, *(_domain(word, use) for word in values))
            if len(domains) > MAX_SEARCH_DOMAINS:
                raise use.wrong(f"a server has at most {MAX_SEARCH_DOMAINS} domains")
            return replace(server, resolve_domains=domains)
        case "dnssec":
            return replace(server, dnssec=_one_of(use, "yes", "no", "optional"))
        case "transport":
            return replace(server, transport=_one_of(use, "plain", "DoH", "DoT"))
        case "sni":
            if len(values) != 1:
                raise use.wrong("expected one name")
            return replace(server, sni=_domain(values[0], use))
        case _:
            raise use.wrong("expected address, resolve-domains, dnssec, transport or sni")


def _one_of(use: Use, *choices: str) -> str:
    if len(use.words) == 4 and use.words[3] in choices:
        return use.words[3]
    raise use.wrong(f"expected one of {', '.join(choices)}")


def _address(text: str, use: Use) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise use.wrong("expected an IPv4 or IPv6 address") from error
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise use.wrong("expected an address without a scope")
    return address


def _address_and_port(text: str, use: Use) -> tuple[IPv4Address | IPv6Address, int | None]:
    """Reads ``a``, ``a:port`` for IPv4, ``[a]:port`` for IPv6."""
    host, port = text, ""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise use.wrong("expected [address]:port")
        port = rest[1:]
        if rest and not port:
            raise use.wrong("expected [address]:port")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        try:
            IPv4Address(host)
        except AddressValueError as error:
            raise use.wrong("expected address:port") from error
        if not port:
            raise use.wrong("expected address:port")
    number = parse_number("dns server port", port, 1, 65535, use.origin) if port else None
    return _address(host, use), number


def _domain(text: str, use: Use) -> str:
    if 1 <= len(text) <= 255 and set(text) <= _DOMAIN_LETTERS and text[0] != "-":
        return text
    raise use.wrong("expected a domain name")


def _dns_updown(draft: Draft, use: Use) -> None:
    """Two words are not commands (options.tsv)."""
    match use.text(0):
        case "disable":
            draft.set_field("scripts.dns_updown", None)
        case "force":
            raise use.wrong(
                "this program brings no command of its own to install DNS settings: name one, "
                "such as the dns-updown script of OpenVPN 2.7, or use an up script"
            )
        case _:
            draft.set_field("scripts.dns_updown", use.values[0])


HANDLERS: dict[str, Handler] = {
    "dhcp-option": _dhcp_option,
    "dns": _dns,
    "dns-updown": _dns_updown,
}
