"""How often somebody may try a password.

Rule: guessing is slow, from one place and from everywhere together, and no guesser shuts the rightful owner out: who
signed in from a place before is counted apart from strangers, and every refusal ends by itself.
"""

from collections import OrderedDict
from typing import Final, final

from mcp_hub.identity.limits import Limit, Limits, neighbourhood
from mcp_hub.identity.refusals import NotSignedIn

MOST_PLACES: Final = 10_000


@final
class Attempts:
    """Counts attempts to sign in with a password. Of one process; it forgets when that ends."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, email: str, address: str) -> None:
        """Count an attempt; `address` is the network address it comes from.

        Raises:
            NotSignedIn: there were too many.
        """
        place = neighbourhood(address)
        account = email.lower()
        self._take(Limit.LOGIN_ADDRESS, place)
        self._take(Limit.LOGIN_ACCOUNT, f"{account}\0{place}")
        if (account, place) not in self._places:
            self._take(Limit.LOGIN_ANYWHERE, account)

    def succeeded(self, email: str, address: str) -> None:
        """Somebody signed in from there: what they mistyped before is forgiven."""
        account, place = email.lower(), neighbourhood(address)
        self._limits.forget(Limit.LOGIN_ACCOUNT, f"{account}\0{place}")
        self._places[account, place] = None
        self._places.move_to_end((account, place))
        if len(self._places) > MOST_PLACES:
            self._places.popitem(last=False)

    def _take(self, limit: Limit, key: str) -> None:
        wait = self._limits.take(limit, key)
        if wait is not None:
            minutes = max(1, round(wait / 60))
            after = "in a minute" if minutes == 1 else f"in {minutes} minutes"
            raise NotSignedIn(f"There were too many attempts to sign in. Try again {after}.", limit, wait=wait)
