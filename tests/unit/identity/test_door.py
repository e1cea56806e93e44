import asyncio

import pytest

from mcp_hub.errors import BadCredentials, Forbidden, Unauthenticated
from mcp_hub.identity import door as door_module
from mcp_hub.identity.door import LONGEST, REFUSED_FOR, TokenDoor
from mcp_hub.identity.judge import Undecided
from mcp_hub.identity.protected import Protected
from mcp_hub.identity.scopes import ADMIN, USE
from mcp_hub.identity.signatures import TokenRefused
from mcp_hub.principal import Principal
from rig.token_store import DOWN, HUB, TokenStore, bearer

pytestmark = pytest.mark.promise("C23")

OTHER = "https://hub.example/s/b/mcp"
METADATA = 'resource_metadata="https://hub.example/.well-known/oauth-protected-resource/mcp"'


class World:
    """A door over a store, at a time that the test sets; two endpoints, and two people."""

    def __init__(self, **options):
        self.time = 1000.0
        self.store = TokenStore()
        self.store.add("alice", "admin", "user")
        self.store.add("bob", "user")
        places = [Protected(HUB, ("https://hub.example",)), Protected(OTHER, ("https://hub.example",))]
        self.door = TokenDoor(self.store, places, now=lambda: self.time, **options)

    async def identify(self, token, resource=HUB, query=b""):
        return await self.door.identify(bearer(token), query, resource)

    async def refusal(self, token, resource=HUB):
        with pytest.raises(Unauthenticated) as refused:
            await self.identify(token, resource)
        return refused.value


@pytest.fixture
def world():
    return World()


async def test_a_personal_token_makes_its_owner_known(world):
    caller = await world.identify(world.store.give_personal("bob"))
    assert (caller.key, caller.label) == (("default", "local", "bob"), "bob@example.com")
    assert (caller.client, caller.scopes) == ("", {USE})


async def test_an_access_token_makes_its_user_known_and_the_client_that_calls_for_them(world):
    caller = await world.identify(world.store.give_access("bob", client="claude"))
    assert (caller.subject, caller.client) == ("bob", "claude")


async def test_a_client_that_acts_for_itself_is_nobody_else(world):
    caller = await world.identify(world.store.give_access("", client="nightly"))
    assert (caller.issuer, caller.subject, caller.client, caller.roles) == ("client", "nightly", "nightly", frozenset())


@pytest.mark.promise("C23", "S1")
async def test_a_token_that_is_known_costs_no_question(world):
    token = world.store.give_access("bob")
    assert world.door.known(bearer(token)) is None
    caller = await world.identify(token)
    asked = list(world.store.asked)
    assert [world.door.known(bearer(token)) for _ in range(100)] == [caller] * 100
    assert await world.identify(token) is caller
    assert world.store.asked == asked


async def test_nobody_is_told_where_to_become_known_without_an_error(world):
    for headers in ([], [(b"authorization", b"Basic eA==")], [(b"cookie", b"mcp_hub=x")]):
        with pytest.raises(Unauthenticated) as refused:
            await world.door.identify(headers, b"", HUB)
        assert refused.value.challenge == f'Bearer {METADATA}, scope="hub:use"'
        assert world.door.known(headers) is None
    assert world.store.asked == []


@pytest.mark.parametrize("query", [b"access_token=x", b""])
async def test_credentials_in_a_wrong_form_are_a_bad_request(world, query):
    token = world.store.give_personal("bob")
    headers = bearer(token) if query else bearer(token) * 2
    with pytest.raises(BadCredentials) as refused:
        await world.door.identify(headers, query, HUB)
    assert refused.value.challenge.startswith('Bearer error="invalid_request"')
    await world.identify(token)
    assert world.door.known(bearer(token) * 2) is None


@pytest.mark.parametrize(
    "token",
    [
        "unknown",
        "mcphub_pat_unknown",
        "mcphub_at_unknown",
        "mcphub_rt_refresh",
        "mcphub_ac_code",
        "mcphub_bs_x",
        "a.b.c",
    ],
)
async def test_a_token_that_nobody_has_given_is_invalid(world, token):
    refused = await world.refusal(token)
    assert refused.challenge == f'Bearer error="invalid_token", {METADATA}, scope="hub:use"'
    assert token not in refused.public


