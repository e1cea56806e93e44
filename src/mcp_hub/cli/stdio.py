"""`mcp-hub stdio`: the same hub on standard input and output, for clients that start commands.

Rule: standard output carries messages of the protocol and nothing else; whatever is printed otherwise, by whichever
library, goes to standard error.
"""

import asyncio
import os
import queue
import signal
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

import click

from mcp_hub.cli.options import file_option, named_or_found
from mcp_hub.config.model import Config

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_CHUNK: Final = 64 * 1024
_WAITING: Final = 16
"""Chunks that may wait to be served; beyond them the client has to wait."""
_PARTING: Final = 2.0
"""Seconds in which a client still takes what it is owed, once the hub was told to end and once more when it has."""


@click.command()
@file_option
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="Log what is at least this important, to standard error.",
)
@click.option("--log-json", is_flag=True, help="Write the log as JSON lines.")
def stdio(file: Path | None, log_level: str, *, log_json: bool) -> None:
    """Run the hub on standard input and output, for one client that starts commands.

    Ends with its input, or with SIGTERM.
    """
    from mcp_hub.audit.logs import configure  # noqa: PLC0415 - the log is loaded only where something runs

    config = named_or_found(file) or Config()
    configure(json=log_json, level=log_level.upper())
    out = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    asyncio.run(_serve(config, out))


async def _serve(config: Config, out: int) -> None:
    from mcp_hub.app import Hub  # noqa: PLC0415 - wrong configurations are told of without loading a hub

    loop = asyncio.get_running_loop()
    source, sink = _Input(loop, config.server.max_request), _Output(loop, out)
    ending = asyncio.Event()

    def end() -> None:
        source.end()
        loop.call_later(_PARTING, ending.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    async with Hub(config, over_http=False) as hub:
        source.start()
        sink.start()
        await _unless(ending, hub.speak(source.lines(), sink.write))
    await sink.settle(_PARTING)


async def _unless(ending: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work to its end, or as far as it comes: a client that reads nothing would hold it up for ever."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(ending.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        if not working.done():
            working.cancel()
        with suppress(asyncio.CancelledError):
            await working


@final
class _Output:
    """Standard output, written by a thread of its own, which nobody has to wait for at the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, out: int) -> None:
        self._loop = loop
        self._out = out
        self._lines = queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]]()

    def start(self) -> None:
        # A daemon, since nothing can end a thread that waits for its reader but the end of the process.
        threading.Thread(target=self._write, daemon=True).start()

    async def write(self, line: bytes) -> None:
        """Write a line whole; returns when it is written.

        Raises:
            OSError: the client has gone.
        """
        written = self._loop.create_future()
        self._lines.put((line, written))
        await written

    async def settle(self, within: float) -> None:
        """Wait for everything to be written, or for so many seconds."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(within):
                await self.write(b"")

    def _write(self) -> None:
        while True:
            line, written = self._lines.get()
            fault = None
            try:
                left = memoryview(line)
                while left:
                    left = left[os.write(self._out, left) :]
            except OSError as error:
                fault = error
            try:
                self._loop.call_soon_threadsafe(_settle, written, fault)
            except RuntimeError:
                return  # the hub has ended


def _settle(written: asyncio.Future[None], fault: OSError | None) -> None:
    if written.done():
        return
    if fault is None:
        written.set_result(None)
    else:
        written.set_exception(fault)


@final
class _Input:
    """Standard input, line by line, whatever it is: a pipe, a terminal, a file. Read by a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, longest: int) -> None:
        self._loop = loop
        self._longest = longest
        self._chunks = asyncio.Queue[bytes](_WAITING)
        self._over = asyncio.Event()

    def start(self) -> None:
        # A daemon, since nothing can end a thread that waits for input but the end of the process.
        threading.Thread(target=self._read, daemon=True).start()

    def end(self) -> None:
        """No more lines are served."""
        self._over.set()

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines, without their ends; of one that is too long, what makes it no message."""
        begun = bytearray()
        while chunk := await self._next():
            *whole, rest = chunk.split(b"\n")
            for line in whole:
                begun += line[: self._longest + 1 - len(begun)]
                yield bytes(begun[: self._longest])
                begun.clear()
            begun += rest[: self._longest + 1 - len(begun)]
        if begun:
            yield bytes(begun)

    async def _next(self) -> bytes:
        getting, over = asyncio.ensure_future(self._chunks.get()), asyncio.ensure_future(self._over.wait())
        await asyncio.wait({getting, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        return getting.result() if getting.done() else b""

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(_STDIN, _CHUNK)
            except OSError:
                chunk = b""
            try:
                asyncio.run_coroutine_threadsafe(self._chunks.put(chunk), self._loop).result()
            except (RuntimeError, asyncio.CancelledError):
                return  # the hub has ended
            if not chunk:
                return
