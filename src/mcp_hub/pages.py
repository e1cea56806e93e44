"""The pages about somebody's own connections, in a running hub: who looks at them is the only difference there is.

Rule: a hub without a login, such as one that a client starts, loads none of this until somebody opens a page.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mcp_hub import __version__
from mcp_hub.assembly import Running
from mcp_hub.config import model
from mcp_hub.credentials.decide import decide_declared
from mcp_hub.gateway.keys import kept_key
from mcp_hub.vault.settings import SealedSettings
from mcp_hub.web.frame import Frame
from mcp_hub.web.index import Index
from mcp_hub.web.later import PATHS, Later
from mcp_hub.web.site import Part

if TYPE_CHECKING:
    from mcp_hub.web.lookers import Doorway
    from mcp_hub.web.own import Own

FORM_KEY = "form-token-key"
"""What the key of form tokens is called in the store."""


def pages_of(
    config: model.Config, running: Running, frame: Frame, *, absent: Mapping[str, str], urls: Mapping[str, str]
) -> Sequence[Part]:
    """Those of this hub. `absent` says why some upstreams are not served; `urls` are the others', and may be shown."""
    entrance, server = running.entrance, config.server
    if entrance is None:
        return [Later(PATHS, partial(_private, config, running, frame, absent, urls))]
    if entrance.doorway is None:
        return [Index(__version__, server.endpoint), *entrance.parts]
    own = _own(config, running, absent, urls)
    return [*_parts(frame, entrance.doorway, own, config, server.endpoint), *entrance.parts]


async def _private(
    config: model.Config, running: Running, frame: Frame, absent: Mapping[str, str], urls: Mapping[str, str]
) -> Sequence[Part]:
    from mcp_hub.web.lookers import Doorway, NoSessions, Owner  # noqa: PLC0415 - see the rule
    from mcp_hub.web.visitors import Visitors  # noqa: PLC0415

    key = await kept_key(SealedSettings(running.store, running.vault), FORM_KEY)
    visitors = Visitors(NoSessions(), base_url=config.server.base_url, key=key)
    own = _own(config, running, absent, urls)
    return _parts(frame, Doorway(Owner(visitors), visitors), own, config, "")


def _parts(frame: Frame, doorway: "Doorway", own: "Own", config: model.Config, told: str) -> Sequence[Part]:
    from mcp_hub.web.own import own_parts  # noqa: PLC0415

    return own_parts(frame, doorway, own, server=config.server, version=__version__, told=told)


def _own(config: model.Config, running: Running, absent: Mapping[str, str], urls: Mapping[str, str]) -> "Own":
    from mcp_hub.web.connections import Upstreams  # noqa: PLC0415
    from mcp_hub.web.own import NoConnections, Own, declared  # noqa: PLC0415

    told = declared(config.upstreams.values(), absent, urls)
    sign_ins = {name: decide_declared(each).sign_in for name, each in config.upstreams.items()}
    connections = running.connections or NoConnections(sign_ins)
    upstreams = Upstreams(told, running.fleets.upstreams_of)
    return Own(connections, upstreams, running.checking.check_as, running.store)
