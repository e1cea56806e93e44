"""`mcp-hub user` and `mcp-hub token`: they work on the store, and print secrets once and alone."""

import asyncio
import json
import re
import stat
from functools import partial

import pytest
from click.testing import CliRunner

from mcp_hub.cli import people
from mcp_hub.cli.main import cli
from mcp_hub.cli.output import Exit
from mcp_hub.identity.passwords import Passwords
from mcp_hub.identity.tokens import digest
from mcp_hub.store.sqlite import SqliteStore
from rig.people import CHEAP

pytestmark = pytest.mark.promise("C24", "E38")
PASSWORD = "correct horse battery"
ADA = "ada@example.com"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCP_HUB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(people, "Passwords", partial(Passwords, CHEAP))
    return tmp_path


def run(*words, told=""):
    return CliRunner().invoke(cli, words, input=told)


def done(*words, told=""):
    result = run(*words, told=told)
    assert result.exit_code == Exit.DONE, result.output
    return result


def add(email=ADA, *more):
    return done("user", "add", email, "--password-stdin", *more, told=f"{PASSWORD}\n")


def test_accounts_are_made_listed_changed_and_removed(here):
    assert run("user", "list").stderr == "There are no accounts yet. Make one: mcp-hub user add EMAIL --admin\n"
    assert add(ADA, "--admin").stderr == "Added ada@example.com, an admin.\n"
    add("bob@example.com")
    listed = json.loads(done("user", "list", "--json").stdout)
    assert [(each["email"], each["role"], each["disabled"]) for each in listed] == [
        (ADA, "admin", False),
        ("bob@example.com", "user", False),
    ]
    assert PASSWORD not in json.dumps(listed)
    done("user", "role", "Bob@example.com", "admin")
    done("user", "disable", listed[1]["id"])
    assert re.search(r"bob@example.com +admin +disabled", done("user", "list").stdout)
    done("user", "enable", "bob@example.com")
    done("user", "sign-out", "bob@example.com")
    done("user", "password", "bob@example.com", "--password-stdin", told="another good one\n")
    done("user", "remove", "bob@example.com")
    assert [each["email"] for each in json.loads(done("user", "list", "--json").stdout)] == [ADA]


@pytest.mark.promise("T62")
def test_the_store_is_for_its_owner_alone(here):
    add()
    assert stat.S_IMODE((here / "data" / "hub.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("words", "told", "says"),
    [
        (("user", "add", ADA), "", "There is no terminal to ask for a password. Send it in with --password-stdin."),
        (("user", "add", "ada", "--password-stdin"), PASSWORD, "An account needs an email address"),
        (("user", "add", ADA, "--password-stdin"), "short", "A password needs at least 8 characters"),
        (("user", "add", ADA, "--password-stdin"), b"\xff\xfe long enough\n", "no UTF-8 text"),
        (("user", "disable", ADA), "", "There is no account with this address. 'mcp-hub user list' shows all."),
        (("user", "role", ADA, "root"), "", "'root' is not one of"),
        (("token", "create", "--user", ADA), "", "There is no account with this address."),
        (("token", "create", "--user", ADA, "--expires", "soon"), "", "must be a duration such as 60s"),
        (("token", "create"), "", "Missing option '--user'"),
        (("token", "revoke", "x"), "", "There is no token of this id. 'mcp-hub token list' shows all."),
    ],
)
def test_a_mistake_is_told_with_the_next_step_and_changes_nothing(here, words, told, says):
    result = run(*words, told=told)
    assert result.exit_code == Exit.USAGE
    assert says in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_the_last_admin_stays(here):
    add(ADA, "--admin")
    for words in (("disable", ADA), ("remove", ADA), ("role", ADA, "user")):
        result = run("user", *words)
        assert result.exit_code == Exit.USAGE
        assert "the last admin" in result.stderr
    assert json.loads(done("user", "list", "--json").stdout)[0]["role"] == "admin"


def test_what_an_account_is_good_for_is_said_where_it_is_good_for_nothing(here):
    (here / "hub.yaml").write_text("login: none", encoding="utf-8")
    assert "nobody signs in with this account" in add().stderr


def test_a_token_is_printed_alone_and_once(here):
    add()
    made = done("token", "create", "--user", ADA, "--expires", "7d", "--name", "nightly")
    secret = made.stdout.removesuffix("\n")
    assert re.fullmatch(r"mcphub_pat_[A-Za-z0-9_-]{43}", secret)
    assert secret not in made.stderr
    [token] = json.loads(done("token", "list", "--json").stdout)
    assert (token["user"], token["name"], token["scopes"]) == (ADA, "nightly", ["hub:use"])
    assert token["expires_at"] is not None
    assert token["id"] in made.stderr
    for words in (("token", "list"), ("token", "list", "--json"), ("token", "list", "--user", ADA)):
        shown = done(*words).stdout
        assert secret not in shown
        assert token["prefix"] in shown
    assert asyncio.run(stored(here, secret)).id == token["id"]
    done("token", "revoke", token["id"])
    assert asyncio.run(stored(here, secret)) is None
    assert "no personal tokens" in done("token", "list").stderr


async def stored(here, secret):
    store = SqliteStore.open(str(here / "data" / "hub.db"))
    try:
        return await store.personal_token(digest(secret))
    finally:
        await store.aclose()


def test_a_token_can_last_for_ever_and_administer_only_for_an_admin(here):
    add(ADA, "--admin")
    add("bob@example.com")
    done("token", "create", "--user", ADA, "--expires", "never", "--admin")
    [token] = json.loads(done("token", "list", "--json").stdout)
    assert (token["expires_at"], token["scopes"]) == (None, ["hub:admin", "hub:use"])
    result = run("token", "create", "--user", "bob@example.com", "--admin")
    assert result.exit_code == Exit.USAGE
    assert "Only an admin's token" in result.stderr


def test_a_token_of_a_disabled_account_is_not_made(here):
    add(ADA, "--admin")
    add("bob@example.com")
    done("user", "disable", "bob@example.com")
    assert "is disabled" in run("token", "create", "--user", "bob@example.com").stderr


@pytest.mark.promise("D32")
def test_what_the_operator_does_is_recorded(here):
    add(ADA, "--admin")
    done("token", "create", "--user", ADA)

    async def noted():
        store = SqliteStore.open(str(here / "data" / "hub.db"))
        try:
            return await store.events("default", limit=10)
        finally:
            await store.aclose()

    events = asyncio.run(noted())
    assert [(each.kind, each.issuer, each.subject) for each in events] == [
        ("personal_token_created", "local", "command"),
        ("user_added", "local", "command"),
    ]
