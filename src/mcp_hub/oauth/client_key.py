"""The key with which the hub proves to authorization servers that it is itself (`private_key_jwt`).

Rule: one key for all replicas, made once and kept sealed; only its public half is ever shown. Source: RFC 7523.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol, final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from mcp_hub.errors import StoreFailed
from mcp_hub.wire.jsonrpc import Json

ALGORITHM: Final = "ES256"
KEY_NAME: Final = "oauth-client-key"


class Settings(Protocol):
    """Where keys are kept, sealed."""

    async def kept(self, key: str, otherwise: bytes) -> bytes:
        """What is stored under this key; `otherwise` from now on, if nothing is."""
        ...


@final
class ClientKey:
    """The hub's key; `repr()` shows nothing of it."""

    __slots__ = ("_key", "_name")

    def __init__(self, key: ECKey) -> None:
        self._key = key
        self._name = str(key.thumbprint())

    def sign(self, claims: Mapping[str, Any], /) -> str:
        """A JWT that says this, signed; its header names the key."""
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": self._name}
        return jwt.encode(header, dict(claims), self._key, algorithms=[ALGORITHM])

    def jwks(self) -> Json:
        """What is published of it (RFC 7517)."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self._name, "use": "sig", "alg": ALGORITHM}]}


async def kept_client_key(settings: Settings) -> ClientKey:
    """The key of this hub, made now if there is none.

    Raises:
        StoreFailed: the store fails, or holds something else under its name.
        Unsealable: what the store holds under its name was not put there by a hub.
    """
    fresh = json.dumps(ECKey.generate_key("P-256").as_dict(private=True)).encode()
    return ClientKey(_read(await settings.kept(KEY_NAME, fresh)))


def _read(stored: bytes) -> ECKey:
    try:
        key = ECKey.import_key(json.loads(stored))
    except (JoseError, ValueError, TypeError, KeyError):
        key = None
    if key is None or not key.is_private:
        # Outside of the handler: what the library says may repeat what it could not read.
        raise StoreFailed(
            f"The store holds {KEY_NAME!r}, and it is no key: something else has written there. Restore a backup of"
            " the store."
        )
    return key
