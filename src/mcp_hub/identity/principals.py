"""From an account to the principal it is when it calls.

Rule: what many principals have in common is kept once for all of them, since thousands are remembered at a time.
"""

import sys
from functools import lru_cache

from mcp_hub.principal import LOCAL_ISSUER, Principal
from mcp_hub.store.people import User


def principal_of(user: User, *, client: str = "", scopes: frozenset[str] = frozenset()) -> Principal:
    """Who `user` is when `client` calls for them with a token of these scopes."""
    return Principal(
        issuer=sys.intern(user.issuer),
        subject=user.subject,
        tenant=sys.intern(user.tenant),
        roles=shared(user.roles),
        label=user.email or user.name,
        email=user.email,
        email_verified=user.email_verified or user.issuer == LOCAL_ISSUER,  # where an admin has given it
        groups=shared(user.groups),
        client=client,
        scopes=shared(scopes),
    )


@lru_cache(maxsize=256)
def shared(words: frozenset[str]) -> frozenset[str]:
    """An equal set, the same one for all who have these roles, groups or scopes."""
    return words
