"""Rows of the options about HTTP and SOCKS proxies between this host and the server.

Facts and help only; what an option does is in ``apply_proxy``.
"""

from ginnel.options.arguments import choice, file, optional, port, repeated, seconds, word
from ginnel.options.table import OptionRow, OptionSide, Repeat, Support

_RETRIES = "a proxy that fails is tried again as connect-retry says; connect-retry-max limits that"

ROWS: tuple[OptionRow, ...] = (
    OptionRow(
        name="http-proxy",
        args=(
            word("host"),
            port(),
            optional(word("authfile|stdin|auto|auto-nct")),
            optional(choice("none", "basic", "ntlm", "ntlm2")),
        ),
        side=OptionSide.CLIENT,
        repeat=Repeat.LAST,
        default="auth none",
        in_connection=True,
        help="Connects through an HTTP proxy (TCP only). With auto, Basic or Digest is used as the "
        "proxy asks; auto-nct refuses Basic. NTLM is not supported.",
    ),
    OptionRow(
        name="http-proxy-option",
        args=(
            choice("VERSION", "AGENT", "EXT1", "EXT2", "CUSTOM-HEADER"),
            word("value"),
            optional(word("more")),
        ),
        side=OptionSide.CLIENT,
        repeat=Repeat.ACCUMULATE,
        default="VERSION 1.0",
        tier="B",
        in_connection=True,
        help="Details of the HTTP proxy request: its version, the User-Agent, up to ten headers.",
    ),
    OptionRow(
        name="http-proxy-override",
        args=(
            word("host"),
            port(),
            optional(word("nct")),
        ),
        side=OptionSide.CLIENT,
        repeat=Repeat.LAST,
        tier="C",
        help="One HTTP proxy for every TCP remote; the UDP remotes are left out then.",
    ),
    OptionRow(
        name="http-proxy-retry",
        args=(optional(repeated(word("ignored"))),),
        repeat=Repeat.LAST,
        side=OptionSide.CLIENT,
        support=Support.NO_EFFECT,
        why=_RETRIES,
        in_connection=True,
        help="Retries after proxy errors.",
    ),
    OptionRow(
        name="http-proxy-timeout",
        args=(seconds(),),
        side=OptionSide.CLIENT,
        repeat=Repeat.LAST,
        tier="C",
        support=Support.NO_EFFECT,
        why="connect-timeout covers the proxy as well",
        in_connection=True,
        help="Time limit for the proxy.",
    ),
    OptionRow(
        name="http-proxy-user-pass",
        args=(file(),),
        side=OptionSide.CLIENT,
        repeat=Repeat.LAST,
        tier="B",
        inline=True,
        help="User name and password for the HTTP proxy, on two lines.",
    ),
    OptionRow(
        name="socks-proxy",
        args=(
            word("host"),
            optional(port()),
            optional(word("authfile|stdin")),
        ),
        side=OptionSide.CLIENT,
        repeat=Repeat.LAST,
        default="port 1080",
        in_connection=True,
        help="Connects through a SOCKS5 proxy, over TCP or UDP.",
    ),
    OptionRow(
        name="socks-proxy-retry",
        args=(optional(repeated(word("ignored"))),),
        repeat=Repeat.LAST,
        side=OptionSide.CLIENT,
        support=Support.NO_EFFECT,
        why=_RETRIES,
        in_connection=True,
        help="Retries after proxy errors.",
    ),
)
