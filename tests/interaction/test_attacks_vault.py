"""Attacks on what is at rest, and starts with a master key that is lost or wrong, against real processes."""

import asyncio
import hashlib
import json
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from interaction.whole_hub import Client, Said, command, killed, serving
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.written import from_text, generated
from rig.fake_upstream import FakeUpstream

pytestmark = pytest.mark.promise("T32")

PLAIN = {"cursor-key": b"planted-cursor-key-0123456789abc", "request-state-key": b"planted-request-key-123456789abc"}
CONFIG = "version: 1\n"


async def start(directory: Path, config: str = CONFIG, **environ: str) -> Said:
    """What `mcp-hub serve` says that does not come to serving."""
    (directory / "hub.yaml").write_text(config, "utf-8")
    env = {"MCP_HUB_DATA": str(directory / "data"), **environ}
    return await command("serve", "-c", directory / "hub.yaml", "--port", "0", env=env)


def files(directory: Path) -> dict[str, str]:
    found = sorted((directory / "data").iterdir())
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in found}


@pytest.fixture
async def begun(tmp_path: Path) -> Path:
    """A directory in which a hub has run, with a key of its own."""
    async with serving(CONFIG, tmp_path):
        pass
    return tmp_path


async def test_a_wrong_or_lost_master_key_stops_the_start_and_changes_nothing(begun: Path):
    before, key = files(begun), begun / "data" / "master.key"
    right = from_text(key.read_text(), "").id.hex()
    text = generated()
    wrong = await start(begun, MCP_HUB_MASTER_KEY=text)
    assert (wrong.code, files(begun)) == (2, before)
    assert wrong.err.startswith("MCP_HUB_MASTER_KEY (key ")
    assert f"does not open this store, which takes key {right}. Nothing was changed or deleted." in wrong.err
    assert "Traceback" not in wrong.err
    assert text not in wrong.out + wrong.err
    key.rename(begun / "elsewhere")
    lost = await start(begun)
    assert lost.code == 2
    assert lost.err.startswith(f"This store takes the master key {right}, and there is none. Nothing was changed")
    assert files(begun) == {"hub.db": before["hub.db"]}, "above all no new key"
    found = {"MCP_HUB_MASTER_KEY_FILE": str(begun / "elsewhere")}
    async with serving(CONFIG, begun, env=found) as hub:
        assert "elsewhere (MCP_HUB_MASTER_KEY_FILE)" in hub.log


@pytest.mark.promise("D34")
async def test_hubs_that_start_at_once_on_nothing_end_with_one_key(tmp_path: Path):
    async with AsyncExitStack() as stack:
        hubs = await asyncio.gather(*(stack.enter_async_context(serving(CONFIG, tmp_path)) for _ in range(3)))
        assert len({hub.url for hub in hubs}) == 3, "each of them serves"
    assert set(files(tmp_path)) == {"hub.db", "master.key"}
    shown = json.loads((await command("key", "status", "--json", env={"MCP_HUB_DATA": str(tmp_path / "data")})).out)
    assert [(each["state"], each["values"]) for each in shown["keys"]] == [("current", 4)]


async def test_a_hub_that_others_can_reach_needs_a_key_of_somebodys(tmp_path: Path):
    config = "server: {public_url: 'https://hub.example.com'}\n"
    refused = await start(tmp_path, config)
    assert refused.code == 2
    assert refused.err.startswith("A hub that others can reach does not make a master key for itself. Make one with")
    assert "master.key" not in files(tmp_path)
    made = await command("key", "generate")
    key = tmp_path / "given"
    key.write_text(made.out)
    key.chmod(0o644)
    env = {"MCP_HUB_MASTER_KEY_FILE": str(key)}
    refused = await start(tmp_path, config, **env)
    assert refused.code == 2
    assert "open to other users of this computer (mode 0644)" in refused.err
    key.chmod(0o400)
    async with serving(config, tmp_path, env=env) as hub:
        assert f"key: The file {key} (MCP_HUB_MASTER_KEY_FILE)" in hub.log
        assert made.out.strip() not in hub.log


async def test_keys_of_an_older_store_are_sealed_on_the_first_start_and_found_nowhere_after_it(tmp_path: Path):
    store = SqliteStore.open(tmp_path / "data" / "hub.db")
    for name, value in PLAIN.items():
        await store.keep_setting_if_absent(name, value)
    await store.aclose()
    async with serving(CONFIG, tmp_path):
        held = b"".join(each.read_bytes() for each in (tmp_path / "data").iterdir())
        assert [name for name, value in PLAIN.items() if value in held] == []
    held = b"".join(each.read_bytes() for each in (tmp_path / "data").iterdir())
    assert [name for name, value in PLAIN.items() if value in held] == []
    assert b"cursor-key" in held, "these are the right files"


async def test_two_rows_that_were_swapped_are_refused(begun: Path):
    with closing(sqlite3.connect(begun / "data" / "hub.db")) as db:
        rows = dict(db.execute("SELECT key, value FROM settings").fetchall())
        for name, other in (("cursor-key", "request-state-key"), ("request-state-key", "cursor-key")):
            db.execute("UPDATE settings SET value = ? WHERE key = ?", (rows[other], name))
        db.commit()
    refused = await start(begun)
    assert refused.code == 1
    assert "A sealed value in the store (settings, value) cannot be opened" in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.promise("D33")
async def test_keys_are_rotated_under_a_running_hub_which_notices_nothing_and_starts_again(tmp_path: Path):
    async with FakeUpstream(name="up", tools=[f"t{at}" for at in range(5)]) as up:
        config = f"""\
network: {{allow_private: [127.0.0.0/8]}}
defaults: {{page_size: 2}}
upstreams: {{up: {{url: '{up.url}'}}}}
"""
        env = {"MCP_HUB_DATA": str(tmp_path / "data")}
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            page = (await client.modern("tools/list")).json()["result"]
            turned = [await command("key", "rotate", *more, env=env) for more in ((), ("--master",))]
            assert [each.code for each in turned] == [0, 0], turned
            assert await client.names() == ["up__t0", "up__t1"]
            await killed(hub)
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            rest = (await client.modern("tools/list", {"cursor": page["nextCursor"]})).json()["result"]
            assert len(rest["tools"]) == 2, "a cursor of before is as good as ever"
        shown = json.loads((await command("key", "status", "--json", env=env)).out)
    states = [(each["state"], each["values"]) for each in shown["keys"]]
    assert states == [("retired", 0), ("current", 5)]
