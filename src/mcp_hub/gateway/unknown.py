"""Methods that the hub does not know: those of extensions, and of revisions to come.

Rule: such a request goes on only where it is clear to whom, and only between sides of one era, since nobody here can
translate it. It goes to the upstream that its `taskId`, `uri` or `name` leads to; else to the only upstream there is;
else to the only one that declares anything the hub does not know. Anything else is refused. It is never sent twice.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw

from mcp_hub.catalog.routes import Catalog, Route
from mcp_hub.errors import UnknownMethod
from mcp_hub.gateway.ask import Ask
from mcp_hub.gateway.view import View
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.wire.jsonrpc import Fields, encode, text

LONGEST: Final = 256
"""Characters of a method that goes on: a name is kept in several places, and made-up ones are as long as a request."""
_OF_PROTOCOL: Final = frozenset(
    {
        *("initialize", "ping", "server/discover", "subscriptions/listen", "logging/setLevel"),
        *("resources/subscribe", "resources/unsubscribe", "completion/complete"),
        *("sampling/createMessage", "elicitation/create", "roots/list"),
    }
)
_PREFIXES: Final = ("tools/", "prompts/", "resources/", "tasks/", "notifications/", "rpc.")
"""Names that are the protocol's own to give, or JSON-RPC's."""

OpenTask = Callable[[str], tuple[str, str] | None]


def led(ask: Ask, view: View, upstreams: Mapping[str, Upstream], open_task: OpenTask) -> tuple[Route, Fields]:
    """Whose this request is, and its params in that upstream's words.

    Raises:
        UnknownMethod: the method is one of the protocol's, or no name at all, or it is not clear whose it is.
    """
    if len(ask.method) > LONGEST or ask.method in _OF_PROTOCOL or ask.method.startswith(_PREFIXES):
        raise refused(ask)
    found = _named(ask.params, view.catalog, open_task)
    if found is None:
        name = next(iter(upstreams)) if len(upstreams) == 1 else view.extender[ask.client.era]
        found = None if name is None else (Route(name, ""), dict(ask.params))
    upstream = None if found is None else upstreams.get(found[0].upstream)
    if found is None or upstream is None or upstream.known.era is not ask.client.era:
        raise refused(ask)
    return found


def refused(ask: Ask) -> UnknownMethod:
    """The refusal of a method, in public words."""
    return UnknownMethod(f"This hub does not serve {ask.method[:100]!r}.")


def _named(params: Fields, catalog: Catalog, open_task: OpenTask) -> tuple[Route, Fields] | None:
    ways: Mapping[str, Callable[[str], Route | None]] = {
        "taskId": lambda shown: _task(open_task(shown)),
        "uri": catalog.resource,
        "name": lambda name: catalog.tool(name) or catalog.prompt(name),
    }
    for member, way in ways.items():
        given = text(params.get(member))
        route = None if given is None else way(given)
        if route is not None:
            return Route(route.upstream, ""), {**params, member: Raw(encode(route.original))}
    return None


def _task(found: tuple[str, str] | None) -> Route | None:
    return None if found is None else Route(*found)
