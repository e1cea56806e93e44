"""Scopes as strangers write them (RFC 6749 section 3.3).

Rule: pure. What is no scope is left out, and there are never more than can be shown and sent.
"""

import re
from collections.abc import Iterable
from typing import Final

MOST: Final = 64
LONGEST: Final = 256
_LONGEST_TEXT: Final = 8192
_WORD: Final = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,256}")


def read_scopes(said: object) -> frozenset[str] | None:
    """The scopes of a text, `None` where it is no text or holds none; of too many, the first."""
    if not isinstance(said, str):
        return None
    words = [each for each in said[:_LONGEST_TEXT].split(" ") if _WORD.fullmatch(each)]
    return frozenset(list(dict.fromkeys(words))[:MOST]) or None


def written(scopes: Iterable[str]) -> str:
    """The text that is sent, the same for the same scopes."""
    return " ".join(sorted(scopes))
