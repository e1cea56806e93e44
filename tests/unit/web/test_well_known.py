import httpx2
import pytest
from starlette.applications import Starlette

from mcp_hub.identity.protected import Protected
from mcp_hub.web.well_known import EndpointMetadata

pytestmark = pytest.mark.promise("C23")

BASE = "https://hub.example"


def client(*places, base=BASE) -> httpx2.AsyncClient:
    protected = [Protected(f"{base}{path}", (base,)) for path in places]
    app = Starlette(routes=list(EndpointMetadata(protected, places).routes()))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE)


async def test_each_endpoint_has_its_own_metadata_and_the_first_ones_are_at_the_root_too():
    async with client("/mcp", "/s/b/mcp") as http:
        found = {
            path: (await http.get(f"/.well-known/oauth-protected-resource{path}")).json()["resource"]
            for path in ("/mcp", "/s/b/mcp", "")
        }
        assert (await http.get("/.well-known/oauth-protected-resource/other")).status_code == 404
    assert found == {"/mcp": f"{BASE}/mcp", "/s/b/mcp": f"{BASE}/s/b/mcp", "": f"{BASE}/mcp"}


async def test_any_page_may_read_them():
    async with client("/mcp") as http:
        got = await http.get("/.well-known/oauth-protected-resource/mcp", headers={"Origin": "https://any.example"})
        asked = await http.options("/.well-known/oauth-protected-resource/mcp")
    assert got.headers["access-control-allow-origin"] == asked.headers["access-control-allow-origin"] == "*"
    assert got.headers["content-type"] == "application/json"
    assert "set-cookie" not in got.headers
    assert (asked.status_code, asked.content) == (204, b"")


@pytest.mark.promise("C23", "T22")
async def test_nothing_that_a_request_says_of_the_hub_goes_into_them():
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    async with client("/mcp") as http:
        got = await http.get("/.well-known/oauth-protected-resource/mcp", headers=headers)
    assert "evil" not in got.text
    assert got.json()["resource"] == f"{BASE}/mcp"


async def test_they_are_found_behind_a_proxy_that_takes_a_part_of_the_path_off():
    async with client("/mcp", base=f"{BASE}/tools") as http:
        for path in ("/tools/mcp", "/mcp", ""):
            got = await http.get(f"/.well-known/oauth-protected-resource{path}")
            assert got.json()["resource"] == f"{BASE}/tools/mcp"


async def test_a_hub_without_protected_endpoints_has_none():
    assert EndpointMetadata([], []).routes() == []
