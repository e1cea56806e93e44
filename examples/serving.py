"""Serves the example servers on loopback until it is told to stop or its parent process is gone."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Generator, Mapping

import uvicorn
from starlette.types import ASGIApp


class Example(uvicorn.Server):
    """One server of several in one event loop: says when it accepts, and leaves the signals to `serve`."""

    def __init__(self, name: str, app: ASGIApp, listener: socket.socket) -> None:
        super().__init__(uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1))
        self.name = name
        self.listener = listener

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        say(f"{self.name:<8} http://127.0.0.1:{self.listener.getsockname()[1]}/mcp")

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def run(apps: Mapping[str, ASGIApp], ports: Mapping[str, int]) -> int:
    """Serve until SIGINT or SIGTERM. Port 0 takes a free one. Returns what the process should exit with."""
    try:
        examples = [Example(name, app, listen(name, ports[name])) for name, app in apps.items()]
    except OSError as taken:
        sys.stderr.write(f"{taken}\n")
        return 1
    asyncio.run(serve(examples))
    return 0


async def serve(examples: list[Example]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stop_with_parent(os.getppid(), stop)
    async with asyncio.TaskGroup() as running:
        for example in examples:
            running.create_task(example.serve([example.listener]))
        await stop.wait()
        for example in examples:
            example.should_exit = True


def stop_with_parent(parent: int, stop: asyncio.Event) -> None:
    # An orphan gets another parent. Asking now and then works on every Unix, unlike a signal on the parent's death.
    if os.getppid() != parent:
        stop.set()
    else:
        asyncio.get_running_loop().call_later(0.5, stop_with_parent, parent, stop)


def listen(name: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        # At once: with SO_REUSEADDR a port that is only bound can still be bound by somebody else.
        listener.listen()
    except OSError as taken:
        listener.close()
        raise OSError(f"{name}: port {port} of 127.0.0.1 is taken; stop what uses it or choose another port") from taken
    return listener


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
