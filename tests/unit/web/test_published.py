"""What the hub publishes of itself as a client of others."""

import httpx2
import pytest

from mcp_hub.authserver.paths import is_open
from mcp_hub.web.frame import Frame
from mcp_hub.web.published import Published
from mcp_hub.web.site import Site

pytestmark = pytest.mark.promise("T40")
KEYS = {"keys": [{"kty": "EC", "kid": "1"}]}
DOCUMENT = {"client_id": "https://hub.example.com/oauth/client/github.json"}


class Documents:
    def client_document(self, name):
        return DOCUMENT if name == "github.json" else None

    def jwks(self):
        return KEYS


@pytest.fixture
def http():
    app = Site([Published(Documents())], Frame("9.9")).app()
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://hub.example.com")


@pytest.mark.parametrize(("path", "content"), [("/oauth/client/github.json", DOCUMENT), ("/oauth/jwks.json", KEYS)])
async def test_anybody_may_read_it_and_caches_may_keep_it(http, path, content):
    answer = await http.get(path)
    assert answer.json() == content
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "set-cookie" not in answer.headers
    assert (await http.options(path)).headers["access-control-allow-methods"] == "GET"
    assert is_open(path)


async def test_there_is_nothing_of_what_does_not_exist(http):
    for path in ("/oauth/client/other.json", "/oauth/client/", "/oauth/client/a/b"):
        assert (await http.get(path)).status_code == 404
    assert (await http.post("/oauth/jwks.json")).status_code == 405
