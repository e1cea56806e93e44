"""Upstreams that are local commands, for tests of them; see `stdio_server`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from mcp_hub.secret import Secret
from mcp_hub.upstream.process import Command
from mcp_hub.upstream.stdio import Processes
from rig.parts import LIMITS

SERVER = Path(__file__).with_name("stdio_server.py")


def words(*said: str) -> list[str]:
    """The command line of the small server."""
    return [sys.executable, "-S", "-E", str(SERVER), *said]


def command(*said: str, env: Mapping[str, str] | None = None, cwd: str | None = None) -> Command:
    """The command of the small server, with these words to it."""
    hidden = {key: Secret(each) for key, each in (env or {}).items()}
    return Command(tuple(map(Secret, words(*said))), hidden, cwd)


@asynccontextmanager
async def processes_of(*said: str, **more: Any) -> AsyncIterator[Processes]:
    """What speaks to processes of the small server; when the block ends, none is left."""
    kept = {key: more.pop(key) for key in ("env", "cwd") if key in more}
    limits = more.pop("limits", LIMITS)
    processes = Processes("up", command(*said, **kept), limits, **more)
    try:
        yield processes
    finally:
        async with asyncio.timeout(15):
            await processes.aclose()


def children(of: int | None = None) -> list[int]:
    """The processes of which this one is the parent, the dead ones that nobody has collected among them."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            stat = (entry / "stat").read_text()
            if int(stat.rpartition(")")[2].split()[1]) == (of or os.getpid()):
                found.append(int(entry.name))
    return found


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    return [each for child in children(pid) for each in (child, *descendants(child))]


def descriptors(pid: int | None = None) -> int:
    """How many descriptors a process has open; this one if none is given."""
    return len(os.listdir(f"/proc/{pid or 'self'}/fd"))


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and is not collected yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def gone(*pids: int) -> None:
    """Wait until these processes have ended, whosever they are."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, ended.set)
        try:
            async with asyncio.timeout(10):
                await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
