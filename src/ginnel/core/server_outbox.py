"""The outputs of a server's machine, and which of its actions are questions."""

from ginnel.core.actions import SignData, VerifyCertificates
from ginnel.core.outbox import MachineOutbox
from ginnel.core.server_actions import Authenticate, ServerAction
from ginnel.core.server_notices import ServerNotice


class ServerOutbox(MachineOutbox[ServerAction, ServerNotice]):
    """What one client's machine has for the shell."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__((Authenticate, SignData, VerifyCertificates))
