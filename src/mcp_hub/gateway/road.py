"""The road of a request: whose is it, with which credential, there and back.

Rule: this is the one screen on which the way of a call can be read. Everything else is a room along the road.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import lru_cache
from time import perf_counter
from typing import Any, Final, cast, final

from msgspec import Raw

from mcp_hub.audit.calls import CallLog, Outcome
from mcp_hub.catalog.parts import Kind
from mcp_hub.catalog.rewrite import inward_ref, outward_result, without_own_words
from mcp_hub.catalog.routes import Route
from mcp_hub.errors import (
    BadRequest,
    BrokeProtocol,
    ConnectionNeeded,
    HeaderMismatch,
    RefusedCredential,
    TimedOut,
    UnknownName,
    Unreachable,
    UpstreamError,
)
from mcp_hub.gateway.ask import Ask, Description
from mcp_hub.gateway.asking import Asking
from mcp_hub.gateway.bridge import to_client
from mcp_hub.gateway.fleet import Fleet
from mcp_hub.gateway.fleets import Fleets
from mcp_hub.gateway.inviting import Inviting
from mcp_hub.gateway.task_list import listed
from mcp_hub.gateway.tasks import LIST, LONGEST_RESULT, OF_TASKS, RESULT, Tasks, meta_of, require_known
from mcp_hub.gateway.unknown import led
from mcp_hub.gateway.url_required import for_client
from mcp_hub.principal import Principal
from mcp_hub.upstream.call import Call, Owner
from mcp_hub.wire.eras import NAME_BEARING, Era
from mcp_hub.wire.headers import check_param_headers, param_headers
from mcp_hub.wire.jsonrpc import Fields, Json, Malformed, Reply, encode, fields, text, value

_Turn = tuple[Route, Fields, Mapping[str, str] | None]
"""Where a request goes on: whose it is, its params in that upstream's words, and the headers that mirror them."""
_Way = Callable[[Ask, Fleet], Awaitable[_Turn]]
"""Finds that out among a caller's upstreams."""

_LISTS: Final = frozenset(kind.method for kind in Kind)
_REPEATABLE: Final = frozenset(
    {"prompts/get", "resources/read", "completion/complete", "tasks/get", "tasks/list", "tasks/result"}
)
"""Requests that do no harm if an upstream sees them twice."""
_LEGACY: Final = Era.LEGACY
_NOTHING: Final = Raw(b"{}")
_LONGEST_KEPT: Final = 1024
"""Bytes of a client's description of itself whose name is remembered."""


@final
class _Scene:
    """A caller's upstreams, for a call that waits for its user; see `gateway.inviting.Scene`."""

    def __init__(self, fleets: Fleets, caller: Principal) -> None:
        self._fleets = fleets
        self._caller = caller

    def watch(self, upstream: str, changed: Callable[[], object]) -> Callable[[], None]:
        """See `Scene`."""
        found = self._fleets.of(self._caller).upstreams.get(upstream)
        return _nothing if found is None else found.watch(changed)

    async def settled(self, upstream: str) -> None:
        """See `Scene`."""
        fleet = self._fleets.of(self._caller)
        found = fleet.upstreams.get(upstream)
        if found is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(fleet.listing.deadline):
                    await found.settled()


def _nothing() -> None:
    pass


