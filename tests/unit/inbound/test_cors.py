import pytest

from mcp_hub.inbound.cors import with_cors
from mcp_hub.inbound.guard import Guard
from unit.inbound.asgi import begin
from unit.inbound.hub import BASE, Hub, message

pytestmark = pytest.mark.promise("C23", "T22")

PAGE = "https://app.example"
HOSTS = {"localhost"}


@pytest.fixture
def served():
    hub = Hub(allowed_hosts=HOSTS, allowed_origins={PAGE})
    return with_cors(hub.endpoint, [PAGE], Guard(HOSTS, [PAGE]))


async def ask(app, method="POST", origin: str | None = PAGE, **more):
    lines = {
        **BASE,
        **({} if origin is None else {"Origin": origin}),
        **{k.replace("_", "-"): v for k, v in more.items()},
    }
    return await begin(
        app, method, lines.items(), [message("initialize", {"protocolVersion": "2025-11-25"})]
    ).response()


def preflight(app, names="authorization, content-type, mcp-protocol-version", **more):
    return ask(app, "OPTIONS", access_control_request_method="POST", access_control_request_headers=names, **more)


async def test_an_allowed_page_reads_the_answer_the_challenge_and_the_session(served):
    answer = await ask(served)
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-expose-headers"] == "WWW-Authenticate, Mcp-Session-Id"
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers


async def test_an_allowed_page_may_ask_first(served):
    answer = await preflight(served, "Authorization, x-evil, mcp-param-a, mcp-param-a\x00, last-event-id, cookie")
    assert answer.status == 204
    assert answer.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert answer.headers["access-control-allow-headers"] == "authorization, mcp-param-a, last-event-id"


@pytest.mark.promise("B14")
async def test_a_page_may_send_the_headers_that_callers_bring_for_an_upstream():
    served = with_cors(Hub().endpoint, [PAGE], Guard(["localhost"], [PAGE]), ["x-docs-key"])
    answer = await preflight(served, "authorization, X-Docs-Key, x-other-key")
    assert answer.headers["access-control-allow-headers"] == "authorization, x-docs-key"
    assert answer.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("origin", ["https://evil.example", f"{PAGE}.evil.example", "null", f"{PAGE}, {PAGE}"])
async def test_a_foreign_page_is_refused_and_told_nothing(served, origin):
    for answer in (await ask(served, origin=origin), await preflight(served, origin=origin)):
        assert answer.status == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_rebound_name_is_refused_in_a_preflight_too(served):
    assert (await preflight(served, Host="evil.example")).status == 421


async def test_a_program_is_told_nothing_of_pages(served):
    answer = await ask(served, origin=None)
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_hub_without_foreign_pages_pays_nothing():
    app = Hub().endpoint
    assert with_cors(app, [], Guard(HOSTS, [])) is app
