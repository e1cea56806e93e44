"""An endpoint as a protected resource: what it publishes of itself, and how it asks for a token.

Rule: pure. Every address in here comes from the configuration, never from what a request says of the hub.
Sources: RFC 9728 sections 2, 3 and 5.1; RFC 6750 section 3; MCP 2026-07-28 basic/authorization.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_hub.identity.scopes import USE

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"

INVALID_REQUEST: Final = "invalid_request"
INVALID_TOKEN: Final = "invalid_token"  # noqa: S105 - an error code of RFC 6750
INSUFFICIENT_SCOPE: Final = "insufficient_scope"


@dataclass(frozen=True, slots=True)
class Protected:
    """One endpoint. `resource` is its URL as tokens name it, without fragment and without a slash at the end.

    `servers` are the issuers of its tokens, `scopes` what a client has to ask for to use it.
    """

    resource: str
    servers: tuple[str, ...]
    scopes: tuple[str, ...] = (USE,)
    name: str = "mcp_hub"

    @property
    def metadata_path(self) -> str:
        """Where its metadata is, on the same host: the well-known path, then its own."""
        return f"{WELL_KNOWN}{urlsplit(self.resource).path}"

    @property
    def metadata_url(self) -> str:
        """The same as a URL."""
        parts = urlsplit(self.resource)
        return f"{parts.scheme}://{parts.netloc}{self.metadata_path}"

    def document(self) -> dict[str, Any]:
        """Its metadata (RFC 9728 section 2): only what is needed to use it, and no empty lists."""
        return {
            "resource": self.resource,
            "authorization_servers": list(self.servers),
            **({"scopes_supported": list(self.scopes)} if self.scopes else {}),
            "bearer_methods_supported": ["header"],
            "resource_name": self.name,
        }

    def challenge(self, error: str = "", *, scopes: Iterable[str] | None = None) -> str:
        """The value of `WWW-Authenticate`. Without an `error` where no token came (RFC 6750 section 3.1).

        `scopes` are all that the request needs, where that is more than usual.
        """
        members = {
            "error": error,
            "resource_metadata": self.metadata_url,
            "scope": " ".join(self.scopes if scopes is None else scopes),
        }
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in members.items() if value)
