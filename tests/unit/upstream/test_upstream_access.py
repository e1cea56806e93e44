"""One upstream where the credential is somebody's own: not connected, connected, run out, renewed, taken back."""

import asyncio

import pytest

from mcp_hub.catalog.parts import Kind, Part
from mcp_hub.credentials.state import State
from mcp_hub.errors import ConnectionNeeded, StoreFailed
from mcp_hub.upstream.known import Known
from mcp_hub.wire.eras import Era
from rig.accesses import OwnAccess
from rig.fake_upstream import Answer, FakeUpstream, Request, tool
from rig.parts import LEGACY_CLIENT, Journal, door, running, tool_call, upstream_to

pytestmark = pytest.mark.promise("B15", "B19", "B20", "A8")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
LINK = "https://hub.test/connect/fake"


@pytest.fixture
async def http():
    http = door()
    yield http
    await http.aclose()


def token_of(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def taking(fake: FakeUpstream, *tokens: str) -> set[str]:
    """Let it take these tokens only, which the test may change."""
    takes = set(tokens)

    async def judged(request: Request) -> Answer | None:
        return None if token_of(request) in takes else Answer(status=401)

    fake.before = judged
    return takes


def tools(upstream) -> list[str]:
    return [each["name"] for each in upstream.known.part.of(Kind.TOOL)]


@ERAS
async def test_who_has_not_connected_is_told_the_link_and_the_upstream_hears_nothing(eras, http):
    async with FakeUpstream(eras=eras) as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, access=OwnAccess(upstream="fake", whose="ada"), sweep=0.001)
        async with running(upstream):
            await upstream.settled()
            sentence = f"fake is not connected for ada. Open {LINK}, then try again."
            assert (upstream.state, upstream.reason, upstream.is_stale) == (State.NOT_CONNECTED, sentence, False)
            assert (upstream.needed.url, upstream.needed.state) == (LINK, "not_connected")
            with pytest.raises(ConnectionNeeded, match="not connected for ada"):
                await upstream.send(tool_call())
            assert upstream.known.health.retry_at == float("inf"), "no time will come: somebody has to act"
    assert fake.seen == []


@ERAS
async def test_connecting_brings_the_list_and_a_call_that_comes_at_once_waits_for_it(eras, http):
    access = OwnAccess(upstream="fake")
    async with FakeUpstream(eras=eras) as fake, asyncio.timeout(5):
        taking(fake, "ada")
        upstream = upstream_to(fake, http, access=access)
        async with running(upstream):
            await upstream.settled()
            access.connect("ada")
            assert (await upstream.send(tool_call())).result is not None
            assert (upstream.state, upstream.needed, tools(upstream)) == (State.READY, None, ["echo"])


async def test_what_was_offered_is_gone_with_the_connection(http):
    access, journal = OwnAccess("ada", upstream="fake"), Journal()
    async with FakeUpstream() as fake:
        taking(fake, "ada")
        upstream = upstream_to(fake, http, [journal], access=access)
        async with running(upstream):
            await journal.until(lambda: upstream.state is State.READY)
            access.disconnect()
            await journal.until(lambda: upstream.state is State.NOT_CONNECTED)
            assert upstream.known.part is None
            assert journal.told[-1][2], "who listens is told that the list is another one"
            with pytest.raises(ConnectionNeeded):
                await upstream.send(tool_call())


async def test_a_list_of_before_the_restart_goes_too_if_its_user_is_not_connected_any_more(http):
    stored = Known(era=Era.MODERN, part=Part(items={Kind.TOOL: (tool("stored"),)}))
    journal = Journal()
    async with FakeUpstream() as fake:
        upstream = upstream_to(fake, http, [journal], access=OwnAccess(upstream="fake"), known=stored)
        async with running(upstream):
            await journal.until(lambda: upstream.known.part is None)


@ERAS
async def test_a_connection_that_has_to_be_made_anew_keeps_the_last_good_list_as_a_stale_one(eras, http):
    access, journal = OwnAccess("ada", upstream="fake"), Journal()
    async with FakeUpstream(eras=eras) as fake:
        takes = taking(fake, "ada")
        upstream = upstream_to(fake, http, [journal], access=access)
        async with running(upstream):
            await journal.until(lambda: upstream.state is State.READY)
            takes.clear()
            with pytest.raises(ConnectionNeeded, match="has to be connected anew"):
                await upstream.send(tool_call())
            assert (upstream.state, upstream.is_stale, tools(upstream)) == (State.RECONNECT_NEEDED, True, ["echo"])
            takes.add("ada again")
            access.connect("ada again")
            await journal.until(lambda: upstream.state is State.READY)
            assert (await upstream.send(tool_call())).result is not None


