"""`mcp-hub key …` on a store without a hub: what it prints, what it changes, and what it leaves alone."""

import asyncio
import json
import sqlite3
import stat
from contextlib import AsyncExitStack

import pytest
from click.testing import CliRunner

from mcp_hub.assembly import unlocked
from mcp_hub.cli.main import cli
from mcp_hub.cli.output import Exit
from mcp_hub.config.model import Config
from mcp_hub.vault.written import from_file, from_text, generated

pytestmark = pytest.mark.promise("T32", "E38")


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCP_HUB_DATA", str(tmp_path / "data"))
    for name in ("MCP_HUB_MASTER_KEY", "MCP_HUB_MASTER_KEY_FILE", "MCP_HUB_NEW_MASTER_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "data"


@pytest.fixture
def begun(data):
    """A store that a hub has begun, with the key it made beside it."""

    async def begin() -> None:
        async with AsyncExitStack() as stack:
            await unlocked(Config(), stack)

    asyncio.run(begin())
    return data


def run(*words, **environ):
    return CliRunner(env=environ).invoke(cli, ["key", *words])


def status(**environ):
    return json.loads(run("status", "--json", **environ).stdout)


def test_a_generated_key_stands_alone_on_standard_output():
    one, other = run("generate"), run("generate")
    assert from_text(one.stdout, "X").key != from_text(other.stdout, "X").key
    assert one.stdout.count("\n") == 1
    assert one.stderr == ""


def test_nothing_is_made_where_there_is_no_store(data):
    assert status() == {"store": str(data / "hub.db"), "master": None, "keys": []}
    assert run("status").stdout.startswith(f"There is no store at {data}/hub.db yet.")
    for words in (["rotate"], ["rotate", "--master"]):
        result = run(*words)
        assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
        assert "There is no store at" in result.stderr
    assert not data.exists()


def test_the_status_names_the_source_and_never_the_key(begun):
    result = run("status")
    master = from_file(begun / "master.key", "")
    assert result.stdout.startswith(f"master key {master.id.hex()}: {begun}/master.key\n")
    assert result.stdout.endswith("  1 values\n")
    assert (begun / "master.key").read_text().strip() not in result.stdout
    (key,) = status()["keys"]
    assert (key["state"], key["values"]) == ("current", 1)


def test_a_rotation_leaves_one_key_in_use(begun):
    (before,) = status()["keys"]
    assert run("rotate").stdout == "1 values are sealed with the new key.\n"
    retired, current = status()["keys"]
    assert (retired["kid"], retired["state"], retired["values"]) == (before["kid"], "retired", 0)
    assert (current["state"], current["values"]) == ("current", 1)


def test_a_master_key_that_the_hub_made_is_replaced_by_another_and_the_old_one_kept(begun):
    old = from_file(begun / "master.key", "")
    result = run("rotate", "--master")
    new = from_file(begun / "master.key", "")
    kept = begun / f"master-{old.id.hex()}.key"
    assert result.exit_code == Exit.DONE
    assert result.stdout.splitlines() == [
        f"The store takes master key {new.id.hex()} now.",
        f"The old one is in {kept}: delete it once no backup of the store takes it.",
    ]
    assert from_file(kept, "").key == old.key != new.key
    assert status()["master"] == {"id": new.id.hex(), "source": str(begun / "master.key")}
    assert {each.name for each in begun.iterdir()} == {"hub.db", "master.key", kept.name}
    assert {stat.S_IMODE(each.stat().st_mode) for each in begun.iterdir()} == {0o600}


def test_a_backup_that_takes_the_old_one_still_opens(begun):
    backup, before = (begun / "hub.db").read_bytes(), status()
    run("rotate", "--master")
    run("rotate", "--master")
    (begun / "hub.db").write_bytes(backup)
    again = status()
    assert (again["keys"], again["master"]["id"]) == (before["keys"], before["master"]["id"])


@pytest.mark.parametrize("given", ["file", "variable"])
def test_a_master_key_that_was_given_is_used_from_then_on(begun, tmp_path, given):
    file = tmp_path / "new"
    file.touch(0o600)
    file.write_text(generated())
    new = from_file(file, "")
    if given == "file":
        result = run("rotate", "--master", "--new-key-file", str(file))
    else:
        result = run("rotate", "--master", MCP_HUB_NEW_MASTER_KEY=file.read_text())
    assert result.exit_code == Exit.DONE
    assert f"takes master key {new.id.hex()} now" in result.stdout
    assert "in MCP_HUB_MASTER_KEY_FILE" in result.stdout
    locked = run("status")
    assert locked.exit_code == Exit.USAGE
    assert f"does not open this store, which takes key {new.id.hex()}" in locked.stderr
    assert (begun / "master.key").exists(), "it is left as it is"
    there = {"MCP_HUB_MASTER_KEY_FILE": str(file)}
    assert status(**there)["master"]["id"] == new.id.hex()
    same = run("rotate", "--master", "--new-key-file", str(file), **there)
    assert (same.exit_code, "takes already" in same.stderr) == (Exit.USAGE, True)
    none = run("rotate", "--master", **there)
    assert (none.exit_code, none.stdout) == (Exit.USAGE, "")
    assert "comes from outside" in none.stderr
    assert "--new-key-file" in none.stderr


@pytest.mark.parametrize("new", ["hunter2", ""])
def test_a_new_master_key_that_is_none_changes_nothing(begun, new):
    before = status()
    result = run("rotate", "--master", MCP_HUB_NEW_MASTER_KEY=new)
    assert result.exit_code == Exit.USAGE
    assert result.stderr.startswith("MCP_HUB_NEW_MASTER_KEY holds no master key.")
    assert status() == before
    assert {each.name for each in begun.iterdir()} == {"hub.db", "master.key"}


def test_a_change_that_was_broken_off_before_the_files_were_exchanged_is_found_and_gone_on_from(begun):
    first = (begun / "master.key").read_bytes()
    run("rotate", "--master")
    second = from_file(begun / "master.key", "")
    # As a kill would have left it: the store takes the new one, and the old one is where it was.
    (begun / "master.key").rename(begun / f"master-{second.id.hex()}.key")
    (begun / "master.key").write_bytes(first)
    (begun / "master.key").chmod(0o600)
    assert status()["master"] == {"id": second.id.hex(), "source": str(begun / f"master-{second.id.hex()}.key")}
    assert run("rotate", "--master").exit_code == Exit.DONE
    third = from_file(begun / "master.key", "")
    kept = {path.name: from_file(path, "").id.hex() for path in begun.glob("master-*.key")}
    assert status()["master"]["id"] == third.id.hex()
    assert {f"master-{value}.key" for value in kept.values()} == set(kept), "each under its own name, none lost"
    assert len(kept) == 2


def test_a_value_that_does_not_open_is_told_and_left(begun):
    with sqlite3.connect(begun / "hub.db") as db:
        db.execute("INSERT INTO settings VALUES ('', 'planted', 'plain')")
    db.close()
    result = run("rotate")
    assert (result.exit_code, result.stdout) == (Exit.UNEXPECTED, "1 values are sealed with the new key.\n")
    assert result.stderr.startswith("1 values could not be opened and were left as they are")
    assert [each["state"] for each in status()["keys"]] == ["old", "current"]


def test_what_makes_no_sense_is_said(data, tmp_path):
    (tmp_path / "hub.yaml").write_text("store: {url: 'sqlite:///:memory:'}")
    for words, said in ((["status"], "in memory"), (["rotate", "--new-key-file", "x"], "in memory")):
        result = run(*words)
        assert (result.exit_code, said in result.stderr) == (Exit.USAGE, True)
    (tmp_path / "hub.yaml").write_text("version: 1")
    assert "is for --master" in run("rotate", "--new-key-file", "x").stderr
    assert not data.exists()
