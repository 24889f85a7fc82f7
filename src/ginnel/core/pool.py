"""The addresses that clients get when nobody chose one for them: ``ifconfig-pool`` and its kin.

Responsible for who has which address, who had it before, and for the text of the file that
remembers it (protocol-facts 23). Reading and writing that file is the shell's business. Every
operation but the whole text takes constant time, however large the pool is.
"""

from collections import OrderedDict
from ipaddress import IPv4Address, IPv6Address, IPv6Interface

from ginnel.dataclass import dataclass
from ginnel.options.model import DeviceType, Topology
from ginnel.options.server_model import ServerOptions

MAX_SIZE = 65536
"""Most clients that a pool serves, as in OpenVPN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What one client has of the pool, in the form that is pushed to it."""

    slot: int
    ifconfig: tuple[IPv4Address, IPv4Address] | None
    """Its address and netmask, or its address and ours."""
    ifconfig_ipv6: tuple[IPv6Interface, IPv6Address] | None
    """Its address, and ours."""


class AddressPool:
    """Slots of addresses; those of both families have the same number.

    An address that was never used goes first; after those the one that was given back longest ago.
    A common name gets what it had before, if that is free. With ``duplicate-cn`` a name says
    nothing about who comes, so none is remembered.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._four, self._six = options.pool.ipv4, options.pool.ipv6
        is_tun = options.tun.dev_type is DeviceType.TUN
        self._in_fours = is_tun and options.tun.topology is Topology.NET30
        self._remembers = not options.access.duplicate_cn
        self._is_fixed = options.pool.persist_path is not None and not options.pool.persist_interval
        self.size = self._size()
        self._fresh = 0
        """The lowest slot that may never have been used; all from it on are fresh or owned."""
        self._taken: set[int] = set()
        self._released: OrderedDict[int, None] = OrderedDict()
        """Free slots that somebody had, longest ago first."""
        self._names: dict[int, str] = {}
        self._slots: dict[str, int] = {}
        self._reserved: set[int] = set()
        """For the names of a file that is never written."""
        self.has_changed = False
        """Whether ``render`` says something else than when it was last asked."""

    def lease(self, common_name: str) -> Lease | None:
        """Takes an address for a client; None when all are in use."""
        slot = self._slots.get(common_name) if self._remembers and common_name else None
        if slot is None or slot in self._taken:
            slot = self._next_free()
        if slot is None:
            return None
        self._taken.add(slot)
        self._released.pop(slot, None)
        self._remember(slot, common_name)
        return self._lease(slot)

    def release(self, lease: Lease) -> None:
        """Gives an address back; its slot is the last to be used again by another name."""
        if lease.slot in self._taken:
            self._taken.discard(lease.slot)
            if lease.slot not in self._reserved:
                self._released[lease.slot] = None

    # --- the file ------------------------------------------------------------------------------

    def load(self, text: str) -> list[str]:
        """Remembers whom the file names; warnings about lines that cannot be.

        Lines are ``CN,IPv4,IPv6``, with ``#`` or ``;`` in front of comments. With topology net30
        the address is the first of its four.
        """
        warnings = []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.startswith(("#", ";")):
                continue
            name, _, addresses = line.partition(",")
            slot = self._slot_of(addresses)
            if slot is None or not name:
                warnings.append(
                    f"ifconfig-pool-persist: line {number} is not NAME,IPv4,IPv6 with addresses "
                    "of the pool: ignored"
                )
            elif slot in self._names or name in self._slots:
                warnings.append(f"ifconfig-pool-persist: line {number} repeats a name or address")
            elif self._remembers:
                self._remember(slot, name)
                if self._is_fixed:
                    self._reserved.add(slot)
                else:
                    self._released[slot] = None
        self.has_changed = False
        return warnings

    def render(self) -> str:
        """The text of the file: whoever has or had an address, by slot."""
        self.has_changed = False
        return "".join(
            f"{self._names[slot]},{self._base4(slot)},{self._base6(slot)}\n"
            for slot in sorted(self._names)
        )

    # --- slots ---------------------------------------------------------------------------------

    def _size(self) -> int:
        sizes = []
        if self._four is not None:
            count = int(self._four.last) - int(self._four.first) + 1
            sizes.append(count // 4 if self._in_fours else count)
        if self._six is not None:
            sizes.append(int(self._six.network.broadcast_address) - int(self._six.first) + 1)
        return min(*sizes, MAX_SIZE) if sizes else 0

    def _next_free(self) -> int | None:
        while self._fresh < self.size:
            slot = self._fresh
            self._fresh += 1
            if slot not in self._names and slot not in self._taken:
                return slot
        return next(iter(self._released), None)

    def _remember(self, slot: int, name: str) -> None:
        if not self._remembers or self._names.get(slot) == name:
            return
        before = self._names.pop(slot, None)
        if before is not None and self._slots.get(before) == slot:
            del self._slots[before]
        # A name that the file's grammar cannot hold is not remembered.
        if name and name.isprintable() and "," not in name and not name.startswith(("#", ";")):
            self._names[slot] = name
            self._slots.setdefault(name, slot)
        self.has_changed = True

    def _slot_of(self, addresses: str) -> int | None:
        first, _, second = addresses.partition(",")
        try:
            if self._four is not None and first.strip():
                offset = int(IPv4Address(first.strip())) - int(self._four.first)
                slot, rest = divmod(offset, 4) if self._in_fours else (offset, 0)
            elif self._six is not None and second.strip():
                slot = int(IPv6Address(second.strip())) - int(self._six.first)
                rest = 0
            else:
                return None
        except ValueError:
            return None
        return slot if rest == 0 and 0 <= slot < self.size else None

    # --- addresses -----------------------------------------------------------------------------

    def _base4(self, slot: int) -> IPv4Address | str:
        return "" if self._four is None else self._four.first + slot * (4 if self._in_fours else 1)

    def _base6(self, slot: int) -> IPv6Address | str:
        return "" if self._six is None else self._six.first + slot

    def _lease(self, slot: int) -> Lease:
        return Lease(slot=slot, ifconfig=self._ifconfig(slot), ifconfig_ipv6=self._ifconfig6(slot))

    def _ifconfig(self, slot: int) -> tuple[IPv4Address, IPv4Address] | None:
        base = self._base4(slot)
        if self._four is None or isinstance(base, str):
            return None
        if self._in_fours:
            return base + 2, base + 1
        tun = self._options.tun
        ours, netmask = tun.ifconfig or (None, None)
        if tun.dev_type is DeviceType.TUN and tun.topology is not Topology.SUBNET:
            return (base, ours) if ours is not None else None
        chosen = self._four.netmask or netmask
        return (base, chosen) if chosen is not None else None

    def _ifconfig6(self, slot: int) -> tuple[IPv6Interface, IPv6Address] | None:
        base = self._base6(slot)
        if self._six is None or isinstance(base, str):
            return None
        ours = self._options.tun.ifconfig_ipv6
        gateway = self._six.network.network_address + 1 if ours is None else ours.ip
        return IPv6Interface((base, self._six.network.prefixlen)), gateway
