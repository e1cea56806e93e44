"""What a request comes to, before anything is written: values that the road through this room returns or raises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcp_hub.wire.jsonrpc import Reply

HeaderLines = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Failure:
    """A JSON-RPC error. `status` is the HTTP status, `None` where the era decides it from the code."""

    code: int
    message: str
    data: Any = None
    status: int | None = None
    headers: HeaderLines = ()


@dataclass(frozen=True, slots=True)
class Empty:
    """An HTTP answer without a body."""

    status: int
    headers: HeaderLines = ()


@dataclass(frozen=True, slots=True)
class Several:
    """The encoded answers of a batch's requests; a batch that asked nothing has none and is an `Empty`."""

    answers: Sequence[bytes]


class Written:
    """The response has been written already, by a stream of its own."""


Outcome = Reply | Failure | Empty | Several | Written


class Refused(Exception):
    """Raised anywhere in this room to end a request with this failure."""

    def __init__(
        self, code: int, message: str, data: Any = None, *, status: int | None = None, headers: HeaderLines = ()
    ) -> None:
        super().__init__(message)
        self.failure = Failure(code, message, data, status, headers)


class Gone(Exception):
    """The client hung up while it was still being listened to: nobody is left to answer."""
