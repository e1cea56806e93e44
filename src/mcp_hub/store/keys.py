"""The data keys of a hub, wrapped, and what of the hub's own is sealed with them.

Rule: nothing here can open anything: a stored key is wrapped by the master key, which is in no store. No key is ever
deleted, since what was sealed with it may turn up again.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class KeyState(StrEnum):
    """What a data key is for. It only ever goes down this list; one at most is `next`, and exactly one `current`."""

    NEXT = "next"
    """Opens; every process can learn it before anything is sealed with it."""
    CURRENT = "current"
    """Opens, and everything new is sealed with it."""
    OLD = "old"
    """Opens what has not been sealed anew yet."""
    RETIRED = "retired"
    """Opens still, though nothing was left that it is needed for."""


class StoredKey(NamedTuple):
    """A data key, wrapped. `created_at` is in unix seconds."""

    kid: bytes
    wrapped: bytes
    created_at: float
    state: KeyState


class Changed(NamedTuple):
    """A setting that is to become another value; `old` is `None` where there must be none yet."""

    key: str
    old: bytes | None
    new: bytes


class Rewrapped(NamedTuple):
    """A key that is to be wrapped otherwise."""

    kid: bytes
    old: bytes
    new: bytes


class KeyStore(Protocol):
    """The part of a store that keeps keys and settings. Every method raises `StoreFailed` and nothing else."""

    async def keys(self) -> list[StoredKey]:
        """All of them, the oldest first."""
        ...

    async def begin_keys(self, first: StoredKey, settings: Sequence[Changed]) -> bool:
        """Insert the first key and change these settings, all or none; what a setting was leaves no trace on the disk.

        `False`, and nothing changed, if there is a key, or the settings there are, are not what was said of them. Of
        many at once, one wins.
        """
        ...

    async def add_key(self, key: StoredKey, current: StoredKey) -> bool:
        """Insert a key that is `next`, if there is none, and if the `current` one is still this one, wrapped as this.

        `False`, and nothing changed, if not, or if the id is taken.
        """
        ...

    async def promote_key(self, kid: bytes) -> bool:
        """Make the key that is `next` the `current` one, and that one `old`. `False` if this one is not `next`."""
        ...

    async def retire_keys(self, current: bytes) -> None:
        """Make those that are `old` `retired`, if this key is still the `current` one."""
        ...

    async def rewrap_keys(self, changes: Sequence[Rewrapped]) -> bool:
        """Replace what keys are wrapped as, all or none. `False`, and nothing changed, unless these are all the keys
        and each is wrapped as was said."""
        ...

    async def setting(self, key: str) -> bytes | None:
        """A value of the hub itself, not of a tenant."""
        ...

    async def settings(self) -> list[tuple[str, bytes]]:
        """All values of the hub itself, by key."""
        ...

    async def keep_setting_if_absent(self, key: str, value: bytes) -> bytes:
        """Store `value` unless the key has one, and return what is stored: of many writers, the first wins."""
        ...

    async def replace_setting(self, key: str, old: bytes, new: bytes) -> bool:
        """Change a value that is still `old`. `False` if it is not, or there is none."""
        ...
