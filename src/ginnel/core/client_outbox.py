"""The outputs of a client machine: packets, notices and actions, each a queue that is drained."""

from collections import deque
from collections.abc import Callable

from ginnel.core.actions import Action, AskCredentials, SignData, VerifyCertificates
from ginnel.core.key_ring import KeyRing
from ginnel.core.notices import ControlMessage, ManagementState, Notice, StateEntered, Warned
from ginnel.core.types import ActionId, Transmit


class Outbox:
    """What waits for the shell. Action ids are unique within one machine."""

    def __init__(self) -> None:
        self.actions: deque[Action] = deque()
        self.notices: deque[Notice] = deque()
        self.transmits: deque[Transmit] = deque()
        self._last_action = 0
        self._questions: set[ActionId] = set()

    def next_action_id(self) -> ActionId:
        """A fresh id."""
        self._last_action += 1
        return ActionId(self._last_action)

    def ask(self, action: Callable[[ActionId], Action]) -> ActionId:
        """Queues an action made for a fresh id, and returns that id."""
        action_id = self.next_action_id()
        made = action(action_id)
        if isinstance(made, AskCredentials | SignData | VerifyCertificates):
            self._questions.add(action_id)
        self.actions.append(made)
        return action_id

    def take_question(self, action_id: ActionId) -> bool:
        """Whether this answers an action that asked somebody something; each is answered once."""
        was_open = action_id in self._questions
        self._questions.discard(action_id)
        return was_open

    def tell(self, notice: Notice) -> None:
        """Queues a notice."""
        self.notices.append(notice)

    def enter(self, state: ManagementState, detail: str = "") -> None:
        """Tells that a state of the management interface began."""
        self.tell(StateEntered(state=state, detail=detail))

    def message(self, keyword: str, text: str) -> None:
        """Passes on a text message of the peer."""
        self.tell(ControlMessage(keyword=keyword, text=text))

    def warn(self, text: str) -> None:
        """Queues a plain sentence for a human."""
        self.tell(Warned(text=text))

    def drain_ring(self, ring: KeyRing) -> None:
        """Takes over the key actions that a ring wants done."""
        while (action := ring.poll_action()) is not None:
            self.actions.append(action)
