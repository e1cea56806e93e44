"""Everybody's connections, with servers that are honest and others that are not."""

import asyncio
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_network
from urllib.parse import parse_qsl, urlsplit

import pytest

from mcp_hub.config.model import Auth, OAuth, OwnHeader, Upstream
from mcp_hub.credentials.decide import SignIn
from mcp_hub.credentials.state import State
from mcp_hub.errors import ConnectionNeeded, RefusedCredential
from mcp_hub.oauth.authorizing import KIND, LASTS
from mcp_hub.oauth.connection import ConnectFailed, Ending
from mcp_hub.oauth.deciding import APART
from mcp_hub.secret import Secret
from mcp_hub.store.connections import KEPT_FOR, GrantState, Source
from rig.connecting import ADA, BOB, BROWSER, OTHER, connecting, visit, with_said
from rig.misbehaving_as import OMIT, UNTOLD, Answer, MisbehavingAS, broken, huge, redirecting, refusing
from rig.places import Places

pytestmark = pytest.mark.promise("B15")


@pytest.fixture
async def server():
    async with asyncio.timeout(10), MisbehavingAS() as made:
        yield made


@pytest.fixture
async def rig(server):
    async with connecting(server.resource) as made:
        server.now = made.now
        yield made


@pytest.fixture
def logged(caplog, capsys):
    """All that was logged."""
    return lambda: caplog.text + "".join(capsys.readouterr())


async def fails(code, awaited):
    with pytest.raises(ConnectFailed) as failed:
        await awaited
    assert failed.value.code == code
    assert UNTOLD not in repr((failed.value.public, failed.value.trace))
    return failed.value


async def back(rig, query, code, caller=ADA, browser=BROWSER):
    """Somebody comes back, and nothing is stored; the failure."""
    has = await rig.grant()
    failure = await fails(code, rig.hub.finish("gh", query, caller, browser))
    assert await rig.grant() == has
    for _, value in query:
        assert len(value) < 4 or value not in failure.public
    return failure


# Honest ways


async def test_somebody_connects_their_account_and_it_is_used(rig, server):
    before = await rig.hub.one(ADA, "gh")
    assert (before.state, before.sign_in, before.title) == (State.NOT_CONNECTED, "oauth", "GitHub")
    with pytest.raises(ConnectionNeeded) as needed:
        await rig.hub.access(ADA, "gh").credential()
    assert needed.value.url == "http://127.0.0.1:8080/connect/gh"
    assert "ada@example.com" in needed.value.public
    prospect = await rig.hub.prospect(ADA, "gh")
    assert (prospect.scopes, prospect.source) == (("offline_access", "read"), None)
    grant = await rig.connect()
    assert (grant.authorization_server, grant.resource) == (server.issuer, server.resource)
    after = await rig.hub.one(ADA, "gh")
    assert (after.state, after.scopes) == (State.READY, frozenset({"read", "offline_access"}))
    assert [each.state for each in await rig.hub.shown(BOB)] == [State.NOT_CONNECTED]
    credential = await rig.hub.access(ADA, "gh").credential()
    token = credential.open().decode().split("Bearer ")[1].strip()
    assert server.is_live(token)
    assert await rig.hub.disconnect(ADA, "gh") is Ending.CONFIRMED
    assert not server.is_live(token)
    assert await rig.hub.disconnect(ADA, "gh") is Ending.NOTHING


async def test_nothing_happens_before_somebody_goes_on(rig, server):
    await rig.hub.prospect(ADA, "gh")
    assert server.count("/register") == 0
    assert await rig.registrations() == []


async def test_a_link_that_waited_is_answered_at_once_when_somebody_connects(rig):
    access, changes = rig.hub.access(ADA, "gh"), []
    access.watch(lambda: changes.append(1))
    await rig.connect()
    assert changes
    assert (await access.credential()).names == ("Authorization",)


async def test_whoever_connects_again_asks_for_what_they_have_and_what_is_missing(rig, server):
    server.resource_says = {"scopes_supported": ["read"]}
    grant = await rig.connect()
    await rig.store.want_scopes(grant.id, frozenset({"read", "write"}))
    shown = await rig.hub.one(ADA, "gh")
    assert (shown.wanted, shown.state) == (frozenset({"write"}), State.READY)
    assert "asked for more" in shown.sentence
    prospect = await rig.hub.prospect(ADA, "gh")
    assert (prospect.added, prospect.source) == (("write",), Source.REGISTERED)
    again = await rig.connect()
    assert again.scopes == {"read", "write", "offline_access"}
    assert again.wanted == frozenset()


