"""Renders the option table: the text of ``--help``, and the reference for the documentation."""

from textwrap import wrap

from ginnel.options.rows import (
    data,
    dns,
    legacy,
    link,
    log,
    modes,
    proxy,
    routes,
    scripts,
    server,
    tls,
    tun,
)
from ginnel.options.table import OptionRow, OptionSide, Repeat, Support

_SECTIONS: tuple[tuple[str, tuple[OptionRow, ...]], ...] = (
    ("Link", link.ROWS),
    ("Proxies", proxy.ROWS),
    ("TLS, certificates and login", tls.ROWS),
    ("Data channel", data.ROWS),
    ("Tunnel device", tun.ROWS),
    ("Routes", routes.ROWS),
    ("DNS", dns.ROWS),
    ("Scripts", scripts.ROWS),
    ("Process, log, actions and management", log.ROWS),
    ("Modes and filters", (*modes.ROWS, *legacy.ROWS)),
    ("Server", server.ROWS),
)
_WIDTH = 80
_INDENT = " " * 18
_SIDES = {
    OptionSide.CLIENT: "client",
    OptionSide.SERVER: "server",
    OptionSide.BOTH: "both",
    OptionSide.P2P: "p2p",
}
_REPEATS = {
    Repeat.FLAG: "",
    Repeat.LAST: "last counts",
    Repeat.FIRST: "first counts",
    Repeat.ACCUMULATE: "each counts",
    Repeat.ACTION: "action",
}


def render_help(version_line: str = "") -> str:
    """Renders the usage text: the version if given, then every option that does something here."""
    lines = [version_line] if version_line else []
    for title, rows in _SECTIONS:
        shown = [row for row in rows if row.support is Support.SUPPORTED and not row.pushed_only]
        if not shown:
            continue
        lines += ["", f"{title} options:"]
        for row in shown:
            lines += _help_entry(row)
    return "\n".join(lines).lstrip("\n") + "\n"


def render_reference() -> str:
    """Renders a Markdown page: a table of all directives for each subject."""
    lines = [
        "# Options",
        "",
        "Every directive of OpenVPN and what this release does with it. *supported* works; "
        "*no effect* is accepted with a line in the log; *refused* ends the start, for the reason "
        "given with it, as do forms of a supported option that are named as not supported yet. "
        "An option marked *pushed* can come from the server.",
    ]
    for title, rows in _SECTIONS:
        lines += ["", f"## {title}", ""]
        lines += ["| Option | Side | Default | Pushed | Repeated | Status | Meaning |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += [_reference_row(row) for row in sorted(rows, key=lambda row: row.name)]
    return "\n".join(lines) + "\n"


def _help_entry(row: OptionRow) -> list[str]:
    text = row.help
    if row.ccd_only:
        text += " In a client's file only."
    if row.default:
        text += f" Default: {row.default}."
    body = wrap(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    usage = row.usage()
    if len(usage) < len(_INDENT) - 1:
        return [usage.ljust(len(_INDENT)) + body[0].lstrip(), *body[1:]]
    return [usage, *body]


def _reference_row(row: OptionRow) -> str:
    usage = " ".join([row.name, *(argument.usage() for argument in row.args)])
    meaning = row.help if not row.why else f"{row.help} ({row.why})"
    if row.gaps:
        meaning += f" Not supported yet: {row.gaps}."
    if row.inline:
        meaning += " May be an inline block."
    if row.in_connection:
        meaning += " May stand in `<connection>`."
    if row.ccd:
        only = " only" if row.ccd_only else ""
        meaning += f" May stand in a client's file{only}."
    pushed = "pushed" if row.push is not None else ""
    cells = (
        f"`{usage}`",
        _SIDES[row.side],
        row.default,
        pushed,
        _REPEATS[row.repeat],
        row.support.value,
        meaning,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
