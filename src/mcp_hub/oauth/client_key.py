"""The key with which the hub proves to authorization servers that it is itself (`private_key_jwt`).

Rule: one key for all replicas, made once and kept sealed; only its public half is ever shown. What it takes to sign is
loaded when something is signed or shown: most servers never ask for it, and every start would be slower. Source: RFC
7523.
"""

from collections.abc import Mapping
from functools import cached_property
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from mcp_hub.errors import StoreFailed
from mcp_hub.wire.jsonrpc import Json

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

ALGORITHM: Final = "ES256"
KEY_NAME: Final = "oauth-client-key"
SEED_BYTES: Final = 48
"""More than the order of the curve has, so that every key is as likely as any other (FIPS 186-5, A.2.1)."""
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""


class Settings(Protocol):
    """Where keys are kept, sealed."""

    async def kept(self, key: str, otherwise: bytes) -> bytes:
        """What is stored under this key; `otherwise` from now on, if nothing is."""
        ...


@final
class ClientKey:
    """The hub's key, from its seed; `repr()` shows nothing of it."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed

    def sign(self, claims: Mapping[str, Any], /) -> str:
        """A JWT that says this, signed; its header names the key."""
        from joserfc import jwt  # noqa: PLC0415 - see the rule

        header = {"alg": ALGORITHM, "typ": "JWT", "kid": self._name}
        return jwt.encode(header, dict(claims), self._key, algorithms=[ALGORITHM])

    def jwks(self) -> Json:
        """What is published of it (RFC 7517)."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self._name, "use": "sig", "alg": ALGORITHM}]}

    @cached_property
    def _key(self) -> "ECKey":
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - see the rule
        from joserfc.jwk import ECKey  # noqa: PLC0415 - see the rule

        scalar = int.from_bytes(self._seed) % (_ORDER - 1) + 1
        return ECKey(ec.derive_private_key(scalar, ec.SECP256R1()), None)

    @cached_property
    def _name(self) -> str:
        return str(self._key.thumbprint())


async def kept_client_key(settings: Settings) -> ClientKey:
    """The key of this hub, made now if there is none.

    Raises:
        StoreFailed: the store fails, or holds something else under its name.
        Unsealable: what the store holds under its name was not put there by a hub.
    """
    seed = await settings.kept(KEY_NAME, token_bytes(SEED_BYTES))
    if len(seed) != SEED_BYTES:
        raise StoreFailed(
            f"The store holds {KEY_NAME!r}, and it is no key: something else has written there. Restore a backup of"
            " the store."
        )
    return ClientKey(seed)
