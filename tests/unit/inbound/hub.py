"""The endpoint with a small road behind it, and the clients of both eras that the tests of this room play."""

import asyncio
import json

from msgspec import Raw

from mcp_hub.errors import UnknownMethod
from mcp_hub.gateway.ask import Ask, Description
from mcp_hub.gateway.notices import Notices
from mcp_hub.gateway.view import Views
from mcp_hub.inbound.door import ByHeaders
from mcp_hub.inbound.endpoint import Endpoint
from mcp_hub.inbound.flight import Timing
from mcp_hub.inbound.sessions import Limits, MemorySessions
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.wire.jsonrpc import Reply
from unit.inbound.asgi import BOUND, Exchange, Response, begin

MODERN = "2026-07-28"
ALICE = Principal("idp", "alice")
BOB = Principal("idp", "bob")
BASE = {
    "Host": "localhost:8080",
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {"sampling": {}},
}


class Road:
    """A road of one piece: it answers what `serves` says, and remembers what it was asked."""

    def __init__(self):
        self.asks: list[Ask] = []
        self.levels: list[tuple[str, str]] = []
        self.ended: list[str] = []
        self.revisions: list[str] = []
        self.cancelled = asyncio.Event()
        self.entered = asyncio.Event()
        self.arrivals = asyncio.Condition()
        self.release = asyncio.Event()
        self.failure: Exception | None = None
        self.result: bytes = b'{"content":[]}'
        self.description = Description({"name": "hub", "version": "1"}, {"tools": {}}, "Be kind.", 5000, "private")

    async def answer(self, ask: Ask) -> Reply:
        async with self.arrivals:
            self.asks.append(ask)
            self.arrivals.notify_all()
        self.entered.set()
        if self.failure is not None:
            raise self.failure
        match ask.method:
            case "tools/list" | "tools/call" | "prompts/get" | "resources/read":
                return await self._called(ask)
            case "test/error":
                return Reply(error=Raw(b'{"code":-32021,"message":"no","data":{"requiredCapabilities":{}}}'))
            case "test/nonsense":
                return Reply(error=Raw(b"[]"))
            case method:
                raise UnknownMethod(f"This hub does not serve {method[:20]!r}.")

    async def asked(self, count: int) -> None:
        """Wait until so many requests have come in."""
        async with asyncio.timeout(BOUND), self.arrivals:
            await self.arrivals.wait_for(lambda: len(self.asks) >= count)

    async def _called(self, ask: Ask) -> Reply:
        arguments = json.loads(bytes(ask.params.get("arguments", b"{}")))
        for number in range(arguments.get("progress", 0) if isinstance(arguments, dict) else 0):
            await ask.emit(b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":%d}}' % number)
        if isinstance(arguments, dict) and arguments.get("wait"):
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return Reply(result=Raw(self.result))

    async def describe(self, caller: Principal, revision: str) -> Description:
        self.revisions.append(revision)
        if self.failure is not None:
            raise self.failure
        return self.description

    async def set_log_level(self, session: str, level: str) -> None:
        self.levels.append((session, level))

    async def end_session(self, session: str, owner: tuple[str, str, str]) -> None:
        self.ended.append(session)


def identify(headers) -> Principal:
    """Who the header `X-Caller` says; you, if nobody says anything."""
    said = dict(headers).get(b"x-caller", b"")
    return {b"alice": ALICE, b"bob": BOB}.get(said, LOCAL)


class Hub:
    """The endpoint under test, and its road and sessions."""

    def __init__(self, *, timing: Timing | None = None, limits: Limits | None = None, clock=lambda: 0.0, **settings):
        self.road = Road()
        self.sessions = MemorySessions(self.road.end_session, limits or Limits(), clock)
        settings = {"door": ByHeaders(identify), "allowed_hosts": {"localhost", "hub.example.com"}, **settings}
        self.notices = Notices(Views({}, {}, 0))
        self.endpoint = Endpoint(self.road, self.sessions, self.notices_of, timing=timing or Timing(), **settings)

    def notices_of(self, caller) -> Notices:
        return self.notices

    def begin(self, method="POST", body=b"", *, parts=None, ends=True, **headers) -> Exchange:
        """Start any request; `None` leaves a header out, and `_` stands for `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = {**{name.lower(): value for name, value in BASE.items()}, **given}
        kept = [(name, value) for name, value in lines.items() if value is not None]
        return begin(self.endpoint, method, kept, [body] if parts is None else parts, ends=ends)

    async def send(self, method="POST", body=b"", **headers) -> Response:
        """Any request, to its end."""
        return await self.begin(method, body, **headers).response()

    def begin_modern(self, method, params=None, *, number=1, meta=META, **headers) -> Exchange:
        """Start a modern request whose headers agree with its body, apart from what `headers` changes."""
        params = {**(params or {}), **({} if meta is None else {"_meta": meta})}
        lines = {"mcp_protocol_version": MODERN, "mcp_method": method}
        name = params.get("name", params.get("uri"))
        if name is not None and method in ("tools/call", "prompts/get", "resources/read"):
            lines["mcp_name"] = name
        return self.begin(body=message(method, params, number), **{**lines, **headers})

    async def modern(self, method, params=None, **how) -> Response:
        """A modern request, to its end."""
        return await self.begin_modern(method, params, **how).response()

    async def initialize(self, revision="2025-11-25", **headers) -> Response:
        """Open a legacy session."""
        params = {
            "protocolVersion": revision,
            "capabilities": {"roots": {}},
            "clientInfo": {"name": "c", "version": "1"},
        }
        return await self.send(body=message("initialize", params), **headers)

    async def open(self, revision="2025-11-25", **headers) -> str:
        """Open a legacy session; its id."""
        return (await self.initialize(revision, **headers)).headers["mcp-session-id"]

    def begin_legacy(self, session, method, params=None, *, number=1, **headers) -> Exchange:
        """Start a request in a session; without a number it is a notification."""
        return self.begin(body=message(method, params, number), mcp_session_id=session, **headers)

    async def legacy(self, session, method, params=None, *, number=1, **headers) -> Response:
        """A request in a session, to its end."""
        return await self.begin_legacy(session, method, params, number=number, **headers).response()


def message(method, params=None, number: object = 1) -> bytes:
    """One encoded request, or notification where `number` is `None`."""
    body = {"jsonrpc": "2.0", "method": method, "params": params or {}}
    return json.dumps(body if number is None else {**body, "id": number}).encode()
