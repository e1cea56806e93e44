"""Can this upstream be used, and if not, where does it fail? One question, five possible answers, every step shown."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar, final

from mcp_hub.catalog.parts import Kind, Part
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.errors import DialError, DialStep, EgressError
from mcp_hub.errors import ConnectionNeeded, HubError, RefusedCredential, TimedOut
from mcp_hub.upstream.fetch import Fetch
from mcp_hub.upstream.probe import Opening, probe
from mcp_hub.upstream.settings import Settings
from mcp_hub.wire.origin import Origin

T = TypeVar("T")
_STEPS: Final = {DialStep.RESOLVE: "dns", DialStep.JUDGE: "address", DialStep.CONNECT: "tcp", DialStep.TLS: "tls"}
_WORDS: Final = {Kind.TOOL: "tool", Kind.PROMPT: "prompt", Kind.RESOURCE: "resource", Kind.TEMPLATE: "template"}


class Status(StrEnum):
    """The five verdicts, in exactly these words wherever they are shown."""

    OK = "OK"
    UNAUTHORIZED = "Unauthorized"
    USER_NOT_AUTHENTICATED = "User not authenticated"
    SERVER_URL_NOT_SET = "Server URL not set"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a check: what it found, or why it failed, and how long it took."""

    step: str
    ok: bool
    detail: str
    ms: int


@dataclass(slots=True)
class Verdict:
    """What came of a check. `part` is what the upstream offers, if it came that far."""

    name: str
    status: Status
    steps: list[Step] = field(default_factory=list[Step])
    part: Part | None = None


def url_not_set(name: str) -> Verdict:
    """The verdict on an upstream that has no URL yet."""
    return Verdict(name, Status.SERVER_URL_NOT_SET, [Step("url", ok=False, detail="No URL is configured.", ms=0)])


async def check(settings: Settings, reach: "Reach", fetch: Fetch) -> Verdict:
    """Go all the way to one upstream, step by step: what `reach` takes to be there at all, protocol, lists.

    Never raises for what is wrong at the other side: that is the verdict. Leaves no session behind.
    """
    steps = Steps(settings.name)
    try:
        await reach(steps)
        opening = await steps.take("mcp", _opening(settings, fetch), _introduced)
        part = await steps.take("lists", fetch.part(opening), _counted)
    except (HubError, EgressError) as error:
        return Verdict(settings.name, _status(error), steps.done)
    finally:
        await fetch.carrier.aclose()
    return Verdict(settings.name, Status.OK, steps.done, part)


def by_dialing(url: str, dialer: Dialer) -> "Reach":
    """The steps to an upstream on the network: its name, its address, a connection."""

    async def reach(steps: Steps) -> None:
        origin = Origin.from_url(url)
        await steps.take("dns", dialer.resolve_judged(origin), lambda found: ", ".join(map(str, found)))
        secured = "tcp and tls" if origin.scheme == "https" else "tcp"
        transport, _ = await steps.take(secured, dialer.dial(origin, asyncio.Protocol), lambda _: "connected")
        transport.close()

    return reach


def by_starting(start: Callable[[], Awaitable[None]], program: str) -> "Reach":
    """The one step to an upstream that is a command: it starts."""

    async def reach(steps: Steps) -> None:
        await steps.take("start", start(), lambda _: f"{program} runs")

    return reach


async def _opening(settings: Settings, fetch: Fetch) -> Opening:
    try:
        async with asyncio.timeout(settings.introduction):
            return await probe(settings.name, fetch.carrier, settings.info, pinned=settings.pinned)
    except TimeoutError as error:
        raise TimedOut(
            settings.name, f"{settings.name} did not introduce itself within {settings.introduction:g} s."
        ) from error


def _introduced(opening: Opening) -> str:
    server = f"{opening.server_info.get('name', 'a server without a name')} {opening.server_info.get('version', '')}"
    return f"{opening.era} era, revision {opening.revision}, {server.strip()}"


def _counted(part: Part) -> str:
    counted = (f"{len(items)} {_WORDS[kind]}{'' if len(items) == 1 else 's'}" for kind, items in part.items.items())
    return ", ".join(counted) or "nothing is offered"


def _status(error: Exception) -> Status:
    match error:
        case ConnectionNeeded():
            return Status.USER_NOT_AUTHENTICATED
        case RefusedCredential():
            return Status.UNAUTHORIZED
        case _:
            return Status.FAILED


@final
class Steps:
    """Takes one step after the other and notes how each went."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.done: list[Step] = []

    async def take(self, step: str, work: Awaitable[T], told: Callable[[T], str]) -> T:
        started = time.perf_counter()
        try:
            found = await work
        except (RefusedCredential, ConnectionNeeded) as error:
            self._note("auth", started, error.public, ok=False)
            raise
        except (HubError, EgressError) as error:
            failed = _STEPS[error.step] if isinstance(error, DialError) else step
            self._note(failed, started, error.public, ok=False)
            raise
        self._note(step, started, told(found), ok=True)
        return found

    def _note(self, step: str, started: float, detail: str, *, ok: bool) -> None:
        self.done.append(Step(step, ok, detail, round((time.perf_counter() - started) * 1000)))


Reach = Callable[[Steps], Awaitable[None]]
"""Takes the first steps of a check, up to where MCP begins."""
