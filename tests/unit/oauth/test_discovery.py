"""Where an upstream's users sign in: at honest servers, and at ones that lie, fail, or lead elsewhere."""

import asyncio
import json
from ipaddress import ip_network

import pytest

from mcp_hub.config.model import OAuth
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import Document, FetchFailed, GuardedFetch
from mcp_hub.oauth.discovery import (
    RESOURCE_KEPT,
    SERVER_KEPT,
    Discovery,
    DiscoveryFailed,
    NotOffered,
    Target,
)
from mcp_hub.oauth.server import Found
from rig.places import Places, Said

pytestmark = pytest.mark.promise("B15")

URL = "https://mcp.example/a/mcp"
AS, OTHER = "https://as.example/t1", "https://other.example"
PRM = "https://mcp.example/.well-known/oauth-protected-resource"
AT_PATH = f"{PRM}/a/mcp"
OAUTH, INSERTED, APPENDED = (
    "https://as.example/.well-known/oauth-authorization-server/t1",
    "https://as.example/.well-known/openid-configuration/t1",
    "https://as.example/t1/.well-known/openid-configuration",
)
OLDER = "https://mcp.example/.well-known/oauth-authorization-server"
RESOURCE = {"resource": URL, "authorization_servers": [AS, OTHER], "scopes_supported": ["read", "write"]}
BEARER = ('Bearer error="invalid_token"',)


def server_of(issuer=AS, **say):
    said = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "registration_endpoint": f"{issuer}/register",
        "revocation_endpoint": f"{issuer}/revoke",
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        **say,
    }
    return {name: each for name, each in said.items() if each is not None}


class World:
    """The internet, in memory, and what was asked of it. `knock` is what the upstream says without a credential."""

    def __init__(self):
        self.time = 1000.0
        self.pages = {}
        self.asked = []
        self.headers = []
        self.knocks = 0
        self.knock = Document(401, {"www-authenticate": "Bearer"}, b"")
        self.discovery = Discovery(self, lambda: self.time)

    def put(self, url, document, status=200, **headers):
        self.pages[url] = Document(
            status, headers, document if isinstance(document, bytes) else json.dumps(document).encode()
        )

    async def get(self, url, *, headers=None, most=0, seconds=0):
        self.asked.append(url)
        self.headers.append(headers)
        page = self.pages.get(url, Document(404, {}, b"nothing"))
        if isinstance(page, asyncio.Event):
            await page.wait()
        if isinstance(page, FetchFailed):
            raise page
        return page

    async def post(self, url, form, *, headers=None, most=0, seconds=0):
        raise AssertionError("nothing is posted while it is found out")

    async def post_json(self, url, body, *, headers=None, most=0, seconds=0):
        assert url == URL
        assert "authorization" not in {name.lower() for name in headers}
        self.knocks += 1
        if isinstance(self.knock, FetchFailed):
            raise self.knock
        return self.knock

    async def find(self, said=None, *, expected=True, challenges=BEARER, **options):
        target = Target("gh", URL, said or OAuth(), expected=expected)
        return await self.discovery.find(target, challenges=challenges, **options)

    async def fails(self, code, **options):
        outcome = await self.find(**options)
        assert isinstance(outcome, DiscoveryFailed), outcome
        assert (outcome.code, "gh" in outcome.public) == (code, True)
        return outcome


@pytest.fixture
async def world():
    async with asyncio.timeout(5):
        made = World()
        yield made
        await made.discovery.aclose()


@pytest.fixture
def honest(world):
    world.put(AT_PATH, RESOURCE)
    world.put(OAUTH, server_of())
    return world


# The metadata of the resource


async def test_an_upstream_that_says_where_is_asked_there_and_nowhere_else(honest):
    honest.put("https://mcp.example/meta", {**RESOURCE, "scopes_supported": ["x"]})
    found = await honest.find(challenges=('Bearer resource_metadata="https://mcp.example/meta", scope="b a"',))
    assert isinstance(found, Found)
    assert (found.resource, found.scopes, found.server.issuer) == (URL, ("b", "a"), AS)
    assert honest.asked == ["https://mcp.example/meta", OAUTH]
    assert [step.ok for step in found.trace] == [True] * len(found.trace)


