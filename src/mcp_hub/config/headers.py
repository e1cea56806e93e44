"""How headers are read that the hub sends with every request to an upstream."""

import re
from dataclasses import dataclass
from typing import Final

from mcp_hub.config.fields import Json, Reader, wrong
from mcp_hub.secret import Secret

MAX_HEADER: Final = 8192

# RFC 9110 section 5.6.2: token = 1*tchar
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110 section 5.5: "Field values containing CR, LF, or NUL characters are invalid and dangerous"
_FIELD_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
_RESERVED_HEADERS: Final = re.compile(
    r"host|connection|keep-alive|te|trailer|upgrade|expect|cookie|forwarded|x-forwarded-.*|proxy-.*|mcp-.*"
    r"|accept|accept-encoding|content-.*|transfer-encoding|last-event-id",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class HeaderName(Reader):
    """The name of a header that the hub may send."""

    takes = "a header name"

    def read(self, raw: str) -> str:
        if not TOKEN.fullmatch(raw):
            raise wrong("is not a header name", "letters, digits and hyphens, as in X-API-Key")
        if _RESERVED_HEADERS.fullmatch(raw):
            raise wrong("this header belongs to the connection or the protocol; the hub sets it itself")
        return raw

    def schema(self) -> Json:
        return {"type": "string", "pattern": rf"^{TOKEN.pattern}$"}


@dataclass(frozen=True, slots=True)
class HeaderValue(Reader):
    """What is sent in a header: wrapped here, where it is read."""

    takes = "text for a header"

    def read(self, raw: str) -> Secret:
        if not raw:
            raise wrong("must not be empty")
        if len(raw) > MAX_HEADER:
            raise wrong(f"is longer than {MAX_HEADER} characters")
        if raw.strip() != raw:
            raise wrong("starts or ends with a space or a line break", "remove it where the value is set")
        if not _FIELD_VALUE.fullmatch(raw):
            raise wrong("may only hold ASCII letters, digits, signs and spaces: no line breaks, no control characters")
        return Secret(raw)

    def schema(self) -> Json:
        return {"type": "string"}
