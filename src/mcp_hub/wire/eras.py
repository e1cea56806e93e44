"""The revisions of the protocol, and what tells its two eras apart.

Source: MCP specification 2026-07-28, basic/versioning. A test holds these constants against the SDK's.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import Raw


class Era(StrEnum):
    """How a side opens: `legacy` by an `initialize` handshake, `modern` by metadata on every request."""

    LEGACY = "legacy"
    MODERN = "modern"


LEGACY_REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_REVISIONS: Final = ("2026-07-28",)
REVISIONS: Final = (*LEGACY_REVISIONS, *MODERN_REVISIONS)
LATEST_LEGACY: Final = LEGACY_REVISIONS[-1]
LATEST_MODERN: Final = MODERN_REVISIONS[-1]
ASSUMED_LEGACY: Final = "2025-03-26"
"""What a session request without `MCP-Protocol-Version` speaks: the header came with 2025-06-18."""
BATCH_REVISION: Final = "2025-03-26"
"""The one revision that knows JSON-RPC batches."""

META_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
META_CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
META_CLIENT_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
META_LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"
META_SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"
META_SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"

NAME_BEARING: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Method to the member of `params` that the header `Mcp-Name` repeats; the last three are of the tasks extension."""

TASKS: Final = "io.modelcontextprotocol/tasks"
"""The extension by which modern servers answer a call with a task."""
TASKS_REVISION: Final = "2025-11-25"
"""The one legacy revision that knows tasks."""

CACHEABLE: Final = frozenset(
    {
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
    }
)
"""Methods whose complete modern results carry `ttlMs` and `cacheScope` (server/utilities/caching)."""


@dataclass(frozen=True, slots=True)
class Client:
    """What a client says of itself: by `initialize` in the legacy era, on each request in the modern one."""

    era: Era
    revision: str
    capabilities: Raw
    info: Raw | None = None


ASKING: Final = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""What a server may ask a client, and the capability by which a client says that it answers."""


def negotiate(offered: object) -> str:
    """The legacy revision to answer an `initialize` with: the offered one if known, else our newest."""
    return offered if isinstance(offered, str) and offered in LEGACY_REVISIONS else LATEST_LEGACY
