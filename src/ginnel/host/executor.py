"""Carries out steps one by one, each journaled first, and takes them back in reverse order.

Responsible for the order of record, change and result. What the steps are is in ``steps``; who asks
for them in ``helper``.
"""

from collections.abc import Callable, Sequence

from ginnel.core.errors import HostError
from ginnel.dataclass import dataclass
from ginnel.host.batch import Batch
from ginnel.host.journal import EntryState, Journal
from ginnel.host.results import ChangeResult, Outcome
from ginnel.host.rtnetlink import RouteState, decode_route
from ginnel.host.steps import (
    AddRoute,
    DropDevice,
    DropRoute,
    Kernel,
    PutBackRoute,
    RemoveRoute,
    Step,
    Undo,
    UndoOutcome,
    apply,
    describe,
    prepare,
    undo,
)
from ginnel.host.underlay import OwnRoute


@dataclass(slots=True)
class _Entry:
    number: int
    change: Undo
    step: Step | None


class Executor:
    """The changes of one helper."""

    def __init__(self, netlink: Kernel, journal: Journal) -> None:
        self._netlink = netlink
        self._journal = journal
        self._batch = Batch(netlink)
        self._entries: dict[int, _Entry] = {}
        """By number, in the order of the changes."""
        self._of_steps: dict[Step, list[_Entry]] = {}

    def begin_request(self) -> None:
        """Forgets what was remembered of the kernel's tables: others may have changed them."""
        self._batch = Batch(self._netlink)

    def apply(self, step: Step) -> ChangeResult:
        """Records and makes one change."""
        return self.apply_together((step,))[0]

    def apply_together(self, steps: Sequence[Step]) -> list[ChangeResult]:
        """Makes changes that do not build on each other, such as routes: recorded all at once.

        Going to the disk for each of ten thousand routes would take minutes.
        """
        undos = [self._prepare(step) for step in steps]
        wanted = [undo for undo in undos if undo is not None and not isinstance(undo, HostError)]
        try:
            numbers = iter(self._journal.intend_all(wanted) if wanted else ())
        except HostError as refused:
            return [_failed(describe(step), refused) for step in steps]
        results = []
        for step, change in zip(steps, undos, strict=True):
            what = describe(step)
            if change is None:
                results.append(ChangeResult(outcome=Outcome.PRESENT, what=what))
            elif isinstance(change, HostError):
                results.append(_failed(what, change))
            else:
                results.append(self._make(_Entry(next(numbers), change, step), step))
        return results

    def _prepare(self, step: Step) -> Undo | HostError | None:
        try:
            return prepare(step, self._batch)
        except HostError as refused:
            return refused

    def _make(self, entry: _Entry, step: Step) -> ChangeResult:
        self._remember(entry)
        try:
            apply(step, self._batch)
        except HostError as refused:
            self._take_back_half_done(entry)
            return _failed(describe(step), refused)
        self._settle(entry, EntryState.DONE)
        return ChangeResult(outcome=Outcome.APPLIED, what=describe(step))

    def device_opened(self, device: str, index: int) -> None:
        """Notes a device that we made, so that it is removed with everything else.

        Called after the fact: until then the kernel itself removes the device when its last
        descriptor closes, and its name is not known before.
        """
        change = DropDevice(device=device, index=index)
        entry = _Entry(self._journal.intend(change), change, None)
        self._remember(entry)
        self._settle(entry, EntryState.DONE)

    def revert(self, step: Step) -> ChangeResult:
        """Takes back one change that was made for an equal step."""
        made = self._of_steps.get(step)
        if not made:
            return ChangeResult(outcome=Outcome.GONE, what=describe(step))
        return self._undo(made[-1])

    def undo_routes(self) -> list[ChangeResult]:
        """Takes back all routes, last first."""
        return self._undo_where(lambda change: isinstance(change, DropRoute | PutBackRoute))

    def undo_device(self, device: str) -> list[ChangeResult]:
        """Takes back what was done to one device, last first, and removes it if we made it."""
        return self._undo_where(
            lambda change: (
                not isinstance(change, DropRoute | PutBackRoute) and change.device == device
            )
        )

    def undo_all(self) -> list[ChangeResult]:
        """Takes back everything, last first, and removes the journal when nothing is left."""
        return self._undo_where(lambda _change: True)

    def removed_defaults(self) -> list[RouteState]:
        """Default routes that are away because of us."""
        found = []
        for entry in self._entries.values():
            if isinstance(entry.change, PutBackRoute):
                route = decode_route(entry.change.message)
                if route is not None:
                    found.append(route)
        return found

    def added_routes(self) -> frozenset[OwnRoute]:
        """Where our routes lead, for whoever looks past them."""
        steps = [entry.step for entry in self._entries.values()]
        return frozenset(
            (step.network, step.gateway, step.index) for step in steps if isinstance(step, AddRoute)
        )

    def _undo_where(self, chosen: Callable[[Undo], bool]) -> list[ChangeResult]:
        entries = [e for e in reversed(self._entries.values()) if chosen(e.change)]
        return [self._undo(entry) for entry in entries]

    def _undo(self, entry: _Entry) -> ChangeResult:
        what = describe(entry.step or entry.change)
        try:
            outcome = undo(entry.change, self._batch)
        except HostError as refused:
            return _failed(what, refused)
        self._forget(entry, EntryState.UNDONE)
        return ChangeResult(outcome=_OUTCOMES[outcome], what=what)

    def _take_back_half_done(self, entry: _Entry) -> None:
        """After a failed step: a route that was refused is not ours even if one like it appears."""
        if not isinstance(entry.step, AddRoute | RemoveRoute):
            try:
                undo(entry.change, self._batch)
            except HostError:
                return  # stays in the journal: rollback or recovery tries again
        self._forget(entry, EntryState.FAILED)

    def _remember(self, entry: _Entry) -> None:
        self._entries[entry.number] = entry
        if entry.step is not None:
            self._of_steps.setdefault(entry.step, []).append(entry)

    def _forget(self, entry: _Entry, state: EntryState) -> None:
        del self._entries[entry.number]
        if entry.step is not None:
            self._of_steps[entry.step].remove(entry)
            if not self._of_steps[entry.step]:
                del self._of_steps[entry.step]
        if self._entries:
            self._settle(entry, state)
        else:
            self._journal.finish()

    def _settle(self, entry: _Entry, state: EntryState) -> None:
        """Notes a result. A full disk here costs nothing: undo of an entry is idempotent."""
        try:
            self._journal.settle(entry.number, state)
        except HostError:
            return


_OUTCOMES = {
    UndoOutcome.UNDONE: Outcome.REVERTED,
    UndoOutcome.GONE: Outcome.GONE,
    UndoOutcome.CHANGED: Outcome.CHANGED,
}


def _failed(what: str, refused: HostError) -> ChangeResult:
    return ChangeResult(
        outcome=Outcome.FAILED, what=what, errno=refused.errno, detail=refused.detail
    )