@pytest.mark.promise("T18")
async def test_a_token_that_is_renewed_in_the_middle_of_a_session_is_used_in_that_session(http):
    access = OwnAccess("old", "new", upstream="fake")
    async with FakeUpstream(eras="legacy") as fake, asyncio.timeout(5):
        takes = taking(fake, "old")
        upstream = upstream_to(fake, http, access=access)
        async with running(upstream):
            await upstream.settled()
            await upstream.send(tool_call(client=LEGACY_CLIENT))
            takes ^= {"old", "new"}
            await upstream.send(tool_call(client=LEGACY_CLIENT))
            access.renew("newest")
            takes |= {"newest"}
            await upstream.send(tool_call(client=LEGACY_CLIENT))
    calls = fake.asked("tools/call")
    assert [token_of(each) for each in calls] == ["old", "old", "new", "newest"]
    assert len({each.headers["mcp-session-id"] for each in calls}) == 1
    assert access.refusals.count("old") == 1


async def test_a_call_for_which_the_connection_is_not_enough_leaves_everything_else_as_it_is(http):
    class Narrow(OwnAccess):
        """Good for all but some calls, which need more than its user has allowed."""

        async def refused(self, credential, refusal):
            self.refusals.append("asked for more")
            raise ConnectionNeeded("fake", "More is needed.", url=LINK, state="reconnect_needed")

    access, journal = Narrow("ada", upstream="fake"), Journal()
    async with FakeUpstream() as fake:
        upstream = upstream_to(fake, http, [journal], access=access)
        async with running(upstream):
            await journal.until(lambda: upstream.state is State.READY)

            async def forbidden(request: Request) -> Answer | None:
                return Answer(status=403) if request.message["params"]["name"] == "admin" else None

            fake.handlers["tools/call"] = forbidden
            listed = len(fake.asked("tools/list"))
            with pytest.raises(ConnectionNeeded, match="More is needed"):
                await upstream.send(tool_call("admin"))
            assert (upstream.state, upstream.needed) == (State.READY, None)
            assert (await upstream.send(tool_call())).result is not None
            await fake.until("tools/list", listed + 1)  # it is made sure that it is this one call alone
            assert upstream.state is State.READY


async def test_whoever_connects_as_somebody_else_gets_no_session_of_before(http):
    access, journal = OwnAccess("ada", upstream="fake"), Journal()
    async with FakeUpstream(eras="legacy") as fake:
        upstream = upstream_to(fake, http, [journal], access=access)
        async with running(upstream), asyncio.timeout(5):
            await upstream.settled()
            await upstream.send(tool_call(client=LEGACY_CLIENT))
            before = set(fake.sessions)
            access.connect("eve")
            upstream.refresh_soon()
            await upstream.refreshed()
            ended = {each.headers["mcp-session-id"] for each in fake.seen if each.verb == "DELETE"}
            opened = len(fake.asked("initialize"))
            await upstream.send(tool_call(client=LEGACY_CLIENT))
    asked = fake.asked("tools/call")
    assert [token_of(each) for each in asked] == ["ada", "eve"]
    assert ended == before
    assert len(fake.asked("initialize")) == opened + 1


async def test_a_fault_of_the_hubs_own_is_told_and_tried_again_and_is_no_upstreams(http):
    class Broken(OwnAccess):
        async def credential(self):
            raise StoreFailed("The store cannot be read.")

    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, access=Broken(upstream="fake"))
        async with running(upstream):
            await upstream.settled()
            assert (upstream.state, upstream.reason) == (State.UNREACHABLE, "The store cannot be read.")


async def test_an_upstream_that_is_not_kept_any_more_watches_nobodys_connection(http):
    access = OwnAccess("ada", upstream="fake")
    async with FakeUpstream() as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http, access=access)
        async with running(upstream):
            await upstream.settled()
            assert access.watched == 1
    assert access.watched == 0


@ERAS
async def test_a_stream_of_notices_that_is_refused_gets_the_token_of_now(eras, http):
    access = OwnAccess("old", "new", upstream="fake")
    async with FakeUpstream(eras=eras) as fake, asyncio.timeout(5):
        fake.capabilities = {"tools": {"listChanged": True}}
        takes = {"old", "new"}

        async def judged(request: Request) -> Answer | None:
            listens = request.method == "subscriptions/listen" or request.verb == "GET"
            if listens:
                takes.discard("old")
            return None if token_of(request) in takes else Answer(status=401)

        fake.before = judged
        upstream = upstream_to(fake, http, access=access)
        async with running(upstream):
            await fake.until_listening()
    assert set(access.refusals) == {"old"}
