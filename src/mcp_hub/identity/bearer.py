"""The token that a request brings, if it brings one.

Rule: pure. A token stands in one `Authorization` header and nowhere else; a request that could be read in two ways is
not read in either. Source: RFC 6750 sections 2.1 and 3.1; MCP 2026-07-28 basic/authorization "Token Requirements".
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_plus

AUTHORIZATION: Final = b"authorization"
SCHEME: Final = b"Bearer "
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
_QUERY_NAME: Final = "access_token"

Headers = Sequence[tuple[bytes, bytes]]


class Misused(Exception):
    """Credentials in a form that cannot be judged. The text says what is wrong, without them."""


def read_bearer(headers: Headers, query: bytes) -> str | None:
    """The token, or `None` where there is none: no header, or one of another scheme.

    Raises:
        Misused: two headers, an empty or impossible token, or one in the address.
    """
    if _has_token(query):
        raise Misused("A token in the address is not taken; send it in the Authorization header.")
    given = [value for name, value in headers if name == AUTHORIZATION]
    if not given:
        return None
    if len(given) > 1:
        raise Misused("There is more than one Authorization header; send one.")
    scheme, _, token = given[0].strip(b" \t").partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    token = token.lstrip(b" ")
    if not _TOKEN.fullmatch(token):
        raise Misused("The Authorization header has no token in it that could be one; send `Bearer` and the token.")
    return token.decode("ascii")


def _has_token(query: bytes) -> bool:
    if not query:
        return False
    names = (part.partition("=")[0] for part in query.decode("latin-1").split("&"))
    return any(unquote_plus(name) == _QUERY_NAME for name in names)
