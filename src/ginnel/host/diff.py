"""Turns the difference of two plans into ordered changes. Pure.

Used when a device is kept over a restart (``persist-tun``) or a push changes routes: what both
plans want stays untouched, so that traffic does not leak past the tunnel in between.
"""

from collections.abc import Sequence

from ginnel.core.types import IPNetwork
from ginnel.dataclass import dataclass
from ginnel.host.plan import HostPlan, Planned
from ginnel.host.rtnetlink import TABLE_MAIN
from ginnel.host.steps import AddAddress, AddRoute, RemoveRoute, SetLink, Step


@dataclass(frozen=True)
class Do:
    """Make the change."""

    step: Step


@dataclass(frozen=True)
class Revert:
    """Take back the change that was made for an equal step."""

    step: Step


Change = Do | Revert


def changes(planned: Sequence[Planned]) -> tuple[Change, ...]:
    """The changes that carry out a part of a plan from scratch."""
    return tuple(Do(item.step) for item in planned)


def diff(old: HostPlan, new: HostPlan) -> tuple[Change, ...]:
    """The changes that lead from ``old``, carried out, to ``new``.

    New bypass routes come first, so that a new server is reachable before anything else changes;
    then what is no longer wanted goes, last first; then the rest is added in the plan's order.
    When an address of the device changes, the kernel drops the routes that depend on it: those are
    taken back and made again.
    """
    before = [*old.interface, *old.routes]
    after = [*new.interface, *new.routes]
    wanted, had = {item.step for item in after}, {item.step for item in before}
    renewed = _depending_on(had ^ wanted, before)
    leaving = [item.step for item in before if item.step not in wanted or item.step in renewed]
    coming = [item for item in after if item.step not in had or item.step in renewed]
    occupied = {_place(step) for step in leaving} - {None}
    is_early = [item.bypass and _place(item.step) not in occupied for item in coming]
    early = [item for item, first in zip(coming, is_early, strict=True) if first]
    late = [item for item, first in zip(coming, is_early, strict=True) if not first]
    return (
        *(Do(item.step) for item in early),
        # A link's settings are replaced by the new ones; taking them back would bring it down.
        *(Revert(step) for step in reversed(leaving) if not isinstance(step, SetLink)),
        *(Do(item.step) for item in late),
    )


def _depending_on(changed: set[Step], before: Sequence[Planned]) -> set[Step]:
    """Routes into the tunnel of the families whose addresses change."""
    families = {step.local.version for step in changed if isinstance(step, AddAddress)}
    return {
        item.step
        for item in before
        if isinstance(item.step, AddRoute)
        and not item.bypass
        and item.step.network.version in families
    }


def _place(step: Step) -> tuple[IPNetwork, int | None, int] | None:
    """What the kernel allows only once in a table: a destination with a metric."""
    match step:
        case AddRoute():
            return step.network, step.metric, step.table
        case RemoveRoute():
            return step.network, step.metric, TABLE_MAIN
        case _:
            return None
