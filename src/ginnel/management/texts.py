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


SERVER_HELP: tuple[tuple[str, str], ...] = (
    ("client-auth CID KID", "Let a client in: lines for its configuration, then END."),
    ("client-auth-nt CID KID", "Let a client in as it is."),
    ("client-deny CID KID TEXT [TEXT]", "Keep a client out: why, for the log and for the client."),
    ("client-kill CID [MESSAGE]", "End a client with RESTART, or with HALT,text."),
    ("client-pending-auth CID KID TEXT N", "Have a client wait N seconds for its verdict."),
    ("kill CN", "End the clients of that common name."),
    ("kill [udp:|tcp:]ADDRESS:PORT", "End the client at that address."),
    ("nclients", "How many clients are connected."),
    ("push-update-broad OPTIONS", "Change options of all clients, separated by commas."),
    ("push-update-cid CID OPTIONS", "Change options of one client."),
)
"""What only servers have."""

_CLIENTS_ONLY = ("cr-response", "proxy", "remote")


def help_lines(title: str, *, server: bool = False) -> tuple[str, ...]:
    """Renders the reply of ``help`` without END."""
    shown = HELP
    if server:
        common = (each for each in HELP if not each[0].startswith(_CLIENTS_ONLY))
        shown = tuple(sorted((*common, *SERVER_HELP)))
    width = max(len(usage) for usage, _ in shown)
    commands = (f"{usage:<{width}} : {text}" for usage, text in shown)
    return (f"Management Interface for {title}", "Commands:", *commands)
