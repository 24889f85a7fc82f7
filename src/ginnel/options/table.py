"""The row type of the option table, and lookup by name.

A row says everything about one directive; the rows themselves are in ``rows/``, what supported
options do to the model is in the ``apply_*`` modules.
"""

from functools import cache

from ginnel.dataclass import dataclass
from ginnel.enumeration import Enum
from ginnel.options.arguments import Argument


class OptionSide(Enum):
    """Which end an option means something to."""

    CLIENT = "client"
    SERVER = "server"
    BOTH = "both"
    P2P = "p2p"


class Support(Enum):
    """What this release does with an option."""

    SUPPORTED = "supported"
    NO_EFFECT = "no effect"
    """Accepted, with one line saying that it has no effect here."""
    REFUSED = "refused"
    """Insecure or removed for good."""


class Repeat(Enum):
    """What a second occurrence does."""

    FLAG = "flag"
    LAST = "last"
    FIRST = "first"
    ACCUMULATE = "accumulate"
    ACTION = "action"


class PushClass(Enum):
    """OpenVPN's permission class of a pushable option: filters and log lines go by it."""

    UP = "up"
    TIMER = "timer"
    ROUTE = "route"
    ROUTE_EXTRAS = "route-extras"
    DHCPDNS = "dhcp-dns"
    NCP = "ncp"
    ECHO = "echo"
    COMP = "comp"
    SOCKBUF = "sockbuf"
    SOCKFLAGS = "sockflags"
    MESSAGES = "messages"
    PERSIST = "persist"
    SETENV = "setenv"
    SHAPER = "shaper"
    PEER_ID = "peer-id"
    PUSH_MTU = "push-mtu"
    PULL_MODE = "pull-mode"
    EXPLICIT_NOTIFY = "explicit-notify"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, kw_only=True)
class OptionRow:
    """Everything about one directive."""

    name: str
    help: str
    """One or two sentences for the user."""
    args: tuple[Argument, ...] = ()
    side: OptionSide = OptionSide.BOTH
    push: PushClass | None = None
    """None: a server can never set it."""
    repeat: Repeat = Repeat.FLAG
    default: str = ""
    """In words, for the reference; empty when there is none or it is off."""
    tier: str = "A"
    """A: needed by common profiles, B: by some, C: obsolete or of another system."""
    support: Support = Support.SUPPORTED
    why: str = ""
    """For all but SUPPORTED: the reason, as a clause that follows the option's name."""
    gaps: str = ""
    """For SUPPORTED: the forms that this release refuses to start with, as a list."""
    field: str = ""
    """``group.field`` of the model that a flag or single argument sets; empty: a handler does."""
    inline: bool = False
    in_connection: bool = False
    """May stand in a ``<connection>`` block."""
    pushed_only: bool = False
    ccd: bool = False
    """May stand in a client-config-dir file of a server."""
    ccd_only: bool = False
    """May stand nowhere else."""

    def usage(self) -> str:
        """Renders ``--name args`` for the help text."""
        return " ".join([f"--{self.name}", *(argument.usage() for argument in self.args)])


@cache
def all_rows() -> dict[str, OptionRow]:
    """Returns every row by name, in alphabetical order."""
    from ginnel.options.rows.all import ALL_ROWS

    return {row.name: row for row in sorted(ALL_ROWS, key=lambda row: row.name)}


@cache
def _common_rows() -> dict[str, OptionRow]:
    """Most configurations name no others, and connect sooner without those."""
    from ginnel.options.rows import COMMON_ROWS

    return {row.name: row for row in COMMON_ROWS}


def find_row(name: str) -> OptionRow | None:
    """Looks a directive up by its exact name."""
    return _common_rows().get(name) or all_rows().get(name)


def near_misses(name: str) -> list[str]:
    """Suggests existing options for a misspelt one, best first; at most three."""
    if not 1 < len(name) <= 40:
        return []
    # Imported here: it costs start-up time and only a mistake needs it.
    from difflib import get_close_matches

    return get_close_matches(name.lower().replace("_", "-"), all_rows(), n=3, cutoff=0.7)
