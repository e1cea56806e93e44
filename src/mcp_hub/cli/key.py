"""`mcp-hub key …`: the master key, and the data keys that it wraps.

Rule: they work on the store, whether a hub runs or not, and make neither a store nor a key for one that is not there.
"""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from mcp_hub.assembly import sealed_in, unlocked
from mcp_hub.cli.options import file_option, json_option, named_or_found
from mcp_hub.cli.output import Exit, print_json, print_table
from mcp_hub.config.model import Config
from mcp_hub.config.places import store_path
from mcp_hub.declared import masters_of
from mcp_hub.vault.master import FILE_VARIABLE, VARIABLE, MasterKeys
from mcp_hub.vault.resealing import Resealed, counts
from mcp_hub.vault.resealing import rotate as rotate_keys
from mcp_hub.vault.wrapping import Master
from mcp_hub.vault.written import from_file, from_text, generated

_NEW: Final = "MCP_HUB_NEW_MASTER_KEY"


@click.group()
def key() -> None:
    """Make and change the keys that the store is sealed with."""


@key.command()
def generate() -> None:
    """Print a new master key, alone. Changes nothing.

    Keep it in a file of your own: (umask 077; mcp-hub key generate > FILE)
    """
    click.echo(generated())


@key.command()
@file_option
@json_option
def status(file: Path | None, *, as_json: bool) -> None:
    """Show where the master key comes from, and the data keys with how many values each seals."""
    config, _ = _kept(file)
    path = store_path(config.store, os.environ)
    found = asyncio.run(_status(config)) if path.exists() else None
    if as_json:
        print_json({"store": str(path), **(found or {"master": None, "keys": []})})
    elif found is None:
        click.echo(f"There is no store at {path} yet. The first start of the hub makes it, and its keys.")
    else:
        click.echo(f"master key {found['master']['id']}: {found['master']['source']}\n")
        print_table(
            [(each["kid"], each["state"], each["created"], f"{each['values']} values") for each in found["keys"]]
        )


@key.command()
@file_option
@click.option("--master", is_flag=True, help="Change the master key instead. No sealed value changes.")
@click.option(
    "--new-key-file",
    type=click.Path(path_type=Path),
    help=f"With --master: the file that holds the new one. [default: what {_NEW} holds]",
)
def rotate(file: Path | None, new_key_file: Path | None, *, master: bool) -> None:
    """Make a new data key and seal everything anew with it; hubs that run notice. Run it again if it was broken off.

    With --master, the data keys are wrapped by a new master key instead. Hubs that run go on, and take the new one at
    their next start. A master key that the hub has made for itself is replaced by another one of those.
    """
    config, masters = _kept(file)
    if new_key_file is not None and not master:
        raise click.UsageError("--new-key-file is for --master.")
    path = store_path(config.store, os.environ)
    if not path.exists():
        raise click.UsageError(f"There is no store at {path}, so there are no keys to change.")
    if master:
        asyncio.run(_change_master(config, masters, _given(new_key_file)))
    else:
        _report(asyncio.run(_rotate(config)))


def _kept(file: Path | None) -> tuple[Config, MasterKeys]:
    config = named_or_found(file) or Config()
    masters = masters_of(config, os.environ)
    if not isinstance(masters, MasterKeys):
        raise click.UsageError("This store is in memory: its keys end with the hub.")
    return config, masters


async def _status(config: Config) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        store, vault = await unlocked(config, stack)
        held = await counts(sealed_in(store, vault))
        keys = [
            {
                "kid": each.kid.hex(),
                "state": each.state,
                "created": datetime.fromtimestamp(each.created_at, UTC).isoformat(timespec="seconds"),
                "values": held.get(each.kid, 0),
            }
            for each in await store.keys()
        ]
        return {"master": {"id": vault.master.id.hex(), "source": vault.master.source}, "keys": keys}


async def _rotate(config: Config) -> Resealed:
    async with AsyncExitStack() as stack:
        store, vault = await unlocked(config, stack)
        return await rotate_keys(vault, store, sealed_in(store, vault), time.time())


def _report(resealed: Resealed) -> None:
    click.echo(f"{resealed.done} values are sealed with the new key.")
    if not resealed.is_complete:
        click.echo(
            f"{resealed.unopened} values could not be opened and were left as they are, so the old keys stay in use."
            " Restore a backup of the store, or give those values anew, and rotate again.",
            err=True,
        )
        raise click.exceptions.Exit(Exit.UNEXPECTED)


async def _change_master(config: Config, masters: MasterKeys, given: Master | None) -> None:
    async with AsyncExitStack() as stack:
        _, vault = await unlocked(config, stack)
        old = vault.master
        if given is not None and given.id == old.id:
            raise click.UsageError(f"{given.source} holds the master key that the store takes already.")
        new = given or masters.renewed(old)
        await vault.change_master(new)
    click.echo(f"The store takes master key {new.id.hex()} now.")
    if given is None:
        click.echo(f"The old one is in {masters.settle(old, new)}: delete it once no backup of the store takes it.")
        return
    click.echo(
        f"Give it to the hub from its next start on: in {FILE_VARIABLE}, in {VARIABLE}, or where the old one was"
        f" ({old.source}). Keep the old one as long as a backup of the store takes it."
    )


def _given(file: Path | None) -> Master | None:
    if file is not None:
        return from_file(file, f"The file {file}")
    text = os.environ.get(_NEW)
    return None if text is None else from_text(text, _NEW)
