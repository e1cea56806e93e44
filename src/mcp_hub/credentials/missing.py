"""The access of somebody who has none. Rule: it says so whenever it is asked, and nothing is sent with it."""

from collections.abc import Callable
from typing import final

from mcp_hub.credentials.credential import Credential
from mcp_hub.errors import ConnectionNeeded, RefusedCredential


@final
class Missing:
    """The access of somebody who has none."""

    def __init__(self, needed: ConnectionNeeded) -> None:
        self._needed = needed

    def ready(self) -> Credential | None:
        """See `Access`."""
        return None

    async def credential(self) -> Credential:
        """See `Access`."""
        raise self._needed

    async def refused(self, credential: Credential, refusal: RefusedCredential) -> Credential:
        """See `Access`."""
        del credential
        raise refusal

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """See `Access`: it never does."""
        del changed
        return lambda: None
