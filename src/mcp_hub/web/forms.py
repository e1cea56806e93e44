"""What a form sends, read with bounds.

Rule: a form is small, arrives soon, is urlencoded and says each thing once. What is not is refused before anything is
done with it: of two values for one field, two readers might take different ones.
Source: URL Standard, "application/x-www-form-urlencoded parsing"; RFC 6749 section 3.1 (no parameter twice).
"""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from mcp_hub.errors import BadRequest

MAX_FORM: Final = 64 * 1024
"""Bytes of a whole form."""
MAX_FIELDS: Final = 100
MAX_SECONDS: Final = 30.0
"""For all of a body to arrive."""

Form = Mapping[str, str]
"""The fields of a form by name; those left empty are there, with empty text."""

_URLENCODED: Final = "application/x-www-form-urlencoded"
_REQUEST_TIMEOUT: Final = 408
_CONTENT_TOO_LARGE: Final = 413
_UNSUPPORTED_MEDIA_TYPE: Final = 415


class BadForm(BadRequest):
    """What was sent is no form that can be judged. `status` is the HTTP status that says so."""

    def __init__(self, public: str, status: int = 400) -> None:
        super().__init__(public)
        self.status = status


async def read_form(request: Request, *, most: int = MAX_FORM) -> Form:
    """The form in the body of a request; it is read up to `most` bytes and no further.

    Raises:
        BadForm: too large, too slow, of another media type, not UTF-8, or a field stands there twice. Nothing sent is
            repeated.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != _URLENCODED:
        raise BadForm(f"This address takes forms only ({_URLENCODED}).", _UNSUPPORTED_MEDIA_TYPE)
    return parse_form(await read_bytes(request, most=most))


def parse_form(body: bytes | str) -> Form:
    """The fields of an encoded form or query.

    Raises:
        BadForm: as `read_form`.
    """
    try:
        text = body if isinstance(body, str) else body.decode("ascii")
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise BadForm("The form cannot be read. Go back, load the page again, and send it once more.") from None
    form = dict(fields)
    if len(form) != len(fields):
        raise BadForm("A field of the form was sent twice. Go back, load the page again, and send it once more.")
    return form


def query_pairs(query: bytes) -> list[tuple[str, str]]:
    """The members of a query as they came, repeated ones included; of what cannot be read, none."""
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        return []


async def read_bytes(request: Request, *, most: int, seconds: float = MAX_SECONDS) -> bytes:
    """The whole body of a request, of at most `most` bytes, which has to arrive within `seconds`.

    Raises:
        BadForm: it is larger, slower, or its sender has gone.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise BadForm(f"What was sent is larger than {most // 1024} KiB.", _CONTENT_TOO_LARGE)
    except TimeoutError:
        raise BadForm("What was sent did not arrive in time. Send it once more.", _REQUEST_TIMEOUT) from None
    except ClientDisconnect:
        raise BadForm("The request did not arrive completely.") from None
    return bytes(body)
