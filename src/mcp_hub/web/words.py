"""What pages call things. Rule: what came from outside is shown as it is or as a word of ours, never as markup."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from mcp_hub.authserver.clients import REGISTERED_ID
from mcp_hub.identity.scopes import ADMIN, USE

_SCOPES: Final = {USE: "use your tools", ADMIN: "administer the hub"}
_AT_LENGTH: Final = {
    USE: "Use the tools, resources and prompts of this hub in your name",
    ADMIN: "Change this hub for everybody, as the admin you are",
}
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Chrome", "Chrome"),
    ("CriOS", "Chrome"),
    ("Safari", "Safari"),
    ("curl", "curl"),
)
"""The first that occurs counts: most browsers also name those they want to be taken for."""
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def scopes_in_words(scopes: Iterable[str]) -> list[str]:
    """What somebody with these scopes may do; one that the hub does not know is shown as it is written."""
    return [_SCOPES.get(scope, scope) for scope in sorted(scopes)]


def known_from(client: str) -> str:
    """Who says that a client of this id is called what it is called."""
    parts = urlsplit(client)
    if parts.scheme == "https" and parts.hostname:
        return parts.hostname
    return "itself, not verified" if client.startswith(REGISTERED_ID) else "this hub's configuration"


def scope_at_length(scope: str) -> str:
    """What this scope means, for somebody who is asked to give it."""
    return _AT_LENGTH.get(scope, scope)


def browser_name(agent: str) -> str:
    """The browser and the system that a `User-Agent` header speaks of, such as `Firefox on Linux`."""
    browser = _first(agent, _BROWSERS) or "A browser"
    system = _first(agent, _SYSTEMS)
    return f"{browser} on {system}" if system else browser


def _first(text: str, names: Iterable[tuple[str, str]]) -> str:
    return next((name for sign, name in names if re.search(rf"\b{re.escape(sign)}", text)), "")
