"""Server-sent events, both ways: bytes in, events out, and back.

Rule: linear time and bounded memory, however the bytes are cut and whoever sent them.
Source: WHATWG HTML, "Server-sent events", 9.2.5 and 9.2.6.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw

COMMENT: Final = b": keep-alive\n\n"
"""Keeps an idle stream open; receivers ignore it."""

_BOM: Final = b"\xef\xbb\xbf"
_LF: Final = 0x0A
_CR: Final = 0x0D
_LONGEST_PREFIX: Final = len(b"data: ")
_RETRY_DIGITS: Final = 12


class Event(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event.

    `id` is the last id the stream has set, not only this event's own; `retry` is in milliseconds. `data` may be empty:
    an event that only hands over an id to resume from is sent so.
    """

    data: bytes
    id: str | None = None
    event: str | None = None
    retry: int | None = None


class EventTooLarge(ValueError):
    """An event grew past the limit; the parser is of no further use.

    `events` are the complete ones that came before it in the same chunk.
    """

    def __init__(self, limit: int, events: list[Event]) -> None:
        super().__init__(f"A server-sent event is larger than {limit} bytes")
        self.events = events


class EventParser:
    """Cuts a byte stream into events. Holds at most one event of `limit` bytes; an unfinished one is never given."""

    __slots__ = (
        "_after_cr", "_data", "_event", "_held", "_id", "_limit", "_pending", "_retry", "_start", "last_id", "retry",
    )  # fmt: skip

    def __init__(self, limit: int) -> None:
        self.last_id: str | None = None
        """Where to resume from: the id of the last finished block, whether it held data or not."""
        self.retry: int | None = None
        """How long the server asked to wait before resuming, in milliseconds."""
        self._limit = limit
        self._start: bytes | None = b""
        self._after_cr = False
        self._pending = bytearray()
        self._data: bytes | bytearray | None = None
        self._held = 0
        self._id: str | None = None
        self._event: str | None = None
        self._retry: int | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes.

        Raises:
            EventTooLarge: as soon as an event is known to be past the limit, finished or not.
        """
        events: list[Event] = []
        chunk = self._without_border(chunk)
        try:
            if b"\n" in chunk or b"\r" in chunk:
                for line in chunk.splitlines(keepends=True):
                    self._take(line, events)
            else:
                self._hold(chunk)
        except _PastLimit as error:
            # Whoever keeps the error keeps its traceback, and that this parser: it must not keep what was too large.
            self._pending, self._data = bytearray(), None
            raise EventTooLarge(self._limit, events) from error
        return events

    def _without_border(self, chunk: bytes) -> bytes:
        """The chunk without what belongs to the one before: half a byte order mark, half a CR LF."""
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._start = chunk
                return b""
            self._start = None
            chunk = chunk.removeprefix(_BOM)
        if not chunk:
            return chunk
        cut = self._after_cr and chunk[0] == _LF
        self._after_cr = chunk[-1] == _CR
        return chunk[1:] if cut else chunk

    def _take(self, line: bytes, events: list[Event]) -> None:
        if line[-1] != _LF and line[-1] != _CR:
            self._hold(line)
            return
        line = line.rstrip(b"\r\n")
        if self._pending:
            self._pending += line
            line = bytes(self._pending)
            self._pending = bytearray()
        if line:
            self._check(len(line))
            self._field(line)
        else:
            self._dispatch(events)

    def _hold(self, part: bytes) -> None:
        self._pending += part
        self._check(len(self._pending))

    def _check(self, length: int) -> None:
        # The same for a line in one piece and in many, so that the verdict does not depend on how bytes were cut.
        if self._held + length > self._limit + _LONGEST_PREFIX:
            raise _PastLimit

    def _field(self, line: bytes) -> None:
        colon = line.find(b":")
        if colon == 0:
            return
        name = line if colon < 0 else line[:colon]
        value = b"" if colon < 0 else line[colon + (2 if line[colon + 1 : colon + 2] == b" " else 1) :]
        if name == b"data":
            self._add_data(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and len(value) <= _RETRY_DIGITS and value.isdigit():
            self.retry = self._retry = int(value)

    def _add_data(self, value: bytes) -> None:
        if self._data is None:
            self._data = value
        else:
            # A list of lines would cost many times their bytes when there are millions of empty ones.
            if isinstance(self._data, bytes):
                self._data = bytearray(self._data)
            self._data += b"\n" + value
        self._held = len(self._data)
        if self._held > self._limit:
            raise _PastLimit

    def _dispatch(self, events: list[Event]) -> None:
        self.last_id = self._id
        if self._data is not None:
            events.append(Event(bytes(self._data), self._id, self._event or None, self._retry))
            self._data = None
            self._held = 0
        self._event = self._retry = None


class _PastLimit(Exception):
    """Carries the verdict out to `feed`, which knows the events before it."""


def named_event(name: str, data: bytes) -> bytes:
    """One event of a type, which must be a plain word."""
    return b"event: %b\n%b" % (name.encode("ascii"), encode_event((data,)))


def encode_event(parts: Iterable[bytes | Raw], event_id: str | None = None) -> bytes:
    """One event whose data is the parts joined; an `event_id` must be free of line breaks and NUL.

    JSON that somebody indented holds line breaks; each then starts a `data:` line of its own (CR becomes LF), so
    nothing in the data can end the event or add a field to it.

    Raises:
        ValueError: an id that would break the stream.
    """
    head = b"" if event_id is None else _id_line(event_id)
    event = b"".join((head, b"data: ", *parts, b"\n\n"))
    if event.find(b"\n", len(head)) == len(event) - 2 and b"\r" not in event:
        return event
    data = event[len(head) + _LONGEST_PREFIX : -2].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return head + b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def _id_line(event_id: str) -> bytes:
    if any(mark in event_id for mark in "\r\n\0"):
        raise ValueError("An event id must not hold a line break or NUL")
    return b"id: %b\n" % event_id.encode()
