"""Clients that register themselves, and what they learn before: over HTTP, as anybody may."""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_hub.authserver.clients import ClientKind
from mcp_hub.identity.limits import Limit
from mcp_hub.identity.tokens import digest
from rig.authorizing import ISSUER, Front, front

pytestmark = pytest.mark.promise("C24")
SECRETS = ("client_secret_basic", "client_secret_post")


@pytest.fixture
async def hub() -> AsyncIterator[Front]:
    async with front() as running:
        yield running


def client(hub: Front) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=hub.http, base_url=ISSUER)


async def rows(hub: Front) -> int:
    return await hub.store._file.read(lambda db: int(db.execute("SELECT count(*) FROM clients").fetchone()[0]))


async def test_a_public_client_is_registered_as_it_said(hub: Front):
    response = await hub.register(
        client_name="  VS\x00 Code\n",
        redirect_uris=["http://127.0.0.1/", "https://vscode.dev/redirect"],
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        response_types=["code"],
        application_type="native",
        software_id="x",
        made_up={"deep": [1]},
    )
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == "*"
    told = response.json()
    found = await hub.clients.find(told.pop("client_id"), may_fetch=False)
    assert told == {
        "client_id_issued_at": 1_000_000,
        "client_name": "VS Code",
        "redirect_uris": ["http://127.0.0.1/", "https://vscode.dev/redirect"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
    }
    assert found is not None
    assert (found.kind, found.name, found.secret, found.may_refresh) == (ClientKind.REGISTERED, "VS Code", None, True)
    assert await hub.kinds() == [("client_registered", "ok")]


@pytest.mark.parametrize("method", [None, *SECRETS])
async def test_a_secret_is_told_once_and_kept_as_a_digest(hub: Front, method):
    told = (await hub.register(token_endpoint_auth_method=method)).json()
    assert told["token_endpoint_auth_method"] == (method or "client_secret_basic")
    assert told["client_secret_expires_at"] == 0
    found = await hub.clients.find(told["client_id"], may_fetch=False)
    assert found is not None
    assert found.secret == digest(told["client_secret"])
    row = await hub.store.client(told["client_id"])
    assert row is not None
    assert told["client_secret"].encode() not in row.metadata


async def test_a_client_that_signs_is_registered_with_its_keys(hub: Front):
    told = (
        await hub.register(token_endpoint_auth_method="private_key_jwt", jwks_uri="https://app.example/keys")
    ).json()
    assert "client_secret" not in told
    assert told["jwks_uri"] == "https://app.example/keys"
    found = await hub.clients.find(told["client_id"], may_fetch=False)
    assert found is not None
    assert found.details.jwks_url == "https://app.example/keys"


@pytest.mark.promise("T41", "T42")
@pytest.mark.parametrize(
    "uris",
    [
        None,
        [],
        "",
        ["https://app.example/cb"] * 11,
        ["https://app.example/cb", "javascript:alert(1)"],
        ["data:text/html,<script>alert(1)</script>"],
        ["vbscript:alert(1)"],
        ["file:///etc/passwd"],
        ["about:blank"],
        ["blob:https://app.example/x"],
        ["http://app.example/cb"],
        ["http://localhost@evil.example/cb"],
        ["https://app.example/cb#alert"],
        ["https://user@app.example/cb"],
        ["https://*.app.example/cb"],
        ["app:/alert"],
        ["https://app.example/" + "alert" * 500],
        ["https://app.example/\n"],
        ["https://bücher.example/cb"],
    ],
)
async def test_an_address_that_is_not_safe_is_refused_with_the_error_for_it(hub: Front, uris):
    response = await hub.register(redirect_uris=uris)
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_redirect_uri"
    assert "alert" not in response.text
    assert await rows(hub) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect_uris": "https://app.example/alert"},
        {"redirect_uris": ["https://app.example/cb", 7]},
        {"redirect_uris": {"alert": 1}},
        {"client_name": {"alert": 1}},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["urn:ietf:params:oauth:grant-type:jwt-bearer"]},
        {"grant_types": "authorization_code"},
        {"response_types": ["token"]},
        {"token_endpoint_auth_method": "alert"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": []},
        {"application_type": "alert"},
        {"client_uri": "http://app.example/alert"},
        {"logo_uri": "javascript:alert(1)"},
        {"tos_uri": 7},
        {"policy_uri": "https://ada@app.example/alert"},
        {"jwks_uri": "https://app.example/" + "alert" * 500},
        {"jwks": {"keys": [{"kty": "RSA", "d": "alert"}]}},
        {"jwks": {"keys": [{"kty": ["alert"]}]}},
        {"jwks": {"keys": [{"kty": {}}]}},
        {"jwks": {"keys": ["alert"]}},
        {"jwks": "alert"},
        {"jwks": {"keys": [{"kty": "RSA", "n": "alert" * 2000}]}},
    ],
)
async def test_metadata_that_cannot_be_taken_is_refused_with_the_error_for_it(hub: Front, wrong):
    response = await hub.register(**wrong)
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_client_metadata"
    assert "alert" not in response.text
    assert await rows(hub) == 0


