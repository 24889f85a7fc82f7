"""The machine of a tunnel with a static key: no TLS, no control channel, no renegotiation.

Responsible for opening the tunnel under the configured key, for telling when the other peer is
there, for the OCC messages both exchange inside the data channel, and for the end. Inputs and
outputs are those of ``client.ClientMachine``, so that the shell drives either alike.
"""

from collections import Counter

from ginnel.core import client_end as end
from ginnel.core import events
from ginnel.core.actions import (
    Action,
    ActionResult,
    Credentials,
    Done,
    InstallKey,
    OpenTunnel,
    SendInner,
    TunnelConfig,
)
from ginnel.core.client_leave import EXIT_INTERVAL
from ginnel.core.client_outbox import Outbox
from ginnel.core.client_talk import failure_of
from ginnel.core.data_key import KeySlot
from ginnel.core.errors import LocalMisuse, PeerIncompatible
from ginnel.core.key_files import parse_static_key
from ginnel.core.negotiate import DataCapabilities, agree_without_tls
from ginnel.core.notices import (
    Advance,
    Connected,
    DataChannelReady,
    Ended,
    ManagementState,
    Notice,
    Outcome,
    PeerConnected,
)
from ginnel.core.occ import (
    OccOperation,
    exit_payload,
    read_occ,
    reply_payload,
    reply_text,
    request_payload,
)
from ginnel.core.options_string import (
    client_options_string,
    client_terms,
    compare,
    expected_from_peer,
    parse_options_string,
)
from ginnel.core.path_mtu import fit_tunnel
from ginnel.core.payload import explain_framing
from ginnel.core.static_state import (
    Deadline,
    Idle,
    Installing,
    Leaving,
    Opening,
    Over,
    Running,
    State,
    Waiting,
)
from ginnel.core.timers import Timers
from ginnel.core.tunnel_config import tunnel_config
from ginnel.core.types import ActionId, Endpoint, Instant, KeyId, Transmit, Transport
from ginnel.dataclass import replace
from ginnel.hints import assert_never
from ginnel.options.model import ClientOptions, ConnectionProfile, LinkProtocol

OCC_INTERVAL = 10.0
"""Seconds between two requests for the other's options string (protocol-facts 12)."""

OCC_TRIES = 12

STATIC_KEY_ID = KeyId(0)
"""No packet bears it: there is one key."""