async def test_a_window_is_remembered_until_somebody_comes_back(rig):
    finished = await rig.hub.finish("gh", await visit(await rig.begin(window=True)), ADA, BROWSER)
    assert (finished.window, finished.title) == (True, "GitHub")


async def test_what_happens_is_recorded_and_no_more(rig, server):
    await rig.connect()
    await back(rig, [("state", "x")], "no_such_flow")
    server.end("ada")
    rig.time += 4000
    with pytest.raises(ConnectionNeeded):
        await rig.hub.access(ADA, "gh").credential()
    await rig.hub.disconnect(ADA, "gh")
    await rig.stop()
    events = await rig.store.events("default", limit=9)
    said = [(each.kind, each.outcome, each.subject_of, each.subject) for each in reversed(events)]
    assert said == [
        ("connected", "ok", "gh", "ada"),
        ("connect_refused", "no_such_flow", "gh", "ada"),
        ("reconnect_needed", "ok", "gh", "ada"),
        ("disconnected", "confirmed", "gh", "ada"),
    ]
    await rig.start()


# Attacks on the way back


@pytest.mark.promise("T34")
async def test_a_link_that_somebody_else_began_connects_nobody(rig, server):
    query = await visit(await rig.begin(ADA))
    await back(rig, query, "another_user", caller=BOB)
    assert server.count("/token") == 0
    assert await rig.grant(BOB) is None
    await back(rig, query, "no_such_flow")


@pytest.mark.promise("T34")
async def test_somebody_who_is_not_signed_in_connects_nobody(rig, server):
    await back(rig, await visit(await rig.begin()), "not_signed_in", caller=None)
    assert server.count("/token") == 0


@pytest.mark.promise("T35")
async def test_an_answer_in_another_browser_connects_nobody(rig, server):
    query = await visit(await rig.begin())
    await back(rig, query, "another_browser", browser=OTHER)
    assert server.count("/token") == 0
    await back(rig, query, "no_such_flow")


