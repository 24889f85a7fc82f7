"""What the privileged helper reads: requests of the main process, journals, kernel answers."""

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress

from ginnel.core.errors import HostError
from ginnel.host import messages, rtnetlink, step_records
from ginnel.host.journal import read_journal
from ginnel.host.records import BadRecord, parse_record

READERS = (
    messages.read_device_request,
    messages.read_opened_device,
    messages.read_change,
    messages.read_results,
    messages.read_snapshot,
    messages.read_error,
    step_records.read_step,
    step_records.read_undo,
)
DECODERS = (rtnetlink.decode_link, rtnetlink.decode_address, rtnetlink.decode_route)


def helper_request(data: bytes) -> None:
    with suppress(BadRecord):
        record = parse_record(data)
        for read in READERS:
            with suppress(BadRecord):
                read(record)


def journal(data: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        with suppress(BadRecord, HostError):
            read_journal(file.fileno())


def netlink(data: bytes) -> None:
    with suppress(rtnetlink.NetlinkMalformed):
        for message in rtnetlink.decode_messages(data):
            with suppress(rtnetlink.NetlinkMalformed):
                rtnetlink.decode_error(message)
            for decode in DECODERS:
                with suppress(rtnetlink.NetlinkMalformed):
                    decode(message.body)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "helper-request": helper_request,
    "journal": journal,
    "netlink": netlink,
}
