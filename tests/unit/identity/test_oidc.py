"""Signing in at a provider that is honest, and at ones that are down, slow, huge or lie in one thing."""

import asyncio
import json
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from mcp_hub.config.model import Provider
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import GuardedFetch
from mcp_hub.identity.arrival import Arrival, LoginFailed
from mcp_hub.identity.oidc import KIND, LASTS, RelyingParty
from mcp_hub.identity.tokens import digest
from mcp_hub.secret import Secret
from mcp_hub.store.sqlite import SqliteStore
from rig.parts import LOOPBACK
from rig.provider import FakeProvider
from rig.signing import confused, key_pair, sign, unsigned

pytestmark = pytest.mark.promise("C24")

BROWSER, OTHER = b"b" * 32, b"o" * 32
BACK = "https://hub.example/login/callback"
DIALER = Dialer(allow_private=LOOPBACK)


class Plain:
    """A sealer that leaves everything as it is."""

    def seal(self, value, row):
        return value

    async def open(self, sealed, row):
        return sealed


class World:
    """A hub, a provider that it trusts, and the store between two steps of a login."""

    def __init__(self, provider: FakeProvider, **options):
        self.time = 1_000_000.0
        self.there = provider
        self.store = SqliteStore.open(":memory:")
        self.fetch = GuardedFetch(DIALER)
        self.options = options
        self.start()

    def now(self):
        return self.time

    def start(self, sealer=None, **changes):
        """The hub, as it is after a start."""
        secret = Secret(self.there.secret) if self.there.secret is not None else None
        declared = Provider(self.there.issuer, self.there.client, secret)
        self.party = RelyingParty(
            replace(declared, **{**self.options, **changes}),
            BACK,
            self.store,
            fetch=self.fetch,
            sealer=sealer or Plain(),
            now=self.now,
        )

    async def begin(self, browser=BROWSER, next_path="/clients"):
        return await self.party.begin(browser, next_path)

    async def back(self, subject="alice"):
        """What a browser comes back with that was sent there."""
        return self.there.authorize(await self.begin(), subject)

    async def arrive(self, query=None, browser=BROWSER):
        return await self.party.finish(await self.back() if query is None else query, browser)

    async def fails(self, reason, query=None, browser=BROWSER):
        """A login that lets nobody in, for this reason; the sentence for people."""
        query = await self.back() if query is None else query
        with pytest.raises(LoginFailed) as failed:
            await self.arrive(query, browser)
        assert failed.value.reason == reason
        for _, value in query:
            assert len(value) < 4 or value == self.there.issuer or value not in failed.value.public
        assert "SECRET" not in failed.value.public
        return failed.value.public


@pytest.fixture
async def make():
    worlds = []

    async def made(*, secret="s e/cret", **options):
        there = FakeProvider(lambda: worlds[-1].time if worlds else 1_000_000.0, secret=secret)
        await there.__aenter__()
        worlds.append(World(there, **options))
        return worlds[-1]

    async with asyncio.timeout(10):
        yield made
    for world in worlds:
        await world.party.aclose()
        await world.fetch.aclose()
        await world.there.__aexit__()
        await world.store.aclose()


@pytest.fixture
async def world(make):
    return await make()


# An honest provider


async def test_somebody_who_signs_in_there_arrives_with_what_the_provider_says_of_them(world):
    world.there.claims = {"email": "a@example.com", "email_verified": True, "name": "Alice", "groups": ["dev"]}
    assert await world.arrive() == Arrival(
        world.there.issuer, "alice", "a@example.com", True, "Alice", frozenset({"dev"}), "/clients"
    )
    assert [path for _, path, _, _ in world.there.seen] == ["/.well-known/openid-configuration", "/token", "/jwks"]


async def test_a_browser_is_sent_there_with_nothing_but_what_is_needed(world):
    url = await world.begin()
    asked = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith(f"{world.there.issuer}/authorize?")
    assert set(asked) == {
        *("response_type", "client_id", "redirect_uri", "scope", "state"),
        *("nonce", "code_challenge", "code_challenge_method"),
    }
    assert (asked["scope"], asked["redirect_uri"]) == ("openid profile email", BACK)
    assert len(asked["state"]) >= 43
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert dict(parse_qsl(urlsplit(await world.begin()).query))["state"] != asked["state"]


async def test_an_authorization_endpoint_may_have_a_query_of_its_own(world):
    world.there.say = {"authorization_endpoint": f"{world.there.issuer}/authorize?tenant=a"}
    assert "/authorize?tenant=a&response_type=code" in await world.begin()


