"""The hub as an ASGI app: what is served at which path, from its start to its end."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import AsyncExitStack
from typing import Any, final
from urllib.parse import urlsplit

from mcp_hub import __version__
from mcp_hub.assembly import Running, assemble
from mcp_hub.authserver.paths import is_open
from mcp_hub.config import model
from mcp_hub.config.show import shown_url
from mcp_hub.declared import unserved
from mcp_hub.errors import BadRequest, HubError, Unauthenticated
from mcp_hub.inbound.asgi import Headers
from mcp_hub.inbound.bringing import takeable, with_bringing
from mcp_hub.inbound.cors import with_cors
from mcp_hub.inbound.door import ByHeaders, Door, Open
from mcp_hub.inbound.endpoint import Endpoint
from mcp_hub.inbound.guard import LOOPBACK, Guard
from mcp_hub.inbound.head import read_head
from mcp_hub.inbound.outcome import Refused
from mcp_hub.inbound.sse import MESSAGES_PATH, STREAM_PATH, Sse
from mcp_hub.inbound.stdio import Stdio, Write
from mcp_hub.pages import pages_of
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.web.api import Api
from mcp_hub.web.check import Check
from mcp_hub.web.frame import Frame
from mcp_hub.web.probes import PROBES, Probes
from mcp_hub.web.site import Site
from mcp_hub.wire.jsonrpc import INVALID_REQUEST

ENDPOINT_PATH = "/mcp"

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

    def __init__(self, config: model.Config, identify: Identify | None = None, *, over_http: bool = True) -> None:
        """`identify` says whose request it is by the request's headers, in place of the configured login.

        A hub that serves nobody `over_http` leaves the stored sessions to the one that does.
        """
        self._config = config
        self._over_http = over_http
        self._identify = identify
        self._endpoint: App | None = None
        self._site: App | None = None
        self._older: Mapping[str, App] = {}
        self._running: Running | None = None
        self._stack = AsyncExitStack()

    async def speak(self, lines: AsyncIterator[bytes], write: Write) -> None:
        """Serve one client that speaks line by line, until there are no more lines. Call it inside `async with hub`.

        `write` puts out one line with its end.
        """
        if self._running is None:
            raise RuntimeError("the hub has not been started")
        await Stdio(self._running.road, self._running.fleets.notices_of, LOCAL, write).serve(lines)

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
            VaultLocked: it cannot be unlocked; nothing has been started.
        """
        async with AsyncExitStack() as stack:
            self._running = await assemble(self._config, stack, keeps_sessions=self._over_http)
            self._stack = stack.pop_all()
        self._serve(self._running)
        return self

    @property
    def key_source(self) -> str:
        """Where the master key of the running hub came from, in words that may be shown."""
        return "" if self._running is None else self._running.vault.master.source

    async def offer_setup(self) -> str | None:
        """The URL where the first admin is made, good once and for ten minutes; `None` if none is needed.

        Raises:
            StoreFailed: the store does not answer.
        """
        entrance = None if self._running is None else self._running.entrance
        return None if entrance is None else await entrance.setup_link()

    def drain(self) -> None:
        """End the streams of notices, which would else last as long as their clients; what is called goes on.

        For a server that waits for its connections before it ends the hub.
        """
        if self._running is not None:
            self._running.fleets.stop_listening()

    async def __aexit__(self, *failure: object) -> None:
        """End every upstream session, store what waits."""
        self.drain()
        self._endpoint = self._site = self._running = None
        self._older = {}
        await self._stack.aclose()

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

    def _serve(self, running: Running) -> None:
        server = self._config.server
        hosts = _hosts(server)
        road, sessions, notices_of = running.road, running.sessions, running.fleets.notices_of
        entrance, most, origins = running.entrance, server.max_request, server.allowed_origins
        door, brought = self._door(running), _brought(self._config)
        bringing = with_bringing(door, brought)
        endpoint = Endpoint(
            road,
            sessions,
            notices_of,
            door=bringing,
            resource=server.endpoint,
            allowed_hosts=hosts,
            allowed_origins=origins,
            max_request=most,
        )
        self._endpoint = with_cors(endpoint, origins, Guard(hosts, origins), brought)
        older = Sse(
            road,
            sessions,
            notices_of,
            door=bringing,
            resource=server.endpoint,
            allowed_hosts=hosts,
            max_request=most,
            public_url=server.public_url,
        )
        self._older = {STREAM_PATH: older.stream, MESSAGES_PATH: older.messages}
        absent = unserved(self._config.upstreams, running.fleets.names)
        urls = {name: shown_url(self._config, name) for name in running.fleets.names}
        api = Api(running.fleets.upstreams_of, absent, __version__, urls, door=door, resource=server.endpoint)
        check = Check(running.checking.check_as, self._config.upstreams, door=_Told(bringing), resource=server.endpoint)
        frame = Frame(__version__) if entrance is None else entrance.frame
        pages = pages_of(self._config, running, frame, door, absent=absent, urls=urls)
        self._site = _guarded(Site([Probes(), api, check, *pages], frame).app(), Guard(hosts, ()))

    def _door(self, running: Running) -> Door:
        if self._identify is not None:
            return ByHeaders(self._identify)
        if running.entrance is not None:
            return running.entrance.door
        # `login: none`: whoever can reach a hub that listens on loopback only is its one user.
        return Open(LOCAL) if self._config.login.type == "none" else ByHeaders(_nobody)


@final
class _Told:
    """A door of the endpoint, for the site: what it refuses is told there as everything else is."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def identify(self, headers: Headers, query: bytes, resource: str) -> Principal:
        """See `Door`.

        Raises:
            BadRequest: the request brings something that nobody can be sent.
        """
        try:
            return await self._door.identify(headers, query, resource)
        except Refused as refused:
            raise BadRequest(f"{refused.failure.message}.") from refused


def _path(scope: Scope) -> str:
    # Below another app's mount, `path` still begins with where that is (ASGI, "HTTP connection scope").
    path, root = scope["path"], scope.get("root_path")
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def _guarded(site: App, guard: Guard) -> App:
    """The site for those whom the endpoint would serve; probes ask by address and learn nothing but that it runs."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            _admit(scope, guard)
        except Refused as refused:
            status = refused.failure.status
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": refused.failure.message.encode()})
        else:
            await site(scope, receive, send)

    return serve


def _admit(scope: Scope, guard: Guard) -> None:
    path = _path(scope)
    if path not in PROBES:
        check = guard.check_host if is_open(path) else guard.check
        check(read_head(scope["headers"]))
    # Servers differ in what they let through; what reads queries further on takes what is left for text.
    if not scope["query_string"].isascii():
        raise Refused(INVALID_REQUEST, "The address holds characters that no address has", status=400)


def _nobody(headers: object) -> Principal:
    # A hub with a login that serves nobody over HTTP has no entrance; should it be asked over HTTP all the same, no.
    del headers
    raise Unauthenticated("This hub is not served over HTTP.")


def _brought(config: model.Config) -> frozenset[str]:
    auths = [each.auth for each in config.upstreams.values() if each.enabled]
    return takeable(each.word for each in auths if isinstance(each, model.OwnHeader) and each.source == "brought")


def _hosts(server: model.Server) -> set[str]:
    public = urlsplit(server.public_url or "").netloc
    return {*LOOPBACK, *server.allowed_hosts, *({public} if public else ())}
