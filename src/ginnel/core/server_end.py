"""How the machine of one client ends: values with OpenVPN's names of the signals."""

import errno

from ginnel.core.notices import Advance, Ended, Outcome

DELAYED_EXIT = "delayed-exit"
EXIT_DELAY = 5.0
"""Seconds between the last word to a client, or from it, and the end (protocol-facts 16)."""
RESTART_DELAY = 2.0
"""The same where the client is told to come again."""


def restart(signal_text: str, explanation: str) -> Ended:
    """The client is lost; it may come again."""
    return _ended(Outcome.RESTART, signal_text, explanation)


def terminate(signal_text: str, explanation: str = "") -> Ended:
    """The client is done with."""
    return _ended(Outcome.TERMINATE, signal_text, explanation)


def tls_error(explanation: str) -> Ended:
    """The TLS session failed, and no key is left."""
    return restart("tls-error", explanation)


def delayed(explanation: str = "") -> Ended:
    """The end that was put off so that the last words arrive."""
    return terminate(DELAYED_EXIT, explanation)


def stream_lost(number: int) -> Ended:
    """The client's TCP connection ended. In OpenVPN's words: 0 by the peer, -1 by an error."""
    status = 0 if number in {0, errno.EBADMSG} else -1
    return restart("connection-reset", f"Connection reset, restarting [{status}]")


def _ended(outcome: Outcome, signal_text: str, explanation: str) -> Ended:
    return Ended(
        outcome=outcome, signal_text=signal_text, advance=Advance.SAME, explanation=explanation
    )
