"""One request on its way to an upstream, in the upstream's own names and URIs."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from mcp_hub.wire.eras import TASKS, Client, Era
from mcp_hub.wire.jsonrpc import NULL, Fields, Json, Malformed, Message, Reply, encode, fields, text, value

_ANSWERABLE: Final = {
    "elicitation": ("form", "url"),
    "sampling": ("context", "tools"),
    "roots": (),  # no `listChanged`: that they have changed is not passed on
}
_DETAILS: Final[Json] = {"form": {}, "url": {}, "context": {}, "tools": {}}
_EXTENDING: Final = ("extensions", "experimental")
OWN_CAPABILITIES: Final = Raw(
    b'{"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html;profile=mcp-app"]}}}'
)
"""What the hub says for itself when it lists: some servers tell of apps only to clients that know them."""
LONGEST_TASK: Final = 86_400.0
"""Seconds that a session is kept for the sake of a task in it, whatever the upstream promises."""
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
Pause = Callable[[int | None], Awaitable[None]]
"""Told that an upstream has closed the stream of a call for a while, and for how many milliseconds if it said so."""
Owner = tuple[str, ...]
"""Whose legacy session this is: a downstream session's (which is one principal's), or else a principal's own."""


class Call(msgspec.Struct):
    """A request, and what belongs to it.

    `params` are the members of `params` without `_meta`; `meta` those of `_meta`. `name` is what `Mcp-Name` repeats.
    `log_level` is the legacy client's last `logging/setLevel`. `repeatable` says that running it twice does no harm:
    never true for `tools/call`. `wait` are the seconds for its first byte where they are not the usual ones.
    `ask_client` is `None` where the client cannot be asked anything, `pause` where its
    stream cannot be closed for a while.
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
    wait: float | None = None
    ask_client: AskClient | None = None
    pause: Pause | None = None


def answerable(client: Client) -> Fields:
    """The capabilities of a client by which it says what it can be asked, still encoded.

    Only what the protocol knows of them: an upstream session is kept for each combination, so there must be few.

    Raises:
        Malformed: its capabilities are not what they should be.
    """
    said = fields(client.capabilities)
    return {key: _known(key, said[key]) for key in _ANSWERABLE if key in said}


def told(client: Client, *, can_ask: bool = True) -> Fields:
    """The capabilities of a client that an upstream is told of where it does not get them as they came.

    What it can be asked, if there is a way to ask it; and of a legacy client, whose session upstream is its own, the
    extensions it knows. Not the tasks of either era, which the hub does not carry from the server to the client.

    Raises:
        Malformed: its capabilities are not what they should be.
    """
    asked = answerable(client) if can_ask else {}
    if client.era is Era.MODERN:
        return asked
    said = fields(client.capabilities)
    known = {key: fields(said[key]) for key in _EXTENDING if key in said}
    for extensions in known.values():
        extensions.pop(TASKS, None)
    return {**asked, **{key: Raw(encode(each)) for key, each in known.items()}}


def task_seconds(reply: Reply) -> float:
    """How long the task that a reply has made may live, in seconds; 0 if it has made none."""
    try:
        members = fields(reply.result or b"{}")
        if "task" in members:
            ttl = value(fields(members["task"]).get("ttl", NULL))
        elif text(members.get("resultType")) == "task":
            ttl = value(members.get("ttlMs", NULL))
        else:
            return 0.0
    except Malformed:
        return 0.0
    return min(ttl / 1000, LONGEST_TASK) if isinstance(ttl, int | float) else LONGEST_TASK


def _known(capability: str, said: Raw) -> Raw:
    details = fields(said)
    return Raw(encode({key: _DETAILS[key] for key in _ANSWERABLE[capability] if key in details}))


def is_progress_of(message: Message, token: Raw | None) -> bool:
    """Whether a progress notification is about the request that was sent with `token`, and not about somebody else's.

    Raises:
        Malformed: its params are not what JSON-RPC calls params.
    """
    told = fields(message.params).get(PROGRESS_TOKEN)
    return token is not None and told is not None and (told == token or value(told) == value(token))


async def nowhere(notification: bytes) -> None:
    """An `Emit` for requests of the hub's own, whose notifications nobody reads."""
    del notification
