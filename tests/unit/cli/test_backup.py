"""`mcp-hub backup`: a whole copy, for its owner alone, that takes the place of nothing."""

import asyncio
import os
import sqlite3
import stat
from contextlib import AsyncExitStack, closing

import pytest
from click.testing import CliRunner
from tests.store_connections_suite import GRANT, KEY, REGISTRATION

from mcp_hub.assembly import unlocked
from mcp_hub.cli.main import cli
from mcp_hub.cli.output import Exit
from mcp_hub.config.model import Config
from mcp_hub.credentials.sealed_keys import open_key, seal_key
from mcp_hub.secret import Secret
from mcp_hub.store.sqlite import SqliteStore

pytestmark = pytest.mark.promise("T32", "E38")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCP_HUB_DATA", str(tmp_path / "data"))
    for name in ("MCP_HUB_MASTER_KEY", "MCP_HUB_MASTER_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def with_store(act):
    async def run():
        async with AsyncExitStack() as stack:
            return await act(*await unlocked(Config(), stack))

    return asyncio.run(run())


async def _filled(store, vault):
    await store.add_registration(REGISTRATION, instead_of=None)
    await store.put_grant(GRANT)
    await store.put_key(seal_key(vault, KEY, Secret("planted-key")))


def run(*words):
    return CliRunner().invoke(cli, ["backup", *words])


def test_a_copy_holds_everything_and_opens_with_the_same_master_key(here):
    with_store(_filled)
    result = run("copy.db")
    assert result.exit_code == Exit.DONE, result.output
    assert result.stdout == ""
    assert "master key only, which is not in it" in result.stderr
    assert f"in the place of {here}/data/hub.db" in result.stderr
    (here / "data" / "hub.db").unlink()
    (here / "copy.db").rename(here / "data" / "hub.db")

    async def restored(store, vault):
        return await store.grant(GRANT.whose), await open_key(vault, await store.key(KEY.whose))

    assert with_store(restored) == (GRANT, Secret("planted-key"))


@pytest.mark.promise("T62")
def test_the_copy_is_one_file_for_its_owner_alone_without_the_master_key(here):
    with_store(_filled)
    before = os.umask(0)
    try:
        assert run("copy.db").exit_code == Exit.DONE
    finally:
        os.umask(before)
    assert {path.name for path in here.iterdir()} == {"data", "copy.db"}
    assert stat.S_IMODE((here / "copy.db").stat().st_mode) == 0o600
    copied = (here / "copy.db").read_bytes()
    master = (here / "data" / "master.key").read_text().strip()
    assert master.encode() not in copied
    assert b"planted-key" not in copied


def test_it_is_made_while_somebody_else_writes_and_is_of_one_moment(here):
    async def beside(store, vault):
        await _filled(store, vault)
        result = await asyncio.to_thread(run, "copy.db")
        assert result.exit_code == Exit.DONE, result.output
        await store.drop_grant(GRANT.whose)

    with_store(beside)
    copy = SqliteStore.open(here / "copy.db")

    async def held():
        found = await copy.grant(GRANT.whose)
        await copy.aclose()
        return found

    assert asyncio.run(held()) == GRANT


def test_nothing_is_overwritten_and_no_link_is_followed(here):
    with_store(_filled)
    (here / "copy.db").write_text("mine")
    (here / "link.db").symlink_to(here / "elsewhere.db")
    for name in ("copy.db", "link.db", "data/hub.db"):
        result = run(name)
        assert result.exit_code == Exit.USAGE
        assert "takes the place of no file" in result.stderr
    assert (here / "copy.db").read_text() == "mine"
    assert not (here / "elsewhere.db").exists()
    assert with_store(lambda store, vault: store.grant(GRANT.whose)) == GRANT


def test_where_there_is_no_store_none_is_made(here):
    result = run("copy.db")
    assert result.exit_code == Exit.USAGE
    assert f"There is no store at {here}/data/hub.db yet" in result.stderr
    assert list(here.iterdir()) == []


def test_a_store_in_memory_cannot_be_copied(here):
    (here / "hub.yaml").write_text("version: 1\nstore: {url: 'sqlite:///:memory:'}\n")
    result = run("copy.db")
    assert result.exit_code == Exit.USAGE
    assert "in memory" in result.stderr


def test_a_file_of_another_program_is_not_copied(here):
    (here / "data").mkdir()
    with closing(sqlite3.connect(here / "data" / "hub.db")) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    result = run("copy.db")
    assert result.exit_code == Exit.UNEXPECTED
    assert "another program" in result.stderr
    assert not (here / "copy.db").exists()


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left(here):
    with_store(_filled)
    result = run("nowhere/copy.db")
    assert result.exit_code == Exit.UNEXPECTED
    assert "nowhere/copy.db cannot be opened" in result.stderr


def test_a_damaged_store_is_told_and_leaves_no_copy(here):
    async def many(store, vault):
        await _filled(store, vault)
        for n in range(300):
            whose = KEY.whose._replace(subject=f"u{n}")
            await store.put_key(seal_key(vault, KEY.__class__(f"k{n}", whose, b"", "", 1.0, None), Secret("x" * 400)))

    with_store(many)
    file = here / "data" / "hub.db"
    whole = bytearray(file.read_bytes())
    middle = len(whole) // 4096 // 2 * 4096
    whole[middle : middle + 4 * 4096] = b"\xff" * (4 * 4096)
    file.write_bytes(whole)
    result = run("copy.db")
    assert result.exit_code == Exit.UNEXPECTED
    assert "damaged" in result.stderr
    assert not (here / "copy.db").exists()
    assert file.read_bytes() == whole
