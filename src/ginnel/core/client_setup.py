"""How a client's tunnel comes up: options agreed, device opened, first key in place.

Responsible for the steps from an agreement to a running tunnel, and for putting the data key of
every later negotiation to work. Which terms hold is ``client_push``'s business.
"""

from ginnel.core import client_end as end
from ginnel.core.actions import ActionResult, Done, OpenTunnel, TunnelConfig
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_exchange import Negotiation, Settled
from ginnel.core.client_state import Deadline, InstallingFirst, Leaving, Opening, Running
from ginnel.core.client_talk import failure_of
from ginnel.core.client_tunnel import ClientTunnel
from ginnel.core.negotiate import Agreement
from ginnel.core.notices import Connected, DataChannelReady, ManagementState
from ginnel.core.tunnel_config import tunnel_config
from ginnel.core.types import UNDEFINED_PEER_ID, Instant, Transport
from ginnel.options.model import ClientOptions

EXIT_NOTIFY_REFUSED = "OPTIONS IMPORT: --explicit-exit-notify can only be used with --proto udp"
"""Said of a push over TCP, where the end of the connection tells the server."""


class ClientSetup:
    """Opens the tunnel once, and gives it its keys."""

    def __init__(self, course: ClientCourse) -> None:
        self._course = course

    def open(self, options: ClientOptions, agreement: Agreement, digest: str, now: Instant) -> None:
        """Asks for the tunnel; goes on with the one that there is when it fits.

        ``options`` are those after the push, whose digest is ``digest``.
        """
        course = self._course
        config = tunnel_config(
            options,
            profile=course.profile,
            remote=course.link.remote,
            transport=course.link.transport,
            agreement=agreement,
            pulled_digest=digest,
        )
        if options.link.explicit_exit_notify and course.link.transport is Transport.TCP:
            course.outbox.warn(EXIT_NOTIFY_REFUSED)
        if course.tunnel is not None:
            self._go_on(course.tunnel, config, agreement, now)
            return
        peer_id = agreement.send_peer_id
        course.outbox.tell(
            DataChannelReady(
                cipher=agreement.cipher,
                format=agreement.format,
                peer_id=None if peer_id == UNDEFINED_PEER_ID else int(peer_id),
                ping=options.link.ping,
                ping_restart=options.link.ping_restart or options.link.ping_exit,
                protocol_flags=agreement.flags(),
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
            tls=course.options.tls,
            outbox=course.outbox,
            now=now,
        )
        course.timers.cancel(Deadline.SILENCE)  # the data plane watches from here on
        course.outbox.enter(ManagementState.ADD_ROUTES)
        self.settle(course.link.current, course.tunnel, now)

    def settle(self, negotiation: Negotiation, tunnel: ClientTunnel, now: Instant) -> None:
        """Derives the data key of a negotiation and hands it to the key ring."""
        course = self._course
        session, tls = course.link.session, course.options.tls
        if negotiation.key.key_id == 0 and tunnel.agreement.dyn_tls_crypt:
            session.use_dynamic_crypt(course.unix_time(now))
        action_id = tunnel.settle(negotiation, session.pair(), now)
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
