"""Sealing anew what was sealed with older keys.

Rule: a value is replaced only if it is still what was opened, so a writer who comes between wins; what cannot be opened
is counted and left as it is, and no key is retired while there is any. It may stop at any moment: whoever runs it again
goes on where it stopped, and two at once do each value once.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from mcp_hub.errors import HubFault, Unsealable
from mcp_hub.store.keys import KeyStore
from mcp_hub.vault.sealing import Binding, kid_of
from mcp_hub.vault.vault import Vault

BATCH: Final = 100
LOOK_SECONDS: Final = 60.0
"""How often a running hub looks whether another process has changed the keys."""
_MOST_PASSES: Final = 100
log: Final = logging.getLogger(__name__)


class Row(NamedTuple):
    """One sealed value: `key` orders the rows of its source and names this one there."""

    key: str
    binding: Binding
    sealed: bytes


class Resealable(Protocol):
    """One kind of sealed value. Every method raises `StoreFailed` and nothing else."""

    async def sealed_rows(self, after: str, limit: int) -> Sequence[Row]:
        """At most `limit` rows whose key comes after `after`, in the order of their keys; none at the end."""
        ...

    async def replace_sealed(self, row: Row, sealed: bytes) -> bool:
        """Put another sealed value in the place of this one; `False` if that has changed meanwhile."""
        ...


class Resealed(NamedTuple):
    """How many values were sealed anew, how many could not be opened, and whether that was all of them."""

    done: int
    unopened: int
    is_complete: bool


async def reseal(vault: Vault, sources: Sequence[Resealable]) -> Resealed:
    """Seal everything anew that is not sealed with the current key.

    Raises:
        VaultLocked, StoreFailed: as `Vault.refresh`. What was done until then stays.
    """
    done = 0
    for _ in range(_MOST_PASSES):
        await vault.refresh()  # another process may rotate as well: the newest key is everybody's
        left = Counter[str]()
        for source in sources:
            left += await _pass(vault, source)
        done += left["done"]
        if not left["done"] and not left["changed"]:
            return Resealed(done, left["unopened"], is_complete=not left["unopened"])
    return Resealed(done, 0, is_complete=False)


async def rotate(vault: Vault, store: KeyStore, sources: Sequence[Resealable], at: float) -> Resealed:
    """Make a new data key the current one, seal everything anew with it, and retire those before it.

    A rotation that was broken off is finished by the next. `at` is in unix seconds.

    Raises:
        VaultLocked, StoreFailed: as `Vault.begin_rotation`.
    """
    await vault.begin_rotation(at)
    resealed = await reseal(vault, sources)
    if resealed.is_complete:
        await store.retire_keys(vault.kid)
    return resealed


async def keep_up(vault: Vault, sources: Sequence[Resealable], every: float = LOOK_SECONDS) -> None:
    """Notice what other processes do to the keys, until cancelled."""
    while True:
        await asyncio.sleep(every)
        await follow(vault, sources)


async def follow(vault: Vault, sources: Sequence[Resealable]) -> None:
    """Learn of a rotation elsewhere, and seal anew what this process has sealed with the old key meanwhile."""
    known = vault.kid
    try:
        await vault.refresh()
        if vault.kid != known:
            await reseal(vault, sources)
    except HubFault as fault:
        log.warning("the keys in the store could not be followed: %s", fault.public)


async def counts(sources: Sequence[Resealable]) -> Mapping[bytes, int]:
    """How many values are sealed with each key.

    Raises:
        StoreFailed: the store fails.
    """
    found = Counter[bytes]()
    for source in sources:
        after = ""
        while rows := await source.sealed_rows(after, BATCH):
            found.update(_kid(row) for row in rows)
            after = rows[-1].key
    return found


async def _pass(vault: Vault, source: Resealable) -> Counter[str]:
    """What became of the rows of one source that were not sealed with the current key."""
    found, after = Counter[str](), ""
    while rows := await source.sealed_rows(after, BATCH):
        for row in rows:
            if _kid(row) != vault.kid:
                found[await _again(vault, source, row)] += 1
        after = rows[-1].key
    return found


async def _again(vault: Vault, source: Resealable, row: Row) -> str:
    try:
        value = await vault.open(row.sealed, row.binding)
    except Unsealable:
        return "unopened"
    return "done" if await source.replace_sealed(row, vault.seal(value, row.binding)) else "changed"


def _kid(row: Row) -> bytes:
    try:
        return kid_of(row.sealed, row.binding)
    except Unsealable:
        return b""
