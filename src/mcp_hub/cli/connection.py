"""`mcp-hub connection …`: who has connected to which upstream. They work on the store, whether the hub runs or not.

Rule: what is listed is never secret; and what is ended here is gone from the store before anybody else is asked.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from mcp_hub.audit.clean import one_line
from mcp_hub.cli.options import PRIVATE, file_option, json_option, named_or_found
from mcp_hub.cli.output import print_json, print_table
from mcp_hub.cli.people import moment, moment_json
from mcp_hub.config.model import Config
from mcp_hub.config.places import is_kept, store_path
from mcp_hub.connecting import open_revoking
from mcp_hub.declared import masters_of
from mcp_hub.errors import BadRequest, HubFault
from mcp_hub.identity.events import OPERATOR, Events, Kind
from mcp_hub.oauth.connection import Ending
from mcp_hub.principal import DEFAULT_TENANT
from mcp_hub.store.connections import Grant, GrantState, PastedKey, Whose
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.vault import Vault


@click.group()
def connection() -> None:
    """List and end the connections of users with upstreams: the store is changed, whether the hub runs or not."""


user_option = click.option(
    "--user", "who", metavar="WHO", help="Whose: an email address, or the id or subject that 'connection list' shows."
)


@connection.command(name="list")
@user_option
@file_option
@json_option
def list_(who: str | None, file: Path | None, *, as_json: bool) -> None:
    """List who has connected to what, how it stands and when it was used last."""
    found = [each for each in asyncio.run(_listed(_configured(file))) if who is None or each.is_of(who)]
    if as_json:
        print_json([_document(each) for each in found])
    elif found:
        print_table([_HEAD, *[_row(each) for each in found]])
    elif who is None:
        click.echo("Nobody has connected to anything yet.", err=True)
    else:
        click.echo(f"{who} has connected to nothing. 'mcp-hub connection list' shows everybody.", err=True)


@connection.command()
@click.argument("upstream")
@click.option("--user", "who", metavar="WHO", required=True, help="Whose: as in 'connection list --user'.")
@file_option
def disconnect(upstream: str, who: str, file: Path | None) -> None:
    """End somebody's connection to UPSTREAM: the hub forgets it, and asks the other side to end it too."""
    ended, ending = asyncio.run(_ended(_configured(file), upstream, who))
    click.echo(f"{ended.name} is not connected to {upstream} any more.", err=True)
    click.echo(_ENDINGS[ending].format(name=ended.name, upstream=upstream) if ended.grant else _KEY, err=True)


@dataclass(frozen=True, slots=True)
class _Connected:
    """A grant or a pasted key, and whose it is: `name` for people, `user` the id of the account if there is one."""

    whose: Whose
    name: str
    user: str
    grant: Grant | None = None
    key: PastedKey | None = None

    def is_of(self, who: str) -> bool:
        """Whether this is how they are named."""
        return who in (self.user, self.whose.subject) or who.casefold() == self.name.casefold()


def _configured(file: Path | None) -> Config:
    config = named_or_found(file) or PRIVATE
    if not is_kept(config.store):
        raise click.UsageError("This store is in memory: its connections end with the hub.")
    return config


async def _listed(config: Config) -> list[_Connected]:
    if not store_path(config.store, os.environ).exists():
        return []  # and none is made by looking
    async with AsyncExitStack() as stack:
        return await _all_of(_opened(config, stack))


async def _all_of(store: SqliteStore) -> list[_Connected]:
    users = {(each.issuer, each.subject): each for each in await store.users(DEFAULT_TENANT)}

    def connected(whose: Whose, **what: Any) -> _Connected:
        user = users.get((whose.issuer, whose.subject))
        name = (user.email or user.name or user.id) if user else whose.subject
        return _Connected(whose, one_line(name), user.id if user else "", **what)

    grants = [connected(each.whose, grant=each) for each in await store.grants(DEFAULT_TENANT)]
    keys = [connected(each.whose, key=each) for each in await store.keys_of(DEFAULT_TENANT)]
    return sorted([*grants, *keys], key=lambda each: (each.whose.upstream, each.name, each.whose))


