"""Many requests over one stream: which of them is a message of the other side's about?

Rule: pure correlation. What belongs to no request under way belongs to nobody, and is never guessed.
Source: MCP 2026-07-28, basic/transports/stdio ("Receiving Messages").

    message                         belongs to
    response                        the request with its id
    progress                        the request whose number its token is
    any other notification          the one call under way, or any of them if one client has made them all
    request                         the same
"""

from collections.abc import Iterator
from itertools import count
from typing import Generic, TypeVar, final

from msgspec import Raw

from mcp_hub.upstream.call import PROGRESS, PROGRESS_TOKEN
from mcp_hub.wire.jsonrpc import Malformed, Message, fields, value

T = TypeVar("T")


@final
class Duplex(Generic[T]):
    """The requests under way on one stream, by their numbers. `T` is whatever stands for one of them."""

    def __init__(self, numbers: Iterator[int] | None = None) -> None:
        """`numbers` are those of the requests, each once; from 1 if there are none."""
        self._numbers = count(1) if numbers is None else numbers
        self._open: dict[int, T] = {}
        self._calls: dict[int, T] = {}
        self._of_one_client: set[int] = set()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, pending: T, *, is_call: bool, of_one_client: bool = False) -> int:
        """Begin a request; its number, which is also its progress token.

        `is_call` says that a caller waits for it, who can hear of it; `of_one_client` that the stream's owner is one
        client, so that it does not matter on which of its calls it is asked or told something.
        """
        number = next(self._numbers)
        self._open[number] = pending
        if is_call:
            self._calls[number] = pending
            if of_one_client:
                self._of_one_client.add(number)
        return number

    def close(self, number: int) -> None:
        """The request is over: what still comes about it belongs to nobody."""
        self._open.pop(number, None)
        self._calls.pop(number, None)
        self._of_one_client.discard(number)

    def is_one_of_several(self, number: int) -> bool:
        """Whether this call and others under way are all one client's: a question may be about any of them."""
        return number in self._of_one_client and 1 < len(self._of_one_client) == len(self._calls)

    def pending(self) -> list[T]:
        """Every request under way."""
        return list(self._open.values())

    def whose(self, message: Message) -> T | None:
        """The request that a message is about, `None` if it is about none."""
        if message.method is None:
            return self._open.get(_number(message.id))
        if message.method == PROGRESS:
            return self._open.get(_number(_token(message)))
        return next(iter(self.candidates()), None)

    def candidates(self) -> list[T]:
        """The calls that a message may be about which does not say it: one, or all of one client, the latest first."""
        if len(self._calls) == 1 or len(self._of_one_client) == len(self._calls):
            return list(reversed(self._calls.values()))
        return []


def _token(message: Message) -> Raw:
    try:
        return fields(message.params).get(PROGRESS_TOKEN, Raw(b""))
    except Malformed:
        return Raw(b"")


def _number(raw: Raw) -> int:
    """The number in `raw`, 0 if there is none: a number that no request has."""
    try:
        number = value(raw) if raw else 0
    except Malformed:
        return 0
    return number if isinstance(number, int) and not isinstance(number, bool) else 0
