"""The pages about somebody's own connections, in a running hub: who looks at them is the only difference there is.

Rule: a hub without a login, such as one that a client starts, loads none of this until somebody opens a page.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mcp_hub import __version__
from mcp_hub.assembly import Running
from mcp_hub.config import model
from mcp_hub.credentials.decide import decide_declared
from mcp_hub.errors import Forbidden
from mcp_hub.gateway.fleets import Fleets
from mcp_hub.gateway.keys import kept_key
from mcp_hub.principal import Principal
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.vault.settings import SealedSettings
from mcp_hub.web.callers import Door
from mcp_hub.web.frame import Frame
from mcp_hub.web.index import Index
from mcp_hub.web.later import PATHS, Later
from mcp_hub.web.site import Part

if TYPE_CHECKING:
    from mcp_hub.web.lookers import Doorway
    from mcp_hub.web.own import Own


def pages_of(
    config: model.Config,
    running: Running,
    frame: Frame,
    door: Door,
    *,
    absent: Mapping[str, str],
    urls: Mapping[str, str],
) -> Sequence[Part]:
    """Those of this hub; `door` knows whoever asks for their connections as JSON. `absent` says why some upstreams are
    not served; `urls` are the others', and may be shown.
    """
    entrance, server = running.entrance, config.server
    make = partial(_own, config, running, absent, urls)
    if entrance is None:
        return [Later(PATHS, partial(_private, config, running, frame, door, make))]
    own = make()
    programs = _for_programs(config, running, own, door)
    if entrance.doorway is None:
        return [Index(__version__, server.endpoint), *programs, *entrance.parts]
    return [*_parts(frame, entrance.doorway, own, config, server.endpoint), *programs, *entrance.parts]


async def _private(
    config: model.Config, running: Running, frame: Frame, door: Door, make: "Callable[[], Own]"
) -> Sequence[Part]:
    from mcp_hub.web.lookers import Doorway, NoSessions, Owner  # noqa: PLC0415 - see the rule
    from mcp_hub.web.visitors import FORM_KEY, Visitors  # noqa: PLC0415

    key = await kept_key(SealedSettings(running.store, running.vault), FORM_KEY)
    visitors = Visitors(NoSessions(), base_url=config.server.base_url, key=key)
    own = make()
    pages = _parts(frame, Doorway(Owner(visitors), visitors), own, config, "")
    return [*pages, *_for_programs(config, running, own, door)]


def _parts(frame: Frame, doorway: "Doorway", own: "Own", config: model.Config, told: str) -> Sequence[Part]:
    from mcp_hub.web.own import own_parts  # noqa: PLC0415

    return own_parts(frame, doorway, own, server=config.server, version=__version__, told=told)


def _for_programs(config: model.Config, running: Running, own: "Own", door: Door) -> Sequence[Part]:
    from mcp_hub.web.connections_api import ConnectionsApi  # noqa: PLC0415
    from mcp_hub.web.published import Published  # noqa: PLC0415

    server = config.server
    api = ConnectionsApi(own.connections, door=door, resource=server.endpoint, base_url=server.base_url)
    return [api] if running.connections is None else [api, Published(running.connections)]


def _own(config: model.Config, running: Running, absent: Mapping[str, str], urls: Mapping[str, str]) -> "Own":
    from mcp_hub.identity.limits import Limits  # noqa: PLC0415
    from mcp_hub.web.connections import Upstreams  # noqa: PLC0415
    from mcp_hub.web.own import NoConnections, Own, declared  # noqa: PLC0415

    told = declared(config.upstreams.values(), absent, urls)
    sign_ins = {name: decide_declared(each).sign_in for name, each in config.upstreams.items()}
    connections = running.connections or NoConnections(sign_ins)
    upstreams = Upstreams(told, partial(_contacts, running.fleets))
    return Own(connections, upstreams, running.checking.check_as, running.store, Limits())


def _contacts(fleets: Fleets, caller: Principal) -> Mapping[str, Upstream]:
    try:
        return fleets.upstreams_of(caller)
    except Forbidden:  # more people are here than there may be at once: the page comes without what upstreams say
        return {}
