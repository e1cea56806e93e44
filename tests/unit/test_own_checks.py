"""A running hub checks its upstreams as whoever calls, with what they gave it or bring."""

import asyncio
from contextlib import asynccontextmanager

import httpx2
import pytest

from mcp_hub.app import Hub
from mcp_hub.config import model
from mcp_hub.principal import Principal
from rig.fake_upstream import Answer, FakeUpstream
from rig.parts import LOOPBACK

pytestmark = pytest.mark.promise("D26", "B14", "B22")


def guarded(header, *values):
    async def handler(request):
        return None if request.headers.get(header) in values else Answer(b"SECRET", 401)

    return handler


@asynccontextmanager
async def hub_of(tmp_path, *upstreams):
    config = model.Config(
        store=model.Store(f"sqlite:///{tmp_path}/hub.db"),
        network=model.Network(tuple(LOOPBACK)),
        upstreams={each.name: each for each in upstreams},
    )
    async with asyncio.timeout(10), Hub(config, who) as hub:
        transport = httpx2.ASGITransport(hub)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", timeout=5) as client:
            yield client


def who(headers):
    """Who calls, by a header that only this test knows."""
    name = dict(headers)[b"x-test-user"].decode()
    return Principal("idp", name, label=name)


async def check(client, user, name="up", **headers):
    answer = await client.post(f"/api/v1/upstreams/{name}/check", headers={"x-test-user": user, **headers})
    return answer.json()["status"] if answer.status_code == 200 else answer.status_code


async def test_what_a_caller_brings_is_checked_and_what_others_brought_is_not(tmp_path):
    async with FakeUpstream(name="up") as fake:
        fake.before = guarded("x-key", "of-ada", "of-bob")
        up = model.Upstream("up", fake.url, auth=model.OwnHeader("X-Key", "brought", "x-mine"))
        async with hub_of(tmp_path, up) as client:
            assert await check(client, "ada", **{"x-mine": "of-ada"}) == "OK"
            assert await check(client, "ada") == "User not authenticated"
            assert await check(client, "bob", **{"x-other": "of-bob"}) == "User not authenticated"
            assert await check(client, "eve", **{"x-mine": "wrong"}) in ("Unauthorized", "User not authenticated")
            assert await check(client, "eve", **{"x-mine": "a\x01b"}) == 400
            assert await check(client, "ada", name="nothing") == 404
    assert {request.headers["x-key"] for request in fake.seen if "x-key" in request.headers} == {"of-ada", "wrong"}
