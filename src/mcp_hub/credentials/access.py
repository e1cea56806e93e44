"""Whose credential goes to an upstream, as the way to it asks: one `Access` is one caller's at one upstream.

Rule: nothing a client sends reaches an upstream unless the configuration says so. Whoever sends asks `ready` first,
which costs a look-up; asks `credential` where that knows none; and tells `refused` when the upstream took it not: once
to send the request again, and if that is refused too, once more to learn what its user is told. What an access gives
belongs to its caller and is handed to nobody else.
"""

from collections.abc import Callable
from typing import Protocol, final

from mcp_hub.credentials.credential import NOTHING, Credential
from mcp_hub.errors import RefusedCredential


class Access(Protocol):
    """One caller's credential at one upstream. Belongs to one event loop."""

    def ready(self) -> Credential | None:
        """What goes on a request now, if nobody has to be asked for it: a look-up, without waiting."""
        ...

    async def credential(self) -> Credential:
        """What goes on a request now. A caller that is cancelled leaves what was begun to those who wait for it too.

        Raises:
            ConnectionNeeded: the user has to act first.
            UpstreamError: whoever gives it out does not answer now, in a sentence that names it.
            HubFault: the store or the vault fails.
        """
        ...

    async def refused(self, credential: Credential, refusal: RefusedCredential) -> Credential:
        """Another credential, after the upstream has refused this one; the request is sent once more with it.

        Raises:
            ConnectionNeeded: only the user can help: by connecting anew, or by allowing more.
            RefusedCredential: nobody can from here; the same refusal.
            UpstreamError, HubFault: as `credential`.
        """
        ...

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """Call `changed`, which must not block or fail, whenever the caller's connection has: made, renewed by hand,
        ended, in whatever process. Returns what ends the watch."""
        ...


@final
class Fixed:
    """An access that never changes: nothing, what all share, or what this request brought."""

    def __init__(self, credential: Credential = NOTHING) -> None:
        self._credential = credential

    def ready(self) -> Credential | None:
        """See `Access`."""
        return self._credential

    async def credential(self) -> Credential:
        """See `Access`."""
        return self._credential

    async def refused(self, credential: Credential, refusal: RefusedCredential) -> Credential:
        """See `Access`: there is no other one."""
        del credential
        raise refusal

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """See `Access`: it never does."""
        del changed
        return _nothing


def _nothing() -> None:
    pass