async def test_the_scheme_of_an_app_is_for_native_clients(hub: Front):
    uri = "cursor://anysphere.cursor-mcp/oauth/callback"
    assert (await hub.register(redirect_uris=[uri])).json()["application_type"] == "native"
    assert (await hub.register(redirect_uris=[uri], application_type="native")).status_code == 201
    assert (await hub.register(redirect_uris=[uri], application_type="web")).json()["error"] == "invalid_redirect_uri"


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b'{"redirect_uris": ["https://a.example/\\ud800"]}', "application/json", 400),
        (b"{}", "text/plain", 400),
        (b"redirect_uris=x", "application/x-www-form-urlencoded", 400),
        (b" " * 65_537, "application/json", 413),
    ],
)
async def test_what_is_no_registration_is_refused(hub: Front, body, media, status):
    async with client(hub) as http:
        response = await http.post("/register", content=body, headers={"Content-Type": media})
    assert response.status_code == status
    assert response.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["code", "none", "https://a.example/cb"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = (
    *("redirect_uris", "client_name", "grant_types", "response_types", "token_endpoint_auth_method"),
    *("application_type", "jwks", "jwks_uri", "logo_uri", "scope"),
)


@pytest.mark.promise("T25")
@settings(max_examples=80, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)), st.booleans())
async def test_whatever_is_said_is_taken_or_refused(said, good_redirect):
    if good_redirect:
        said["redirect_uris"] = ["https://a.example/cb"]
    async with front() as hub, client(hub) as http:
        body = json.dumps(said).encode()
        response = await http.post("/register", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in (201, 400)
        assert response.status_code == 201 or set(response.json()) == {"error", "error_description"}
        assert await rows(hub) == (response.status_code == 201)


@pytest.mark.promise("T53")
async def test_ten_thousand_registrations_from_one_address_leave_few():
    async with front(limits={Limit.REGISTER: "30 per hour"}) as hub, client(hub) as http:
        metadata = {"redirect_uris": ["https://evil.example/cb"]}
        statuses = [(await http.post("/register", json=metadata)).status_code for _ in range(10_000)]
        assert statuses.count(201) == 30
        assert statuses.count(429) == 9_970
        refused = await http.post("/register", json=metadata)
        assert refused.headers["retry-after"] == "3600"
        assert refused.json()["error"] == "temporarily_unavailable"
        assert await rows(hub) == 30
        hub.clock.at += 3600
        assert (await http.post("/register", json=metadata)).status_code == 201


@pytest.mark.promise("T53")
async def test_from_however_many_addresses_there_is_an_end_until_the_unused_are_forgotten():
    async with front(most=20) as hub:
        statuses = [(await hub.register()).status_code for _ in range(40)]
        assert (statuses.count(201), statuses.count(429)) == (20, 20)
        assert await rows(hub) == 20
        hub.clock.at += 86_400
        assert (await hub.register()).status_code == 201
        assert await rows(hub) == 1
        assert ("client_registered", "too_many") in await hub.kinds()


async def test_the_metadata_says_what_is_built(hub: Front):
    async with client(hub) as http:
        response = await http.get("/.well-known/oauth-authorization-server")
    said = response.json()
    assert response.headers["access-control-allow-origin"] == "*"
    assert said["issuer"] == ISSUER
    for endpoint in ("authorization", "token", "registration", "revocation"):
        assert said[f"{endpoint}_endpoint"].startswith(f"{ISSUER}/")
        assert said[f"{endpoint}_endpoint"].count("//") == 1
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["authorization_response_iss_parameter_supported"] is True
    assert said["client_id_metadata_document_supported"] is True
    assert "none" in said["token_endpoint_auth_methods_supported"]


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/mcp",
    ],
)
async def test_where_clients_look_as_well_there_is_nothing_and_pages_may_read_that(hub: Front, path):
    async with client(hub) as http:
        response = await http.get(path)
    assert response.status_code == 404
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("path", "method"), [("/register", "POST"), ("/.well-known/oauth-authorization-server", "GET")]
)
async def test_pages_of_other_sites_may_ask_these_addresses_and_not_the_question(hub: Front, path, method):
    asked = {"Origin": "https://inspector.example", "Access-Control-Request-Method": method}
    async with client(hub) as http:
        allowed = await http.options(path, headers=asked)
        refused = await http.options("/authorize", headers=asked)
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert method in allowed.headers["access-control-allow-methods"]
    assert "content-type" in allowed.headers["access-control-allow-headers"]
    assert refused.status_code == 405
    assert "access-control-allow-origin" not in refused.headers