@pytest.mark.promise("T35")
async def test_an_answer_counts_once_however_many_bring_it(rig, server):
    query = await visit(await rig.begin())
    tries = [rig.hub.finish("gh", query, ADA, BROWSER) for _ in range(8)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    failed = [each for each in results if isinstance(each, ConnectFailed)]
    assert (len(failed), {each.code for each in failed}) == (7, {"no_such_flow"})
    assert (server.count("/token"), server.reuses) == (1, 0)


@pytest.mark.promise("T35")
async def test_an_answer_is_late_after_ten_minutes(rig):
    query = await visit(await rig.begin())
    rig.time += LASTS
    await back(rig, query, "no_such_flow")


@pytest.mark.promise("T35")
@pytest.mark.parametrize("changes", [{"state": None}, {"state": ""}, {"state": "x" * 43}, {"state": "\ud800"}])
async def test_an_answer_that_nobody_asked_for_connects_nobody(rig, changes):
    await back(rig, with_said(await visit(await rig.begin()), **changes), "no_such_flow")


@pytest.mark.promise("T35")
@pytest.mark.parametrize("name", ["state", "code", "iss", "error"])
async def test_what_is_said_twice_is_not_read(rig, server, name):
    query = await visit(await rig.begin())
    await back(rig, [*query, (name, "other"), (name, "another")], "malformed")
    await back(rig, [*query[1:], ("code", "x" * 9000)], "malformed")
    assert server.count("/token") == 0


@pytest.mark.promise("T43")
@pytest.mark.parametrize("iss", ["https://somebody-else.test", "", None, "{}/", "{} "])
async def test_an_answer_of_another_server_connects_nobody(rig, server, iss):
    named = None if iss is None else iss.format(server.issuer)
    query = with_said(await visit(await rig.begin()), iss=named)
    await back(rig, query, "another_issuer")
    assert server.count("/token") == 0


@pytest.mark.promise("T43", "T40")
async def test_an_error_of_another_server_is_neither_shown_nor_acted_on(rig, server):
    await rig.begin()
    for name in ("access_denied", "invalid_client", "<script>alert(1)</script>"):
        query = with_said(await visit(await rig.begin()), iss="https://evil.test", code=None, error=name)
        await back(rig, query, "another_issuer")
    assert [each.retired_at for each in await rig.registrations()] == [None]


@pytest.mark.promise("T43")
async def test_a_server_that_announces_nothing_may_be_silent_but_not_lie(rig, server):
    server.say["authorization_response_iss_parameter_supported"] = OMIT
    query = with_said(await visit(await rig.begin()), iss="https://somebody-else.test")
    await back(rig, query, "another_issuer")
    await rig.hub.finish("gh", with_said(await visit(await rig.begin()), iss=None), ADA, BROWSER)
    assert await rig.grant() is not None


@pytest.mark.promise("T43")
async def test_a_code_of_an_honest_server_does_not_reach_another_one(server):
    """The evil server sends people on to the honest one, with its own state, so that the hub brings it the code."""
    async with MisbehavingAS() as evil, connecting(server.resource) as rig:
        server.now = evil.now = rig.now
        rig.upstreams = {"evil": Upstream("evil", evil.resource, auth=OAuth())}
        await rig.start()
        evil.say["authorization_response_iss_parameter_supported"] = OMIT
        honest = dict(parse_qsl(urlsplit(await rig.begin()).query))
        mine = await rig.hub.begin(ADA, "evil", BROWSER)
        state = dict(parse_qsl(urlsplit(mine).query))["state"]
        query = with_said(await visit(f"{server.issuer}/authorize?{urlsplit(await rig.begin()).query}"), state=state)
        # The honest server sends people back to its own place only, whatever the evil one wishes.
        assert honest["redirect_uri"].endswith("/callback/gh")
        await back(rig, query, "another_upstream")
        mine = await rig.hub.begin(ADA, "evil", BROWSER)
        state = dict(parse_qsl(urlsplit(mine).query))["state"]
        with pytest.raises(ConnectFailed) as failed:
            await rig.hub.finish("evil", with_said(query, state=state), ADA, BROWSER)
        assert failed.value.code == "another_issuer"
        assert evil.count("/token") == server.count("/token") == 0


async def test_an_upstream_that_moved_meanwhile_gets_no_grant(rig, server):
    query = await visit(await rig.begin())
    rig.url = f"{server.resource}/moved"
    await rig.start()
    await back(rig, query, "changed")


# What the server does


async def test_somebody_who_does_not_agree_is_told_so(rig, server):
    server.denies = True
    assert "did not agree" in (await back(rig, await visit(await rig.begin()), "denied")).public


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("temporarily_unavailable", "server_busy"),
        ("invalid_scope", "scope_refused"),
        ("<b>odd</b>", "error"),
        ("unauthorized_client", "client_unknown"),
    ],
)
async def test_an_error_has_a_sentence_of_the_hubs_own(rig, logged, error, code):
    query = [*with_said(await visit(await rig.begin()), code=None, error=error), ("error_description", UNTOLD)]
    failure = await back(rig, query, code)
    said = logged()
    assert failure.reference in said
    assert UNTOLD not in said
    assert "<b>" not in said


async def test_an_answer_without_a_code_is_of_no_use(rig):
    await back(rig, with_said(await visit(await rig.begin()), code=None), "no_code")


@pytest.mark.promise("T10", "T31")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusing("invalid_grant"), "code_refused"),
        (refusing("invalid_client", 401), "client_refused"),
        (broken(), "unusable"),
        (broken(500), "no_answer"),
        (huge(), "no_answer"),
        (redirecting("http://127.0.0.1:1/"), "unusable"),
    ],
)
async def test_a_server_that_gives_nothing_is_told_apart(rig, server, logged, answer, code):
    query = await visit(await rig.begin())
    server.answers["/token"] = answer
    await back(rig, query, code)
    said = logged()
    assert code in said
    assert UNTOLD not in said
    assert dict(query)["code"] not in said
    assert dict(query)["state"] not in said


async def test_a_token_that_is_no_bearer_token_is_not_used(rig, server):
    server.token_type = "DPoP"
    await back(rig, await visit(await rig.begin()), "unusable")


async def test_the_code_goes_where_it_was_said_when_it_was_begun(rig, server):
    query = await visit(await rig.begin())
    async with Places() as evil:
        server.say["token_endpoint"] = f"{evil.origin}/token"
        await rig.start()
        await rig.hub.prospect(ADA, "gh")
        await rig.hub.finish("gh", query, ADA, BROWSER)
        assert evil.connections == 0
    assert server.count("/token") == 1


# Before anybody is sent away


@pytest.mark.promise("T45")
@pytest.mark.parametrize("methods", [OMIT, ["plain"], []])
async def test_nobody_is_sent_to_a_server_that_does_not_announce_pkce(rig, server, methods):
    server.say["code_challenge_methods_supported"] = methods
    failed = await fails("no_pkce", rig.begin())
    assert failed.trace
    assert await rig.registrations() == []
    await rig.start(unadvertised_pkce=True)
    assert "code_challenge_method=S256" in await rig.begin()