@pytest.mark.promise("T55")
async def test_a_token_ends_when_it_ends_also_while_it_is_known(world):
    for token in (
        world.store.give_access("bob", "f1", expires_at=world.time + 10),
        world.store.give_access("bob", "f2", ends=world.time + 10),
        world.store.give_personal("bob", expires_at=world.time + 10),
    ):
        start = world.time
        await world.identify(token)
        world.time += 9
        assert world.door.known(bearer(token)) is not None
        world.time += 1
        assert world.door.known(bearer(token)) is None
        await world.refusal(token)
        world.time = start


@pytest.mark.promise("T14")
async def test_a_token_for_one_endpoint_is_none_for_another(world):
    here, there = world.store.give_access("bob", "f1"), world.store.give_access("bob", "f2", resource=OTHER)
    for _ in range(2):
        assert (await world.identify(here)).subject == "bob"
        assert (await world.identify(there, OTHER)).subject == "bob"
        await world.refusal(here, OTHER)
        await world.refusal(there)
        assert world.door.known(bearer(there)) is None
    for odd in (HUB + "/", HUB.upper(), "https://hub.example", "", HUB + "#", "https://evil.example/mcp"):
        await world.refusal(world.store.give_access("bob", "f3", resource=odd))


@pytest.mark.promise("T14")
async def test_a_personal_token_is_good_at_every_endpoint(world):
    token = world.store.give_personal("bob")
    assert await world.identify(token) is await world.identify(token, OTHER)


async def test_a_token_without_the_scope_to_use_the_hub_may_not(world):
    for token in (world.store.give_personal("bob", scopes=()), world.store.give_access("bob", scopes=("other",))):
        for _ in range(2):
            with pytest.raises(Forbidden) as refused:
                await world.identify(token)
            assert refused.value.challenge == f'Bearer error="insufficient_scope", {METADATA}, scope="hub:use"'
            assert world.door.known(bearer(token)) is None


@pytest.mark.promise("T58")
async def test_a_token_gives_no_more_than_its_scopes_and_no_more_than_its_owner_has(world):
    give = world.store.give_personal
    assert (await world.identify(give("alice", scopes=(ADMIN,)))).is_admin
    assert not (await world.identify(give("alice", scopes=(USE,)))).is_admin
    assert not (await world.identify(give("bob", scopes=(ADMIN, USE)))).is_admin
    assert not (await world.identify(world.store.give_access("", "m", scopes=(ADMIN,)))).is_admin


@pytest.mark.promise("T59")
async def test_what_is_taken_away_ends_at_the_next_request(world):
    token = world.store.give_access("bob")
    await world.identify(token)
    world.store.revoke_family("f")
    world.door.forget()
    assert world.door.known(bearer(token)) is None
    await world.refusal(token)


@pytest.mark.promise("T59")
@pytest.mark.parametrize("change", ["disabled", "removed", "tenant", "token"])
async def test_what_another_process_takes_away_ends_when_it_is_noticed(world, change):
    token = world.store.give_personal("bob")
    await world.identify(token)
    await world.door.look()
    await world.identify(token)
    if change == "disabled":
        world.store.change("bob", disabled=True)
    elif change == "tenant":
        world.store.change("bob", tenant="another")
    elif change == "removed":
        del world.store.people["bob"]
        world.store.generation += 1
    else:
        world.store.revoke_personal(token)
    assert world.door.known(bearer(token)) is not None
    await world.door.look()
    assert world.door.known(bearer(token)) is None
    await world.refusal(token)


@pytest.mark.promise("T59")
async def test_even_what_nobody_notices_ends_within_half_a_minute(world):
    token = world.store.give_access("bob")
    await world.identify(token)
    world.store.revoke_family("f")
    world.time += LONGEST
    assert world.door.known(bearer(token)) is None
    await world.refusal(token)


@pytest.mark.promise("T59")
async def test_a_look_up_that_began_before_access_was_taken_away_is_not_believed_after(world):
    token = world.store.give_personal("bob")
    entered, release, user = asyncio.Event(), asyncio.Event(), world.store.user

    async def slow(name):
        found = await user(name)
        entered.set()
        await release.wait()
        return found

    world.store.user = slow
    async with asyncio.timeout(5):
        asked = asyncio.ensure_future(world.identify(token))
        await entered.wait()
        world.store.change("bob", disabled=True)
        world.door.forget()
        release.set()
        await asked
    assert world.door.known(bearer(token)) is None
    await world.refusal(token)


