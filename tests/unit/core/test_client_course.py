"""What the parts of a client machine share: the clock, the state and the one last notice."""

from ginnel.core import client_end as end
from ginnel.core.client_course import ClientCourse
from ginnel.core.client_link import ClientLink
from ginnel.core.client_outbox import Outbox
from ginnel.core.client_state import Deadline, Leaving, Over
from ginnel.core.notices import Ended
from ginnel.core.types import Instant, Side
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import SERVER, client_options, profile


def course() -> ClientCourse:
    """The course of a connection that has not begun."""
    outbox, options = Outbox(), client_options(profile())
    link = ClientLink(
        options=options,
        profile=profile(),
        remote=SERVER,
        tls=lambda: FakeTls(Side.CLIENT, 1),
        entropy=bytes,
        outbox=outbox,
    )
    return ClientCourse(
        options=options, profile=profile(), link=link, outbox=outbox, unix_time=1_000_000
    )


def test_wall_clock_moves_with_the_monotonic_one() -> None:
    made = course()
    made.start(Instant(50.0))
    assert made.unix_time(Instant(52.9)) == 1_000_002


def test_only_the_first_end_counts() -> None:
    made = course()
    made.timers.arm(Deadline.SESSION, Instant(9.0))
    assert not made.finish_if(None)
    assert made.finish_if(end.restart("first", "why"))
    made.finish(end.restart("second", "why"))
    assert made.state == Over()
    assert made.timers.next() is None
    assert [n.signal_text for n in made.outbox.notices if isinstance(n, Ended)] == ["first"]


def test_whatever_ends_a_farewell_it_was_one() -> None:
    made = course()
    made.state = Leaving(occ_left=0, said_on=None)
    made.finish(end.peer_left())
    ended = made.outbox.notices.pop()
    assert isinstance(ended, Ended)
    assert ended.signal_text == "exit-with-notification"
