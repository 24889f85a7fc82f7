"""The caller of the privileged helper, for the event loop.

Responsible for one request at a time, and descriptors that come back. Meaning of the requests is
``helper``'s.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from ginnel.core.errors import HostError
from ginnel.core.types import Endpoint
from ginnel.dataclass import dataclass
from ginnel.dataplane.api import TunDevice
from ginnel.host.diff import Change, Do
from ginnel.host.helper_process import HelperProcess
from ginnel.host.messages import (
    CHANGES_PER_MESSAGE,
    MESSAGE_BYTES,
    change_record,
    device_request_record,
    read_error,
    read_opened_device,
    read_results,
    read_snapshot,
)
from ginnel.host.plan import Device, Planned
from ginnel.host.records import (
    BadRecord,
    Record,
    as_record,
    flag_field,
    list_field,
    number_field,
    parse_record,
    render_record,
)
from ginnel.host.results import ChangeResult, Outcome
from ginnel.host.steps import AddRoute, RemoveRoute
from ginnel.host.tun import DeviceRequest
from ginnel.host.underlay import UnderlaySnapshot
from ginnel.options.model import DeviceType


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What the helper cleaned up after an earlier run at its start."""

    main_pid: int
    undone: int
    complete: bool


@dataclass(frozen=True, kw_only=True)
class ApplyReport:
    """Results of changes, in order. Shorter than what was asked when ``fatal`` is set."""

    results: tuple[ChangeResult, ...] = ()
    fatal: ChangeResult | None = None
    """The failure that ended it: an address or link setting, without which no tunnel works."""

    @property
    def failed(self) -> tuple[ChangeResult, ...]:
        """All failures; those of routes are warnings, as in OpenVPN."""
        return tuple(r for r in self.results if r.outcome is Outcome.FAILED)


@dataclass(frozen=True, kw_only=True)
class UndoReport:
    """Results of taking changes back. Of very many only a part is told, failures first."""

    results: tuple[ChangeResult, ...] = ()

    @property
    def failed(self) -> tuple[ChangeResult, ...]:
        """What could not be taken back and stays journaled."""
        return tuple(r for r in self.results if r.outcome is Outcome.FAILED)


