"""``mtu-test``: finds the largest datagrams that pass, by OCC messages in the data channel.

Responsible for the client's steps and for the result (protocol-facts 12); what either end answers
is ``mtu_mirror``'s business. Each step is a datagram of a known size one way or the other; in the
end the server tells what it saw.
"""

from ginnel.core.actions import SendInner
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_state import Deadline
from ginnel.core.mtu_mirror import MtuMirror
from ginnel.core.occ import (
    OccOperation,
    mtu_load_request_payload,
    mtu_request_payload,
    read_sizes,
)
from ginnel.core.types import Instant, Transport

DELTAS = (-1000, -750, -500, -400, -300, -200, -100, -50, 0)
"""Sizes that are tried, as distances from the largest datagram of the tunnel."""

STEP_INTERVAL = 0.1
REPLY_INTERVAL = 1.0
REPLY_TRIES = 5
_TWICE = 2


class MtuTest:
    """One connection's measurement, and its part in the server's."""

    def __init__(self, course: ClientCourse) -> None:
        self._course = course
        self._steps: list[tuple[OccOperation, int]] = []
        self._asked = 0
        self._mirror = MtuMirror()

    def begin(self, now: Instant) -> None:
        """Starts when it was asked for; over TCP there is nothing to measure."""
        course = self._course
        if not course.options.link.mtu_test or course.link.transport is Transport.TCP:
            return
        course.outbox.warn("NOTE: Beginning empirical MTU test -- results are there in seconds.")
        full = self._full_size()
        for delta in DELTAS:
            for operation in (OccOperation.MTU_LOAD_REQUEST, OccOperation.MTU_LOAD) * _TWICE:
                self._steps.append((operation, max(full + delta, 1)))
        self._steps.reverse()
        course.timers.arm(Deadline.MTU_TEST, now + STEP_INTERVAL)

    def step(self, now: Instant) -> None:
        """Does the next step when its time has come."""
        timers = self._course.timers
        if self._steps:
            operation, size = self._steps.pop()
            if operation is OccOperation.MTU_LOAD:
                self._send(self._mirror.load(size, self._overhead()))
            else:
                self._send(mtu_load_request_payload(size))
            timers.arm(Deadline.MTU_TEST, now + STEP_INTERVAL)
        elif self._asked < REPLY_TRIES:
            self._asked += 1
            self._send(mtu_request_payload())
            timers.arm(Deadline.MTU_TEST, now + REPLY_INTERVAL)
        else:
            self._course.outbox.warn("NOTE: Empirical MTU test: the server did not answer")

    def receive(self, operation: OccOperation, payload: bytes) -> None:
        """Takes a message of the measurement; one that is cut is left out."""
        if operation is OccOperation.MTU_REPLY:
            sizes = read_sizes(payload, 2)
            if sizes is not None:
                self._conclude(*sizes)
            return
        answer = self._mirror.answer(
            operation, payload, overhead=self._overhead(), largest=self._full_size()
        )
        if answer is not None:
            self._send(answer)

    def _conclude(self, remote_received: int, remote_sent: int) -> None:
        """The server's numbers are there, unasked ones mean nothing."""
        course = self._course
        if not self._asked or course.timers.deadline(Deadline.MTU_TEST) is None:
            return
        course.timers.cancel(Deadline.MTU_TEST)
        course.outbox.warn(
            "NOTE: Empirical MTU test completed [Tried,Actual] "
            f"local->remote=[{self._mirror.sent},{remote_received}] "
            f"remote->local=[{remote_sent},{self._mirror.received}]"
        )
        fits = remote_received >= self._mirror.sent and self._mirror.received >= remote_sent
        if not fits and not course.profile.fragment:
            course.outbox.warn(
                "NOTE: This connection is unable to accommodate a UDP packet size of "
                f"{self._mirror.sent}. Consider using --fragment or --mssfix options as a "
                "workaround."
            )

    def _send(self, payload: bytes) -> None:
        tunnel = self._course.tunnel
        if tunnel is None:
            return
        peer_id = tunnel.config.peer_id
        self._course.outbox.ask(
            lambda new_id: SendInner(id=new_id, peer_id=peer_id, payload=payload)
        )

    def _overhead(self) -> int:
        tunnel = self._course.tunnel
        return 0 if tunnel is None else tunnel.config.overhead

    def _full_size(self) -> int:
        tunnel = self._course.tunnel
        return 0 if tunnel is None else tunnel.config.tun_mtu + tunnel.config.overhead
