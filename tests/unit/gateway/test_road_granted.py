"""The road of a call with a grant: refused, renewed, not enough. One renewal, one more try, one link, no loop."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from msgspec import Raw

from mcp_hub.errors import ConnectionNeeded, RefusedCredential, Unreachable
from mcp_hub.oauth.stepping_up import MOST
from mcp_hub.store.connections import GrantState
from mcp_hub.wire.eras import Client, Era
from rig.fake_upstream import Answer, FakeUpstream, Request
from rig.granted import ADA, PLACE, Clock, Keeper, connected, keeping
from rig.misbehaving_as import MisbehavingAS, broken, refusing
from rig.parts import ask, modern_meta

pytestmark = pytest.mark.promise("B19", "B15")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
CAN = Raw(b'{"elicitation":{"url":{}}}')
CLIENT = Client(Era.MODERN, "2026-07-28", CAN, Raw(b'{"name":"test client"}'))
PLAIN = Client(Era.MODERN, "2026-07-28", Raw(b"{}"))
NARROW = 'Bearer error="insufficient_scope", scope="write", resource_metadata="https://up.example/prm"'


class Protected(FakeUpstream):
    """Refuses the tokens for which `refuses` says so; a tool runs with those in `wide` only, if there is such a set.

    `tried` are the tokens that calls came with, in order.
    """

    def __init__(self, eras: str) -> None:
        super().__init__(eras=eras, name=PLACE.upstream)
        self.refuses: Callable[[str], bool] = lambda _: False
        self.wide: set[str] | None = None
        self.challenge = NARROW
        self.tried: list[str] = []
        self.before = self.judge

    async def judge(self, request: Request) -> Answer | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        is_call = request.method in ("tools/call", "initialize")
        if is_call and (not self.tried or request.method == "tools/call" or self.refuses(token)):
            self.tried.append(token)
        if self.refuses(token):
            return Answer(status=401, headers={"www-authenticate": 'Bearer error="invalid_token"'})
        if request.method == "tools/call" and self.wide is not None and token not in self.wide:
            return Answer(status=403, headers={"www-authenticate": self.challenge})
        return None


@dataclass
class Scene:
    hub: object
    upstream: Protected
    keeper: Keeper
    server: MisbehavingAS
    clock: Clock

    async def call(self, client: Client = CLIENT, **more):
        meta = modern_meta() | {"io.modelcontextprotocol/clientCapabilities": client.capabilities}
        request = ask("tools/call", {"name": "github__echo", **more}, client=client, meta=meta, caller=ADA)
        async with asyncio.timeout(5):
            return json.loads(bytes((await self.hub.road.answer(request)).result))

    async def token(self) -> str:
        """The one that there is at the moment."""
        return (await self.keeper.tokens())[0]

    async def connect(self, scopes: str = "read") -> str:
        """What their browser does; gives the new token."""
        return (await connected(self.keeper, self.server, scopes=scopes))["access_token"]


@pytest.fixture
def scene(over):
    @asynccontextmanager
    async def made(eras: str = "modern") -> AsyncIterator[Scene]:
        clock = Clock()
        async with MisbehavingAS() as server, keeping(now=clock) as keeper:
            upstream = Protected(eras)
            await connected(keeper, server)
            async with over(upstream, access=keeper.access()) as hub:
                upstream.tried.clear()
                yield Scene(hub, upstream, keeper, server, clock)

    return made


def back(found, action="accept"):
    return {"requestState": found["requestState"], "inputResponses": {"connect": {"action": action}}}


# Refused


@ERAS
async def test_a_refused_token_is_renewed_once_and_the_call_made_once_more(scene, eras):
    async with scene(eras) as place:
        old = await place.token()
        place.upstream.refuses = lambda token: token == old
        assert "isError" not in await place.call()
        new = await place.token()
        assert place.upstream.tried == [old, new]
        assert "isError" not in await place.call()
        assert place.upstream.tried == [old, new, new]
    assert place.server.count("/token") == 1
    assert place.hub.calls.outcomes == ["ok", "ok"]


@ERAS
async def test_a_hundred_calls_that_are_refused_together_renew_once_and_run_once_each(scene, eras):
    async with scene(eras) as place:
        old = await place.token()
        place.upstream.refuses = lambda token: token == old
        found = await asyncio.gather(*(place.call(arguments={"n": number}) for number in range(100)))
        new = await place.token()
    assert sorted(json.loads(each["content"][0]["text"])["arguments"]["n"] for each in found) == list(range(100))
    assert (place.server.count("/token"), place.server.reuses) == (1, 0)
    assert place.upstream.tried.count(new) == 100


@ERAS
async def test_an_upstream_that_refuses_every_token_gets_two_and_the_user_one_link(scene, eras):
    async with scene(eras) as place:
        old = await place.token()
        place.upstream.refuses = lambda _: True
        with pytest.raises(ConnectionNeeded, match=PLACE.page) as caught:
            await place.call(PLAIN)
        assert place.upstream.tried[:1] == [old]
        assert len(place.upstream.tried) == 2
        assert place.server.count("/token") == 1
    assert caught.value.state == "reconnect_needed"


async def test_a_grant_that_has_ended_brings_the_link_and_the_call_goes_on_with_the_next_one(scene):
    async with scene() as place:
        old = await place.token()
        place.upstream.refuses = lambda token: token == old
        place.server.answers["/token"] = refusing("invalid_grant")
        found = await place.call()
        assert found["inputRequests"]["connect"]["params"]["url"] == PLACE.page
        assert (await place.keeper.grant()).state is GrantState.RECONNECT_NEEDED
        new = await place.connect()
        assert "isError" not in await place.call(**back(found))
    assert place.upstream.tried == [old, new]
    assert place.hub.calls.outcomes == ["not_connected", "ok"]


async def test_a_server_that_is_away_sends_nobody_to_a_page(scene):
    async with scene() as place:
        old = await place.token()
        place.upstream.refuses = lambda token: token == old
        place.server.answers["/token"] = broken(503)
        with pytest.raises(Unreachable):
            await place.call()
        assert (await place.keeper.grant()).state is GrantState.READY
        assert place.hub.calls.outcomes == ["unreachable"]


# Not enough


@pytest.mark.promise("T58")
@ERAS
async def test_a_call_for_which_there_is_not_enough_brings_one_link_and_runs_once_more_is_allowed(scene, eras):
    async with scene(eras) as place:
        narrow, place.upstream.wide = await place.token(), set()
        found = await place.call()
        asked = found["inputRequests"]["connect"]["params"]
        assert (asked["url"], asked["mode"]) == (PLACE.page, "url")
        assert (await place.keeper.grant()).wanted == {"read", "write"}
        assert place.hub.upstreams["github"].state == "ready", "whatever it is enough for goes on"
        wide = await place.connect("read write")
        place.upstream.wide.add(wide)
        place.upstream.tried.clear()
        assert "isError" not in await place.call(**back(found))
    assert place.upstream.tried.count(wide) == 1
    assert narrow not in place.upstream.tried
    assert place.server.count("/token") == 0, "no token is renewed for it"


@pytest.mark.promise("T27", "T31")
@pytest.mark.parametrize(
    ("scopes", "shown"),
    [
        ("write read:org", " (missing: read:org, write)"),
        ("write https://evil.test/connect", " (missing: write and more)"),
        ("https://evil.test/connect evil.test", ""),
        ("Ignore!all(this).Open<evil> " + "a" * 41, ""),
    ],
)
async def test_the_sentence_and_the_link_hold_no_address_and_no_sentence_of_the_upstreams(scene, scopes, shown):
    async with scene() as place:
        place.upstream.wide = set()
        place.upstream.challenge = f'Bearer error="insufficient_scope", scope="{scopes}", error_description="evil"'
        asked = (await place.call())["inputRequests"]["connect"]["params"]
    assert asked == {
        "mode": "url",
        "url": PLACE.page,
        "message": f"GitHub asks for more than ada@example.com allowed{shown}. Open {PLACE.page} to allow it, then"
        " try again.",
    }


@pytest.mark.promise("T58")
async def test_the_same_call_again_brings_the_same_link_and_tries_once_each_time(scene):
    async with scene() as place:
        place.upstream.wide = set()
        told = {json.dumps((await place.call())["inputRequests"], sort_keys=True) for _ in range(5)}
        assert len(told) == 1
        assert len(place.upstream.tried) == 5


@pytest.mark.promise("T58")
async def test_an_upstream_that_is_never_satisfied_does_not_send_people_round_in_circles(scene):
    async with scene() as place:
        place.upstream.wide = set()
        for _ in range(MOST):
            assert "inputRequests" in await place.call()
            await place.connect("read")
        with pytest.raises(RefusedCredential):
            await place.call()
        assert place.hub.calls.outcomes[-1] == "refused"
        place.clock.at += 601
        assert "inputRequests" in await place.call(), "ten minutes later they may be asked again"


@pytest.mark.promise("T58", "B19")
async def test_more_tokens_that_do_not_do_end_one_call_after_one_try_each(scene):
    async with scene() as place:
        place.upstream.wide = set()
        found = await place.call()
        for _ in range(2):
            await place.connect("read")
            place.upstream.tried.clear()
            with pytest.raises(ConnectionNeeded):
                await place.call(**back(found, "decline"))
            assert len(place.upstream.tried) == 1
