"""Rows of what an upstream announces."""

import asyncio
from contextlib import AsyncExitStack

from interaction.crossing.clients import CHANGES, UPDATED, Caller
from interaction.crossing.rows import Cell, row


async def _changed(cell: Cell, kind: str, key: str, name: str, exposed: str) -> None:
    notice = (CHANGES[kind], None)

    async def sees(caller: Caller) -> None:
        await caller.heard.until(notice)
        while exposed not in [getattr(each, key) for each in await caller.all(kind)]:
            await caller.heard.until(notice)  # that one was about an earlier change

    async with AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(each.hearing([kind])) for each in cell.callers))
        await cell.tell(kind=kind, add=name)
        await cell.each(sees)
        await cell.tell(kind=kind, drop=name)


@row("changed tools")
async def tools_changed(cell: Cell) -> None:
    """Whoever listens is told that the list of tools has changed, and lists the new one."""
    name = f"fresh-{cell.callers[0].mark}"
    await _changed(cell, "tools", "name", name, cell.tool(name))


@row("changed prompts")
async def prompts_changed(cell: Cell) -> None:
    """The same for prompts."""
    name = f"fresh-{cell.callers[0].mark}"
    await _changed(cell, "prompts", "name", name, cell.tool(name))


@row("changed resources")
async def resources_changed(cell: Cell) -> None:
    """The same for resources and templates."""
    name = f"fresh-{cell.callers[0].mark}"
    await _changed(cell, "resources", "uri", name, cell.uri(f"note://{name}"))


@row("updated resources")
async def resources_updated(cell: Cell) -> None:
    """A changed resource is told to those who subscribed to it, under the hub's URI, and to nobody else."""
    originals = {caller.mark: f"note://by/{caller.mark}/1" for caller in cell.callers}
    async with AsyncExitStack() as stack:
        for caller in cell.callers:
            await stack.enter_async_context(caller.hearing(uris=[cell.uri(originals[caller.mark])]))
        for caller in cell.callers:
            await cell.tell(update=originals[caller.mark])
        for caller in cell.callers:
            own = (UPDATED, cell.uri(originals[caller.mark]))
            await caller.heard.until(own)
            assert {each for each in caller.heard.notices if each[0] == UPDATED} == {own}


ROWS = (tools_changed, prompts_changed, resources_changed, resources_updated)