@pytest.mark.promise("T42")
@pytest.mark.parametrize("page", ["javascript:alert(1)", "a:$(touch /tmp/x)", "file:///etc/passwd"])
async def test_nobody_is_sent_to_what_is_no_web_page(rig, server, page):
    server.say["authorization_endpoint"] = page
    await fails("bad_endpoint", rig.begin())


@pytest.mark.promise("T2")
async def test_endpoints_do_not_lead_inside(server):
    """The operator lets the hub go to 127.0.0.1; the code and the registration would go to 127.0.0.2."""
    async with Places("127.0.0.2") as canary, connecting(server.resource, allow_private=_only("127.0.0.1")) as rig:
        server.now = rig.now
        server.say |= {"registration_endpoint": f"{canary.origin}/register"}
        await fails("registration_failed", rig.begin())
        server.say |= {"registration_endpoint": OMIT, "token_endpoint": f"{canary.origin}/token"}
        server.admit("hub", redirect_uris=["http://127.0.0.1:8080/oauth/callback/gh"])
        await rig.start(client_id="hub", client_secret=Secret("s e/cret"))
        await back(rig, await visit(await rig.begin()), "no_answer")
        assert canary.connections == 0


def _only(address):
    return (ip_network(f"{address}/32"),)


async def test_what_cannot_be_found_out_is_said_with_its_steps(rig, server):
    server.answers["/.well-known/oauth-protected-resource/mcp"] = broken(503)
    failed = await fails("unavailable", rig.hub.prospect(ADA, "gh"))
    assert [step.ok for step in failed.trace][-1] is False


async def test_an_upstream_that_says_nothing_of_a_sign_in_cannot_be_connected(rig, server):
    for place in ("/.well-known/oauth-protected-resource/mcp", "/mcp", "/.well-known/oauth-authorization-server"):
        server.answers[place] = Answer(404, {})
    failed = await fails("not_offered", rig.hub.prospect(ADA, "gh"))
    assert failed.trace


async def test_a_registration_that_is_gone_connects_nobody(rig, server):
    query = await visit(await rig.begin())
    (row,) = await rig.registrations()
    await rig.store.retire_registration(row.id, rig.time - KEPT_FOR - 1)
    await rig.store.sweep(rig.time)
    await back(rig, query, "client_unknown")
    assert server.count("/token") == 0


async def test_the_store_holds_nothing_that_can_be_read(rig, server):
    url = await rig.begin()
    state = dict(parse_qsl(urlsplit(url).query))["state"]
    waiting = await rig.store.pending(KIND, sha256(state.encode()).digest(), rig.time)
    assert waiting is not None
    assert b"verifier" not in waiting.payload
    assert state.encode() not in waiting.payload


# Upstreams of which nothing is said


async def test_an_upstream_that_nothing_is_said_about_is_decided_when_it_refuses(server):
    async with connecting(server.resource, said=None) as rig:
        assert rig.hub.sign_in("gh") is SignIn.UNDECIDED
        assert await rig.hub.shown(ADA) == []
        where = f"{server.issuer}/.well-known/oauth-protected-resource/mcp"
        refusal = RefusedCredential("gh", "refused", challenges=(f'Bearer resource_metadata="{where}"',))
        assert await rig.hub.signs_in("gh", refusal)
        assert rig.hub.sign_in("gh") is SignIn.OAUTH
        await rig.start()
        assert rig.hub.sign_in("gh") is SignIn.OAUTH
        assert len(await rig.hub.shown(ADA)) == 1
        rig.url = f"{server.issuer}/other"
        await rig.start()
        assert rig.hub.sign_in("gh") is SignIn.UNDECIDED


async def test_whoever_connects_an_upstream_that_nothing_is_said_about_decides_it(server):
    async with connecting(server.resource, said=None) as rig:
        server.now = rig.now
        with pytest.raises(KeyError):
            rig.hub.access(ADA, "gh")
        await rig.connect()
        assert rig.hub.sign_in("gh") is SignIn.OAUTH


