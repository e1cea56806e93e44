"""Whether somebody can use an upstream: the five verdicts, as whoever asks."""

import asyncio
import json
import re
from ipaddress import ip_network

import pytest

from mcp_hub.checking import MOST, NOBODY, Checking
from mcp_hub.config import model
from mcp_hub.credentials.access import Fixed
from mcp_hub.errors import ConnectionNeeded, StoreFailed
from mcp_hub.principal import ADMIN, Principal
from mcp_hub.secret import Secret
from mcp_hub.upstream.check import Status
from rig.fake_upstream import Answer, FakeUpstream
from rig.granted import ADA as GRANTED
from rig.granted import connected, keeping
from rig.misbehaving_as import MisbehavingAS
from rig.parts import bearer
from rig.places import Places

pytestmark = pytest.mark.promise("D26")

ADA = Principal("idp", "ada", email="ada@example.com", label="ada@example.com")
BOB = Principal("idp", "bob", label="bob@example.com")
KEY = Secret("right")
LOOPBACK = model.Network((ip_network("127.0.0.0/8"),))


class Owners:
    """Everybody's own connections, in memory: `given` by caller and upstream."""

    def __init__(self, *, sign_in: str = "undecided", **given: object) -> None:
        self.said = sign_in
        self.given = given

    def sign_in(self, upstream):
        return self.said

    def access(self, caller, upstream):
        return Own(self.given.get(caller.subject), upstream, caller)


class Own:
    """One caller's access: a credential, or a failure to be raised; `after` is what a refusal gets."""

    def __init__(self, given, upstream, caller) -> None:
        missing = f"{upstream} is not connected for {caller}. Open https://hub.example/connect/{upstream}."
        needed = ConnectionNeeded(upstream, missing, url=None, state="not_connected")
        self.given = needed if given is None else given
        self.refusals = 0

    def ready(self):
        return None

    async def credential(self):
        if isinstance(self.given, Exception):
            raise self.given
        return self.given

    async def refused(self, credential, refusal):
        self.refusals += 1
        raise refusal

    def watch(self, changed):
        return lambda: None


def guarded(*tokens, challenge='Bearer realm="SECRET"'):
    """What lets in only those who bring one of these tokens."""

    async def handler(request):
        known = {f"Bearer {token}" for token in tokens}
        if request.headers.get("authorization") in known or request.path != "/mcp":
            return None
        return Answer(b"SECRET", 401, headers={"www-authenticate": challenge})

    return handler


def with_oauth(fake, *tokens):
    """An upstream whose users sign in at itself, and that says so."""
    origin = fake.url.removesuffix("/mcp")
    metadata = {
        "/.well-known/oauth-protected-resource/mcp": {"resource": fake.url, "authorization_servers": [origin]},
        "/.well-known/oauth-authorization-server": {
            "issuer": origin,
            "authorization_endpoint": f"{origin}/authorize",
            "token_endpoint": f"{origin}/token",
            "code_challenge_methods_supported": ["S256"],
        },
    }
    door = guarded(*tokens)

    async def handler(request):
        if request.path in metadata:
            return Answer(json.dumps(metadata[request.path]).encode())
        return Answer(b"", 404) if request.path != "/mcp" else await door(request)

    return handler


async def verdict(declared, caller=ADA, owners=None, *, network=LOOPBACK, shared=None):
    declared_only = model.Config(network=network, upstreams={declared.name: declared})
    checking = Checking(declared_only, owners=owners, shared=shared)
    try:
        async with asyncio.timeout(5):
            return await checking.check_as(caller, declared.name)
    finally:
        await checking.aclose()


def steps(found):
    return [(each.step, each.ok) for each in found.steps]


def rows(found):
    """The rows of the decision table that were said to apply, in order."""
    return [row for each in found.steps if each.step == "auth" for row in re.findall(r'^Row "(.+?)": .+', each.detail)]


ALL_THE_WAY = [("dns", True), ("tcp", True), ("mcp", True), ("lists", True)]


