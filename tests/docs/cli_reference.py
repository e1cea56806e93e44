"""The page of the commands, made from their own help: `python tests/docs/cli_reference.py > docs/cli.md`."""

import sys
from collections.abc import Iterator

import click

from mcp_hub.cli.main import cli

WIDTH = 100
INTRO = """\
# Commands

Every command has `--help`, which is what stands here. Reading commands take `--json`. Results go to standard output,
everything said about them to standard error. `NO_COLOR` turns colour off; it is only used on a terminal anyway.
[Operations](operations.md#exit-codes) lists the exit codes.

The commands that speak to a running hub (`status`, `tools`, `call`, `upstream list`, `upstream refresh`) find it
through the configuration, like `serve`, or through `--url`. Where people sign in, they need a personal token in the
environment variable `MCP_HUB_TOKEN`.
"""


def reference() -> str:
    """The whole page."""
    sections = (f"## `{path}`\n\n```text\n{text}\n```\n" for path, text in _helps("mcp-hub", cli, None))
    return "\n".join((INTRO, *sections))


def commands() -> list[str]:
    """Every command as it is typed, without `mcp-hub` itself."""
    return [path.removeprefix("mcp-hub ") for path, _ in _helps("mcp-hub", cli, None)][1:]


def _helps(path: str, command: click.Command, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    width = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    name = path.rpartition(" ")[2]
    context = click.Context(command, parent, info_name=name, **width, **command.context_settings)
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from _helps(f"{path} {each}", found, context)


if __name__ == "__main__":
    sys.stdout.write(reference())
