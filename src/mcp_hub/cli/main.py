"""The command `mcp-hub`: a table of commands, each loaded when it is called.

Rule: nothing here imports a command before it is wanted, so `--help` and `validate` start without a server; and this is
the one place of the command line that catches everything.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from dataclasses import dataclass
from typing import Any, Final

import click

from mcp_hub import __version__
from mcp_hub.cli.output import Exit, fail
from mcp_hub.errors import HubError


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is, and what it does in a few words: `--help` is printed from these alone."""

    module: str
    attribute: str
    does: str


COMMANDS: Final = {
    "serve": Entry("mcp_hub.cli.serve", "serve", "Run the hub."),
    "stdio": Entry("mcp_hub.cli.stdio", "stdio", "Run the hub on standard input and output, for one client."),
    "init": Entry("mcp_hub.cli.config_commands", "init", "Write a first configuration, with comments."),
    "validate": Entry("mcp_hub.cli.config_commands", "validate", "Say everything that is wrong with a configuration."),
    "config": Entry("mcp_hub.cli.config_commands", "config", "Show the configuration, or its JSON Schema."),
    "status": Entry("mcp_hub.cli.status", "status", "Show what runs and what needs attention."),
    "upstream": Entry("mcp_hub.cli.upstream", "upstream", "List, check and refresh the servers behind the hub."),
    "tools": Entry("mcp_hub.cli.tools", "tools", "List the tools the hub offers."),
    "call": Entry("mcp_hub.cli.tools", "call", "Call a tool through the hub."),
    "user": Entry("mcp_hub.cli.user", "user", "Keep the accounts of the hub."),
    "token": Entry("mcp_hub.cli.token", "token", "Make, list and revoke personal tokens."),
    "connection": Entry("mcp_hub.cli.connection", "connection", "List and end what users have connected to."),
    "client": Entry("mcp_hub.cli.client", "client", "Print how to add the hub to a client."),
    "key": Entry("mcp_hub.cli.key", "key", "Make and change the keys that the store is sealed with."),
    "backup": Entry("mcp_hub.cli.backup", "backup", "Copy the store, while the hub runs."),
    "import": Entry("mcp_hub.cli.importing", "import_", "Turn a client's server list into configuration."),
}


class Commands(click.Group):
    """A group that knows its commands from the table. A command whose module is not installed is not offered."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [name for name, entry in COMMANDS.items() if importlib.util.find_spec(entry.module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        entry = COMMANDS[cmd_name]
        return getattr(importlib.import_module(entry.module), entry.attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].does) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        # https://no-color.org: "when present and not an empty string (regardless of its value)"
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except HubError as error:
            fail(error)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mcp_hub", message="%(prog)s %(version)s")
def cli() -> None:
    """One MCP endpoint in front of all your MCP servers."""


def main() -> None:
    """Run the command line and exit. Set MCP_HUB_DEBUG=1 to see where an unexpected error came from."""
    sys.exit(_run())


def _run() -> int:
    try:
        return int(cli.main(prog_name="mcp-hub", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return Exit.UNEXPECTED
    except Exception as error:  # noqa: BLE001 - the one place where nothing is left to hand it to
        _unexpected(error)
        return Exit.UNEXPECTED


def _unexpected(error: Exception) -> None:
    if os.environ.get("MCP_HUB_DEBUG") == "1":
        traceback.print_exception(error)
    click.echo(
        f"Something went wrong inside mcp_hub (reference {_reference(error)}); this is a fault of ours."
        " Run it again with MCP_HUB_DEBUG=1 to see where, and report that with the reference.",
        err=True,
    )


def _reference(error: Exception) -> str:
    """The same for the same fault on every machine: its kind and the place it came from, nothing of its text."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__qualname__}:{os.path.basename(place.filename)}:{place.name}"
    return hashlib.sha256(said.encode()).hexdigest()[:8]
