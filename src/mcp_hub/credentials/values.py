"""Which text may be the value of a header that is somebody's own. Pure.

Rule: visible ASCII with single lines inside (RFC 9110 section 5.5, without the obsolete bytes), and not too long. What
is wrong is said without repeating the value.
"""

import re
from typing import Final

LONGEST: Final = 8192
"""Bytes of the longest value."""

_SENDABLE: Final = re.compile(r"[\t\x20-\x7e]*")


def wrong_with(value: str) -> str:
    """What keeps this text from being sent, as the end of a sentence; empty if nothing does."""
    if not value:
        return "is empty"
    if len(value) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    if not _SENDABLE.fullmatch(value):
        return "has a character that no header can carry: a line break, a control character or one outside ASCII"
    if value != value.strip(" \t"):
        return "has a space at its beginning or end"
    return ""


def with_scheme(scheme: str, value: str) -> str:
    """The value as it stands in the header: `Bearer abc`, also where somebody has copied it with its scheme."""
    has_it = value.lower().startswith(f"{scheme.lower()} ")
    return value if has_it or not scheme else f"{scheme} {value}"
