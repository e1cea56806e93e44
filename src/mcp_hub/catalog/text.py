"""Words of upstreams, made fit to be shown.

Rule: text that people and models read holds nothing they cannot see: no terminal escapes, no control characters, no
zero-width, bidirectional or tag characters, in which instructions can be hidden. Clean text is returned untouched.
"""

import re
from typing import Final

MAX_TEXT: Final = 16 * 1024
"""The longest description that is handed on, in bytes of UTF-8."""

_ESCAPES: Final = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\n\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # strings: titles, links, DCS
    r"|\x1b[ -/]*[0-~]?"
)
_INVISIBLE: Final = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    r"\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_suspect: Final = re.compile(_INVISIBLE)  # every escape begins with one of them; several times faster than the whole
_hidden: Final = re.compile(f"{_ESCAPES}|{_INVISIBLE}")
_spaces: Final = re.compile(r"\s+")


def clean_text(text: str) -> str:
    """The text without what cannot be seen, at most `MAX_TEXT` bytes long; the same object if nothing is wrong."""
    if _suspect.search(text):
        text = _hidden.sub("", text)
    return shortened(text, MAX_TEXT)


def shortened(text: str, limit: int) -> str:
    """The text, cut at `limit` bytes of UTF-8 with an ellipsis at the end if it is longer."""
    if len(text) * 4 <= limit:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return text
    return encoded[: limit - 3].decode("utf-8", "ignore") + "…"


def label(text: str, limit: int = 80) -> str:
    """The text on one line and short, as a name inside a sentence."""
    return shortened(_spaces.sub(" ", _hidden.sub("", text)).strip(), limit)
