"""A master key as text, and as a file.

Rule: what is taken as a master key is 32 random bytes; a password is refused, and so is a file that others can read.
A file is made whole or not at all: of two processes that start at once, both end with the one that came first.
"""

import base64
import binascii
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from mcp_hub.errors import VaultLocked
from mcp_hub.vault.readers import is_open_to_others
from mcp_hub.vault.wrapping import MASTER_BYTES, Master

_LONGEST: Final = 1024
_LEAST_VARIED: Final = 12
"""Random bytes hold about 30 different ones in 32; fewer than this have never been random."""


def generated() -> str:
    """A new master key, as text of one line."""
    return base64.b64encode(secrets.token_bytes(MASTER_BYTES)).decode("ascii")


def from_text(text: str, source: str) -> Master:
    """The master key that is written as base64 or hex.

    Raises:
        VaultLocked: it is none.
    """
    key = _decoded(text.strip())
    if key is None or len(set(key)) < _LEAST_VARIED:
        raise VaultLocked(
            f"{source} holds no master key. One is 32 random bytes in base64 or hex, as 'mcp-hub key generate' prints"
            " them; a password is none."
        )
    return Master(key, source)


def from_file(path: Path, source: str) -> Master:
    """The master key in a file that nobody else on this computer can open.

    Raises:
        VaultLocked: there is no such file, others can open it, or it holds no master key.
    """
    try:
        if not path.is_file():
            raise VaultLocked(f"{source} is not a file. Put a master key there: mcp-hub key generate")
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            is_open = is_open_to_others(file.fileno(), mode)
            content = file.read(_LONGEST)
    except OSError as error:
        raise VaultLocked(f"{source} cannot be read: {error.strerror}. Check that this user may read it.") from error
    if is_open:
        raise VaultLocked(
            f"{source} is open to other users of this computer (mode {mode:04o}), so the key in it may be known. Make"
            " it the hub's alone (chmod 400), and make a new key if others were there."
        )
    return from_text(content.decode("utf-8", "replace"), source)


def exchange(first: Path, kept: Path, second: Path) -> None:
    """Put the file `second` in the place of `first`, which is `kept` from then on. Nothing is gone at any moment.

    Raises:
        VaultLocked: the directory cannot be written.
    """
    try:
        with suppress(FileExistsError, FileNotFoundError):
            kept.hardlink_to(first)
        second.replace(first)
        _settle(first.parent)
    except OSError as error:
        raise VaultLocked(
            f"The new master key is in force and is in {second}, where the hub finds it. It could not be moved to"
            f" {first}: {error.strerror}."
        ) from error


def make_file(path: Path, text: str) -> None:
    """Write a master key to a file for this user alone, unless there is one: then that one stays.

    Raises:
        VaultLocked: it cannot be written.
    """
    ahead = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(ahead, text)
        try:
            # Unlike a rename, a link takes nobody's place.
            with suppress(FileExistsError):
                path.hardlink_to(ahead)
        finally:
            ahead.unlink()
        _settle(path.parent)
    except OSError as error:
        raise VaultLocked(
            f"The master key could not be written to {path}: {error.strerror}. Make the directory writable for this"
            " user, or give the hub a key: 'mcp-hub key generate' makes one for MCP_HUB_MASTER_KEY_FILE."
        ) from error


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    # The store will be on disk after a power cut, and so must be what opens it.
    with suppress(PermissionError):  # where directories cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _decoded(text: str) -> bytes | None:
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    if not re.fullmatch(r"[A-Za-z0-9+/_-]{43}=?", text):
        return None
    try:
        return base64.b64decode(text.rstrip("=").translate(str.maketrans("-_", "+/")) + "=", validate=True)
    except binascii.Error:
        return None
