"""What a server does about reports of the data plane and of the link of one client.

Responsible for turning each report into an end, a renegotiation or an answer. Noticing is the data
plane's and the shell's business.
"""

from ginnel.core import events, occ
from ginnel.core import server_end as end
from ginnel.core.actions import SendInner
from ginnel.core.mtu_mirror import MtuMirror
from ginnel.core.options_string import options_string
from ginnel.core.path_mtu import fit_path
from ginnel.core.payload import explain_framing
from ginnel.core.server_course import ServerCourse, ServerTunnel
from ginnel.core.server_exchange import server_terms
from ginnel.core.server_notices import ClientMoved
from ginnel.core.server_sessions import ServerSessions
from ginnel.core.server_terms import client_overhead, own_data, server_tun_mtu
from ginnel.core.tunnel_config import Overhead
from ginnel.core.types import Endpoint, Instant, Transport
from ginnel.dataclass import replace
from ginnel.hints import assert_never


class ServerReports:
    """Handles what is reported while the machine is not over."""

    def __init__(self, course: ServerCourse, sessions: ServerSessions) -> None:
        self._course = course
        self._sessions = sessions
        self._mirror = MtuMirror()

    def handle(self, event: events.DataPlaneEvent, now: Instant) -> None:
        """Takes one report."""
        course = self._course
        match event:
            case events.PeerHeard():
                pass  # the control channel showed it long before
            case events.PeerSilent():
                self._silent()
            case events.Inactive():
                course.finish(end.terminate("inactive", "too little traffic (inactive)"))
            case events.KeyExhausted(key_id=key_id):
                if course.tunnel is not None and course.tunnel.keys.seals_with(key_id):
                    self._sessions.renegotiate(now)
            case events.OccReceived(payload=payload):
                self._handle_occ(payload)
            case events.LinkLost(errno=errno):
                self._handle_link_loss(errno)
            case events.TunLost(errno=errno):
                course.finish(end.restart("tun-stop", f"the tun device is gone (errno {errno})"))
            case events.DecryptFailed():
                course.finish(end.restart("decryption-error", "a data packet is not authentic"))
            case events.Floated(remote=remote):
                self._move(remote)
            case events.FramingMismatch(first=first):
                self._warn_of_framing(first)
            case events.PathMtuFound(mtu=mtu):
                self._fit_path(mtu)
            case _:
                assert_never(event)

    def count_traffic(self, total_bytes: int, total_packets: int, now: Instant) -> None:
        """Takes the counters of the tun side; enough of it asks for a new key."""
        tunnel = self._course.tunnel
        if tunnel is not None and tunnel.keys.count_traffic(total_bytes, total_packets):
            self._sessions.renegotiate(now)

    def _silent(self) -> None:
        course = self._course
        own = None if course.tunnel is None else course.tunnel.agreed.terms.config
        link = course.options.link
        restart = link.ping_restart if own is None or own.ping_restart is None else own.ping_restart
        if restart:
            course.finish(end.restart("ping-restart", "nothing came for too long"))
        else:
            course.finish(end.terminate("ping-exit", "nothing came for too long"))

    def _handle_link_loss(self, errno: int) -> None:
        """A stream that is lost ends its client; errors of UDP may be anybody's."""
        course = self._course
        if course.link.transport is Transport.TCP:
            course.finish(end.stream_lost(errno))
        else:
            course.link.drops["link-error"] += 1

    def _move(self, remote: Endpoint) -> None:
        course = self._course
        tunnel = course.tunnel
        if tunnel is None or remote == course.link.remote:
            return
        course.link.remote = remote
        course.facts = replace(course.facts, remote=remote)
        tunnel.agreed = replace(tunnel.agreed, client=course.facts)
        course.outbox.tell(ClientMoved(remote=remote))

    def _warn_of_framing(self, first: int) -> None:
        course = self._course
        if course.tunnel is not None:
            course.outbox.warn(explain_framing(course.tunnel.agreed.payload, first, "client"))

    def _fit_path(self, mtu: int) -> None:
        """Lowers what is too large for the path to this client, until it connects anew."""
        course, tunnel = self._course, self._course.tunnel
        if tunnel is None:
            return
        agreed = tunnel.agreed
        fit = fit_path(
            course.options.profile,
            mtu,
            version=course.link.remote.address.version,
            tun_mtu=server_tun_mtu(course.options),
            overhead=self._overhead(tunnel),
        )
        if fit is not None:
            fit.tell(course.outbox, agreed.client.peer_id, agreed.payload)
            course.options = replace(course.options, profile=fit.profile)
            tunnel.agreed = replace(
                agreed,
                mss_ipv4=fit.mss_ipv4,
                mss_ipv6=fit.mss_ipv6,
                payload=replace(agreed.payload, fragment=fit.fragment),
            )

    # --- OCC -----------------------------------------------------------------------------------

    def _handle_occ(self, payload: bytes) -> None:
        course = self._course
        tunnel = course.tunnel
        operation = occ.read_occ(payload)
        if operation is occ.OccOperation.EXIT:
            course.outbox.warn("OCC exit message received by peer")
            course.finish(end.restart("remote-exit", "the client said that it leaves"))
        elif operation is occ.OccOperation.REQUEST and tunnel is not None:
            self._send(tunnel, occ.reply_payload(self._options_text()))
        elif operation in occ.MTU_OPERATIONS and tunnel is not None:
            self._mirror_mtu(tunnel, operation, payload)
        else:
            course.link.drops["occ"] += 1

    def _mirror_mtu(
        self, tunnel: ServerTunnel, operation: occ.OccOperation | None, payload: bytes
    ) -> None:
        """Answers a client that measures the MTU."""
        course = self._course
        cost = self._overhead(tunnel).inside_datagram
        answer = self._mirror.answer(
            operation, payload, overhead=cost, largest=server_tun_mtu(course.options) + cost
        )
        if answer is not None:
            self._send(tunnel, answer)

    def _overhead(self, tunnel: ServerTunnel) -> Overhead:
        options, agreed = self._course.options, tunnel.agreed
        own = own_data(options.data, agreed.terms.config)
        return client_overhead(
            options, agreed.client, agreed.agreement, tunnel.compression or own.compression
        )

    def _options_text(self) -> str:
        course = self._course
        active = course.link.active
        items = {} if active is None else active.items
        return options_string(server_terms(course.options, course.link.transport, items))

    def _send(self, tunnel: ServerTunnel, payload: bytes) -> None:
        peer_id = tunnel.agreed.client.peer_id
        self._course.outbox.ask(
            lambda new_id: SendInner(id=new_id, peer_id=peer_id, payload=payload)
        )
