"""Batches, which only the revision 2025-03-26 knows.

Rule: the messages of a batch are independent. Each is served at the same time as the others, and what is wrong with
one is said in its own answer.
Source: MCP 2025-03-26 basic/transports "Sending Messages to the Server"; JSON-RPC 2.0 section 6.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from mcp_hub.inbound.encode import as_message
from mcp_hub.inbound.errors import settled
from mcp_hub.inbound.flight import Ended
from mcp_hub.inbound.incoming import Incoming, look_into
from mcp_hub.inbound.outcome import Empty, Failure, Outcome, Refused, Several
from mcp_hub.inbound.sessions import Stop
from mcp_hub.wire.eras import BATCH_REVISION, Era
from mcp_hub.wire.jsonrpc import INVALID_REQUEST, Malformed, Message, Reply, parse, parse_batch

MOST: Final = 50
"""Messages in one batch."""


Post = Callable[[Incoming, Stop], Awaitable[Outcome]]
"""Serves one message of the session that the batch belongs to."""


@dataclass(frozen=True, slots=True)
class _Subject:
    method: str | None
    era: Era = Era.LEGACY


async def serve_batch(post: Post, revision: str, body: bytes, stop: Stop) -> Outcome:
    """Serve every message of a batch by `post`, in a session of this revision; `stop` ends all of it.

    Raises:
        Refused: the session's revision knows no batches, or there are too many messages in this one.
        Malformed: the body is not an array, or an empty one.
    """
    if revision != BATCH_REVISION:
        message = f"Revision {revision} knows no batches; send each message by itself"
        raise Refused(INVALID_REQUEST, message, status=400)
    parts = parse_batch(body)
    if len(parts) > MOST:
        raise Refused(INVALID_REQUEST, f"A batch may hold {MOST} messages; this one has {len(parts)}", status=400)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_one(post, part, stop)) for part in parts]
    answers = [answer for task in tasks if not task.cancelled() and (answer := task.result()) is not None]
    return Several(answers) if answers else Empty(202)


async def _one(post: Post, part: bytes, stop: Stop) -> bytes | None:
    try:
        message = parse(part)
    except Malformed as error:
        return as_message(Failure(error.code, error.message), None)
    match await settled(_serve(post, message, stop), _Subject(message.method)):
        case Reply() | Failure() as outcome if message.is_request:
            return as_message(outcome, message.id)
        case _:
            return None


async def _serve(post: Post, message: Message, stop: Stop) -> Outcome:
    if message.method == "initialize":
        raise Refused(INVALID_REQUEST, "initialize stands alone, never in a batch")
    return await post(look_into(message), _one_of(stop))


def _one_of(stop_all: Stop) -> Stop:
    task = asyncio.current_task()

    def stop(why: Ended) -> None:
        if why is Ended.CANCELLED and task is not None:
            task.cancel()
        else:
            stop_all(why)

    return stop