class StaticPeerMachine:
    """See the module. One object lives for one attempt; a retry is a new one."""

    def __init__(
        self,
        *,
        options: ClientOptions,
        profile: ConnectionProfile,
        remote: Endpoint,
        unix_time: int,
        capabilities: DataCapabilities,
    ) -> None:
        """``unix_time`` (seconds) tells the packets of this attempt from those of earlier ones.

        An unspecified ``remote`` is anybody who has the key.
        """
        if options.data.static_key is None:
            raise LocalMisuse("a static-key tunnel has a key")
        self._key = parse_static_key(options.data.static_key)
        self._unix_time = unix_time
        self._options = options
        self._profile = profile
        self._remote = remote
        self._capabilities = capabilities
        tcp = profile.protocol is not LinkProtocol.UDP
        self._transport = Transport.TCP if tcp else Transport.UDP
        self._outbox = Outbox()
        self._timers: Timers[Deadline] = Timers()
        self._state: State = Idle()
        self._requests = 0
        self.drops: Counter[str] = Counter()

    @property
    def token(self) -> Credentials | None:
        """Nobody pushes a token here."""
        return None

    # --- inputs --------------------------------------------------------------------------------

    def start(self, now: Instant) -> None:
        """Opens the tunnel: there is nobody to be asked first."""
        if not isinstance(self._state, Idle):
            raise LocalMisuse("a machine starts once")
        try:
            agreement = agree_without_tls(self._options.data, self._capabilities)
        except PeerIncompatible as mismatch:
            self._finish(end.terminate("init_instance", mismatch.reason, hard_error=True))
            return
        config = tunnel_config(
            self._options,
            profile=self._profile,
            remote=self._remote,
            transport=self._transport,
            agreement=agreement,
            device_items=(),
        )
        self._outbox.enter(ManagementState.ASSIGN_IP)
        action_id = self._outbox.ask(lambda new: OpenTunnel(id=new, config=config, await_peer=True))
        self._state = Opening(action_id, config, agreement)

    def receive(
        self, packet: bytes, source: Endpoint | None, now: Instant, *, more: bool = False
    ) -> None:
        """There are no control packets; what comes before the data plane listens is lost."""
        self.drops["state"] += 1

    def handle_timeout(self, now: Instant) -> None:
        """Does what is due; harmless when nothing is."""
        for name in self._timers.take_due(now):
            if not isinstance(self._state, Over):
                self._handle_deadline(name, now)

    def complete(self, action_id: ActionId, result: ActionResult, now: Instant) -> None:
        """Answers an action. An answer that nobody waits for any more is ignored."""
        match self._state:
            case Opening(action_id=waited) if waited == action_id:
                if isinstance(result, Done):
                    self._install_key(self._state)
                else:
                    self._finish(end.terminate("tun-abort", failure_of(result), hard_error=True))
            case Installing(action_id=waited) if waited == action_id:
                if isinstance(result, Done):
                    self._wait_for_peer(self._state, now)
                else:
                    self._finish(
                        end.terminate("init_instance", failure_of(result), hard_error=True)
                    )
            case _:
                pass  # an OCC message was sent, or not: nothing depends on it

    def handle_data_plane(self, event: events.DataPlaneEvent, now: Instant) -> None:
        """Takes a report of the data plane or of the link."""
        match event:
            case events.PeerHeard():
                self._heard(now)
            case events.PeerSilent():
                self._finish(self._silent())
            case events.Inactive():
                self._finish(end.terminate("inactive", "too little traffic (inactive)"))
            case events.KeyExhausted():
                # A new start begins a new sequence of packet-ids, told apart by its time.
                self._finish(end.restart("tls-error", "the packet numbers of the key ran out"))
            case events.OccReceived(payload=payload):
                self._handle_occ(payload)
            case events.LinkLost(errno=errno):
                self._handle_link_loss(errno)
            case events.TunLost(errno=errno):
                self._finish(end.restart("tun-stop", f"the tun device is gone (errno {errno})"))
            case events.DecryptFailed():
                self._finish(end.restart("decryption-error", "a data packet is not authentic"))
            case events.Floated(remote=remote):
                self._remote = remote
            case events.FramingMismatch(first=first):
                config = self._config()
                if config is not None:
                    self._outbox.warn(explain_framing(config.payload, first))
            case events.PathMtuFound(mtu=mtu):
                self._fit_path(mtu)
            case _:
                assert_never(event)

    def report_traffic(self, total_bytes: int, total_packets: int, now: Instant) -> None:
        """The key stays the same however much it carries."""

    def respond(self, response: str, now: Instant) -> bool:
        """Nobody asks anything here."""
        return False

    def forget_login(self) -> None:
        """There is none."""

    def close(self, reason: str, now: Instant, *, outcome: Outcome = Outcome.TERMINATE) -> None:
        """Ends the tunnel. On TERMINATE the peer is told where that is configured."""
        if isinstance(self._state, Over | Leaving):
            return
        notices = self._profile.explicit_exit_notify or 0
        running = isinstance(self._state, Running | Waiting)
        told = outcome is Outcome.TERMINATE and running and self._transport is Transport.UDP
        if told and notices:
            self._timers.clear()
            self._say_goodbye(notices, now)
            return
        self._finish(
            Ended(outcome=outcome, signal_text=reason, advance=Advance.SAME, explanation="")
        )

    # --- outputs -------------------------------------------------------------------------------

    def poll_transmit(self) -> Transmit | None:
        """The next packet for the link: never one, all go through the data plane."""
        return None

    def poll_notice(self) -> Notice | None:
        """The next thing that happened."""
        return self._outbox.notices.popleft() if self._outbox.notices else None

    def poll_action(self) -> Action | None:
        """The next thing to do for this machine."""
        return self._outbox.actions.popleft() if self._outbox.actions else None

    def poll_timeout(self) -> Instant | None:
        """When to call ``handle_timeout``; None when there is nothing to wait for."""
        return self._timers.next()

    # --- start ---------------------------------------------------------------------------------

    def _install_key(self, opening: Opening) -> None:
        config, agreement = opening.config, opening.agreement
        send, receive = self._key.by_direction(self._options.data.static_key_direction)
        key = agreement.key_shape.cut(
            send, receive, key_id=STATIC_KEY_ID, packet_time=self._unix_time
        )
        action_id = self._outbox.ask(
            lambda new: InstallKey(id=new, peer_id=config.peer_id, slot=KeySlot.PRIMARY, key=key)
        )
        self._state = Installing(action_id, config, agreement)

    def _wait_for_peer(self, installing: Installing, now: Instant) -> None:
        """The tunnel carries packets; whether the other peer is there, its first one tells."""
        self._state = Waiting(installing.config, installing.agreement)
        self._request_options(now)

    def _heard(self, now: Instant) -> None:
        if not isinstance(self._state, Waiting):
            return
        config, agreement = self._state.config, self._state.agreement
        self._state = Running(config)
        if self._options.link.session_timeout:
            self._timers.arm(Deadline.SESSION, now + self._options.link.session_timeout)
        link = self._options.link
        self._outbox.tell(PeerConnected(common_name="", remote=self._remote))
        self._outbox.tell(
            DataChannelReady(
                cipher=agreement.cipher,
                format=agreement.format,
                digest=agreement.digest,
                key_bits=agreement.key_bits,
                peer_id=None,
                ping=link.ping,
                ping_restart=link.ping_restart or link.ping_exit,
                protocol_flags=(),
            )
        )
        self._outbox.enter(ManagementState.ADD_ROUTES)
        self._outbox.enter(ManagementState.CONNECTED)
        self._outbox.tell(Connected())

    # --- OCC -----------------------------------------------------------------------------------

    def _config(self) -> TunnelConfig | None:
        match self._state:
            case Waiting(config=config) | Running(config=config) | Leaving(config=config):
                return config
            case _:
                return None

    def _send_inner(self, payload: bytes) -> None:
        config = self._config()
        if config is not None:
            peer_id = config.peer_id
            self._outbox.ask(lambda new: SendInner(id=new, peer_id=peer_id, payload=payload))

    def _request_options(self, now: Instant) -> None:
        """Asks for the peer's options string; a first answer also shows that it is there."""
        if self._requests >= OCC_TRIES:
            return
        self._requests += 1
        self._send_inner(request_payload())
        self._timers.arm(Deadline.OCC_REQUEST, now + OCC_INTERVAL)

    def _handle_occ(self, payload: bytes) -> None:
        match read_occ(payload):
            case OccOperation.EXIT:
                self._outbox.message("EXIT", "")
                self._finish(end.peer_left())
            case OccOperation.REQUEST:
                self._send_inner(reply_payload(client_options_string(self._options, self._profile)))
            case OccOperation.REPLY:
                self._compare_options(reply_text(payload))
            case _:
                self.drops["occ"] += 1

    def _compare_options(self, text: str) -> None:
        """Tells what differs at the other end, once: nobody negotiates anything here."""
        if self._timers.deadline(Deadline.OCC_REQUEST) is None:
            return
        self._timers.cancel(Deadline.OCC_REQUEST)
        expected = expected_from_peer(client_terms(self._options, self._profile))
        for mismatch in compare(expected, parse_options_string(text)):
            self._outbox.warn(f"WARNING: {mismatch}")

    # --- reports, deadlines and the end --------------------------------------------------------

    def _silent(self) -> Ended:
        sentence = f"nothing came from {self._remote} for too long"
        if self._options.link.ping_exit and not self._options.link.ping_restart:
            return end.terminate("ping-exit", sentence)
        return end.restart("ping-restart", sentence)

    def _handle_link_loss(self, errno: int) -> None:
        if self._transport is Transport.TCP:
            self._finish(end.restart("connection-reset", f"connection lost (errno {errno})"))
            return
        self.drops["link-error"] += 1
        if self.drops["link-error"] == 1:
            self._outbox.warn(end.explain_link_error(self._remote, errno))

    def _fit_path(self, mtu: int) -> None:
        state = self._state
        if not isinstance(state, Waiting | Running):
            return
        config = state.config
        fit = fit_tunnel(
            config,
            self._profile,
            mtu,
            remote=self._remote,
            transport=self._transport,
            packet=agree_without_tls(self._options.data, self._capabilities).overhead,
        )
        if fit is not None:
            fit.tell(self._outbox, config.peer_id, config.payload)
            self._profile = fit.profile
            self._state = replace(state, config=fit.fitted(config))

    def _handle_deadline(self, name: Deadline, now: Instant) -> None:
        match name:
            case Deadline.OCC_REQUEST:
                self._request_options(now)
            case Deadline.SESSION:
                self._finish(end.terminate("session-timeout", "session-timeout is reached"))
            case Deadline.LEAVE:
                left = self._state.notices_left if isinstance(self._state, Leaving) else 0
                if left:
                    self._say_goodbye(left, now)
                else:
                    self._finish(end.terminate("exit-with-notification", ""))
            case _:
                assert_never(name)

    def _say_goodbye(self, notices: int, now: Instant) -> None:
        self._send_inner(exit_payload())
        config = self._config()
        if config is None:
            raise LocalMisuse("there is no tunnel to say goodbye through")
        self._state = Leaving(config, notices - 1)
        self._timers.arm(Deadline.LEAVE, now + EXIT_INTERVAL)

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
