"""Clients show who they are: in one way, with what is theirs, and an assertion only once."""

import asyncio
from base64 import b64encode
from contextlib import AsyncExitStack
from urllib.parse import quote

import pytest

from mcp_hub.authserver.client_auth import ASSERTION_TYPE, shown
from mcp_hub.authserver.errors import OAuthError
from mcp_hub.egress.fetch import FetchFailed
from mcp_hub.identity.tokens import digest
from mcp_hub.store.grants import RegisteredClient
from rig.signing import confused, jwks, key_pair, sign, unsigned
from rig.token_service import DOCUMENT, ISSUER, KEYS, SECRET, Clock, Service, service

KEY = key_pair("signer")


def basic(user: str, password: str, *, encode: bool = True) -> str:
    said = f"{quote(user, safe='')}:{quote(password, safe='')}" if encode else f"{user}:{password}"
    return f"Basic {b64encode(said.encode()).decode()}"


def claims(clock: Clock, **changes) -> dict:
    usual = {"iss": "signer", "sub": "signer", "aud": ISSUER, "jti": "1", "iat": clock.at, "exp": clock.at + 300}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


async def assert_known(hub: Service, *, status: int = 400, headers=None, **form: str) -> dict:
    """Whoever is known is told that the code is not; others are told that they are not."""
    answer = await hub.post("/token", headers, grant_type="authorization_code", code="unknown", **form)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] == {400: "invalid_grant", 401: "invalid_client"}.get(status, answer.json()["error"])
    return {"challenge": answer.headers.get("www-authenticate"), **answer.json()}


async def asserted(hub: Service, token: str, *, status: int, **form: str) -> dict:
    return await assert_known(hub, status=status, client_assertion=token, client_assertion_type=ASSERTION_TYPE, **form)


@pytest.mark.promise("C24")
@pytest.mark.parametrize(
    ("form", "headers", "error"),
    [
        ({}, [], "invalid_client"),
        ({"client_secret": "x"}, [], "invalid_client"),
        ({"client_id": "a"}, ["Basic YTpi", "Basic YTpi"], "invalid_request"),
        ({"client_id": "a", "client_secret": "b"}, ["Basic YTpi"], "invalid_request"),
        ({"client_assertion": "x", "client_secret": "b"}, [], "invalid_request"),
        ({"client_assertion": "x"}, ["Basic YTpi"], "invalid_request"),
        ({"client_id": "b"}, ["Basic YTpi"], "invalid_request"),
        ({}, ["Bearer abc"], "invalid_client"),
        ({}, ["Basic"], "invalid_client"),
        ({}, ["Basic !!!"], "invalid_client"),
        ({}, ["Basic YTpi\u00e4"], "invalid_client"),
        ({}, [f"Basic {b64encode(b'no colon').decode()}"], "invalid_client"),
        ({}, [f"Basic {b64encode(bytes([255, 58, 255])).decode()}"], "invalid_client"),
        ({}, [f"Basic {b64encode(b'a%zz:b').decode()}"], "invalid_client"),
        ({"client_assertion": "x.y.z", "client_assertion_type": ASSERTION_TYPE}, [], "invalid_client"),
        ({"client_assertion": "", "client_assertion_type": ASSERTION_TYPE}, [], "invalid_client"),
        ({"client_assertion": "a.W10.b", "client_assertion_type": ASSERTION_TYPE}, [], "invalid_client"),
        ({"client_assertion": "x.y.z", "client_assertion_type": "saml2"}, [], "invalid_request"),
        ({"client_assertion": "x.y.z"}, [], "invalid_request"),
    ],
)
def test_what_shows_nobody_or_more_than_one_thing_is_refused(form, headers, error):
    with pytest.raises(OAuthError) as refused:
        shown(form, headers)
    assert refused.value.code == error
    assert bool(refused.value.challenge) == (error == "invalid_client" and bool(headers))


