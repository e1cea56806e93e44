"""Several processes of one hub, one store, and an authorization server that takes a refresh token once.

The processes are real, and so are the store and the kills; only the clocks are set ahead instead of waited for.
"""

import asyncio
import multiprocessing
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from mcp_hub.errors import ConnectionNeeded
from mcp_hub.oauth.renewing import LEASE
from mcp_hub.store.connections import GrantState
from rig import renewing_process
from rig.granted import Clock, connected, keeping, token_in
from rig.misbehaving_as import MisbehavingAS, Slow

pytestmark = pytest.mark.promise("T47", "B15")

PROCESSES, CALLERS = 8, 5
EXPIRED = 4000.0
_forks = multiprocessing.get_context("forkserver")
# What is installed, since the path to the tests is not known where this is loaded.
_forks.set_forkserver_preload(["mcp_hub.oauth.grants", "mcp_hub.oauth.revoking", "mcp_hub.store.sqlite", "httpx2"])


@dataclass
class Worker:
    """One process of the hub."""

    process: Any
    told: Any

    async def hears(self) -> Any:
        return await asyncio.wait_for(asyncio.to_thread(self.told.recv), 40)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(10)


@contextmanager
def worker(path, *, callers=1, ahead=EXPIRED, step=""):
    ours, theirs = _forks.Pipe()
    process = _forks.Process(target=renewing_process.run, args=(path, theirs, callers, ahead, step), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Worker(process, ours)
    finally:
        process.kill()
        process.join(10)
        ours.close()


@pytest.fixture
async def server():
    async with MisbehavingAS() as running:
        yield running


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hub.db"


async def connect(server, path):
    async with keeping(path) as hub:
        return await connected(hub, server)


@asynccontextmanager
async def the_next_one(path):
    """A process of the hub that goes on when the lease of a dead one has ended: this one."""
    async with keeping(path, now=Clock(time.time() + EXPIRED + LEASE + 1)) as hub:
        yield hub


async def test_of_eight_processes_with_many_callers_one_renews_and_all_get_its_token(server, path):
    given = await connect(server, path)
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(path, callers=CALLERS)) for _ in range(PROCESSES)]
        for each in workers:
            assert await each.hears() == "ready"
        for each in workers:
            each.told.send("go")
        got = [token for each in workers for token in await each.hears()]
    assert len(got) == PROCESSES * CALLERS
    assert len(set(got)) == 1
    assert got[0] != given["access_token"]
    assert server.is_live(got[0])
    assert (server.count("/token"), server.reuses) == (1, 0)


@pytest.mark.promise("T32")
async def test_no_token_or_secret_can_be_read_from_the_store_and_its_log(server, path):
    given = await connect(server, path)
    async with the_next_one(path) as hub:
        await hub.access().credential()
        planted = [given["access_token"], given["refresh_token"], *await hub.tokens(), "s e/cret"]
        stored = b"".join(each.read_bytes() for each in path.parent.iterdir())
        assert b"github" in stored
        assert not [each for each in planted if each.encode() in stored]


async def killed_at(step, path):
    """Let a process renew, and kill it when it comes to this step."""
    with worker(path, step=step) as process:
        assert await process.hears() == "ready"
        process.told.send("go")
        assert await process.hears() == "stopped"
        process.kill()


@pytest.mark.parametrize(("step", "asked"), [("before the lease", 1), ("with the lease", 1), ("stored", 1)])
async def test_a_process_that_is_killed_before_it_asked_or_after_it_stored_costs_nothing(server, path, step, asked):
    given = await connect(server, path)
    await killed_at(step, path)
    async with the_next_one(path) as hub:
        if step == "stored":
            hub.now.at = time.time() + 10
        token = token_in(await hub.access().credential())
        assert token == (await hub.tokens())[0] != given["access_token"]
    assert server.is_live(token)
    assert (server.count("/token"), server.reuses) == (asked, 0)


async def test_a_process_that_is_killed_with_an_answer_it_has_not_stored_has_its_user_asked(server, path):
    await connect(server, path)
    await killed_at("answered", path)
    await says_reconnect_needed(path)
    assert server.reuses == 1  # which this server takes for a theft, and the grant is over


async def test_a_process_that_is_killed_while_it_waits_for_the_answer_has_its_user_asked(server, path):
    await connect(server, path)
    slow = Slow()

    async def taken_and_not_answered(headers, form):
        del server.answers["/token"]
        answer = await server._token(headers, form)
        return await slow(headers, form) or answer

    server.answers["/token"] = taken_and_not_answered
    await killed_while_asking(slow, path)
    await says_reconnect_needed(path)


async def test_a_process_that_is_killed_before_its_request_was_read_costs_nothing(server, path):
    given = await connect(server, path)
    slow = Slow()

    async def not_even_read(headers, form):
        await slow(headers, form)
        raise ConnectionError

    server.answers["/token"] = not_even_read
    await killed_while_asking(slow, path)
    del server.answers["/token"]
    async with the_next_one(path) as hub:
        assert token_in(await hub.access().credential()) != given["access_token"]
    assert server.reuses == 0


async def killed_while_asking(slow, path):
    with worker(path) as process:
        assert await process.hears() == "ready"
        process.told.send("go")
        await asyncio.wait_for(slow.came.wait(), 10)
        process.kill()
    slow.go.set()


async def says_reconnect_needed(path):
    """Not at once, since the dead one has the lease; but then in every process, with the page that helps."""
    async with the_next_one(path) as hub:
        for _ in range(2):
            with pytest.raises(ConnectionNeeded) as needed:
                await hub.access().credential()
            assert needed.value.state == "reconnect_needed"
            assert needed.value.url in needed.value.public
        assert (await hub.grant()).state is GrantState.RECONNECT_NEEDED
