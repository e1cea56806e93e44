"""The addresses that pages of any site may call: what clients in browsers need before they know anybody.

Rule: they take no cookie and give nothing that is only for whoever is signed in, so `*` gives nothing away.
Source: Fetch, "CORS protocol".
"""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from mcp_hub.wire.jsonrpc import Json, encode

ANY_ORIGIN: Final[Mapping[str, str]] = {"Access-Control-Allow-Origin": "*"}
_ASKED_FIRST: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "authorization, content-type, mcp-protocol-version",
    "Access-Control-Max-Age": "3600",
}


def preflight(*methods: str) -> Response:
    """The answer to the question whether another site's page may use these methods: it may."""
    return Response(status_code=204, headers={**_ASKED_FIRST, "Access-Control-Allow-Methods": ", ".join(methods)})


def open_json(content: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that any page may read, and that no cache keeps unless `headers` say otherwise."""
    given = {**ANY_ORIGIN, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(encode(content), status, media_type="application/json", headers=given)
