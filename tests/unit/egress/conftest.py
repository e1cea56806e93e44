"""Small honest servers on loopback, and the door's own client in front of them. Everything runs on both event loops."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_network

import pytest

from mcp_hub.egress.client import HttpClient
from mcp_hub.egress.dial import Dialer
from mcp_hub.wire.origin import Origin
from rig.authority import Authority

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def loopback():
    return LOOPBACK


@dataclass(frozen=True)
class Heard:
    """One request as it arrived."""

    line: bytes
    headers: dict[bytes, bytes]
    body: bytes


@dataclass
class Peer:
    """One accepted connection, seen from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    server: "Server"
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self) -> Heard | None:
        """The next request, or None when the client has closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        line, *rest = head[:-4].split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(b":") for each in rest)}
        body = await self.reader.readexactly(int(headers.get(b"content-length", 0)))
        heard = Heard(line, headers, body)
        self.server.heard.append(heard)
        return heard

    async def say(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)
            with suppress(ConnectionError):
                await self.writer.drain()

    async def answer(self, body: bytes = b"ok", headers: bytes = b"", status: bytes = b"200 OK") -> None:
        await self.say(b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body))

    async def until_closed(self) -> None:
        """Returns when the client has closed the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Behaviour = Callable[[Peer], Awaitable[None]]


async def answer_all(peer: Peer) -> None:
    while await peer.hear():
        await peer.answer()


@dataclass
class Server:
    """Behaves as it is told on each connection; remembers what it saw."""

    port: int = 0
    connections: int = 0
    heard: list[Heard] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    tasks: set[asyncio.Task] = field(default_factory=set)
    accepted: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_left(self) -> None:
        """Returns when the first connection has ended."""
        async with asyncio.timeout(5):
            await self.accepted.wait()
            await self.peers[0].ended.wait()

    def origin(self, host: str = "127.0.0.1", scheme: str = "http") -> Origin:
        return Origin(scheme, host, self.port)


async def _run(peer: Peer, behaviour: Behaviour) -> None:
    try:
        await behaviour(peer)
    finally:
        peer.ended.set()
        peer.writer.close()
        with suppress(ConnectionError, ssl.SSLError, TimeoutError):
            await peer.writer.wait_closed()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    listeners, servers = [], []

    async def start(behaviour: Behaviour = answer_all, *, host="127.0.0.1", port=0, tls=None) -> Server:
        server = Server()

        async def accept(reader, writer):
            server.connections += 1
            peer = Peer(reader, writer, server.connections, server)
            server.peers.append(peer)
            server.accepted.set()
            task = asyncio.current_task()
            server.tasks.add(task)
            task.add_done_callback(server.tasks.discard)
            await _run(peer, behaviour)

        listener = await asyncio.start_server(accept, host, port, ssl=tls)
        server.port = listener.sockets[0].getsockname()[1]
        listeners.append(listener)
        servers.append(server)
        return server

    yield start
    for listener in listeners:
        listener.close()
    for server in servers:
        for peer in server.peers:
            peer.writer.transport.abort()
        for task in list(server.tasks):
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)


@pytest.fixture
async def connect(loopback) -> AsyncIterator[Callable[..., HttpClient]]:
    clients: list[HttpClient] = []

    def make(*, dialer: Dialer | None = None, **options) -> HttpClient:
        clients.append(HttpClient(dialer or Dialer(allow_private=loopback, connect_timeout=5), **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits, turn by turn of the event loop, for something that no event announces."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - a turn of the loop is what is waited for
                await asyncio.sleep(0)

    return wait


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))