@pytest.mark.promise("D27", "B16")
@pytest.mark.parametrize("auth", [None, model.OAuth(), model.ApiKey(KEY)])
async def test_an_upstream_without_a_url_has_its_own_verdict_and_its_row(auth):
    found = await verdict(model.Upstream("up", auth=auth))
    assert found.status is Status.SERVER_URL_NOT_SET
    assert steps(found) == [("auth", True), ("url", False)]


@pytest.mark.promise("B12", "B13", "B16")
@pytest.mark.parametrize(
    ("said", "row"),
    [
        ({"auth": model.ApiKey(KEY)}, "auth: api_key"),
        ({"auth": model.SharedHeader("Authorization", KEY, "Bearer")}, "auth: header, value"),
        ({"headers": {"Authorization": Secret("Bearer right")}}, "headers"),
    ],
)
@pytest.mark.parametrize("caller", [None, ADA])
async def test_what_all_share_is_checked_alike_for_everybody(said, row, caller):
    async with FakeUpstream(name="up") as fake:
        fake.before = guarded("right")
        found = await verdict(model.Upstream("up", fake.url, **said), caller)
    assert (found.status, rows(found)) == (Status.OK, [row])
    assert steps(found) == [("auth", True), *ALL_THE_WAY]


@pytest.mark.promise("B16")
async def test_a_credential_in_the_headers_turns_discovery_off():
    async with FakeUpstream(name="up") as fake:
        fake.before = with_oauth(fake, "right")
        found = await verdict(model.Upstream("up", fake.url, headers={"Authorization": Secret("Bearer wrong")}))
    assert (found.status, rows(found)) == (Status.UNAUTHORIZED, ["headers"])
    assert {request.path for request in fake.seen} == {"/mcp"}
    assert steps(found)[-1] == ("auth", False)


@pytest.mark.promise("B11", "B16")
async def test_nothing_said_and_let_in_is_no_sign_in():
    async with FakeUpstream(name="up") as fake:
        found = await verdict(model.Upstream("up", fake.url))
    assert (found.status, rows(found)) == (Status.OK, ["not asked yet", "nothing found"])
    assert steps(found) == [("auth", True), *ALL_THE_WAY, ("auth", True)]
    assert not any("authorization" in request.headers for request in fake.seen)


@pytest.mark.promise("B16", "T10")
async def test_nothing_said_and_refused_is_asked_where_its_users_sign_in():
    async with FakeUpstream(name="up") as fake:
        fake.before = with_oauth(fake, "right")
        found = await verdict(model.Upstream("up", fake.url, title="Up"))
    assert (found.status, rows(found)) == (Status.USER_NOT_AUTHENTICATED, ["not asked yet", "OAuth found"])
    assert found.steps[-1].detail.startswith("Up is not connected for ada@example.com")
    trace = [each for each in found.steps if each.step == "discovery"]
    assert all(each.ok for each in trace)
    assert any("protected resource metadata" in each.detail for each in trace)
    assert any("authorization server metadata" in each.detail for each in trace)
    assert trace[-1].detail == f"Users sign in at {fake.url.removesuffix('/mcp')}."
    assert "SECRET" not in repr(found)


@pytest.mark.promise("B16")
async def test_nothing_said_refused_and_no_sign_in_found_is_unauthorized():
    async def refusing(request):
        return Answer(b"SECRET", 401 if request.path == "/mcp" else 404)

    async with FakeUpstream(name="up") as fake:
        fake.before = refusing
        found = await verdict(model.Upstream("up", fake.url))
    assert (found.status, rows(found)) == (Status.UNAUTHORIZED, ["not asked yet"])
    assert found.steps[-1].detail == "It has nobody sign in, as far as can be found out."
    assert "SECRET" not in repr(found)


@pytest.mark.promise("B16")
async def test_a_server_that_wants_a_token_and_publishes_nothing_may_just_want_a_key():
    async def refusing(request):
        found = request.path == "/mcp"
        return Answer(b"", 401 if found else 404, headers={"www-authenticate": "Bearer"} if found else {})

    async with FakeUpstream(name="up") as fake:
        fake.before = refusing
        found = await verdict(model.Upstream("up", fake.url))
    assert (found.status, rows(found)[-1]) == (Status.USER_NOT_AUTHENTICATED, "OAuth found")
    assert any("If it takes a key instead, say so" in each.detail for each in found.steps)


