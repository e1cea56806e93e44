"""Calls of a token endpoint, against a server that does everything wrong."""

import asyncio
import logging

import pytest

from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import GuardedFetch
from mcp_hub.oauth.client_proof import Prover
from mcp_hub.oauth.scope_words import MOST, read_scopes, written
from mcp_hub.oauth.server import Client
from mcp_hub.oauth.token_calls import (
    LONGEST_LIFE,
    Denied,
    NoAnswer,
    TokenCallFailed,
    TokenCalls,
    Unusable,
    lifetime,
)
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Registration, Source
from rig.misbehaving_as import OMIT, UNTOLD, Answer, MisbehavingAS, broken, huge, redirecting, refusing
from rig.parts import LOOPBACK

pytestmark = pytest.mark.promise("B15")

NOW = 1_000_000.0


class Rig:
    """A server, a client that it knows, and calls of it."""

    def __init__(self, server: MisbehavingAS) -> None:
        self.server = server
        known = server.admit()
        registration = Registration(
            *("r1", "default", "up", server.issuer, "hub", known.method, "https://hub/cb", Source.CONFIGURED),
            *(None, None, None, None, 1.0),
        )
        self.client = Client(registration, Secret(known.secret or ""))
        self.fetch = GuardedFetch(Dialer(allow_private=LOOPBACK))
        self.calls = TokenCalls(self.fetch, Prover(), lambda: NOW)

    async def refresh(self, token: str | None = None, **more):
        token = token or self.server.give(scopes="read write")["refresh_token"]
        return await self.calls.refresh(
            self.client,
            self.server.token_endpoint,
            refresh_token=Secret(token),
            **{"scopes": frozenset({"read"}), **more},
        )

    async def revoke(self, token: str):
        await self.calls.revoke(self.client, self.server.revocation_endpoint, Secret(token), "refresh_token")


@pytest.fixture
async def rig():
    async with MisbehavingAS() as server:
        made = Rig(server)
        yield made
        await made.fetch.aclose()


async def test_a_refresh_gives_a_new_pair_and_says_what_it_is_for(rig):
    given = rig.server.give(scopes="read write", resource="https://up.example/mcp")
    tokens = await rig.refresh(given["refresh_token"], resource="https://up.example/mcp")
    assert rig.server.is_live(tokens.access_token.open())
    assert tokens.refresh_token.open() != given["refresh_token"]
    assert tokens.expires_at == NOW + 3600
    assert tokens.scopes == {"read", "write"}
    asked = rig.server.seen[-1].form
    assert asked["resource"] == "https://up.example/mcp"
    assert asked["scope"] == "read"


async def test_a_code_is_exchanged_with_its_verifier(rig):
    rig.server.clients["hub"].redirect_uris = ("https://hub/cb",)
    rig.server.answers["/token"] = Answer(200, {"access_token": "a", "token_type": "bEARER"})
    asked = {"code": Secret("c"), "verifier": Secret("v"), "scopes": frozenset({"x"})}
    tokens = await rig.calls.exchange(rig.client, rig.server.token_endpoint, **asked)
    sent = rig.server.seen[-1].form
    assert sent == {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": "https://hub/cb",
        "code_verifier": "v",
    }
    assert (tokens.scopes, tokens.refresh_token, tokens.expires_at) == ({"x"}, None, None)


async def test_scopes_are_left_out_where_that_is_asked_for(rig):
    await rig.refresh(say_scopes=False)
    assert "scope" not in rig.server.seen[-1].form


@pytest.mark.promise("T55")
@pytest.mark.parametrize(
    ("said", "lasts"),
    [
        (3600, 3600.0),
        ("3600", 3600.0),
        (59.5, 59.5),
        (10**12, LONGEST_LIFE),
        ("999999999999", LONGEST_LIFE),
        (10**400, LONGEST_LIFE),
        (0, None),
        (-5, None),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        (True, None),
        (None, None),
        ([3600], None),
        (float("inf"), LONGEST_LIFE),
        (float("nan"), None),
    ],
)
def test_a_lifetime_that_cannot_be_is_not_known(said, lasts):
    assert lifetime(said) == lasts


