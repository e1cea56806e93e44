"""How the hub becomes a client: the ways in their order, what is kept, and what is never used again."""

import asyncio
from dataclasses import replace

import pytest

from mcp_hub.oauth.connection import ConnectFailed
from mcp_hub.oauth.registering import AHEAD, configured_method, document_method
from mcp_hub.oauth.unanswered import MOST
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Source
from rig.connecting import ADA, BOB, BROWSER, connecting, visit
from rig.misbehaving_as import OMIT, UNTOLD, MisbehavingAS, broken, refusing

pytestmark = pytest.mark.promise("B17")

BACK = "http://127.0.0.1:8080/oauth/callback/gh"
PUBLIC = "https://hub.example"


@pytest.fixture
async def server():
    async with asyncio.timeout(10), MisbehavingAS() as made:
        yield made


@pytest.fixture
async def rig(server):
    async with connecting(server.resource) as made:
        server.now = made.now
        yield made


async def fails(code, awaited):
    with pytest.raises(ConnectFailed) as failed:
        await awaited
    assert failed.value.code == code
    assert UNTOLD not in failed.value.public
    return failed.value.public


async def used(rig):
    """How the hub is known now: by what, and as whom."""
    (one,) = [each for each in await rig.registrations() if each.retired_at is None]
    return one.source, one.client_id, one.auth_method


# The ways in their order


async def test_the_operators_client_id_goes_before_all(rig, server):
    server.admit("mine", redirect_uris=[BACK])
    server.say["client_id_metadata_document_supported"] = True
    await rig.start(client_id="mine", client_secret=Secret("s e/cret"))
    assert (await rig.hub.prospect(ADA, "gh")).source is Source.CONFIGURED
    await rig.connect()
    assert await used(rig) == (Source.CONFIGURED, "mine", "client_secret_basic")
    assert server.count("/register") == 0


async def test_a_document_goes_before_a_registration(rig, server):
    server.say["client_id_metadata_document_supported"] = True
    rig.base = PUBLIC
    await rig.start()
    assert (await rig.hub.prospect(ADA, "gh")).source is Source.DOCUMENT
    url = await rig.begin()
    assert "client_id=https%3A%2F%2Fhub.example%2Foauth%2Fclient%2Fgh.json" in url
    assert await used(rig) == (Source.DOCUMENT, f"{PUBLIC}/oauth/client/gh.json", "private_key_jwt")
    assert server.count("/register") == 0


async def test_the_document_fits_what_the_server_takes(rig, server):
    server.say |= {
        "client_id_metadata_document_supported": True,
        "token_endpoint_auth_methods_supported": ["none"],
    }
    rig.base = PUBLIC
    await rig.start()
    await rig.begin()
    assert await used(rig) == (Source.DOCUMENT, f"{PUBLIC}/oauth/client/gh.public.json", "none")


async def test_a_document_may_be_published_elsewhere(rig, server):
    server.say["client_id_metadata_document_supported"] = True
    await rig.start(document_url="https://elsewhere.example/hub.json")
    await rig.begin()
    assert (await used(rig))[:2] == (Source.DOCUMENT, "https://elsewhere.example/hub.json")


async def test_a_hub_that_nobody_can_fetch_from_registers_itself(rig, server):
    server.say["client_id_metadata_document_supported"] = True
    await rig.connect()
    assert (await used(rig))[0] is Source.REGISTERED
    (asked,) = [each for each in server.seen if each.path == "/register"]
    assert f'"redirect_uris":["{BACK}"]' in asked.form["json"]
    assert '"application_type":"native"' in asked.form["json"]


async def test_nothing_is_posted_where_the_server_names_no_place_for_it(rig, server):
    server.say["registration_endpoint"] = OMIT
    for awaited in (rig.hub.prospect(ADA, "gh"), rig.begin()):
        public = await fails("ask_admin", awaited)
        assert BACK in public
        assert "client_id" in public
    assert server.count("/register") == 0


