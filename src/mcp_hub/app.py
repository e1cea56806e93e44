"""Composition root: a Config in, an ASGI app out; the one file that knows every part.

Rule: the configuration is split here. A room gets the few values it needs, never the whole.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, final
from urllib.parse import urlsplit

from msgspec import Raw

from mcp_hub import __version__
from mcp_hub.audit.calls import CallLog
from mcp_hub.catalog.access import Filter
from mcp_hub.catalog.parts import Exposure
from mcp_hub.config import model
from mcp_hub.config.places import store_path
from mcp_hub.config.show import shown_url
from mcp_hub.credentials.credential import Credential
from mcp_hub.credentials.resolve import Credentials
from mcp_hub.egress.client import HttpClient
from mcp_hub.egress.dial import Dialer
from mcp_hub.errors import HubError
from mcp_hub.gateway.asking import Asking
from mcp_hub.gateway.keys import kept_key
from mcp_hub.gateway.listing import Listing
from mcp_hub.gateway.memory import Memory
from mcp_hub.gateway.notices import Notices
from mcp_hub.gateway.parking import Parking
from mcp_hub.gateway.road import Road
from mcp_hub.gateway.sealed import Seal
from mcp_hub.gateway.task_ids import KEY_BYTES as TASK_KEY_BYTES
from mcp_hub.gateway.task_ids import TaskIds
from mcp_hub.gateway.task_notices import TaskNotices
from mcp_hub.gateway.tasks import Tasks
from mcp_hub.gateway.view import Views
from mcp_hub.inbound.asgi import Headers
from mcp_hub.inbound.endpoint import Endpoint
from mcp_hub.inbound.guard import LOOPBACK, Guard
from mcp_hub.inbound.head import read_head
from mcp_hub.inbound.outcome import Refused
from mcp_hub.inbound.records import Records
from mcp_hub.inbound.sessions import Limits as SessionLimits
from mcp_hub.inbound.sessions import MemorySessions
from mcp_hub.inbound.sse import MESSAGES_PATH, STREAM_PATH, Sse
from mcp_hub.inbound.stdio import Stdio, Write
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.secret import Secret
from mcp_hub.store.base import CallRecord, Store
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.upstream.carrier import Carrier, Way
from mcp_hub.upstream.channel import Channel, Limits
from mcp_hub.upstream.check import Verdict, by_dialing, by_starting, check, url_not_set
from mcp_hub.upstream.fetch import Fetch
from mcp_hub.upstream.process import Command
from mcp_hub.upstream.settings import Settings
from mcp_hub.upstream.starts import Starts
from mcp_hub.upstream.stdio import START, Processes, process_way
from mcp_hub.upstream.supervise import supervise
from mcp_hub.upstream.transports import Transports, found_way
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.web.site import PROBES, Site
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import Json, encode

ENDPOINT_PATH = "/mcp"
_CURSOR_KEY = "cursor-key"
_STATE_KEY = "request-state-key"
_TASK_KEY = "task-id-key"
_SERVER_INFO: Json = {"name": "mcp_hub", "title": "mcp_hub", "version": __version__}
_INFO = Raw(encode(_SERVER_INFO))
_ERAS: Mapping[model.ProtocolChoice, Era | None] = {"auto": None, "legacy": Era.LEGACY, "2026-07-28": Era.MODERN}
_OLDER: Mapping[model.Transport, bool | None] = {"auto": None, "streamable-http": False, "sse": True, "stdio": None}
"""Whether a transport is HTTP+SSE, `None` where that is found out."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Identify = Callable[[Headers], Principal]


def create_app(config: model.Config) -> "Hub":
    """An ASGI app that serves the hub of this configuration.

    It opens the store and contacts the upstreams when its lifespan starts, and starts with all of them down.
    Where the surrounding app runs no lifespans, enter `async with hub:` around serving it instead.
    """
    return Hub(config)


