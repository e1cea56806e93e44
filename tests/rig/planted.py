"""Secrets that a test planted, looked for where none may be: as they are, and as programs like to write them."""

import base64
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

PREFIX = b"planted-"
"""How everything begins that a test plants and that may be in no database or log, of whatever test."""
KEPT = (".db", ".db-wal", ".db-shm", ".log")


def spellings(secret: str) -> list[bytes]:
    """The secret as it is, and as programs like to write it."""
    encoded = base64.b64encode(secret.encode()).rstrip(b"=")
    return [secret.encode(), encoded, secret.encode().hex().encode(), quote(secret).encode(), secret[::-1].encode()]


def found(text: str | bytes, secrets: Iterable[str]) -> list[str]:
    """Those that are in there, in whatever spelling."""
    raw = text if isinstance(text, bytes) else text.encode()
    return [secret for secret in secrets if any(spelled in raw for spelled in spellings(secret))]


def files_below(folder: Path) -> dict[str, bytes]:
    """The content of every file: a database with its write-ahead log, whatever else lies beside them."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left_below(folder: Path) -> list[str]:
    """The databases and logs in which something lies that a test planted."""
    files = (path for path in folder.rglob("*") if path.name.endswith(KEPT) and path.is_file())
    return sorted(str(path) for path in files if PREFIX in path.read_bytes())
