"""As whom the command line checks upstreams."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from click.testing import CliRunner

from mcp_hub.assembly import unlocked
from mcp_hub.cli.main import cli
from mcp_hub.cli.output import Exit
from mcp_hub.config.load import load_file
from mcp_hub.connecting import open_connections
from mcp_hub.identity.principals import principal_of
from mcp_hub.principal import LOCAL
from mcp_hub.secret import Secret
from rig.fake_upstream import Answer, FakeUpstream
from rig.token_store import account

pytestmark = pytest.mark.promise("D26", "E38")

KEY = "canary-of-ada"


class Hub:
    """A configuration with one upstream that takes one key only, and the store of its hub."""

    def __init__(self, folder, fake, login="local", auth="{type: header, name: X-API-Key, per_user: true}"):
        self.file = folder / "hub.yaml"
        self.store = folder / "data" / "hub.db"
        self.file.write_text(
            f"login: {login}\nstore: {{url: 'sqlite:///{self.store}'}}\nnetwork: {{allow_private: [127.0.0.0/8]}}\n"
            f"upstreams:\n  up:\n    url: {fake.url}\n    auth: {auth}\n",
            "utf-8",
        )

    async def keeps(self, *users, keys):
        """Accounts, and a pasted key for each of these callers."""
        async with AsyncExitStack() as stack:
            config = load_file(self.file, {})
            store, vault = await unlocked(config, stack)
            connections = (await open_connections(config, store, vault, stack)).connections
            for user in users:
                await store.add_user(user)
            for caller, key in keys.items():
                await connections.paste(caller, "up", Secret(key))

    async def checks(self, *options):
        words = ["upstream", "check", "up", "-c", str(self.file), *options]
        return await asyncio.to_thread(CliRunner().invoke, cli, words)


async def guarded(request):
    return None if request.headers.get("x-api-key") == KEY else Answer(b"SECRET", 401)


@pytest.fixture
async def fake():
    async with FakeUpstream(name="up") as fake, asyncio.timeout(30):
        fake.before = guarded
        yield fake


async def test_an_upstream_is_checked_with_what_its_user_gave(tmp_path, fake):
    hub, ada, bob, eve = Hub(tmp_path, fake), account("ada"), account("bob"), replace(account("eve"), disabled=True)
    await hub.keeps(ada, bob, eve, keys={principal_of(ada): KEY})
    as_ada, by_id = await hub.checks("--as", ada.email.upper(), "--json"), await hub.checks("--as", ada.id)
    assert (as_ada.exit_code, json.loads(as_ada.output)["status"], by_id.exit_code) == (Exit.DONE, "OK", Exit.DONE)
    as_bob, as_nobody = await hub.checks("--as", bob.email), await hub.checks()
    assert (as_bob.exit_code, as_nobody.exit_code) == (Exit.SIGN_IN, Exit.SIGN_IN)
    assert as_bob.output.startswith("up: User not authenticated")
    assert f"not connected for {bob.email}. Open http://127.0.0.1:8080/connect/up" in as_bob.output
    assert "--as" in as_nobody.output
    stranger, disabled = await hub.checks("--as", "nobody@example.com"), await hub.checks("--as", eve.email)
    assert (stranger.exit_code, disabled.exit_code) == (Exit.USAGE, Exit.USAGE)
    assert "There is no account with this address" in stranger.output
    assert "is disabled" in disabled.output
    assert KEY not in "".join(each.output for each in (as_ada, by_id, as_bob, as_nobody, stranger, disabled))


async def test_the_one_user_of_a_private_hub_need_not_be_named(tmp_path, fake):
    hub = Hub(tmp_path, fake, login="none")
    before = await hub.checks()
    assert (before.exit_code, hub.store.exists()) == (Exit.SIGN_IN, False)
    assert "not connected for you" in before.output
    await hub.keeps(keys={LOCAL: KEY})
    assert (await hub.checks()).exit_code == Exit.DONE
    named = await hub.checks("--as", "ada@example.com")
    assert (named.exit_code, "Leave out --as" in named.output) == (Exit.USAGE, True)


async def test_nobody_is_known_where_no_hub_has_run_and_no_store_is_made(tmp_path, fake):
    hub = Hub(tmp_path, fake)
    told = await hub.checks("--as", "ada@example.com")
    assert (told.exit_code, hub.store.exists()) == (Exit.USAGE, False)
    assert "There are no accounts yet" in told.output


async def test_a_hub_without_accounts_says_how_to_check(tmp_path, fake):
    login = "{type: jwt, issuer: 'https://id.example.com'}"
    hub = Hub(tmp_path, fake, login, auth="{type: header, name: X-API-Key, from: x-mine}")
    told = await hub.checks("--as", "ada@example.com")
    assert told.exit_code == Exit.USAGE
    assert "POST /api/v1/upstreams/NAME/check" in told.output


async def test_a_store_that_cannot_be_opened_matters_only_where_it_is_needed(tmp_path, fake):
    needed, not_needed = Hub(tmp_path, fake, login="none"), tmp_path / "plain"
    not_needed.mkdir()
    plain = Hub(not_needed, fake, login="none", auth="~")
    for hub in (needed, plain):
        hub.store.parent.mkdir()
        hub.store.write_bytes(b"not a store at all" * 100)
    fake.before = None
    told = await needed.checks()
    assert (told.exit_code, "is not a" in told.output or "damaged" in told.output) == (Exit.UNEXPECTED, True)
    assert (await plain.checks()).exit_code == Exit.DONE
