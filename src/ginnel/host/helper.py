"""The privileged helper: a small process that changes the host for the main process.

It is forked before any byte of the network is parsed, keeps CAP_NET_ADMIN and nothing else, and
carries out typed requests only: addresses and settings on devices it opened itself, routes, and the
default route's replacement. When its socket closes, because the main process ended in whatever way,
it takes back everything that is left and ends. ``client`` is its caller.

What a main process that was taken over can do with it, as a configuration could: open any TUN
device that nobody uses, add unicast routes to the main table (through any gateway: bypass routes
and ``net_gateway`` are such), and take default routes away for as long as it lives. It cannot
change an address, a setting or a route that was there before, nor open or write any other file, and
whatever it did ends with it.
"""

import os
import signal
import socket
import syslog
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby

from ginnel.core.errors import HostError
from ginnel.core.types import IPAddress
from ginnel.dataclass import dataclass
from ginnel.host.diff import Change, Do
from ginnel.host.executor import Executor
from ginnel.host.journal import Journal, current_owner
from ginnel.host.messages import (
    CHANGES_PER_MESSAGE,
    MESSAGE_BYTES,
    OpenedDevice,
    error_record,
    opened_device_record,
    read_change,
    read_device_request,
    results_record,
    snapshot_record,
)
from ginnel.host.netlink import Netlink
from ginnel.host.places import StrPath
from ginnel.host.privileges import confine_helper, name_process
from ginnel.host.records import (
    BadRecord,
    Record,
    as_record,
    device_field,
    flag_field,
    list_field,
    number_field,
    optional_address,
    parse_record,
    render_record,
)
from ginnel.host.recover import Disposition, restore
from ginnel.host.results import ChangeResult, Outcome
from ginnel.host.steps import AddAddress, AddRoute, RemoveRoute, SetLink, Step, describe
from ginnel.host.tables import Changes, KeptTables
from ginnel.host.tun import is_unnamed, open_device
from ginnel.host.underlay import take_snapshot
from ginnel.host.watch import ChangeSocket

Observer = Callable[[int], None]
_EPERM = 1
_TRACE_LIMIT = 4000


def run_helper(
    channel: socket.socket, runtime_dir: StrPath, observer: Observer | None = None
) -> None:
    """Serves requests on ``channel`` until it closes, then rolls back. For a freshly forked child.

    ``observer`` sees every journal line (tests use it to kill at each of them).
    """
    try:
        _detach(channel)
        with Netlink() as netlink, _changes() as changes:
            confine_helper()
            helper = Helper(channel, netlink, runtime_dir, observer, changes)
            try:
                helper.serve()
            finally:
                helper.roll_back()
    except Exception:  # the top of this process, which has no other way to tell
        import traceback

        syslog.openlog("ginnel-helper", syslog.LOG_PID, syslog.LOG_DAEMON)
        syslog.syslog(syslog.LOG_ERR, traceback.format_exc()[-_TRACE_LIMIT:])
        raise


def _detach(channel: socket.socket) -> None:
    """Leaves terminal, wake-ups and inherited descriptors of the main process behind."""
    with suppress(PermissionError):  # already leads its group
        os.setsid()
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    keep = channel.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o077)
    name_process("ginnel-helper")


@contextmanager
def _changes() -> Iterator[Changes | None]:
    """What tells that the kernel's tables changed; where nothing can, they are read each time."""
    try:
        changes = ChangeSocket()
    except OSError:
        yield None
        return
    try:
        yield changes
    finally:
        changes.close()


@dataclass(frozen=True)
class _Answer:
    """What goes back: a record, and for an opened device its descriptor."""

    record: Record
    fd: int | None = None


