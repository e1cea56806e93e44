"""Where the authorization server is. Rule: what pages of any site may call takes no cookie; the rest is for ours."""

from typing import Final

AUTHORIZE: Final = "/authorize"
TOKEN: Final = "/token"  # noqa: S105 - a path
REVOKE: Final = "/revoke"
REGISTER: Final = "/register"
WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"
CLIENT_DOCUMENTS: Final = "/oauth/client/"
"""Where the hub describes itself to the authorization servers of others."""
CLIENT_KEYS: Final = "/oauth/jwks.json"

_OPEN: Final = frozenset({TOKEN, REVOKE, REGISTER, CLIENT_KEYS})
_OPEN_BELOW: Final = ("/.well-known/", CLIENT_DOCUMENTS)


def is_open(path: str) -> bool:
    """Whether pages of any site may call this address, metadata of every kind included."""
    return path in _OPEN or path.startswith(_OPEN_BELOW)