@final
class Hub:
    """One running hub. Serves requests between the start and the end of its lifespan."""

    def __init__(self, config: model.Config, identify: Identify | None = None) -> None:
        """`identify` says whose request it is by the request's headers; without one, everybody is the same caller."""
        self._config = config
        self._identify = identify or _anybody
        self._endpoint: App | None = None
        self._site: App | None = None
        self._older: Mapping[str, App] = {}
        self._notices: Notices | None = None
        self._road: Road | None = None
        self._running = AsyncExitStack()

    async def speak(self, lines: AsyncIterator[bytes], write: Write) -> None:
        """Serve one client that speaks line by line, until there are no more lines. Call it inside `async with hub`.

        `write` puts out one line with its end.
        """
        if self._road is None or self._notices is None:
            raise RuntimeError("the hub has not been started")
        await Stdio(self._road, self._notices, LOCAL, write).serve(lines)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3: HTTP and lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            path = _path(scope)
            serve = self._endpoint if path == ENDPOINT_PATH else self._older.get(path, self._site)
            if serve is None:
                raise RuntimeError("the hub's lifespan has not started")
            await serve(scope, receive, send)

    async def __aenter__(self) -> "Hub":
        """Open the store, begin to contact the upstreams.

        Raises:
            StoreFailed: the store cannot be opened; nothing has been started.
        """
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._running = stack.pop_all()
        return self

    def drain(self) -> None:
        """End the streams of notices, which would else last as long as their clients; what is called goes on.

        For a server that waits for its connections before it ends the hub.
        """
        if self._notices is not None:
            self._notices.stop()

    async def __aexit__(self, *failure: object) -> None:
        """End every upstream session, store what waits."""
        self.drain()
        self._endpoint = self._site = self._road = None
        self._older = {}
        await self._running.aclose()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.__aenter__()
        except HubError as error:
            await send({"type": "lifespan.startup.failed", "message": error.public})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.__aexit__()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, stack: AsyncExitStack) -> None:
        config = self._config
        store = _open_store(config.store)
        stack.push_async_callback(store.aclose)
        declared = {name: each for name, each in config.upstreams.items() if each.enabled and each.is_reachable}
        exposures = {name: _exposure(each, config.defaults) for name, each in declared.items()}
        views = Views(exposures, _SERVER_INFO, round(config.defaults.catalog_ttl * 1000))
        notices = Notices(views)
        memory = Memory(store, LOCAL.tenant, {name: _place(each) for name, each in declared.items()})
        known = await memory.recall()
        http = HttpClient(Dialer(allow_private=config.network.allow_private))
        stack.push_async_callback(http.aclose)
        credentials = {name: _credential(each) for name, each in declared.items()}
        starts = Starts()
        upstreams = {
            name: Upstream(
                _settings(each, config.defaults, credentials[name], _INFO),
                _way(each, config.defaults, http, starts),
                (views, memory, notices),
                known=known.get(name),
                notices=notices,
                prepare=views.prepare,
            )
            for name, each in declared.items()
        }
        views.watch(upstreams)
        await views.prepare()
        key = await kept_key(store, _CURSOR_KEY)
        calls = CallLog(store.append_calls, CallRecord._make)
        stack.push_async_callback(calls.aclose)
        listing = Listing(
            upstreams,
            exposures,
            views,
            deadline=config.defaults.list_timeout,
            page_size=config.defaults.page_size,
            cursor_key=key,
        )
        parking = Parking()
        asking = Asking(Seal(await kept_key(store, _STATE_KEY)), parking)
        task_ids = TaskIds(await kept_key(store, _TASK_KEY, TASK_KEY_BYTES))
        given, namespaces = Credentials(credentials), {name: each.namespace for name, each in exposures.items()}
        deadline = config.defaults.list_timeout
        task_notices = TaskNotices(task_ids, upstreams, namespaces, listing.view, given, deadline=deadline)
        notices.watch(upstreams, namespaces, listing.resource, task_notices.follow)
        road = Road(
            upstreams,
            listing,
            given,
            asking=asking,
            tasks=Tasks(task_ids),
            calls=calls,
            server_info=_SERVER_INFO,
        )
        self._road = road
        limits = SessionLimits(idle=config.server.session_idle, total=config.server.max_sessions)
        sessions = MemorySessions(road.end_session, limits, records=Records(store), on_wake=road.set_log_level)
        await sessions.recall()
        stack.push_async_callback(sessions.flush)
        self._serve(road, sessions, notices, upstreams)
        stack.push_async_callback(memory.flush)
        stack.push_async_callback(_close_all, list(upstreams.values()))
        stack.push_async_callback(parking.aclose)  # before the sessions that their calls are in
        runs = {"the memory of lists": memory.run, "the records of sessions": sessions.run}
        _keep_running(stack, {**runs, **{name: u.run for name, u in upstreams.items()}})

    def _serve(self, road: Road, sessions: MemorySessions, notices: Notices, upstreams: Mapping[str, Upstream]) -> None:
        server = self._config.server
        hosts = _hosts(server)
        absent = _absent(self._config.upstreams, upstreams)
        self._notices = notices
        most = server.max_request
        self._endpoint = Endpoint(
            road, sessions, notices, identify=self._identify, allowed_hosts=hosts, max_request=most
        )
        older = Sse(
            road,
            sessions,
            notices,
            identify=self._identify,
            allowed_hosts=hosts,
            max_request=most,
            public_url=server.public_url,
        )
        self._older = {STREAM_PATH: older.stream, MESSAGES_PATH: older.messages}
        urls = {name: shown_url(self._config, name) for name in upstreams}
        self._site = _guarded(Site(upstreams, absent, __version__, urls).app(), Guard(hosts, ()))