class Helper:
    """One main process's requests."""

    def __init__(
        self,
        channel: socket.socket,
        netlink: Netlink,
        runtime_dir: StrPath,
        observer: Observer | None = None,
        changes: Changes | None = None,
    ) -> None:
        self._channel = channel
        self._netlink = netlink
        self._tables = KeptTables(netlink, changes)
        self._runtime_dir = runtime_dir
        self._observer = observer
        self._executor: Executor | None = None
        self._devices: dict[str, int] = {}
        """Indexes of the devices we opened, by name."""

    def serve(self) -> None:
        """Answers requests until the other side closes."""
        while True:
            try:
                message, _ancillary, flags, _sender = self._channel.recvmsg(MESSAGE_BYTES)
            except OSError:
                return
            if not message:
                return
            if flags & socket.MSG_TRUNC:
                continue
            try:
                request = parse_record(message)
                number = number_field(request, "id", 0, 1 << 53)
            except BadRecord:
                continue
            if not self._send(number, request):
                return

    def roll_back(self) -> None:
        """Takes back what is left; what cannot be undone stays in the journal."""
        if self._executor is not None:
            self._executor.begin_request()
            self._executor.undo_all()

    def _send(self, number: int, request: Record) -> bool:
        fd = None
        try:
            answer = self._carry_out(request)
            fd, reply = answer.fd, {"id": number, "ok": answer.record}
        except HostError as refused:
            reply = {"id": number, "error": error_record(refused)}
        except BadRecord as bad:
            malformed = HostError("privileged helper", 22, f"request refused: {bad}")
            reply = {"id": number, "error": error_record(malformed)}
        try:
            socket.send_fds(self._channel, [render_record(reply)], [] if fd is None else [fd])
        except OSError:
            return False
        finally:
            if fd is not None:
                os.close(fd)
        return True

    def _carry_out(self, request: Record) -> _Answer:
        match request.get("op"):
            case "hello":
                return _Answer(self._hello(number_field(request, "pid", 1)))
            case "open-tun":
                return self._open_tun(request)
            case "underlay":
                self._tables.refresh()
                return _Answer(self._underlay(optional_address(request, "server")))
            case "apply":
                changes = list_field(request, "changes", CHANGES_PER_MESSAGE)
                continued = flag_field(request, "continued")
                return _Answer(self._apply([read_change(v) for v in changes], continued=continued))
            case "undo-routes":
                return _Answer(results_record(self._running().undo_routes()))
            case "undo-all":
                results = self._running().undo_all()
                self._devices.clear()
                return _Answer(results_record(results))
            case "close-tun":
                name = device_field(request, "name")
                self._devices.pop(name, None)
                return _Answer(results_record(self._running().undo_device(name)))
            case _:
                raise BadRecord("op")

    def _running(self, *, afresh: bool = True) -> Executor:
        if self._executor is None:
            raise BadRecord("hello comes first")
        if afresh:
            self._executor.begin_request()
        return self._executor

    def _hello(self, main_pid: int) -> Record:
        """Learns who our main process is, and first cleans up after those that are gone."""
        if self._executor is not None:
            raise BadRecord("hello comes once")
        journal = Journal(self._runtime_dir, current_owner(main_pid))
        if self._observer is not None:
            journal.observer = self._observer
        self._executor = Executor(self._netlink, journal)
        report = restore(self._runtime_dir)
        left = (Disposition.INCOMPLETE, Disposition.UNREADABLE)
        return {
            "recovered": [
                {
                    "pid": entry.main_pid,
                    "complete": entry.disposition not in left,
                    "undone": sum(r.outcome is Outcome.REVERTED for r in entry.results),
                }
                for entry in report.journals
                if entry.disposition is Disposition.RESTORED or entry.disposition in left
            ][:CHANGES_PER_MESSAGE]
        }

    def _open_tun(self, record: Record) -> _Answer:
        request = read_device_request(as_record(record.get("device")))
        server = optional_address(record, "server")
        executor = self._running()
        # As they are without the device: its coming would have everything read anew.
        self._tables.refresh()
        existed = not is_unnamed(request) and self._netlink.link_named(request.name) is not None
        fd, name = open_device(request)
        try:
            link = self._netlink.link_named(name)
            if link is None:
                raise HostError("open device", 19, f"{name} vanished while it was opened")
            if not existed:
                executor.device_opened(name, link.index)
            self._devices[name] = link.index
            underlay = self._underlay(server)
        except HostError:
            os.close(fd)
            self._devices.pop(name, None)
            executor.undo_device(name)
            raise
        opened = OpenedDevice(
            name=name, index=link.index, mtu=link.mtu, vnet_header=request.vnet_header
        )
        return _Answer({**opened_device_record(opened), "underlay": underlay}, fd)

    def _underlay(self, server: IPAddress | None) -> Record:
        snapshot = take_snapshot(
            self._tables,
            server,
            own_devices=tuple(self._devices.values()),
            removed_defaults=self._running().removed_defaults(),
            own_routes=self._running().added_routes(),
        )
        return snapshot_record(snapshot)

    def _apply(self, changes: list[Change], *, continued: bool) -> Record:
        """Makes changes in order, up to the first failure that is not about a route.

        What was remembered of the kernel's tables serves all parts of a long list.
        """
        executor = self._running(afresh=not continued)
        for change in changes:
            self._permit(change.step)
        results: list[ChangeResult] = []
        for are_new_routes, group in groupby(changes, _adds_route):
            if are_new_routes:
                results.extend(executor.apply_together([change.step for change in group]))
                continue
            for change in group:
                make = executor.apply if isinstance(change, Do) else executor.revert
                results.append(make(change.step))
                about_route = isinstance(change.step, AddRoute | RemoveRoute)
                if results[-1].outcome is Outcome.FAILED and not about_route:
                    return results_record(results)
        return results_record(results)

    def _permit(self, step: Step) -> None:
        """Addresses and settings are for devices that we opened, not for the rest of the host."""
        match step:
            case SetLink() | AddAddress():
                if self._devices.get(step.device) != step.index:
                    raise HostError(describe(step), _EPERM, "not a device of this tunnel")
            case AddRoute() | RemoveRoute():
                return


def _adds_route(change: Change) -> bool:
    return isinstance(change, Do) and isinstance(change.step, AddRoute)
