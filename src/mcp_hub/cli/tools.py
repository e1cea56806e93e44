"""`mcp-hub tools` and `mcp-hub call`: the hub as a client sees it."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final, cast

import click

from mcp_hub.catalog.notes import META_UPSTREAMS
from mcp_hub.cli.options import file_option, json_option, named_or_found, url_option
from mcp_hub.cli.output import Exit, print_json, print_table, show_link
from mcp_hub.cli.remote import RemoteHub, address, remote_hub
from mcp_hub.credentials.state import State
from mcp_hub.errors import UnknownName
from mcp_hub.wire.jsonrpc import Json

NOT_CONNECTED: Final = State.NOT_CONNECTED.value
RECONNECT_NEEDED: Final = State.RECONNECT_NEEDED.value


@click.command()
@file_option
@url_option
@json_option
def tools(file: Path | None, url: str | None, *, as_json: bool) -> None:
    """List the tools the running hub offers, and say what is missing."""
    listed = asyncio.run(_listed(address(url, named_or_found(file))))
    if as_json:
        print_json(listed)
        return
    if listed["tools"]:
        print_table([[each["name"], _first_line(each)] for each in listed["tools"]])
    for name, absence in _told(listed).items():
        click.echo(f"{name} ({absence['state']}): {absence['message']}", err=True)
        show_link(absence.get("link"))


@click.command()
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@file_option
@url_option
@json_option
def call(name: str, arguments: tuple[str, ...], file: Path | None, url: str | None, *, as_json: bool) -> None:
    """Call a tool through the running hub. Values are read as the tool's schema says: text, else JSON."""
    result = asyncio.run(_called(address(url, named_or_found(file)), name, arguments))
    if as_json:
        print_json(result)
    else:
        for block in result.get("content", []):
            click.echo(block["text"] if block.get("type") == "text" else json.dumps(block))
    if result.get("isError"):
        # The hub says so itself where the tool was never reached.
        unreached = _told(result)
        raise click.exceptions.Exit(_unreached(unreached) if unreached else Exit.TOOL_ERROR)


def _told(result: Json) -> dict[str, Json]:
    """What the hub says itself of upstreams, by name."""
    return result.get("_meta", {}).get(META_UPSTREAMS, {})


def _unreached(told: dict[str, Json]) -> Exit:
    waits_for_user = any(each["state"] in (NOT_CONNECTED, RECONNECT_NEEDED) for each in told.values())
    return Exit.SIGN_IN if waits_for_user else Exit.UNREACHABLE


async def _listed(base: str) -> Json:
    async with remote_hub(base) as hub:
        return await _all_pages(hub)


async def _all_pages(hub: RemoteHub) -> Json:
    page = await hub.ask("tools/list", {})
    tools = list(page["tools"])
    while page.get("nextCursor") is not None:
        page = await hub.ask("tools/list", {"cursor": page["nextCursor"]})
        tools += page["tools"]
    return {**page, "tools": tools}


async def _called(base: str, name: str, given: tuple[str, ...]) -> Json:
    async with remote_hub(base) as hub:
        listed = await _all_pages(hub)
        found = [each for each in listed["tools"] if each["name"] == name]
        # Whoever is not connected does not see the tools there; the hub says of a call whose they are.
        if not found and all(each["state"] != NOT_CONNECTED for each in _told(listed).values()):
            raise UnknownName("tool", name, f"No tool is called {name!r} here. See: mcp-hub tools")
        properties: Any = found[0].get("inputSchema", {}).get("properties", {}) if found else {}
        arguments = dict(_argument(each, properties) for each in given)
        return await hub.ask("tools/call", {"name": name, "arguments": arguments}, name)


def _argument(given: str, properties: dict[str, Any]) -> tuple[str, Any]:
    key, found, text = given.partition("=")
    if not found:
        raise click.BadParameter(f"{given!r} is not of the form KEY=VALUE.")
    schema: Any = properties.get(key)
    if isinstance(schema, dict) and cast("Json", schema).get("type") == "string":
        return key, text
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text


def _first_line(tool: Json) -> str:
    text = str(tool.get("title") or tool.get("description") or "")
    return text.strip().partition("\n")[0][:100]