@final
class Road:
    """Serves every request that the inbound side hands over; see `gateway.ask.Gateway`."""

    def __init__(
        self,
        fleets: Fleets,
        *,
        asking: Asking,
        tasks: Tasks,
        calls: CallLog[Any],
        server_info: Json,
    ) -> None:
        self._fleets = fleets
        self._asking = asking
        self._inviting = Inviting(asking.seal)
        self._tasks = tasks
        self._calls = calls
        self._server_info = server_info
        self._levels: dict[str, str] = {}
        self._forwarded: dict[str, _Way] = {
            "tools/call": self._to_tool,
            "prompts/get": self._to_prompt,
            "resources/read": self._to_resource,
            "completion/complete": self._to_completion,
            **dict.fromkeys(OF_TASKS - {LIST}, self._to_task),
        }

    def answer(self, ask: Ask) -> Coroutine[Any, Any, Reply]:
        """Serve one request; cancellation closes what was opened upstream for it."""
        turn = self._forwarded.get(ask.method)
        if turn is not None:
            return self._forward(ask, turn)
        if ask.method in _LISTS:
            return self._list(ask)
        if ask.method == LIST:
            return self._list_tasks(ask)
        return self._forward(ask, self._to_whoever)

    async def _to_tool(self, ask: Ask, fleet: Fleet) -> "_Turn":
        name, listing = _required(ask, "name"), fleet.listing
        route = listing.known_tool(name) or await listing.tool(name)
        mirrored = _param_headers(ask, route) if route.params else None
        params = {**ask.params, "name": Raw(encode(route.original))}
        if "task" in params:
            view = await listing.view()
            if not self._tasks.of_call(ask, route.upstream, fleet.upstreams[route.upstream].known.era, view):
                del params["task"]
        return route, params, mirrored

    async def _to_task(self, ask: Ask, fleet: Fleet) -> "_Turn":
        upstream, task = self._tasks.find(ask, await fleet.listing.view())
        return Route(upstream, task), {**ask.params, "taskId": Raw(encode(task))}, None

    async def _to_prompt(self, ask: Ask, fleet: Fleet) -> "_Turn":
        route = await fleet.listing.prompt(_required(ask, "name"))
        return route, {**ask.params, "name": Raw(encode(route.original))}, None

    async def _to_resource(self, ask: Ask, fleet: Fleet) -> "_Turn":
        route = await fleet.listing.resource(_required(ask, "uri"))
        return route, {**ask.params, "uri": Raw(encode(route.original))}, None

    async def _to_completion(self, ask: Ask, fleet: Fleet) -> "_Turn":
        view = await fleet.listing.view()
        route, ref = inward_ref(ask.params.get("ref", Raw(b"null")), view.catalog)
        return route, {**ask.params, "ref": ref}, None

    async def _to_whoever(self, ask: Ask, fleet: Fleet) -> "_Turn":
        view = await fleet.listing.view()
        route, params = led(ask, view, fleet.upstreams, lambda shown: self._tasks.opened(ask, shown))
        return route, params, None

    async def _list(self, ask: Ask) -> Reply:
        fleet = await self._fleets.ready(ask.caller)
        return Reply(result=await fleet.listing.answer(ask))

    async def _list_tasks(self, ask: Ask) -> Reply:
        fleet = await self._fleets.ready(ask.caller)
        view = fleet.views.current()
        self._tasks.require_offered(ask, view)

        def send(name: str, params: Fields) -> Awaitable[Reply]:
            return fleet.upstreams[name].send(self._call(ask, fleet, Route(name, ""), dict(params), None))

        names = [name for name in fleet.upstreams if name in view.listing_tasks]
        return Reply(result=await listed(ask, names, self._tasks, send, deadline=fleet.listing.deadline))

    async def _forward(self, ask: Ask, turn: "_Way") -> Reply:
        if "requestState" in ask.params and (invited := self._inviting.opened(ask)) is not None:
            scene = _Scene(self._fleets, ask.caller)
            return await self._inviting.again(
                invited, lambda again: self._once(again, turn, self._fleets.of(again.caller)), scene
            )
        fleet = self._fleets.of(ask.caller)
        try:
            return await self._once(ask, turn, fleet)
        except ConnectionNeeded as need:
            return self._inviting.first(ask, need, _Scene(self._fleets, ask.caller))
        except (RefusedCredential, UnknownName):
            if self._fleets.of(ask.caller) is fleet:
                raise
        # It has turned out meanwhile that an upstream has people sign in. What it refused has not run.
        return await self._forward(ask, turn)

    async def _once(self, ask: Ask, turn: "_Way", fleet: Fleet) -> Reply:
        try:
            route, params, mirrored = await turn(ask, fleet)
        except ConnectionNeeded as need:
            self._record(ask, need.upstream, _asked_for(ask), "not_connected", perf_counter())
            raise
        upstream = fleet.upstreams[route.upstream]
        call = self._call(ask, fleet, route, params, mirrored)
        started = perf_counter()
        outcome: Outcome = "error"
        try:
            reply = self._homeward(ask, fleet, route, await self._asking.send(ask, upstream, call))
            outcome = _outcome(reply)
        except (UpstreamError, ConnectionNeeded, asyncio.CancelledError) as error:
            outcome = _failure(error)
            raise
        finally:
            self._record(ask, upstream.name, _recorded(ask, route), outcome, started)
        return reply

    def _record(self, ask: Ask, upstream: str, name: str, outcome: Outcome, started: float) -> None:
        self._calls.record(
            ask.caller,
            client=_client_name(ask.client.info),
            upstream=upstream,
            method=ask.method,
            name=name,
            outcome=outcome,
            milliseconds=(perf_counter() - started) * 1000,
        )

    def _call(self, ask: Ask, fleet: Fleet, route: Route, params: Fields, mirrored: Mapping[str, str] | None) -> Call:
        params.pop("_meta", None)
        emit, ask_client = ask.emit, ask.ask_client
        if ask.client.era is _LEGACY and route.upstream in fleet.listing.legacy_tasks:
            emit = self._tasks.emit(ask, route.upstream)
            ask_client = self._tasks.ask_client(ask, route.upstream)
        return Call(
            owner=owner(ask.caller, ask.session),
            client=ask.client,
            method=ask.method,
            params=params,
            meta=meta_of(ask),
            emit=emit,
            name=route.original if ask.method in NAME_BEARING else None,
            param_headers=mirrored or {},
            log_level=self._levels.get(ask.session) if ask.session is not None else None,
            repeatable=ask.method in _REPEATABLE,
            wait=LONGEST_RESULT if ask.method == RESULT else None,
            ask_client=ask_client,
            pause=ask.pause,
        )

    def _homeward(self, ask: Ask, fleet: Fleet, route: Route, reply: Reply) -> Reply:
        upstream = fleet.upstreams[route.upstream]
        try:
            bridged = to_client(reply, ask.method, ask.client.era, upstream.known.era)
            if bridged.result is None:
                return for_client(ask, bridged)
            if ask.method == "tools/call" and not bridged.traits.links and "task" not in ask.params:
                return bridged
            if reply.traits.is_task:
                require_known(ask, upstream.name)
            own = bridged.result if not bridged.traits.failed else without_own_words(bridged.result)
            result = outward_result(ask.method, own, fleet.listing.namespace(route.upstream))
            if ask.client.era is upstream.known.era:
                result = self._tasks.outward(ask, route.upstream, result)
            return bridged if result is bridged.result else Reply(result=result)
        except Malformed as error:
            raise BrokeProtocol(upstream.name, f"{upstream.name} sent a result that is not valid JSON.") from error

    async def describe(self, caller: Principal, revision: str) -> Description:
        """What `initialize` and `server/discover` answer to this caller."""
        view = (await self._fleets.ready(caller)).views.current()
        return Description(self._server_info, view.capabilities(revision), view.instructions, view.ttl_ms, "private")

    async def set_log_level(self, session: str, level: str) -> None:
        """Remember a session's level; each upstream is told before the session's next call to it."""
        self._levels[session] = level

    async def end_session(self, session: str, owner: tuple[str, str, str]) -> None:
        """Close the upstream sessions that were opened for a downstream session."""
        self._levels.pop(session, None)
        await self._fleets.end_session(session, owner)


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


def _recorded(ask: Ask, route: Route) -> str:
    # A task's id may be all that an upstream asks for to show the task, so it is not kept.
    return "" if ask.method in OF_TASKS else route.original


def _asked_for(ask: Ask) -> str:
    """What a request is for, in the caller's words: whoever is not connected knows no others."""
    member = NAME_BEARING.get(ask.method)
    return "" if member is None or ask.method in OF_TASKS else text(ask.params.get(member)) or ""


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
        case ConnectionNeeded():
            return "not_connected"
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