async def test_the_place_with_the_path_is_enough(honest):
    found = await honest.find()
    assert honest.asked == [AT_PATH, OAUTH]
    assert found.scopes == ("read", "write")


async def test_the_place_without_the_path_is_the_last(honest):
    honest.put(AT_PATH, b"<html>", 200)
    honest.put(PRM, {"resource": "https://mcp.example/", "authorization_servers": [AS]})
    found = await honest.find()
    assert honest.asked == [AT_PATH, PRM, OAUTH]
    assert (found.resource, found.scopes) == ("https://mcp.example/", None)


async def test_an_upstream_that_nobody_has_asked_yet_is_asked_without_a_credential(honest):
    honest.knock = Document(401, {"www-authenticate": 'Basic realm="x", Bearer scope="s"'}, b"")
    found = await honest.find(challenges=None)
    assert (honest.knocks, found.scopes) == (1, ("s",))


@pytest.mark.parametrize("status", [404, 405])
async def test_an_upstream_to_which_nothing_is_posted_is_opened(honest, status):
    honest.knock = Document(status, {}, b"")
    honest.put(URL, b"", 401, **{"www-authenticate": 'Bearer scope="s"'})
    assert (await honest.find(challenges=None)).scopes == ("s",)
    assert honest.asked[0] == URL
    honest.pages[URL] = FetchFailed("it sends events without end")
    assert (await honest.find(challenges=None)).scopes == ("read", "write")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_upstream_that_fails_is_not_taken_for_an_old_one(honest, status):
    honest.put(AT_PATH, b"SECRET", status)
    honest.put(OLDER, server_of("https://mcp.example"))
    failed = await honest.fails("unavailable")
    assert honest.asked == [AT_PATH]
    assert f"status {status}" in failed.trace[-1].detail
    assert "SECRET" not in repr(failed)


@pytest.mark.promise("T50")
@pytest.mark.parametrize(
    "resource", ["https://evil.example/a/mcp", "https://mcp.example/b", "http://mcp.example/a/mcp"]
)
async def test_metadata_of_another_resource_end_it_before_anything_is_asked_there(honest, resource):
    honest.put(AT_PATH, {**RESOURCE, "resource": resource})
    failed = await honest.fails("resource_mismatch")
    assert honest.asked == [AT_PATH]
    assert "evil" not in failed.public


async def test_metadata_that_name_no_server_are_of_no_use(honest):
    honest.put(AT_PATH, {"resource": URL})
    await honest.fails("no_server")
    honest.put(AT_PATH, {"resource": URL, "authorization_servers": ["javascript:x"]})
    await honest.fails("bad_issuer")


# The authorization server


async def test_the_server_in_use_goes_before_the_first_and_the_pinned_one_before_all(honest):
    honest.put(f"{OTHER}/.well-known/oauth-authorization-server", server_of(OTHER))
    assert (await honest.find()).server.issuer == AS
    assert (await honest.find(bound=OTHER)).server.issuer == OTHER
    assert (await honest.find(bound="https://gone.example")).server.issuer == AS
    honest.put("https://pinned.example/.well-known/openid-configuration", server_of("https://pinned.example"))
    found = await honest.find(OAuth(issuer="https://pinned.example"), bound=OTHER)
    assert found.server.issuer == "https://pinned.example"


@pytest.mark.parametrize("place", [OAUTH, INSERTED, APPENDED])
async def test_the_places_of_a_server_with_a_path_are_tried_in_order_and_its_root_is_not(world, place):
    world.put(AT_PATH, RESOURCE)
    world.put("https://as.example/.well-known/oauth-authorization-server", server_of("https://as.example"))
    world.put(place, server_of())
    assert (await world.find()).server.token_endpoint == f"{AS}/token"
    tried = [OAUTH, INSERTED, APPENDED]
    assert world.asked == [AT_PATH, *tried[: tried.index(place) + 1]]


async def test_a_server_that_publishes_nothing_is_named(world):
    world.put(AT_PATH, RESOURCE)
    failed = await world.fails("no_metadata")
    assert "as.example" in failed.public
    assert world.asked == [AT_PATH, OAUTH, INSERTED, APPENDED]