class HostClient:
    """The main process's end. All methods raise ``HostError`` when the helper refuses or is gone.

    Calls may come from several tasks; they are carried out one after the other.
    """

    def __init__(self, helper: HelperProcess) -> None:
        self._channel = helper.channel
        self._channel.setblocking(False)
        self._pid = helper.pid
        self._lock = asyncio.Lock()
        self._next = 1
        self._greeting: int | None = None
        """Number of the first request."""
        self._greeted = False
        self._recovered: tuple[Recovered, ...] = ()
        self._indexes: dict[str, int] = {}

    @property
    def helper_pid(self) -> int:
        """Process number of the helper."""
        return self._pid

    def greet(self) -> None:
        """Says who we are, for the helper to see what earlier ones left while we go on. Idempotent.

        Call it once the number of this process is final. Otherwise the first request does.
        """
        if self._greeting is None:
            self._greeting, message = self._message({"op": "hello", "pid": os.getpid()})
            with suppress(OSError):  # it is gone, as whoever waits for its answer will hear
                self._channel.send(message)

    async def recovered(self) -> tuple[Recovered, ...]:
        """What the helper undid of earlier runs; waits until it has done so."""
        async with self._lock:
            await self._greeted_back()
        return self._recovered

    async def open_tun(
        self, request: DeviceRequest, server: Endpoint | None
    ) -> tuple[TunDevice, UnderlaySnapshot]:
        """Opens a device, and reads the underlay as ``underlay`` does, in one go.

        The caller owns ``fd``; the device goes when its last copy closes.
        """
        device = device_request_record(request)
        record, fd = await self._call({"op": "open-tun", "device": device, **_server(server)})
        try:
            opened = read_opened_device(record)
            underlay = read_snapshot(as_record(record.get("underlay")))
        except BadRecord as bad:
            _close(fd)
            raise _nonsense(bad) from bad
        if fd is None:
            raise _nonsense(BadRecord("no descriptor"))
        self._indexes[opened.name] = opened.index
        tun = TunDevice(
            fd=fd,
            name=opened.name,
            mtu=opened.mtu,
            vnet_header=opened.vnet_header,
            ethernet=request.kind is DeviceType.TAP,
        )
        return tun, underlay

    def device(self, name: str) -> Device:
        """Name and index of a device opened before, for ``plan_tunnel``."""
        return Device(name, self._indexes[name])

    async def underlay(self, server: Endpoint | None) -> UnderlaySnapshot:
        """Reads gateways, local networks and the way to ``server``."""
        record, fd = await self._call({"op": "underlay", **_server(server)})
        _close(fd)
        try:
            return read_snapshot(record)
        except BadRecord as bad:
            raise _nonsense(bad) from bad

    async def apply(self, changes: Sequence[Change | Planned]) -> ApplyReport:
        """Makes changes in order; stops at the first that fails and is not about a route."""
        wanted = [Do(change.step) if isinstance(change, Planned) else change for change in changes]
        results: list[ChangeResult] = []
        for start in range(0, len(wanted), CHANGES_PER_MESSAGE):
            part = wanted[start : start + CHANGES_PER_MESSAGE]
            request = {
                "op": "apply",
                "changes": [change_record(change) for change in part],
                "continued": start > 0,
            }
            done = await self._results(request)
            results.extend(done)
            if done and done[-1].outcome is Outcome.FAILED:
                last = part[len(done) - 1].step
                if not isinstance(last, AddRoute | RemoveRoute):
                    return ApplyReport(results=tuple(results), fatal=done[-1])
        return ApplyReport(results=tuple(results))

    async def undo_routes(self) -> UndoReport:
        """Takes back all routes, bypass routes included, last first."""
        return UndoReport(results=await self._results({"op": "undo-routes"}))

    async def close_tun(self, name: str) -> UndoReport:
        """Takes back what was done to a device and removes it, unless it is persistent.

        Close all copies of the descriptor first: a reader would see the device vanish.
        """
        self._indexes.pop(name, None)
        return UndoReport(results=await self._results({"op": "close-tun", "name": name}))

    async def undo_all(self) -> UndoReport:
        """Takes back everything: routes, addresses, devices."""
        self._indexes.clear()
        return UndoReport(results=await self._results({"op": "undo-all"}))

    async def close(self) -> None:
        """Ends the helper, which first takes back what is left, and waits for it. Idempotent."""
        if self._channel.fileno() < 0:
            return
        async with self._lock:
            with suppress(OSError):  # it is gone already
                self._channel.shutdown(socket.SHUT_WR)
                while await self._receive() is not None:
                    continue
            self._channel.close()
        self._reap()

    # --- transport -----------------------------------------------------------------------------

    async def _results(self, request: Record) -> tuple[ChangeResult, ...]:
        record, fd = await self._call(request)
        _close(fd)
        try:
            return read_results(record)
        except BadRecord as bad:
            raise _nonsense(bad) from bad

    async def _call(self, request: Record) -> tuple[Record, int | None]:
        async with self._lock:
            await self._greeted_back()
            number, message = self._message(request)
            try:
                await asyncio.get_running_loop().sock_sendall(self._channel, message)
            except OSError as lost:
                raise _lost(lost) from lost
            return await self._answer(number)

    async def _greeted_back(self) -> None:
        if self._greeted:
            return
        self.greet()
        assert self._greeting is not None
        record, fd = await self._answer(self._greeting)
        _close(fd)
        try:
            entries = [as_record(v) for v in list_field(record, "recovered", CHANGES_PER_MESSAGE)]
            self._recovered = tuple(
                Recovered(
                    main_pid=number_field(entry, "pid"),
                    undone=number_field(entry, "undone"),
                    complete=flag_field(entry, "complete"),
                )
                for entry in entries
            )
        except BadRecord as bad:
            raise _nonsense(bad) from bad
        self._greeted = True

    def _message(self, request: Record) -> tuple[int, bytes]:
        number, self._next = self._next, self._next + 1
        return number, render_record({**request, "id": number})

    async def _answer(self, number: int) -> tuple[Record, int | None]:
        try:
            while True:
                received = await self._receive()
                if received is None:
                    raise HostError("privileged helper", 0, "it is gone")
                answer, fd = received
                if answer.get("id") == number:
                    return _payload(answer, fd), fd
                _close(fd)  # the answer to a call that was cancelled
        except OSError as lost:
            raise _lost(lost) from lost

    async def _receive(self) -> tuple[Record, int | None] | None:
        """One message with the descriptor beside it; None at the end."""
        while True:
            try:
                message, fds, _flags, _sender = socket.recv_fds(self._channel, MESSAGE_BYTES, 1)
            except BlockingIOError:
                await self._readable()
                continue
            fd = fds[0] if fds else None
            if not message:
                return None
            try:
                return parse_record(message), fd
            except BadRecord as bad:
                _close(fd)
                raise _nonsense(bad) from bad

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        fd = self._channel.fileno()
        loop.add_reader(fd, _wake, ready)
        try:
            await ready
        finally:
            loop.remove_reader(fd)

    def _reap(self) -> None:
        """Collects the child's status; after ``daemon`` it is no longer our child.

        It has closed its end and is about to exit, so this does not wait for long. A thread would
        have to be imported here, which fails once chroot or ``user`` hide the library.
        """
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _server(server: Endpoint | None) -> Record:
    return {"server": None if server is None else str(server.address)}


def _payload(answer: Record, fd: int | None) -> Record:
    try:
        if "ok" in answer:
            return as_record(answer["ok"])
        _close(fd)
        raise read_error(as_record(answer.get("error")))
    except BadRecord as bad:
        raise _nonsense(bad) from bad


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def _close(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)


def _nonsense(bad: BadRecord) -> HostError:
    return HostError("privileged helper", 0, f"its answer makes no sense: {bad}")


def _lost(error: OSError) -> HostError:
    return HostError("privileged helper", error.errno or 0, str(error))
