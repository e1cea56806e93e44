import httpx2
import pytest

from mcp_hub.identity.door import TokenDoor
from mcp_hub.identity.protected import Protected
from mcp_hub.identity.scopes import ADMIN, USE
from mcp_hub.web.api import Api
from mcp_hub.web.frame import Frame
from mcp_hub.web.site import Site
from rig.token_store import DOWN, HUB, TokenStore

pytestmark = pytest.mark.promise("C23")

STEP_UP = (
    'Bearer error="insufficient_scope", '
    'resource_metadata="https://hub.example/.well-known/oauth-protected-resource/mcp", scope="hub:admin"'
)
STATUS, REFRESH = "/api/v1/status", "/api/v1/upstreams/up/refresh"


@pytest.fixture
def store():
    store = TokenStore()
    store.add("alice", "admin")
    store.add("bob", "user")
    return store


@pytest.fixture
async def http(store):
    door = TokenDoor(store, [Protected(HUB, ("https://hub.example",))])
    app = Site([Api(lambda _: {}, {"off": "Disabled"}, "9.9", door=door, resource=HUB)], Frame("9.9")).app()
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://hub.example") as client:
        yield client


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("headers", [{}, {"Cookie": "__Host-mcp_hub=x"}, {"Authorization": "Basic eA=="}])
async def test_the_api_is_for_those_who_bring_a_token(http, headers):
    for answer in (await http.get(STATUS, headers=headers), await http.post(REFRESH, headers=headers)):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Bearer resource_metadata="https://hub.example/')
        assert answer.json() == {"error": "Sign in first: this hub serves nobody it does not know."}


async def test_everybody_who_is_known_sees_how_the_hub_stands(http, store):
    answer = await http.get(STATUS, headers=bearer(store.give_personal("bob")))
    assert answer.json()["upstreams"] == [{"name": "off", "state": "disabled", "reason": "Disabled"}]


@pytest.mark.promise("C24", "T58")
@pytest.mark.parametrize(
    ("owner", "scope", "refusal"),
    [
        ("alice", ADMIN, (404, None)),
        ("alice", USE, (403, STEP_UP)),
        ("bob", USE, (403, STEP_UP)),
        ("bob", ADMIN, (403, None)),
    ],
)
async def test_what_all_share_is_changed_by_admins_with_a_token_that_says_so(http, store, owner, scope, refusal):
    answer = await http.post(REFRESH, headers=bearer(store.give_personal(owner, scopes=(scope,))))
    assert (answer.status_code, answer.headers.get("www-authenticate")) == refusal


async def test_wrong_tokens_and_forms_get_the_errors_of_the_standard(http, store):
    assert (await http.get(STATUS, headers=bearer("mcphub_pat_x"))).status_code == 401
    assert (await http.get(f"{STATUS}?access_token=x")).status_code == 400
    assert (await http.get(STATUS, headers=bearer(store.give_personal("bob", scopes=())))).status_code == 403


@pytest.mark.promise("T57")
async def test_a_door_that_fails_lets_nobody_in(http, store):
    token = store.give_personal("alice", scopes=(ADMIN,))
    store.fails = DOWN
    answer = await http.post(REFRESH, headers=bearer(token))
    assert answer.status_code == 503
    assert "/secret/path" not in answer.text
