"""JSON with comments and trailing commas, as editors keep their settings, to plain JSON of the same length in lines."""

import re
from typing import Final

_TEXT: Final = r'(?P<text>"(?:[^"\\]|\\.)*(?:"|\\?\Z))'
_COMMENT: Final = re.compile(_TEXT + r"|//[^\r\n]*|/\*(?:.*?\*/|.*\Z)", re.DOTALL)
_LAST_COMMA: Final = re.compile(_TEXT + r"|,(?=\s*[\]}])", re.DOTALL)
_NOT_A_BREAK: Final = re.compile(r"[^\r\n]")


def plain(text: str) -> str:
    """The same document without comments and trailing commas; what stands in quotes is left as it is."""
    return _LAST_COMMA.sub(_blank, _COMMENT.sub(_blank, text.removeprefix("\ufeff")))


def _blank(piece: re.Match[str]) -> str:
    # Lines and columns stay, so that an error further on names the right place.
    return piece["text"] or _NOT_A_BREAK.sub(" ", piece[0])
