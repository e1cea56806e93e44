"""`mcp-hub connection`: who has connected to what, listed and ended in the store."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from click.testing import CliRunner
from tests.store_connections_suite import BARE, GRANT, KEY, REGISTRATION
from tests.store_people_suite import ANN, BOB

from mcp_hub.assembly import unlocked
from mcp_hub.cli.main import cli
from mcp_hub.cli.output import Exit
from mcp_hub.config.model import Config
from mcp_hub.credentials.sealed_keys import seal_key
from mcp_hub.oauth.sealed import with_secrets, with_tokens
from mcp_hub.oauth.server import Tokens
from mcp_hub.secret import Secret
from mcp_hub.store.connections import GrantState
from mcp_hub.vault.written import generated
from rig.misbehaving_as import MisbehavingAS, broken

pytestmark = pytest.mark.promise("E38", "D29")

DOCS = KEY.whose._replace(upstream="docs")
SECRETS = ("planted-access", "planted-refresh", "planted-secret", "planted-key")


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
    """Ann has connected GitHub and pasted a key for Docs; Bob has to connect GitHub again."""
    await store.add_user(ANN)
    await store.add_user(BOB)
    tokens = Tokens(Secret("planted-access"), Secret("planted-refresh"), 9e9, GRANT.scopes, "ann\x1b[2J@github")
    nowhere = replace(GRANT, revocation_endpoint=None)
    secret = Secret("planted-secret")
    await store.add_registration(with_secrets(vault, REGISTRATION, secret=secret), instead_of=None)
    await store.put_grant(with_tokens(vault, nowhere, tokens))
    bobs = with_tokens(vault, replace(BARE, account=""), replace(tokens, account=""))
    await store.put_grant(replace(bobs, state=GrantState.RECONNECT_NEEDED, reason="GitHub refused it."))
    await store.put_key(seal_key(vault, replace(KEY, whose=DOCS), Secret("planted-key")))


def run(*words):
    return CliRunner().invoke(cli, ["connection", *words])


def listed(*words):
    return json.loads(run("list", "--json", *words).stdout)


def test_everybodys_connections_are_listed_and_nothing_secret_is(here):
    with_store(_filled)
    result = run("list")
    assert result.exit_code == Exit.DONE, result.output
    head, docs, anns, bobs = result.stdout.splitlines()
    assert head.split() == ["UPSTREAM", "USER", "STATE", "WITH", "SINCE", "USED", "ID"]
    assert docs.split("  ")[0] == "docs"
    assert "Ann@Example.com" in docs
    assert "a key that ends in cdef" in docs
    assert "ann\ufffd[2J@github" in anns
    assert "reconnect_needed" in bobs
    everything = result.stdout + run("list", "--json").stdout
    assert [each for each in SECRETS if each in everything] == []


def test_programs_get_all_of_it(here):
    with_store(_filled)
    docs, anns, bobs = listed()
    assert docs == {
        "upstream": "docs", "user": "Ann@Example.com", "id": "u-ann", "issuer": "local", "subject": "u-ann",
        "state": "ready", "reason": "", "kind": "key", "account": "", "scopes": [], "key_hint": "cdef",
        "created_at": "1970-01-01T00:16:40Z", "used_at": None,
    }  # fmt: skip
    assert (anns["kind"], anns["scopes"], anns["account"]) == ("oauth", ["read:org", "repo"], "ann\x1b[2J@github")
    assert (bobs["state"], bobs["reason"]) == ("reconnect_needed", "GitHub refused it.")


@pytest.mark.parametrize("who", ["ann@example.com", "u-ann"])
def test_one_users_are_listed_alone(here, who):
    with_store(_filled)
    assert [each["upstream"] for each in listed("--user", who)] == ["docs", "github"]
    nobody = run("list", "--user", "eve")
    assert (nobody.stdout, nobody.exit_code) == ("", Exit.DONE)
    assert nobody.stderr == "eve has connected to nothing. 'mcp-hub connection list' shows everybody.\n"


def test_where_there_is_no_store_none_is_made(here):
    assert run("list").stderr == "Nobody has connected to anything yet.\n"
    assert listed() == []
    result = run("disconnect", "github", "--user", "ann@example.com")
    assert result.exit_code == Exit.USAGE
    assert list(here.iterdir()) == []


@pytest.mark.promise("T59")
def test_a_connection_is_ended_and_no_other_one_is(here):
    with_store(_filled)
    result = run("disconnect", "github", "--user", "ann@example.com")
    assert result.exit_code == Exit.DONE, result.output
    assert result.stderr.splitlines()[0] == "Ann@Example.com is not connected to github any more."
    assert "no way to end it from here: Ann@Example.com can do that" in result.stderr
    assert [(each["upstream"], each["id"]) for each in listed()] == [("docs", "u-ann"), ("github", "u-bob")]
    again = run("disconnect", "github", "--user", "ann@example.com")
    assert again.exit_code == Exit.USAGE
    assert again.stderr == ("ann@example.com is not connected to github. 'mcp-hub connection list' shows who is.\n")


def test_a_pasted_key_is_forgotten(here):
    with_store(_filled)
    result = run("disconnect", "docs", "--user", "u-ann")
    assert result.exit_code == Exit.DONE, result.output
    assert "The hub has forgotten their key" in result.stderr
    assert [each["upstream"] for each in listed()] == ["github", "github"]


def test_of_two_with_one_name_nobody_is_taken_for_the_other(here):
    async def twins(store, vault):
        await _filled(store, vault)
        await store.add_user(replace(ANN, id="u-twin", issuer="https://idp", subject="t-1"))
        twin = GRANT.whose._replace(issuer="https://idp", subject="t-1")
        await store.put_grant(replace(GRANT, id="g-twin", whose=twin))

    with_store(twins)
    result = run("disconnect", "github", "--user", "ann@example.com")
    assert result.exit_code == Exit.USAGE
    assert "u-twin (https://idp), u-ann (local)" in result.stderr
    assert len(listed()) == 4
    assert run("disconnect", "github", "--user", "u-twin").exit_code == Exit.DONE
    assert [each["id"] for each in listed()] == ["u-ann", "u-ann", "u-bob"]


def test_callers_without_an_account_are_named_by_their_subject(here):
    async def stranger(store, vault):
        await _filled(store, vault)
        await store.put_key(replace(KEY, id="k-me", whose=KEY.whose._replace(subject="me")))

    with_store(stranger)
    (mine,) = listed("--user", "me")
    assert (mine["user"], mine["id"], mine["subject"]) == ("me", None, "me")
    assert run("disconnect", "github", "--user", "me").exit_code == Exit.DONE


def test_a_store_in_memory_has_none_to_show(here):
    (here / "hub.yaml").write_text("version: 1\nstore: {url: 'sqlite:///:memory:'}\n")
    result = run("list")
    assert result.exit_code == Exit.USAGE
    assert "in memory" in result.stderr


async def _with_server(here, server, *, key="") -> str:
    """Ann has connected GitHub at this server; what the command says that ends it."""
    server.admit(REGISTRATION.client_id, "planted-secret")
    (here / "hub.yaml").write_text("version: 1\nnetwork: {allow_private: [127.0.0.0/8]}\n")

    async def connected(store, vault):
        await store.add_user(ANN)
        tokens = Tokens(Secret("planted-access"), Secret("planted-refresh"), 9e9, GRANT.scopes)
        endpoints = {"token_endpoint": server.token_endpoint, "revocation_endpoint": server.revocation_endpoint}
        registration = replace(REGISTRATION, issuer=server.issuer)
        sealed = with_secrets(vault, registration, secret=Secret("planted-secret"))
        await store.add_registration(sealed, instead_of=None)
        grant = replace(GRANT, authorization_server=server.issuer, **endpoints)
        await store.put_grant(with_tokens(vault, grant, tokens))

    await asyncio.to_thread(with_store, connected)
    words = ["connection", "disconnect", "github", "--user", "u-ann"]
    result = await asyncio.to_thread(CliRunner(env={"MCP_HUB_MASTER_KEY": key or None}).invoke, cli, words)
    assert result.exit_code == Exit.DONE, result.output
    assert await asyncio.to_thread(listed) == []
    assert [each for each in SECRETS if each in result.output] == []
    return result.stderr


@pytest.mark.promise("T59")
async def test_the_other_side_is_asked_to_end_it_too(here):
    async with MisbehavingAS() as server:
        said = await _with_server(here, server)
        revoked = [each.form["token"] for each in server.seen if each.path == "/revoke"]
    assert revoked == ["planted-refresh", "planted-access"]
    assert said.splitlines()[1] == "The other side has confirmed that it is over there too."


async def test_what_the_other_side_does_not_confirm_is_ended_here_and_said(here):
    async with MisbehavingAS() as server:
        server.answers["/revoke"] = broken(500)
        assert "The other side did not confirm that it is over there" in await _with_server(here, server)


async def test_without_the_master_key_it_is_ended_here_and_nobody_else_is_asked(here):
    async with MisbehavingAS() as server:
        said = await _with_server(here, server, key=generated())
        assert not [each for each in server.seen if each.path == "/revoke"]
    assert "The other side was not asked. " in said
    assert "does not open this store" in said
    assert "did not confirm" in said


def test_what_the_operator_ended_is_in_the_record(here):
    with_store(_filled)
    run("disconnect", "github", "--user", "u-ann")
    (event,) = with_store(lambda store, vault: store.events("default", limit=9))
    assert (event.kind, event.outcome, event.subject_of) == ("disconnected", "no_way", "github u-ann")
    assert (event.issuer, event.subject) == ("local", "command")
