"""Keys that users pasted: they go in, and come out in requests only."""

import asyncio
import gc

import pytest

from mcp_hub.config.model import OwnHeader
from mcp_hub.credentials import pasted
from mcp_hub.credentials.needed import Place
from mcp_hub.credentials.pasted import PastedAccess, PastedKeys, UnusableKey, hint_of
from mcp_hub.credentials.watchers import Watchers
from mcp_hub.errors import ConnectionNeeded, RefusedCredential, StoreFailed
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Whose
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.master import Given
from mcp_hub.vault.vault import Vault
from mcp_hub.vault.written import from_text, generated

pytestmark = pytest.mark.promise("B14", "D29")

PLACE = Place("docs", "Docs", "https://hub.example/connect/docs")
HEADER = OwnHeader("Authorization", "pasted", scheme="Bearer")
ADA, BOB = (Principal("local", f"u-{name}", label=name, email=f"{name}@example.com") for name in ("ada", "bob"))
ADAS, BOBS = (Whose(*caller.key, "docs") for caller in (ADA, BOB))


class Process:
    """The pasted keys of one process."""

    def __init__(self, store, vault):
        self.store = store
        self.watchers = Watchers(store)
        self.keys = PastedKeys(store, vault, self.watchers, lambda: 1000.0)

    def access(self, caller=ADA):
        return PastedAccess(self.keys, caller, PLACE, HEADER, {})


@pytest.fixture
async def processes(tmp_path):
    master = Given(from_text(generated(), "the test"))
    stores = [SqliteStore.open(tmp_path / "hub.db") for _ in range(2)]
    yield [Process(store, await Vault.unlock(store, master)) for store in stores]
    for each in stores:
        await each.aclose()


@pytest.fixture
def here(processes):
    return processes[0]


def refusal(status=401):
    return RefusedCredential("docs", "refused", status=status)


async def test_who_pasted_nothing_is_told_where_to(here):
    access = here.access()
    assert access.ready() is None
    with pytest.raises(ConnectionNeeded) as needed:
        await access.credential()
    assert (needed.value.state, needed.value.url) == ("not_connected", PLACE.page)
    assert needed.value.public == (
        "Docs is not connected for ada@example.com. Open https://hub.example/connect/docs, then try again."
    )


@pytest.mark.promise("B22", "T15")
async def test_each_caller_sends_their_own_key(here):
    await here.keys.paste(ADAS, Secret("adas-key"))
    await here.keys.paste(BOBS, Secret("bobs-key"))
    accesses = [here.access(caller) for caller in (ADA, BOB)]
    assert [each.ready() for each in accesses] == [None, None]
    lines = [(await each.credential()).open() for each in accesses]
    assert lines == [b"Authorization: Bearer adas-key\r\n", b"Authorization: Bearer bobs-key\r\n"]
    assert [each.ready().open() for each in accesses] == lines


async def test_a_loaded_key_is_kept_until_the_connection_changes(here):
    await here.keys.paste(ADAS, Secret("first-key"))
    access = here.access()
    first = await access.credential()
    assert access.ready() is first
    await here.keys.paste(ADAS, Secret("second-key"))
    assert access.ready() is None, "at once"
    assert (await access.credential()).open() == b"Authorization: Bearer second-key\r\n"
    await here.store.drop_key(ADAS)
    assert access.ready() is None
    with pytest.raises(ConnectionNeeded):
        await access.credential()


async def test_what_another_process_changed_is_used_after_the_next_look(processes):
    here, there = processes
    await there.keys.paste(ADAS, Secret("first-key"))
    access = here.access()
    told = []
    leave = access.watch(lambda: told.append("changed"))
    await access.credential()
    await here.watchers.look()
    told.clear()
    await access.credential()
    await there.store.drop_key(ADAS)
    await here.watchers.look()
    assert access.ready() is None
    assert told == ["changed"]
    leave()
    await there.keys.paste(ADAS, Secret("first-key"))
    await here.watchers.look()
    assert told == ["changed"]


