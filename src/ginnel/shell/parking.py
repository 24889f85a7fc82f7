"""Calls that can be left in the middle: each runs on a thread, and only one of the two runs.

``core.signing`` says what for. The caller waits while the thread works and the thread waits while
its question is open, so nothing ever runs side by side and no lock is needed: a thread serves here
as a second stack. It lives no longer than its call; a call that nobody resumes any more is a daemon
thread that waits.
"""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from ginnel.core.signing import Ask, SignatureRequest, Suspended
from ginnel.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class _Asked:
    request: SignatureRequest


@dataclass(frozen=True, slots=True)
class _Ended:
    raised: BaseException | None


class ThreadStacks:
    """The shell's ``core.signing.Stacks``."""

    def run(self, work: Callable[[Ask], None]) -> Suspended | None:
        call = _Call()
        Thread(target=call.work, args=(work,), name="signing", daemon=True).start()
        return call.wait()


class _Call:
    def __init__(self) -> None:
        self._events: SimpleQueue[_Asked | _Ended] = SimpleQueue()
        self._answers: SimpleQueue[bytes | None] = SimpleQueue()

    def work(self, work: Callable[[Ask], None]) -> None:
        try:
            work(self._ask)
        except BaseException as raised:  # carried to the caller, whose it is
            self._events.put(_Ended(raised))
        else:
            self._events.put(_Ended(None))

    def wait(self) -> Suspended | None:
        event = self._events.get()
        if isinstance(event, _Asked):
            return _Parked(self, event.request)
        if event.raised is not None:
            raise event.raised
        return None

    def answer(self, signature: bytes | None) -> Suspended | None:
        self._answers.put(signature)
        return self.wait()

    def _ask(self, request: SignatureRequest) -> bytes | None:
        self._events.put(_Asked(request))
        return self._answers.get()


@dataclass(frozen=True, slots=True)
class _Parked:
    """A call that waits; it can be resumed once."""

    _call: _Call
    request: SignatureRequest

    def resume(self, signature: bytes | None) -> Suspended | None:
        return self._call.answer(signature)
