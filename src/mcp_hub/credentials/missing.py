"""The access of somebody who has none, or has none any more. Rule: it says why, and nothing is sent with it."""

from collections.abc import Callable
from typing import final

from mcp_hub.credentials.credential import Credential
from mcp_hub.errors import HubError, RefusedCredential


@final
class Missing:
    """The access of somebody who has none; `why` is what they are told."""

    def __init__(self, why: HubError) -> None:
        self._why = why

    def ready(self) -> Credential | None:
        """See `Access`."""
        return None

    async def credential(self) -> Credential:
        """See `Access`."""
        raise self._why

    async def refused(self, credential: Credential, refusal: RefusedCredential) -> Credential:
        """See `Access`."""
        del credential
        raise refusal

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """See `Access`: it never does."""
        del changed
        return lambda: None
