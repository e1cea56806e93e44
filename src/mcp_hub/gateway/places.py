"""How many may listen for notices, all fleets together.

Rule: what is bounded is the process, so it is counted here for everybody; one principal has so many, however they call.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final, final

from mcp_hub.errors import BadRequest, Forbidden
from mcp_hub.gateway.listener import Owner


@dataclass(frozen=True, slots=True)
class Limits:
    """How many listeners there may be of one principal and in all, and resources of one listener and in all."""

    per_principal: int = 1024
    total: int = 4096
    resources: int = 256
    all_resources: int = 16_384


DEFAULT_LIMITS: Final = Limits()


@final
class Places:
    """The places that are taken. Whoever takes one gives it back."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self.taken = 0
        self.resources = 0
        self._of = Counter[Owner]()

    def take(self, owner: Owner) -> None:
        """One for a listener of this principal.

        Raises:
            Forbidden: there are too many already.
        """
        if self.taken >= self.limits.total:
            raise Forbidden(f"This hub has {self.taken} listeners and takes no more; try again later.")
        if self._of[owner] >= self.limits.per_principal:
            raise Forbidden(f"You have {self._of[owner]} streams of notices open; close one first.")
        self._of[owner] += 1
        self.taken += 1

    def give_back(self, owner: Owner) -> None:
        """That of one listener of this principal."""
        self.taken -= 1
        self._of[owner] -= 1
        if not self._of[owner]:
            del self._of[owner]

    def require_resources(self, had: int, more: int) -> None:
        """Whether a listener that has so many resources may have so many more.

        Raises:
            BadRequest, Forbidden: these are too many, of this listener or in all.
        """
        if had + more > self.limits.resources:
            raise BadRequest(f"One client may subscribe to {self.limits.resources} resources at once; name fewer.")
        if self.resources + more > self.limits.all_resources:
            raise Forbidden("This hub watches as many resources as it can; try again later.")
