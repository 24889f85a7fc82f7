"""Rows of the options about DNS and what Windows does in its place.

Facts and help only; what an option does is in the ``apply_*`` modules.
"""

from ginnel.options.arguments import choice, command, optional, repeated, seconds, word
from ginnel.options.table import OptionRow, OptionSide, PushClass, Repeat, Support

ROWS: tuple[OptionRow, ...] = (
    OptionRow(
        name="dhcp-option",
        args=(repeated(word("word")),),
        side=OptionSide.CLIENT,
        push=PushClass.DHCPDNS,
        repeat=Repeat.ACCUMULATE,
        help="DNS servers, domains and other settings for the host.",
    ),
    OptionRow(
        name="dns",
        args=(
            choice("server", "search-domains"),
            repeated(word("word")),
        ),
        push=PushClass.DHCPDNS,
        repeat=Repeat.ACCUMULATE,
        help="DNS servers and search domains.",
    ),
    OptionRow(
        name="dns-updown",
        args=(command("command|disable|force"),),
        side=OptionSide.CLIENT,
        repeat=Repeat.LAST,
        default="none",
        help="Command that installs the pushed DNS settings, and removes them again.",
    ),
    OptionRow(
        name="allow-pull-fqdn",
        side=OptionSide.CLIENT,
        field="routes.allow_pull_fqdn",
        help="Takes names in place of addresses from the server.",
    ),
    OptionRow(
        name="block-outside-dns",
        side=OptionSide.CLIENT,
        push=PushClass.DHCPDNS,
        support=Support.NO_EFFECT,
        why="it is for Windows only",
        help="Blocks DNS outside the tunnel on Windows.",
    ),
    OptionRow(
        name="register-dns",
        side=OptionSide.CLIENT,
        push=PushClass.DHCPDNS,
        support=Support.NO_EFFECT,
        why="it is for Windows only",
        help="Refreshes DNS on Windows.",
    ),
    OptionRow(
        name="dhcp-pre-release",
        side=OptionSide.CLIENT,
        push=PushClass.DHCPDNS,
        tier="C",
        support=Support.NO_EFFECT,
        why="it is for Windows only",
        help="DHCP detail of Windows.",
    ),
    OptionRow(
        name="dhcp-release",
        side=OptionSide.CLIENT,
        push=PushClass.UNCHECKED,
        tier="C",
        support=Support.NO_EFFECT,
        why="it is for Windows only",
        help="DHCP detail of Windows.",
    ),
    OptionRow(
        name="dhcp-renew",
        side=OptionSide.CLIENT,
        push=PushClass.DHCPDNS,
        tier="C",
        support=Support.NO_EFFECT,
        why="it is for Windows only",
        help="DHCP detail of Windows.",
    ),
    OptionRow(
        name="ip-win32",
        args=(
            word("method"),
            optional(repeated(word("more"))),
        ),
        side=OptionSide.CLIENT,
        push=PushClass.DHCPDNS,
        repeat=Repeat.LAST,
        default="dynamic (win)",
        tier="C",
        support=Support.NO_EFFECT,
        why="it is for Windows only",
        help="How addresses are set on Windows.",
    ),
    OptionRow(
        name="tap-sleep",
        args=(seconds(),),
        side=OptionSide.CLIENT,
        push=PushClass.DHCPDNS,
        repeat=Repeat.LAST,
        default="0",
        tier="C",
        support=Support.NO_EFFECT,
        why="it is for Windows only",
        help="Pause on Windows.",
    ),
    OptionRow(
        name="foreign-option",
        args=(repeated(word("word")),),
        side=OptionSide.CLIENT,
        push=PushClass.UNCHECKED,
        repeat=Repeat.LAST,
        tier="C",
        support=Support.REFUSED,
        why="it was removed from OpenVPN 2.6",
        help="Old pushed form of dhcp-option.",
    ),
)