async def _ended(config: Config, upstream: str, who: str) -> tuple[_Connected, Ending]:
    if not store_path(config.store, os.environ).exists():
        raise _not_connected(upstream, who)
    async with AsyncExitStack() as stack:
        store = _opened(config, stack)
        one = _one_of([each for each in await _all_of(store) if each.whose.upstream == upstream], upstream, who)
        await store.drop_key(one.whose)
        ending = Ending.NO_WAY if one.grant is None else await _revoked(config, store, one.whose, stack)
        events = Events(store)
        events.note(Kind.DISCONNECTED, ending.value, actor=OPERATOR, about=f"{upstream} {one.user or one.name}")
        await events.aclose()
        return one, ending


async def _revoked(config: Config, store: SqliteStore, whose: Whose, stack: AsyncExitStack) -> Ending:
    try:
        vault = await Vault.unlock(store, masters_of(config, os.environ))
        revoking = await open_revoking(config, store, vault, stack)
    except HubFault as fault:
        # Without the master key nobody can tell the other side which token it is about; the hub's copy goes all the
        # same, since that is what was asked for.
        await store.drop_grant(whose)
        click.echo(f"The other side was not asked. {fault.public}", err=True)
        return Ending.NO_ANSWER
    return await revoking.disconnect(whose)


def _one_of(there: Sequence[_Connected], upstream: str, who: str) -> _Connected:
    found = [each for each in there if each.is_of(who)]
    if not found:
        raise _not_connected(upstream, who)
    if len({each.whose for each in found}) > 1:
        named = ", ".join(f"{each.user or each.whose.subject} ({each.whose.issuer})" for each in found)
        raise BadRequest(f"Several people are called that. Name one by the id: {named}.")
    return found[0]


def _not_connected(upstream: str, who: str) -> BadRequest:
    return BadRequest(f"{who} is not connected to {upstream}. 'mcp-hub connection list' shows who is.")


def _opened(config: Config, stack: AsyncExitStack) -> SqliteStore:
    store = SqliteStore.open(store_path(config.store, os.environ))
    stack.push_async_callback(store.aclose)
    return store


_ENDINGS: Final[Mapping[Ending, str]] = {
    Ending.CONFIRMED: "The other side has confirmed that it is over there too.",
    Ending.NO_WAY: "The other side offers no way to end it from here: {name} can do that in their account there.",
    Ending.NO_ANSWER: "The other side did not confirm that it is over there: {name} can end it in their account there.",
    Ending.NOTHING: "It had ended already.",
}
_KEY: Final = "The hub has forgotten their key. It is good until it is deleted where it was made."
_HEAD: Final = ("UPSTREAM", "USER", "STATE", "WITH", "SINCE", "USED", "ID")


def _row(found: _Connected) -> tuple[str, ...]:
    what = found.grant or found.key
    times = (moment(what.created_at), moment(what.used_at)) if what else ("-", "-")
    return (found.whose.upstream, found.name, _state(found), _with(found), *times, found.user or found.whose.subject)


def _state(found: _Connected) -> str:
    return GrantState.READY.value if found.grant is None else found.grant.state.value


def _with(found: _Connected) -> str:
    if found.grant is not None:
        return one_line(found.grant.account) or "their account"
    return f"a key that ends in {found.key.hint}" if found.key and found.key.hint else "a key"


def _document(found: _Connected) -> dict[str, Any]:
    grant, key, whose = found.grant, found.key, found.whose
    what = grant or key
    return {
        "upstream": whose.upstream,
        "user": found.name,
        "id": found.user or None,
        "issuer": whose.issuer,
        "subject": whose.subject,
        "state": _state(found),
        "reason": grant.reason if grant else "",
        "kind": "oauth" if grant else "key",
        "account": grant.account if grant else "",
        "scopes": sorted(grant.scopes) if grant else [],
        "key_hint": key.hint if key else "",
        "created_at": moment_json(what.created_at if what else None),
        "used_at": moment_json(what.used_at if what else None),
    }
