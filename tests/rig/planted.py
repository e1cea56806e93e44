"""Secrets that a test planted, looked for where none may be: as they are, and as programs like to write them."""

import base64
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote


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