@pytest.mark.promise("C24")
async def test_a_public_client_names_itself_and_nothing_more():
    async with service() as hub:
        await assert_known(hub, client_id="app")
        await assert_known(hub, client_id="app", client_secret="")
        await assert_known(hub, client_id="app", client_secret="guess", status=401)
        await assert_known(hub, headers={"Authorization": basic("app", "")}, status=401)
        await assert_known(hub, client_id="nobody", status=401)


@pytest.mark.promise("C24")
@pytest.mark.parametrize("encode", [True, False], ids=["encoded", "as it is"])
async def test_a_secret_comes_in_the_header_or_in_the_body(encode):
    async with service() as hub:
        await assert_known(hub, headers={"Authorization": basic("kept", SECRET, encode=encode)})
        await assert_known(hub, headers={"Authorization": basic("kept", SECRET)}, client_id="kept")
        await assert_known(hub, client_id="kept", client_secret=SECRET)


@pytest.mark.promise("C24")
@pytest.mark.parametrize("secret", ["", "s3cret", SECRET + "x", digest(SECRET).hex(), "m4chine"])
async def test_a_wrong_secret_is_refused_and_the_header_is_asked_for_where_it_was_used(secret):
    async with service() as hub:
        told = await assert_known(hub, headers={"Authorization": basic("kept", secret)}, status=401)
        assert told["challenge"].startswith("Basic ")
        told = await assert_known(hub, client_id="kept", client_secret=secret, status=401)
        assert told["challenge"] is None
        assert SECRET not in str(told)
        assert ("client_refused", "invalid_client") in await hub.kinds()


@pytest.mark.promise("C24")
async def test_a_client_that_registered_itself_is_known_by_its_secret_until_it_expires():
    async with service() as hub:
        metadata = b'{"name":"","redirect_uris":[],"auth_method":"client_secret_post"}'
        row = RegisteredClient("c-1", "default", digest("own"), metadata, 0.0, None, hub.clock.at + 10.0)
        await hub.store.add_client(row, most=5)
        await assert_known(hub, client_id="c-1", client_secret="own")
        await assert_known(hub, client_id="c-1", client_secret="wrong", status=401)
        await assert_known(hub, client_id="c-1", status=401)
        hub.clock.at += 10.0
        await assert_known(hub, client_id="c-1", client_secret="own", status=401)


@pytest.mark.promise("C24")
@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/token", [ISSUER]])
@pytest.mark.parametrize("named", [True, False])
async def test_a_client_signs_an_assertion_for_this_hub(audience, named):
    async with service() as hub:
        token = sign(claims(hub.clock, aud=audience), KEY)
        await asserted(hub, token, status=400, **({"client_id": "signer"} if named else {}))


@pytest.mark.promise("T54", "T14")
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example"},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": f"{ISSUER}/"},
        {"aud": None},
        {"iss": "app"},
        {"iss": None},
        {"sub": "kept"},
        {"jti": None},
        {"jti": 7},
        {"exp": None},
        {"exp": "later"},
        {"exp": 10**400},
        {"exp": 1e300},
        {"iat": -(10**400)},
    ],
    ids=str,
)
async def test_an_assertion_for_somebody_else_of_somebody_else_or_for_ever_is_refused(changes):
    async with service() as hub:
        await asserted(hub, sign(claims(hub.clock, **changes), KEY), status=401, client_id="signer")


@pytest.mark.promise("T56")
async def test_a_forged_assertion_is_refused():
    async with service() as hub:
        said = claims(hub.clock)
        stranger = key_pair("stranger")
        forged = [
            unsigned(said),
            unsigned(said, "None"),
            confused(said, KEY),
            sign(said, stranger),
            sign(said, stranger, kid="signer"),
            sign(said, stranger, jwk=stranger.as_dict(private=False)),
            sign(said, KEY)[:-4] + "AAAA",
            sign(said, KEY, typ="at+jwt"),
        ]
        for token in forged:
            await asserted(hub, token, status=401, client_id="signer")
        await asserted(hub, sign(said, KEY, typ="JWT"), status=400)


