"""The secrets that the hub gives out, and what it keeps of them.

Rule: 256 random bits behind a prefix that says what it is (so that whoever finds one in a file knows); the hub stores
the SHA-256 of the whole text and looks it up by that, so no secret is ever compared with another.
"""

import secrets
from enum import StrEnum
from hashlib import sha256

from mcp_hub.secret import Secret


class Kind(StrEnum):
    """What a token is; the value is its prefix."""

    ACCESS = "mcphub_at_"
    REFRESH = "mcphub_rt_"
    CODE = "mcphub_ac_"
    PERSONAL = "mcphub_pat_"
    CLIENT = "mcphub_cs_"
    BROWSER = "mcphub_bs_"


def new_token(kind: Kind) -> Secret:
    """A fresh one: the prefix and 43 characters of the URL-safe alphabet."""
    return Secret(kind + secrets.token_urlsafe(32))


def digest(token: str | Secret) -> bytes:
    """What is stored of a token: 32 bytes. Any text has one, also one that is no token at all."""
    text = token.open() if isinstance(token, Secret) else token
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
