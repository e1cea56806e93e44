"""`mcp-hub client NAME`: what to paste where, so that a client finds the hub.

Rule: stdout holds only what is pasted or run; where it goes is said on stderr.
"""

from pathlib import Path

import click

from mcp_hub.cli.config_commands import file_option, json_option, named_or_found
from mcp_hub.cli.output import print_json
from mcp_hub.config.addresses import split_url
from mcp_hub.config.model import Config
from mcp_hub.config.snippets import CLIENTS
from mcp_hub.errors import BadRequest


@click.command()
@click.argument("name", type=click.Choice(list(CLIENTS)))
@click.option("--url", help="The hub's address. [default: from the configuration]")
@file_option
@json_option
def client(name: str, url: str | None, file: Path | None, *, as_json: bool) -> None:
    """Print how to add the hub to the client NAME."""
    endpoint = _endpoint(url) if url is not None else (named_or_found(file) or Config()).server.endpoint
    snippet = CLIENTS[name](endpoint)
    if as_json:
        print_json({"client": name, "url": endpoint, "paste": snippet.paste, "where": list(snippet.where)})
        return
    for line in snippet.where:
        click.echo(line, err=True)
    click.echo(snippet.paste)


def _endpoint(raw: str) -> str:
    url = split_url(raw)
    if url is None or url.username is not None or url.password is not None:
        raise BadRequest(
            "--url must be an address such as https://hub.example.com/mcp, without user name and password."
        )
    return f"{raw.rstrip('/')}/mcp" if url.path in {None, "/"} and "?" not in raw else raw
