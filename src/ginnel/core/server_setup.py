"""How a client gets from being let in to carrying data: terms, data plane, first key, push.

Responsible for these steps, for the data key of every later negotiation, and for pushing. Who is
let in is ``server_negotiation``'s business.
"""

from ginnel.core import server_end as end
from ginnel.core.actions import Done, Failed
from ginnel.core.errors import LocalMisuse, PeerIncompatible
from ginnel.core.messages import clean_text
from ginnel.core.negotiate import Agreement, agree_with_client, explain_mismatch
from ginnel.core.options_string import peer_cipher
from ginnel.core.peer_info import ProtocolFlag, protocol_flags
from ginnel.core.push import redact, split_push
from ginnel.core.server_actions import (
    AddClient,
    ClientTerms,
    ConnectClient,
    Refused,
    ServerActionResult,
)
from ginnel.core.server_course import ServerCourse, ServerTunnel
from ginnel.core.server_link import Guest
from ginnel.core.server_login import ServerLogin
from ginnel.core.server_notices import ClientConnected, PushSent
from ginnel.core.server_push import compose_push
from ginnel.core.server_state import Adding, Connecting, Deadline, InstallingFirst, Running
from ginnel.core.server_terms import (
    agreed_client,
    client_compression,
    data_channel,
    own_data,
    server_tun_mtu,
)
from ginnel.core.tunnel_config import with_bytes_limit
from ginnel.core.tunnel_keys import TunnelKeys
from ginnel.core.types import ActionId, Instant
from ginnel.options.model import DataOptions
from ginnel.options.server_model import ClientConfig

AGAIN_DELAY = 1.0
"""Seconds in which a client that shall come once more hears that: less than it takes to come."""

PUSH_INTERVAL = 30.0
"""Seconds between two pushes to a client that goes on asking over the same session."""


