"""Longer fixed texts of the management interface: what ``help`` and ``test`` print."""

TEST_LINE = "[{}] The purpose of this command is to generate large amounts of output."

HELP: tuple[tuple[str, str], ...] = (
    ("auth-retry [MODE]", "What follows a refused login: none, nointeract or interact."),
    ("bytecount N", "Report the traffic every N seconds; 0 stops it."),
    ("certificate", "Answer >NEED-CERTIFICATE: base64 lines, then END."),
    ("cr-response TEXT", "Answer a text challenge of the server, in base64."),
    ("echo [on|off] [N|all]", "Texts the server asked to show: as they come, or the last N."),
    ("env-filter [N]", "How much of the environment >UPDOWN shows: 0 is all."),
    ("exit, quit", "Close this connection."),
    ("forget-passwords", "Forget every password entered so far."),
    ("help", "Print this list."),
    ("hold [on|off|release]", "Show or set whether starts wait, or let the waiting one go on."),
    ("load-stats", "Bytes in and out since the program began."),
    ("log [on|off] [N|all]", "Log lines: as they come, or the last N."),
    ("mute [N]", "Show or set how many lines of a kind are logged in a row."),
    ("needok TYPE ok|cancel", "Answer >NEED-OK."),
    ("needstr TYPE TEXT", "Answer >NEED-STR."),
    ("password TYPE TEXT", "Answer >PASSWORD."),
    ("pid", "Number of the process."),
    ("pk-sig, rsa-sig", "Answer >PK_SIGN or >RSA_SIGN: base64 lines, then END."),
    ("proxy NONE|HTTP|SOCKS [HOST PORT]", "Answer >PROXY."),
    ("remote ACCEPT|SKIP|MOD [HOST PORT]", "Answer >REMOTE."),
    ("remote-entry-count", "How many remotes there are."),
    ("remote-entry-get I|all [J]", "Show remote I, those from I to J-1, or all."),
    ("signal NAME", "Throw SIGHUP, SIGTERM, SIGUSR1 or SIGUSR2."),
    ("state [on|off] [N|all]", "States: as they come, or the last N."),
    ("status [N]", "Traffic counters."),
    ("test N", "Print N lines."),
    ("username TYPE TEXT", "Answer the user name of >PASSWORD."),
    ("verb [N]", "Show or set how much is logged."),
    ("version [N]", "Show the versions, or say which one this client speaks."),
)


def help_lines(title: str) -> tuple[str, ...]:
    """Renders the reply of ``help`` without END."""
    width = max(len(usage) for usage, _ in HELP)
    commands = (f"{usage:<{width}} : {text}" for usage, text in HELP)
    return (f"Management Interface for {title}", "Commands:", *commands)
