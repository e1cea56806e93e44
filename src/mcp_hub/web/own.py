"""The pages about somebody's own connections, put together: the same ones whether people sign in here or not.

Rule: of an upstream's configuration they are told its name, its title and where it is, never a secret.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol, final
from urllib.parse import urlsplit

from mcp_hub.config import model
from mcp_hub.oauth.connection import Connection
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.web import connect, disconnect, way_back
from mcp_hub.web.activity import ActivityPage, Calls
from mcp_hub.web.cards import Declared
from mcp_hub.web.connections import ConnectionsPage, Upstreams
from mcp_hub.web.frame import Frame
from mcp_hub.web.index import Index
from mcp_hub.web.keys import Check, KeyPages
from mcp_hub.web.keys import Connections as Keys
from mcp_hub.web.lookers import Doorway
from mcp_hub.web.pace import Limits, Pace
from mcp_hub.web.site import Part
from mcp_hub.web.ways import ways


class Connections(connect.Connections, disconnect.Connections, way_back.Connections, Keys, Protocol):
    """All that the pages ask of people's connections."""


@dataclass(frozen=True, slots=True)
class Own:
    """What the pages stand on: people's connections, the upstreams as they have them, a check, their calls,
    and how often."""

    connections: Connections
    upstreams: Upstreams
    check: Check
    calls: Calls
    limits: Limits


def own_parts(frame: Frame, doorway: Doorway, own: Own, *, server: model.Server, version: str, told: str) -> list[Part]:
    """All of them, the first page included. `told` is the endpoint that programs are told of; see `Index`."""
    connections, upstreams = own.connections, own.upstreams
    home = ConnectionsPage(
        frame,
        doorway,
        connections=connections,
        upstreams=upstreams,
        endpoint=server.endpoint,
        ways=tuple(ways(server.endpoint)),
    )
    pace = Pace(frame, own.limits)
    keys = KeyPages(frame, doorway, connections=connections, upstreams=upstreams, check=own.check, pace=pace)
    connecting = connect.ConnectPages(
        frame,
        doorway,
        connections=connections,
        upstreams=upstreams,
        keys=keys,
        pace=pace,
        base_url=server.base_url,
    )
    return [
        Index(version, told, home.endpoint),
        connecting,
        way_back.WayBack(frame, doorway, connections=connections, upstreams=upstreams),
        keys,
        disconnect.DisconnectPages(frame, doorway, connections=connections, upstreams=upstreams),
        ActivityPage(frame, doorway, calls=own.calls, upstreams=upstreams),
    ]


@final
class NoConnections:
    """The connections of a hub where nobody has any of their own. `sign_ins` are by upstream."""

    def __init__(self, sign_ins: Mapping[str, str]) -> None:
        self._sign_ins = sign_ins

    def sign_in(self, upstream: str) -> str:
        """How it is signed in to."""
        return self._sign_ins[upstream]

    async def shown(self, caller: Principal) -> list[Connection]:
        """There are none."""
        del caller
        return []

    async def one(self, caller: Principal, upstream: str) -> NoReturn:
        """There is none, nor what the others would begin or end."""
        del caller
        raise KeyError(upstream)

    prospect = disconnect = one

    async def begin(self, caller: Principal, upstream: str, browser: bytes, *, window: bool = False) -> NoReturn:
        """See `one`."""
        del caller, browser, window
        raise KeyError(upstream)

    async def finish(
        self, upstream: str, query: Sequence[tuple[str, str]], caller: Principal | None, browser: bytes
    ) -> NoReturn:
        """See `one`."""
        del query, caller, browser
        raise KeyError(upstream)

    async def paste(self, caller: Principal, upstream: str, key: Secret) -> NoReturn:
        """See `one`."""
        del caller, key
        raise KeyError(upstream)


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
    return urlsplit(url).netloc.rpartition("@")[2]
