"""Addresses that strangers give the hub: none leads into a network that is open for upstreams alone.

The hub of these tests may reach upstreams on loopback, so all that keeps a stranger's address from a listener there is
whose address it is.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from joserfc import jwk, jwt

from rig import client_documents, login_hub
from rig.browser import ADA, Browser, Page, sign_in
from rig.client_documents import ClientDocuments
from rig.login_hub import LoginHub
from rig.oauth_client import REDIRECT, OAuthClient

pytestmark = pytest.mark.promise("T3")

CONFIG = """\
version: 1
login:
  type: local
  client_documents: {documents}
clients:
  chosen:
    redirect_uris: ["{redirect}"]
    jwks_url: https://{canary}/keys
network:
  allow_private: [127.0.0.0/8]
"""
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY = jwk.ECKey.generate_key("P-256", {"kid": "1"})


@dataclass
class Canary:
    """A listener on loopback. `hits` are the connections so far, whatever they were for."""

    port: int
    hits: list[object] = field(default_factory=list)


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    def hit(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.hits.append(1)
        writer.close()

    server = await asyncio.start_server(hit, "127.0.0.1", 0)
    made = Canary(server.sockets[0].getsockname()[1])
    async with server:
        yield made


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientDocuments]:
    with client_documents.serving(tmp_path_factory.mktemp("documents")) as served:
        yield served


@pytest.fixture
async def hub(request: pytest.FixtureRequest, canary: Canary, documents: ClientDocuments, tmp_path: Path):
    config = CONFIG.format(documents=request.param, redirect=REDIRECT, canary=f"127.0.0.1:{canary.port}")
    env = {"SSL_CERT_FILE": str(documents.authority)}
    started = login_hub.serving(config, tmp_path, people=[ADA], env=env)
    running = await asyncio.to_thread(started.__enter__)
    yield running
    await asyncio.to_thread(started.__exit__, None, None, None)
    assert running.process.complaints() == []


def _proof(client: str, issuer: str) -> dict[str, str]:
    """What a client with a key of its own shows; nobody finds that key where it says."""
    now = int(time.time())
    claims = {"iss": client, "sub": client, "aud": issuer, "iat": now, "exp": now + 60, "jti": f"{client}{now}"}
    assertion = jwt.encode({"alg": "ES256", "kid": "1"}, claims, KEY)
    return {"client_assertion_type": JWT_BEARER, "client_assertion": assertion}


async def _asks_with_a_key(client: OAuthClient, code: str = "none") -> httpx2.Response:
    return await client.redeem(code, **_proof(client.id, client.issuer))


PLACES = ["127.0.0.1", "localhost", "2130706433", "127.1", "[::ffff:127.0.0.1]", "[::1]"]


@pytest.mark.promise("T2", "T6")
@pytest.mark.parametrize("hub", ["any"], indirect=True)
async def test_neither_a_document_nor_a_client_that_registers_itself_leads_inside(hub: LoginHub, canary: Canary):
    await _documents_lead_nowhere(hub, canary)
    async with OAuthClient(hub.issuer, "chosen") as client:
        for place in PLACES:
            url = f"https://{place}:{canary.port}/keys"
            told = {
                "redirect_uris": [REDIRECT],
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks_uri": url,
                "logo_uri": url,
                "client_uri": url,
            }
            registered = await client.http.post(f"{hub.issuer}/register", json=told)
            if registered.status_code == 201:
                client.id = registered.json()["client_id"]
                refused = await _asks_with_a_key(client)
                assert refused.json()["error"] in ("invalid_client", "temporarily_unavailable")
                assert str(canary.port) not in refused.text
        assert canary.hits == []
        client.id = "chosen"
        await _asks_with_a_key(client)
        assert canary.hits, "the operator's own choice is dialed: the listener works"


async def _documents_lead_nowhere(hub: LoginHub, canary: Canary) -> None:
    async with Browser() as browser, OAuthClient(hub.issuer, "") as client:
        await sign_in(browser, f"{hub.issuer}/login", ADA)
        for place in PLACES:
            client.id = f"https://{place}:{canary.port}/c.json"
            page = await browser.open(client.request())
            assert isinstance(page, Page)
            assert page.status == 400
    assert canary.hits == []


@pytest.mark.parametrize("hub", ["[localhost]"], indirect=True)
async def test_a_document_of_a_host_that_is_taken_leads_to_that_host_and_no_other(
    hub: LoginHub, canary: Canary, documents: ClientDocuments
):
    proven = {"token_endpoint_auth_method": "private_key_jwt"}
    elsewhere = f"https://127.0.0.1:{canary.port}/keys"
    documents.documents["/keys"] = {"keys": [KEY.as_dict(private=False)]}
    own = documents.publish("/own.json", REDIRECT, **proven, jwks_uri=f"{documents.origin}/keys")
    other = documents.publish("/other.json", REDIRECT, **proven, jwks_uri=elsewhere)
    async with Browser() as browser:
        async with OAuthClient(hub.issuer, other) as client:
            refused = await _asks_with_a_key(client, await client.code(ADA, browser))
            assert refused.status_code == 503
            assert canary.hits == []
        async with OAuthClient(hub.issuer, own) as client:
            assert (await _asks_with_a_key(client, await client.code(ADA, browser))).status_code == 200
