"""Rows of the options about modes, filters and other releases.

Facts and help only; what an option does is in the ``apply_*`` modules.
"""

from ginnel.options.arguments import choice, repeated, word
from ginnel.options.table import OptionRow, OptionSide, PushClass, Repeat, Support

ROWS: tuple[OptionRow, ...] = (
    OptionRow(
        name="client",
        side=OptionSide.CLIENT,
        help="Short for pull and tls-client.",
    ),
    OptionRow(
        name="pull",
        side=OptionSide.CLIENT,
        help="Takes options from the server.",
    ),
    OptionRow(
        name="pull-filter",
        args=(
            choice("accept", "ignore", "reject"),
            word("text"),
        ),
        side=OptionSide.CLIENT,
        repeat=Repeat.ACCUMULATE,
        help="Decides on pushed options that begin with the text; the first match counts.",
    ),
    OptionRow(
        name="compat-mode",
        args=(word("version"),),
        push=PushClass.UNCHECKED,
        repeat=Repeat.LAST,
        default="0 (none)",
        help="Sets the defaults of an older release: ciphers, TLS version, compression.",
    ),
    OptionRow(
        name="ignore-unknown-option",
        args=(repeated(word("option")),),
        repeat=Repeat.ACCUMULATE,
        help="Options that may be unknown.",
    ),
    OptionRow(
        name="disable-occ",
        tier="B",
        support=Support.NO_EFFECT,
        why="differences are only warned about",
        help="Switched the comparison of options off.",
    ),
)