async def test_a_server_that_refuses_the_hub_is_one_for_the_operator(rig, server):
    server.answers["/register"] = refusing("access_denied", 403)
    assert BACK in await fails("registration_failed", rig.begin())
    server.answers["/register"] = broken(503)
    assert "Try again" in await fails("registration_failed", rig.begin())
    assert await rig.registrations() == []


@pytest.mark.parametrize(
    ("offered", "has_secret", "method"),
    [
        (None, True, "client_secret_basic"),
        (["client_secret_post"], True, "client_secret_post"),
        (["client_secret_post", "client_secret_basic"], True, "client_secret_basic"),
        (None, False, "none"),
        (["private_key_jwt"], False, "private_key_jwt"),
        (["private_key_jwt", "none"], False, "none"),
        (["client_secret_basic"], False, "none"),
    ],
)
def test_a_configured_client_proves_itself_as_the_server_says(offered, has_secret, method):
    assert configured_method(offered, has_secret=has_secret) == method


def test_a_document_says_how_the_hub_proves_itself():
    assert [document_method(each) for each in (None, [], ["none"], ["private_key_jwt", "none"])] == [
        *("none", "none", "none", "private_key_jwt")
    ]


# What is kept


async def test_many_who_connect_at_once_register_the_hub_once(rig, server):
    urls = await asyncio.gather(*(rig.begin(replace(ADA, subject=f"user {each}")) for each in range(20)))
    assert server.count("/register") == 1
    assert len({url.split("client_id=")[1].split("&")[0] for url in urls}) == 1
    await rig.start()
    await rig.begin()
    assert server.count("/register") == 1


async def test_a_secret_that_ends_soon_is_replaced_by_a_new_registration(rig, server):
    await rig.begin()
    (first,) = await rig.registrations()
    ending = replace(first, id="ending", secret_expires_at=rig.time + 2 * AHEAD)
    await rig.store.add_registration(ending, instead_of=first.id)
    await rig.begin()
    assert (server.count("/register"), (await rig.hub.prospect(ADA, "gh")).source) == (1, Source.REGISTERED)
    rig.time += AHEAD
    assert (await rig.hub.prospect(ADA, "gh")).source is None
    await rig.begin()
    assert server.count("/register") == 2


async def test_a_client_that_the_server_forgot_is_registered_anew_by_the_next_try(rig, server):
    await rig.connect()
    (first,) = await rig.registrations()
    query = await visit(await rig.begin())
    server.forget(first.client_id)
    with pytest.raises(ConnectFailed) as failed:
        await rig.hub.finish("gh", query, ADA, BROWSER)
    assert failed.value.code == "client_refused"
    again = await rig.connect()
    assert again.registration != first.id
    assert server.count("/register") == 2


async def test_a_client_that_only_the_server_knows_to_be_forgotten_is_registered_anew(rig, server):
    """It shows its user a page of its own then, and sends nobody back."""
    await rig.connect()
    (first,) = await rig.registrations()
    server.forget(first.client_id)
    for _ in range(MOST):
        assert f"client_id={first.client_id}" in await rig.begin()
    assert f"client_id={first.client_id}" in await rig.begin(BOB)
    await rig.connect()
    assert server.count("/register") == 2


async def test_a_configured_client_that_is_refused_stays_configured(rig, server):
    server.admit("mine", redirect_uris=[BACK])
    await rig.start(client_id="mine", client_secret=Secret("wrong"))
    query = await visit(await rig.begin())
    with pytest.raises(ConnectFailed):
        await rig.hub.finish("gh", query, ADA, BROWSER)
    assert (await used(rig))[1] == "mine"


# What changes


