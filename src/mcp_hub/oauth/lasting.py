"""When a token is renewed, and how often one that is refused is replaced.

Rule: pure. A token is renewed before it ends and not sent after; whoever refuses everything does not decide how often
the hub asks somebody else.
"""

from collections import deque
from typing import Final, final

AHEAD: Final = 60.0
"""Seconds before its end at which a token is renewed, at least; for one that lasts longer, a tenth of that."""
LEFT: Final = 5.0
"""Seconds before its end from which a token is not sent any more: it has to arrive, and clocks differ."""
MOST_REPLACED: Final = 6
"""How many refused tokens are replaced within `WITHIN` seconds."""
WITHIN: Final = 60.0
_NEVER: Final = float("inf")


def times(got_at: float, expires_at: float | None) -> tuple[float, float]:
    """From when on a token is to be renewed, and until when it is sent; never, where nobody said when it ends.

    One that lasts a minute is renewed after half of that, and not at once.
    """
    if expires_at is None:
        return _NEVER, _NEVER
    life = max(expires_at - got_at, 0.0)
    ahead = min(max(AHEAD, life / 10), life / 2)
    return expires_at - ahead, expires_at - min(LEFT, life / 10)


@final
class Replaced:
    """The refused tokens of one access."""

    __slots__ = ("_at", "_last")

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=MOST_REPLACED)
        self._last: object = None

    def may_be(self, now: float, token: object = None) -> bool:
        """Whether there may be another one; it counts from now on. Many requests may be refused with the same `token`,
        which is replaced once for all of them."""
        if token is not None and token == self._last:
            return True
        if len(self._at) == MOST_REPLACED and now - self._at[0] < WITHIN:
            return False
        self._at.append(now)
        self._last = token
        return True

    def forget(self) -> None:
        """Begin anew."""
        self._at.clear()
        self._last = None
