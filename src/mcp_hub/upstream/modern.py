"""Requests to an upstream of the modern era: stateless, described by their own `_meta` and headers.

Source: MCP 2026-07-28, basic/index (`_meta`) and basic/transports/streamable-http (request metadata).
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import count
from typing import Final, final

from msgspec import Raw

from mcp_hub.credentials.credential import Credential
from mcp_hub.egress.request import HeaderLines, header_lines
from mcp_hub.upstream.answer import read_answer
from mcp_hub.upstream.call import NOTICES, OWN_CAPABILITIES, PROGRESS, PROGRESS_TOKEN, Call, is_progress_of, told
from mcp_hub.upstream.channel import Channel, joined
from mcp_hub.wire.eras import (
    LATEST_MODERN,
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_LOG_LEVEL,
    META_VERSION,
    Client,
    Era,
)
from mcp_hub.wire.headers import encode_value
from mcp_hub.wire.jsonrpc import Fields, Message, Reply, encode, request

_VERSION_LINE: Final = (b"mcp-protocol-version", LATEST_MODERN.encode("ascii"))
_VERSION: Final = Raw(encode(LATEST_MODERN))
_LONGEST_KEPT: Final = 256
"""Characters of a name whose header lines are kept; URIs of callers may be as long as a request."""


@final
class ModernWire:
    """Sends modern requests over one channel. Keeps nothing between them but the request numbers."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = count(1)

    async def send(self, call: Call, credential: Credential) -> Reply:
        """Send one request and read its answer; notifications before it go to `call.emit`.

        Cancellation closes the response stream, which is how a modern request is cancelled.

        Raises:
            UpstreamError: as `read_answer` and `Channel.post` say.
        """
        number = next(self._numbers)
        body = request(number, call.method, {**call.params, "_meta": envelope(call)})
        lines = head_lines(call.method, call.name, call.param_headers)
        response = await self._channel.post(body, lines, credential, wait=call.wait, repeatable=call.repeatable)

        async def on_message(message: Message, data: bytes) -> None:
            # "The server MUST NOT send independent JSON-RPC requests on this stream": one that does is not heard.
            if not message.is_notification or message.method in NOTICES:
                return  # changes are told on listen streams only
            if message.method != PROGRESS or is_progress_of(message, call.meta.get(PROGRESS_TOKEN)):
                await call.emit(data)

        return await read_answer(self._channel.name, response, number, self._channel.limits, on_message)


def envelope(call: Call) -> Fields:
    """The `_meta` of the request: the caller's own, with the protocol's members as this upstream needs them."""
    client = call.client
    if client.era is Era.MODERN and client.revision == LATEST_MODERN:
        return call.meta  # it was checked on its way in and says the same here
    meta: Fields = {
        **call.meta,
        META_VERSION: _VERSION,
        META_CLIENT_CAPABILITIES: Raw(encode(told(client, can_ask=call.ask_client is not None))),
    }
    if client.info is not None:
        meta[META_CLIENT_INFO] = client.info
    if call.log_level is not None:
        meta[META_LOG_LEVEL] = Raw(encode(call.log_level))
    return meta


def head_lines(method: str, name: str | None, param_headers: Mapping[str, str]) -> HeaderLines:
    """The header lines that repeat the body, each value encoded so that it cannot end its line."""
    lines = (_kept_lines if name is None or len(name) <= _LONGEST_KEPT else _routing_lines)(method, name)
    if not param_headers:
        return lines
    return joined(
        lines, header_lines([(key.encode("ascii"), each.encode("ascii")) for key, each in param_headers.items()])
    )


def _routing_lines(method: str, name: str | None) -> HeaderLines:
    named = [] if name is None else [(b"mcp-name", encode_value(name).encode("ascii"))]
    return header_lines([_VERSION_LINE, (b"mcp-method", encode_value(method).encode("ascii")), *named])


_kept_lines: Final = lru_cache(maxsize=4096)(_routing_lines)


def own_client(info: Raw) -> Client:
    """The hub itself as a modern client, which can answer nothing and knows apps."""
    return Client(Era.MODERN, LATEST_MODERN, OWN_CAPABILITIES, info)


def own_meta(client: Client) -> Fields:
    """The `_meta` of a request that the hub makes for itself."""
    meta: Fields = {META_VERSION: _VERSION, META_CLIENT_CAPABILITIES: client.capabilities}
    if client.info is not None:
        meta[META_CLIENT_INFO] = client.info
    return meta
