"""The queue towards a client: order, partial sends and the three bounds."""

from collections.abc import Iterator

from ginnel.management.outbox import CLOSE_BYTES, DROP_BYTES, PAUSE_BYTES, Outbox


def drained(outbox: Outbox, step: int) -> bytes:
    heard = b""
    while piece := outbox.peek(step):
        heard += piece
        outbox.sent(len(piece))
    return heard


def test_any_step_gives_the_same_bytes() -> None:
    for step in (1, 3, 7, 1000):
        outbox = Outbox()
        outbox.raw(b"ENTER PASSWORD:")
        outbox.reply("SUCCESS: x")
        outbox.inform(">LOG:y")
        outbox.notify(">STATE:z")
        assert drained(outbox, step) == b"ENTER PASSWORD:SUCCESS: x\r\n>LOG:y\r\n>STATE:z\r\n"
        assert len(outbox) == 0


def test_a_partial_send_leaves_the_rest() -> None:
    outbox = Outbox()
    outbox.reply("abcdef")
    outbox.sent(2)
    assert outbox.peek(100) == b"cdef\r\n"


def test_commands_wait_while_much_is_unread() -> None:
    outbox = Outbox()
    outbox.reply("x" * PAUSE_BYTES)
    assert outbox.paused
    outbox.sent(100)
    assert not outbox.paused


def test_lines_that_only_inform_go_first() -> None:
    outbox = Outbox()
    outbox.reply("x" * DROP_BYTES)
    before = len(outbox)
    outbox.inform(">LOG:lost")
    assert len(outbox) == before
    assert outbox.dropped == 1
    outbox.notify(">STATE:kept")
    assert len(outbox) > before
    assert not outbox.overflowed


def test_a_client_that_never_reads_overflows_within_bounds() -> None:
    outbox = Outbox()
    line = ">UPDOWN:ENV," + "x" * 1000
    for _ in range(5000):
        outbox.notify(line)
    assert outbox.overflowed
    assert len(outbox) <= CLOSE_BYTES + len(line) + 2


def test_a_stream_is_rendered_as_it_is_read() -> None:
    rendered = 0

    def lines() -> Iterator[str]:
        nonlocal rendered
        for number in range(1000):
            rendered += 1
            yield f"{number:08d}"

    outbox = Outbox()
    outbox.stream(lines())
    assert (outbox.waiting, outbox.paused) == (True, True)
    assert outbox.peek(100).startswith(b"00000000\r\n")
    assert rendered < 20
    outbox.notify(">CLIENT:x")
    heard = drained(outbox, 64).decode().splitlines()
    assert heard == [*(f"{number:08d}" for number in range(1000)), ">CLIENT:x"]
    assert (outbox.waiting, outbox.paused) == (False, False)


def test_what_waits_behind_a_stream_is_bounded() -> None:
    outbox = Outbox(close_bytes=1000)
    outbox.stream(iter(["x"] * 10))
    outbox.notify("y" * 2000)
    outbox.notify("z")
    assert outbox.overflowed


def test_a_line_that_no_bytes_stand_for_is_still_a_line() -> None:
    outbox = Outbox()
    outbox.reply("x\ud800y")
    assert drained(outbox, 100) == b"x?y\r\n"
