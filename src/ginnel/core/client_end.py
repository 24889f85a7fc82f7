"""How a client's connection ends: which signal, which remote next, and the sentence that says why.

Pure functions from what happened to ``Ended`` (protocol-facts 16 and 25). When to end is decided in
``client``.
"""

import errno
from collections import Counter

from ginnel.core import messages as said
from ginnel.core.key_session import AwaitReset, Broken, Established, Handshaking, KeySession
from ginnel.core.messages import AuthFailed, Halt, Restart, TemporaryAdvance
from ginnel.core.notices import Advance, Ended, Outcome
from ginnel.core.types import Endpoint
from ginnel.hints import assert_never
from ginnel.options.model import (
    AuthRetry,
    ClientOptions,
    ConnectionProfile,
    ControlWrapping,
    PlainWrapping,
    TlsAuth,
    TlsCrypt,
    TlsCryptV2,
)

TOLD_TO_RECONNECT = "server-pushed-connection-reset"
TOKEN_REFUSED = "auth-failure (auth-token)"  # noqa: S105 -- a signal's name


def restart(signal_text: str, explanation: str, advance: Advance = Advance.NEXT_ADDRESS) -> Ended:
    """An end that is followed by another attempt."""
    return Ended(
        outcome=Outcome.RESTART,
        signal_text=signal_text,
        advance=advance,
        explanation=explanation,
    )


def terminate(signal_text: str, explanation: str, *, hard_error: bool = False) -> Ended:
    """An end of the program."""
    return Ended(
        outcome=Outcome.TERMINATE,
        signal_text=signal_text,
        advance=Advance.SAME,
        explanation=explanation,
        hard_error=hard_error,
    )


def tls_error(options: ClientOptions, explanation: str) -> Ended:
    """The TLS session failed: another attempt, unless tls-exit."""
    if options.tls.tls_exit:
        return terminate("tls-error", explanation)
    return restart("tls-error", explanation)


def peer_left() -> Ended:
    """The server said that it exits."""
    return restart("remote-exit", "the server said that it leaves")


def stream_lost(number: int) -> Ended:
    """The connection of a TCP link ended. In OpenVPN's words: 0 by the peer, -1 by an error."""
    status = 0 if number in {0, errno.EBADMSG} else -1
    return restart("connection-reset", f"Connection reset, restarting [{status}]")


def by_message(
    message: said.TextMessage,
    options: ClientOptions,
    profile: ConnectionProfile,
    *,
    token_in_use: bool,
) -> Ended | None:
    """How a text message of the server ends the connection; None when it does not."""
    if not options.pull and not isinstance(message, said.Exit):
        return None  # two peers do not obey each other
    match message:
        case AuthFailed():
            return auth_failed(message, options, profile, token_in_use=token_in_use)
        case Restart():
            return told_to_restart(message)
        case Halt():
            return told_to_halt(message)
        case said.Exit():
            return peer_left()
        case _:
            return None


def shown(message: said.TextMessage) -> tuple[str, str] | None:
    """Keyword and text of a message that log and management show; None for the others."""
    match message:
        case AuthFailed(text=text):
            return "AUTH_FAILED", text
        case said.Info(text=text):
            return "INFO", text
        case said.InfoPre(text=text):
            return "INFO_PRE", text
        case Restart(text=text):
            return "RESTART", text
        case Halt(text=text):
            return "HALT", text
        case said.Exit():
            return "EXIT", ""
        case said.Unknown(keyword=keyword, text=text):
            return keyword, text
        case (
            said.PushReply()
            | said.PushUpdate()
            | said.PushRequest()
            | said.CrResponse()
            | said.AuthPending()
        ):
            return None
        case _:
            assert_never(message)


