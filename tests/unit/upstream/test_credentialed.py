"""Whose credential goes on what a carrier carries, and what is sent once more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mcp_hub.credentials.access import Fixed
from mcp_hub.errors import BrokeProtocol, ConnectionNeeded, RefusedCredential, TimedOut, Unreachable
from mcp_hub.upstream.carrier import NoStream, RefusedOpening
from mcp_hub.upstream.credentialed import MOST_SHARED, Credentialed
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import Reply
from rig.accesses import OwnAccess
from rig.parts import LEGACY_CLIENT, MODERN_CLIENT, bearer, tool_call

pytestmark = pytest.mark.promise("B19", "T18")
DONE = Reply(result=b"{}")
OPENED = {"protocolVersion": "2025-11-25"}


class Server:
    """A carrier to nowhere: takes some tokens, notes what it was sent, and does with it what it is told to."""

    def __init__(self, *takes: str, fails: Exception | None = None) -> None:
        self.takes = set(takes)
        self.fails = fails
        self.seen: list[str] = []
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def send(self, era, call, credential) -> Reply:
        await self._take(credential)
        return DONE

    async def opened(self, owner, client, credential):
        await self._take(credential)
        return OPENED

    @asynccontextmanager
    async def listen(self, wanted, client, credential) -> AsyncIterator[str]:
        await self._take(credential)
        yield "told"

    @asynccontextmanager
    async def overhear(self, client, credential) -> AsyncIterator[str]:
        await self._take(credential)
        yield "overheard"

    async def _take(self, credential) -> None:
        token = bytes(credential.open()).decode().strip().rpartition(" ")[2]
        self.seen.append(token)
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        if token not in self.takes:
            raise RefusedCredential("up", "up rejected the credential (HTTP 401).")
        if self.fails is not None:
            raise self.fails


async def send(way: Credentialed):
    return await way.send(Era.MODERN, tool_call())


async def opened(way: Credentialed):
    return await way.opened(("principal", "alice"), LEGACY_CLIENT)


async def listen(way: Credentialed):
    async with way.listen({}, MODERN_CLIENT) as told:
        return told


async def overhear(way: Credentialed):
    async with way.overhear(LEGACY_CLIENT) as overheard:
        return overheard


WAYS = pytest.mark.parametrize(
    ("ask", "answer"), [(send, DONE), (opened, OPENED), (listen, "told"), (overhear, "overheard")]
)


@WAYS
async def test_what_is_ready_goes_out_without_asking_anybody(ask, answer):
    server, access = Server("a"), OwnAccess("a")
    assert await ask(Credentialed(server, access)) == answer
    assert (server.seen, access.asked, access.refusals) == (["a"], 0, [])


@WAYS
async def test_what_is_not_ready_is_waited_for(ask, answer):
    server, access = Server("late"), OwnAccess("late", is_ready=False)
    assert await ask(Credentialed(server, access)) == answer
    assert (server.seen, access.asked) == (["late"], 1)


@WAYS
async def test_a_refused_request_is_sent_once_more_with_what_the_access_has_then(ask, answer):
    server, access = Server("new"), OwnAccess("old", "new")
    assert await ask(Credentialed(server, access)) == answer
    assert (server.seen, access.refusals) == (["old", "new"], ["old"])


@WAYS
async def test_a_second_refusal_counts_whatever_the_access_has_then(ask, answer):
    server, access = Server("c"), OwnAccess("a", "b", "c")
    with pytest.raises(RefusedCredential):
        await ask(Credentialed(server, access))
    assert (server.seen, access.refusals) == (["a", "b"], ["a", "b"])


@WAYS
async def test_after_a_second_refusal_the_access_says_what_its_user_can_do(ask, answer):
    server, access = Server("c"), OwnAccess("a", "b")
    with pytest.raises(ConnectionNeeded, match="connected anew"):
        await ask(Credentialed(server, access))
    assert server.seen == ["a", "b"]


class Shared(Server):
    """A carrier whose sessions are opened for several: `others` have begun, with a token that is refused."""

    def __init__(self, *takes: str, others: int) -> None:
        super().__init__(*takes)
        self.others = others

    async def _take(self, credential) -> None:
        try:
            await super()._take(credential)
        except RefusedCredential as refusal:
            raise RefusedOpening(refusal, credential) from refusal
        if self.others:
            self.others -= 1
            raise RefusedOpening(RefusedCredential("up", "up rejected the credential (HTTP 401)."), bearer("theirs"))


class Renewed(OwnAccess):
    """An access that has another token by the time somebody else's old one is refused."""

    async def refused(self, credential, refusal):
        mine = any(credential is each for each in self._tokens)
        return await super().refused(credential, refusal) if mine else await self.credential()


