"""One request on its way to an upstream, in the upstream's own names and URIs."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from mcp_hub.wire.eras import Client
from mcp_hub.wire.jsonrpc import Fields, Json, Message, Reply, encode, fields, value

_ANSWERABLE: Final = {
    "elicitation": ("form", "url"),
    "sampling": ("context", "tools"),
    "roots": ("listChanged",),
}
_DETAILS: Final[Json] = {"form": {}, "url": {}, "context": {}, "tools": {}, "listChanged": True}
PROGRESS: Final = "notifications/progress"
PROGRESS_TOKEN: Final = "progressToken"  # noqa: S105
UPDATED: Final = "notifications/resources/updated"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
CHANGES: Final = {f"notifications/{kind}/list_changed": kind for kind in ("tools", "prompts", "resources")}
"""The announcements that a list has changed, and which list that is."""
NOTICES: Final = frozenset({*CHANGES, UPDATED})
"""What an upstream says to everybody, and never as a part of one call."""

Emit = Callable[[bytes], Awaitable[None]]
"""Puts one encoded notification on the stream of the request it belongs to; returns when it may take the next."""
AskClient = Callable[[str, Raw], Awaitable[Reply]]
"""Asks the client behind a call: method and params of the question to the client's reply. Takes as long as it takes."""
Owner = tuple[str, ...]
"""Whose legacy session this is: a downstream session's (which is one principal's), or else a principal's own."""


class Call(msgspec.Struct):
    """A request, and what belongs to it.

    `params` are the members of `params` without `_meta`; `meta` those of `_meta`. `name` is what `Mcp-Name` repeats.
    `log_level` is the legacy client's last `logging/setLevel`. `repeatable` says that running it twice does no harm:
    never true for `tools/call`. `ask_client` is `None` where the client cannot be asked anything.
    """

    owner: Owner
    client: Client
    method: str
    params: Fields
    meta: Fields
    emit: Emit
    name: str | None = None
    param_headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    log_level: str | None = None
    repeatable: bool = False
    ask_client: AskClient | None = None


def answerable(client: Client) -> Fields:
    """The capabilities of a client by which it says what it can be asked, still encoded.

    Only what the protocol knows of them: an upstream session is kept for each combination, so there must be few.

    Raises:
        Malformed: its capabilities are not what they should be.
    """
    said = fields(client.capabilities)
    return {key: _known(key, said[key]) for key in _ANSWERABLE if key in said}


def _known(capability: str, said: Raw) -> Raw:
    details = fields(said)
    return Raw(encode({key: _DETAILS[key] for key in _ANSWERABLE[capability] if key in details}))


def is_progress_of(message: Message, token: Raw | None) -> bool:
    """Whether a progress notification is about the request that was sent with `token`, and not about somebody else's.

    Raises:
        Malformed: its params are not what JSON-RPC calls params.
    """
    told = fields(message.params).get(PROGRESS_TOKEN)
    return token is not None and told is not None and value(told) == value(token)


async def nowhere(notification: bytes) -> None:
    """An `Emit` for requests of the hub's own, whose notifications nobody reads."""
    del notification
