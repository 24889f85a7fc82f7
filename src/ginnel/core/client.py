"""The client machine: one connection to one address of one remote, from reset to end.

Responsible for the order of things: reset, TLS, hooks, login, key exchange, push, tunnel, data
keys, renegotiation, control messages and the end. It does no I/O and has no clock: inputs are
``start``, ``receive``, ``handle_timeout``, ``complete``, ``handle_data_plane``, ``report_traffic``
and ``close``; outputs are drained with the ``poll_`` methods after every input. Which remote is
tried next is ``remotes``' business, addresses and routes are the host layer's.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import assert_never

from ginnel.core import client_end as end
from ginnel.core.actions import (
    Action,
    ActionResult,
    AskCredentials,
    Credentials,
    Done,
    Failed,
    OpenTunnel,
    SendInner,
    TunnelConfig,
    VerifyCertificates,
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
from ginnel.core.client_state import (
    AskingLogin,
    AwaitPush,
    Deadline,
    Idle,
    InstallingFirst,
    Leaving,
    Negotiating,
    Opening,
    OpenTunnelState,
    Over,
    Running,
    State,
)
from ginnel.core.errors import LocalMisuse, Malformed, PeerIncompatible
from ginnel.core.events import (
    DataPlaneEvent,
    DecryptFailed,
    Floated,
    Inactive,
    KeyExhausted,
    LinkLost,
    OccReceived,
    PeerSilent,
    TunLost,
)
from ginnel.core.key_method import KeyMethodMessage
from ginnel.core.key_ring import KeyRing
from ginnel.core.key_session import Broken, Established
from ginnel.core.messages import (
    AuthFailed,
    AuthPending,
    CrResponse,
    Exit,
    Halt,
    Info,
    InfoPre,
    PushReply,
    PushRequest,
    PushUpdate,
    Restart,
    TextMessage,
    Unknown,
    encode_message,
    parse_message,
)
from ginnel.core.negotiate import Agreement, DataCapabilities, agree_as_peers, agree_on_pull
from ginnel.core.notices import (
    Advance,
    CertificateRejected,
    Connected,
    ControlChannelReady,
    ControlMessage,
    DataChannelReady,
    Ended,
    InitialPacket,
    KeyRenegotiating,
    ManagementState,
    Notice,
    OptionsImported,
    Outcome,
    PeerConnected,
    PushOptionRefused,
    PushReceived,
    PushRequested,
    StateEntered,
    Warned,
)
from ginnel.core.options_string import (
    client_terms,
    compare,
    expected_from_peer,
    options_string,
    parse_options_string,
    peer_cipher,
)
from ginnel.core.push import PushAssembler
from ginnel.core.session import (
    ClientSession,
    PeerRestarted,
    SessionRules,
    SoftResetByPeer,
    outer_overhead,
)
from ginnel.core.timers import Timers
from ginnel.core.tls import TlsChannel, TlsFailure
from ginnel.core.tunnel_config import tunnel_config
from ginnel.core.types import ActionId, Endpoint, Instant, SessionId, Side, Transmit, Transport
from ginnel.core.wire import SESSION_ID_LENGTH
from ginnel.core.wrap import wrapping_for
from ginnel.options.model import ClientOptions, ConnectionProfile, LinkProtocol
from ginnel.options.pushed import apply_push

PUSH_REQUEST_DELAY = 1.0
PUSH_REQUEST_INTERVAL = 5.0
EXIT_INTERVAL = 1.0
"""Seconds between exit notices, and the wait after the last (protocol-facts 12)."""

PULL_PING_RESTART = 120
"""Seconds of silence a pulling UDP client allows until options arrive (protocol-facts 24)."""

OCC_MAGIC = bytes.fromhex("287f346bd4ef7a812d56b8d3afc5459c")
OCC_REQUEST, OCC_REPLY, OCC_EXIT = 0, 1, 6

PUSH_FAILED = "process-push-msg-failed"


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
    ) -> None:
        """``unix_time`` is the wall clock in seconds at ``start``; ``version`` becomes IV_VER."""
        self._options = options
        self._profile = profile
        self._remote = remote
        self._tls = tls
        self._entropy = entropy
        self._unix_time = unix_time
        self._capabilities = capabilities
        self._introduction = introduce(options, profile, capabilities, version)
        self._login = credentials
        self._token: Credentials | None = None
        self._transport = Transport.UDP if profile.protocol is LinkProtocol.UDP else Transport.TCP
        self._state: State = Idle()
        self._session: ClientSession | None = None
        self._current: Negotiation | None = None
        self._previous: Negotiation | None = None
        self._tunnel: OpenTunnelState | None = None
        self._assembler = PushAssembler()
        self._timers: Timers[Deadline] = Timers()
        self._peer_cipher: str | None = None
        self._common_name = ""
        self._started = Instant(0.0)
        self._heard = False
        self._actions: deque[Action] = deque()
        self._notices: deque[Notice] = deque()
        self._transmits: deque[Transmit] = deque()
        self._last_action = 0
        self.drops: Counter[str] = Counter()
        """Packets thrown away, by reason."""

    # --- inputs --------------------------------------------------------------------------------

    def start(self, now: Instant) -> None:
        """Begins: asks for the login if one is needed, else sends the first packet."""
        if not isinstance(self._state, Idle):
            raise LocalMisuse("a machine starts once")
        self._started = now
        if self._options.login.auth_user_pass and self._login is None:
            action_id = self._next_action_id()
            self._state = AskingLogin(action_id)
            self._actions.append(AskCredentials(id=action_id))
            return
        self._begin(now)

    def receive(self, packet: bytes, source: Endpoint | None, now: Instant) -> None:
        """Takes a packet that is not data. Never raises for what the network sent."""
        session = self._session
        if session is None or isinstance(self._state, Over):
            self.drops["state"] += 1
            return
        if not self._is_from_peer(source):
            self.drops["source"] += 1
            return
        try:
            received = session.receive(packet, now)
        except Malformed as bad:
            self.drops[bad.reason] += 1
            return
        if isinstance(received, PeerRestarted):
            self._handle_peer_restart(now)
        else:
            self._note_alive(session, source, now)
            if isinstance(received, SoftResetByPeer):
                self._adopt_soft_reset(session, "the server asked for it", now)
            self._progress(now)
        self._flush(now)

    def handle_timeout(self, now: Instant) -> None:
        """Does what is due; harmless when nothing is."""
        for name in self._timers.take_due(now):
            if isinstance(self._state, Over):
                return
            self._handle_deadline(name, now)
        tunnel = self._tunnel
        if tunnel is not None and not isinstance(self._state, Over):
            if not tunnel.ring.handle_timeout(now):
                self._finish(end.tls_error(self._options, "the last data key expired"))
            self._drain_ring(tunnel.ring)
        self._flush(now)

    def complete(self, action_id: ActionId, result: ActionResult, now: Instant) -> None:
        """Answers an action. An answer that nobody waits for any more is ignored."""
        if isinstance(self._state, Over):
            return
        self._complete(action_id, result, now)
        self._flush(now)

    def handle_data_plane(self, event: DataPlaneEvent, now: Instant) -> None:
        """Takes a report of the data plane or of the link."""
        if isinstance(self._state, Over):
            return
        self._handle_event(event, now)
        self._flush(now)

    def report_traffic(self, total_bytes: int, total_packets: int, now: Instant) -> None:
        """Takes the counters of the tun side since the tunnel opened, both directions together."""
        tunnel = self._tunnel
        if tunnel is None or isinstance(self._state, Over):
            return
        tunnel.bytes_now, tunnel.packets_now = total_bytes, total_packets
        tls = self._options.tls
        used_bytes = total_bytes - tunnel.bytes_at_key
        used_packets = total_packets - tunnel.packets_at_key
        if 0 < tls.reneg_bytes <= used_bytes or 0 < tls.reneg_pkts <= used_packets:
            self._renegotiate(f"bytes={used_bytes} pkts={used_packets}", now)
        self._flush(now)

    def close(self, reason: str, now: Instant, *, outcome: Outcome = Outcome.TERMINATE) -> None:
        """Ends the connection. On TERMINATE the server is told where that is configured."""
        if isinstance(self._state, Over | Leaving):
            return
        notices = self._exit_notices()
        if outcome is not Outcome.TERMINATE or not notices or not isinstance(self._state, Running):
            self._finish(
                Ended(
                    outcome=outcome,
                    signal_text=reason,
                    advance=Advance.SAME,
                    explanation="",
                )
            )
            return
        self._timers.clear()
        self._state = Leaving(reason, notices)
        if self._tunnel is not None and self._tunnel.agreement.cc_exit:
            self._state = Leaving(reason, 0)
            self._say("EXIT", now)
            self._timers.arm(Deadline.LEAVE, now + notices * EXIT_INTERVAL)
        else:
            self._leave_step(now)
        self._flush(now)

    # --- outputs -------------------------------------------------------------------------------

    def poll_transmit(self) -> Transmit | None:
        """The next packet for the link."""
        return self._transmits.popleft() if self._transmits else None

    def poll_notice(self) -> Notice | None:
        """The next thing that happened."""
        return self._notices.popleft() if self._notices else None

    def poll_action(self) -> Action | None:
        """The next thing to do for this machine."""
        return self._actions.popleft() if self._actions else None

    def poll_timeout(self) -> Instant | None:
        """When to call ``handle_timeout``; None when there is nothing to wait for."""
        if self._session is None or isinstance(self._state, Over):
            return None
        times = [self._session.next_timeout(), self._timers.next()]
        if self._tunnel is not None:
            times.append(self._tunnel.ring.next_timeout())
        return min((time for time in times if time is not None), default=None)

    # --- sessions ------------------------------------------------------------------------------

    def _begin(self, now: Instant) -> None:
        """Starts a session: the first, or another one while an old key still serves."""
        elapsed = int(now - self._started)
        wrapping = wrapping_for(self._profile.wrapping, Side.CLIENT, self._unix_time + elapsed)
        self._session = ClientSession(
            session_id=SessionId(self._session_id()),
            wrapping=wrapping,
            tls=self._tls,
            rules=SessionRules(
                transport=self._transport,
                tls_timeout=float(self._options.tls.tls_timeout),
                max_packet_size=self._options.tls.max_packet_size,
                outer_overhead=outer_overhead(self._remote.address.version, self._transport),
                need_answer=self._options.pull,
            ),
            now=now,
        )
        self._current = Negotiation(key=self._session.current)
        self._previous = None
        self._assembler = PushAssembler()
        self._state = Negotiating()
        self._timers.arm(Deadline.HANDSHAKE, now + self._options.tls.hand_window)
        if self._tunnel is None:
            self._enter(ManagementState.WAIT)
            self._timers.arm(Deadline.CONNECT, now + self._profile.connect_timeout)
            self._arm_silence(now)
        self._flush(now)

    def _session_id(self) -> bytes:
        drawn = self._entropy(SESSION_ID_LENGTH)
        return drawn if any(drawn) else bytes((1,)) * SESSION_ID_LENGTH

    def _is_from_peer(self, source: Endpoint | None) -> bool:
        return source is None or source == self._remote or self._profile.float

    def _note_alive(self, session: ClientSession, source: Endpoint | None, now: Instant) -> None:
        """An authentic packet came: the remote is there."""
        if source is not None and source != self._remote:
            self._remote = source
        if self._timers.deadline(Deadline.SILENCE) is not None:
            self._arm_silence(now)
        if self._heard or session.peer_id is None:
            return
        self._heard = True
        self._timers.cancel(Deadline.CONNECT)
        self._notices.append(InitialPacket(source=self._remote, session_id=session.peer_id))
        self._enter(ManagementState.AUTH)

    def _arm_silence(self, now: Instant) -> None:
        link = self._options.link
        limit = link.ping_restart or link.ping_exit
        if not limit and self._options.pull and self._transport is Transport.UDP:
            limit = PULL_PING_RESTART
        if limit:
            self._timers.arm(Deadline.SILENCE, now + limit)

    def _handle_peer_restart(self, now: Instant) -> None:
        """The server lost our session. Believed only when it proved knowledge of a key."""
        session = self._session
        believable = session is not None and session.is_wrapped
        if not isinstance(self._state, Running) or not believable:
            self.drops["other-session"] += 1
            return
        if self._options.tls.single_session:
            self.drops["single-session"] += 1
            return
        self._warn("the server began a new session: negotiating anew")
        self._start_over(now)

    def _start_over(self, now: Instant) -> None:
        """Begins a new session while the key in use serves on until it expires."""
        tunnel = self._tunnel
        if tunnel is None or self._session is None:
            raise LocalMisuse("there is no tunnel to keep")
        self._session.close()
        tunnel.ring.expire_primary(now, now + self._options.tls.tran_window)
        self._drain_ring(tunnel.ring)
        self._timers.cancel(Deadline.RENEGOTIATE)
        self._begin(now)

    # --- one negotiation -----------------------------------------------------------------------

    def _renegotiate(self, reason: str, now: Instant) -> None:
        """Begins a soft reset of our own, unless one is under way."""
        session, current = self._session, self._current
        if session is None or current is None or not isinstance(self._state, Running):
            return
        if not isinstance(current.phase, Settled):
            return
        session.begin_soft_reset(now)
        self._adopt_soft_reset(session, reason, now)

    def _adopt_soft_reset(self, session: ClientSession, reason: str, now: Instant) -> None:
        self._previous = self._current
        self._current = Negotiation(key=session.current)
        self._timers.cancel(Deadline.RENEGOTIATE)
        self._timers.arm(Deadline.HANDSHAKE, now + self._options.tls.hand_window)
        if self._tunnel is not None:
            self._tunnel.ring.expire_primary(now, now + self._options.tls.tran_window)
            self._drain_ring(self._tunnel.ring)
        self._notices.append(KeyRenegotiating(key_id=session.current.key_id, reason=reason))

    def _progress(self, now: Instant) -> None:
        """Moves the newest negotiation on as far as it goes, and reads what came in both."""
        current, previous = self._current, self._previous
        if current is None:
            return
        for verdict in current.key.tls.take_verdicts():
            self._notices.append(verdict)
        if isinstance(current.key.state, Established) and isinstance(current.phase, AwaitTls):
            self._tls_established(current, now)
        for negotiation in (previous, current):
            if negotiation is not None and not isinstance(self._state, Over):
                self._read(negotiation, now)
        broken = current.key.state
        if isinstance(broken, Broken) and not isinstance(self._state, Over):
            self._negotiation_failed(broken.failure, now)

    def _tls_established(self, current: Negotiation, now: Instant) -> None:
        peer = current.key.tls.peer()
        self._common_name = peer.common_name
        self._notices.append(
            ControlChannelReady(
                tls_version=peer.tls_version,
                cipher=peer.cipher,
                peer_certificate=peer.certificate,
            )
        )
        tls = self._options.tls
        if tls.tls_verify is None and tls.tls_export_cert is None:
            self._log_in(current, now)
            return
        action_id = self._next_action_id()
        current.phase = AwaitHook(action_id)
        self._actions.append(VerifyCertificates(id=action_id, chain=peer.chain))

    def _log_in(self, current: Negotiation, now: Instant) -> None:
        """Sends our key method message, once there is a login if one is needed."""
        login = self._token or self._login
        if self._options.login.auth_user_pass and login is None:
            action_id = self._next_action_id()
            current.phase = AwaitLogin(action_id)
            self._actions.append(AskCredentials(id=action_id))
            return
        try:
            source, message = self._introduction.message(self._entropy, login)
        except ValueError:
            self._finish(
                end.terminate(
                    "auth-failure",
                    "user name or password is too long, or holds a character that cannot be sent",
                    hard_error=True,
                )
            )
            return
        if self._options.login.auth_nocache:
            self._login = None
        current.phase = AwaitPeer(source)
        current.key.write(message, now)

    def _read(self, negotiation: Negotiation, now: Instant) -> None:
        """Reads the records of a negotiation; those that come too early wait in the key session."""
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
                self._negotiation_failed(TlsFailure(f"the server sent nonsense ({bad})"), now)
                return
            for text in texts:
                if not isinstance(self._state, Over):
                    self._handle_message(parse_message(text), now)

    def _key_exchanged(
        self, negotiation: Negotiation, message: KeyMethodMessage, now: Instant
    ) -> None:
        """Both key method messages are known: on to the push, or to the new data key."""
        self._timers.cancel(Deadline.HANDSHAKE)
        if negotiation is not self._current:
            return
        if isinstance(self._state, Running | Leaving) and self._tunnel is not None:
            self._settle(negotiation, self._tunnel, now)
            return
        items = parse_options_string(message.options_string)
        self._peer_cipher = peer_cipher(items)
        for mismatch in compare(
            expected_from_peer(client_terms(self._options, self._profile)), items
        ):
            if mismatch.serious:
                self._warn(f"WARNING: {mismatch}")
        if self._tunnel is None:
            self._notices.append(PeerConnected(common_name=self._common_name, remote=self._remote))
        if not self._options.pull:
            self._agree_without_push(negotiation, message, now)
            return
        self._state = AwaitPush()
        self._enter(ManagementState.GET_CONFIG)
        self._timers.arm(Deadline.PUSH_REQUEST, now + PUSH_REQUEST_DELAY)
        self._timers.arm(Deadline.PUSH_GIVE_UP, now + self._options.tls.hand_window)

    def _settle(self, negotiation: Negotiation, tunnel: OpenTunnelState, now: Instant) -> None:
        """Derives the data key of a negotiation and hands it to the key ring."""
        session = self._live_session()
        started = negotiation.key.started
        key = negotiation.derive(session.pair(), tunnel.agreement)
        session.mark_active()
        tls = self._options.tls
        wait = float(tls.hand_window)
        if tls.reneg_sec:
            wait = min(wait, tls.reneg_sec / 2)
        action_id = tunnel.ring.install(key, started + wait)
        self._drain_ring(tunnel.ring)
        tunnel.bytes_at_key, tunnel.packets_at_key = tunnel.bytes_now, tunnel.packets_now
        if tls.reneg_sec and not isinstance(self._state, Leaving):
            self._timers.arm(Deadline.RENEGOTIATE, now + tls.reneg_sec)
        if isinstance(self._state, Opening):
            self._state = InstallingFirst(action_id)

    def _negotiation_failed(self, failure: TlsFailure, now: Instant) -> None:
        self._warn(f"TLS_ERROR: {failure.reason}")
        self._warn("TLS Error: TLS handshake failed")
        explanation = f"TLS with {self._remote} failed: {failure.reason}"
        if failure.hint:
            explanation = f"{explanation}: {failure.hint}"
        self._give_up_negotiation(explanation, now)

    def _give_up_negotiation(self, explanation: str, now: Instant) -> None:
        """A failed renegotiation starts over while the old key serves; a first one ends it all."""
        self._flush(now)  # the alert for the peer
        first = self._current is None or self._current.key.key_id == 0
        keeps = (
            isinstance(self._state, Running)
            and not first
            and not self._options.tls.single_session
            and self._transport is Transport.UDP
        )
        if not keeps:
            self._finish(end.tls_error(self._options, explanation))
            return
        self._warn(f"{explanation}; the key in use goes on while a new session is negotiated")
        self._start_over(now)

    # --- control messages ----------------------------------------------------------------------

    def _handle_message(self, message: TextMessage, now: Instant) -> None:
        match message:
            case PushReply(items=items):
                self._handle_push_part(items, now)
            case AuthFailed():
                self._note("AUTH_FAILED", message.reason)
                if self._options.pull:
                    self._finish(
                        end.auth_failed(
                            message,
                            self._options,
                            self._profile,
                            token_in_use=self._token is not None,
                        )
                    )
            case AuthPending(timeout=timeout, keywords=keywords):
                self._note("AUTH_PENDING", ",".join(keywords))
                self._extend_push_wait(timeout, now)
            case Info(text=text):
                self._note("INFO", text)
            case InfoPre(text=text):
                self._note("INFO_PRE", text)
            case Restart(text=text):
                self._note("RESTART", text)
                self._finish(end.told_to_restart(message))
            case Halt(text=text):
                self._note("HALT", text)
                self._finish(end.told_to_halt(message))
            case Exit():
                self._note("EXIT", "")
                self._finish(end.restart("remote-exit", "the server said that it leaves"))
            case PushUpdate():
                self._note("PUSH_UPDATE", "not asked for, ignored")
            case Unknown(keyword=keyword, text=text):
                self._note(keyword, text)
            case PushRequest() | CrResponse():
                self.drops["message"] += 1
            case _:
                assert_never(message)

    def _handle_push_part(self, items: Sequence[str], now: Instant) -> None:
        self._notices.append(PushReceived(text=_redact(items)))
        try:
            whole = self._assembler.add(items)
        except Malformed:
            self._finish(end.restart(PUSH_FAILED, "the server pushed too much"))
            return
        if whole is None:
            return
        if isinstance(self._state, AwaitPush):
            self._apply_push(whole, now)
        elif isinstance(self._state, Running):
            self._take_token(apply_push(self._options, whole).options)

    def _apply_push(self, items: Sequence[str], now: Instant) -> None:
        result = apply_push(self._options, items)
        for option, reason in result.refused:
            self._notices.append(PushOptionRefused(option=option, reason=reason))
        if result.rejected_by_filter is not None:
            self._finish(
                end.restart(
                    PUSH_FAILED,
                    f"the pushed option '{result.rejected_by_filter}' is rejected by pull-filter",
                )
            )
            return
        if result.failure is not None:
            self._finish(end.restart(PUSH_FAILED, result.failure))
            return
        self._notices.append(OptionsImported(options=result.options, groups=result.groups))
        self._take_token(result.options)
        try:
            agreement = agree_on_pull(result.options.data, self._peer_cipher, self._capabilities)
        except PeerIncompatible as mismatch:
            self._finish(end.restart(PUSH_FAILED, mismatch.reason))
            return
        self._timers.cancel(Deadline.PUSH_REQUEST)
        self._timers.cancel(Deadline.PUSH_GIVE_UP)
        self._open_tunnel(result.options, agreement, result.digest, now)

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

    def _take_token(self, options: ClientOptions) -> None:
        """A pushed token takes the password's place at the next login."""
        login = options.login
        if login.auth_token is None:
            return
        known = self._token or self._login
        username = login.auth_token_user or (known.username if known is not None else "")
        self._token = Credentials(username=username, password=login.auth_token)

    def _extend_push_wait(self, timeout: int | None, now: Instant) -> None:
        if not isinstance(self._state, AwaitPush):
            return
        self._enter(ManagementState.AUTH_PENDING)
        if timeout is not None:
            tls = self._options.tls
            longest = max(tls.reneg_sec // 2, tls.hand_window)
            self._timers.arm(Deadline.PUSH_GIVE_UP, now + min(timeout, longest))

    # --- tunnel --------------------------------------------------------------------------------

    def _open_tunnel(
        self, options: ClientOptions, agreement: Agreement, digest: str, now: Instant
    ) -> None:
        config = tunnel_config(
            options,
            profile=self._profile,
            remote=self._remote,
            transport=self._transport,
            agreement=agreement,
            pulled_digest=digest,
        )
        session = self._live_session()
        if agreement.dyn_tls_crypt:
            session.use_dynamic_crypt(self._unix_time + int(now - self._started))
        if self._tunnel is not None:
            self._resume_tunnel(self._tunnel, config, agreement, now)
            return
        self._notices.append(
            DataChannelReady(
                cipher=agreement.cipher,
                format=agreement.format,
                peer_id=options.data.peer_id,
                ping=options.link.ping,
                ping_restart=options.link.ping_restart or options.link.ping_exit,
                protocol_flags=agreement.flags(),
            )
        )
        action_id = self._next_action_id()
        self._state = Opening(action_id, config, agreement)
        self._enter(ManagementState.ASSIGN_IP)
        self._actions.append(OpenTunnel(id=action_id, config=config))

    def _resume_tunnel(
        self,
        tunnel: OpenTunnelState,
        config: TunnelConfig,
        agreement: Agreement,
        now: Instant,
    ) -> None:
        """A session that replaced a failed one carries on only under the very same terms."""
        same = (
            config.pulled_digest == tunnel.config.pulled_digest
            and config.send_peer_id == tunnel.config.send_peer_id
            and agreement == tunnel.agreement
        )
        if not same or self._current is None:
            self._finish(
                end.tls_error(self._options, "the server's options changed with the new session")
            )
            return
        self._state = Running()
        self._settle(self._current, tunnel, now)

    def _tunnel_opened(self, opening: Opening, now: Instant) -> None:
        current = self._current
        if current is None:
            raise LocalMisuse("a tunnel opened without a negotiation")
        tunnel = OpenTunnelState(
            config=opening.config,
            agreement=opening.agreement,
            ring=KeyRing(opening.config.peer_id, self._next_action_id),
            options=opening.config.options,
            since=now,
        )
        self._tunnel = tunnel
        self._timers.cancel(Deadline.SILENCE)  # the data plane watches from here on
        self._enter(ManagementState.ADD_ROUTES)
        self._settle(current, tunnel, now)

    def _connected(self, tunnel: OpenTunnelState, now: Instant) -> None:
        self._state = Running()
        limit = tunnel.options.link.session_timeout
        if limit:
            self._timers.arm(Deadline.SESSION, now + limit)
        self._enter(ManagementState.CONNECTED)
        self._notices.append(Connected())

    # --- answers, reports, deadlines -----------------------------------------------------------

    def _complete(self, action_id: ActionId, result: ActionResult, now: Instant) -> None:
        match self._state:
            case AskingLogin(action_id=waited) if waited == action_id:
                if self._take_login(result):
                    self._begin(now)
                return
            case Opening(action_id=waited) if waited == action_id:
                if isinstance(result, Done):
                    self._tunnel_opened(self._state, now)
                else:
                    self._finish(end.terminate("tun-abort", _failure(result), hard_error=True))
                return
            case InstallingFirst(action_id=waited) if waited == action_id:
                if isinstance(result, Done) and self._tunnel is not None:
                    self._connected(self._tunnel, now)
                    return
            case _:
                pass
        current = self._current
        match None if current is None else current.phase:
            case AwaitHook(action_id=waited) if waited == action_id and current is not None:
                self._hook_answered(current, result, now)
                return
            case AwaitLogin(action_id=waited) if waited == action_id and current is not None:
                if self._take_login(result):
                    self._log_in(current, now)
                return
            case _:
                pass
        if isinstance(result, Failed):
            self._finish(end.restart("tls-error", f"the data plane failed: {result.reason}"))

    def _hook_answered(self, current: Negotiation, result: ActionResult, now: Instant) -> None:
        if isinstance(result, Done):
            self._log_in(current, now)
            self._progress(now)
            return
        self._notices.append(
            CertificateRejected(
                certificate=None,
                error="tls-verify script failed",
                hint=_failure(result),
            )
        )
        self._negotiation_failed(
            TlsFailure("certificate verify failed", "the tls-verify script refused it"), now
        )

    def _take_login(self, result: ActionResult) -> bool:
        if isinstance(result, Credentials):
            self._login = result
            return True
        self._finish(
            end.terminate(
                "auth-failure",
                f"no user name and password: {_failure(result)}",
                hard_error=True,
            )
        )
        return False

    def _handle_event(self, event: DataPlaneEvent, now: Instant) -> None:
        match event:
            case PeerSilent():
                self._finish(self._silent())
            case Inactive():
                self._finish(end.terminate("inactive", "too little traffic (inactive)"))
            case KeyExhausted(key_id=key_id):
                if self._tunnel is not None and self._tunnel.ring.primary == key_id:
                    self._renegotiate("the key's usage limit is near", now)
            case OccReceived(payload=payload):
                self._handle_occ(payload)
            case LinkLost(errno=errno):
                self._handle_link_loss(errno)
            case TunLost(errno=errno):
                self._finish(end.restart("tun-stop", f"the tun device is gone (errno {errno})"))
            case DecryptFailed():
                self._finish(end.restart("decryption-error", "a data packet did not authenticate"))
            case Floated(remote=remote):
                self._remote = remote
            case _:
                assert_never(event)

    def _silent(self) -> Ended:
        link = self._options.link if self._tunnel is None else self._tunnel.options.link
        sentence = "the server has been silent for too long"
        if link.ping_exit and not link.ping_restart:
            return end.terminate("ping-exit", sentence)
        return end.restart("ping-restart", sentence)

    def _handle_link_loss(self, errno: int) -> None:
        if self._transport is Transport.TCP:
            self._finish(
                end.restart("connection-reset", f"the connection was lost (errno {errno})")
            )
            return
        # On UDP this is a hint (ICMP) that anybody can fake: count it, and let silence decide.
        self.drops["link-error"] += 1
        if self.drops["link-error"] == 1:
            self._warn(f"the link to {self._remote} reports an error (errno {errno})")

    def _handle_occ(self, payload: bytes) -> None:
        if len(payload) <= len(OCC_MAGIC) or not payload.startswith(OCC_MAGIC):
            self.drops["occ"] += 1
            return
        match payload[len(OCC_MAGIC)]:
            case 6:
                self._note("EXIT", "")
                self._finish(end.restart("remote-exit", "the server said that it leaves"))
            case 0:
                text = options_string(client_terms(self._options, self._profile))
                self._send_inner(bytes((OCC_REPLY,)) + text.encode() + b"\0")
            case _:
                self.drops["occ"] += 1

    def _handle_deadline(self, name: Deadline, now: Instant) -> None:
        match name:
            case Deadline.CONNECT:
                self._finish(
                    end.restart(
                        "server_poll", self._explain_no_answer(self._profile.connect_timeout)
                    )
                )
            case Deadline.SILENCE:
                self._finish(self._silent())
            case Deadline.HANDSHAKE:
                self._handshake_timed_out(now)
            case Deadline.PUSH_REQUEST:
                self._notices.append(PushRequested(common_name=self._common_name))
                self._say("PUSH_REQUEST", now)
                self._timers.arm(Deadline.PUSH_REQUEST, now + PUSH_REQUEST_INTERVAL)
            case Deadline.PUSH_GIVE_UP:
                self._finish(end.restart("no-push-reply", "No reply from server to push requests"))
            case Deadline.RENEGOTIATE:
                self._renegotiate(f"sec={self._options.tls.reneg_sec}", now)
            case Deadline.SESSION:
                self._finish(end.terminate("session-timeout", "session-timeout reached"))
            case Deadline.LEAVE:
                self._leave_step(now)
            case _:
                assert_never(name)

    def _handshake_timed_out(self, now: Instant) -> None:
        window = self._options.tls.hand_window
        self._warn(
            f"TLS Error: TLS key negotiation failed to occur within {window} seconds "
            "(check your network connectivity)"
        )
        self._warn("TLS Error: TLS handshake failed")
        if self._heard:
            explanation = f"the handshake with {self._remote} was not finished in {window} seconds"
        else:
            explanation = self._explain_no_answer(window)
        self._give_up_negotiation(explanation, now)

    def _explain_no_answer(self, seconds: int) -> str:
        return end.explain_silence(self._remote, self._profile.wrapping, seconds, self.drops)

    # --- leaving -------------------------------------------------------------------------------

    def _exit_notices(self) -> int:
        """How often the server is told that we leave; 0 when it is not."""
        if self._transport is not Transport.UDP or self._tunnel is None:
            return 0
        pushed = self._tunnel.options.link.explicit_exit_notify
        return (self._profile.explicit_exit_notify if pushed is None else pushed) or 0

    def _leave_step(self, now: Instant) -> None:
        state = self._state
        if not isinstance(state, Leaving):
            return
        if state.occ_left == 0:
            self._finish(end.terminate("exit-with-notification", ""))
            return
        self._send_inner(bytes((OCC_EXIT,)))
        self._state = Leaving(state.reason, state.occ_left - 1)
        self._timers.arm(Deadline.LEAVE, now + EXIT_INTERVAL)

    def _finish(self, ended: Ended) -> None:
        """Gives the last notice and wipes what is secret; later inputs do nothing."""
        if isinstance(self._state, Over):
            return
        self._state = Over()
        self._timers.clear()
        self._actions.clear()
        self._notices.append(ended)

    # --- small helpers -------------------------------------------------------------------------

    def _say(self, text: str, now: Instant) -> None:
        """Sends a control message on the newest negotiation that is open."""
        for negotiation in (self._current, self._previous):
            if negotiation is not None and negotiation.is_open:
                negotiation.key.write(encode_message(text), now)
                return

    def _send_inner(self, message: bytes) -> None:
        if self._tunnel is not None:
            self._actions.append(
                SendInner(
                    id=self._next_action_id(),
                    peer_id=self._tunnel.config.peer_id,
                    payload=OCC_MAGIC + message,
                )
            )

    def _flush(self, now: Instant) -> None:
        """Wraps what is to be sent; after the end once more, so that an alert still leaves."""
        session = self._session
        if session is None:
            return
        destination = self._remote if self._transport is Transport.UDP else None
        for packet in session.outgoing(now):
            self._transmits.append(Transmit(packet, destination))
        if isinstance(self._state, Over):
            session.close()
            self._session = None
        elif isinstance(self._state, Leaving) and self._state.occ_left == 0:
            self._leave_when_heard(now)

    def _leave_when_heard(self, now: Instant) -> None:
        tunnel, current = self._tunnel, self._current
        if tunnel is None or not tunnel.agreement.cc_exit or current is None:
            return
        if current.key.all_acknowledged:
            self._leave_step(now)

    def _drain_ring(self, ring: KeyRing) -> None:
        while (action := ring.poll_action()) is not None:
            self._actions.append(action)

    def _live_session(self) -> ClientSession:
        if self._session is None:
            raise LocalMisuse("no session")
        return self._session

    def _next_action_id(self) -> ActionId:
        self._last_action += 1
        return ActionId(self._last_action)

    def _enter(self, state: ManagementState) -> None:
        self._notices.append(StateEntered(state=state))

    def _note(self, keyword: str, text: str) -> None:
        self._notices.append(ControlMessage(keyword=keyword, text=text))

    def _warn(self, text: str) -> None:
        self._notices.append(Warned(text=text))


def _failure(result: ActionResult) -> str:
    return result.reason if isinstance(result, Failed) else "unexpected answer"


def _redact(items: Sequence[str]) -> str:
    """The push as it may be logged: tokens are blanked."""
    shown = ("auth-token [secret]" if item.startswith("auth-token ") else item for item in items)
    return ",".join(("PUSH_REPLY", *shown))