async def test_what_was_only_guessed_of_an_upstream_is_not_remembered_before_somebody_has_signed_in(server):
    async with connecting(server.resource, said=None) as rig:
        server.now = rig.now
        for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
            server.answers[path] = broken(404)
        published = "/.well-known/oauth-authorization-server"
        server.answers |= {published: broken(404), "/.well-known/openid-configuration": broken(404)}
        assert await rig.hub.signs_in("gh", RefusedCredential("gh", "refused", challenges=("Bearer",)))
        assert rig.hub.sign_in("gh") is SignIn.OAUTH
        await rig.start()
        assert rig.hub.sign_in("gh") is SignIn.UNDECIDED
        await rig.connect()
        await rig.start()
        assert rig.hub.sign_in("gh") is SignIn.OAUTH


@pytest.mark.promise("T33")
async def test_who_looks_decides_nothing(server):
    async with connecting(server.resource, said=None) as rig:
        await rig.hub.prospect(ADA, "gh")
        assert rig.hub.sign_in("gh") is SignIn.UNDECIDED
        await rig.start()
        assert rig.hub.sign_in("gh") is SignIn.UNDECIDED


async def test_an_upstream_that_lets_everybody_in_is_not_closed_to_them_by_one_who_would_sign_in(server):
    async with connecting(server.resource, said=None) as rig:
        server.answers["/mcp"] = Answer(200, {"jsonrpc": "2.0", "id": 1, "result": {}})
        await fails("not_offered", rig.hub.prospect(ADA, "gh"))
        await fails("not_offered", rig.hub.begin(ADA, "gh", BROWSER))
        assert rig.hub.sign_in("gh") is SignIn.UNDECIDED


async def test_an_upstream_that_is_down_decides_nothing(server):
    async with connecting(server.resource, said=None) as rig:
        server.answers["/.well-known/oauth-protected-resource/mcp"] = broken(503)
        refusal = RefusedCredential("gh", "refused", challenges=("Bearer",))
        assert not await rig.hub.signs_in("gh", refusal)
        del server.answers["/.well-known/oauth-protected-resource/mcp"]
        asked = len(server.seen)
        assert not await rig.hub.signs_in("gh", refusal)
        assert len(server.seen) == asked
        rig.time += APART
        assert await rig.hub.signs_in("gh", refusal)


# Other ways to a credential of one's own


def others(auth: Auth):
    return {"other": Upstream("other", "https://other.example/mcp", auth=auth)}


async def test_a_key_is_pasted_used_and_forgotten(rig):
    rig.upstreams = others(OwnHeader("X-Key", "pasted"))
    hub = await rig.start()
    assert (await hub.one(ADA, "other")).state is State.NOT_CONNECTED
    await fails("unusable_key", hub.paste(ADA, "other", Secret("a\r\nX-Evil: 1")))
    await hub.paste(ADA, "other", Secret("abcdefghijklmnop"))
    shown = await hub.one(ADA, "other")
    assert (shown.state, shown.key_hint, shown.sign_in) == (State.READY, "mnop", "pasted")
    assert b"abcdefghijklmnop" in (await hub.access(ADA, "other").credential()).open()
    with pytest.raises(ConnectionNeeded):
        await hub.access(BOB, "other").credential()
    assert await hub.disconnect(ADA, "other") is Ending.NO_WAY
    assert await hub.disconnect(ADA, "other") is Ending.NOTHING


# An upstream that is somewhere else


@pytest.mark.promise("T49")
@pytest.mark.parametrize("change", ["url", "issuer"])
async def test_what_was_given_for_another_address_or_issuer_is_neither_sent_nor_renewed(rig, server, change):
    await rig.connect()
    url, said = rig.url, rig.said
    if change == "url":
        rig.url = "https://elsewhere.example/mcp"
    else:
        rig.said = OAuth(issuer="https://as.elsewhere.example")
    hub = await rig.start()
    rig.time += 4000
    asked = len(server.seen)
    with pytest.raises(
        ConnectionNeeded, match=r"The address of GitHub was changed .* to connect GitHub again"
    ) as needed:
        await hub.access(ADA, "gh").credential()
    assert needed.value.state == "reconnect_needed"
    shown = await hub.one(ADA, "gh")
    assert (shown.state, "Connect again" in shown.sentence) == (State.RECONNECT_NEEDED, True)
    assert len(server.seen) == asked
    rig.url, rig.said = url, said
    hub = await rig.start()
    assert server.is_live((await hub.access(ADA, "gh").credential()).open().decode().split("Bearer ")[1].strip())