@pytest.mark.promise("B16")
async def test_a_refusal_that_no_sign_in_would_change_starts_no_search():
    async def forbidding(request):
        return Answer(b"", 403)

    async with FakeUpstream(name="up") as fake:
        fake.before = forbidding
        found = await verdict(model.Upstream("up", fake.url))
    assert found.status is Status.UNAUTHORIZED
    assert "discovery" not in [each.step for each in found.steps]


OWN = [
    model.OAuth(),
    model.OwnHeader("Authorization", "pasted"),
    model.OwnHeader("Authorization", "brought", "x-token"),
    model.OwnHeader("Authorization", "claim", "email"),
]


@pytest.mark.promise("B15", "B14", "B22")
@pytest.mark.parametrize("auth", OWN, ids=["oauth", "pasted", "brought", "claim"])
async def test_each_caller_is_checked_with_their_own_credential(auth):
    owners = Owners(ada=bearer("right"), bob=bearer("wrong"))
    async with FakeUpstream(name="up") as fake:
        fake.before = guarded("right")
        declared = model.Upstream("up", fake.url, auth=auth)
        ada, bob = await verdict(declared, ADA, owners), await verdict(declared, BOB, owners)
    assert (ada.status, bob.status) == (Status.OK, Status.UNAUTHORIZED)
    assert steps(ada) == [("auth", True), ("dns", True), ("tcp", True), ("auth", True), ("mcp", True), ("lists", True)]
    assert ada.steps[3].detail == "The caller's own credential is at hand."
    assert {request.headers["authorization"] for request in fake.seen} == {"Bearer right", "Bearer wrong"}


@pytest.mark.promise("B15", "B16")
@pytest.mark.parametrize("owners", [Owners(), None], ids=["nobody connected", "no store"])
async def test_a_caller_who_has_not_connected_is_not_authenticated_and_sees_where_they_would_be_sent(owners):
    async with FakeUpstream(name="up") as fake:
        fake.before = with_oauth(fake, "right")
        found = await verdict(model.Upstream("up", fake.url, auth=model.OAuth()), ADA, owners)
    assert found.status is Status.USER_NOT_AUTHENTICATED
    assert ("auth", False) in steps(found)
    assert "not connected for ada@example.com" in next(each.detail for each in found.steps if not each.ok)
    assert found.steps[-1].detail.startswith("Users sign in at http://127.0.0.1:")


@pytest.mark.parametrize("auth", OWN, ids=["oauth", "pasted", "brought", "claim"])
async def test_nobody_in_particular_has_no_credential_of_their_own(auth):
    async with FakeUpstream(name="up") as fake:
        fake.before = with_oauth(fake, "right")
        found = await verdict(model.Upstream("up", fake.url, auth=auth), None, Owners(ada=bearer("right")))
    assert found.status is Status.USER_NOT_AUTHENTICATED
    assert NOBODY in [each.detail for each in found.steps if not each.ok]
    assert not any("authorization" in request.headers for request in fake.seen)


async def test_a_sign_in_that_cannot_be_found_out_is_shown_beside_the_verdict():
    async def refusing(request):
        return Answer(b"SECRET", 401 if request.path == "/mcp" else 500)

    async with FakeUpstream(name="up") as fake:
        fake.before = refusing
        found = await verdict(model.Upstream("up", fake.url, auth=model.OAuth()), ADA, Owners())
    assert found.status is Status.USER_NOT_AUTHENTICATED
    assert found.steps[-1].step == "discovery"
    assert not found.steps[-1].ok
    assert "SECRET" not in repr(found)


@pytest.mark.promise("B16")
@pytest.mark.parametrize(("known", "row"), [("oauth", "OAuth found"), ("none", "nothing found")])
async def test_what_was_found_before_is_known(known, row):
    owners = Owners(sign_in=known, ada=bearer("right"))
    async with FakeUpstream(name="up") as fake:
        found = await verdict(model.Upstream("up", fake.url), ADA, owners)
    assert (found.status, rows(found)) == (Status.OK, [row])
    assert any("authorization" in request.headers for request in fake.seen) is (known == "oauth")


