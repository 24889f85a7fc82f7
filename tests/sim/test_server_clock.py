"""Clocks that jump under a server: a machine that slept, a wall clock that was set."""

from dataclasses import replace

import pytest

from ginnel.core.types import Instant
from ginnel.options.model import ControlWrapping, KeyDirection, PlainWrapping, TlsAuth, TlsCrypt
from tests.sim.duo import Duo, server_options
from tests.sim.pair import STATIC_KEY, profile

WRAPPINGS: list[ControlWrapping] = [
    PlainWrapping(),
    TlsAuth(key=STATIC_KEY, direction=KeyDirection.INVERSE, digest="SHA256"),
    TlsCrypt(key=STATIC_KEY),
]
JUMPS = [1.0, 59.0, 3600.0, 86_400.0 * 400]


def duo_with(wrapping: ControlWrapping) -> Duo:
    theirs = wrapping
    if isinstance(wrapping, TlsAuth):
        theirs = replace(wrapping, direction=KeyDirection.NORMAL)
    return Duo(server=server_options(wrapping=theirs), connection=profile(wrapping))


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_in_the_middle_of_a_session(jump: float, wrapping: ControlWrapping) -> None:
    """Whatever ran out meanwhile ends or is made anew; whoever comes again is let in."""
    duo = duo_with(wrapping)
    duo.connect()
    duo.now = Instant(duo.now + jump)
    duo.advance(5.0)
    if duo.ended is not None or duo.server.machine is None:
        duo.restart_client()
        duo.until(lambda: duo.is_connected, 120.0)
    duo.advance(90.0)
    assert duo.keys_match


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_in_the_middle_of_a_handshake(jump: float) -> None:
    """A first answer that is too old by then is not taken, and the client asks anew."""
    duo = duo_with(TlsCrypt(key=STATIC_KEY))
    duo.start()
    duo.advance(0.001)
    duo.now = Instant(duo.now + jump)
    duo.advance(70.0)
    if not duo.is_connected:
        duo.restart_client()
        duo.until(lambda: duo.is_connected, 120.0)
    assert duo.keys_match


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_wall_clock_that_is_years_off(wrapping: ControlWrapping) -> None:
    """The ends' ideas of the time differ by years, either way: packets are no less fresh."""
    for years in (-20, 20):
        duo = duo_with(wrapping)
        duo.wall_clock_error = years * 365 * 86_400
        duo.connect()
        assert duo.keys_match
