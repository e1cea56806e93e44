"""A hub in this process, on a port of its own: reached over sockets as any other, and started in milliseconds."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import uvicorn

from mcp_hub.app import Hub, create_app
from mcp_hub.config.load import load
from mcp_hub.config.model import Config
from mcp_hub.config.model import Store as StorePlace

IN_MEMORY = "sqlite:///:memory:"


@dataclass(frozen=True, slots=True)
class HubHere:
    """One that runs. `base` is where its pages begin, `url` its endpoint."""

    base: str
    app: Hub

    @property
    def url(self) -> str:
        return f"{self.base}/mcp"


@asynccontextmanager
async def serving(text: str, *, store: str = IN_MEMORY, bound: socket.socket | None = None) -> AsyncIterator[HubHere]:
    """A hub of this configuration, to the end of the block. `bound`: the socket it listens on, else a free one."""
    listener = bound or socket.create_server(("127.0.0.1", 0), backlog=128)
    config = _placed(load(text, environ={}), listener.getsockname()[1], store)
    async with create_app(config) as hub:
        settings = uvicorn.Config(
            hub, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        server = uvicorn.Server(settings)
        running = asyncio.ensure_future(server._serve([listener]))  # without its handling of signals
        try:
            yield HubHere(config.server.base_url, hub)
        finally:
            hub.drain()
            server.should_exit = True
            await running


def _placed(config: Config, port: int, store: str) -> Config:
    return replace(config, server=replace(config.server, port=port), store=StorePlace(store, config.store.key))
