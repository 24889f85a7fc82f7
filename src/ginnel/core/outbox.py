"""The outputs of a machine: packets, notices and actions, each a queue that is drained."""

from collections import deque
from collections.abc import Callable

from ginnel.core.key_ring import KeyAction, KeyRing
from ginnel.core.notices import ControlMessage, Warned
from ginnel.core.types import ActionId, Transmit
from ginnel.hints import Generic, TypeVar

ActionT = TypeVar("ActionT")
NoticeT = TypeVar("NoticeT")


class MachineOutbox(Generic[ActionT, NoticeT]):
    """What waits for the shell. Action ids are unique within one machine."""

    __slots__ = ("_kinds", "_last_action", "_questions", "actions", "notices", "transmits")

    def __init__(self, questions: tuple[type[ActionT], ...]) -> None:
        """``questions`` are the kinds of actions that ask somebody something.

        Nobody may wait for such any more when the answer comes: a refusal then means nothing.
        """
        self.actions: deque[ActionT | KeyAction] = deque()
        self.notices: deque[NoticeT | ControlMessage | Warned] = deque()
        self.transmits: deque[Transmit] = deque()
        self._kinds = questions
        self._last_action = 0
        self._questions: set[ActionId] = set()

    def next_action_id(self) -> ActionId:
        """A fresh id."""
        self._last_action += 1
        return ActionId(self._last_action)

    def ask(self, action: Callable[[ActionId], ActionT]) -> ActionId:
        """Queues an action made for a fresh id, and returns that id."""
        action_id = self.next_action_id()
        made = action(action_id)
        if isinstance(made, self._kinds):
            self._questions.add(action_id)
        self.actions.append(made)
        return action_id

    def take_question(self, action_id: ActionId) -> bool:
        """Whether this answers an action that asked somebody something; each is answered once."""
        was_open = action_id in self._questions
        self._questions.discard(action_id)
        return was_open

    def tell(self, notice: NoticeT) -> None:
        """Queues a notice."""
        self.notices.append(notice)

    def message(self, keyword: str, text: str) -> None:
        """Passes on a text message of the peer."""
        self.notices.append(ControlMessage(keyword=keyword, text=text))

    def warn(self, text: str) -> None:
        """Queues a plain sentence for a human."""
        self.notices.append(Warned(text=text))

    def drain_ring(self, ring: KeyRing) -> None:
        """Takes over the key actions that a ring wants done."""
        while (action := ring.poll_action()) is not None:
            self.actions.append(action)
