"""How a client's tunnel comes up: options agreed, device opened, first key in place.

Responsible for the steps from an agreement to a running tunnel, and for putting the data key of
every later negotiation to work. Which terms hold is ``client_push``'s business.
"""

from ginnel.core import client_end as end
from ginnel.core.actions import ActionResult, Done, OpenTunnel, TunnelConfig, UpdateTunnel
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_mtu_test import MtuTest
from ginnel.core.client_push import PUSH_FAILED
from ginnel.core.client_state import Deadline, InstallingFirst, Leaving, Opening, Running
from ginnel.core.client_talk import failure_of
from ginnel.core.client_tunnel import ClientTunnel
from ginnel.core.negotiate import Agreement
from ginnel.core.negotiation import Negotiation, Settled
from ginnel.core.notices import Connected, DataChannelReady, Ended, ManagementState
from ginnel.core.tunnel_config import tunnel_config
from ginnel.core.types import UNDEFINED_PEER_ID, ActionId, Instant, Transport
from ginnel.options.model import ClientOptions

EXIT_NOTIFY_REFUSED = "OPTIONS IMPORT: --explicit-exit-notify can only be used with --proto udp"
"""Said of a push over TCP, where the end of the connection tells the server."""


class ClientSetup:
    """Opens the tunnel once, and gives it its keys."""

    def __init__(self, course: ClientCourse, mtu_test: MtuTest) -> None:
        self._course = course
        self._wanted: ClientOptions | None = None
        """Options of an update that came before the tunnel was up."""
        self._updating: dict[ActionId, TunnelConfig] = {}
        self._mtu_test = mtu_test

    def open(
        self,
        options: ClientOptions,
        agreement: Agreement,
        device_items: tuple[str, ...],
        now: Instant,
    ) -> None:
        """Asks for the tunnel; goes on with the one that there is when it fits.

        ``options`` are those after the push, ``device_items`` what of it the device follows from.
        """
        course = self._course
        config = tunnel_config(
            options,
            profile=course.profile,
            remote=course.link.remote,
            transport=course.link.transport,
            agreement=agreement,
            device_items=device_items,
        )
        if options.link.explicit_exit_notify and course.link.transport is Transport.TCP:
            course.outbox.warn(EXIT_NOTIFY_REFUSED)
        if course.finish_if(_contradiction(config)):
            return
        if course.tunnel is not None:
            self._go_on(course.tunnel, config, agreement, now)
            return
        peer_id = agreement.send_peer_id
        course.outbox.tell(
            DataChannelReady(
                cipher=agreement.cipher,
                digest=agreement.digest,
                key_bits=agreement.key_bits,
                limits_bytes=config.options.tls.reneg_bytes != options.tls.reneg_bytes,
                format=agreement.format,
                peer_id=None if peer_id == UNDEFINED_PEER_ID else int(peer_id),
                ping=options.link.ping,
                ping_restart=options.link.ping_restart,
                ping_exit=options.link.ping_exit,
                inactive=options.link.inactive,
                session_timeout=options.link.session_timeout,
                protocol_flags=agreement.flags(),
                compression=options.data.compression,
            )
        )
        course.outbox.enter(ManagementState.ASSIGN_IP)
        action_id = course.outbox.ask(lambda new_id: OpenTunnel(id=new_id, config=config))
        course.state = Opening(action_id, config, agreement)

    def _go_on(
        self, tunnel: ClientTunnel, config: TunnelConfig, agreement: Agreement, now: Instant
    ) -> None:
        """A session that replaced a failed one has its options."""
        course = self._course
        if not tunnel.fits(config, agreement):
            sentence = "the server's options changed with the new session"
            course.finish(end.tls_error(course.options, sentence))
            return
        course.state = Running()
        if not isinstance(course.link.current.phase, Settled):
            self.settle(course.link.current, tunnel, now)
        elif course.options.tls.reneg_sec:
            course.timers.arm(Deadline.RENEGOTIATE, now + course.options.tls.reneg_sec)

    def opened(self, opening: Opening, result: ActionResult, now: Instant) -> None:
        """Takes the answer to OpenTunnel."""
        course = self._course
        if not isinstance(result, Done):
            course.finish(end.terminate("tun-abort", failure_of(result), hard_error=True))
            return
        course.tunnel = ClientTunnel(
            config=opening.config,
            agreement=opening.agreement,
            tls=opening.config.options.tls,
            outbox=course.outbox,
            now=now,
        )
        course.timers.cancel(Deadline.SILENCE)  # the data plane watches from here on
        course.outbox.enter(ManagementState.ADD_ROUTES)
        self.settle(course.link.current, course.tunnel, now)

    # --- changes while it is up ----------------------------------------------------------------

    def update(self, options: ClientOptions) -> None:
        """Asks for the tunnel to be changed to other options, now or as soon as it is up."""
        course = self._course
        tunnel = course.tunnel
        if tunnel is None or isinstance(course.state, Opening | InstallingFirst):
            self._wanted = options
            return
        config = tunnel_config(
            options,
            profile=course.profile,
            remote=course.link.remote,
            transport=course.link.transport,
            agreement=tunnel.agreement,
            device_items=tunnel.config.device_items,
        )
        if course.finish_if(_contradiction(config)):
            return
        course.outbox.enter(ManagementState.ASSIGN_IP)
        course.outbox.enter(ManagementState.ADD_ROUTES)
        action_id = course.outbox.ask(lambda new_id: UpdateTunnel(id=new_id, config=config))
        self._updating[action_id] = config

    def take_update(self, action_id: ActionId, result: ActionResult) -> bool:
        """Takes the answer to UpdateTunnel; whether it was one."""
        course = self._course
        config = self._updating.pop(action_id, None)
        if config is None:
            return False
        if not isinstance(result, Done) or course.tunnel is None:
            course.finish(end.restart(PUSH_FAILED, failure_of(result)))
        else:
            course.tunnel.config = config
        return True

    # --- keys ----------------------------------------------------------------------------------

    def settle(self, negotiation: Negotiation, tunnel: ClientTunnel, now: Instant) -> None:
        """Derives the data key of a negotiation and hands it to the key ring."""
        course = self._course
        session, tls = course.link.session, course.options.tls
        if negotiation.key.key_id == 0 and tunnel.agreement.dyn_tls_crypt:
            session.use_dynamic_crypt(course.unix_time(now))
        action_id = tunnel.keys.settle(negotiation, session.pair(), now)
        session.mark_active()
        if isinstance(course.state, Opening) and action_id is not None:
            course.state = InstallingFirst(action_id)
        if tls.reneg_sec and not isinstance(course.state, Leaving):
            course.timers.arm(Deadline.RENEGOTIATE, now + tls.reneg_sec)

    def first_key_installed(self, now: Instant) -> None:
        """The tunnel carries data."""
        course = self._course
        course.state = Running()
        if course.tunnel is not None and course.tunnel.config.options.link.session_timeout:
            limit = course.tunnel.config.options.link.session_timeout
            course.timers.arm(Deadline.SESSION, now + limit)
        course.outbox.enter(ManagementState.CONNECTED)
        course.outbox.tell(Connected())
        self._mtu_test.begin(now)
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self.update(wanted)


def _contradiction(config: TunnelConfig) -> Ended | None:
    """A tunnel's address that would make the server a part of this host cannot be used."""
    tun = config.options.tun
    own = (
        None if tun.ifconfig is None else tun.ifconfig[0],
        None if tun.ifconfig_ipv6 is None else tun.ifconfig_ipv6.ip,
    )
    if config.remote.address not in own:
        return None
    sentence = f"the server pushed its own address {config.remote.address} as ours"
    return end.restart(PUSH_FAILED, sentence)