@pytest.mark.promise("T57")
@pytest.mark.parametrize(
    "failure", [DOWN, RuntimeError("planted secret"), KeyError("x"), TimeoutError(), RecursionError()]
)
async def test_whatever_goes_wrong_while_a_token_is_judged_lets_nobody_in(world, failure):
    good, bad = world.store.give_personal("alice", scopes=(ADMIN,)), "mcphub_at_unknown"
    world.store.fails = failure
    for token in (good, bad):
        with pytest.raises(Undecided) as refused:
            await world.identify(token)
        assert not {"planted", "/secret/path"} & set(refused.value.public.split())
        assert world.door.known(bearer(token)) is None
    world.store.fails = None
    assert (await world.identify(good)).subject == "alice"


@pytest.mark.promise("T57")
async def test_while_the_store_cannot_say_what_was_taken_away_nothing_is_believed(world):
    token = world.store.give_personal("bob")
    await world.identify(token)
    world.store.fails = DOWN
    await world.door.look()
    assert world.door.known(bearer(token)) is None
    with pytest.raises(Undecided):
        await world.identify(token)


async def test_a_token_that_was_refused_is_not_looked_up_again_for_a_while(world):
    for _ in range(50):
        await world.refusal("mcphub_pat_unknown")
    assert world.store.asked == ["personal"]
    world.time += REFUSED_FOR
    await world.refusal("mcphub_pat_unknown")
    assert world.store.asked == ["personal"] * 2


async def test_an_owner_who_is_let_in_again_is_let_in_at_once(world):
    token = world.store.give_personal("bob")
    world.store.change("bob", disabled=True)
    await world.refusal(token)
    world.store.change("bob", disabled=False)
    world.door.forget()
    assert (await world.identify(token)).subject == "bob"


async def test_what_is_remembered_is_bounded(world, monkeypatch):
    monkeypatch.setattr(door_module, "MOST_KEPT", 10)
    monkeypatch.setattr(door_module, "MOST_REFUSED", 10)
    tokens = [world.store.give_personal("bob") for _ in range(30)]
    for token in tokens:
        await world.identify(token)
        await world.refusal(f"{token}x")
    assert (len(world.door._kept), len(world.door._refused)) == (10, 10)
    assert world.door.known(bearer(tokens[-1])) is not None
    assert world.door.known(bearer(tokens[0])) is None


@pytest.mark.promise("T31")
async def test_no_token_stands_in_what_is_remembered(world):
    token = world.store.give_personal("bob")
    await world.identify(token)
    await world.refusal("mcphub_pat_unknown")
    assert token not in repr((world.door._kept, world.door._refused, world.door._used))


async def test_use_is_noted_in_batches(world):
    token, access = world.store.give_personal("bob"), world.store.give_access("alice")
    for _ in range(10):
        await world.identify(token)
        await world.identify(access)
    assert "touch" not in world.store.asked
    await world.door.flush()
    assert [each.used_at for each in world.store.personal.values()] == [1000.0]
    assert world.store.seen == {"bob": 1000.0, "alice": 1000.0}
    await world.door.flush()
    assert world.store.asked.count("touch") == 1


async def test_use_that_the_store_does_not_take_waits(world):
    await world.identify(world.store.give_personal("bob"))
    world.store.fails = DOWN
    await world.door.flush()
    world.store.fails = None
    await world.door.aclose()
    assert world.store.seen == {"bob": 1000.0}


class Foreign:
    """An issuer of somebody else's: it knows one token."""

    def __init__(self):
        self.answer = Principal("https://idp.example", "carol", scopes=frozenset({USE})), 2000.0
        self.failure = None

    async def judge(self, token, resource):
        if self.failure is not None:
            raise self.failure
        if (token, resource) != ("a.b.c", HUB):
            raise TokenRefused("no")
        return self.answer


async def test_what_is_no_token_of_the_hub_is_judged_by_whoever_may_issue_others():
    world = World(outside=Foreign())
    assert (await world.identify("a.b.c")).subject == "carol"
    assert world.door.known(bearer("a.b.c")) is not None
    await world.refusal("a.b.c", OTHER)
    await world.refusal("mcphub_at_unknown")