def _path(scope: Scope) -> str:
    # Below another app's mount, `path` still begins with where that is (ASGI, "HTTP connection scope").
    path, root = scope["path"], scope.get("root_path")
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def _guarded(site: App, guard: Guard) -> App:
    """The site for those whom the endpoint would serve; probes ask by address and learn nothing but that it runs."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if _path(scope) not in PROBES:
                guard.check(read_head(scope["headers"]))
        except Refused as refused:
            status = refused.failure.status
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": refused.failure.message.encode()})
        else:
            await site(scope, receive, send)

    return serve


async def _close_all(upstreams: Sequence[Upstream]) -> None:
    await asyncio.gather(*(each.aclose() for each in upstreams))


def _anybody(headers: object) -> Principal:
    # `login: none`: whoever can reach a hub that listens on loopback only is its one user.
    del headers
    return LOCAL


def _open_store(store: model.Store) -> Store:
    return SqliteStore.open(store_path(store, os.environ))


def _place(upstream: model.Upstream) -> str:
    """What stands for an upstream's URL or command in the store, since parts of it may be secret."""
    words = [*(each.open() for each in upstream.command), upstream.cwd or ""]
    place = encode(words) if upstream.command else (upstream.url or "").encode()
    return hashlib.sha256(place).hexdigest()


def _exposure(upstream: model.Upstream, defaults: model.Defaults) -> Exposure:
    return Exposure(
        name=upstream.name,
        title=upstream.title or upstream.name,
        namespace=upstream.namespace,
        name_limit=defaults.name_limit,
        tools=_filter(upstream.tools),
        prompts=_filter(upstream.prompts),
        resources=_filter(upstream.resources),
        rename=upstream.rename,
    )


def _filter(said: model.Filter) -> Filter:
    return Filter(said.allow, said.deny)


def _credential(upstream: model.Upstream) -> Credential:
    headers = dict(upstream.headers)
    if isinstance(upstream.auth, model.ApiKey):
        headers["Authorization"] = Secret(f"Bearer {upstream.auth.value.open()}")
    return Credential(headers)


async def check_upstream(config: model.Config, name: str) -> Verdict:
    """Check one declared upstream from this process; see `upstream.check`."""
    declared = config.upstreams[name]
    if not declared.is_reachable:
        return url_not_set(name)
    dialer = Dialer(allow_private=config.network.allow_private)
    http = HttpClient(dialer)
    settings = _settings(declared, config.defaults, _credential(declared), _INFO)
    carrier: Carrier
    if declared.command:
        carrier = processes = Processes(name, _command(declared), _limits(declared, config.defaults))
        reach = by_starting(processes.start, _command(declared).program)
    else:
        channel = Channel(name, settings.url, http, _limits(declared, config.defaults))
        carrier = Transports.over(channel, is_older=_OLDER[declared.transport])
        reach = by_dialing(settings.url, dialer)
    try:
        return await check(settings, reach, Fetch(name, carrier, settings.credential, _INFO, settings.listing))
    finally:
        await http.aclose()


def _way(declared: model.Upstream, defaults: model.Defaults, http: HttpClient, starts: Starts) -> Way:
    limits = _limits(declared, defaults)
    if declared.command:
        return process_way(declared.name, _command(declared), limits, starts)
    channel = Channel(declared.name, declared.url or "", http, limits)
    return found_way(channel, is_older=_OLDER[declared.transport])


def _command(declared: model.Upstream) -> Command:
    return Command(declared.command, declared.env, declared.cwd)


def _settings(declared: model.Upstream, defaults: model.Defaults, credential: Credential, info: Raw) -> Settings:
    return Settings(
        name=declared.name,
        url=f"stdio:{_command(declared).program}" if declared.command else declared.url or "",
        pinned=Era.LEGACY if declared.transport == "sse" else _ERAS[declared.protocol],
        ttl=declared.catalog_ttl,
        listing=defaults.list_timeout,
        credential=credential,
        info=info,
        start=START if declared.command else 0.0,
    )


def _limits(declared: model.Upstream, defaults: model.Defaults) -> Limits:
    return Limits(declared.max_result, defaults.max_event, declared.timeout, defaults.list_timeout)


def _absent(all_declared: Mapping[str, model.Upstream], served: Container[str]) -> dict[str, str]:
    return {
        name: "Server URL not set" if each.enabled else "Disabled in the configuration"
        for name, each in all_declared.items()
        if name not in served
    }


def _hosts(server: model.Server) -> set[str]:
    public = urlsplit(server.public_url or "").netloc
    return {*LOOPBACK, *server.allowed_hosts, *({public} if public else ())}


def _keep_running(stack: AsyncExitStack, runs: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    tasks = [asyncio.ensure_future(supervise(name, run)) for name, run in runs.items()]

    async def stop() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    stack.push_async_callback(stop)
