"""The check of an upstream over HTTP."""

import httpx2
import pytest

from mcp_hub.errors import Unauthenticated
from mcp_hub.principal import Principal
from mcp_hub.upstream.check import Status, Step, Verdict
from mcp_hub.web.check import Check
from mcp_hub.web.frame import Frame
from mcp_hub.web.site import Site

pytestmark = pytest.mark.promise("D26")

URL = "/api/v1/upstreams/up/check"


class Door:
    """Knows whoever brings their name, and takes nothing else."""

    async def identify(self, headers, query, resource):
        name = dict(headers).get(b"authorization", b"").decode()
        if not name:
            raise Unauthenticated("Nobody I know.", "Bearer")
        return Principal("idp", name)


class Checks:
    """Remembers who asked."""

    def __init__(self):
        self.asked = []

    async def check_as(self, caller, name):
        self.asked.append((caller.subject, name))
        return Verdict(name, Status.USER_NOT_AUTHENTICATED, [Step("auth", ok=False, detail="Not connected.", ms=2)])


@pytest.fixture
def checks():
    return Checks()


@pytest.fixture
async def client(checks):
    app = Site([Check(checks.check_as, ["up"], door=Door())], Frame("9.9")).app()
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8080") as client:
        yield client


@pytest.mark.promise("B22")
async def test_a_check_is_made_for_whoever_calls(client, checks):
    answer = await client.post(URL, headers={"Authorization": "ada"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "name": "up",
        "status": "User not authenticated",
        "steps": [{"step": "auth", "ok": False, "detail": "Not connected.", "ms": 2}],
    }
    assert checks.asked == [("ada", "up")]


async def test_nobody_else_gets_one(client, checks):
    assert (await client.post(URL)).status_code == 401
    assert (await client.post(URL, headers={"Cookie": "session=ada"})).status_code == 401
    assert (await client.get(URL, headers={"Authorization": "ada"})).status_code == 405
    assert checks.asked == []


async def test_an_upstream_that_is_not_there_is_said_not_to_be(client, checks):
    answer = await client.post("/api/v1/upstreams/down/check", headers={"Authorization": "ada"})
    assert (answer.status_code, answer.json()) == (404, {"error": "No upstream is called 'down' here."})
    assert checks.asked == []
