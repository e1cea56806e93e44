"""Every failure in wire form: the one table, and the one place where anything else that was raised comes to rest.

Sources: MCP 2026-07-28 basic/transports/streamable-http (HTTP statuses), basic/index "Error Codes",
server/tools "Error Handling" (what the model should see is a result), server/resources "Error Handling".
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Protocol

from mcp_hub.catalog.notes import META_UPSTREAMS
from mcp_hub.errors import (
    BadCredentials,
    BadRequest,
    BrokeProtocol,
    Busy,
    ConnectionNeeded,
    Forbidden,
    HeaderMismatch,
    HubError,
    MissingCapability,
    RefusedCredential,
    TimedOut,
    Unauthenticated,
    UnknownMethod,
    UnknownName,
    Unreachable,
    UpstreamError,
)
from mcp_hub.inbound.outcome import Failure, Gone, HeaderLines, Outcome, Refused, Written
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    PARSE_ERROR,
    RESOURCE_NOT_FOUND,
    UNSUPPORTED_VERSION,
    Json,
    Malformed,
    Reply,
    encode,
)

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """How one kind of failure looks on the wire; `status` is `None` where `http_status` decides."""

    code: int
    status: int | None = None


TABLE: Final[dict[type[HubError], Row]] = {
    Unauthenticated: Row(INVALID_REQUEST, 401),
    BadCredentials: Row(INVALID_REQUEST, 400),
    Forbidden: Row(INVALID_REQUEST, 403),
    BadRequest: Row(INVALID_PARAMS),
    HeaderMismatch: Row(HEADER_MISMATCH),
    UnknownMethod: Row(METHOD_NOT_FOUND),
    MissingCapability: Row(MISSING_CAPABILITY),
    UnknownName: Row(INVALID_PARAMS),
    ConnectionNeeded: Row(INTERNAL_ERROR),
    UpstreamError: Row(INTERNAL_ERROR),
    HubError: Row(INTERNAL_ERROR),
}
"""The nearest class of a failure's own ancestry counts."""

STATES: Final[dict[type[UpstreamError], str]] = {
    Unreachable: "unreachable",
    TimedOut: "unreachable",
    BrokeProtocol: "unreachable",
    Busy: "unreachable",
    RefusedCredential: "reconnect_needed",
}
"""What a failure of an upstream's says about the caller's connection with it."""

_MODERN_STATUS: Final = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}


def http_status(code: int, era: Era) -> int:
    """The HTTP status of an error response: a legacy client's is 200 once its request was understood as one."""
    return _MODERN_STATUS.get(code, 200) if era is Era.MODERN else 200


class Subject(Protocol):
    """What a failure is about; read when it happens, since it becomes known bit by bit."""

    @property
    def method(self) -> str | None:
        """The method of the message being served."""
        ...

    @property
    def era(self) -> Era:
        """The era it belongs to."""
        ...


async def settled(work: Awaitable[Outcome], subject: Subject) -> Outcome:
    """What `work` returns, or the wire form of what it raises; only a cancellation of this very task passes through."""
    try:
        return await work
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the last place, as `comes_to` says
        return comes_to(error, subject)


def comes_to(error: Exception | asyncio.CancelledError, subject: Subject) -> Outcome:
    """The wire form of what was raised while a request was served: nothing above could say anything to the caller.

    Raises:
        CancelledError: the same, if it is this very task that is being cancelled.
    """
    if not isinstance(error, asyncio.CancelledError):
        return _wire_form(error, subject.method, subject.era)
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise error
    return _fault(error)  # somebody cancelled what this caller was waiting for together with others


async def contained(work: Awaitable[None]) -> None:
    """Finish work that nobody waits for; what it raises is logged."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - nobody waits: raised on, it would only be printed later
        _fault(error)


def _wire_form(error: Exception, method: str | None, era: Era) -> Outcome:
    match error:
        case Refused():
            return error.failure
        case Gone():
            return Written()
        case Malformed():
            status = 400 if error.code in (PARSE_ERROR, INVALID_REQUEST) else None
            return Failure(error.code, error.message, status=status)
        case UpstreamError() if method == "tools/call":
            return Reply(result=_tool_error(error.upstream, _told(error), era))
        case ConnectionNeeded() if method == "tools/call":
            return Reply(result=_tool_error(error.upstream, _needed(error), era))
        case HubError():
            return _from_table(error, era)
        case _:
            return _fault(error)


def _from_table(error: HubError, era: Era) -> Failure:
    row = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    match error:
        case UnknownName(kind="resource"):
            code = RESOURCE_NOT_FOUND if era is Era.LEGACY else row.code
            return Failure(code, error.public, {"uri": error.name})
        case MissingCapability():
            return Failure(row.code, error.public, {"requiredCapabilities": {"extensions": {error.extension: {}}}})
        case UpstreamError():
            return Failure(row.code, error.public, {"upstream": error.upstream, "state": _state(error)})
        case ConnectionNeeded():
            where = {} if error.url is None else {"url": error.url}
            return Failure(row.code, error.public, {"upstream": error.upstream, "state": error.state, **where})
        case Unauthenticated() | Forbidden():
            return Failure(row.code, error.public, status=row.status, headers=_challenge(error.challenge))
        case _:
            return Failure(row.code, error.public, status=row.status)


def _challenge(challenge: str) -> HeaderLines:
    # Where no other credentials would help, there is none.
    return ((b"www-authenticate", challenge.encode("ascii", "replace")),) if challenge else ()


def _told(error: UpstreamError) -> Json:
    return {"state": _state(error), "message": error.public}


def _needed(need: ConnectionNeeded) -> Json:
    told: Json = {"state": need.state, "message": need.public}
    return told if need.url is None else {**told, "link": need.url}


def _tool_error(upstream: str, told: Json, era: Era) -> bytes:
    # The model reads the sentence; `_meta` lets a program tell it from an error of the tool's own.
    result: Json = {
        "content": [{"type": "text", "text": told["message"]}],
        "isError": True,
        "_meta": {META_UPSTREAMS: {upstream: told}},
    }
    if era is Era.MODERN:
        result["resultType"] = "complete"
    return encode(result)


def _state(error: UpstreamError) -> str:
    return next((STATES[kind] for kind in type(error).__mro__ if kind in STATES), "unreachable")


def _fault(error: BaseException) -> Failure:
    reference = secrets.token_hex(4)
    _log.error("internal error, reference %s", reference, exc_info=error)
    sentence = f"internal error, reference {reference}; the operator of this hub finds the cause in its log"
    return Failure(INTERNAL_ERROR, sentence, status=500)
