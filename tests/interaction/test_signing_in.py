"""Clients of other makers go from a 401 to a tool call, each in its own way, and are out once access is revoked."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from interaction.signing import Desk, Held, Known, Visit, Visitor, mcp_remote, python_sdk, typescript
from rig import client_documents, login_hub
from rig.browser import ADA, BOB, Page
from rig.client_documents import ClientDocuments
from rig.login_hub import LoginHub

pytestmark = pytest.mark.promise("C23", "F2")

TOOL = "reference__test_simple_text"
CONFIG = """\
version: 1
login: {{type: local, client_documents: [localhost]}}
clients:
  known-client:
    redirect_uris: ["http://127.0.0.1/callback", "http://localhost/oauth/callback"]
  secret-client:
    redirect_uris: ["http://127.0.0.1/callback", "http://localhost/oauth/callback"]
    secret: {secret}
network:
  allow_private: [127.0.0.0/8]
upstreams:
  reference:
    url: {upstream}
"""
SECRET = "a-secret-that-the-operator-gave-to-this-client"
DOCUMENT = "/clients/one.json"
VISITS: dict[str, Visit] = {
    "python-2.x": python_sdk("auto"),
    "python-2.x-legacy": python_sdk("legacy"),
    "typescript-2.x": typescript("2.x"),
    "typescript-1.x": typescript("1.x"),
    "mcp-remote": mcp_remote,
}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientDocuments]:
    with client_documents.serving(tmp_path_factory.mktemp("documents")) as started:
        started.publish(DOCUMENT, "http://127.0.0.1/callback", "http://localhost/oauth/callback")
        yield started


@pytest.fixture(scope="module")
def hub(reference: str, documents: ClientDocuments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginHub]:
    config = CONFIG.format(upstream=reference, secret=SECRET)
    env = {"SSL_CERT_FILE": str(documents.authority)}
    with login_hub.serving(config, tmp_path_factory.mktemp("hub"), people=[ADA, BOB], env=env) as started:
        yield started
    assert started.process.complaints() == []


@pytest.fixture(params=["document", "registered", "known", "known-with-secret"])
def known(request: pytest.FixtureRequest, documents: ClientDocuments) -> Known:
    """How the client is known to the hub."""
    ways = {
        "document": Known(document=f"{documents.origin}{DOCUMENT}"),
        "registered": Known(),
        "known": Known(id="known-client"),
        "known-with-secret": Known(id="secret-client", secret=SECRET),
    }
    return ways[request.param]


def _revoke(hub: LoginHub, held: Held, token: str) -> None:
    """As RFC 7009 says: a client names itself, and proves it if it can."""
    secret = {} if held.client_secret is None else {"client_secret": held.client_secret}
    told = {"token": token, "client_id": held.client_id, **secret}
    response = httpx2.post(f"{hub.issuer}/revoke", data=told, trust_env=False, verify=False)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("visit", VISITS.values(), ids=VISITS)
async def test_a_client_signs_in_calls_refreshes_and_is_out_when_it_is_revoked(
    visit: Visit, known: Known, hub: LoginHub, tmp_path: Path
):
    async with Desk(ADA) as desk, visit(hub.url, known, desk, tmp_path) as visitor:
        said = await visitor.call(TOOL, {})
        assert "simple text" in said
        (asked,) = desk.requests
        assert asked["resource"] == hub.url
        assert known.document is None or asked["client_id"] == known.document
        assert known.id is None or asked["client_id"] == known.id

        first = await visitor.held()
        await visitor.expire()
        _revoke(hub, first, first.access)
        assert hub.status_with(first.access).status_code == 401
        assert await visitor.call(TOOL, {}) == said
        second = await visitor.held()
        assert len(desk.requests) == 1, "a refresh asks nobody"
        assert {first.access, first.refresh}.isdisjoint({second.access, second.refresh})

        _revoke(hub, second, second.refresh)
        refused = hub.status_with(second.access)
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        assert await visitor.call(TOOL, {}) == said
        assert len(desk.requests) == 2, "nobody gets back in without the person"


@asynccontextmanager
async def _bob_is_connected(hub: LoginHub, folder: Path) -> AsyncIterator[tuple[Desk, Visitor]]:
    async with Desk(BOB) as desk, python_sdk("auto")(hub.url, Known(), desk, folder) as visitor:
        assert "simple text" in await visitor.call(TOOL, {})
        yield desk, visitor


async def test_a_client_is_out_when_its_user_revokes_it_on_the_page(hub: LoginHub, tmp_path: Path):
    async with _bob_is_connected(hub, tmp_path) as (desk, visitor):
        held = await visitor.held()
        page = await desk.browser.open(f"{hub.issuer}/account/clients")
        assert isinstance(page, Page)
        after = await desk.browser.press(page, "Revoke python")
        assert isinstance(after, Page)
        assert after.status == 200
        assert hub.status_with(held.access).status_code == 401
        assert "simple text" in await visitor.call(TOOL, {})
        assert len(desk.requests) == 2


@pytest.mark.promise("T59")
@pytest.mark.parametrize("words", [("sign-out",), ("disable",)])
async def test_a_client_is_out_when_an_operator_ends_it_by_a_command(
    words: tuple[str, ...], hub: LoginHub, tmp_path: Path
):
    async with _bob_is_connected(hub, tmp_path) as (_, visitor):
        held = await visitor.held()
        hub.command("user", *words, BOB.email)
        async with asyncio.timeout(5):  # the hub looks twice a second what other processes took away
            while (await asyncio.to_thread(hub.status_with, held.access)).status_code != 401:
                pass
    if "disable" in words:
        hub.command("user", "enable", BOB.email)
