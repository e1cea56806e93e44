import asyncio

import pytest

from mcp_hub.egress.fetch import FetchFailed
from mcp_hub.identity.jose import APART, FRESH, LONGEST, RETRY, KeySets, KeysUnavailable
from mcp_hub.identity.signatures import Expected, TokenRefused
from rig.signing import Shelf, jwks, key_pair, sign

pytestmark = pytest.mark.promise("T56")

URL = "https://idp.example/jwks"
HUB = "https://hub.example/mcp"
EXPECTED = Expected("https://idp.example", frozenset({HUB}))
CLAIMS = {"iss": "https://idp.example", "aud": HUB, "sub": "alice", "exp": 10**10}
OLD, NEW = key_pair("old"), key_pair("new")


class World:
    """Key sets over a shelf, at a time that the test sets."""

    def __init__(self, **options):
        self.time = 1000.0
        self.shelf = Shelf()
        self.shelf.put(URL, jwks(OLD))
        self.sets = KeySets(self.shelf, lambda: self.time, **options)

    async def verify(self, key=OLD, url=URL, **header):
        return await self.sets.verify(sign(CLAIMS, key, **header), url, EXPECTED)


async def test_keys_are_fetched_once_and_kept():
    world = World()
    for _ in range(5):
        assert (await world.verify())["sub"] == "alice"
    assert world.shelf.asked == [URL]


async def test_keys_that_are_rotated_are_found_and_the_old_ones_end():
    world = World()
    await world.verify()
    world.shelf.put(URL, jwks(NEW))
    assert (await world.verify(NEW))["sub"] == "alice"
    with pytest.raises(TokenRefused):
        await world.verify(OLD)
    world.shelf.put(URL, jwks(OLD))
    with pytest.raises(TokenRefused):
        await world.verify(OLD)
    world.time += APART
    assert (await world.verify(OLD))["sub"] == "alice"


@pytest.mark.parametrize("kid", ["old", None])
async def test_a_key_that_took_the_place_of_another_is_found_whatever_it_is_called(kid):
    world = World()
    (old,), (new,) = jwks(OLD)["keys"], jwks(NEW)["keys"]
    world.shelf.put(URL, {"keys": [{**old, "kid": kid}]})
    await world.verify(OLD, kid=kid)
    world.shelf.put(URL, {"keys": [{**new, "kid": kid}]})
    assert (await world.verify(NEW, kid=kid))["sub"] == "alice"


async def test_a_key_that_is_rotated_right_after_the_first_fetch_is_found():
    world = World()
    await world.verify()
    world.shelf.put(URL, jwks(NEW))
    assert (await world.verify(NEW))["sub"] == "alice"


async def test_a_key_that_is_not_in_a_set_fetched_for_it_is_not_asked_for_again():
    world = World()
    with pytest.raises(TokenRefused):
        await world.verify(NEW)
    assert world.shelf.asked == [URL]


async def test_names_of_unknown_keys_make_the_hub_ask_once_a_minute():
    world = World()
    await world.verify()
    for minute in range(3):
        world.time += APART
        for name in range(50):
            with pytest.raises(TokenRefused):
                await world.verify(NEW, kid=("old", None, f"forged-{name}")[name % 3])
        assert len(world.shelf.asked) == 2 + minute


async def test_many_at_once_ask_once_and_a_caller_that_leaves_takes_nothing_away():
    world, asked, release = World(), asyncio.Event(), asyncio.Event()

    async def slow():
        asked.set()
        await release.wait()
        return jwks(OLD)

    world.shelf.put(URL, slow)
    async with asyncio.timeout(5):
        first = asyncio.ensure_future(world.verify())
        await asked.wait()
        others = [asyncio.ensure_future(world.verify()) for _ in range(20)]
        await asyncio.sleep(0)
        first.cancel()
        release.set()
        assert [each["sub"] for each in await asyncio.gather(*others)] == ["alice"] * 20
    assert len(world.shelf.asked) == 1


async def test_those_who_come_while_a_rotated_key_is_fetched_wait_for_it():
    world, asked, release = World(), asyncio.Event(), asyncio.Event()
    await world.verify()

    async def slow():
        asked.set()
        await release.wait()
        return jwks(OLD, NEW)

    world.shelf.put(URL, slow)
    async with asyncio.timeout(5):
        first = asyncio.ensure_future(world.verify(NEW))
        await asked.wait()
        second = asyncio.ensure_future(world.verify(NEW))
        assert (await world.verify(OLD))["sub"] == "alice"
        release.set()
        assert [each["sub"] for each in await asyncio.gather(first, second)] == ["alice"] * 2


@pytest.mark.promise("T57")
@pytest.mark.parametrize(
    ("document", "status"),
    [
        (FetchFailed("idp.example could not be asked"), 200),
        (b"<html>", 200),
        (b"", 200),
        ([], 200),
        ({"keys": 1}, 200),
        (b"[" * 50_000, 200),
        (b'{"keys":[]}', 302),
        (b'{"keys":[]}', 503),
    ],
)
async def test_an_issuer_without_keys_lets_nobody_in(document, status):
    world = World()
    world.shelf.put(URL, document, status)
    for _ in range(10):
        with pytest.raises(KeysUnavailable):
            await world.verify()
    assert len(world.shelf.asked) == 1, "and is not asked for each token"
    world.shelf.put(URL, jwks(OLD))
    world.time += RETRY
    assert (await world.verify())["sub"] == "alice"


@pytest.mark.promise("T57")
async def test_keys_are_used_for_an_hour_while_the_issuer_is_down_and_no_longer():
    world = World()
    await world.verify()
    world.shelf.put(URL, FetchFailed("down"))
    world.time += FRESH
    assert (await world.verify())["sub"] == "alice"
    world.time += 1
    await world.verify()
    assert len(world.shelf.asked) == 2
    world.time += LONGEST
    with pytest.raises(KeysUnavailable, match="down"):
        await world.verify()


async def test_withdrawn_keys_are_of_no_use_after_a_while():
    world = World()
    await world.verify()
    world.shelf.put(URL, {"keys": []})
    world.time += FRESH
    with pytest.raises(TokenRefused):
        await world.verify()


async def test_a_key_of_one_address_is_none_of_another():
    world = World()
    world.shelf.put(URL + "2", jwks(NEW))
    await world.verify(NEW, URL + "2")
    with pytest.raises(TokenRefused):
        await world.verify(NEW)


async def test_sets_are_bounded_in_number():
    world = World(most=4)
    for number in range(100):
        world.shelf.put(f"{URL}/{number}", jwks(OLD))
        await world.verify(OLD, f"{URL}/{number}")
    assert len(world.sets._sets) == 4


async def test_what_is_under_way_ends_with_the_hub():
    world = World()

    async def never():
        await asyncio.Event().wait()

    world.shelf.put(URL, never)
    waiting = asyncio.ensure_future(world.verify())
    async with asyncio.timeout(5):
        while not world.shelf.asked:  # noqa: ASYNC110 - a turn of the loop is what is waited for
            await asyncio.sleep(0)
        await world.sets.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting
