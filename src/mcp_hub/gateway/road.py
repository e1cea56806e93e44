"""The road of a request: whose is it, with which credential, there and back.

Rule: this is the one screen on which the way of a call can be read. Everything else is a room along the road.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import lru_cache
from time import perf_counter
from typing import Any, Final, cast, final

from msgspec import Raw

from mcp_hub.audit.calls import CallLog, Outcome
from mcp_hub.catalog.parts import Kind
from mcp_hub.catalog.rewrite import inward_ref, outward_result
from mcp_hub.catalog.routes import Route
from mcp_hub.credentials.resolve import Credentials
from mcp_hub.errors import (
    BadRequest,
    BrokeProtocol,
    HeaderMismatch,
    RefusedCredential,
    TimedOut,
    UnknownMethod,
    Unreachable,
    UpstreamError,
)
from mcp_hub.gateway.ask import Ask, Description
from mcp_hub.gateway.asking import Asking
from mcp_hub.gateway.bridge import to_client
from mcp_hub.gateway.listing import Listing
from mcp_hub.principal import Principal
from mcp_hub.upstream.call import Call, Owner
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.wire.eras import NAME_BEARING, Era
from mcp_hub.wire.headers import check_param_headers, param_headers
from mcp_hub.wire.jsonrpc import Fields, Json, Malformed, Reply, encode, fields, text, value

_Turn = tuple[Route, Fields, Mapping[str, str] | None]
"""Where a request goes on: whose it is, its params in that upstream's words, and the headers that mirror them."""

_LISTS: Final = frozenset(kind.method for kind in Kind)
_NOTHING: Final = Raw(b"{}")
_LONGEST_KEPT: Final = 1024
"""Bytes of a client's description of itself whose name is remembered."""


