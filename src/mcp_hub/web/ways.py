"""How clients get to the hub: what stands folded below its address."""

from collections.abc import Iterator
from dataclasses import dataclass

from mcp_hub.config.snippets import CLIENTS, TITLES
from mcp_hub.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Way:
    """How one client gets to the hub: what to do, and what to paste."""

    client: str
    steps: tuple[str, ...]
    paste: str


def ways(endpoint: str) -> Iterator[Way]:
    """How each client gets to this endpoint; those that cannot reach it are told why, and have nothing to paste."""
    for name, snippet in CLIENTS.items():
        try:
            found = snippet(endpoint)
        except BadRequest as cannot:
            yield Way(TITLES[name], (cannot.public,), "")
        else:
            yield Way(TITLES[name], found.where, found.paste)
