"""`mcp-hub key …`: the master key, and the keys that it wraps."""

import click

from mcp_hub.vault.written import generated


@click.group()
def key() -> None:
    """Make and change the keys that the store is sealed with."""


@key.command()
def generate() -> None:
    """Print a new master key, alone. Changes nothing.

    Keep it in a file of your own: (umask 077; mcp-hub key generate > FILE)
    """
    click.echo(generated())
