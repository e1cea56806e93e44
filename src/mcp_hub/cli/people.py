"""How commands work on the store of a hub, whether one runs or not.

Rule: a change is in the store when the command ends, and a running hub notices it by itself.
"""

import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import click

from mcp_hub.cli.options import PRIVATE, named_or_found
from mcp_hub.config.model import Config
from mcp_hub.config.places import store_path
from mcp_hub.errors import CallerError
from mcp_hub.identity.accounts import Accounts
from mcp_hub.identity.attempts import Attempts
from mcp_hub.identity.events import Events
from mcp_hub.identity.limits import Limits
from mcp_hub.identity.passwords import Passwords
from mcp_hub.identity.personal import PersonalTokens
from mcp_hub.store.sqlite import SqliteStore

T = TypeVar("T")

_MOST_INPUT: Final = 4096


@dataclass(frozen=True, slots=True)
class People:
    """All that knows the people of a hub."""

    accounts: Accounts
    tokens: PersonalTokens


@asynccontextmanager
async def people_of(config: Config) -> AsyncGenerator[People, None]:
    """The people of the hub of this configuration, while the context lasts.

    Raises:
        StoreFailed: its store cannot be opened.
    """
    store = SqliteStore.open(store_path(config.store, os.environ))
    try:
        events, passwords = Events(store), Passwords()
        try:
            yield People(
                Accounts(
                    store,
                    passwords,
                    Attempts(Limits()),
                    events,
                    declared=config.users,
                    provider=config.login.provider,
                ),
                PersonalTokens(store, events),
            )
        finally:
            passwords.close()
            await events.aclose()
    finally:
        await store.aclose()


async def with_people(file: Path | None, act: Callable[[People, Config], Awaitable[T]]) -> T:
    """What `act` does with the people of the hub whose configuration is named or found here."""
    config = named_or_found(file) or PRIVATE
    async with people_of(config) as people:
        return await act(people, config)


def chosen_password(*, from_stdin: bool) -> str:
    """A password, asked for twice on a terminal, or read from standard input.

    Raises:
        CallerError: standard input is no terminal, and nobody said that it stands there; or it is no text.
    """
    if from_stdin:
        line = sys.stdin.buffer.readline(_MOST_INPUT)
        try:
            return line.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise CallerError("What stands on standard input is no UTF-8 text.") from None
    if not sys.stdin.isatty():
        raise CallerError("There is no terminal to ask for a password. Send it in with --password-stdin.")
    return click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)


def moment(at: float | None) -> str:
    """A moment for people: the minute, in UTC."""
    return "-" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def moment_json(at: float | None) -> str | None:
    """A moment for programs."""
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