@pytest.mark.parametrize(
    ("secret", "methods", "in_header"),
    [
        ("s e/cret", ["client_secret_basic", "client_secret_post"], True),
        ("s e/cret", None, True),
        ("s e/cret", ["client_secret_post"], False),
        (None, ["none"], False),
        (None, None, False),
    ],
)
async def test_the_hub_shows_who_it_is_in_the_way_that_the_provider_takes(make, secret, methods, in_header):
    world = await make(secret=secret)
    world.there.say = {"token_endpoint_auth_methods_supported": methods}
    assert (await world.arrive()).subject == "alice"
    (_, _, headers, form) = next(each for each in world.there.seen if each[1] == "/token")
    assert ("authorization" in headers, "client_id" in form) == (in_header, not in_header)
    assert "s e/cret" not in json.dumps(list(headers.values()))


async def test_user_info_is_asked_for_only_if_something_is_missing(make):
    world = await make(scopes=("openid", "email"), admin_groups=("ops",))
    world.there.claims = {"email": "a@example.com", "groups": ["ops"]}
    await world.arrive()
    assert "/userinfo" not in [path for _, path, _, _ in world.there.seen]
    world.there.claims = {"email_verified": True}
    world.there.info = {"email": "b@example.com", "email_verified": False, "groups": ["ops", "dev"], "name": "B"}
    arrival = await world.arrive()
    assert (arrival.email, arrival.email_verified, arrival.name) == ("b@example.com", False, "B")
    assert arrival.groups == {"ops", "dev"}


@pytest.mark.parametrize(
    ("said", "is_verified"), [(True, True), ("true", True), (False, False), (1, False), ("yes", False), (None, False)]
)
async def test_an_address_is_verified_only_if_the_provider_says_so(world, said, is_verified):
    world.there.claims = {"email": "a@example.com", "email_verified": said}
    assert (await world.arrive()).email_verified is is_verified


# Whoever comes back


@pytest.mark.promise("C24", "T35")
async def test_a_login_is_finished_in_the_browser_in_which_it_began(world):
    query = await world.back()
    await world.fails("another_browser", query, OTHER)
    await world.fails("no_such_login", query, BROWSER)
    assert "/token" not in [path for _, path, _, _ in world.there.seen]


async def test_a_login_is_finished_once(world):
    query = await world.back()
    answers = await asyncio.gather(*(world.arrive(query) for _ in range(10)), return_exceptions=True)
    assert [type(each) for each in answers].count(Arrival) == 1
    assert len([path for _, path, _, _ in world.there.seen if path == "/token"]) == 1


@pytest.mark.promise("T55")
async def test_a_login_is_finished_in_time(world):
    query = await world.back()
    world.time += LASTS
    await world.fails("no_such_login", query)


@pytest.mark.parametrize("state", [[], [("state", "")], [("state", "guess")], [("state", "\ud800")]])
async def test_an_answer_to_no_login_of_ours_is_not_acted_on(world, state):
    query = [pair for pair in await world.back() if pair[0] != "state"]
    await world.fails("no_such_login", [*query, *state])
    assert "/token" not in [path for _, path, _, _ in world.there.seen]


@pytest.mark.parametrize("name", ["state", "code", "iss", "error"])
async def test_a_parameter_that_counts_stands_once(world, name):
    query = [*await world.back(), ("error", "x")]
    await world.fails("malformed", [*query, (name, dict(query)[name])])
    assert await world.store.take_pending(KIND, digest(dict(query)["state"]), world.time), "the login goes on"


async def test_what_nobody_asked_for_is_ignored_and_what_is_too_long_refused(world):
    assert await world.arrive([*await world.back(), ("session_state", "x"), ("session_state", "y")])
    await world.fails("malformed", [*(await world.back())[1:], ("code", "c" * 5000)])


@pytest.mark.promise("T43")
@pytest.mark.parametrize("named", [None, "https://evil.example", "slash", ""])
async def test_an_answer_of_another_issuer_is_refused_before_anything_of_it_counts(world, named):
    named = f"{world.there.issuer}/" if named == "slash" else named
    query = [pair for pair in await world.back() if pair[0] != "iss"]
    iss = [] if named is None else [("iss", named)]
    await world.fails("another_issuer", [*query, *iss, ("error", "access_denied")])
    assert "/token" not in [path for _, path, _, _ in world.there.seen]


@pytest.mark.promise("T43")
async def test_a_provider_that_does_not_announce_iss_may_leave_it_out_but_not_change_it(world):
    world.there.say = {"authorization_response_iss_parameter_supported": None}
    query = [pair for pair in await world.back() if pair[0] != "iss"]
    assert (await world.arrive(query)).subject == "alice"
    query = [pair for pair in await world.back() if pair[0] != "iss"]
    await world.fails("another_issuer", [*query, ("iss", "https://evil.example")])


