"""The tokens of one answer: their texts for the client, and what is stored of them.

Rule: texts are in no store. What follows a refresh token is derived from its text with a key of the hub, so that a
client which did not get the answer can be given the same one, and nobody who reads the store, or who has the key alone,
can make any of it.
"""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Final, final

from mcp_hub.config.model import Lifetimes
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.secret import Secret
from mcp_hub.store.grants import AccessToken, Family, Issued, RefreshToken
from mcp_hub.wire.jsonrpc import Json

KEY_NAME: Final = "refresh-successor-key"
"""Under which name the key is kept in the store's settings."""
KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Pair:
    """The texts. Without `refresh`, the client gets no refresh token."""

    access: Secret
    refresh: Secret | None


def first_pair(*, may_refresh: bool) -> Pair:
    """What a code becomes."""
    return Pair(new_token(Kind.ACCESS), new_token(Kind.REFRESH) if may_refresh else None)


@final
class Succession:
    """Knows what follows a refresh token. `key` has 32 random bytes, the same for all processes of a hub."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def after(self, refresh: str) -> Pair:
        """The pair that follows this text, always the same."""
        return Pair(self._derived(Kind.ACCESS, refresh), self._derived(Kind.REFRESH, refresh))

    def _derived(self, kind: Kind, refresh: str) -> Secret:
        # The prefix of what is derived says for which of the two: no text is the other's.
        said = f"{kind}\0{refresh}".encode("utf-8", "surrogatepass")
        bits = hmac.digest(self._key, said, "sha256")
        return Secret(kind + urlsafe_b64encode(bits).rstrip(b"=").decode())


def stored(pair: Pair, family: Family, scopes: frozenset[str], lifetimes: Lifetimes, at: float) -> Issued:
    """What is stored of a pair that is made at `at`.

    The access token has `scopes`; the refresh token has all of the family's (RFC 6749 section 6). Neither outlives the
    family.
    """
    access_end = min(at + lifetimes.access_token, family.expires_at)
    access = AccessToken(digest(pair.access), family.id, scopes, access_end)
    if pair.refresh is None:
        return Issued(access, None)
    refresh_end = min(at + lifetimes.refresh_token_idle, family.expires_at)
    return Issued(access, RefreshToken(digest(pair.refresh), family.id, family.scopes, at, refresh_end))


def answer(pair: Pair, access: AccessToken, at: float) -> Json:
    """What the client is told (RFC 6749 section 5.1)."""
    said: Json = {
        "access_token": pair.access.open(),
        "token_type": "Bearer",
        "expires_in": max(int(access.expires_at - at), 0),
        "scope": " ".join(sorted(access.scopes)),
    }
    if pair.refresh is not None:
        said["refresh_token"] = pair.refresh.open()
    return said
