"""The pages about somebody's own connections, put together: the same ones whether people sign in here or not.

Rule: of an upstream's configuration they are told its name, its title and where it is, never a secret.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from mcp_hub.config import model
from mcp_hub.oauth.connections import Connections
from mcp_hub.web.activity import ActivityPage, Calls
from mcp_hub.web.cards import Declared
from mcp_hub.web.connect import Check, ConnectPages
from mcp_hub.web.connections import ConnectionsPage, Upstreams
from mcp_hub.web.disconnect import DisconnectPages
from mcp_hub.web.frame import Frame
from mcp_hub.web.index import Index
from mcp_hub.web.lookers import Doorway
from mcp_hub.web.site import Part
from mcp_hub.web.ways import ways


@dataclass(frozen=True, slots=True)
class Own:
    """What the pages stand on: people's connections, the upstreams as they have them, a check, their calls."""

    connections: Connections
    upstreams: Upstreams
    check: Check
    calls: Calls


def own_parts(frame: Frame, doorway: Doorway, own: Own, *, server: model.Server, version: str) -> list[Part]:
    """All of them, the first page included."""
    connections, upstreams = own.connections, own.upstreams
    home = ConnectionsPage(
        frame,
        doorway,
        connections=connections,
        upstreams=upstreams,
        endpoint=server.endpoint,
        ways=tuple(ways(server.endpoint)),
    )
    connect = ConnectPages(
        frame,
        doorway,
        connections=connections,
        upstreams=upstreams,
        check=own.check,
        base_url=server.base_url,
    )
    return [
        Index(version, server.endpoint, home.endpoint),
        connect,
        DisconnectPages(frame, doorway, connections=connections, upstreams=upstreams),
        ActivityPage(frame, doorway, calls=own.calls, upstreams=upstreams),
    ]


def declared(
    upstreams: Iterable[model.Upstream], absent: Mapping[str, str], urls: Mapping[str, str]
) -> tuple[Declared, ...]:
    """What pages are told of upstreams. `absent` says why some are not served; `urls` may be shown."""
    return tuple(
        Declared(
            each.name,
            each.title or each.name,
            "a program on the hub's computer" if each.command else _host(urls.get(each.name, "")),
            each.auth.word if isinstance(each.auth, model.OwnHeader) else "",
            absent.get(each.name, ""),
        )
        for each in upstreams
    )


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or "an address that is not set"
