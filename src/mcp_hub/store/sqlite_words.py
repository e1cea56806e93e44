"""Sets of words as one column: JSON, in order, so that equal sets are equal text."""

import json
from collections.abc import Iterable


def pack(words: Iterable[str]) -> str:
    """The text of a set."""
    return json.dumps(sorted(frozenset(words)))


def unpack(text: str) -> frozenset[str]:
    """The set of a text."""
    return frozenset(json.loads(text))