@pytest.mark.promise("T40", "C24")
async def test_somebody_who_did_not_sign_in_there_is_told_so_in_our_words(world):
    query = [pair for pair in await world.back() if pair[0] != "code"]
    said = await world.fails("denied", [*query, ("error", "<script>alert(1)</script>"), ("error_description", "EVIL")])
    assert "script" not in said
    assert "EVIL" not in said
    await world.fails("malformed", [pair for pair in await world.back() if pair[0] != "code"])


async def test_a_login_goes_on_after_a_restart_unless_the_provider_was_changed(world):
    query = await world.back()
    world.start()
    assert (await world.arrive(query)).subject == "alice"
    world.there.say = {"authorization_response_iss_parameter_supported": None}
    world.start()
    query = [pair for pair in await world.back() if pair[0] != "iss"]
    world.party._provider = replace(world.party._provider, issuer="https://other.example")
    await world.fails("another_issuer", query)


@pytest.mark.promise("T32", "C24")
async def test_what_waits_in_the_store_is_sealed_for_its_row(world):
    class Vault:
        def __init__(self):
            self.rows = []

        def seal(self, value, row):
            self.rows.append(row)
            return bytes(each ^ 0x55 for each in value)

        async def open(self, sealed, row):
            assert self.rows == [row]
            return self.seal(sealed, row)

    world.start(sealer=Vault())
    query = await world.back()
    (waiting,) = [await world.store.pending(KIND, digest(dict(query)["state"]), world.time)]
    assert b"verifier" not in waiting.payload
    assert (await world.arrive(query)).next_path == "/clients"


async def test_logins_under_way_are_bounded(world, monkeypatch):
    monkeypatch.setattr("mcp_hub.identity.oidc.MOST_WAITING", 3)
    first = await world.back()
    kept = [await world.back() for _ in range(3)]
    with pytest.raises(LoginFailed) as failed:
        await world.arrive(first)
    assert failed.value.reason == "no_such_login"
    for query in kept:
        assert (await world.arrive(query)).subject


# A provider that lies


EVIL = key_pair("evil")
LIES = {
    "it names another issuer": {"iss": "https://evil.example"},
    "it is for another client": {"aud": "other"},
    "it is for another client too": {"aud": ["hub", "other"], "azp": "hub"},
    "it was made for another client": {"azp": "other"},
    "it is for another login": {"nonce": "other"},
    "it is for no login": {"nonce": None},
    "its nonce is no text": {"nonce": 5},
    "its nonce is half a pair": {"nonce": ["x"]},
    "it has expired": {"exp": 1_000_000 - 120},
    "it never expires": {"exp": None},
    "it is from the future": {"iat": 1_000_000 + 120},
    "it has no date": {"iat": None},
    "it names nobody": {"sub": None},
    "it names somebody at length": {"sub": "a" * 300},
}


@pytest.mark.promise("C24", "T14", "T55")
@pytest.mark.parametrize("claims", LIES.values(), ids=LIES)
async def test_an_id_token_that_is_not_for_this_login_lets_nobody_in(world, claims):
    world.there.claims = {"email": "a@example.com", **claims}
    said = await world.fails("proof_refused")
    assert "does not prove who you are" in said


@pytest.mark.promise("C24", "T56")
@pytest.mark.parametrize(
    "signs",
    [
        unsigned,
        lambda claims: sign(claims, EVIL),
        lambda claims: sign(claims, EVIL, kid="provider"),
        lambda claims: sign(claims, EVIL, kid="provider", jwk=EVIL.as_dict(private=False)),
        lambda claims: confused(claims, key_pair("provider")),
        lambda claims: sign(claims, key_pair("provider"), typ="at+jwt"),
        lambda claims: sign(claims, key_pair("provider"))[:-8] + "AAAAAAAA",
        lambda claims: "not a token",
        lambda claims: {"a": 1},
        lambda claims: None,
    ],
)
async def test_an_id_token_that_the_provider_did_not_sign_lets_nobody_in(world, signs):
    world.there.signs = signs
    await world.fails("proof_refused")


@pytest.mark.promise("C24", "T56")
@pytest.mark.parametrize("announced", [["RS256"], ["none"], ["HS256", "none"], []])
async def test_only_announced_asymmetric_algorithms_count(world, announced):
    world.there.say = {"id_token_signing_alg_values_supported": announced}
    await world.fails("proof_refused")


async def test_user_info_of_somebody_else_lets_nobody_in(make):
    world = await make(admin_groups=("ops",))
    world.there.info = {"sub": "bob", "groups": ["ops"]}
    await world.fails("proof_refused")