@pytest.mark.promise("T44")
@pytest.mark.parametrize(
    "named",
    [
        "https://evil.example/t1",
        "https://as.example/t1/",
        "https://AS.example/t1",
        "https://as.example:443/t1",
        "https://as.example/T1",
        "https://as.example",
        " https://as.example/t1",
        None,
        7,
    ],
)
async def test_metadata_that_spell_their_issuer_otherwise_are_refused(honest, named):
    honest.put(OAUTH, server_of(AS) | {"issuer": named})
    honest.put(INSERTED, server_of())
    failed = await honest.fails("issuer_mismatch")
    assert honest.asked == [AT_PATH, OAUTH]
    assert "evil" not in failed.public


@pytest.mark.promise("T42")
@pytest.mark.parametrize(
    "page",
    [
        "javascript:alert(1)",
        "a:$(touch /tmp/x)",
        "file:///etc/passwd",
        "http://as.example/t1/authorize",
        "http://127.0.0.1/authorize",
        "data:text/html,x",
        "https://as.example/\n",
        "https://as.example/\u202e",
        "https://user:pw@as.example/",
        "//as.example/authorize",
        "",
        7,
    ],
)
async def test_nobody_is_sent_to_a_page_that_is_no_https_address(honest, page):
    honest.put(OAUTH, server_of(authorization_endpoint=page))
    outcome = await honest.find()
    assert isinstance(outcome, DiscoveryFailed)
    assert outcome.code in ("bad_endpoint", "no_endpoint")
    assert "alert" not in repr(outcome)


async def test_a_server_has_to_say_where_its_endpoints_are(honest):
    honest.put(OAUTH, server_of(token_endpoint=None))
    assert "token_endpoint" in (await honest.fails("no_endpoint")).public
    honest.put(OAUTH, server_of(registration_endpoint="http://as.example/r", revocation_endpoint=None))
    server = (await honest.find(fresh=True)).server
    assert (server.registration_endpoint, server.revocation_endpoint) == (None, None)


async def test_what_a_server_says_of_itself_is_read(honest):
    says = {
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
        "scopes_supported": ["offline_access"],
    }
    honest.put(OAUTH, server_of(**says))
    server = (await honest.find()).server
    assert (server.sends_iss, server.takes_documents, server.knows_pkce) == (True, True, True)
    assert (server.scopes, server.auth_methods) == (("offline_access",), ("none",))


@pytest.mark.promise("T45")
@pytest.mark.parametrize("methods", [None, [], ["plain"], "S256", ["s256"]])
async def test_a_server_knows_pkce_only_if_it_says_so(honest, methods):
    honest.put(OAUTH, server_of(code_challenge_methods_supported=methods))
    assert not (await honest.find()).server.knows_pkce


# Upstreams of 2025-03-26


async def test_an_old_upstream_is_its_own_server(world):
    world.put(OLDER, server_of("https://mcp.example"))
    found = await world.find(expected=False)
    assert (found.server.issuer, found.resource, found.scopes) == ("https://mcp.example", None, None)
    assert world.asked == [AT_PATH, PRM, OLDER]
    assert world.headers[-1] == {"mcp-protocol-version": "2025-03-26"}


async def test_an_old_upstream_may_end_its_own_name_with_a_slash(world):
    world.put(OLDER, server_of("https://mcp.example/"))
    assert (await world.find()).server.issuer == "https://mcp.example/"
    world.put(OLDER, server_of("https://evil.example"))
    await world.fails("issuer_mismatch", fresh=True)


async def test_an_old_upstream_that_publishes_nothing_has_the_usual_places(world):
    server = (await world.find()).server
    assert server.authorization_endpoint == "https://mcp.example/authorize"
    assert server.registration_endpoint == "https://mcp.example/register"
    assert (server.has_metadata, server.knows_pkce) == (False, True)


async def test_an_upstream_that_only_refuses_is_not_said_to_have_people_sign_in(world):
    assert isinstance(await world.find(expected=False, challenges=("Basic realm=x",)), NotOffered)
    assert isinstance(await world.find(expected=False, challenges=()), NotOffered)