def auth_failed(
    message: AuthFailed,
    options: ClientOptions,
    profile: ConnectionProfile,
    *,
    token_in_use: bool,
) -> Ended:
    """What AUTH_FAILED leads to: TEMP first, then a used token, then auth-retry."""
    reason = message.reason
    if message.temporary is not None:
        backoff = message.temporary.backoff
        if backoff is not None:
            backoff = min(backoff, profile.connect_retry_max_delay)
        return Ended(
            outcome=Outcome.RESTART,
            signal_text="auth-temp-failure (server temporary reject)",
            advance=_temporary_advance(message.temporary.advance),
            explanation=_said("the server cannot take the login right now", reason),
            auth_failed=message.text,
            backoff=None if backoff is None else float(backoff),
        )
    if token_in_use:
        return Ended(
            outcome=Outcome.RESTART,
            signal_text=TOKEN_REFUSED,
            advance=Advance.SAME,
            explanation=_said("the server no longer accepts its token", reason),
            auth_failed=message.text,
            challenge=message.challenge,
        )
    gives_up = options.login.auth_retry is AuthRetry.NONE
    return Ended(
        outcome=Outcome.TERMINATE if gives_up else Outcome.RESTART,
        signal_text="auth-failure",
        advance=Advance.SAME,
        explanation=_refusal(message, gives_up=gives_up),
        auth_failed=message.text,
        challenge=message.challenge,
        forget_credentials=options.login.auth_retry is AuthRetry.INTERACT,
    )


def _refusal(message: AuthFailed, *, gives_up: bool) -> str:
    challenge = message.challenge
    if challenge is None:
        return _said("the server refused the login", message.reason)
    sentence = _said("the server asks one more question", challenge.text)
    if gives_up:
        return f"{sentence}; to answer it, use --auth-retry interact"
    return sentence


def voids_token(ended: Ended) -> bool:
    """Whether a pushed token is not to be used again.

    A restart that forgets the password keeps it: it stands in for the password, as in OpenVPN.
    """
    return ended.signal_text == TOKEN_REFUSED


def _temporary_advance(advance: TemporaryAdvance | None) -> Advance:
    match advance:
        case None | TemporaryAdvance.SAME:
            return Advance.SAME
        case TemporaryAdvance.NEXT_ADDRESS:
            return Advance.NEXT_ADDRESS
        case TemporaryAdvance.NEXT_REMOTE:
            return Advance.NEXT_REMOTE
        case _:
            assert_never(advance)


def told_to_restart(message: Restart) -> Ended:
    """RESTART: the same remote unless flag N; the password is forgotten unless flag P."""
    return Ended(
        outcome=Outcome.RESTART,
        signal_text=TOLD_TO_RECONNECT,
        advance=Advance.NEXT_REMOTE if message.next_remote else Advance.SAME,
        explanation=_said("the server asked for a new connection", message.text),
        forget_credentials=not message.keep_password,
    )


def told_to_halt(message: Halt) -> Ended:
    """HALT: the server does not want us back."""
    return Ended(
        outcome=Outcome.TERMINATE,
        signal_text="server-pushed-halt",
        advance=Advance.SAME,
        explanation=_said("the server told this client to stop", message.text),
        forget_credentials=not message.keep_password,
    )


def _said(sentence: str, reason: str) -> str:
    return f"{sentence}: {reason}" if reason else sentence


def explain_stall(key: KeySession, remote: Endpoint, seconds: int) -> str:
    """Why a handshake may have stopped halfway: what was heard, and what was not."""
    what = f"the handshake with {remote} took more than {seconds} seconds"
    match key.state:
        case AwaitReset():
            return f"{what}: the server's reset came, but not its acknowledgement of ours"
        case Handshaking() if not key.heard_tls:
            return (
                f"{what}: the server answered the first packet but said nothing inside TLS. It may "
                "refuse our TLS version, ciphers or groups (tls-version-min, tls-version-max, "
                "tls-cipher, tls-groups), or large packets are lost on the way (max-packet-size); "
                "its log tells which"
            )
        case Handshaking():
            return (
                f"{what}: TLS began and did not finish. The server may refuse our certificate, or "
                "large packets are lost on the way (max-packet-size); its log tells which"
            )
        case Established():
            return (
                f"{what}: TLS is up, but the server did not answer the key exchange. It may refuse "
                "our certificate or login without a word; its log tells which"
            )
        case Broken(failure=failure):
            return f"{what}: {failure.reason}"
        case _:
            assert_never(key.state)


