"""What the options about one client of a server do. Rows in ``rows.server``.

They stand in a file of ``client-config-dir``, in what a ``client-connect`` script wrote, or in the
lines of the management client; ``client_config`` reads those.
"""

from ipaddress import IPv4Network, IPv6Interface

from ginnel.options.apply_tun import ipv4, ipv4_mask, ipv6, ipv6_bits
from ginnel.options.draft import Draft, Handler, Use

MAX_CLIENT_ITEMS = 16384
"""Networks behind one client, and pushes it does not get."""

MAX_USERNAME = 128
PUSHED_ADDRESSES = ("ifconfig", "ifconfig-ipv6")
"""Words that ``push-remove`` takes for the client's addresses, and not for how options begin."""


def _ifconfig_push(draft: Draft, use: Use) -> None:
    pair = (ipv4(use.text(0), use), ipv4(use.text(1), use))
    draft.set_field("instance.ifconfig_push", pair)
    alias = ipv4(use.text(2), use) if len(use.words) > 2 else None
    draft.set_field("instance.ifconfig_push_alias", alias)


def _ifconfig_ipv6_push(draft: Draft, use: Use) -> None:
    address, bits = ipv6_bits(use.text(0), use, None)
    if not 64 <= bits <= 124:
        raise use.wrong("the prefix length must be from 64 to 124")
    remote = ipv6(use.text(1), use) if len(use.words) > 1 else None
    draft.set_field("instance.ifconfig_ipv6_push", (IPv6Interface((address, bits)), remote))


def _iroute(draft: Draft, use: Use) -> None:
    bits = ipv4_mask(use.text(1), use) if len(use.words) > 1 else 32
    network = IPv4Network((ipv4(use.text(0), use), bits), strict=False)
    _add(draft, use, "iroutes", network)


def _iroute_ipv6(draft: Draft, use: Use) -> None:
    address, bits = ipv6_bits(use.text(0), use, 128)
    _add(draft, use, "iroutes_ipv6", IPv6Interface((address, bits)).network)


def _push_remove(draft: Draft, use: Use) -> None:
    if not use.text(0):
        raise use.wrong("expected how the options begin that are not to be pushed")
    _add(draft, use, "push_remove", use.text(0))
    draft.set_field("instance.push", without(draft.instance.push, (use.text(0),)))


def without(push: tuple[str, ...], removed: tuple[str, ...]) -> tuple[str, ...]:
    """The pushed options that begin with none of the ``push-remove`` texts."""
    prefixes = tuple(text for text in removed if text not in PUSHED_ADDRESSES)
    return tuple(text for text in push if not text.startswith(prefixes))


def _push_reset(draft: Draft, use: Use) -> None:
    """Also takes back what this client's own lines pushed so far, as OpenVPN does."""
    draft.set_field("instance.push_reset", True)
    draft.set_field("instance.push", ())


def _override_username(draft: Draft, use: Use) -> None:
    name = use.text(0)
    if not name.isprintable() or not 0 < len(name.encode()) < MAX_USERNAME:
        raise use.wrong(f"expected a name of less than {MAX_USERNAME} bytes")
    draft.set_field("instance.override_username", name)


def _add(draft: Draft, use: Use, field: str, item: object) -> None:
    earlier = getattr(draft.instance, field)
    if len(earlier) >= MAX_CLIENT_ITEMS:
        raise use.wrong(f"there are more than {MAX_CLIENT_ITEMS} of these")
    draft.set_field(f"instance.{field}", (*earlier, item))


HANDLERS: dict[str, Handler] = {
    "ifconfig-push": _ifconfig_push,
    "ifconfig-ipv6-push": _ifconfig_ipv6_push,
    "iroute": _iroute,
    "iroute-ipv6": _iroute_ipv6,
    "push-remove": _push_remove,
    "push-reset": _push_reset,
    "override-username": _override_username,
}
