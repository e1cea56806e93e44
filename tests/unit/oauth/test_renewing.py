"""One process renews at a time, and what it got is not lost by what happens after."""

import asyncio

import pytest

from mcp_hub.errors import ConnectionNeeded, HubFault, StoreFailed
from mcp_hub.oauth.renewing import LEASE, LOOKS, POLL, WRITES
from mcp_hub.store.connections import GrantState
from rig.granted import Clock, connected, keeping, token_in
from rig.misbehaving_as import Answer, MisbehavingAS, Slow

pytestmark = pytest.mark.promise("T47")


@pytest.fixture
async def server():
    async with MisbehavingAS() as running:
        yield running


@pytest.fixture
def clock():
    return Clock()


class Failing:
    """A store that fails to take what was got, so often."""

    def __init__(self, store):
        self._store = store
        self.fails = 0
        self.tried = 0

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def renew_grant(self, *told):
        self.tried += 1
        if self.tried <= self.fails:
            raise StoreFailed("The disk is full.")
        return await self._store.renew_grant(*told)


def moving(clock):
    """A pause that takes no time, and moves the clock on."""

    async def pause(seconds):
        clock.at += seconds
        await asyncio.sleep(0)

    return pause


class Paused:
    """A pause that takes hardly any time; `once` is set when somebody has made it."""

    def __init__(self):
        self.once = asyncio.Event()

    async def __call__(self, seconds):
        self.once.set()
        await asyncio.sleep(seconds / 10)


async def test_who_comes_second_waits_for_the_version_that_the_first_one_gets(server, clock, tmp_path):
    path, paused = tmp_path / "hub.db", Paused()
    async with keeping(path, now=clock) as one, keeping(path, now=clock, pause=paused) as two:
        await connected(one, server)
        slow = Slow()
        server.answers["/token"] = slow
        clock.at += 4000
        first = asyncio.ensure_future(one.access().credential())
        await asyncio.wait_for(slow.came.wait(), 5)
        second = asyncio.ensure_future(two.access().credential())
        await asyncio.wait_for(paused.once.wait(), 5)
        slow.go.set()
        async with asyncio.timeout(5):
            assert token_in(await second) == token_in(await first) == (await one.tokens())[0]
        assert (server.count("/token"), server.reuses) == (1, 0)


async def test_who_has_died_with_the_lease_is_waited_for_as_long_as_it_lasts(server, clock):
    async with keeping(now=clock, pause=moving(clock)) as hub:
        await connected(hub, server)
        clock.at += 4000
        begun = clock.at
        grant = await hub.grant()
        assert await hub.store.lease_grant(grant.id, 1, "dead", at=clock.at, until=clock.at + LEASE)
        await hub.access().credential()
        assert LEASE <= clock.at - begun < LEASE + 2 * LOOKS * POLL
        assert server.count("/token") == 1


async def test_who_failed_lets_the_others_try(server, clock, tmp_path):
    path = tmp_path / "hub.db"
    async with keeping(path, now=clock) as one, keeping(path, now=clock) as two:
        await connected(one, server)
        clock.at += 4000
        server.answers["/token"] = Answer(500, {})
        with pytest.raises(Exception, match="500"):
            await one.access().credential()
        server.answers.clear()
        await two.access().credential()
        assert server.count("/token") == 2


@pytest.mark.promise("B15")
async def test_what_was_got_is_stored_though_the_store_fails_for_a_moment(server, clock):
    async with keeping(now=clock, store_as=Failing, pause=moving(clock)) as hub:
        await connected(hub, server)
        hub.store.fails = WRITES - 1
        clock.at += 4000
        credential = await hub.access().credential()
        assert token_in(credential) == (await hub.tokens())[0]
        assert (hub.store.tried, server.count("/token")) == (WRITES, 1)


@pytest.mark.promise("B15")
async def test_what_was_got_is_stored_the_next_time_and_not_got_again(server, clock):
    async with keeping(now=clock, store_as=Failing, pause=moving(clock)) as hub:
        given = await connected(hub, server)
        access = hub.access()
        hub.store.fails = WRITES
        clock.at += 4000
        with pytest.raises(HubFault):
            await access.credential()
        assert (await hub.tokens())[0] == given["access_token"]
        credential = await access.credential()
        assert token_in(credential) == (await hub.tokens())[0] != given["access_token"]
        assert (server.count("/token"), server.reuses) == (1, 0)


async def test_nobody_else_renews_while_a_pair_waits_to_be_stored(server, clock, tmp_path):
    path, paused = tmp_path / "hub.db", Paused()
    async with (
        keeping(path, now=clock, store_as=Failing, pause=moving(clock)) as one,
        keeping(path, now=clock, pause=paused) as two,
    ):
        await connected(one, server)
        one.store.fails = WRITES
        clock.at += 4000
        with pytest.raises(HubFault):
            await one.access().credential()
        second = asyncio.ensure_future(two.access().credential())
        await asyncio.wait_for(paused.once.wait(), 5)
        first = await one.access().credential()
        assert token_in(await asyncio.wait_for(second, 5)) == token_in(first)
        assert (server.count("/token"), server.reuses) == (1, 0)


async def test_a_pair_that_waited_in_vain_is_ended_with_the_connection(server, clock):
    async with keeping(now=clock, store_as=Failing, pause=moving(clock)) as hub:
        await connected(hub, server)
        access = hub.access()
        hub.store.fails = WRITES
        clock.at += 4000
        with pytest.raises(HubFault):
            await access.credential()
        grant = await hub.grant()
        await hub.store.drop_grant(grant.whose)
        access._held = None
        assert await hub.grants.renewed(grant) is None
        assert server.count("/revoke") == 2
        assert not [each for each in server._access.values() if not each.ended and each in server._refresh.values()]


async def test_a_refusal_of_a_token_that_was_replaced_meanwhile_ends_nothing(server, clock, tmp_path):
    """A process that was stopped for longer than its lease comes back with a token that is used up."""
    path = tmp_path / "hub.db"
    async with keeping(path, now=clock) as one, keeping(path, now=clock) as two:
        await connected(one, server)
        clock.at += 4000
        slow = Slow()
        server.answers["/token"] = slow
        late = asyncio.ensure_future(one.access().credential())
        await asyncio.wait_for(slow.came.wait(), 5)
        del server.answers["/token"]
        clock.at += LEASE + 1
        new = await two.access().credential()
        slow.go.set()
        assert token_in(await asyncio.wait_for(late, 5)) == token_in(new)
        assert (await one.grant()).state is GrantState.READY
        # The server has ended them all for the reuse; the next time, that is said.
        clock.at += 4000
        with pytest.raises(ConnectionNeeded, match="has ended the access"):
            await two.access().credential()