class ServerSetup:
    """Sets the client up once, and gives it its keys."""

    def __init__(self, course: ServerCourse, login: ServerLogin) -> None:
        self._course = course
        self._login = login

    # --- the first time ------------------------------------------------------------------------

    def connect(self, guest: Guest, now: Instant) -> None:
        """The client is let in: agrees on the data channel and asks for what it gets."""
        course = self._course
        found = self._agree(guest, course.options.data)
        agreement = found if isinstance(found, Agreement) else None
        facts = course.facts
        action_id = course.outbox.ask(lambda new_id: ConnectClient(id=new_id, client=facts))
        course.state = Connecting(
            action_id, agreement, client_compression(course.options, guest.peer_info, guest.items)
        )
        course.timers.arm(Deadline.DECISION, now + self.decision_time())

    def decision_time(self) -> float:
        """Seconds that whoever decides about the client has (protocol-facts 11)."""
        window = self._course.tls.hand_window
        return float(min(window, self._course.reneg_sec // 2 or window))

    def take_terms(self, connecting: Connecting, result: ServerActionResult, now: Instant) -> None:
        """Takes the answer to ConnectClient."""
        course = self._course
        if not isinstance(result, ClientTerms):
            if isinstance(result, Failed):
                course.outbox.warn(f"the client gets nothing: {result.reason}")
            course.refuse(result.reason if isinstance(result, Refused) else "", now)
            return
        if result.config.disable:
            course.outbox.warn("MULTI: client has been rejected due to 'disable' directive")
            course.refuse("", now)
            return
        course.timers.cancel(Deadline.DECISION)
        if result.config.override_username is not None:
            self._login.rename(result.config.override_username)
        agreement = self._own_agreement(connecting, result.config, now)
        if agreement is None:
            return
        agreed = agreed_client(
            course.options, course.facts, result, agreement, connecting.compression
        )
        action_id = course.outbox.ask(lambda new_id: AddClient(id=new_id, agreed=agreed))
        course.state = Adding(action_id, agreed, connecting.compression)

    def added(self, adding: Adding, result: ServerActionResult, now: Instant) -> None:
        """Takes the answer to AddClient."""
        course = self._course
        if not isinstance(result, Done):
            reason = result.reason if isinstance(result, Failed) else "unexpected answer"
            course.outbox.warn(f"the data plane does not take the client: {reason}")
            course.put_off("the server cannot serve right now", now)
            return
        agreement = adding.agreed.agreement
        course.tunnel = ServerTunnel(
            agreed=adding.agreed,
            compression=adding.compression,
            keys=TunnelKeys(
                peer_id=course.facts.peer_id,
                agreement=agreement,
                tls=with_bytes_limit(course.tls, agreement.cipher),
                reneg_sec=course.reneg_sec,
                outbox=course.outbox,
                now=now,
            ),
        )
        if course.link.active is None:
            raise LocalMisuse("a client was added without a session")
        action_id = self.settle(course.link.active, course.tunnel, now)
        if action_id is not None:
            course.state = InstallingFirst(action_id)

    def first_key_installed(self, now: Instant) -> None:
        """The client may send data."""
        course = self._course
        if course.tunnel is None:
            raise LocalMisuse("a key was installed for nobody")
        agreed = course.tunnel.agreed
        course.state = Running(pushed_at=None)
        course.outbox.tell(ClientConnected(agreed=agreed))
        own = agreed.terms.config.session_timeout
        limit = course.options.link.session_timeout if own is None else own
        if limit:
            course.timers.arm(Deadline.SESSION, now + limit)
        if course.link.active is not None:
            self.push_if_wanted(course.link.active, now)

    # --- later sessions and negotiations -------------------------------------------------------

    def go_on(self, guest: Guest, now: Instant) -> None:
        """A later session of the client was let in, under the terms that hold already."""
        course = self._course
        found = self._agree(guest, self._data())
        if isinstance(found, PeerIncompatible) and not isinstance(course.state, Connecting):
            self._refuse(guest, found, now)
            return
        agreement = found if isinstance(found, Agreement) else None
        if agreement != self._agreement():
            # What the data plane has of the client does not fit any more: it shall come once more,
            # to a machine of its own.
            guest.talk.say("RESTART", now)
            sentence = "the client came back and wants other terms"
            course.leave(end.restart("connection-reset", sentence), AGAIN_DELAY, now)
            return
        if course.tunnel is not None:
            self.settle(guest, course.tunnel, now, at_once=True)
        if isinstance(course.state, Running):
            course.state = Running(pushed_at=None)
            self.push_if_wanted(guest, now)

    def settle(
        self, guest: Guest, tunnel: ServerTunnel, now: Instant, *, at_once: bool = False
    ) -> ActionId | None:
        """Derives the data key of the newest negotiation and hands it to the key ring.

        ``at_once``: of a new session, whose client lost all other keys.
        """
        course = self._course
        session, negotiation = guest.talk.session, guest.talk.current
        if negotiation.key.key_id == 0 and tunnel.agreed.agreement.dyn_tls_crypt:
            session.use_dynamic_crypt(course.unix_time(now))
        action_id = tunnel.keys.settle(negotiation, session.pair(), now, at_once=at_once)
        session.mark_active()
        if len(guest.talk.negotiations) > 1:
            course.timers.arm(Deadline.FORGET, now + course.tls.hand_window)
        if course.reneg_sec:
            course.timers.arm(Deadline.RENEGOTIATE, now + course.reneg_sec)
        return action_id

    # --- pushing -------------------------------------------------------------------------------

    def push_requested(self, guest: Guest, now: Instant) -> None:
        """The client asks for its options; it may ask before there are any."""
        guest.wants_push = True
        self.push_if_wanted(guest, now)

    def push_if_wanted(self, guest: Guest, now: Instant) -> None:
        """Pushes what the client asked for, or waits for without asking; not too often."""
        course = self._course
        state, tunnel = course.state, course.tunnel
        if not isinstance(state, Running) or tunnel is None or guest is not course.link.active:
            return
        unasked = ProtocolFlag.REQUEST_PUSH in protocol_flags(guest.peer_info)
        if not guest.wants_push and not (unasked and state.pushed_at is None):
            return
        guest.wants_push = False
        if state.pushed_at is not None and now < state.pushed_at + PUSH_INTERVAL:
            return
        course.state = Running(pushed_at=now)
        terms = tunnel.agreed.terms
        token = self._login.fresh_token(now, terms.config.override_username)
        self._send_push(
            compose_push(
                terms,
                tunnel.agreed.agreement,
                peer_info=guest.peer_info,
                tun_mtu=server_tun_mtu(course.options),
                token=token,
                compression=tunnel.compression,
            ),
            now,
        )
        self._arm_token(now)
        if not tunnel.is_told:
            tunnel.is_told = True
            course.outbox.tell(data_channel(course.options, tunnel.agreed, tunnel.compression))

    def push_token(self, now: Instant) -> None:
        """The client gets a fresh token."""
        course = self._course
        if course.tunnel is None:
            return
        override = course.tunnel.agreed.terms.config.override_username
        token = self._login.fresh_token(now, override)
        if token is not None:
            self._send_push(token.items(), now)
        self._arm_token(now)

    def update(self, items: tuple[str, ...], now: Instant) -> bool:
        """Sends changed options; False when the client does not know such, or is not there yet."""
        guest = self._course.link.active
        if guest is None or not isinstance(self._course.state, Running):
            return False
        if ProtocolFlag.PUSH_UPDATE not in protocol_flags(guest.peer_info):
            return False
        return self._send_push(items, now, "PUSH_UPDATE")

    def _arm_token(self, now: Instant) -> None:
        if self._login.renewal:
            self._course.timers.arm(Deadline.TOKEN, now + self._login.renewal)

    def _send_push(self, items: tuple[str, ...], now: Instant, keyword: str = "PUSH_REPLY") -> bool:
        course = self._course
        try:
            parts = split_push(keyword, [clean_text(item) for item in items])
        except ValueError as impossible:
            course.outbox.warn(f"the options of the client cannot be pushed: {impossible}")
            return False
        for text in parts:
            first, *rest = text.split(",")
            if course.link.say(text, now) is not None:
                shown = redact(first, rest)
                course.outbox.tell(PushSent(common_name=course.facts.common_name, text=shown))
        return True

    # --- agreeing ------------------------------------------------------------------------------

    def _own_agreement(
        self, connecting: Connecting, config: ClientConfig, now: Instant
    ) -> Agreement | None:
        """Agrees anew where the client has ciphers of its own; None when it was refused."""
        course = self._course
        data = own_data(course.options.data, config)
        if connecting.agreement is not None and data == course.options.data:
            return connecting.agreement
        guest = course.link.active
        if guest is None:
            raise LocalMisuse("a client got its terms without a session")
        found = self._agree(guest, data)
        if isinstance(found, Agreement):
            return found
        self._refuse(guest, found, now)
        return None

    def _agree(self, guest: Guest, data: DataOptions) -> Agreement | PeerIncompatible:
        course = self._course
        try:
            return agree_with_client(
                data,
                peer_info=guest.peer_info,
                peer_cipher=peer_cipher(guest.items),
                peer_id=course.facts.peer_id,
                capabilities=course.capabilities,
                force_export=course.options.force_key_material_export,
            )
        except PeerIncompatible as mismatch:
            return mismatch

    def _refuse(self, guest: Guest, mismatch: PeerIncompatible, now: Instant) -> None:
        course = self._course
        named = peer_cipher(guest.items)
        course.outbox.warn(explain_mismatch(mismatch, course.options.data, guest.peer_info, named))
        course.refuse(mismatch.reason, now)

    def _data(self) -> DataOptions:
        """The settings of the data channel that hold for this client, as far as is known."""
        course = self._course
        common = course.options.data
        match course.state:
            case Adding(agreed=agreed):
                return own_data(common, agreed.terms.config)
            case _:
                tunnel = course.tunnel
                return common if tunnel is None else own_data(common, tunnel.agreed.terms.config)

    def _agreement(self) -> Agreement | None:
        """What was agreed on with the client before."""
        course = self._course
        match course.state:
            case Connecting(agreement=agreement):
                return agreement
            case Adding(agreed=agreed):
                return agreed.agreement
            case _:
                return None if course.tunnel is None else course.tunnel.agreed.agreement
