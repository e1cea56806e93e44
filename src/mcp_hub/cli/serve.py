"""`mcp-hub serve`: run the hub until it is told to stop."""

from dataclasses import replace
from pathlib import Path

import click

from mcp_hub import __version__
from mcp_hub.cli.options import PRIVATE, file_option, named_or_found
from mcp_hub.config.login_rules import exposed
from mcp_hub.config.model import Config
from mcp_hub.errors import ConfigError, Problem


@click.command()
@file_option
@click.option("--host", help="Listen on this address instead. Others than this computer's need a login.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port instead; 0 takes a free one.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="Log what is at least this important.",
)
@click.option("--log-json", is_flag=True, help="Write the log as JSON lines.")
def serve(file: Path | None, host: str | None, port: int | None, log_level: str, *, log_json: bool) -> None:
    """Run the hub until Ctrl-C or SIGTERM, which lets calls under way finish."""
    found = named_or_found(file)
    config = _listening(found or PRIVATE, host, port)
    _introduce(config, is_private=found is None)
    from mcp_hub.cli.server import run  # noqa: PLC0415 - the first lines are out before the server loads

    run(config, log_level=log_level, log_json=log_json)


def _listening(config: Config, host: str | None, port: int | None) -> Config:
    """The configuration with what was said instead.

    Raises:
        ConfigError: the hub must not listen there.
    """
    server = config.server
    changed = replace(server, host=host or server.host, port=server.port if port is None else port)
    said = replace(config, server=changed)
    found = exposed(said)
    if found is not None:
        raise ConfigError("mcp-hub serve", [Problem(0, 0, "server.host", found.message, found.hint)])
    return said


def _introduce(config: Config, *, is_private: bool) -> None:
    click.echo(f"mcp_hub {__version__}\n")
    if is_private:
        click.echo("  No hub.yaml here, so this is a private hub for you on this computer, without upstreams.")
        click.echo("  Write one:    mcp-hub init\n")
    else:
        enabled = sum(each.enabled for each in config.upstreams.values())
        click.echo(f"  Configured    {config.source}, {enabled} upstream{'' if enabled == 1 else 's'}")
    if config.warnings:
        count = len(config.warnings)
        click.echo(
            f"  To know       {count} thing{'' if count == 1 else 's'} about it: mcp-hub validate -c {config.source}"
        )