async def test_who_an_issuer_vouched_for_stays_known_while_it_is_away_until_the_token_ends():
    foreign = Foreign()
    world = World(outside=foreign)
    await world.identify("a.b.c")
    foreign.failure = Undecided("The issuer does not answer.")
    world.door.forget()
    for _ in range(20):
        world.time += 40
        assert (await world.identify("a.b.c")).subject == "carol"
    with pytest.raises(Undecided):
        await world.identify("d.e.f")
    world.time = 2000.0
    with pytest.raises(Undecided):
        await world.identify("a.b.c")


async def test_what_an_issuer_takes_back_ends_within_half_a_minute():
    foreign = Foreign()
    world = World(outside=foreign)
    await world.identify("a.b.c")
    foreign.failure = TokenRefused("its key was withdrawn")
    world.time += LONGEST
    await world.refusal("a.b.c")
    foreign.failure = Undecided("away")
    world.time += REFUSED_FOR
    with pytest.raises(Undecided):
        await world.identify("a.b.c")


async def test_a_hub_that_issues_no_tokens_takes_none_of_those_it_once_issued():
    world = World(issues=False, outside=Foreign())
    await world.refusal(world.store.give_access("bob"))
    assert (await world.identify(world.store.give_personal("bob"))).subject == "bob"


async def streams_of(world, *tokens):
    ended = []
    for token in tokens:
        await world.identify(token)
        world.door.watch(bearer(token), HUB, lambda token=token: ended.append(token))
    return ended


async def settled(world):
    async with asyncio.timeout(5):
        while world.door._watched._checking is not None:  # noqa: ASYNC110 - a turn of the loop is what is waited for
            await asyncio.sleep(0)


@pytest.mark.promise("T59")
async def test_long_streams_end_with_the_access_of_those_who_opened_them(world):
    mine, hers = world.store.give_personal("bob"), world.store.give_access("alice")
    ended = await streams_of(world, mine, mine, hers)
    world.time += 10 * LONGEST
    world.store.change("bob", disabled=True)
    await world.door.look()
    await settled(world)
    assert ended == [mine, mine]
    assert world.store.asked.count("personal") == 2, "one question for all streams of a token"


async def test_a_stream_that_is_over_is_not_watched(world):
    token = world.store.give_personal("bob")
    leave = world.door.watch(bearer(token), HUB, lambda: pytest.fail("it is over"))
    leave()
    leave()
    world.store.revoke_personal(token)
    world.door.forget()
    await settled(world)
    assert not world.door._watched


async def test_a_stream_is_not_cut_while_the_store_cannot_be_asked(world):
    ended = await streams_of(world, world.store.give_personal("bob"))
    world.store.fails = DOWN
    await world.door.look()
    await settled(world)
    assert ended == []
    world.store.fails = None
    world.store.change("bob", disabled=True)
    await world.door.look()
    await settled(world)
    assert len(ended) == 1


async def test_the_door_looks_and_notes_by_itself(world, monkeypatch):
    monkeypatch.setattr(door_module, "POLL", 0.0)
    monkeypatch.setattr(door_module, "NOTED_EVERY", 0.0)
    token = world.store.give_personal("bob")
    await world.identify(token)
    running = asyncio.ensure_future(world.door.run())
    world.store.change("bob", disabled=True)
    async with asyncio.timeout(5):
        while world.door._kept or not world.store.seen:  # noqa: ASYNC110 - a turn of the loop is what is waited for
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await world.door.aclose()


@pytest.mark.promise("T59", "T55")
async def test_a_stream_ends_with_its_token_where_nothing_else_would_end_it():
    judged = []

    class Issuer:
        async def judge(self, token, resource):
            judged.append(token)
            if world.time >= 2000:
                raise TokenRefused("it has expired")
            return Principal("https://idp.example", "eve", scopes=frozenset({USE})), 2000.0

    world = World(outside=Issuer())
    mine, hers = "a.b.c", world.store.give_access("alice")
    ended = await streams_of(world, mine, hers)
    world.time = 1990.0
    world.door.look_at_streams()
    await settled(world)
    assert ended == []
    world.time = 2050.0
    world.door.look_at_streams()
    await settled(world)
    assert ended == [mine]


@pytest.mark.promise("T59", "T18")
async def test_a_stream_is_not_opened_with_what_was_taken_away_while_its_request_arrived(world):
    token = world.store.give_personal("bob")
    await world.identify(token)
    world.store.change("bob", disabled=True)
    await world.door.look()
    ended = []
    world.door.watch(bearer(token), HUB, lambda: ended.append(token))
    await settled(world)
    assert ended == [token]
