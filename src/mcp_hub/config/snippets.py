"""What to paste where, so that a client finds the hub: for the command line and the pages alike.

Rule: a snippet names the hub's address and nothing secret, so that it may be shown to anybody who may use the hub.
"""

import base64
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from mcp_hub.config.addresses import split_url
from mcp_hub.config.reach import is_loopback
from mcp_hub.errors import BadRequest

NAME: Final = "hub"
"""What the hub is called in the client; tools appear under it."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """What to paste or run, and where."""

    paste: str
    where: tuple[str, ...]


def _claude_code(url: str) -> Snippet:
    command = f"claude mcp add --transport http {NAME} {shlex.quote(url)}"
    return Snippet(command, ("Run this. With '--scope user' after 'add' it holds for every project.",))


def _claude(url: str) -> Snippet:
    if _is_remote(url):
        steps = ("In Claude, open Customize > Connectors, press +, choose 'Add custom connector'.", "Give it this URL:")
        return Snippet(url, steps)
    bridge = {"command": "npx", "args": ["-y", "mcp-remote", url]}
    where = (
        "Claude's connectors come from the internet and cannot reach this computer; Claude Desktop can, by a bridge.",
        "Put this into claude_desktop_config.json (Settings > Developer > Edit Config), then restart Claude Desktop:",
    )
    return Snippet(_pretty({"mcpServers": {NAME: bridge}}), where)


def _chatgpt(url: str) -> Snippet:
    if not _is_remote(url):
        raise BadRequest(
            "ChatGPT connects from the internet and cannot reach a hub on this computer."
            " Give the hub an https address that others can reach, set it as server.public_url, and ask again."
        )
    steps = (
        "In ChatGPT, open Settings > Apps & Connectors > Advanced settings and switch Developer mode on.",
        "Then press Create under Apps & Connectors and give it this URL:",
    )
    return Snippet(url, steps)


def _vscode(url: str) -> Snippet:
    entry = {"name": NAME, "type": "http", "url": url}
    where = (
        f"Run: code --add-mcp {shlex.quote(json.dumps(entry))}",
        "Or put this into .vscode/mcp.json:",
    )
    return Snippet(_pretty({"servers": {NAME: {"type": "http", "url": url}}}), where)


def _cursor(url: str) -> Snippet:
    settings = base64.b64encode(json.dumps({"url": url}).encode()).decode().replace("+", "%2B").replace("/", "%2F")
    link = f"cursor://anysphere.cursor-deeplink/mcp/install?name={NAME}&config={settings.replace('=', '%3D')}"
    where = (f"Open: {link}", "Or put this into ~/.cursor/mcp.json, or .cursor/mcp.json in a project:")
    return Snippet(_pretty({"mcpServers": {NAME: {"url": url}}}), where)


def _inspector(url: str) -> Snippet:
    command = f"npx @modelcontextprotocol/inspector --cli {shlex.quote(url)} --transport http --method tools/list"
    return Snippet(command, ("Run this (Node.js 22 or newer). Without '--cli' and '--method …' it opens a page.",))


CLIENTS: Final[dict[str, Callable[[str], Snippet]]] = {
    "claude-code": _claude_code,
    "claude": _claude,
    "chatgpt": _chatgpt,
    "vscode": _vscode,
    "cursor": _cursor,
    "inspector": _inspector,
}
"""By the name of the client. Each takes the endpoint's URL and raises `BadRequest` where the client cannot reach it."""

TITLES: Final[dict[str, str]] = {
    "claude-code": "Claude Code",
    "claude": "Claude",
    "chatgpt": "ChatGPT",
    "vscode": "VS Code",
    "cursor": "Cursor",
    "inspector": "MCP Inspector",
}
"""What people call them."""


def _is_remote(url: str) -> bool:
    parts = split_url(url)
    return parts is not None and parts.scheme == "https" and not is_loopback(parts.host or "")


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2)
