"""Rows of the options about routes.

Facts and help only; what an option does is in the ``apply_*`` modules.
"""

from ginnel.options.arguments import choice, number, optional, repeated, seconds, word
from ginnel.options.table import OptionRow, OptionSide, PushClass, Repeat, Support

REDIRECT_FLAGS = (
    "local",
    "autolocal",
    "def1",
    "bypass-dhcp",
    "bypass-dns",
    "block-local",
    "ipv6",
    "!ipv4",
)

ROWS: tuple[OptionRow, ...] = (
    OptionRow(
        name="route",
        args=(
            word("network"),
            optional(word("netmask")),
            optional(word("gateway")),
            optional(word("metric")),
        ),
        push=PushClass.ROUTE,
        repeat=Repeat.ACCUMULATE,
        default="mask /32, gw route-gateway, metric route-metric",
        help="IPv4 route into the tunnel.",
    ),
    OptionRow(
        name="route-ipv6",
        args=(
            word("network/bits"),
            optional(word("gateway")),
            optional(word("metric")),
        ),
        push=PushClass.ROUTE,
        repeat=Repeat.ACCUMULATE,
        default="gw route-ipv6-gateway or ifconfig-ipv6 remote",
        help="IPv6 route into the tunnel.",
    ),
    OptionRow(
        name="route-gateway",
        args=(word("address|dhcp"),),
        push=PushClass.ROUTE_EXTRAS,
        repeat=Repeat.LAST,
        default="ifconfig peer",
        help="Gateway for routes that name none.",
    ),
    OptionRow(
        name="route-ipv6-gateway",
        args=(word("address"),),
        push=PushClass.UNCHECKED,
        repeat=Repeat.LAST,
        default="ifconfig-ipv6 remote",
        in_connection=True,
        help="Gateway for IPv6 routes that name none.",
    ),
    OptionRow(
        name="route-metric",
        args=(number("metric", 0, 2**32 - 1),),
        push=PushClass.ROUTE,
        repeat=Repeat.LAST,
        default="0",
        field="routes.route_metric",
        help="Metric for routes that name none.",
    ),
    OptionRow(
        name="route-table",
        args=(number("id", 0, 2**32 - 1),),
        side=OptionSide.CLIENT,
        repeat=Repeat.LAST,
        default="main",
        tier="B",
        help="Routing table for the routes; rules that lead there are the administrator's.",
    ),
    OptionRow(
        name="route-delay",
        args=(
            optional(seconds("delay", 0, 3600)),
            optional(seconds("window", 0, 3600)),
        ),
        push=PushClass.ROUTE_EXTRAS,
        repeat=Repeat.LAST,
        default="off; no arg = 0; w 30",
        help="Waits before routes are added.",
    ),
    OptionRow(
        name="route-noexec",
        field="routes.route_noexec",
        help="Leaves routes to a script.",
    ),
    OptionRow(
        name="route-nopull",
        side=OptionSide.CLIENT,
        field="routes.route_nopull",
        help="Takes no routes and no DNS from the server.",
    ),
    OptionRow(
        name="route-method",
        args=(choice("adaptive", "ipapi", "exe"),),
        push=PushClass.ROUTE_EXTRAS,
        repeat=Repeat.LAST,
        support=Support.NO_EFFECT,
        why="it is for Windows only",
        help="How routes are set on Windows.",
    ),
    OptionRow(
        name="max-routes",
        args=(optional(number("routes")),),
        side=OptionSide.CLIENT,
        push=PushClass.UNCHECKED,
        repeat=Repeat.LAST,
        support=Support.NO_EFFECT,
        why="the number has its own, fixed limit",
        in_connection=True,
        help="Largest number of routes.",
    ),
    OptionRow(
        name="redirect-gateway",
        args=(optional(repeated(choice(*REDIRECT_FLAGS))),),
        side=OptionSide.CLIENT,
        push=PushClass.ROUTE,
        repeat=Repeat.ACCUMULATE,
        help="Sends all traffic through the tunnel.",
    ),
    OptionRow(
        name="redirect-private",
        args=(optional(repeated(choice(*REDIRECT_FLAGS))),),
        side=OptionSide.CLIENT,
        push=PushClass.ROUTE,
        repeat=Repeat.ACCUMULATE,
        tier="B",
        help="Like redirect-gateway, but leaves the default route alone.",
    ),
    OptionRow(
        name="block-ipv6",
        push=PushClass.ROUTE,
        field="routes.block_ipv6",
        help="Answers IPv6 from this machine with an error instead of letting it leak.",
    ),
    OptionRow(
        name="allow-recursive-routing",
        tier="B",
        field="routes.allow_recursive_routing",
        help="Lets packets for the server itself into the tunnel.",
    ),
    OptionRow(
        name="client-nat",
        args=(
            choice("snat", "dnat"),
            word("network"),
            word("netmask"),
            word("alias"),
        ),
        side=OptionSide.CLIENT,
        push=PushClass.ROUTE,
        repeat=Repeat.ACCUMULATE,
        tier="B",
        help="Translates addresses one to one inside the tunnel.",
    ),
    OptionRow(
        name="show-gateway",
        args=(optional(word("address")),),
        repeat=Repeat.ACTION,
        tier="C",
        help="Prints the default gateway and exits.",
    ),
)
