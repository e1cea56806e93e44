"""The JSON of a caller's own connections."""

import httpx2
import pytest

from mcp_hub.errors import Unauthenticated
from mcp_hub.oauth.connection import Ending
from mcp_hub.principal import Principal
from mcp_hub.web.connections_api import PATH, ConnectionsApi
from mcp_hub.web.frame import Frame
from mcp_hub.web.site import Site
from rig.connections import NOW, FakeConnections
from unit.web.screens import URL

pytestmark = pytest.mark.promise("E38")
ADA, BO = Principal("local", "u1"), Principal("local", "u2")
TOKENS = {b"Bearer a": ADA, b"Bearer b": BO}


class Door:
    async def identify(self, headers, query, resource):
        found = TOKENS.get(dict(headers).get(b"authorization", b""))
        if found is None or resource != f"{URL}/mcp":
            raise Unauthenticated("Who are you?")
        return found


@pytest.fixture
def fake():
    return FakeConnections()


@pytest.fixture
def http(fake):
    app = Site([ConnectionsApi(fake, door=Door(), resource=f"{URL}/mcp", base_url=URL)], Frame("9.9")).app()
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL, headers={"authorization": "Bearer a"})


async def test_a_caller_finds_their_own_connections(fake, http):
    fake.connect(ADA, "github", wanted=frozenset({"delete_repo"}))
    fake.connect(BO, "linear")
    answer = await http.get(PATH)
    assert answer.headers["cache-control"] == "no-store"
    linear, github, warehouse = answer.json()["connections"]
    assert github == {
        "name": "github",
        "title": "GitHub",
        "host": "api.githubcopilot.com",
        "sign_in": "oauth",
        "state": "ready",
        "reason": "",
        "account": "ada-l",
        "scopes": ["read:org", "repo"],
        "wanted": ["delete_repo"],
        "since": NOW - 9e5,
        "used": NOW - 60,
        "url": f"{URL}/connect/github",
    }
    assert (linear["state"], warehouse["state"]) == ("not_connected", "not_connected")


async def test_a_caller_ends_their_own_connection(fake, http):
    fake.connect(ADA, "github")
    fake.connect(BO, "github")
    fake.ending = Ending.NO_WAY
    assert (await http.delete(f"{PATH}/github")).json() == {"name": "github", "ending": "no_way"}
    assert (await http.delete(f"{PATH}/github")).json() == {"name": "github", "ending": "nothing"}
    assert set(fake.kept) == {(BO.key, "github")}


async def test_what_nobody_connects_with_is_not_there(fake, http):
    async def disconnect(caller, upstream):
        raise KeyError(upstream)

    fake.disconnect = disconnect
    answer = await http.delete(f"{PATH}/<b>")
    assert answer.status_code == 404
    assert "<b>" not in answer.text


@pytest.mark.promise("T33")
async def test_a_cookie_calls_nothing(fake, http):
    fake.connect(ADA, "github")
    for answer in (
        await http.get(PATH, headers={"authorization": "", "cookie": "mcp_hub=" + "x" * 43}),
        await http.delete(f"{PATH}/github", headers={"authorization": "", "cookie": "mcp_hub=" + "x" * 43}),
    ):
        assert answer.status_code == 401
    assert set(fake.kept) == {(ADA.key, "github")}
