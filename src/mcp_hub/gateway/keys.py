"""The keys that a hub makes for itself once, and that all its replicas share.

Rule: a key is never replaced silently, since what was sealed with it is still on its way.
"""

import secrets
from typing import Final, Protocol

from mcp_hub.errors import StoreFailed

KEY_BYTES: Final = 32


class Settings(Protocol):
    """Where keys are kept, sealed."""

    async def kept(self, key: str, otherwise: bytes) -> bytes:
        """What is stored under this key; `otherwise` from now on, if nothing is."""
        ...


async def kept_key(settings: Settings, name: str, size: int = KEY_BYTES) -> bytes:
    """The key of this name and so many bytes, made now if there is none.

    Raises:
        StoreFailed: the store fails, or holds something else under this name.
        Unsealable: what the store holds under this name was not put there by the hub.
    """
    key = await settings.kept(name, secrets.token_bytes(size))
    if len(key) != size:
        raise StoreFailed(
            f"The store holds {name!r} with {len(key)} bytes in place of {size}: something else has written there."
            " Restore a backup of the store, or move its file away; the hub then begins a new one."
        )
    return key