@pytest.mark.promise("B21")
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_machine_is_checked_with_the_hubs_own_credential(is_known):
    async with FakeUpstream(name="up") as fake, Places() as server:
        token = {"access_token": "right", "token_type": "Bearer", "expires_in": 60}
        server.put("/token", token if is_known else {"error": "invalid_client"}, 200 if is_known else 401)
        fake.before = guarded("right")
        auth = model.ClientCredentials(server.origin, "hub", KEY, token_url=f"{server.origin}/token")
        declared = model.Upstream("up", fake.url, auth=auth, headers={"X-Tenant": Secret("t1")})
        found = await verdict(declared, None)
    assert rows(found) == ["auth: client_credentials"]
    if is_known:
        assert found.status is Status.OK
        assert "The credential of the hub itself is at hand." in [each.detail for each in found.steps]
        assert {request.headers["x-tenant"] for request in fake.seen} == {"t1"}
    else:
        assert (found.status, found.steps[-1].step, fake.seen) == (Status.FAILED, "auth", [])


@pytest.mark.promise("B21")
async def test_a_running_hub_checks_with_the_token_that_it_has():
    auth = model.ClientCredentials("https://id.example", "hub", KEY)
    async with FakeUpstream(name="up") as fake:
        fake.before = guarded("right")
        found = await verdict(model.Upstream("up", fake.url, auth=auth), shared=lambda _: Fixed(bearer("right")))
    assert found.status is Status.OK


async def test_a_fault_of_the_hub_is_failed():
    async with FakeUpstream(name="up") as fake:
        owners = Owners(ada=StoreFailed("The store could not be read."))
        found = await verdict(model.Upstream("up", fake.url, auth=model.OAuth()), ADA, owners)
    assert (found.status, found.steps[-1].detail) == (Status.FAILED, "The store could not be read.")


@pytest.mark.promise("D28", "T4")
async def test_a_check_goes_through_the_same_door():
    async with FakeUpstream(name="up") as fake:
        found = await verdict(model.Upstream("up", fake.url), network=model.Network())
    assert (found.status, steps(found)) == (Status.FAILED, [("auth", True), ("address", False)])
    assert not fake.seen


@pytest.mark.promise("T1", "D28")
async def test_so_does_the_search_for_a_sign_in():
    one = model.Network((ip_network("127.0.0.1/32"),))
    async with FakeUpstream(name="up") as fake, Places(host="127.0.0.2") as inside:
        fake.before = guarded("right", challenge=f'Bearer resource_metadata="{inside.origin}/x"')
        found = await verdict(model.Upstream("up", fake.url), network=one)
        assert not inside.connections
    assert found.status is Status.UNAUTHORIZED
    assert "discovery" in [each.step for each in found.steps]


@pytest.mark.promise("B22")
async def test_two_callers_who_ask_at_once_get_an_answer_each():
    owners = Owners(ada=bearer("right"), bob=bearer("wrong"))
    async with FakeUpstream(name="up") as fake, asyncio.timeout(5):
        fake.before = guarded("right")
        declared = model.Upstream("up", fake.url, auth=model.OAuth())
        checking = Checking(model.Config(network=LOOPBACK, upstreams={"up": declared}), owners=owners)
        ada, again, bob = await asyncio.gather(
            checking.check_as(ADA, "up"), checking.check_as(ADA, "up"), checking.check_as(BOB, "up")
        )
    assert (ada.status, bob.status) == (Status.OK, Status.UNAUTHORIZED)
    assert ada is again


@pytest.mark.promise("T10")
async def test_the_addresses_of_a_network_are_told_to_those_who_run_it_only():
    admin = Principal("idp", "root", roles=frozenset({ADMIN}))
    async with FakeUpstream(name="up") as fake:
        declared = model.Upstream("up", fake.url.replace("127.0.0.1", "localhost"))
        told = [(await verdict(declared, caller)).steps[1].detail for caller in (None, admin, ADA)]
    assert "127.0.0.1" in told[0]
    assert told[0] == told[1]
    assert told[2] == "its name is known"


