"""How many packets that would open a session the reference engine lets pass."""

from ginnel.dataplane.api import MAX_RESETS


class Bucket:
    """Holds ``count`` tokens, which come back evenly over ``seconds``."""

    def __init__(
        self, now: float, count: int = MAX_RESETS[0], seconds: int = MAX_RESETS[1]
    ) -> None:
        self._count = count
        self._rate = count / max(seconds, 1)
        self._tokens = float(count)
        self._filled_at = now

    def take(self, now: float, tokens: int = 1) -> bool:
        """Takes so many tokens if there are as many."""
        gained = (now - self._filled_at) * self._rate
        self._filled_at = now
        self._tokens = min(self._tokens + gained, self._count)
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def give(self, tokens: int) -> None:
        self._tokens = min(self._tokens + tokens, self._count)