@pytest.mark.promise("T54")
async def test_an_assertion_is_good_once_as_long_as_it_would_be_taken():
    async with service() as hub:
        token = sign(claims(hub.clock), KEY)
        await asserted(hub, token, status=400)
        for later in (0.0, 299.0, 60.0, 0.5):
            hub.clock.at += later
            told = await asserted(hub, token, status=401)
            assert "used before" in told["error_description"]
        hub.clock.at += 10.0
        told = await asserted(hub, token, status=401)
        assert "expired" in told["error_description"]


@pytest.mark.promise("T54")
async def test_of_many_who_send_one_assertion_to_two_processes_one_is_known(tmp_path):
    async with AsyncExitStack() as stack:
        clock = Clock()
        hubs = [await stack.enter_async_context(service(tmp_path / "hub.db", clock=clock)) for _ in range(2)]
        token = sign(claims(clock), KEY)
        form = {"client_assertion": token, "client_assertion_type": ASSERTION_TYPE, "code": "x"}
        form["grant_type"] = "authorization_code"
        answers = await asyncio.gather(*(hubs[n % 2].post("/token", **form) for n in range(20)))
        assert sorted(answer.json()["error"] for answer in answers) == ["invalid_client"] * 19 + ["invalid_grant"]


@pytest.mark.promise("T54")
async def test_the_same_id_of_two_assertions_is_one():
    async with service() as hub:
        await asserted(hub, sign(claims(hub.clock), KEY), status=400)
        await asserted(hub, sign(claims(hub.clock, exp=hub.clock.at + 100), KEY), status=401)
        await asserted(hub, sign(claims(hub.clock, jti="2"), KEY), status=400)


@pytest.mark.promise("T55")
@pytest.mark.parametrize(
    ("off", "status"), [(0, 400), (50, 400), (-50, 400), (-350, 400), (120, 401), (-420, 401)], ids=str
)
async def test_the_clock_of_a_client_may_differ_by_a_minute(off, status):
    async with service() as hub:
        at = hub.clock.at + off
        await asserted(hub, sign(claims(hub.clock, iat=at, exp=at + 300), KEY), status=status)


@pytest.mark.promise("T55")
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"iat": None}, 400),
        ({"iat": None, "exp": 1_000_361.0}, 401),
        ({"exp": 1_000_301.0}, 401),
        ({"iat": 999_990.0, "exp": 1_000_291.0}, 401),
        ({"nbf": 1_000_120.0}, 401),
    ],
    ids=str,
)
async def test_an_assertion_is_not_good_for_longer_than_five_minutes(changes, status):
    async with service() as hub:
        await asserted(hub, sign(claims(hub.clock, **changes), KEY), status=status)


@pytest.mark.promise("C24")
async def test_keys_that_cannot_be_had_are_the_hubs_trouble_and_not_the_clients_fault():
    async with service() as hub:
        hub.web.put(KEYS, FetchFailed("signer.example did not answer"))
        told = await asserted(hub, sign(claims(hub.clock), KEY), status=503)
        assert told["error"] == "temporarily_unavailable"
        assert "signer" not in told["error_description"]


@pytest.mark.promise("C24")
async def test_a_client_that_signs_is_not_known_by_its_name_or_a_secret():
    async with service() as hub:
        await assert_known(hub, client_id="signer", status=401)
        await assert_known(hub, client_id="signer", client_secret="guess", status=401)


@pytest.mark.promise("C24")
async def test_a_client_with_a_document_signs_with_the_keys_of_its_document():
    async with service() as hub:
        own = key_pair("own")
        hub.web.publish(token_endpoint_auth_method="private_key_jwt", jwks=jwks(own))
        said = claims(hub.clock, iss=DOCUMENT, sub=DOCUMENT)
        code = await hub.code(DOCUMENT)
        form = {"client_id": DOCUMENT, "client_assertion_type": ASSERTION_TYPE}
        refused = await hub.redeem(code, **form, client_assertion=sign(said, KEY))
        assert refused.json()["error"] == "invalid_client"
        assert (await hub.redeem(code, **form, client_assertion=sign(said, own))).status_code == 200