@final
class Road:
    """Serves every request that the inbound side hands over; see `gateway.ask.Gateway`."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        listing: Listing,
        credentials: Credentials,
        *,
        asking: Asking,
        calls: CallLog[Any],
        server_info: Json,
    ) -> None:
        self._upstreams = upstreams
        self._listing = listing
        self._credentials = credentials
        self._asking = asking
        self._calls = calls
        self._server_info = server_info
        self._levels: dict[str, str] = {}
        self._forwarded: dict[str, Callable[[Ask], Awaitable[_Turn]]] = {
            "tools/call": self._to_tool,
            "prompts/get": self._to_prompt,
            "resources/read": self._to_resource,
            "completion/complete": self._to_completion,
        }

    def answer(self, ask: Ask) -> Coroutine[Any, Any, Reply]:
        """Serve one request; cancellation closes what was opened upstream for it."""
        turn = self._forwarded.get(ask.method)
        if turn is not None:
            return self._forward(ask, turn)
        if ask.method in _LISTS:
            return self._list(ask)
        raise UnknownMethod(f"This hub does not serve {ask.method[:100]!r}.")

    async def _to_tool(self, ask: Ask) -> "_Turn":
        route = await self._listing.tool(_required(ask, "name"))
        mirrored = _param_headers(ask, route) if route.params else None
        return route, {**ask.params, "name": Raw(encode(route.original))}, mirrored

    async def _to_prompt(self, ask: Ask) -> "_Turn":
        route = await self._listing.prompt(_required(ask, "name"))
        return route, {**ask.params, "name": Raw(encode(route.original))}, None

    async def _to_resource(self, ask: Ask) -> "_Turn":
        route = await self._listing.resource(_required(ask, "uri"))
        return route, {**ask.params, "uri": Raw(encode(route.original))}, None

    async def _to_completion(self, ask: Ask) -> "_Turn":
        view = await self._listing.view()
        route, ref = inward_ref(ask.params.get("ref", Raw(b"null")), view.catalog)
        return route, {**ask.params, "ref": ref}, None

    async def _list(self, ask: Ask) -> Reply:
        return Reply(result=await self._listing.answer(ask))

    async def _forward(self, ask: Ask, turn: "Callable[[Ask], Awaitable[_Turn]]") -> Reply:
        route, params, mirrored = await turn(ask)
        upstream = self._upstreams[route.upstream]
        credential = self._credentials.for_call(ask.caller, route.upstream)
        call = self._call(ask, route, params, mirrored)
        started = perf_counter()
        outcome: Outcome = "error"
        try:
            reply = self._homeward(ask, route, upstream, await self._asking.send(ask, upstream, call, credential))
            outcome = _outcome(reply)
        except (UpstreamError, asyncio.CancelledError) as error:
            outcome = _failure(error)
            raise
        finally:
            self._calls.record(
                ask.caller,
                client=_client_name(ask.client.info),
                upstream=upstream.name,
                method=ask.method,
                name=route.original,
                outcome=outcome,
                milliseconds=(perf_counter() - started) * 1000,
            )
        return reply

    def _call(self, ask: Ask, route: Route, params: Fields, mirrored: Mapping[str, str] | None) -> Call:
        params.pop("_meta", None)
        return Call(
            owner=owner(ask.caller, ask.session),
            client=ask.client,
            method=ask.method,
            params=params,
            meta=ask.meta,
            emit=ask.emit,
            name=route.original if ask.method in NAME_BEARING else None,
            param_headers=mirrored or {},
            log_level=self._levels.get(ask.session) if ask.session is not None else None,
            repeatable=ask.method != "tools/call",
            ask_client=ask.ask_client,
        )

    def _homeward(self, ask: Ask, route: Route, upstream: Upstream, reply: Reply) -> Reply:
        try:
            bridged = to_client(reply, ask.method, ask.client.era, upstream.known.era)
            if bridged.result is None or (ask.method == "tools/call" and not bridged.traits.links):
                return bridged
            result = outward_result(ask.method, bridged.result, self._listing.namespace(route.upstream))
            return bridged if result is bridged.result else Reply(result=result)
        except Malformed as error:
            raise BrokeProtocol(upstream.name, f"{upstream.name} sent a result that is not valid JSON.") from error

    async def describe(self, caller: Principal) -> Description:
        """What `initialize` and `server/discover` answer; the same for every caller so far."""
        del caller
        view = await self._listing.view()
        return Description(self._server_info, view.capabilities, view.instructions, view.ttl_ms, "private")

    async def set_log_level(self, session: str, level: str) -> None:
        """Remember a session's level; each upstream is told before the session's next call to it."""
        self._levels[session] = level

    async def end_session(self, session: str) -> None:
        """Close the upstream sessions that were opened for a downstream session."""
        self._levels.pop(session, None)
        await asyncio.gather(*(each.end_sessions(("session", session)) for each in self._upstreams.values()))


def owner(caller: Principal, session: str | None) -> Owner:
    """Whose upstream session a request uses: the downstream session's, or the principal's own."""
    return ("principal", *caller.key) if session is None else ("session", session)


def _required(ask: Ask, member: str) -> str:
    found = text(ask.params.get(member))
    if found is None:
        raise BadRequest(f"{ask.method} needs a string {member!r}.")
    return found


def _param_headers(ask: Ask, route: Route) -> dict[str, str]:
    arguments = value(ask.params.get("arguments", _NOTHING))
    given = cast("Json", arguments) if isinstance(arguments, dict) else {}
    if ask.client.era is Era.MODERN and ask.param_headers is not None:
        wrong = check_param_headers(route.params, given, ask.param_headers)
        if wrong is not None:
            raise HeaderMismatch(wrong)
    return param_headers(route.params, given)


def _outcome(reply: Reply) -> Outcome:
    if reply.result is None:
        return "error"
    return "tool_error" if reply.traits.failed else "ok"


def _failure(error: BaseException) -> Outcome:
    match error:
        case asyncio.CancelledError():
            return "cancelled"
        case RefusedCredential():
            return "refused"
        case TimedOut():
            return "timeout"
        case Unreachable():
            return "unreachable"
        case _:
            return "error"


def _named(info: bytes) -> str:
    try:
        return text(fields(info).get("name")) or ""
    except Malformed:
        return ""


_kept_name: Final = lru_cache(maxsize=256)(_named)


def _client_name(info: Raw | None) -> str:
    if info is None:
        return ""
    # What a client says of itself may be as long as a request, and 256 of those are not kept.
    said = bytes(info)
    return (_kept_name if len(said) <= _LONGEST_KEPT else _named)(said)
