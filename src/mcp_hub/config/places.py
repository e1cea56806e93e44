"""Where the hub looks for its configuration and keeps its data. Nothing here creates or writes anything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mcp_hub.config.model import Store

CANDIDATES: Final = ("hub.yaml", "config/hub.yaml")
"""Where a configuration is looked for if none is named, in this order, below the current directory."""

_SQLITE: Final = "sqlite:///"


def find_config(folder: Path) -> Path | None:
    """The first candidate below `folder` that is a file, as a path relative to the current directory if it can be."""
    found = (folder / name for name in CANDIDATES)
    return next((path for path in found if path.is_file()), None)


def data_dir(environ: Mapping[str, str]) -> Path:
    """`MCP_HUB_DATA`, else `mcp_hub` in `XDG_DATA_HOME`, else in `~/.local/share`."""
    own = environ.get("MCP_HUB_DATA")
    if own:
        return Path(own)
    # XDG Base Directory Specification: "All paths set in these environment variables must be absolute. If an
    # implementation encounters a relative path […] it should consider the path invalid and ignore it."
    shared = Path(environ.get("XDG_DATA_HOME", ""))
    if not shared.is_absolute():
        home = environ.get("HOME")
        shared = (Path(home) if home else Path.home()) / ".local" / "share"
    return shared / "mcp_hub"


def store_path(store: Store, environ: Mapping[str, str]) -> Path:
    """The file of the store: what `store.url` says, relative to the current directory, else `hub.db` among the data."""
    if store.url is None:
        return data_dir(environ) / "hub.db"
    return Path(store.url.removeprefix(_SQLITE))


def is_kept(store: Store) -> bool:
    """Whether there is a store once the hub has ended, and not only in its memory."""
    return store.url != f"{_SQLITE}:memory:"