@pytest.mark.promise("T49")
async def test_what_somebody_allowed_at_another_address_is_not_asked_for_at_the_next(rig, server):
    grant = await rig.connect()
    await rig.store.put_grant(replace(grant, place="elsewhere", scopes=frozenset({"delete-everything"})))
    prospect = await rig.hub.prospect(ADA, "gh")
    assert (prospect.scopes, prospect.added) == (("offline_access", "read"), ())
    assert (await rig.connect()).place == grant.place
    assert (await rig.hub.one(ADA, "gh")).state is State.READY


@pytest.mark.promise("T49", "B14")
async def test_a_key_goes_to_the_address_that_it_was_pasted_for_and_to_no_other(rig):
    rig.upstreams = others(OwnHeader("X-Key", "pasted"))
    hub = await rig.start()
    await hub.paste(ADA, "other", Secret("abcdefghijklmnop"))
    rig.upstreams = {"other": Upstream("other", "https://evil.example/mcp", auth=OwnHeader("X-Key", "pasted"))}
    hub = await rig.start()
    with pytest.raises(ConnectionNeeded, match="The address of other was changed"):
        await hub.access(ADA, "other").credential()
    shown = await hub.one(ADA, "other")
    assert (shown.state, "Paste your key again" in shown.sentence) == (State.RECONNECT_NEEDED, True)
    await hub.paste(ADA, "other", Secret("ponmlkjihgfedcba"))
    assert b"ponmlkjihgfedcba" in (await hub.access(ADA, "other").credential()).open()


async def test_what_somebody_is_or_brings_needs_no_page(rig):
    caller = replace(ADA, email_verified=True, brought=(("x-my", Secret("mine")),))
    rig.upstreams = {
        **others(OwnHeader("X-User", "claim", "subject")),
        "brought": Upstream("brought", "https://b.example", auth=OwnHeader("X-Key", "brought", "x-my")),
    }
    hub = await rig.start()
    assert [each.sign_in for each in await hub.shown(caller)] == ["oauth", "claim", "brought"]
    assert b"X-User: ada" in (await hub.access(caller, "other").credential()).open()
    assert b"mine" in (await hub.access(caller, "brought").credential()).open()
    with pytest.raises(ConnectionNeeded):
        await hub.access(ADA, "brought").credential()


async def test_who_brings_nothing_or_is_not_known_is_not_said_to_be_ready(rig):
    caller = replace(ADA, email_verified=True, brought=(("x-my", Secret("mine")),))
    rig.upstreams = {
        **others(OwnHeader("X-User", "claim", "email")),
        "brought": Upstream("brought", "https://b.example", auth=OwnHeader("X-Key", "brought", "x-my")),
    }
    hub = await rig.start()
    for name in rig.upstreams:
        assert (await hub.one(caller, name)).state is State.READY
        stranger = await hub.one(ADA, name)
        assert stranger.state is State.NOT_CONNECTED
        with pytest.raises(ConnectionNeeded) as needed:
            await hub.access(ADA, name).credential()
        assert stranger.sentence == needed.value.public


async def test_upstreams_where_nobody_connects_are_none(rig):
    rig.upstreams = {"plain": Upstream("plain", "https://p.example", headers={"X": Secret("y")})}
    hub = await rig.start()
    assert hub.sign_in("plain") is SignIn.SHARED
    for wrong in ("plain", "nobody"):
        with pytest.raises(KeyError):
            await hub.prospect(ADA, wrong)
        with pytest.raises(KeyError):
            await hub.disconnect(ADA, wrong)
        with pytest.raises(KeyError):
            hub.access(ADA, wrong)
    with pytest.raises(KeyError):
        await hub.paste(ADA, "gh", Secret("x" * 20))


async def test_what_the_hub_publishes_of_itself_is_about_upstreams_that_people_sign_in_to(rig):
    rig.upstreams = {"plain": Upstream("plain", "https://p.example", headers={"X": Secret("y")})}
    hub = await rig.start()
    assert hub.client_document("gh.json")["client_id"].endswith("/oauth/client/gh.json")
    assert hub.client_document("gh.public.json")["token_endpoint_auth_method"] == "none"
    assert [hub.client_document(each) for each in ("plain.json", "nobody.json", "gh", "")] == [None] * 4
    assert "d" not in hub.jwks()["keys"][0]


async def test_a_connection_that_ended_says_why(rig):
    grant = await rig.connect()
    await rig.store.mark_grant(grant.id, grant.version, "as.example has ended the access.", rig.time)
    shown = await rig.hub.one(ADA, "gh")
    assert shown.state is State.RECONNECT_NEEDED
    assert shown.sentence.startswith("as.example has ended the access.")
    assert (await rig.connect()).state is GrantState.READY
