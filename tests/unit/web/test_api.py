"""Status and refresh over HTTP."""

import asyncio
from dataclasses import replace

import httpx2
import pytest

from mcp_hub.catalog.parts import Part
from mcp_hub.credentials.state import State
from mcp_hub.web.api import Api
from mcp_hub.web.frame import Frame
from mcp_hub.web.site import Site
from mcp_hub.wire.eras import Era
from rig.fake_upstream import Answer, FakeUpstream, Request, tool
from rig.parts import door, running, upstream_to

pytestmark = pytest.mark.promise("D33", "A8")


@pytest.fixture
async def http():
    http = door()
    yield http
    await http.aclose()


def browser(upstreams, absent=None) -> httpx2.AsyncClient:
    served = {each.name: each for each in upstreams}
    api = Api(lambda _: served, absent or {}, "9.9")
    app = Site([api], Frame("9.9")).app()
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8080")


async def never(request: Request) -> Answer:
    await request.until_hung_up()
    return Answer(raw=b"", hangs_up=True)


@pytest.mark.parametrize("eras", ["modern", "legacy"])
async def test_status_tells_how_each_upstream_stands(http, eras):
    async with FakeUpstream(eras=eras, name="up") as fake:
        fake.tools = [tool("a"), {"name": "broken"}]
        upstream = upstream_to(fake, http, url=fake.url + "?key=SECRET")
        async with running(upstream), browser([upstream], {"off": "Disabled in the configuration"}) as client:
            await upstream.settled()
            told = (await client.get("/api/v1/status")).json()
    up, off = told["upstreams"]
    assert told["version"] == "9.9"
    assert up.pop("milliseconds") >= 0
    assert up.pop("warnings")[0].startswith('The tool "broken" is left out')
    assert up == {
        "name": "up",
        "url": fake.url,
        "state": "ready",
        "reason": "",
        "stale": False,
        "era": eras,
        "revision": "2026-07-28" if eras == "modern" else "2025-11-25",
        "server": {"name": "up", "version": "1"},
        "counts": {"tools": 1, "prompts": 0, "resources": 0, "resourceTemplates": 0},
    }
    assert off == {"name": "off", "state": "disabled", "reason": "Disabled in the configuration"}


async def test_an_upstream_that_nobody_has_reached_is_shown_with_its_reason(http):
    upstream = upstream_to(FakeUpstream(name="up"), http, url="http://127.0.0.1:9/mcp")
    async with browser([upstream]) as client:
        (told,) = (await client.get("/api/v1/status")).json()["upstreams"]
    assert told["state"] == "unreachable"
    assert told["reason"] == "The first contact with up is still under way."
    assert (told["era"], told["revision"], told["server"], told["counts"]) == (None, None, {}, {})
    assert told["milliseconds"] is None


@pytest.mark.promise("T25")
@pytest.mark.parametrize("odd", [2**70, float("inf"), "\u2028<script>", {"deep": [{}] * 10}, None])
async def test_whatever_a_server_says_of_itself_does_not_break_the_status_of_the_others(http, odd):
    upstream = upstream_to(FakeUpstream(name="up"), http, url="http://127.0.0.1:9/mcp")
    async with FakeUpstream() as fake:
        other = upstream_to(fake, http)
        async with running(other):
            await other.settled()
            opening = replace(other.known.opening, server_info={"name": odd})
    upstream.known = replace(upstream.known, opening=opening, part=Part(), era=Era.MODERN)
    async with browser([upstream, other]) as client:
        answer = await client.get("/api/v1/status")
    assert answer.status_code == 200
    assert [each["name"] for each in answer.json()["upstreams"]] == ["up", "fake"]


@pytest.mark.promise("A7")
async def test_a_refresh_is_waited_for_and_tells_how_it_went(http):
    async with FakeUpstream(name="up") as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http)
        async with running(upstream), browser([upstream]) as client:
            await upstream.settled()
            fake.tools = [tool("a"), tool("b")]
            told = (await client.post("/api/v1/upstreams/up/refresh")).json()
            assert told["counts"]["tools"] == 2
            await fake.stop()
            told = (await client.post("/api/v1/upstreams/up/refresh")).json()
    assert (told["state"], told["stale"], told["counts"]["tools"]) == (State.UNREACHABLE, True, 2)


async def test_a_refresh_of_an_upstream_that_is_down_does_not_wait_for_its_next_turn(http):
    async with FakeUpstream(name="up") as fake, asyncio.timeout(5):
        await fake.stop()
        upstream = upstream_to(fake, http)
        async with running(upstream), browser([upstream]) as client:
            for _ in range(4):
                await client.post("/api/v1/upstreams/up/refresh")
            async with fake:
                told = (await client.post("/api/v1/upstreams/up/refresh")).json()
    assert told["state"] == "ready"


async def test_a_name_that_is_not_there_is_not_found(http):
    async with browser([]) as client:
        answer = await client.post("/api/v1/upstreams/nobody/refresh")
        assert (answer.status_code, answer.json()) == (404, {"error": "No upstream is called 'nobody' here."})
        assert (await client.get("/nothing")).status_code == 404


@pytest.mark.promise("T22")
async def test_looking_changes_nothing(http):
    async with FakeUpstream(name="up") as fake, asyncio.timeout(5):
        upstream = upstream_to(fake, http)
        async with running(upstream), browser([upstream]) as client:
            await upstream.settled()
            assert (await client.get("/api/v1/upstreams/up/refresh")).status_code == 405
            assert (await client.post("/api/v1/status")).status_code == 405
        assert len(fake.asked("tools/list")) == 1
