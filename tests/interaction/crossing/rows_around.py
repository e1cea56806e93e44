"""Rows of what happens around a call: progress, log messages, cancellation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from interaction.crossing.clients import Caller, Kind
from interaction.crossing.hubs import PIPES
from interaction.crossing.rows import Cell, No, row, together

NOBODYS = (
    "On standard streams a log message or a question does not say to which call it belongs. While several calls of one"
    " user are under way in one process, the hub gives it to none of them."
)
LOGGED = ("debug", "info", "warning", "error")


@row("progress of a call")
async def progress(cell: Cell) -> None:
    """Every notice of progress reaches the caller who asked for it, under that caller's own token."""

    async def one(caller: Caller) -> None:
        told: list[tuple[float, float | None, str | None]] = []

        async def on_progress(done: float, total: float | None, message: str | None) -> None:
            told.append((done, total, message))

        counted = await caller.client.call_tool(
            cell.tool("counts"), {"text": caller.mark}, progress_callback=on_progress
        )
        assert counted.content[0].text == f"counted, {caller.mark}"
        assert told == [(step, 3, f"{caller.mark} {step}") for step in (1, 2, 3)]

    await cell.each(one)


async def _logged(cell: Cell, caller: Caller) -> None:
    assert await caller.says(cell.tool("logs")) == f"logged, {caller.mark}"
    assert caller.heard.logs == [(level, f"{caller.mark} {level}") for level in LOGGED]


async def _logs(cell: Cell, caller: Caller) -> None:
    if caller.kind is not Kind.MODERN:
        await caller.session.set_logging_level("debug")
    await _logged(cell, caller)


@row("log messages of a call", log_level="debug")
async def logs(cell: Cell) -> None:
    """Log messages reach the caller whose call they are about."""
    await cell.principals(lambda caller: _logs(cell, caller))


async def _lost(cell: Cell) -> None:
    async with waiting(cell, cell.callers[2]):
        assert await cell.callers[0].says(cell.tool("logs")) == f"logged, {cell.callers[0].mark}"
        assert cell.callers[0].heard.logs == []


@row(
    "log messages of several calls at once",
    No(NOBODYS, _lost, clients={Kind.MODERN}, upstreams=PIPES),
    log_level="debug",
)
async def logs_at_once(cell: Cell) -> None:
    """The same while one user makes several calls from several clients."""
    async with waiting(cell, cell.callers[2]):
        await _logs(cell, cell.callers[0])


@row("log level")
async def log_level(cell: Cell) -> None:
    """Each client's own: by `logging/setLevel`, or on each request in revision 2026-07-28."""

    async def one(caller: Caller, least: str) -> None:
        arguments, meta = {"text": caller.mark}, None
        if caller.kind is Kind.MODERN:
            meta = {"io.modelcontextprotocol/logLevel": least}
        else:
            await caller.session.set_logging_level(least)
        del caller.heard.logs[:]
        await caller.client.call_tool(cell.tool("logs"), arguments, meta=meta)
        expected = LOGGED[LOGGED.index(least) :]
        assert caller.heard.logs == [(level, f"{caller.mark} {level}") for level in expected]

    shared = cell.upstream in PIPES and cell.callers[0].kind is Kind.MODERN
    callers = cell.callers[:2] if shared else cell.callers
    await together(*(one(caller, least) for caller, least in zip(callers, LOGGED[1:], strict=False)))
    await together(*(one(caller, "debug") for caller in callers))


@asynccontextmanager
async def waiting(cell: Cell, caller: Caller) -> "AsyncIterator[asyncio.Task[str]]":
    """A call of this caller is under way meanwhile; it may be cancelled, else it must end well."""
    call = asyncio.ensure_future(caller.says(cell.tool("waits")))
    assert await caller.says(cell.tool("begun")) == "begun"
    yield call
    if not call.cancelling():
        assert await caller.says(cell.tool("release")) == "released"
        assert await call == f"waited, {caller.mark}"


@row("cancelling a call")
async def cancelling(cell: Cell) -> None:
    """The one upstream that serves the call is told, and no other call ends."""
    first, *_ = cell.callers
    async with AsyncExitStack() as stack:
        mine, *_ = [await stack.enter_async_context(waiting(cell, caller)) for caller in cell.callers]
        mine.cancel()
        assert await first.says(cell.tool("cancelled")) == "cancelled"


ROWS = (progress, logs, logs_at_once, log_level, cancelling)
