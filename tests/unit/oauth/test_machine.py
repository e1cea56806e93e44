"""The hub as itself: one token for all callers, from the server that the operator named and from no other."""

import asyncio
import logging

import pytest
from joserfc.jwk import ECKey

from mcp_hub.config.model import ClientCredentials
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import GuardedFetch
from mcp_hub.errors import RefusedCredential, Unreachable
from mcp_hub.oauth.lasting import MOST_REPLACED
from mcp_hub.oauth.machine import Service
from mcp_hub.secret import Secret
from rig.client_checks import Known
from rig.granted import Clock, refusal, token_in
from rig.misbehaving_as import OMIT, UNTOLD, Answer, MisbehavingAS, Slow, broken, redirecting, refusing
from rig.parts import LOOPBACK

pytestmark = pytest.mark.promise("B21")

URL = "https://Billing.example:443/mcp/"
KEY = ECKey.generate_key("P-256")
PEM = Secret(KEY.as_pem(private=True).decode())


@pytest.fixture
async def server():
    async with MisbehavingAS() as running:
        running.admit("hub")
        yield running


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def make(server, clock):
    """Makes accesses as they are configured."""
    fetch, made = GuardedFetch(Dialer(allow_private=LOOPBACK)), []

    def service(**said):
        told = ClientCredentials(**{"issuer": server.issuer, "client_id": "hub", **said})
        made.append(Service("billing", "Billing", URL, told, fetch=fetch, now=clock))
        return made[-1]

    yield service
    for each in made:
        await each.aclose()
    await fetch.aclose()


@pytest.fixture
def access(make):
    return make(client_secret=Secret("s e/cret"), scopes=("read",))


async def test_one_token_is_got_for_all_and_kept(server, clock, access):
    slow = Slow()
    server.answers["/token"] = slow
    assert access.ready() is None
    asking = [asyncio.ensure_future(access.credential()) for _ in range(10)]
    await asyncio.wait_for(slow.came.wait(), 5)
    asking[0].cancel()
    slow.go.set()
    got = await asyncio.wait_for(asyncio.gather(*asking[1:]), 5)
    assert len(set(got)) == 1
    clock.at += 3200
    assert access.ready() is got[0]
    assert server.is_live(token_in(got[0]))
    assert server.seen[-1].form == {
        "grant_type": "client_credentials",
        "scope": "read",
        "resource": "https://billing.example/mcp",
    }
    assert server.count("/token") == 1


async def test_it_is_renewed_ahead_and_used_on_while_that_fails(server, clock, access):
    first = await access.credential()
    clock.at += 3300
    server.answers["/token"] = Answer(503, {})
    assert await access.credential() is first
    assert await access.credential() is first
    assert server.count("/token") == 2  # there is a pause first
    clock.at += 6
    server.answers.clear()
    second = await access.credential()
    assert token_in(second) != token_in(first)


async def test_a_signed_assertion_takes_the_place_of_a_secret(server, make):
    server.clients["hub"] = Known(method="private_key_jwt", keys={"keys": [KEY.as_dict(private=False)]})
    credential = await make(private_key=PEM).credential()
    assert server.is_live(token_in(credential))
    assert "client_secret" not in server.seen[-1].form


async def test_a_secret_goes_into_the_form_where_nothing_else_is_taken(server, make):
    server.clients["hub"].method = "client_secret_post"
    server.say["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    assert await make(client_secret=Secret("s e/cret"), resource="").credential()
    assert "resource" not in server.seen[-1].form
    assert "authorization" not in server.seen[-1].headers


async def test_a_configured_address_needs_no_metadata(server, make):
    server.answers["/.well-known/oauth-authorization-server"] = Answer(500, {})
    told = {"token_url": server.token_endpoint, "client_secret": Secret("s e/cret"), "resource": "urn:x"}
    await make(**told).credential()
    assert server.seen[-1].form["resource"] == "urn:x"
    assert len(server.seen) == 1


@pytest.mark.promise("T50")
async def test_what_the_upstream_says_of_its_server_decides_nothing(server, access):
    """Attacks by metadata: the upstream names a server that collects secrets."""
    async with MisbehavingAS() as evil:
        lure = f'Bearer resource_metadata="{evil.issuer}/.well-known/oauth-protected-resource/mcp"'
        first = await access.credential()
        second = await access.refused(first, refusal(401, lure))
        assert token_in(second) != token_in(first)
        assert evil.seen == []
    assert server.count("/.well-known/oauth-protected-resource/mcp") == 0


@pytest.mark.promise("T50")
async def test_metadata_of_another_issuer_get_no_secret(server, make):
    async with MisbehavingAS() as evil:
        for said in (
            {"issuer": evil.issuer, "token_endpoint": evil.token_endpoint},
            {"issuer": server.issuer + "/", "token_endpoint": evil.token_endpoint},
            {"token_endpoint": "ftp://x"},
            {"token_endpoint": OMIT},
        ):
            server.say = dict(said)
            with pytest.raises(Unreachable):
                await make(client_secret=Secret("s e/cret")).credential()
        assert evil.seen == []


@pytest.mark.promise("B19")
async def test_a_refused_token_is_replaced_once_for_all_whom_it_was_refused(server, clock, access):
    used = await access.credential()
    others = await asyncio.gather(*(access.refused(used, refusal()) for _ in range(5)))
    assert len({token_in(each) for each in others}) == 1
    assert server.count("/token") == 2
    with pytest.raises(RefusedCredential):
        await access.refused(others[0], refusal())  # the second refusal of one request costs no third token
    assert server.count("/token") == 2
    told = refusal(403)
    with pytest.raises(RefusedCredential):
        await access.refused(others[0], told)


async def test_an_upstream_that_refuses_everything_does_not_decide_how_often_the_server_is_asked(server, access):
    for _ in range(MOST_REPLACED):
        await access.refused(await access.credential(), refusal())
    last = await access.credential()
    with pytest.raises(RefusedCredential):
        await access.refused(last, refusal())
    assert server.count("/token") == 1 + MOST_REPLACED


@pytest.mark.parametrize(
    ("answer", "turn"),
    [
        (refusing("invalid_client", 401), "administrator"),
        (refusing("invalid_scope"), "administrator"),
        (Answer(500, {}), "Try again"),
        (broken(), "Try again"),
        (redirecting("http://127.0.0.1:1/"), "Try again"),
        (Answer(200, {"access_token": "x", "token_type": "mac"}), "Try again"),
    ],
)
@pytest.mark.promise("T31")
async def test_what_goes_wrong_is_said_without_a_secret(server, access, caplog, answer, turn):
    caplog.set_level(logging.DEBUG)
    server.answers["/token"] = answer
    with pytest.raises(Unreachable, match=turn) as away:
        await access.credential()
    assert away.value.upstream == "billing"
    for text in (away.value.public, caplog.text, repr(access)):
        assert UNTOLD not in text
        assert "s e/cret" not in text
        assert "s+e%2Fcret" not in text


async def test_a_key_that_is_no_good_is_said_and_not_repeated(make):
    with pytest.raises(Unreachable, match="no private key") as away:
        await make(private_key=Secret("canary")).credential()
    assert "canary" not in away.value.public


async def test_it_tells_of_no_changes(access):
    access.watch(lambda: None)()