async def test_an_upstream_that_refuses_nobody_has_nobody_sign_in(world):
    world.knock = Document(200, {}, b"{}")
    outcome = await world.find(challenges=None)
    assert isinstance(outcome, NotOffered)
    assert outcome.trace


async def test_an_upstream_that_cannot_be_reached_is_said_to_be(world):
    world.knock = FetchFailed("mcp.example could not be asked: no connection")
    assert "no connection" in (await world.fails("unreachable", challenges=None)).public


# What the operator says


async def test_what_the_operator_says_stands_in_place_of_what_is_found(honest):
    said = OAuth(token_url="https://told.example/token", revocation_url="https://told.example/revoke")
    server = (await honest.find(said)).server
    assert server.authorization_endpoint == f"{AS}/authorize"
    assert (server.token_endpoint, server.revocation_endpoint) == (
        "https://told.example/token",
        "https://told.example/revoke",
    )


TOLD = OAuth(authorization_url="https://told.example/authorize", token_url="https://told.example/token")


async def test_a_server_that_is_told_whole_needs_nothing_to_be_found(world):
    world.knock = FetchFailed("down")
    found = await world.find(TOLD, challenges=None)
    assert (found.server.issuer, found.server.token_endpoint) == ("https://told.example", "https://told.example/token")
    for page in (FetchFailed("down"), Document(503, {}, b"")):
        world.pages[AT_PATH] = page
        assert isinstance(await world.find(TOLD), Found)


async def test_what_can_be_found_beside_it_is_used(honest):
    found = await honest.find(TOLD)
    assert (found.server.issuer, found.resource) == (AS, URL)
    assert found.server.token_endpoint == "https://told.example/token"
    assert found.server.registration_endpoint == f"{AS}/register"


# What was found is kept


async def test_what_was_found_is_kept_for_an_hour_and_a_day(honest):
    for _ in range(3):
        await honest.find()
    assert honest.asked == [AT_PATH, OAUTH]
    honest.time += RESOURCE_KEPT
    await honest.find()
    assert honest.asked == [AT_PATH, OAUTH, AT_PATH]
    honest.time += SERVER_KEPT
    await honest.find()
    assert honest.asked[3:] == [AT_PATH, OAUTH]
    await honest.find(fresh=True)
    assert honest.asked[5:] == [AT_PATH, OAUTH]


@pytest.mark.parametrize(("said", "seconds"), [("no-store", 60), ("max-age=1", 60), ("public, max-age=600", 600)])
async def test_it_is_kept_no_longer_than_its_server_says(honest, said, seconds):
    honest.put(AT_PATH, RESOURCE, **{"cache-control": said})
    await honest.find()
    honest.time += seconds - 1
    await honest.find()
    assert honest.asked.count(AT_PATH) == 1
    honest.time += 1
    await honest.find()
    assert honest.asked.count(AT_PATH) == 2


async def test_what_is_missing_is_looked_for_again(honest):
    honest.put(AT_PATH, b"", 503)
    await honest.fails("unavailable")
    honest.put(AT_PATH, RESOURCE)
    assert isinstance(await honest.find(), Found)


async def test_a_search_ends_however_slow_the_other_side_is(world, monkeypatch):
    monkeypatch.setattr("mcp_hub.oauth.discovery.MOST_SECONDS", 0.0)
    world.pages[AT_PATH] = asyncio.Event()
    failed = await world.fails("unavailable")
    assert "longer than" in failed.trace[-1].detail


async def test_a_document_that_names_no_resource_is_passed_over(honest):
    honest.put(AT_PATH, {"hello": 1})
    honest.put(PRM, {"resource": "https://mcp.example", "authorization_servers": [AS]})
    assert (await honest.find()).resource == "https://mcp.example"


async def test_a_server_that_is_told_whole_does_not_depend_on_what_it_publishes(honest):
    honest.put(OAUTH, server_of("https://evil.example"))
    found = await honest.find(TOLD)
    assert (found.server.issuer, found.server.has_metadata) == (AS, False)


