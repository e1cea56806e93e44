"""mcp_hub: one MCP endpoint in front of all your MCP servers.

`create_app(config)` gives the ASGI app for embedding; the command line is `mcp-hub`.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "create_app"]

if TYPE_CHECKING:
    from mcp_hub.app import create_app


def __getattr__(name: str) -> Any:
    # Lazily, so that `mcp-hub --help` and `mcp-hub validate` do not load a server.
    if name == "create_app":
        from mcp_hub.app import create_app  # noqa: PLC0415

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
