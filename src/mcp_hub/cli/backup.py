"""`mcp-hub backup`: a copy of the store, whether a hub runs or not."""

import os
from pathlib import Path

import click

from mcp_hub.cli.options import PRIVATE, file_option, named_or_found
from mcp_hub.config.places import is_kept, store_path
from mcp_hub.store.sqlite_backup import back_up


@click.command()
@click.argument("copy", metavar="FILE", type=click.Path(path_type=Path))
@file_option
def backup(copy: Path, file: Path | None) -> None:
    """Copy the store into a new FILE, whether a hub runs or not. The master key is not in it.

    To restore it: stop the hub, put FILE where the store was, and start the hub with the same master key.
    """
    config = named_or_found(file) or PRIVATE
    if not is_kept(config.store):
        raise click.UsageError("This store is in memory: it ends with the hub, and there is nothing to copy.")
    store = Path(store_path(config.store, os.environ))
    if not store.exists():
        raise click.UsageError(f"There is no store at {store} yet, so there is nothing to copy.")
    try:
        back_up(store, copy)
    except FileExistsError:
        raise click.UsageError(f"{copy} exists. A backup takes the place of no file: name another one.") from None
    click.echo(_SAID.format(store=store, copy=copy), err=True)


_SAID = """\
Copied {store} to {copy}.
What is sealed in it opens with the master key only, which is not in it: keep a copy of that key in another place.
'mcp-hub key status' says where it is.
To restore: stop the hub, delete {store}-wal and {store}-shm if they are there, put the copy in the place of {store},
and start the hub with the same master key."""
