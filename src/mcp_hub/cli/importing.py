"""`mcp-hub import FILE`: the servers a client knows, as configuration of the hub.

Rule: stdout is a configuration that loads once the variables are set; no secret of the file is printed anywhere.
"""

import json
import re
from collections.abc import Iterator
from typing import Final, TextIO

import click

from mcp_hub.config.foreign import Foreign, NotAServerList, probe, read_servers
from mcp_hub.config.model import Server
from mcp_hub.config.reach import judge_address, private_range
from mcp_hub.config.rules import is_own_address
from mcp_hub.errors import BadRequest

_MAX_CHARACTERS: Final = 1024 * 1024


@click.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
def import_(file: TextIO) -> None:
    """Turn the server list in FILE into configuration.

    FILE holds 'mcpServers' (Claude, Cursor and others) or 'servers' (VS Code); '-' is standard input. Prints YAML.
    Secrets become variables, which are listed.
    """
    try:
        servers = read_servers(file.read(_MAX_CHARACTERS))
    except (NotAServerList, UnicodeDecodeError) as error:
        why = str(error) if isinstance(error, NotAServerList) else "it is not UTF-8 text"
        raise BadRequest(f"{file.name}: {why}. Name the file in which a client keeps its MCP servers.") from None
    ranges: dict[str, None] = {}
    for server in servers:
        _judge(server, ranges)
    click.echo("\n".join(_yaml(servers, list(ranges))))
    for line in _remarks(servers):
        click.echo(line, err=True)


def _judge(server: Foreign, ranges: dict[str, None]) -> None:
    """Note the private range the server lives in, or leave it out if the hub could never reach it, or is it."""
    url = probe(server.url)
    if server.left_out or url is None:
        return
    if is_own_address(url, Server()):
        server.left_out = "it is the hub's own address"
        return
    needed = private_range(url.host or "")
    if needed is not None:
        ranges[str(needed)] = None
    elif judge_address(url.scheme, url.host or "", ())[0]:
        server.left_out = "plain http is for ranges in network.allow_private only; use https"


def _yaml(servers: list[Foreign], ranges: list[str]) -> Iterator[str]:
    yield "version: 1"
    if ranges:
        yield "network:"
        yield f"  allow_private: [{', '.join(map(quoted, ranges))}]"
    yield "upstreams:" if any(not server.left_out for server in servers) else "upstreams: {}"
    for server in servers:
        margin = "#" if server.left_out else ""
        yield from (f"{margin}{line}" for line in _entry(server))


def _entry(server: Foreign) -> Iterator[str]:
    yield f"  {server.name}:" + (f"  # {server.left_out}" if server.left_out else "")
    if server.title != server.name:
        yield f"    title: {quoted(server.title)}"
    if server.description:
        yield f"    description: {quoted(server.description)}"
    if not server.enabled:
        yield "    enabled: false"
    if server.url:
        yield f"    url: {quoted(server.url)}"
    if server.transport:
        yield f"    transport: {server.transport}"
    if server.command:
        yield f"    command: [{', '.join(map(quoted, server.command))}]"
    if server.cwd:
        yield f"    cwd: {quoted(server.cwd)}"
    for name, mapping in (("headers", server.headers), ("env", server.env)):
        if mapping:
            yield f"    {name}:"
            yield from (f"      {quoted(key)}: {quoted(value)}" for key, value in mapping.items())


def _remarks(servers: list[Foreign]) -> Iterator[str]:
    for server in servers:
        yield from (f"{server.name}: {note}" for note in dict.fromkeys(server.notes))
        if server.left_out:
            yield f"{server.name}: left out as a comment: {server.left_out}"
    variables = {
        name: meaning for one in servers if not one.left_out for name, meaning in one.variables.meanings.items()
    }
    if variables:
        yield "Set these environment variables before you start the hub:"
        yield from (f"  {name}   {meaning}" for name, meaning in variables.items())


def quoted(text: str) -> str:
    """Text as a YAML scalar in double quotes, on one line, whatever it holds."""
    said = json.dumps(text, ensure_ascii=False)
    # JSON leaves these as they are; YAML does not take them, or takes them for the end of a line.
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]", lambda c: f"\\u{ord(c[0]):04x}", said)
