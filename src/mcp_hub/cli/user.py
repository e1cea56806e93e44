"""`mcp-hub user …`: who may use the hub. They work on the store, whether the hub runs or not."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from mcp_hub.cli.options import file_option, json_option
from mcp_hub.cli.output import print_json, print_table
from mcp_hub.cli.people import People, chosen_password, moment, moment_json, with_people
from mcp_hub.config.model import Config
from mcp_hub.identity.events import OPERATOR
from mcp_hub.principal import ADMIN, LOCAL_ISSUER
from mcp_hub.store.people import User

password_option = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input, one line."
)


@click.group()
def user() -> None:
    """Keep the accounts of the hub: its store is changed, whether the hub runs or not.

    WHO is an email address, or the id that 'user list' shows.
    """


@user.command(name="list")
@file_option
@json_option
def list_(file: Path | None, *, as_json: bool) -> None:
    """List the accounts, with their role and when they were seen last."""

    async def listed(people: People, config: Config) -> list[User]:
        del config
        return await people.accounts.users()

    found = asyncio.run(with_people(file, listed))
    if as_json:
        print_json([_document(each) for each in found])
    elif found:
        print_table([_HEAD, *[_row(each) for each in found]])
    else:
        click.echo("There are no accounts yet. Make one: mcp-hub user add EMAIL --admin", err=True)


@user.command()
@click.argument("email")
@click.option("--admin", is_flag=True, help="Make it an admin, who may change what all share.")
@password_option
@file_option
def add(email: str, file: Path | None, *, admin: bool, from_stdin: bool) -> None:
    """Make an account with a password, which is asked for on a terminal."""

    async def made(people: People, config: Config) -> User:
        people.accounts.require_good(email, None)
        roles = frozenset({ADMIN if admin else "user"})
        password = chosen_password(from_stdin=from_stdin)
        new = await people.accounts.add_local(email, password, actor=OPERATOR, roles=roles)
        _say_if_useless(config, new)
        return new

    new = asyncio.run(with_people(file, made))
    click.echo(f"Added {new.email}, {_role(new)}.", err=True)


@user.command()
@click.argument("who")
@click.argument("role", type=click.Choice(["admin", "user"]))
@file_option
def role(who: str, role: str, file: Path | None) -> None:
    """Make an account an admin, or a plain user."""
    changed = _changed(
        who, file, lambda people, found: people.accounts.set_roles(found, frozenset({role}), actor=OPERATOR)
    )
    click.echo(f"{changed.email} is {_role(changed)} now.", err=True)


@user.command()
@click.argument("who")
@password_option
@file_option
def password(who: str, file: Path | None, *, from_stdin: bool) -> None:
    """Give an account another password, and end what is signed in for it."""

    async def set_password(people: People, found: User) -> User:
        return await people.accounts.set_password(found, chosen_password(from_stdin=from_stdin), actor=OPERATOR)

    changed = _changed(who, file, set_password)
    click.echo(f"{changed.email} has another password now, and has to sign in again everywhere.", err=True)


@user.command(name="sign-out")
@click.argument("who")
@file_option
def sign_out(who: str, file: Path | None) -> None:
    """End all browsers and MCP clients of somebody. Personal tokens stay."""

    async def end(people: People, found: User) -> User:
        await people.accounts.sign_out(found, actor=OPERATOR)
        return found

    changed = _changed(who, file, end)
    click.echo(f"{changed.email} has to sign in again everywhere.", err=True)


@user.command()
@click.argument("who")
@file_option
def disable(who: str, file: Path | None) -> None:
    """Let somebody in nowhere any more; browsers, clients and personal tokens end at once."""
    changed = _changed(who, file, lambda people, found: people.accounts.disable(found, actor=OPERATOR))
    click.echo(f"{changed.email} is disabled. To undo that: mcp-hub user enable {changed.email}", err=True)


@user.command()
@click.argument("who")
@file_option
def enable(who: str, file: Path | None) -> None:
    """Let somebody in again who was disabled."""
    changed = _changed(who, file, lambda people, found: people.accounts.enable(found, actor=OPERATOR))
    click.echo(f"{changed.email} may sign in again.", err=True)


@user.command()
@click.argument("who")
@click.option("--yes", is_flag=True, help="Do not ask.")
@file_option
def remove(who: str, file: Path | None, *, yes: bool) -> None:
    """Delete an account, all that is signed in for it, and what it has connected to.

    Upstreams are not asked to end anything: 'mcp-hub connection disconnect' does that, before.
    """

    async def end(people: People, found: User) -> User:
        if not yes and sys.stdin.isatty():
            click.confirm(f"Remove {found.email} and end all that is signed in for it?", abort=True, err=True)
        await people.accounts.remove(found, actor=OPERATOR)
        return found

    gone = _changed(who, file, end)
    click.echo(f"Removed {gone.email}.", err=True)


def _changed(who: str, file: Path | None, change: Callable[[People, User], Awaitable[User]]) -> User:
    async def act(people: People, config: Config) -> User:
        del config
        return await change(people, await people.accounts.find(who))

    return asyncio.run(with_people(file, act))


def _say_if_useless(config: Config, new: User) -> None:
    kind = config.login.type
    if kind in ("none", "jwt"):
        click.echo(f"With 'login: {kind}' nobody signs in with this account; 'login: local' would let it.", err=True)
    elif kind == "oidc" and ADMIN not in new.roles:
        click.echo("With 'login: oidc' only admins may sign in with a password.", err=True)


_HEAD = ("ADDRESS", "ROLE", "STATE", "SEEN", "SIGNS IN", "ID")


def _row(found: User) -> tuple[str, ...]:
    place = "here" if found.issuer == LOCAL_ISSUER else found.issuer
    state = "disabled" if found.disabled else "active"
    return (found.email or "-", _plain_role(found), state, moment(found.seen_at), place, found.id)


def _plain_role(found: User) -> str:
    return "admin" if ADMIN in found.roles else "user"


def _role(found: User) -> str:
    return "an admin" if ADMIN in found.roles else "a user"


def _document(found: User) -> dict[str, Any]:
    return {
        "id": found.id,
        "email": found.email,
        "name": found.name,
        "issuer": found.issuer,
        "subject": found.subject,
        "role": _plain_role(found),
        "groups": sorted(found.groups),
        "disabled": found.disabled,
        "created_at": moment_json(found.created_at),
        "seen_at": moment_json(found.seen_at),
    }
