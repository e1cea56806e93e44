"""A legacy stream that broke is continued from the last event the client saw, as long as the event is still kept."""

from collections import deque
from itertools import count

import mcp_types as types
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore


class RecentEvents(EventStore):
    """The last 1,000 events of all streams, in memory."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, str, types.JSONRPCMessage | None]] = deque(maxlen=1000)
        self._numbers = count(1)

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        number = next(self._numbers)
        self._events.append((number, stream_id, message))
        return str(number)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        kept = {str(number): stream for number, stream, _ in self._events}
        stream = kept.get(last_event_id)
        if stream is None:
            return None
        later = [e for e in self._events if e[0] > int(last_event_id) and e[1] == stream]
        for number, _, message in later:
            if message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream
