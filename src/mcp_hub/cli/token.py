"""`mcp-hub token …`: personal tokens, for scripts and for clients that cannot open a browser."""

import asyncio
from pathlib import Path
from typing import Any, Final

import click
from pydantic_core import PydanticCustomError

from mcp_hub.cli.options import file_option, json_option
from mcp_hub.cli.output import print_json, print_table
from mcp_hub.cli.people import People, moment, moment_json, with_people
from mcp_hub.config.fields import Duration
from mcp_hub.config.model import Config
from mcp_hub.errors import BadRequest
from mcp_hub.identity.events import OPERATOR
from mcp_hub.identity.scopes import ADMIN, USE
from mcp_hub.secret import Secret
from mcp_hub.store.people import PersonalToken

_LIFETIME: Final = Duration(60.0, 3650 * 86400.0)


@click.group()
def token() -> None:
    """Make, list and revoke personal tokens, for scripts and for clients that cannot open a browser."""


@token.command()
@click.option("--user", "who", required=True, metavar="EMAIL", help="Whose token it is.")
@click.option("--expires", default="30d", show_default=True, help="When it ends: a duration, or never.")
@click.option("--name", default="command line", show_default=True, help="What it is for, to tell it from others.")
@click.option("--admin", is_flag=True, help="It may administer the hub, too, as its owner may.")
@file_option
def create(who: str, expires: str, name: str, file: Path | None, *, admin: bool) -> None:
    """Make a token and print it, alone and only this once."""
    lasts = _lifetime(expires)
    scopes = frozenset({USE, ADMIN} if admin else {USE})

    async def made(people: People, config: Config) -> tuple[PersonalToken, Secret]:
        del config
        owner = await people.accounts.find(who)
        if owner.disabled:
            raise BadRequest(f"{who} is disabled. 'mcp-hub user enable {who}' lets them in again.")
        return await people.tokens.create(owner, name, lasts, scopes, actor=OPERATOR)

    new, secret = asyncio.run(with_people(file, made))
    ends = "never" if new.expires_at is None else moment(new.expires_at)
    click.echo(f"Token {new.id} of {who}; it expires {ends}. To end it: mcp-hub token revoke {new.id}", err=True)
    click.echo(secret.open())


@token.command(name="list")
@click.option("--user", "who", metavar="EMAIL", help="Only the tokens of this account.")
@file_option
@json_option
def list_(who: str | None, file: Path | None, *, as_json: bool) -> None:
    """List the tokens that there are. What they are is known to nobody any more."""

    async def listed(people: People, config: Config) -> list[tuple[str, PersonalToken]]:
        del config
        if who is not None:
            owner = await people.accounts.find(who)
            return [(owner.email, each) for each in await people.tokens.list(owner)]
        names = {each.id: each.email for each in await people.accounts.users()}
        return [(names.get(each.user, each.user), each) for each in await people.tokens.list_all()]

    found = asyncio.run(with_people(file, listed))
    if as_json:
        print_json([_document(email, each) for email, each in found])
    elif found:
        print_table([_HEAD, *[_row(email, each) for email, each in found]])
    else:
        click.echo("There are no personal tokens. Make one: mcp-hub token create --user EMAIL", err=True)


@token.command()
@click.argument("id_", metavar="ID")
@file_option
def revoke(id_: str, file: Path | None) -> None:
    """End a token by the id that 'token list' shows; it is refused at its next request."""

    async def end(people: People, config: Config) -> bool:
        del config
        return await people.tokens.revoke_any(id_, actor=OPERATOR)

    if not asyncio.run(with_people(file, end)):
        raise BadRequest("There is no token of this id. 'mcp-hub token list' shows all.")
    click.echo(f"Token {id_} is of no use any more.", err=True)


def _lifetime(said: str) -> float | None:
    if said == "never":
        return None
    try:
        return _LIFETIME.read(said)
    except PydanticCustomError as error:
        sentence = (error.context or {})["sentence"]
        raise click.BadParameter(f"It {sentence}, or never.", param_hint="--expires") from None


_HEAD = ("ID", "OF", "NAME", "BEGINS WITH", "MADE", "EXPIRES", "USED", "MAY")


def _row(email: str, found: PersonalToken) -> tuple[str, ...]:
    ends = "never" if found.expires_at is None else moment(found.expires_at)
    times = (moment(found.created_at), ends, moment(found.used_at))
    return (found.id, email, found.name, found.prefix, *times, " ".join(sorted(found.scopes)))


def _document(email: str, found: PersonalToken) -> dict[str, Any]:
    return {
        "id": found.id,
        "user": email,
        "name": found.name,
        "prefix": found.prefix,
        "scopes": sorted(found.scopes),
        "created_at": moment_json(found.created_at),
        "expires_at": moment_json(found.expires_at),
        "used_at": moment_json(found.used_at),
    }