class OfGrants(Owners):
    """Connections that are grants of an authorization server."""

    def __init__(self, keeper):
        super().__init__(sign_in="oauth")
        self.keeper = keeper

    def access(self, caller, upstream):
        return self.keeper.access(caller)


def letting_in(server):
    """What lets in whoever brings a token that is good at this server."""

    async def handler(request):
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return None if server.is_live(token) or request.path != "/mcp" else Answer(b"", 401)

    return handler


@pytest.mark.promise("B15", "B19")
async def test_a_token_that_has_ended_is_renewed_once_as_for_a_call_and_the_grant_survives():
    async with FakeUpstream(name="github") as fake, MisbehavingAS() as server, keeping() as keeper:
        given = await connected(keeper, server)
        server.expire(given["access_token"])
        fake.before = letting_in(server)
        declared, owners = model.Upstream("github", fake.url, auth=model.OAuth()), OfGrants(keeper)
        first, second = await verdict(declared, GRANTED, owners), await verdict(declared, GRANTED, owners)
        assert (first.status, second.status) == (Status.OK, Status.OK)
        assert server.count("/token", grant_type="refresh_token") == 1
        assert server.reuses == 0


@pytest.mark.promise("B15", "B19")
async def test_a_grant_that_was_taken_back_has_its_user_connect_anew():
    async with FakeUpstream(name="github") as fake, MisbehavingAS() as server, keeping() as keeper:
        await connected(keeper, server)
        server.end("ada")
        fake.before = letting_in(server)
        declared = model.Upstream("github", fake.url, auth=model.OAuth())
        found = await verdict(declared, GRANTED, OfGrants(keeper))
    assert found.status is Status.USER_NOT_AUTHENTICATED
    assert any("https://hub.example/connect/github" in each.detail for each in found.steps if not each.ok)


async def test_a_crowd_that_checks_takes_turns():
    release, at_once, most = asyncio.Event(), 0, 0

    async def slow(request):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == MOST:
            release.set()
        await release.wait()
        at_once -= 1

    crowd = [Principal("idp", f"user-{number}") for number in range(MOST + 4)]
    async with FakeUpstream(name="up") as fake, asyncio.timeout(20):
        fake.handlers["server/discover"] = slow
        declared = model.Upstream("up", fake.url, auth=model.OwnHeader("Authorization", "pasted"))
        owners = Owners(**{each.subject: bearer("right") for each in crowd})
        checking = Checking(model.Config(network=LOOPBACK, upstreams={"up": declared}), owners=owners)
        found = await asyncio.gather(*(checking.check_as(each, "up") for each in crowd))
    assert {each.status for each in found} == {Status.OK}
    assert most == MOST


async def test_no_session_is_left_behind():
    async with FakeUpstream(eras="legacy", name="up") as fake:
        fake.before = guarded("right")
        owners = Owners(ada=bearer("right"))
        found = await verdict(model.Upstream("up", fake.url, auth=model.OAuth()), ADA, owners)
    assert found.status is Status.OK
    assert not fake.sessions


def test_programs_read_a_name_a_status_and_steps():
    from mcp_hub.upstream.check import Step, Verdict  # noqa: PLC0415 - only here

    found = Verdict("up", Status.OK, [Step("dns", ok=True, detail="127.0.0.1", ms=3)])
    assert found.document() == {
        "name": "up",
        "status": "OK",
        "steps": [{"step": "dns", "ok": True, "detail": "127.0.0.1", "ms": 3}],
    }


async def test_an_upstream_that_is_not_served_has_no_connections():
    class NotServed(Owners):
        def sign_in(self, upstream):
            raise KeyError(upstream)

    async with FakeUpstream(name="up") as fake:
        off = model.Upstream("up", fake.url, auth=model.OwnHeader("X-Key", "pasted"), enabled=False)
        found = await verdict(off, ADA, NotServed(ada=bearer("right")))
    assert found.status is Status.USER_NOT_AUTHENTICATED


async def test_an_upstream_that_is_not_declared_is_no_upstream():
    with pytest.raises(KeyError):
        await Checking(model.Config()).check_as(ADA, "up")
