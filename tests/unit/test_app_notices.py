"""Notices of change on the whole road: from upstreams of both eras to clients of both, through one hub."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from mcp_hub.app import create_app
from mcp_hub.config import model
from rig.fake_upstream import LEGACY, MODERN, Answer, FakeUpstream, Request, sse, tool
from rig.parts import LOOPBACK
from unit.inbound.asgi import begin

pytestmark = pytest.mark.promise("A5", "A7")
ERAS = ("modern", "legacy")
BOTH = pytest.mark.parametrize("upstream", ERAS)
GRID = pytest.mark.parametrize(("client", "upstream"), [(one, other) for one in ERAS for other in ERAS])
USUAL = {
    "host": "127.0.0.1:8080",
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}
UPDATED = "notifications/resources/updated"
TOOLS = "notifications/tools/list_changed"


def giving(eras: str) -> FakeUpstream:
    fake = FakeUpstream(name="up", eras=eras)
    fake.capabilities |= {
        "tools": {"listChanged": True},
        "resources": {"listChanged": True, "subscribe": True},
    }
    fake.resources = [{"uri": f"x:{number}", "name": "x"} for number in (1, 2)]
    return fake


@asynccontextmanager
async def serving(fake: FakeUpstream, directory):
    declared = {fake.name: model.Upstream(fake.name, fake.url)}
    config = model.Config(
        store=model.Store(f"sqlite:///{directory}/hub.db"),
        network=model.Network(tuple(LOOPBACK)),
        defaults=model.Defaults(list_timeout=2.0),
        upstreams=declared,
    )
    async with asyncio.timeout(10), create_app(config) as hub:
        yield hub


def post(hub, method, params, number=1, **headers):
    body = {"jsonrpc": "2.0", "method": method, "params": params} | ({"id": number} if number is not None else {})
    lines = {**USUAL, **{key.replace("_", "-"): each for key, each in headers.items()}}
    return begin(hub, "POST", list(lines.items()), [json.dumps(body).encode()])


def messages(stream):
    lines = b"".join(stream.chunks).decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


class ModernListener:
    """A client that listens by `subscriptions/listen`."""

    def __init__(self, hub) -> None:
        self.hub = hub

    async def listen(self, *uris: str) -> None:
        asked = {"toolsListChanged": True, "resourceSubscriptions": list(uris)}
        params = {"notifications": asked, "_meta": META}
        self.stream = post(
            self.hub, "subscriptions/listen", params, mcp_protocol_version=MODERN, mcp_method="subscriptions/listen"
        )
        await self.stream.until(b"acknowledged")
        assert messages(self.stream)[0]["params"]["notifications"] == asked

    async def leave(self) -> None:
        self.stream.hung_up.set()
        await self.stream.over()

    async def heard(self, method: str) -> list[str]:
        """The resources named by the notices of this method, once there is one."""
        await self.stream.until(method.encode())
        assert all(each["params"]["_meta"] for each in messages(self.stream))
        return [each["params"].get("uri") for each in messages(self.stream) if each["method"] == method]


class LegacyListener(ModernListener):
    """A client that subscribes in its session and reads its GET stream."""

    async def listen(self, *uris: str) -> None:
        opening = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        opened = await post(self.hub, "initialize", opening).response()
        capabilities = opened.json["result"]["capabilities"]
        assert capabilities["resources"] == {"listChanged": True, "subscribe": True}
        self.session = opened.headers["mcp-session-id"]
        self.stream = begin(self.hub, "GET", [*USUAL.items(), ("mcp-session-id", self.session)], [b""])
        for uri in uris:
            assert (await self.ask("resources/subscribe", {"uri": uri}))["result"] == {}
        await self.stream.until(b": keep-alive")

    async def ask(self, method, params):
        return (await post(self.hub, method, params, mcp_session_id=self.session).response()).json

    async def heard(self, method: str) -> list[str]:
        await self.stream.until(method.encode())
        return [each["params"].get("uri") for each in messages(self.stream) if each["method"] == method]


def listener(era: str, hub) -> ModernListener:
    return ModernListener(hub) if era == "modern" else LegacyListener(hub)


@pytest.mark.promise("B22")
@GRID
async def test_an_updated_resource_is_told_to_those_who_subscribed_to_it(tmp_path, client, upstream):
    async with giving(upstream) as fake, serving(fake, tmp_path) as hub:
        one, other = listener(client, hub), listener(client, hub)
        await one.listen("up+x:1")
        await other.listen("up+x:2")
        await fake.until_subscribed("x:1", "x:2")
        fake.update("x:1")
        assert await one.heard(UPDATED) == ["up+x:1"]
        fake.update("x:2")
        assert await other.heard(UPDATED) == ["up+x:2"]
        assert await one.heard(UPDATED) == ["up+x:1"]


@GRID
async def test_a_changed_list_is_told(tmp_path, client, upstream):
    async with giving(upstream) as fake, serving(fake, tmp_path) as hub:
        one = listener(client, hub)
        await one.listen("up+x:1")
        await fake.until_listening()
        fake.tools = [tool("new")]
        fake.announce(TOOLS)
        await one.stream.until(TOOLS.encode())


@GRID
async def test_when_the_last_listener_leaves_so_does_the_hub(tmp_path, client, upstream):
    async with giving(upstream) as fake, serving(fake, tmp_path) as hub:
        several = [listener(client, hub) for _ in range(3)]
        for each in several:
            await each.listen("up+x:1")
        method = "subscriptions/listen" if upstream == "modern" else "resources/subscribe"
        asked = [each for each in fake.asked(method) if "x:1" in each.body.decode()]
        assert len(asked) == 1, "one subscription is enough for all of them"
        for each in several:
            if isinstance(each, LegacyListener):
                assert (await each.ask("resources/unsubscribe", {"uri": "up+x:1"}))["result"] == {}
            await each.leave()
        await fake.until_subscribed()


@BOTH
async def test_it_goes_on_after_the_upstream_was_restarted(tmp_path, upstream):
    async with giving(upstream) as fake, serving(fake, tmp_path) as hub:
        one = listener("modern", hub)
        await one.listen("up+x:1")
        await fake.stop()
        fake.sessions.clear()
        fake.streams.clear()
        async with fake:
            assert set(await one.heard(UPDATED)) == {"up+x:1"}


async def test_a_notice_on_the_stream_of_a_call_is_told_to_its_listeners_and_not_to_the_caller(tmp_path):
    async def chatty(request: Request) -> Answer:
        done = {"jsonrpc": "2.0", "id": request.message["id"], "result": {"content": []}}
        told = {"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": "x:1"}}
        changed = {"jsonrpc": "2.0", "method": TOOLS}
        return Answer(sse(told, changed, done), content_type="text/event-stream")

    async with giving("legacy") as fake, serving(fake, tmp_path) as hub:
        fake.handlers["tools/call"] = chatty
        one = LegacyListener(hub)
        await one.listen("up+x:1")
        answer = await post(
            hub, "tools/call", {"name": "up__echo", "arguments": {}}, mcp_session_id=one.session
        ).response()
        assert UPDATED.encode() not in answer.body
        assert TOOLS.encode() not in answer.body
        assert await one.heard(UPDATED) == ["up+x:1"]
        await one.stream.until(TOOLS.encode())


@pytest.mark.promise("D33")
async def test_a_hub_that_stops_ends_its_streams(tmp_path):
    async with giving("modern") as fake:
        async with serving(fake, tmp_path) as hub:
            one, other = ModernListener(hub), LegacyListener(hub)
            await one.listen("up+x:1")
            await other.listen("up+x:1")
            hub.drain()
            assert (await one.stream.response()).events[-1]["result"]["resultType"] == "complete"
            assert (await other.stream.response()).status == 200
        assert not fake.subscribed
