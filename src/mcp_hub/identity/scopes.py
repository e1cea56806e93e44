"""What a token may be good for at this hub. Rule: a scope never gives more than the roles of whoever gave it."""

from typing import Final

USE: Final = "hub:use"
"""Use the MCP endpoint as oneself."""
ADMIN: Final = "hub:admin"
"""What admins may do through the API; includes `hub:use`."""

SUPPORTED: Final = (USE, ADMIN)
_INCLUDED: Final = {ADMIN: frozenset({ADMIN, USE})}


def reach(scopes: frozenset[str]) -> frozenset[str]:
    """The scopes with all that they include."""
    return scopes.union(*(_INCLUDED.get(scope, frozenset[str]()) for scope in scopes))