@pytest.mark.promise("T55")
async def test_the_end_is_counted_from_the_answer_and_not_from_the_question(rig):
    clock = iter([NOW + 9, NOW + 99])
    calls = TokenCalls(rig.fetch, Prover(), lambda: next(clock))
    tokens = await calls.client_credentials(rig.client, rig.server.token_endpoint)
    assert tokens.expires_at == NOW + 9 + 3600


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(500, {}), NoAnswer),
        (Answer(503, {}), NoAnswer),
        (Answer(429, {}), NoAnswer),
        (refusing("temporarily_unavailable"), NoAnswer),
        (huge(), NoAnswer),
        (redirecting("http://127.0.0.1:1/"), Unusable),
        (redirecting("http://127.0.0.1:1/", 302), Unusable),
        (broken(), Unusable),
        (Answer(200, {}), Unusable),
        (Answer(200, []), Unusable),
        (Answer(200, {"access_token": "a", "token_type": "mac"}), Unusable),
        (Answer(200, {"access_token": "a", "token_type": "DPoP"}), Unusable),
        (Answer(200, {"access_token": "a"}), Unusable),
        (Answer(200, {"access_token": "a\r\nX: y", "token_type": "bearer"}), Unusable),
        (Answer(200, {"access_token": "a b", "token_type": "bearer"}), Unusable),
        (Answer(200, {"access_token": "x" * 20_000, "token_type": "bearer"}), Unusable),
        (Answer(200, {"access_token": 5, "token_type": "bearer"}), Unusable),
        (Answer(200, {"access_token": "", "token_type": "bearer"}), Unusable),
        (Answer(200, {"access_token": "a", "refresh_token": ["r"], "token_type": "bearer"}), Unusable),
        (Answer(200, {"error": "bad_verification_code"}), Denied),
        (refusing("invalid_grant"), Denied),
        (refusing("invalid_client", 401), Denied),
        (broken(403), Denied),
    ],
)
async def test_each_wrong_answer_is_sorted_by_what_can_be_done(rig, answer, kind):
    rig.server.answers["/token"] = answer
    with pytest.raises(TokenCallFailed) as failed:
        await rig.refresh()
    assert type(failed.value) is kind
    assert rig.server.count("/token") == 1  # once, never again


@pytest.mark.promise("T31")
async def test_of_a_refusal_nothing_is_kept_but_its_code(rig, caplog):
    caplog.set_level(logging.DEBUG)
    for answer in (refusing("invalid_grant"), broken(400), refusing(UNTOLD), refusing("x" * 65)):
        rig.server.answers["/token"] = answer
        with pytest.raises(Denied) as failed:
            await rig.refresh("canary-token")
        assert failed.value.code in ("invalid_grant", "")
        assert UNTOLD not in str(failed.value)
    assert "invalid_grant" in caplog.text
    for untold in (UNTOLD, "canary-token", "s e/cret", "s+e%2Fcret"):
        assert untold not in caplog.text


async def test_who_is_asked_to_wait_is_told_how_long(rig):
    for said, wait in (("7", 7.0), ("99999999", 3600.0), ("Mon, 01 Jan", None), ("-1", None)):
        rig.server.answers["/token"] = Answer(429, {}, {"Retry-After": said})
        with pytest.raises(NoAnswer) as failed:
            await rig.refresh()
        assert failed.value.retry_after == wait


async def test_a_server_that_is_gone_is_one_that_does_not_answer(rig):
    await rig.server.__aexit__()
    with pytest.raises(NoAnswer):
        await rig.refresh("any")


async def test_a_token_is_ended_at_the_other_side(rig):
    given = rig.server.give()
    await rig.revoke(given["refresh_token"])
    assert not rig.server.is_live(given["refresh_token"])
    await rig.revoke("never-there")  # RFC 7009 section 2.2: it has ended as well
    rig.server.answers["/revoke"] = Answer(500, {})
    with pytest.raises(NoAnswer):
        await rig.revoke("any")
    rig.server.answers["/revoke"] = refusing("unsupported_token_type")
    with pytest.raises(Denied):
        await rig.revoke("any")


async def test_the_server_of_these_tests_ends_a_family_when_something_comes_twice(rig):
    given = rig.server.give(scopes="read")
    new = await rig.refresh(given["refresh_token"])
    with pytest.raises(Denied, match="invalid_grant"):
        await rig.refresh(given["refresh_token"])
    assert rig.server.reuses == 1
    assert not rig.server.is_live(new.access_token.open())


async def test_a_missing_scope_is_what_was_asked_for(rig):
    rig.server.says_scope = False
    rig.server.expires_in = OMIT
    tokens = await rig.refresh()
    assert tokens.scopes == {"read"}
    assert tokens.expires_at is None
    assert (await asyncio.wait_for(rig.refresh(scopes=frozenset()), 5)).scopes == frozenset()


def test_what_is_no_scope_is_left_out_and_there_are_never_too_many():
    assert read_scopes("read  write read") == {"read", "write"}
    assert read_scopes('a"b \\ ok \x00 ü') == {"ok"}
    assert read_scopes("x" * 300) is None
    assert read_scopes("") is read_scopes(None) is read_scopes(["a"]) is None
    assert len(read_scopes(" ".join(map(str, range(1000)))) or ()) == MOST
    assert written({"b", "a"}) == "a b"
