"""Opens TUN and TAP devices, and makes or removes persistent ones.

Responsible for ``/dev/net/tun`` and its ioctls. Addresses and state of the device are ``steps``'.
Source of the numbers: the kernel's ``linux/if_tun.h``.
"""

import fcntl
import os
import stat
from struct import Struct

from ginnel.core.errors import HostError
from ginnel.dataclass import dataclass
from ginnel.host.records import is_device_name
from ginnel.options.model import DeviceType

TUN_NODE = "/dev/net/tun"
_TUN_MAJOR_MINOR = (10, 200)
_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TUNSETOWNER = 0x400454CC
_TUNSETGROUP = 0x400454CE
_TUNSETVNETHDRSZ = 0x400454D8
_IFF_TUN = 0x0001
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000
_VNET_HEADER_BYTES = 10
_NAME_BYTES = 15
_REQUEST = Struct("=16sH22x")
_NUMBER = Struct("=i")
_SIOCSIFHWADDR = 0x8924
_ARPHRD_ETHER = 1
_HARDWARE = Struct("=16sH6s16x")
"""The tun driver takes this request on its own descriptor, for the device behind it."""


@dataclass(frozen=True, kw_only=True)
class DeviceRequest:
    """Which device to open. ``tun`` or ``tap`` alone take the lowest free number."""

    name: str = "tun"
    kind: DeviceType = DeviceType.TUN
    node: str = TUN_NODE
    vnet_header: bool = False
    lladdr: str | None = None
    """Link-layer address of a tap device: six pairs of hexadecimal digits."""


def open_device(request: DeviceRequest) -> tuple[int, str]:
    """Opens a device; returns its non-blocking descriptor and name. Raises ``HostError``.

    An unnamed device gets the kernel's lowest free number; a named one is made, or taken over when
    it is persistent and nobody has it open.
    """
    name = _wanted_name(request)
    fd = _open_node(request.node)
    try:
        flags = _kind_flag(request.kind) | _IFF_NO_PI
        if request.vnet_header:
            flags |= _IFF_VNET_HDR
        answer = fcntl.ioctl(fd, _TUNSETIFF, _REQUEST.pack(name.encode(), flags))
        if request.vnet_header:
            fcntl.ioctl(fd, _TUNSETVNETHDRSZ, _NUMBER.pack(_VNET_HEADER_BYTES))
        if request.lladdr is not None and request.kind is DeviceType.TAP:
            address = link_layer_bytes(request.lladdr)
            fcntl.ioctl(fd, _SIOCSIFHWADDR, _HARDWARE.pack(b"", _ARPHRD_ETHER, address))
    except OSError as refused:
        os.close(fd)
        raise _refusal(f"open device {request.name}", refused) from refused
    return fd, _REQUEST.unpack(answer)[0].rstrip(b"\0").decode()


def link_layer_bytes(text: str) -> bytes:
    """Reads six pairs of hexadecimal digits with colons. Raises ``ValueError``."""
    parts = text.split(":")
    if len(parts) != 6 or any(len(part) != 2 for part in parts):
        raise ValueError(f"{text!r} is not a link-layer address")
    return bytes.fromhex("".join(parts))


def make_persistent(
    request: DeviceRequest, *, owner: int | None = None, group: int | None = None
) -> str:
    """Makes a device that stays (``mktun``); returns its name.

    ``owner`` and ``group`` are numbers of the user and group who may open it without privilege.
    """
    fd, name = open_device(request)
    try:
        if owner is not None:
            fcntl.ioctl(fd, _TUNSETOWNER, owner)
        if group is not None:
            fcntl.ioctl(fd, _TUNSETGROUP, group)
        fcntl.ioctl(fd, _TUNSETPERSIST, 1)
    except OSError as refused:
        raise _refusal(f"make device {name} persistent", refused) from refused
    finally:
        os.close(fd)
    return name


def remove_persistent(request: DeviceRequest) -> str:
    """Removes a persistent device (``rmtun``); returns its name."""
    fd, name = open_device(request)
    try:
        fcntl.ioctl(fd, _TUNSETPERSIST, 0)
    except OSError as refused:
        raise _refusal(f"remove device {name}", refused) from refused
    finally:
        os.close(fd)
    return name


def is_unnamed(request: DeviceRequest) -> bool:
    """True when the kernel is to choose the number."""
    return request.name in ("tun", "tap")


def _wanted_name(request: DeviceRequest) -> str:
    if is_unnamed(request):
        return f"{request.name}%d"
    if not is_device_name(request.name) or len(request.name.encode()) > _NAME_BYTES:
        raise HostError("open device", 22, f"{request.name!r} cannot be a device name")
    return request.name


def _kind_flag(kind: DeviceType) -> int:
    match kind:
        case DeviceType.TUN:
            return _IFF_TUN
        case DeviceType.TAP:
            return _IFF_TAP
        case DeviceType.NULL:
            raise HostError("open device", 22, "dev null has no device")


def _open_node(node: str) -> int:
    """Opens the node only if it is the tun driver's: the one who asks may have been taken over.

    Looks before it opens, because opening alone does things to some devices (a watchdog starts to
    count), and opens what it looked at, because the name may mean something else by then.
    """
    try:
        place = os.open(node, os.O_PATH | os.O_CLOEXEC)
    except OSError as refused:
        raise _refusal(f"open {node}", refused) from refused
    try:
        status = os.fstat(place)
        number = (os.major(status.st_rdev), os.minor(status.st_rdev))
        if not stat.S_ISCHR(status.st_mode) or number != _TUN_MAJOR_MINOR:
            raise HostError(f"open {node}", 22, "it is not the tun driver's device node")
        return os.open(f"/proc/self/fd/{place}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as refused:
        raise _refusal(f"open {node}", refused) from refused
    finally:
        os.close(place)


def _refusal(step: str, refused: OSError) -> HostError:
    detail = os.strerror(refused.errno or 0)
    hint = {
        1: "; root or CAP_NET_ADMIN is needed",
        13: "; root or CAP_NET_ADMIN is needed",
        2: f"; is the tun driver there? ({TUN_NODE})",
        16: "; another program has it open",
    }.get(refused.errno or 0, "")
    return HostError(step, refused.errno or 0, detail + hint)
