"""What a session of the legacy era says, whatever carries it: the opening, the params of a request, what is asked.

Source: MCP 2025-11-25, basic/lifecycle and basic/utilities.
"""

import asyncio
from typing import Final

from msgspec import Raw

from mcp_hub.errors import BrokeProtocol, HubError
from mcp_hub.upstream.answer import decoded
from mcp_hub.upstream.call import PROGRESS, PROGRESS_TOKEN, AskClient, Call, answerable, nowhere, told
from mcp_hub.wire.eras import (
    ASKING,
    LATEST_LEGACY,
    LEGACY_REVISIONS,
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_LOG_LEVEL,
    META_VERSION,
    Client,
    Era,
)
from mcp_hub.wire.jsonrpc import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    Fields,
    Json,
    Malformed,
    Message,
    Reply,
    encode,
    error_object,
    fields,
    notification,
    text,
)

LONGEST_QUESTION: Final = 600.0
"""Seconds a client, or the person in front of it, may take for an answer."""
CANNOT_ASK: Final = Raw(encode(error_object(METHOD_NOT_FOUND, "The client behind this hub cannot be asked this")))
NOBODY_ANSWERED: Final = Raw(encode(error_object(INTERNAL_ERROR, "The client did not answer in time")))
LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_RANKS: Final = {level: rank for rank, level in enumerate(LEVELS)}
_MODERN_META: Final = frozenset({META_VERSION, META_CLIENT_INFO, META_CLIENT_CAPABILITIES, META_LOG_LEVEL})


def opening_params(client: Client) -> Fields:
    """The params of an `initialize` that opens a session for this client."""
    revision = client.revision if client.era is Era.LEGACY else LATEST_LEGACY
    return {
        "protocolVersion": Raw(encode(revision)),
        # An upstream is told of what this client can be asked and extends, and of nothing that the hub does not carry.
        "capabilities": Raw(encode(told(client))),
        "clientInfo": client.info or Raw(b'{"name":"mcp_hub","version":"0"}'),
    }


def introduced(name: str, reply: Reply) -> Json:
    """The result of an `initialize`, decoded.

    Raises:
        BrokeProtocol: the upstream refused, or speaks no revision that the hub knows.
    """
    if reply.result is None:
        raise BrokeProtocol(name, f"{name} refused to open a session.")
    opened = decoded(name, reply.result)
    if opened.get("protocolVersion") not in LEGACY_REVISIONS:
        raise BrokeProtocol(name, f"{name} speaks no revision of the protocol that the hub knows.")
    return opened


def can_log(opened: Json) -> bool:
    """Whether the upstream said that it takes `logging/setLevel`."""
    capabilities = opened.get("capabilities")
    return isinstance(capabilities, dict) and "logging" in capabilities


def may_ask(client: Client) -> frozenset[str]:
    """The methods by which an upstream may ask this client, because the client said that it answers them."""
    said = answerable(client)
    return frozenset(method for method, capability in ASKING.items() if capability in said)


async def asked_of(ask_client: AskClient, asked: Message) -> Reply:
    """What the client answers to a question of the upstream's, or an error if it takes too long or cannot be asked.

    Neither side's malformed parts end more than the question.
    """
    try:
        async with asyncio.timeout(LONGEST_QUESTION):
            return await ask_client(asked.method or "", asked.params or Raw(b"{}"))
    except (TimeoutError, HubError, Malformed):
        return Reply(error=NOBODY_ANSWERED)


def request_params(call: Call, number: int) -> tuple[Fields, Raw | None]:
    """The request's params, and the progress token they replace by `number`, which is unique in the session."""
    meta = {key: raw for key, raw in call.meta.items() if key not in _MODERN_META}
    token = meta.get(PROGRESS_TOKEN)
    if token is not None:
        meta[PROGRESS_TOKEN] = Raw(b"%d" % number)
    return ({**call.params, "_meta": Raw(encode(meta))} if meta else call.params), token


def restored(message: Message, token: Raw) -> bytes:
    """A progress notification with the token that the caller gave."""
    return notification(PROGRESS, {**fields(message.params), PROGRESS_TOKEN: token})


def level_to_set(call: Call, current: str | None) -> str | None:
    """The log level that a session has to be given before this call is made in it; `None` if `current` will do.

    A legacy client's session has the level that its client set. One that modern requests share has the lowest that one
    of them asked for, whatever the others ask: `wants_log` leaves out what is too much for them.
    """
    if call.log_level is not None:
        return call.log_level if call.log_level != current else None
    level = _level_of(call)
    if level is None or (current is not None and _RANKS.get(current, 0) <= _RANKS[level]):
        return None
    return level


def wants_log(call: Call, message: Message) -> bool:
    """Whether this log message of an upstream goes to the caller."""
    if call.client.era is Era.LEGACY:
        return True
    # 2026-07-28, server/utilities/logging: nothing is logged to a request that names no level, and nothing below it.
    level = _level_of(call)
    if level is None:
        return False
    try:
        said = text(fields(message.params).get("level"))
    except Malformed:
        return False
    return said not in _RANKS or _RANKS[said] >= _RANKS[level]


def _level_of(call: Call) -> str | None:
    level = text(call.meta.get(META_LOG_LEVEL))
    return level if level in _RANKS else None


async def ignore(message: Message, data: bytes) -> None:
    """What is done with messages that nobody waits for."""
    del message
    await nowhere(data)
