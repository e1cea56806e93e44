"""Sessions of legacy clients on the whole road, across restarts of the hub and of what is behind it."""

import json
import sqlite3

import pytest

from mcp_hub.app import Hub, create_app
from mcp_hub.config import model
from mcp_hub.inbound import notices
from rig.fake_upstream import tool
from unit.inbound.asgi import begin
from unit.test_app_notices import BOTH, TOOLS, UPDATED, USUAL, LegacyListener, giving, post, serving

pytestmark = pytest.mark.promise("A4", "A5", "A7")


def returning(hub, before: LegacyListener) -> LegacyListener:
    """The same client, whose stream broke, at a hub that was started again."""
    client = LegacyListener(hub)
    client.session = before.session
    client.stream = begin(hub, "GET", [*USUAL.items(), ("mcp-session-id", before.session)], [b""])
    return client


@BOTH
async def test_a_restart_of_the_hub_keeps_calls_subscriptions_and_the_log_level(tmp_path, upstream):
    async with giving(upstream) as fake:
        async with serving(fake, tmp_path) as hub:
            client = LegacyListener(hub)
            await client.listen("up+x:1", "up+x:2")
            assert (await client.ask("resources/unsubscribe", {"uri": "up+x:2"}))["result"] == {}
            assert (await client.ask("logging/setLevel", {"level": "error"}))["result"] == {}
        fake.seen.clear()
        async with serving(fake, tmp_path) as hub:
            client = returning(hub, client)
            answer = await client.ask("tools/call", {"name": "up__echo", "arguments": {"n": 1}})
            assert json.loads(answer["result"]["content"][0]["text"])["arguments"] == {"n": 1}
            if upstream == "legacy":
                assert [each.message["params"]["level"] for each in fake.asked("logging/setLevel")] == ["error"]
            else:
                (call,) = fake.asked("tools/call")
                assert call.message["params"]["_meta"]["io.modelcontextprotocol/logLevel"] == "error"
            await fake.until_subscribed("x:1")
            assert await client.heard(UPDATED) == ["up+x:1"], "it may have changed meanwhile"
            await client.stream.until(TOOLS.encode())
            fake.update("x:1")
            await client.stream.until(UPDATED.encode(), times=2)
            fake.tools = [tool("new")]
            fake.announce(TOOLS)
            await client.stream.until(TOOLS.encode(), times=2)


@pytest.mark.promise("T19")
async def test_a_session_that_was_ended_stays_ended_after_a_restart(tmp_path):
    async with giving("legacy") as fake:
        async with serving(fake, tmp_path) as hub:
            client, other = LegacyListener(hub), LegacyListener(hub)
            await client.listen()
            await other.listen()
            lines = [*USUAL.items(), ("mcp-session-id", client.session)]
            assert (await begin(hub, "DELETE", lines, [b""]).response()).status == 204
        async with serving(fake, tmp_path) as hub:
            assert (await post(hub, "ping", {}, mcp_session_id=client.session).response()).status == 404
            assert (await post(hub, "ping", {}, mcp_session_id=other.session).response()).status == 200


@pytest.mark.promise("A2")
async def test_the_configuration_says_how_many_sessions_there_may_be(tmp_path):
    config = model.Config(
        server=model.Server(max_sessions=1), store=model.Store(f"sqlite:///{tmp_path}/hub.db"), upstreams={}
    )
    opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    async with create_app(config) as hub:
        ids = [(await post(hub, "initialize", opening).response()).headers["mcp-session-id"] for _ in range(2)]
        statuses = [(await post(hub, "ping", {}, mcp_session_id=each).response()).status for each in ids]
    assert statuses == [404, 200]


@BOTH
async def test_what_an_upstream_cannot_grant_yet_is_asked_for_again(tmp_path, upstream, monkeypatch):
    monkeypatch.setattr(notices.subscribed_again, "__defaults__", ((0.01,) * 100,))
    async with giving(upstream) as fake:
        async with serving(fake, tmp_path) as hub:
            client = LegacyListener(hub)
            await client.listen("up+x:1")
        fake.refused = {"x:1"}
        async with serving(fake, tmp_path) as hub:
            client = returning(hub, client)
            await fake.until("resources/subscribe" if upstream == "legacy" else "subscriptions/listen")
            fake.refused = set()
            assert await client.heard(UPDATED) == ["up+x:1"]
            await fake.until_subscribed("x:1")


@pytest.mark.promise("T15")
async def test_a_session_of_the_older_transport_ends_with_its_stream_and_is_never_stored(tmp_path):
    async with giving("modern") as fake, serving(fake, tmp_path) as hub:
        stream = begin(hub, "GET", [("host", "127.0.0.1"), ("accept", "text/event-stream")], [b""], path="/sse")
        await stream.until(b"endpoint")
        assert sqlite3.connect(tmp_path / "hub.db").execute("SELECT count(*) FROM sessions").fetchone() == (0,)


@pytest.mark.promise("A4")
async def test_a_hub_on_standard_streams_leaves_the_sessions_of_the_one_beside_it_alone(tmp_path):
    store = model.Store(f"sqlite:///{tmp_path}/hub.db")
    async with giving("modern") as fake, serving(fake, tmp_path) as hub:
        await LegacyListener(hub).listen()
        narrow = model.Config(store=store, server=model.Server(max_sessions=1, session_idle=0.0))
        async with Hub(narrow, over_http=False):
            pass
        assert sqlite3.connect(tmp_path / "hub.db").execute("SELECT count(*) FROM sessions").fetchone() == (1,)