@WAYS
async def test_who_shared_in_an_opening_that_was_refused_for_another_token_has_not_been_refused(ask, answer):
    server, access = Shared("new", others=2), Renewed("old", "new")
    assert await ask(Credentialed(server, access)) == answer
    assert server.seen == ["old", "new", "new", "new"]


@WAYS
async def test_openings_that_are_refused_for_others_again_and_again_end_the_request(ask, answer):
    server, access = Shared("new", others=99), Renewed("new")
    with pytest.raises(RefusedCredential):
        await ask(Credentialed(server, access))
    assert len(server.seen) == MOST_SHARED + 1


@WAYS
async def test_who_has_to_connect_is_told_so_and_nothing_is_sent(ask, answer):
    server = Server()
    with pytest.raises(ConnectionNeeded, match="not connected"):
        await ask(Credentialed(server, OwnAccess()))
    assert server.seen == []


@WAYS
async def test_who_cannot_be_helped_after_a_refusal_is_told_what_the_access_says(ask, answer):
    server = Server()
    with pytest.raises(ConnectionNeeded, match="has to be connected anew"):
        await ask(Credentialed(server, OwnAccess("a")))
    assert server.seen == ["a"]


@WAYS
async def test_what_all_share_is_refused_as_it_always_was(ask, answer):
    server = Server()
    with pytest.raises(RefusedCredential):
        await ask(Credentialed(server, Fixed(bearer("shared"))))
    assert server.seen == ["shared"]


@WAYS
@pytest.mark.parametrize(
    "trouble", [Unreachable("up", "gone"), TimedOut("up", "slow"), BrokeProtocol("up", "odd"), NoStream()]
)
async def test_no_other_trouble_is_a_reason_to_send_anything_again(ask, answer, trouble):
    server, access = Server("a", "b", fails=trouble), OwnAccess("a", "b")
    with pytest.raises(type(trouble)):
        await ask(Credentialed(server, access))
    assert (server.seen, access.refusals) == (["a"], [])


async def test_a_stream_that_is_refused_once_it_is_open_is_not_opened_again():
    server, access = Server("a", "b"), OwnAccess("a", "b")
    way = Credentialed(server, access)
    with pytest.raises(RefusedCredential):
        async with way.listen({}, MODERN_CLIENT):
            raise RefusedCredential("up", "later")
    assert (server.seen, access.refusals) == (["a"], [])


@WAYS
@pytest.mark.parametrize("moment", ["sending", "asking", "refused"])
async def test_whoever_is_cancelled_sends_nothing_more(ask, answer, moment):
    server = Server("b")
    access = OwnAccess("a", "b", is_ready=moment != "asking")
    gate = asyncio.Event()
    if moment == "sending":
        server.gate = gate
    else:
        access.gate = gate
    way = Credentialed(server, access)
    call = asyncio.ensure_future(ask(way))
    async with asyncio.timeout(5):
        await (server.reached if moment == "sending" else access.entered).wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    seen = list(server.seen)
    gate.set()
    await asyncio.sleep(0)
    assert server.seen == seen == ([] if moment == "asking" else ["a"])
