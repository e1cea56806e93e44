"""The process around the hub: its socket, its signals, its server. Loaded only by commands that serve."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from types import FrameType

import click
import uvicorn

from mcp_hub.app import Hub, create_app
from mcp_hub.audit.logs import configure
from mcp_hub.cli.transport import BoundedProtocol
from mcp_hub.config.model import Config, Server
from mcp_hub.config.places import store_path
from mcp_hub.errors import ConfigError, Problem

_DRAIN_SECONDS = 5
_PARTING_SECONDS = 1
_BACKLOG = 2048
_MOST_FILES = 65_536
_COLLECTIONS = (700, 10, 500)
"""Python's own, but for full collections: each holds everybody up for as long as the lists are, and finds little."""


def run(config: Config, *, log_level: str, log_json: bool) -> None:
    """Serve until SIGINT or SIGTERM; what is under way gets a few seconds to finish.

    Raises:
        ConfigError: the address cannot be listened on.
        StoreFailed: the store cannot be opened.
        VaultLocked: it cannot be unlocked.
    """
    configure(json=log_json, level=log_level.upper())
    _allow_many_connections()
    gc.set_threshold(*_COLLECTIONS)
    logging.getLogger("uvicorn.error").addFilter(_Unfinished())
    listener = _listen(config.server)
    # uvicorn repeats a signal once it has stopped, so that whoever started it learns of it; ending is no failure here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ended)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(_serve(_bound(config, listener), listener))


def _ended(number: int, frame: FrameType | None) -> None:
    del number, frame


async def _serve(config: Config, listener: socket.socket) -> None:
    async with create_app(config) as hub:
        click.echo(f"  Data          {store_path(config.store, os.environ)}   key: {hub.key_source}")
        settings = uvicorn.Config(
            hub,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        await _Announcing(settings, hub, config.server.endpoint).serve(sockets=[listener])


class _Announcing(uvicorn.Server):
    """Says where the hub is as soon as the socket accepts, and tells the hub first when it stops."""

    def __init__(self, config: uvicorn.Config, hub: Hub, endpoint: str) -> None:
        super().__init__(config)
        self._hub = hub
        self._endpoint = endpoint

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        await super().startup(list(sockets or ()))
        click.echo(f"  Endpoint      {self._endpoint}")
        setup = await self._hub.offer_setup()
        if setup is not None:
            click.echo(f"  Set up        {setup}    (works once, for 10 minutes)")
        click.echo()
        click.echo(f"  Add it to a client:\n    claude mcp add --transport http hub {self._endpoint}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.drain()
        await super().shutdown(sockets)
        if self.server_state.tasks:  # those that took too long, and now tell their clients so
            await asyncio.wait(self.server_state.tasks, timeout=_PARTING_SECONDS)


class _Unfinished(logging.Filter):
    """Leaves out the traceback of each request that the server cancels when it stops; it says how many there were."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


def _allow_many_connections() -> None:
    # Many systems allow a process 256 or 1,024 at first, fewer than the streams of one user, and more on demand.
    try:
        import resource  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(server: Server) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        return socket.create_server((server.host, server.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = f"cannot listen on {server.host} port {server.port}: {os.strerror(error.errno or 0)}"
        hint = "stop the program that uses it, or choose another with --port"
        raise ConfigError("mcp-hub serve", [Problem(0, 0, "server.port", reason, hint)]) from error


def _bound(config: Config, listener: socket.socket) -> Config:
    """The configuration with the port that was found: what clients see, and tokens are for, is made from it."""
    return replace(config, server=replace(config.server, port=listener.getsockname()[1]))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
