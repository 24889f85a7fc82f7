"""The ends of a client in OpenVPN's words."""

import errno

import pytest

from ginnel.core import server_end as end
from ginnel.core.notices import Outcome


@pytest.mark.parametrize(
    ("number", "status"), [(0, "[0]"), (errno.EBADMSG, "[0]"), (errno.ECONNRESET, "[-1]")]
)
def test_a_lost_stream_says_who_ended_it(number: int, status: str) -> None:
    ended = end.stream_lost(number)
    assert ended.signal_text == "connection-reset"
    assert ended.explanation == f"Connection reset, restarting {status}"


def test_names_and_outcomes() -> None:
    assert (end.delayed().signal_text, end.delayed().outcome) == (
        "delayed-exit",
        Outcome.TERMINATE,
    )
    assert end.tls_error("why").outcome is Outcome.RESTART
    assert end.tls_error("why").signal_text == "tls-error"
