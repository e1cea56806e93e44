"""`mcp-hub upstream …` and `mcp-hub validate --online`: the servers behind the hub."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from mcp_hub.cli.checking import checking_as
from mcp_hub.cli.options import file_option, json_option, named_or_found, url_option
from mcp_hub.cli.output import Exit, print_json, print_table, style
from mcp_hub.cli.remote import address, remote_hub
from mcp_hub.cli.status import ask_status, show
from mcp_hub.config.model import Config
from mcp_hub.config.show import shown_url
from mcp_hub.errors import UnknownName, Unreachable
from mcp_hub.upstream.check import Status, Verdict

EXITS: Final = {
    Status.OK: Exit.DONE,
    Status.UNAUTHORIZED: Exit.SIGN_IN,
    Status.USER_NOT_AUTHENTICATED: Exit.SIGN_IN,
    Status.SERVER_URL_NOT_SET: Exit.USAGE,
    Status.FAILED: Exit.UNREACHABLE,
}


@click.group()
def upstream() -> None:
    """List, check and refresh the servers behind the hub."""


@upstream.command(name="list")
@file_option
@url_option
@json_option
def list_(file: Path | None, url: str | None, *, as_json: bool) -> None:
    """List the upstreams: as the running hub sees them, else as they are configured."""
    config = named_or_found(file) or Config()
    try:
        found = asyncio.run(ask_status(address(url, config)))["upstreams"]
    except Unreachable as error:
        if url is not None:
            raise
        click.echo(f"{error.public} Listed as configured.", err=True)
        found = [_configured(config, name) for name in config.upstreams]
    if as_json:
        print_json(found)
    else:
        show(found)


@upstream.command()
@click.argument("name")
@click.option("--as", "who", metavar="USER", default="", help="As this user: an address, or an id of 'user list'.")
@file_option
@json_option
def check(name: str, who: str, file: Path | None, *, as_json: bool) -> None:
    """Check one upstream from here, step by step. Needs no running hub.

    With --as it is checked with what this user has given the hub for it.
    """
    config = named_or_found(file) or Config()
    if name not in config.upstreams:
        raise UnknownName("upstream", name, _no_such(config, name))
    verdict = asyncio.run(_check_all(config, [name], who))[0]
    if as_json:
        print_json(verdict.document())
    else:
        _print(verdict)
    raise click.exceptions.Exit(EXITS[verdict.status])


@upstream.command()
@click.argument("name", required=False)
@file_option
@url_option
@json_option
def refresh(name: str | None, file: Path | None, url: str | None, *, as_json: bool) -> None:
    """Have the running hub fetch again what an upstream offers; all of them if none is named."""
    base = address(url, named_or_found(file))
    found = asyncio.run(_refreshed(base, name))
    if as_json:
        print_json(found)
    else:
        show(found)


def check_online(config: Config, as_json: bool) -> int:  # noqa: FBT001
    """Check every enabled upstream at once, print what came of it, and give the exit code."""
    names = [name for name, each in config.upstreams.items() if each.enabled]
    verdicts = asyncio.run(_check_all(config, names))
    if as_json:
        print_json([verdict.document() for verdict in verdicts])
    else:
        for verdict in verdicts:
            _print(verdict)
    return max((EXITS[verdict.status] for verdict in verdicts), default=Exit.DONE)


async def _check_all(config: Config, names: Sequence[str], who: str = "") -> list[Verdict]:
    async with checking_as(config, who, names) as (checking, caller):
        return list(await asyncio.gather(*(checking.check_as(caller, name) for name in names)))


async def _refreshed(base: str, name: str | None) -> list[dict[str, Any]]:
    async with remote_hub(base) as hub:
        status = await hub.read("/api/v1/status")
        known = [each["name"] for each in status["upstreams"] if each["state"] != "disabled"]
        wanted = [name] if name is not None else known
        return [await hub.read(f"/api/v1/upstreams/{each}/refresh", post=True) for each in wanted]


def _configured(config: Config, name: str) -> dict[str, Any]:
    declared = config.upstreams[name]
    return {"name": name, "url": shown_url(config, name) or None, "state": None if declared.enabled else "disabled"}


def _no_such(config: Config, name: str) -> str:
    if not config.source:
        return "There is no hub.yaml here. Name one with -c, or write one with 'mcp-hub init'."
    return f"No upstream is called {name!r} in {config.source}. There is: {', '.join(config.upstreams) or 'none'}."


def _print(verdict: Verdict) -> None:
    click.echo(f"{verdict.name}: {style(verdict.status, fg='green' if verdict.status is Status.OK else 'red')}")
    if verdict.steps:
        print_table(
            [["", "ok" if each.ok else "--", each.step, f"{each.ms} ms", each.detail] for each in verdict.steps]
        )
    for warning in verdict.part.warnings if verdict.part is not None else ():
        click.echo(f"  warning: {warning}", err=True)
