"""When an upstream asks for more than its user has allowed (RFC 6750 section 3.1, `insufficient_scope`).

Rule: it is asked for what is really missing, in the form that scopes have, and an upstream that is never satisfied does
not send people to the same page for ever.
"""

import time
from collections.abc import Callable
from typing import Final, final

from mcp_hub.errors import RefusedCredential
from mcp_hub.oauth.scope_words import read_scopes
from mcp_hub.wire.challenges import bearer

REMEMBERED: Final = 600.0
"""Seconds for which it is remembered what was asked for."""
MOST: Final = 3
"""How many grants of one principal may turn out not to do, for the same scopes."""
_MOST_ASKED: Final = 32
_REFUSALS: Final = (401, 403)


@final
class SteppingUp:
    """What one principal was asked to allow at one upstream. `now` gives unix seconds."""

    __slots__ = ("_asked", "_now")

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._asked: dict[frozenset[str], dict[str, float]] = {}

    def missing(self, refusal: RefusedCredential, scopes: frozenset[str]) -> frozenset[str] | None:
        """The scopes that the upstream asks for beyond these; `None` where the refusal is about something else.

        Empty where it asks for nothing that is missing, or does not say for what.
        """
        challenge = bearer(refusal.challenges)
        if challenge is None or challenge.error != "insufficient_scope" or refusal.status not in _REFUSALS:
            return None
        return (read_scopes(challenge.scope) or frozenset()) - scopes

    def may_ask(self, grant: str, missing: frozenset[str]) -> bool:
        """Whether to send the user to the page for these. `False` where nothing is missing, or where they have allowed
        it a few times, each time with another grant, and it was never enough."""
        now = self._now()
        self._asked = {
            scopes: recent
            for scopes, grants in self._asked.items()
            if (recent := {name: at for name, at in grants.items() if now - at < REMEMBERED})
        }
        if not missing:
            return False
        while missing not in self._asked and len(self._asked) >= _MOST_ASKED:
            del self._asked[next(iter(self._asked))]
        grants = self._asked.setdefault(missing, {})
        if grant not in grants and len(grants) >= MOST:
            return False
        grants.setdefault(grant, now)
        return True
