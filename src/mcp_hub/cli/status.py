"""`mcp-hub status`: what runs, and what needs attention."""

import asyncio
from pathlib import Path
from typing import Any

import click

from mcp_hub.cli.options import file_option, json_option, named_or_found, url_option
from mcp_hub.cli.output import print_json, print_table, style
from mcp_hub.cli.remote import address, remote_hub

_SHAPES = {"ready": "green", "disabled": "bright_black"}
_UP_TO_THEM = frozenset({"not_connected", "reconnect_needed"})
"""States in which the reason says all: their user acts on a page, and a check would find the same."""


@click.command()
@file_option
@url_option
@json_option
def status(file: Path | None, url: str | None, *, as_json: bool) -> None:
    """Show what runs, each upstream and what to do about it."""
    base = address(url, named_or_found(file))
    found = asyncio.run(ask_status(base))
    if as_json:
        print_json(found)
        return
    click.echo(f"hub {found['version']} answers at {base}\n")
    show(found["upstreams"])


async def ask_status(base: str) -> Any:
    """What the hub says of itself and its upstreams.

    Raises:
        Unreachable: no hub answers there.
    """
    async with remote_hub(base) as hub:
        return await hub.read("/api/v1/status")


def show(upstreams: list[dict[str, Any]]) -> None:
    """Print a table of upstreams, and below it a line for each that needs attention."""
    if not upstreams:
        click.echo("No upstreams are configured. Write some into hub.yaml: mcp-hub init")
        return
    print_table([_row(each) for each in upstreams])
    troubled = [each for each in upstreams if each.get("reason") and each["state"] != "disabled"]
    for each in troubled:
        click.echo(f"\n{each['name']}: {each['reason']}")
        if each["state"] not in _UP_TO_THEM:
            click.echo(f"  ↳ check from here:  mcp-hub upstream check {each['name']}")


def _row(upstream: dict[str, Any]) -> list[str]:
    state = upstream["state"] or "not asked"
    counts = upstream.get("counts", {})
    tools = f"{counts['tools']} tools" if "tools" in counts else "-"
    took = f"{upstream['milliseconds']} ms" if upstream.get("milliseconds") is not None else "-"
    era = upstream.get("era") or "-"
    return [upstream["name"], style(state, fg=_SHAPES.get(state, "yellow")), era, tools, took]
