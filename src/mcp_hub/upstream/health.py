"""Is this upstream worth trying now? Rule: every transition of the circuit stands in the table below.

    state     success   failure                     refused   user needed   when it may be tried
    closed    closed    closed, open at the third   refused   needed        always
    open      closed    open, waiting longer        refused   needed        when its time has come
    refused   closed    closed, open at the third   refused   needed        always; by itself after a minute
    needed    closed    closed, open at the third   refused   needed        always; by itself never: a user has to act

What fails while the circuit is open and waiting was sent before it opened: it says nothing new and lengthens nothing.

Time is a value that is passed in; nothing here waits.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Final, Literal

OPENS_AFTER: Final = 3
"""Failures in a row until calls are no longer sent."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of an upstream's reachability. Replaced, never changed.

    `reason` is a public sentence, empty while all is well. `retry_at` is a time of the clock that `failed` was
    given; it is meaningful only while all is not well. `needed` is the state of a connection that its user has to see
    to, and `link` the page where that is done, if there is one.
    """

    failures: int = 0
    retry_at: float = 0.0
    reason: str = ""
    refused: bool = False
    tried: bool = False
    needed: Literal["", "not_connected", "reconnect_needed"] = ""
    link: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are answered at once with the reason, instead of being sent."""
        return self.failures >= OPENS_AFTER

    @property
    def is_well(self) -> bool:
        """Whether nothing is known against it."""
        return not (self.failures or self.refused or self.needed)

    def allows(self, now: float) -> bool:
        """Whether a call may be sent at `now`."""
        return not self.is_open or now >= self.retry_at

    def succeeded(self) -> "Health":
        """It answered: whatever was wrong is over."""
        return _WELL

    def failed(self, reason: str, now: float, jitter: Callable[[], float] = random.random) -> "Health":
        """It could not be reached, or did not speak MCP. The wait doubles from 1 s to 60 s, half of it random."""
        if self.is_open and now < self.retry_at:
            return self
        failures = self.failures + 1
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures - 1, 10))
        return Health(failures, now + wait * (0.5 + jitter() / 2), reason, tried=True)

    def rejected(self, reason: str, now: float) -> "Health":
        """It was reached and rejected the credential: no reason to stop sending, nothing to gain by hurrying."""
        waiting = self.refused and self.retry_at > now
        return Health(0, self.retry_at if waiting else now + LONGEST_WAIT, reason, refused=True, tried=True)

    def needs(self, state: Literal["not_connected", "reconnect_needed"], reason: str, link: str | None) -> "Health":
        """Its user has to act first; nothing is gained by trying before."""
        return Health(0, inf, reason, tried=True, needed=state, link=link)

    def soon(self, now: float) -> "Health":
        """Somebody asked for another try: it may happen now."""
        return replace(self, retry_at=min(self.retry_at, now))


_WELL: Final = Health(tried=True)
UNTRIED: Final = Health()
