"""Every failure the hub reports, sorted by who has to act.

Rule: `public` is safe for the caller. It never holds a token, a URL with a query or an upstream's raw body;
it says what happened, whose turn it is and the next step. What is for the log travels as `__cause__`.
"""

from dataclasses import dataclass
from typing import Literal


class HubError(Exception):
    """Base of all; never raised itself."""

    def __init__(self, public: str) -> None:
        super().__init__(public)
        self.public = public


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a configuration. `line` and `column` count from 1; 0 means the file as a whole."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    excerpt: str = ""


class ConfigError(HubError):
    """The operator has to act: every problem of a configuration at once."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        count = len(problems)
        super().__init__(f"{source}: {count} problem{'' if count == 1 else 's'}")
        self.source = source
        self.problems = sorted(problems)


class CallerError(HubError):
    """The client has to act."""


class Unauthenticated(CallerError):
    """Nobody the hub knows. HTTP 401.

    `challenge` is the value of `WWW-Authenticate`: where and how to become known (RFC 6750 section 3, RFC 9728
    section 5.1). It holds no secret.
    """

    def __init__(self, public: str, challenge: str = "Bearer") -> None:
        super().__init__(public)
        self.challenge = challenge


class BadCredentials(Unauthenticated):
    """What was sent to become known is not in a form that can be judged. HTTP 400 (RFC 6750 `invalid_request`)."""


class Forbidden(CallerError):
    """Known, but may not do this. HTTP 403; `challenge` as above, empty where no other token would help."""

    def __init__(self, public: str, challenge: str = "") -> None:
        super().__init__(public)
        self.challenge = challenge


class BadRequest(CallerError):
    """The request is not one the protocol allows. JSON-RPC -32602."""


class HeaderMismatch(CallerError):
    """An HTTP header disagrees with the body it repeats. JSON-RPC -32020."""


class UnknownMethod(CallerError):
    """The hub does not serve this method. JSON-RPC -32601."""


class MissingCapability(CallerError):
    """The client did not say on this request that it can do what this needs. JSON-RPC -32021.

    `extension` is the identifier of the extension it has to declare.
    """

    def __init__(self, extension: str, public: str) -> None:
        super().__init__(public)
        self.extension = extension


class UnknownName(CallerError):
    """No tool, prompt or resource of that name in the caller's catalog.

    `kind` is `tool`, `prompt` or `resource`; a missing resource has an error code of its own in the legacy era.
    """

    def __init__(self, kind: str, name: str, public: str) -> None:
        super().__init__(public)
        self.kind = kind
        self.name = name


class ConnectionNeeded(HubError):
    """The user has to open a page, or to send something: no fault of anybody's. `upstream` is its configured name.

    `state` is the state of their connection. `url` is the page of the hub where they act, which lets nobody in by
    itself; `None` where no page would help, and `public` then says what does. `public` is complete in itself: it names
    the page too.
    """

    def __init__(
        self, upstream: str, public: str, *, url: str | None, state: Literal["not_connected", "reconnect_needed"]
    ) -> None:
        super().__init__(public)
        self.upstream = upstream
        self.url = url
        self.state: Literal["not_connected", "reconnect_needed"] = state


class UpstreamError(HubError):
    """The other side has to act. `upstream` is its configured name."""

    def __init__(self, upstream: str, public: str) -> None:
        super().__init__(public)
        self.upstream = upstream


class Unreachable(UpstreamError):
    """No connection, or it broke before an answer arrived."""


class TimedOut(UpstreamError):
    """Connected, but the answer did not arrive in time. A call may have had effects."""


class RefusedCredential(UpstreamError):
    """Reached, and the credential was rejected: nothing has been done there.

    `status` is 401 or 403. `challenges` are the values of `WWW-Authenticate` as they came: a stranger's words, never
    to be shown.
    """

    def __init__(self, upstream: str, public: str, *, status: int = 401, challenges: tuple[str, ...] = ()) -> None:
        super().__init__(upstream, public)
        self.status = status
        self.challenges = challenges


class BrokeProtocol(UpstreamError):
    """Answered with something that is not the protocol, or is over a limit."""


class Interrupted(UpstreamError):
    """A call that waited for an answer of its user is gone. It may have had effects."""


class Busy(UpstreamError):
    """It has too much to do: too many calls are under way there, or it says so itself (429, 503)."""


class HubFault(HubError):
    """We have to act."""


class StoreFailed(HubFault):
    """The store could not be read or written."""


class VaultLocked(HubFault):
    """The operator has to act: there is no master key, or not the one this store was begun with."""


class Unsealable(HubFault):
    """A sealed value was changed, moved, or sealed with a key that the store does not have."""