@pytest.mark.promise("T60", "B18")
async def test_a_new_client_id_leaves_whoever_is_connected_as_they_are(rig, server):
    server.admit("old", redirect_uris=[BACK])
    server.admit("new", "other", redirect_uris=[BACK])
    await rig.start(client_id="old", client_secret=Secret("s e/cret"))
    before = await rig.connect()
    await rig.start(client_id="new", client_secret=Secret("other"))
    await rig.connect(BOB)
    assert await rig.grant() == before
    rows = {each.id: each for each in await rig.registrations()}
    assert rows[before.registration].client_id == "old"
    assert rows[before.registration].secret is not None
    rig.time += 4000
    credential = await rig.hub.access(ADA, "gh").credential()
    assert server.is_live(credential.open().decode().split("Bearer ")[1].strip())
    assert server.count("/token", grant_type="refresh_token") == 1


@pytest.mark.promise("T60", "B18")
async def test_a_new_secret_of_the_same_client_replaces_the_old_one_everywhere(rig, server):
    known = server.admit("mine", redirect_uris=[BACK])
    await rig.start(client_id="mine", client_secret=Secret("s e/cret"))
    before = await rig.connect()
    await rig.start(client_secret=Secret("rotated"))
    (row,) = await rig.registrations()
    assert row.previous_secret is not None
    rig.time += 4000
    await rig.hub.access(ADA, "gh").credential()  # the server knows only the old one yet
    known.secret = "rotated"
    rig.time += 4000
    await rig.hub.access(ADA, "gh").credential()
    assert (await rig.registrations())[0].previous_secret is None
    assert (await rig.grant()).id == before.id
    await rig.connect(BOB)


@pytest.mark.promise("T60")
async def test_a_secret_that_the_server_does_not_know_yet_connects_with_the_one_before(rig, server):
    server.admit("mine", redirect_uris=[BACK])
    await rig.start(client_id="mine", client_secret=Secret("s e/cret"))
    await rig.connect()
    await rig.start(client_secret=Secret("rotated"))
    await rig.connect(BOB)
    assert await rig.grant(BOB) is not None


@pytest.mark.promise("T49")
async def test_a_changed_server_is_sent_nothing_of_the_old_one(rig, server):
    async with MisbehavingAS(now=rig.now) as other:
        before = await rig.connect()
        server.resource_says = {"authorization_servers": [other.issuer]}
        after = await rig.connect()
        assert (before.authorization_server, after.authorization_server) == (server.issuer, other.issuer)
        first, second = (
            await rig.store.registration(before.registration),
            await rig.store.registration(after.registration),
        )
        assert first.client_id != second.client_id
        seen = repr(other.seen)
        assert first.client_id not in seen
        for each in server.seen:
            for name in ("code", "refresh_token", "client_assertion", "code_verifier"):
                assert name not in each.form or each.form[name] not in seen


@pytest.mark.promise("T49")
async def test_a_grant_is_renewed_where_it_was_given_whatever_the_upstream_says_by_now(rig, server):
    async with MisbehavingAS(now=rig.now) as other:
        await rig.connect()
        server.resource_says = {"authorization_servers": [other.issuer]}
        await rig.start()
        rig.time += 4000
        await rig.hub.access(ADA, "gh").credential()
        assert (server.count("/token", grant_type="refresh_token"), other.count("/token")) == (1, 0)


@pytest.mark.promise("T49")
async def test_a_configured_client_is_not_used_at_a_server_that_the_upstream_changes_to(rig, server):
    async with MisbehavingAS(now=rig.now) as other:
        server.admit("mine", redirect_uris=[BACK])
        await rig.start(client_id="mine", client_secret=Secret("s e/cret"))
        await rig.connect()
        server.resource_says = {"authorization_servers": [other.issuer]}
        for awaited in (rig.hub.prospect(ADA, "gh"), rig.begin()):
            assert "issuer" in await fails("issuer_changed", awaited)
        assert "mine" not in repr(other.seen)
        await rig.start(issuer=other.issuer)
        other.admit("mine", redirect_uris=[BACK])
        assert (await rig.connect()).authorization_server == other.issuer
