"""The client machine: one connection to one address of one remote, from reset to end.

Responsible for the order of things: login, TLS, key exchange, push, tunnel, data keys,
renegotiation, control messages and the end. It does no I/O and has no clock: inputs are
``start``, ``receive``, ``handle_timeout``, ``complete``, ``handle_data_plane``, ``report_traffic``
and ``close``; outputs are drained with the ``poll_`` methods after every input. Which remote is
tried next is ``remotes``' business, addresses and routes are the host layer's.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import assert_never

from ginnel.core import client_end as end
from ginnel.core import events
from ginnel.core import messages as said
from ginnel.core.actions import (
    Action,
    ActionResult,
    Credentials,
    Done,
    Failed,
    OpenTunnel,
    SendInner,
)
from ginnel.core.client_exchange import (
    AwaitHook,
    AwaitLogin,
    AwaitPeer,
    AwaitTls,
    Negotiation,
    Settled,
    introduce,
    peer_variables,
)
from ginnel.core.client_leave import Farewell
from ginnel.core.client_link import ClientLink
from ginnel.core.client_occ import OccOperation, read_occ, reply_payload
from ginnel.core.client_outbox import Outbox
from ginnel.core.client_push import PushImport
from ginnel.core.client_state import (
    AskingLogin,
    AwaitPush,
    Deadline,
    Idle,
    InstallingFirst,
    Leaving,
    Negotiating,
    Opening,
    Over,
    Running,
    State,
)
from ginnel.core.client_talk import ClientTalk, failure_of
from ginnel.core.client_tunnel import ClientTunnel
from ginnel.core.errors import LocalMisuse, Malformed, PeerIncompatible
from ginnel.core.key_method import KeyMethodMessage
from ginnel.core.key_session import Broken, Established
from ginnel.core.negotiate import Agreement, DataCapabilities, agree_as_peers
from ginnel.core.notices import (
    Advance,
    Connected,
    DataChannelReady,
    Ended,
    InitialPacket,
    KeyRenegotiating,
    ManagementState,
    Notice,
    Outcome,
    PeerConnected,
    PushRequested,
)
from ginnel.core.options_string import (
    client_terms,
    compare,
    expected_from_peer,
    parse_options_string,
    peer_cipher,
)
from ginnel.core.session import PeerRestarted, SoftResetByPeer
from ginnel.core.timers import Timers
from ginnel.core.tls import TlsChannel, TlsFailure
from ginnel.core.tunnel_config import tunnel_config
from ginnel.core.types import UNDEFINED_PEER_ID, ActionId, Endpoint, Instant, Transmit, Transport
from ginnel.options.model import ClientOptions, ConnectionProfile

PUSH_REQUEST_DELAY = 1.0
PUSH_REQUEST_INTERVAL = 5.0
PULL_PING_RESTART = 120
"""Seconds of silence a pulling UDP client allows until options arrive (protocol-facts 24)."""


class ClientMachine:
    """See the module. One object lives for one attempt; a retry is a new one."""

    def __init__(
        self,
        *,
        options: ClientOptions,
        profile: ConnectionProfile,
        remote: Endpoint,
        tls: Callable[[], TlsChannel],
        entropy: Callable[[int], bytes],
        unix_time: int,
        capabilities: DataCapabilities,
        version: str,
        credentials: Credentials | None = None,
        token: Credentials | None = None,
    ) -> None:
        """``unix_time`` is the wall clock in seconds at ``start``; ``version`` becomes IV_VER.

        ``token`` is what the machine before this one had in ``token``.
        """
        self._options = options
        self._profile = profile
        self._unix_time = unix_time
        self._capabilities = capabilities
        self._outbox = Outbox()
        self._talk = ClientTalk(
            options=options,
            introduction=introduce(options, profile, capabilities, version),
            entropy=entropy,
            login=credentials,
            token=token,
            outbox=self._outbox,
        )
        self._link = ClientLink(
            options=options,
            profile=profile,
            remote=remote,
            tls=tls,
            entropy=entropy,
            outbox=self._outbox,
        )
        self._push = PushImport(options, capabilities, self._outbox)
        self._timers: Timers[Deadline] = Timers()
        self._farewell = Farewell(self._link, self._outbox, self._timers)
        self._state: State = Idle()
        self._tunnel: ClientTunnel | None = None
        self._peer_cipher: str | None = None
        self._started = Instant(0.0)
        self._began = Instant(0.0)
        self._heard = False

    @property
    def drops(self) -> Counter[str]:
        """Packets thrown away, by reason."""
        return self._link.drops

    @property
    def token(self) -> Credentials | None:
        """The auth-token that the server pushed, for the next connection; None when it has none.

        It outlives a connection as in OpenVPN, so that a one-time password serves more than once.
        """
        return self._talk.token

    # --- inputs --------------------------------------------------------------------------------

    def start(self, now: Instant) -> None:
        """Begins: asks for the login if one is needed, else sends the first packet."""
        if not isinstance(self._state, Idle):
            raise LocalMisuse("a machine starts once")
        self._started = now
        if self._talk.needs_login:
            self._state = AskingLogin(self._talk.ask_login())
            return
        self._begin(now)

    def receive(self, packet: bytes, source: Endpoint | None, now: Instant) -> None:
        """Takes a packet that is not data. Never raises for what the network sent."""
        received = self._link.receive(packet, source, now)
        if received is None:
            return
        if isinstance(received, PeerRestarted):
            self._handle_peer_restart(now)
        else:
            self._note_alive(now)
            if isinstance(received, SoftResetByPeer):
                self._link.adopt_soft_reset()
                if self._tunnel is not None:
                    self._tunnel.note_peer_reset(now)
                self._renegotiation_began("the server asked for it", now)
            self._progress(now)
        self._flush(now)

    def handle_timeout(self, now: Instant) -> None:
        """Does what is due; harmless when nothing is."""
        for name in self._timers.take_due(now):
            if not isinstance(self._state, Over):
                self._handle_deadline(name, now)
        tunnel = self._tunnel
        over = isinstance(self._state, Over)
        if tunnel is not None and not over and not tunnel.handle_timeout(now):
            self._finish(end.tls_error(self._options, "the last data key expired"))
        self._flush(now)

    def complete(self, action_id: ActionId, result: ActionResult, now: Instant) -> None:
        """Answers an action. An answer that nobody waits for any more is ignored."""
        if not isinstance(self._state, Over):
            self._complete(action_id, result, now)
            self._flush(now)

    def handle_data_plane(self, event: events.DataPlaneEvent, now: Instant) -> None:
        """Takes a report of the data plane or of the link."""
        if not isinstance(self._state, Over):
            self._handle_event(event, now)
            self._flush(now)

    def report_traffic(self, total_bytes: int, total_packets: int, now: Instant) -> None:
        """Takes the counters of the tun side since the tunnel opened, both directions together."""
        tunnel = self._tunnel
        if tunnel is None or isinstance(self._state, Over):
            return
        reason = tunnel.count_traffic(total_bytes, total_packets)
        if reason is not None:
            self._renegotiate(reason, now)
            self._flush(now)

    def close(self, reason: str, now: Instant, *, outcome: Outcome = Outcome.TERMINATE) -> None:
        """Ends the connection. On TERMINATE the server is told where that is configured.

        ``reason`` becomes the signal text when nobody is told.
        """
        if isinstance(self._state, Over | Leaving):
            return
        leaving = None
        if outcome is Outcome.TERMINATE:
            leaving = self._farewell.begin(self._tunnel, self._profile, now)
        if leaving is None:
            self._finish(
                Ended(outcome=outcome, signal_text=reason, advance=Advance.SAME, explanation="")
            )
        else:
            self._state = leaving
        self._flush(now)

    # --- outputs -------------------------------------------------------------------------------

    def poll_transmit(self) -> Transmit | None:
        """The next packet for the link."""
        return self._outbox.transmits.popleft() if self._outbox.transmits else None

    def poll_notice(self) -> Notice | None:
        """The next thing that happened."""
        return self._outbox.notices.popleft() if self._outbox.notices else None

    def poll_action(self) -> Action | None:
        """The next thing to do for this machine."""
        return self._outbox.actions.popleft() if self._outbox.actions else None

    def poll_timeout(self) -> Instant | None:
        """When to call ``handle_timeout``; None when there is nothing to wait for."""
        times = [self._link.next_timeout(), self._timers.next()]
        if self._tunnel is not None and not isinstance(self._state, Over):
            times.append(self._tunnel.next_timeout())
        return min((time for time in times if time is not None), default=None)

    # --- sessions ------------------------------------------------------------------------------

    def _begin(self, now: Instant) -> None:
        """Starts a session: the first, or another one while an old key still serves."""
        self._began = now
        self._timers.cancel(Deadline.PUSH_REQUEST)
        self._timers.cancel(Deadline.PUSH_GIVE_UP)
        self._link.begin(now, self._unix_time + int(now - self._started))
        self._push = PushImport(self._options, self._capabilities, self._outbox)
        self._state = Negotiating()
        self._timers.arm(Deadline.HANDSHAKE, now + self._options.tls.hand_window)
        if self._tunnel is None:
            self._outbox.enter(ManagementState.WAIT)
            self._timers.arm(Deadline.CONNECT, now + self._profile.connect_timeout)
            self._arm_silence(now)

    def _note_alive(self, now: Instant) -> None:
        """An authentic packet came: the remote is there."""
        if self._timers.deadline(Deadline.SILENCE) is not None:
            self._arm_silence(now)
        peer_id = self._link.session.peer_id
        if self._heard or peer_id is None:
            return
        self._heard = True
        self._timers.cancel(Deadline.CONNECT)
        self._outbox.tell(InitialPacket(source=self._link.remote, session_id=peer_id))
        self._outbox.enter(ManagementState.AUTH)

    def _arm_silence(self, now: Instant) -> None:
        link = self._options.link
        limit = link.ping_restart or link.ping_exit
        if not limit and self._options.pull and self._link.transport is Transport.UDP:
            limit = PULL_PING_RESTART
        if limit:
            self._timers.arm(Deadline.SILENCE, now + limit)

    def _handle_peer_restart(self, now: Instant) -> None:
        """The server lost our session. Believed only when it proved knowledge of a key.

        And at most once in hand-window: all clients of a server may share that key.
        """
        running = isinstance(self._state, Running)
        recent = now < self._began + self._options.tls.hand_window
        if not running or recent or not self._link.session.is_wrapped:
            self.drops["other-session"] += 1
        elif self._options.tls.single_session:
            self.drops["single-session"] += 1
        else:
            self._outbox.warn("the server began a new session: negotiating anew")
            self._start_over(now)

    def _start_over(self, now: Instant) -> None:
        """Begins a new session while the key in use serves on until it expires."""
        tunnel = self._tunnel
        if tunnel is None:
            raise LocalMisuse("there is no tunnel to keep")
        tunnel.expire_key(now)
        self._timers.cancel(Deadline.RENEGOTIATE)
        soonest = self._began + self._options.tls.hand_window
        if soonest <= now:
            self._begin(now)
            return
        # What failed at once will most likely fail at once again.
        self._link.close()
        self._state = Negotiating()
        for name in (Deadline.HANDSHAKE, Deadline.PUSH_REQUEST, Deadline.PUSH_GIVE_UP):
            self._timers.cancel(name)
        self._timers.arm(Deadline.BEGIN, soonest)

    # --- one negotiation -----------------------------------------------------------------------

    def _renegotiate(self, reason: str, now: Instant) -> None:
        """Begins a soft reset of our own, unless one is under way."""
        if isinstance(self._state, Running) and isinstance(self._link.current.phase, Settled):
            self._link.begin_soft_reset(now)
            self._renegotiation_began(reason, now)

    def _renegotiation_began(self, reason: str, now: Instant) -> None:
        tls = self._options.tls
        self._timers.cancel(Deadline.RENEGOTIATE)
        self._timers.arm(Deadline.HANDSHAKE, now + tls.hand_window)
        if self._tunnel is not None:
            self._tunnel.expire_key(now)
        key_id = self._link.current.key.key_id
        self._outbox.tell(KeyRenegotiating(key_id=key_id, reason=reason))

    def _progress(self, now: Instant) -> None:
        """Moves the newest negotiation on as far as it goes, and reads what came in both."""
        current = self._link.current
        for verdict in current.key.tls.take_verdicts():
            self._outbox.tell(verdict)
        if isinstance(current.key.state, Established) and isinstance(current.phase, AwaitTls):
            if self._tunnel is not None:
                self._tunnel.listen_ahead(current)
            self._finish_if(self._talk.tls_established(current, now))
        for negotiation in self._link.negotiations:
            # What is read may end the connection, or the session that it was read in.
            if not isinstance(self._state, Over) and self._link.is_newest(current):
                self._read(negotiation, now)
        broken = current.key.state
        over = isinstance(self._state, Over) or not self._link.is_newest(current)
        if isinstance(broken, Broken) and not over:
            self._negotiation_failed(broken.failure, now)

    def _read(self, negotiation: Negotiation, now: Instant) -> None:
        """Reads the records of a negotiation; early ones wait in the key session."""
        if not negotiation.is_open and not isinstance(negotiation.phase, AwaitPeer):
            return
        for record in negotiation.key.take_records():
            if isinstance(self._state, Over):
                return
            try:
                if isinstance(negotiation.phase, AwaitPeer):
                    self._key_exchanged(negotiation, negotiation.accept(record), now)
                    continue
                texts = negotiation.splitter.feed(record)
            except Malformed as bad:
                self._negotiation_failed(TlsFailure(f"nonsense inside TLS ({bad.reason})"), now)
                return
            for text in texts:
                if not isinstance(self._state, Over):
                    self._handle_message(said.parse_message(text), now)

    def _key_exchanged(
        self, negotiation: Negotiation, message: KeyMethodMessage, now: Instant
    ) -> None:
        """Both key method messages are known: on to the push, or to the new data key."""
        if negotiation is not self._link.current:
            return
        self._timers.cancel(Deadline.HANDSHAKE)
        if self._tunnel is not None and negotiation.key.key_id != 0:
            self._settle(negotiation, self._tunnel, now)
            return
        self._read_peer_options(message)
        if self._tunnel is None:
            self._outbox.tell(
                PeerConnected(common_name=self._talk.common_name, remote=self._link.remote)
            )
        if not self._options.pull:
            self._agree_without_push(negotiation, message, now)
            return
        if self._tunnel is not None:
            # A server that still has our instance moves to the new session's key at once, under
            # the terms it knows, and answers push requests only every 30 s (seen with 2.6).
            self._settle(negotiation, self._tunnel, now)
        else:
            self._outbox.enter(ManagementState.GET_CONFIG)
        self._state = AwaitPush(since=now)
        self._timers.arm(Deadline.PUSH_REQUEST, now + PUSH_REQUEST_DELAY)
        self._timers.arm(Deadline.PUSH_GIVE_UP, now + self._options.tls.hand_window)

    def _read_peer_options(self, message: KeyMethodMessage) -> None:
        items = parse_options_string(message.options_string)
        self._peer_cipher = peer_cipher(items)
        expected = expected_from_peer(client_terms(self._options, self._profile))
        for mismatch in compare(expected, items):
            if mismatch.serious:
                self._outbox.warn(f"WARNING: {mismatch}")

    def _settle(self, negotiation: Negotiation, tunnel: ClientTunnel, now: Instant) -> None:
        """Derives the data key of a negotiation and hands it to the key ring."""
        session, tls = self._link.session, self._options.tls
        if negotiation.key.key_id == 0 and tunnel.agreement.dyn_tls_crypt:
            session.use_dynamic_crypt(self._unix_time + int(now - self._started))
        action_id = tunnel.settle(negotiation, session.pair(), now)
        session.mark_active()
        if isinstance(self._state, Opening) and action_id is not None:
            self._state = InstallingFirst(action_id)
        if tls.reneg_sec and not isinstance(self._state, Leaving):
            self._timers.arm(Deadline.RENEGOTIATE, now + tls.reneg_sec)

    def _negotiation_failed(self, failure: TlsFailure, now: Instant) -> None:
        self._outbox.warn(f"TLS_ERROR: {failure.reason}")
        self._outbox.warn("TLS Error: TLS handshake failed")
        explanation = f"TLS with {self._link.remote} failed: {failure.reason}"
        if failure.hint:
            explanation = f"{explanation}: {failure.hint}"
        self._give_up_negotiation(explanation, now)

    def _give_up_negotiation(self, explanation: str, now: Instant) -> None:
        """A failed negotiation starts over while a key still serves; without one it ends it all.

        TLS error policy of protocol-facts 5: on TCP the first failure ends the connection.
        """
        self._link.flush(now)  # the alert for the peer
        keeps = (
            self._tunnel is not None
            and self._tunnel.is_usable
            and isinstance(self._state, Running | Negotiating | AwaitPush)
            and not self._options.tls.single_session
            and self._link.transport is Transport.UDP
        )
        if not keeps:
            self._finish(end.tls_error(self._options, explanation))
            return
        self._outbox.warn(f"{explanation}; the key in use serves on while a new session is made")
        self._start_over(now)

    # --- control messages ----------------------------------------------------------------------

    def _handle_message(self, message: said.TextMessage, now: Instant) -> None:
        shown = end.shown(message)
        if shown is not None:
            self._outbox.message(*shown)
        ended = end.by_message(
            message, self._options, self._profile, token_in_use=self._talk.token is not None
        )
        if ended is not None:
            if end.voids_token(ended):
                self._talk.drop_token()
            self._finish(ended)
            return
        match message:
            case said.PushReply(items=items):
                self._handle_push(items, now)
            case said.AuthPending(timeout=timeout):
                self._extend_push_wait(timeout, now)
            case said.PushRequest() | said.CrResponse():
                self.drops["message"] += 1
            case _:
                pass  # shown, and that is all

    def _handle_push(self, items: Sequence[str], now: Instant) -> None:
        whole = self._push.add(items)
        if whole is None:
            return
        if isinstance(whole, Ended):
            self._finish(whole)
        elif isinstance(self._state, AwaitPush):
            self._apply_push(whole, now)
        elif isinstance(self._state, Running):
            self._talk.take_token(self._push.options_of(whole))

    def _apply_push(self, items: Sequence[str], now: Instant) -> None:
        imported = self._push.apply(items, self._peer_cipher)
        if isinstance(imported, Ended):
            self._finish(imported)
            return
        self._timers.cancel(Deadline.PUSH_REQUEST)
        self._timers.cancel(Deadline.PUSH_GIVE_UP)
        self._talk.take_token(imported.options)
        self._open_tunnel(imported.options, imported.agreement, imported.digest, now)

    def _agree_without_push(
        self, negotiation: Negotiation, message: KeyMethodMessage, now: Instant
    ) -> None:
        try:
            agreement = agree_as_peers(
                self._options.data,
                peer_info=peer_variables(message),
                capabilities=self._capabilities,
                derive_peer_id=negotiation.exported_peer_id,
                we_are_server=False,
            )
        except PeerIncompatible as mismatch:
            self._finish(end.tls_error(self._options, mismatch.reason))
            return
        self._open_tunnel(self._options, agreement, "", now)

    def _extend_push_wait(self, timeout: int | None, now: Instant) -> None:
        """Waits longer, yet not for ever: the limit counts from the key exchange."""
        if not isinstance(self._state, AwaitPush):
            return
        self._outbox.enter(ManagementState.AUTH_PENDING)
        if timeout is not None:
            tls = self._options.tls
            latest = self._state.since + max(tls.reneg_sec // 2, tls.hand_window)
            self._timers.arm(Deadline.PUSH_GIVE_UP, min(now + timeout, latest))

    # --- tunnel --------------------------------------------------------------------------------

    def _open_tunnel(
        self, options: ClientOptions, agreement: Agreement, digest: str, now: Instant
    ) -> None:
        config = tunnel_config(
            options,
            profile=self._profile,
            remote=self._link.remote,
            transport=self._link.transport,
            agreement=agreement,
            pulled_digest=digest,
        )
        if self._tunnel is not None:
            if not self._tunnel.fits(config, agreement):
                sentence = "the server's options changed with the new session"
                self._finish(end.tls_error(self._options, sentence))
                return
            self._state = Running()
            if not isinstance(self._link.current.phase, Settled):
                self._settle(self._link.current, self._tunnel, now)
            elif self._options.tls.reneg_sec:
                self._timers.arm(Deadline.RENEGOTIATE, now + self._options.tls.reneg_sec)
            return
        peer_id = agreement.send_peer_id
        self._outbox.tell(
            DataChannelReady(
                cipher=agreement.cipher,
                format=agreement.format,
                peer_id=None if peer_id == UNDEFINED_PEER_ID else int(peer_id),
                ping=options.link.ping,
                ping_restart=options.link.ping_restart or options.link.ping_exit,
                protocol_flags=agreement.flags(),
            )
        )
        self._outbox.enter(ManagementState.ASSIGN_IP)
        action_id = self._outbox.ask(lambda new_id: OpenTunnel(id=new_id, config=config))
        self._state = Opening(action_id, config, agreement)

    def _tunnel_opened(self, opening: Opening, now: Instant) -> None:
        self._tunnel = ClientTunnel(
            config=opening.config,
            agreement=opening.agreement,
            tls=self._options.tls,
            outbox=self._outbox,
            now=now,
        )
        self._timers.cancel(Deadline.SILENCE)  # the data plane watches from here on
        self._outbox.enter(ManagementState.ADD_ROUTES)
        self._settle(self._link.current, self._tunnel, now)

    def _first_key_installed(self, now: Instant) -> None:
        self._state = Running()
        if self._tunnel is not None and self._tunnel.config.options.link.session_timeout:
            limit = self._tunnel.config.options.link.session_timeout
            self._timers.arm(Deadline.SESSION, now + limit)
        self._outbox.enter(ManagementState.CONNECTED)
        self._outbox.tell(Connected())

    # --- answers -------------------------------------------------------------------------------

    def _complete(self, action_id: ActionId, result: ActionResult, now: Instant) -> None:
        question = self._outbox.take_question(action_id)
        match self._state:
            case AskingLogin(action_id=waited) if waited == action_id:
                if not self._finish_if(self._talk.take_login(result)):
                    self._begin(now)
            case Opening(action_id=waited) if waited == action_id:
                if isinstance(result, Done):
                    self._tunnel_opened(self._state, now)
                else:
                    self._finish(end.terminate("tun-abort", failure_of(result), hard_error=True))
            case InstallingFirst(action_id=waited) if waited == action_id and result == Done():
                self._first_key_installed(now)
            case _:
                self._complete_in_negotiation(action_id, result, now)
                # A late "no" to a question of an earlier session means nothing.
                if isinstance(result, Failed) and not question:
                    reason = f"the data plane failed: {result.reason}"
                    self._finish(end.restart("tls-error", reason))

    def _complete_in_negotiation(
        self, action_id: ActionId, result: ActionResult, now: Instant
    ) -> None:
        current = self._link.current if self._link.is_open else None
        phase = None if current is None else current.phase
        if current is not None and phase == AwaitHook(action_id):
            if not self._talk.hook_allows(result):
                refused = TlsFailure("certificate verify failed", "the tls-verify hook refused it")
                self._negotiation_failed(refused, now)
            elif not self._finish_if(self._talk.log_in(current, now)):
                self._progress(now)
        elif current is not None and phase == AwaitLogin(action_id):
            ended = self._talk.take_login(result) or self._talk.log_in(current, now)
            if not self._finish_if(ended):
                self._progress(now)

    # --- reports and deadlines -----------------------------------------------------------------

    def _handle_event(self, event: events.DataPlaneEvent, now: Instant) -> None:
        match event:
            case events.PeerSilent():
                self._finish(self._silent())
            case events.Inactive():
                self._finish(end.terminate("inactive", "too little traffic (inactive)"))
            case events.KeyExhausted(key_id=key_id):
                if self._tunnel is not None and self._tunnel.seals_with(key_id):
                    self._renegotiate("the key's usage limit is near", now)
            case events.OccReceived(payload=payload):
                self._handle_occ(payload)
            case events.LinkLost(errno=errno):
                self._handle_link_loss(errno)
            case events.TunLost(errno=errno):
                self._finish(end.restart("tun-stop", f"the tun device is gone (errno {errno})"))
            case events.DecryptFailed():
                self._finish(end.restart("decryption-error", "a data packet is not authentic"))
            case events.Floated(remote=remote):
                self._link.remote = remote
            case _:
                assert_never(event)

    def _silent(self) -> Ended:
        options = self._options if self._tunnel is None else self._tunnel.config.options
        sentence = f"nothing came from {self._link.remote} for too long"
        if options.link.ping_exit and not options.link.ping_restart:
            return end.terminate("ping-exit", sentence)
        return end.restart("ping-restart", sentence)

    def _handle_link_loss(self, errno: int) -> None:
        if self._link.transport is Transport.TCP:
            self._finish(end.restart("connection-reset", f"connection lost (errno {errno})"))
            return
        # On UDP these may be hints (ICMP) that anybody can fake: say it once, let silence decide.
        # Before the server was heard, a remote that cannot be sent to is left for the next one.
        self.drops["link-error"] += 1
        sentence = end.explain_link_error(self._link.remote, errno)
        if errno in end.UNREACHABLE and not self._heard:
            self._finish(end.restart("network-unreachable", sentence))
        elif self.drops["link-error"] == 1:
            self._outbox.warn(sentence)

    def _handle_occ(self, payload: bytes) -> None:
        match read_occ(payload):
            case OccOperation.EXIT:
                self._outbox.message("EXIT", "")
                self._finish(end.peer_left())
            case OccOperation.REQUEST:
                self._answer_occ()
            case _:
                self.drops["occ"] += 1

    def _answer_occ(self) -> None:
        if self._tunnel is None:
            return
        peer_id = self._tunnel.config.peer_id
        payload = reply_payload(self._options, self._profile)
        self._outbox.ask(lambda new_id: SendInner(id=new_id, peer_id=peer_id, payload=payload))

    def _handle_deadline(self, name: Deadline, now: Instant) -> None:
        match name:
            case Deadline.CONNECT:
                sentence = self._explain_no_answer(self._profile.connect_timeout)
                self._finish(end.restart("server_poll", sentence))
            case Deadline.SILENCE:
                self._finish(self._silent())
            case Deadline.BEGIN:
                self._begin(now)
            case Deadline.HANDSHAKE:
                self._handshake_timed_out(now)
            case Deadline.PUSH_REQUEST:
                self._outbox.tell(PushRequested(common_name=self._talk.common_name))
                self._link.say("PUSH_REQUEST", now)
                self._timers.arm(Deadline.PUSH_REQUEST, now + PUSH_REQUEST_INTERVAL)
            case Deadline.PUSH_GIVE_UP:
                sentence = "No reply from server to push requests"
                self._finish(end.restart("no-push-reply", sentence))
            case Deadline.RENEGOTIATE:
                self._renegotiate(f"sec={self._options.tls.reneg_sec}", now)
            case Deadline.SESSION:
                self._finish(end.terminate("session-timeout", "session-timeout is reached"))
            case Deadline.LEAVE:
                self._leave_step(now)
            case _:
                assert_never(name)

    def _handshake_timed_out(self, now: Instant) -> None:
        window = self._options.tls.hand_window
        self._outbox.warn(
            f"TLS Error: TLS key negotiation failed to occur within {window} seconds "
            "(check your network connectivity)"
        )
        self._outbox.warn("TLS Error: TLS handshake failed")
        if self._link.session.peer_id is None:
            explanation = self._explain_no_answer(window)
        else:
            explanation = end.explain_stall(self._link.current.key, self._link.remote, window)
        self._give_up_negotiation(explanation, now)

    def _explain_no_answer(self, seconds: int) -> str:
        return end.explain_silence(self._link.remote, self._profile.wrapping, seconds, self.drops)

    # --- the end -------------------------------------------------------------------------------

    def _leave_step(self, now: Instant) -> None:
        if not isinstance(self._state, Leaving):
            return
        going_on = self._farewell.go_on(self._state, self._tunnel, now)
        if going_on is None:
            self._finish(end.terminate("exit-with-notification", ""))
        else:
            self._state = going_on

    def _finish(self, ended: Ended) -> None:
        """Gives the last notice; later inputs do nothing."""
        if isinstance(self._state, Over):
            return
        if isinstance(self._state, Leaving):
            ended = end.terminate("exit-with-notification", "")
        self._state = Over()
        self._timers.clear()
        self._outbox.actions.clear()
        self._outbox.tell(ended)

    def _finish_if(self, ended: Ended | None) -> bool:
        if ended is not None:
            self._finish(ended)
        return ended is not None

    def _flush(self, now: Instant) -> None:
        """Sends what is to be sent; after the end once more, so that an alert still leaves."""
        self._link.flush(now)
        key = self._state.said_on if isinstance(self._state, Leaving) else None
        if key is not None and key.all_acknowledged:
            self._leave_step(now)
        if isinstance(self._state, Over):
            self._link.close()
