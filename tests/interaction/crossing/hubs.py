"""One hub in this process, in front of one real server of every upstream kind, for callers who are told apart."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import httpx2
import uvicorn

import processes
from interaction.crossing.clients import CHANGES, Kind, connected
from interaction.crossing.crowd import Crowd
from interaction.crossing.news import News
from mcp_hub.app import Hub
from mcp_hub.config.load import load_file
from mcp_hub.principal import ADMIN, Principal

SERVER = Path(__file__).parent / "upstream" / "serve.py"


class Upstream(StrEnum):
    """How an upstream is spoken to; also its name at the hub."""

    MODERN = "modern"
    LEGACY = "legacy"
    SSE = "sse"
    STDIO = "stdio"
    OLD_STDIO = "stdio-legacy"


MODERN_UPSTREAMS = frozenset({Upstream.MODERN, Upstream.STDIO})
LEGACY_UPSTREAMS = frozenset(Upstream) - MODERN_UPSTREAMS
OVER_HTTP = frozenset({Upstream.MODERN, Upstream.LEGACY, Upstream.SSE})
PIPES = frozenset(Upstream) - OVER_HTTP
ONE_STREAM = PIPES | {Upstream.SSE}
"""Where all that an upstream says comes on one stream, whatever it belongs to."""
ERAS = {each: "modern" if each in MODERN_UPSTREAMS else "legacy" for each in Upstream}


@dataclass(frozen=True)
class Ground:
    """What every test of the grid stands on: the hub, by who comes to it, and the upstreams' news."""

    crowd: Crowd
    news: News


def identify(headers: object) -> Principal:
    """Who the header `X-Caller` says."""
    named = dict(headers).get(b"x-caller", b"nobody")
    return Principal("test", named.decode(), roles=frozenset({ADMIN}))


@asynccontextmanager
async def ground(directory: Path) -> AsyncIterator[Ground]:
    """All of it, with every upstream listed and listened to."""
    async with News() as news, AsyncExitStack() as stack:
        with ExitStack() as started:
            # In a thread, since they ask this loop for news as soon as they run.
            declared = await asyncio.to_thread(_start, started, news.port)
            config = f"version: 1\nnetwork: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n{declared}"
            base = await stack.enter_async_context(_serving(config, directory))
            for each in Upstream:
                await _settled(base, each, news)
            yield Ground(await stack.enter_async_context(Crowd(base)), news)
            await stack.aclose()


def _start(stack: ExitStack, news: int) -> str:
    return "".join(f"  {each}: {stack.enter_context(_declared(each, news))}\n" for each in Upstream)


@contextmanager
def _declared(kind: Upstream, news: int) -> Iterator[str]:
    """The upstream's entry in the configuration, with the server running if it is not for the hub to start it."""
    command = [sys.executable, str(SERVER), "--way", str(kind), "--news", str(news)]
    if kind not in OVER_HTTP:
        yield f"{{command: {json.dumps(command)}}}"
        return
    with processes.running(command) as started:
        yield f"{{url: '{started.url}'}}"
    assert started.complaints() == []


@asynccontextmanager
async def _serving(config: str, directory: Path) -> AsyncIterator[str]:
    file = directory / "hub.yaml"
    file.write_text(config + f"store: {{url: 'sqlite:///{directory}/hub.db'}}\n", encoding="utf-8")
    bound = socket.create_server(("127.0.0.1", 0), backlog=128)
    async with Hub(load_file(file, {}), identify) as hub:
        settings = uvicorn.Config(hub, ws="none", lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(settings)
        serving = asyncio.ensure_future(server._serve([bound]))  # without its handling of signals
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            hub.drain()
            server.should_exit = True
            await serving


async def _settled(base: str, upstream: Upstream, news: News) -> None:
    """Return once the hub lists the upstream and hears its announcements."""
    async with asyncio.timeout(60), httpx2.AsyncClient(trust_env=False) as http:
        state = ""
        while state != "ready":
            response = await http.post(f"{base}/api/v1/upstreams/{upstream}/refresh")
            state = response.json()["state"]
        async with connected(base, Kind.MODERN, "first", "first") as caller, caller.hearing(["tools"]):
            while not caller.heard.notices:
                await news.tell(upstream, kind="tools", add="settled")
                await news.tell(upstream, kind="tools", drop="settled")
                with suppress(TimeoutError):  # nothing tells when the hub listens, except that it hears
                    async with asyncio.timeout(0.3):
                        await caller.heard.until((CHANGES["tools"], None))