@pytest.mark.promise("T45")
async def test_a_code_that_was_got_without_our_challenge_is_of_no_use(world):
    query = await world.back()
    for asked in world.there._codes.values():
        asked["code_challenge"] = "another"
    await world.fails("proof_refused", query)


@pytest.mark.parametrize("kind", ["MAC", "", None, ["Bearer"]])
async def test_an_answer_with_a_token_of_another_kind_is_refused(world, kind):
    async def odd():
        status, said = world.there._token(*world.there.seen[-1][2:])
        return status, {**said, "token_type": kind}

    world.there.answers["/token"] = odd
    await world.fails("proof_refused")


# A provider that is down, slow or huge


METADATA, HUGE = "/.well-known/openid-configuration", b"x" * 100_000
ODD = [(500, {}), (200, b"<html>SECRET</html>"), (200, HUGE), (302, {}), (200, []), (200, b"")]


@pytest.mark.promise("C24", "T57")
@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
async def test_without_metadata_nobody_is_sent_anywhere(world, answer):
    world.there.answers[METADATA] = answer
    with pytest.raises(LoginFailed) as failed:
        await world.begin()
    assert failed.value.reason == "provider_down"
    assert failed.value.public.startswith("127.0.0.1:")
    assert "SECRET" not in failed.value.public


@pytest.mark.promise("C24", "T57", "T56")
@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
async def test_without_keys_nobody_is_let_in(world, answer):
    world.there.answers["/jwks"] = answer
    await world.fails("provider_down")


@pytest.mark.promise("C24", "T57")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, {"error": "SECRET"}), "provider_down"),
        ((400, {"error": "invalid_grant", "error_description": "SECRET"}), "proof_refused"),
        ((401, {"error": ["SECRET"]}), "proof_refused"),
        ((302, {}), "proof_refused"),
        ((200, b"<html>SECRET"), "proof_refused"),
        ((200, HUGE), "provider_down"),
        ((200, []), "proof_refused"),
        ((200, b"[" * 60_000), "proof_refused"),
    ],
)
async def test_a_code_that_cannot_be_redeemed_lets_nobody_in(world, answer, reason, caplog):
    world.there.answers["/token"] = answer
    await world.fails(reason)
    assert "SECRET" not in caplog.text


async def test_a_provider_that_stops_in_the_middle_of_a_login_lets_nobody_in_and_says_so(world):
    query = await world.back()
    world.there._server.close()
    said = await world.fails("provider_down", query)
    assert "Try again in a moment" in said


@pytest.mark.promise("T24", "C24")
async def test_a_provider_that_is_slow_keeps_nobody_else_waiting(world):
    query, other = await world.back(), await world.back("bob")
    entered, release, held = asyncio.Event(), asyncio.Event(), []

    async def first_is_slow():
        if not held:
            held.append(1)
            entered.set()
            await release.wait()
            return 500, {}
        headers, form = world.there.seen[-1][2:]
        return world.there._token(headers, form)

    world.there.answers["/token"] = first_is_slow
    slow = asyncio.ensure_future(world.arrive(query))
    await entered.wait()
    assert (await world.arrive(other)).subject == "bob"
    release.set()
    with pytest.raises(LoginFailed):
        await slow


@pytest.mark.promise("T42", "T45", "C24")
@pytest.mark.parametrize(
    "say",
    [
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "a:$(touch x)"},
        {"authorization_endpoint": None},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": None},
        {"jwks_uri": 5},
        {"code_challenge_methods_supported": ["plain"]},
        {"code_challenge_methods_supported": []},
        {"issuer": "https://evil.example"},
    ],
)
async def test_metadata_that_would_lead_astray_send_nobody_anywhere(world, say):
    world.there.say = say
    with pytest.raises(LoginFailed) as failed:
        await world.begin()
    assert failed.value.reason == "provider_down"
    assert "javascript" not in failed.value.public


async def test_a_provider_that_takes_no_secret_of_ours_is_not_sent_it(world):
    world.there.say = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
    await world.fails("provider_down")
    assert "/token" not in [path for _, path, _, _ in world.there.seen]


async def test_a_provider_that_does_not_give_user_info_lets_nobody_in_whose_groups_matter(make):
    world = await make(allowed_groups=("staff",))
    world.there.answers["/userinfo"] = (503, {})
    await world.fails("provider_down")
    world.there.answers["/userinfo"] = (200, b"<html>")
    await world.fails("proof_refused")


@pytest.mark.promise("T2")
async def test_a_provider_inside_the_network_is_not_asked_unless_the_operator_allows_that(world):
    await world.fetch.aclose()
    world.fetch = GuardedFetch(Dialer())
    world.start()
    with pytest.raises(LoginFailed):
        await world.begin()
    assert world.there.seen == []
