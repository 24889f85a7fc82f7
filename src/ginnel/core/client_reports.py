"""What a client does about reports of the data plane and of the link.

Responsible for turning each report into an end, a renegotiation or an answer. Noticing is the data
plane's and the shell's business.
"""

from ginnel.core import client_end as end
from ginnel.core import events
from ginnel.core.actions import SendInner
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_mtu_test import MtuTest
from ginnel.core.client_sessions import ClientSessions
from ginnel.core.occ import MTU_OPERATIONS, OccOperation, read_occ, reply_payload
from ginnel.core.options_string import client_options_string
from ginnel.core.path_mtu import fit_tunnel
from ginnel.core.payload import explain_framing
from ginnel.core.types import Instant, Transport
from ginnel.hints import assert_never


class ClientReports:
    """Handles what is reported while the machine is not over."""

    def __init__(self, course: ClientCourse, sessions: ClientSessions, mtu_test: MtuTest) -> None:
        self._course = course
        self._sessions = sessions
        self._mtu_test = mtu_test

    def handle(self, event: events.DataPlaneEvent, now: Instant) -> None:
        """Takes one report."""
        course = self._course
        match event:
            case events.PeerHeard():
                pass  # the control channel showed it long before
            case events.PeerSilent():
                course.finish(self._sessions.silent())
            case events.Inactive():
                course.finish(end.terminate("inactive", "too little traffic (inactive)"))
            case events.KeyExhausted(key_id=key_id):
                if course.tunnel is not None and course.tunnel.keys.seals_with(key_id):
                    self._sessions.renegotiate("the key's usage limit is near", now)
            case events.OccReceived(payload=payload):
                self._handle_occ(payload)
            case events.LinkLost(errno=errno, bad_length=bad_length):
                self._handle_link_loss(errno, bad_length)
            case events.TunLost(errno=errno):
                course.finish(end.restart("tun-stop", f"the tun device is gone (errno {errno})"))
            case events.DecryptFailed():
                course.finish(end.restart("decryption-error", "a data packet is not authentic"))
            case events.Floated(remote=remote):
                course.link.remote = remote
            case events.FramingMismatch(first=first):
                if course.tunnel is not None:
                    terms = course.tunnel.config.payload
                    course.outbox.warn(explain_framing(terms, first))
            case events.PathMtuFound(mtu=mtu):
                self._fit_path(mtu)
            case _:
                assert_never(event)

    def count_traffic(self, total_bytes: int, total_packets: int, now: Instant) -> None:
        """Takes the counters of the tun side; enough of it asks for a new key."""
        tunnel = self._course.tunnel
        reason = None if tunnel is None else tunnel.keys.count_traffic(total_bytes, total_packets)
        if reason is not None:
            self._sessions.renegotiate(reason, now)

    def _handle_link_loss(self, errno: int, bad_length: tuple[int, int] | None) -> None:
        course = self._course
        if course.link.transport is Transport.TCP:
            heard = self._sessions.heard
            if bad_length is not None:
                course.outbox.warn(end.bad_record(*bad_length))
            course.outbox.warn(end.explain_lost_stream(course.link.remote, errno, heard=heard))
            course.finish(end.stream_lost(errno))
            return
        # On UDP these may be hints (ICMP) that anybody can fake: say it once, let silence decide.
        # Before the server was heard, a remote that cannot be sent to is left for the next one.
        course.link.drops["link-error"] += 1
        sentence = end.explain_link_error(course.link.remote, errno)
        if errno in end.UNREACHABLE and not self._sessions.heard:
            course.finish(end.restart("network-unreachable", sentence))
        elif course.link.drops["link-error"] == 1:
            course.outbox.warn(sentence)

    def _fit_path(self, mtu: int) -> None:
        """Lowers what is too large for the path, until the connection ends."""
        course, tunnel = self._course, self._course.tunnel
        if tunnel is None:
            return
        fit = fit_tunnel(
            tunnel.config,
            course.profile,
            mtu,
            remote=course.link.remote,
            transport=course.link.transport,
            packet=tunnel.agreement.overhead,
        )
        if fit is not None:
            fit.tell(course.outbox, tunnel.config.peer_id, tunnel.config.payload)
            course.profile = fit.profile
            tunnel.config = fit.fitted(tunnel.config)

    def _handle_occ(self, payload: bytes) -> None:
        match read_occ(payload):
            case OccOperation.EXIT:
                self._course.outbox.message("EXIT", "")
                self._course.finish(end.peer_left())
            case OccOperation.REQUEST:
                self._answer_occ()
            case operation if operation in MTU_OPERATIONS:
                self._mtu_test.receive(operation, payload)
            case _:
                self._course.link.drops["occ"] += 1

    def _answer_occ(self) -> None:
        course = self._course
        if course.tunnel is None:
            return
        peer_id = course.tunnel.config.peer_id
        payload = reply_payload(client_options_string(course.options, course.profile))
        course.outbox.ask(lambda new_id: SendInner(id=new_id, peer_id=peer_id, payload=payload))