async def test_no_more_is_kept_than_there_is_room_for(honest, monkeypatch):
    monkeypatch.setattr("mcp_hub.oauth.discovery._MOST_KEPT", 1)
    for _ in range(2):
        await honest.find()
    assert honest.asked.count(AT_PATH) == 2


async def test_many_who_ask_at_once_share_one_search(honest):
    found = await asyncio.gather(*(honest.find(challenges=None) for _ in range(20)))
    assert honest.knocks == 1
    assert len({id(each) for each in found}) == 1


# Attacks, through the hub's own door: 127.0.0.2 is where the operator lets it go, and nowhere else on this computer


class Attack:
    """An upstream that leads the hub to a canary inside."""

    def __init__(self, upstream, canary, door):
        self.upstream, self.canary = upstream, canary
        self.discovery = Discovery(door)
        upstream.put("/mcp", status=401, www_authenticate="Bearer")

    async def fails(self):
        outcome = await self.discovery.find(Target("gh", f"{self.upstream.origin}/mcp"))
        assert self.canary.connections == 0
        assert isinstance(outcome, DiscoveryFailed), outcome
        assert "SECRET" not in repr(outcome)
        return outcome


@pytest.fixture
async def attack():
    door = GuardedFetch(Dialer(allow_private=[ip_network("127.0.0.2/32")]))
    async with asyncio.timeout(10), Places("127.0.0.2") as upstream, Places("127.0.0.1") as canary:
        canary.answers = {}
        made = Attack(upstream, canary, door)
        yield made
        await made.discovery.aclose()
        await door.aclose()


@pytest.mark.promise("T1", "T10")
async def test_metadata_in_a_refusal_do_not_lead_inside(attack, caplog):
    attack.upstream.put(
        "/mcp", status=401, www_authenticate=f'Bearer resource_metadata="{attack.canary.origin}/x?q=SECRET"'
    )
    failed = await attack.fails()
    assert failed.code == "unavailable"
    assert "SECRET" not in caplog.text


@pytest.mark.promise("T2")
async def test_a_named_server_does_not_lead_inside(attack):
    attack.upstream.put(
        "/.well-known/oauth-protected-resource/mcp",
        {"resource": f"{attack.upstream.origin}/mcp", "authorization_servers": [attack.canary.origin]},
    )
    assert (await attack.fails()).code == "unavailable"


@pytest.mark.promise("T8")
async def test_a_redirect_does_not_lead_inside(attack):
    attack.upstream.put("/.well-known/oauth-protected-resource/mcp", status=302, location=f"{attack.canary.origin}/x")
    outcome = await attack.discovery.find(Target("gh", f"{attack.upstream.origin}/mcp", expected=False))
    assert attack.canary.connections == 0
    assert any("leads to another place" in step.detail for step in outcome.trace)


@pytest.mark.promise("T8")
async def test_redirects_within_the_origin_are_followed_three_times(attack):
    upstream = attack.upstream
    issuer = upstream.origin
    for number in range(3):
        upstream.put(f"/hop{number}", status=307, location=f"/hop{number + 1}")
    upstream.put("/.well-known/oauth-protected-resource/mcp", status=302, location="/hop1")
    upstream.put("/hop3", {"resource": f"{issuer}/mcp", "authorization_servers": [issuer]})
    upstream.put("/.well-known/oauth-authorization-server", server_of(issuer))
    target = Target("gh", f"{issuer}/mcp")
    assert isinstance(await attack.discovery.find(target), Found)
    upstream.put("/.well-known/oauth-protected-resource/mcp", status=302, location="/hop0")
    outcome = await attack.discovery.find(target, fresh=True)
    assert any("leads on more than 3 times" in step.detail for step in outcome.trace)


@pytest.mark.promise("T10", "T23")
async def test_metadata_without_end_and_secrets_of_others_stay_outside(attack):
    place = "/.well-known/oauth-protected-resource/mcp"
    attack.upstream.put(place, b"SECRET" * 20_000)
    assert (await attack.fails()).code == "unavailable"
    attack.upstream.answers[place] = Said(500, b"SECRET")
    assert (await attack.fails()).code == "unavailable"
