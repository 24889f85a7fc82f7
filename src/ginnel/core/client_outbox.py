"""The outputs of a client machine, which tell of states as well."""

from ginnel.core.actions import Action, AskCredentials, SignData, VerifyCertificates
from ginnel.core.notices import ManagementState, Notice, StateEntered
from ginnel.core.outbox import MachineOutbox


class Outbox(MachineOutbox[Action, Notice]):
    """What a client machine has for the shell."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__((AskCredentials, SignData, VerifyCertificates))

    def enter(self, state: ManagementState, detail: str = "") -> None:
        """Tells that a state of the management interface began."""
        self.tell(StateEntered(state=state, detail=detail))
