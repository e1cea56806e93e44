"""People who were sent to a server and did not come back.

Rule: pure. A server that has forgotten the hub as its client says so to its user only, on a page of its own, and sends
nobody back; so whoever was sent there three times in a row in vain is sent there as a new client the next time.
"""

from collections.abc import Hashable
from typing import Final, final

MOST: Final = 3
"""How often somebody is sent to a server under one registration before that is taken for forgotten."""
_MOST_KEPT: Final = 10_000


@final
class Unanswered:
    """Counts, for each who is sent away. Keeps a bounded number of them."""

    def __init__(self) -> None:
        self._begun: dict[Hashable, tuple[str, int]] = {}

    def is_vain(self, who: Hashable, registration: str) -> bool:
        """Somebody is about to be sent away under this registration: whether they were so `MOST` times in vain."""
        known, count = self._begun.pop(who, (registration, 0))
        if known == registration and count >= MOST:
            return True
        while len(self._begun) >= _MOST_KEPT:
            del self._begun[next(iter(self._begun))]
        self._begun[who] = (registration, count + 1 if known == registration else 1)
        return False

    def came_back(self, who: Hashable) -> None:
        """They did, with whatever answer."""
        self._begun.pop(who, None)
