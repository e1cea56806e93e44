"""Every way a trip through the door can fail. Rule: the text names at most a host, never a path, a query or a body.

The rooms above translate these once into the hub's own error tree; none of them reaches a caller as it is.
"""

from enum import StrEnum


class EgressError(Exception):
    """Base of all; never raised itself. `public` is a sentence that is safe to show."""

    def __init__(self, public: str) -> None:
        super().__init__(public)
        self.public = public


class DialStep(StrEnum):
    """How far a dial came: the step that did not succeed."""

    RESOLVE = "resolve"
    JUDGE = "judge"
    CONNECT = "connect"
    TLS = "tls"


class DialError(EgressError):
    """Base of the dialer's own errors. `step` is the one that failed."""

    def __init__(self, public: str, step: DialStep) -> None:
        super().__init__(public)
        self.step = step


class DialRefused(DialError):
    """The hub will not connect there: a rule, not a fault. Nothing was connected."""


class DialFailed(DialError):
    """The name does not resolve, nothing listens there, or the certificate cannot be trusted."""


class DialTimedOut(DialError):
    """Resolving, connecting and the TLS handshake together took too long."""


class Refused(EgressError):
    """Not sent: the address is one the hub does not connect to."""


class ConnectFailed(EgressError):
    """Not sent: no connection could be made."""


class ConnectTimedOut(EgressError):
    """Not sent: no connection could be made in time."""


class PoolFull(EgressError):
    """Not sent: too many requests to this origin are under way or waiting."""


class ConnectionLost(EgressError):
    """The connection broke before the response was complete.

    `sent`: some of the request was written, so the other side may have acted on it.
    `answered`: at least one byte of a response had arrived.
    """

    def __init__(self, public: str, *, sent: bool, answered: bool = False) -> None:
        super().__init__(public)
        self.sent = sent
        self.answered = answered


class ResponseTimedOut(EgressError):
    """The request was sent and the answer, or the next part of it, did not come in time."""


class TooLarge(EgressError):
    """The response was cut off while it streamed: it is over a limit."""


class NotHttp(EgressError):
    """What came back is not an HTTP/1.1 response that the hub reads."""
