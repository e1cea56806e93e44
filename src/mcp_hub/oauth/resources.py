"""What an upstream says of its own protection (RFC 9728): who lets people in, and by what name it is known there.

Rule: pure. Metadata count for an upstream only if they name that very address, or a path above it at the same origin:
what is given for one upstream is then good for no other host.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit

from mcp_hub.wire.origin import Origin

PLACE: Final = "/.well-known/oauth-protected-resource"
_MOST: Final = 64
_LONGEST: Final = 2048


@dataclass(frozen=True, slots=True)
class Resource:
    """The metadata of a protected resource, as far as they count. `scopes` is `None` where they say nothing."""

    resource: str
    servers: tuple[str, ...]
    scopes: tuple[str, ...] | None


class WrongResource(ValueError):
    """The metadata are of something else."""


def places(url: str) -> list[str]:
    """Where an upstream's metadata may be, in the order in which they are tried."""
    parts = urlsplit(url)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return [origin + PLACE + path, origin + PLACE] if path else [origin + PLACE]


def read_resource(document: Mapping[str, Any], url: str) -> Resource | None:
    """What a document says of the upstream at `url`; `None` if it is no such document.

    Raises:
        WrongResource: it is of another resource.
    """
    named = document.get("resource")
    if not isinstance(named, str):
        return None
    if len(named) > _LONGEST or not is_of(named, url):
        raise WrongResource
    return Resource(named, texts(document, "authorization_servers") or (), texts(document, "scopes_supported"))


def is_of(resource: str, url: str) -> bool:
    """Whether this resource is the address `url`, or a path above it at the same origin."""
    try:
        if Origin.from_url(resource) != Origin.from_url(url):
            return False
    except ValueError:
        return False
    named, asked = urlsplit(resource), urlsplit(url)
    if "/." in named.path or (named.query and named.query != asked.query):
        return False
    above = named.path.rstrip("/")
    return f"{asked.path.rstrip('/')}/".startswith(f"{above}/")


def canonical(url: str) -> str:
    """The name of an upstream that has no metadata: scheme and host in lower case, no slash at the end."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{Origin.from_url(url)}{parts.path.rstrip('/')}{query}"


def texts(document: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """The texts of a list; `None` where there is none. What is too much, or not text, is left out."""
    said = document.get(name)
    if not isinstance(said, list):
        return None
    return tuple(each for each in cast("list[object]", said)[:_MOST] if isinstance(each, str) and len(each) <= _LONGEST)