def explain_silence(
    remote: Endpoint, wrapping: ControlWrapping, seconds: int, drops: Counter[str]
) -> str:
    """Why a handshake may have got nowhere when not one good packet came from the server."""
    if drops["hmac"]:
        return (
            f"{drops['hmac']} packets from {remote} did not authenticate: "
            f"the server has another {_wrapping_word(wrapping)} key (or key-direction)"
        )
    if drops["replay"]:
        return f"packets from {remote} were taken for replays: check the clocks of both ends"
    causes = [
        "the server is down, or is not there",
        "a firewall in between drops the packets",
    ]
    word = _wrapping_word(wrapping)
    if word:
        causes.append(f"the {word} key differs from the server's, which then keeps silent")
    else:
        causes.append("the server wants tls-auth or tls-crypt, which this profile does not have")
    return f"no usable answer from {remote} within {seconds} seconds: {'; or '.join(causes)}"


UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL})
"""Errors by which this machine's own kernel says that it cannot send to the remote at all."""

_LINK_ERRORS = {
    errno.ECONNREFUSED: "Connection refused: nothing listens on the server's port",
    errno.EHOSTUNREACH: "No route to host: the server's network does not know it",
    errno.ENETUNREACH: "Network is unreachable: this machine has no route to the server",
    errno.EADDRNOTAVAIL: "Cannot assign requested address: this machine has none to send from",
    errno.EMSGSIZE: "Message too long: a link on the way has a smaller MTU",
    errno.EACCES: "Permission denied: a firewall of this machine drops the packets",
    errno.ECONNRESET: "Connection reset by peer: the server, or a firewall in between, ended it",
    errno.EPIPE: "Broken pipe: the server, or a firewall in between, ended the connection",
    errno.ETIMEDOUT: "Connection timed out: nothing of what was sent arrives",
    errno.EPERM: "Operation not permitted: a firewall of this machine drops the packets",
}


def explain_link_error(remote: Endpoint, number: int) -> str:
    """OpenVPN's line for an error of the UDP socket, with the cause in plain words."""
    name = errno.errorcode.get(number, str(number))
    words = _LINK_ERRORS.get(number, "the system reports an error")
    return f"read UDPv{remote.address.version} [{name}]: {words} (code={number})"


def bad_record(length: int, limit: int) -> str:
    """OpenVPN's line for a record of an impossible length."""
    return (
        f"WARNING: Bad encapsulated packet length from peer ({length}), which must be > 0 and <= "
        f"{limit} -- please ensure that --tun-mtu or --link-mtu is equal on both peers -- this "
        "condition could also indicate a possible active attack on the TCP link -- "
        "[Attempting restart...]"
    )


def explain_lost_stream(remote: Endpoint, number: int, *, heard: bool) -> str:
    """Why a TCP connection ended, in plain words; ``heard`` when the server had said something."""
    if number == errno.EBADMSG:
        return (
            f"what {remote} sends is no packet of OpenVPN over TCP: either another service answers "
            "there, or its packets are longer than --tun-mtu allows, or somebody tampers with the "
            "connection"
        )
    if number == 0 and heard:
        return f"NOTE: {remote} closed the connection"
    if number == 0:
        return (
            f"{remote} closed the connection without an answer: another service than OpenVPN over "
            "TCP may listen there, or its tls-auth or tls-crypt key differs from ours"
        )
    name = errno.errorcode.get(number, str(number))
    words = _LINK_ERRORS.get(number, "the system reports an error")
    return f"read TCPv{remote.address.version}_CLIENT [{name}]: {words} (code={number})"


def _wrapping_word(wrapping: ControlWrapping) -> str:
    match wrapping:
        case PlainWrapping():
            return ""
        case TlsAuth():
            return "tls-auth"
        case TlsCrypt():
            return "tls-crypt"
        case TlsCryptV2():
            return "tls-crypt-v2"
        case _:
            assert_never(wrapping)
