"""Pages of other sites that the operator allows to use the endpoint from a browser (the Fetch standard's CORS).

Rule: only the configured origins are answered; no cookie ever counts here, so none is allowed to come along. What a
browser may send and read is what clients of MCP need, the challenge that tells them how to sign in included.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from mcp_hub.inbound.asgi import Event, Receive, Scope, Send
from mcp_hub.inbound.guard import Guard
from mcp_hub.inbound.head import ORIGIN, PARAM, read_head
from mcp_hub.inbound.outcome import Refused

App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ASKS: Final = b"access-control-request-method"
_NAMES: Final = b"access-control-request-headers"
_SENT: Final = frozenset(
    {
        *(b"accept", b"authorization", b"content-type", b"last-event-id"),
        *(b"mcp-protocol-version", b"mcp-session-id", b"mcp-method", b"mcp-name"),
    }
)
_READ: Final = (b"access-control-expose-headers", b"WWW-Authenticate, Mcp-Session-Id")
_VARY: Final = (b"vary", b"Origin")
_SECONDS: Final = b"600"
_MOST_NAMES: Final = 64


def with_cors(app: App, origins: Iterable[str], guard: Guard, brought: Iterable[str] = ()) -> App:
    """The app for pages of these origins too; the same app, at no cost, if there are none.

    `guard` is the app's own: what it refuses is left to the app to refuse. `brought` are the further headers (lower
    case) that callers may send.
    """
    allowed = frozenset(origin.lower().encode() for origin in origins)
    sent = _SENT | {name.encode() for name in brought}
    if not allowed:
        return app

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        origin = _only(scope, ORIGIN)
        if origin is None or origin.lower() not in allowed:
            await app(scope, receive, send)
            return
        mine = ((b"access-control-allow-origin", origin), _VARY)
        if scope["method"] == "OPTIONS" and _only(scope, _ASKS) is not None and _passes(guard, scope):
            headers = [*mine, *_allowance(_only(scope, _NAMES) or b"", sent)]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_on(event: Event) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": [*event["headers"], *mine, _READ]}
            await send(event)

        await app(scope, receive, send_on)

    return serve


def _only(scope: Scope, wanted: bytes) -> bytes | None:
    found = [value for name, value in scope["headers"] if name == wanted]
    return found[0] if len(found) == 1 else None


def _passes(guard: Guard, scope: Scope) -> bool:
    try:
        guard.check(read_head(scope["headers"]))
    except Refused:
        return False
    return True


def _allowance(asked: bytes, sent: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    names = [name.strip().lower() for name in asked.split(b",")[:_MOST_NAMES]]
    taken = [name for name in names if name in sent or (name.startswith(PARAM) and name.replace(b"-", b"").isalnum())]
    return [
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", b", ".join(taken)),
        (b"access-control-max-age", _SECONDS),
    ]