async def test_a_key_that_was_taken_back_while_it_was_loaded_is_not_kept(here, monkeypatch):
    await here.keys.paste(ADAS, Secret("first-key"))
    access = here.access()
    opened, loaded, go_on = here.keys.opened, asyncio.Event(), asyncio.Event()

    async def slowly(whose):
        key = await opened(whose)
        loaded.set()
        await go_on.wait()
        return key

    monkeypatch.setattr(here.keys, "opened", slowly)
    loading = asyncio.ensure_future(access.credential())
    await loaded.wait()
    await here.store.drop_key(ADAS)
    go_on.set()
    await loading
    assert access.ready() is None


@pytest.mark.parametrize(("status", "words"), [(401, "does not accept the key"), (403, "does not allow this with")])
async def test_a_key_that_the_upstream_refuses_is_for_its_user_to_replace(here, status, words):
    await here.keys.paste(ADAS, Secret("adas-key"))
    access = here.access()
    with pytest.raises(ConnectionNeeded) as needed:
        await access.refused(await access.credential(), refusal(status))
    assert (needed.value.state, needed.value.url) == ("reconnect_needed", PLACE.page)
    assert words in needed.value.public
    assert "Open https://hub.example/connect/docs" in needed.value.public
    assert "ada@example.com" in needed.value.public
    assert "adas" not in needed.value.public


async def test_a_key_that_was_pasted_meanwhile_is_sent_in_the_place_of_the_refused_one(here):
    await here.keys.paste(ADAS, Secret("first-key"))
    access = here.access()
    first = await access.credential()
    await here.keys.paste(ADAS, Secret("second-key"))
    assert (await access.refused(first, refusal())).open() == b"Authorization: Bearer second-key\r\n"


@pytest.mark.promise("T11")
@pytest.mark.parametrize("key", ["", "  \n", "adas\r\nX-Evil: 1", "adas\0", "ad\u00e4s-key", "adas" * 3000])
async def test_what_cannot_be_sent_is_refused_in_words_that_do_not_repeat_it_and_changes_nothing(here, key):
    await here.keys.paste(ADAS, Secret("good-key"))
    with pytest.raises(UnusableKey) as refused:
        await here.keys.paste(ADAS, Secret(key))
    assert "adas" not in refused.value.public
    assert "Nothing was changed" in refused.value.public
    assert (await here.access().credential()).open() == b"Authorization: Bearer good-key\r\n"


async def test_spaces_and_line_ends_around_what_was_pasted_are_not_part_of_it(here):
    await here.keys.paste(ADAS, Secret("\t adas-key \r\n"))
    assert (await here.access().credential()).open() == b"Authorization: Bearer adas-key\r\n"


@pytest.mark.parametrize(
    ("key", "hint"), [("abcdefghijkl", "ijkl"), ("abcdefghijk", ""), ("abcd", ""), ("x" * 40 + "last", "last")]
)
async def test_of_a_long_key_its_end_is_shown_and_of_a_short_one_nothing(here, key, hint):
    await here.keys.paste(ADAS, Secret(key))
    stored = await here.store.key(ADAS)
    assert stored.hint == hint_of(key) == hint
    assert key not in repr(stored)
    assert key not in repr(here.access())


async def test_a_use_is_noted_and_stored_later(here, monkeypatch):
    await here.keys.paste(ADAS, Secret("adas-key"))
    access = here.access()
    await access.credential()
    assert (await here.store.key(ADAS)).used_at is None
    touch = here.store.touch_keys

    async def away(used):
        raise StoreFailed("The store is away.")

    monkeypatch.setattr(here.store, "touch_keys", away)
    await here.keys.flush()
    monkeypatch.setattr(here.store, "touch_keys", touch)
    await here.keys.flush()
    assert (await here.store.key(ADAS)).used_at == 1000.0


async def test_uses_are_stored_by_themselves(here, monkeypatch):
    monkeypatch.setattr(pasted, "NOTED_EVERY", 0.0)
    await here.keys.paste(ADAS, Secret("adas-key"))
    await here.access().credential()
    touched = asyncio.Event()

    async def touch(used):
        touched.set()

    monkeypatch.setattr(here.store, "touch_keys", touch)
    running = asyncio.ensure_future(here.keys.run())
    async with asyncio.timeout(5):
        await touched.wait()
    running.cancel()


async def test_an_access_that_nobody_has_any_more_is_gone(here):
    access = here.access()
    await here.keys.paste(ADAS, Secret("adas-key"))
    await access.credential()
    del access
    gc.collect()
    assert here.watchers._waiting == {}
