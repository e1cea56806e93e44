"""Questions to the client of a session: asked on the stream of the request they belong to, answered by a POST.

Rule: an answer counts only in the session that was asked, once, under the id that was asked with.
Source: MCP 2025-11-25, basic/transports "Sending Messages to the Server" 4 and "Receiving Messages".
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, final

from msgspec import Raw

from mcp_hub.errors import Forbidden
from mcp_hub.wire.jsonrpc import INTERNAL_ERROR, Malformed, Message, Reply, encode, error_object, request, text

MOST: Final = 16
"""Questions that one session may have open."""

Emit = Callable[[bytes], Awaitable[bool | None]]
"""Tells the client something; `False` if it has hung up and cannot be told any more."""

_HUNG_UP: Final = Raw(encode(error_object(INTERNAL_ERROR, "The client behind this hub has hung up")))


@final
class Questions:
    """The open questions of one session."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[str, asyncio.Future[Reply]] = {}

    async def ask(self, emit: Emit, method: str, params: Raw) -> Reply:
        """Ask the client by way of `emit` and wait for what it answers. Cancellation withdraws the question.

        A client that cannot be asked any more has an error for its answer.

        Raises:
            Forbidden: too many questions are open.
        """
        if len(self._open) >= MOST:
            raise Forbidden("Too many questions to this client are open.")
        number = f"hub-{secrets.token_urlsafe(9)}"
        answer = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        try:
            if await emit(request(Raw(b'"%b"' % number.encode("ascii")), method, params)) is False:
                return Reply(error=_HUNG_UP)
            return await answer
        finally:
            del self._open[number]

    def answered(self, message: Message) -> bool:
        """Take a response that the client POSTed; whether it answers a question that is open."""
        try:
            answer = self._open.get(text(message.id) or "")
        except Malformed:
            return False
        if answer is None or answer.done():
            return False
        answer.set_result(Reply(error=message.error) if message.error else Reply(result=message.result))
        return True
