"""Can this upstream be used, and if not, where does it fail? One question, five possible answers, every step shown.

Rule: a check takes the way that a call takes, with the credential that a call would have, and leaves no session behind.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypeVar, final

from mcp_hub.catalog.parts import Kind, Part
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.errors import DialError, DialStep, EgressError
from mcp_hub.errors import ConnectionNeeded, HubError, RefusedCredential, TimedOut
from mcp_hub.upstream.fetch import Fetch
from mcp_hub.upstream.probe import Opening, probe
from mcp_hub.upstream.settings import Settings
from mcp_hub.wire.jsonrpc import Json
from mcp_hub.wire.origin import Origin

T = TypeVar("T")
STEPS: Final = ("auth", "url", "dns", "address", "tcp", "tls", "start", "mcp", "lists", "discovery")
"""The steps that a check may take; those that fail are noted as where they failed."""
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


class Asked(Protocol):
    """For whom a check is made, and as what they act at the upstream. Told as the check goes on; belongs to one."""

    def begun(self, steps: "Steps") -> None:
        """It begins."""
        ...

    async def reached(self, steps: "Steps") -> None:
        """Something is there; a credential is needed from now on.

        Raises:
            ConnectionNeeded, UpstreamError, HubFault: there is none.
        """
        ...

    async def ended(self, steps: "Steps", error: HubError | None) -> Status:
        """It came to this. Says what it means for them, and perhaps why."""
        ...


@dataclass(slots=True)
class Verdict:
    """What came of a check. `part` is what the upstream offers, if it came that far."""

    name: str
    status: Status
    steps: list[Step] = field(default_factory=list[Step])
    part: Part | None = None

    def document(self) -> Json:
        """As programs read it."""
        steps = [{"step": each.step, "ok": each.ok, "detail": each.detail, "ms": each.ms} for each in self.steps]
        return {"name": self.name, "status": self.status.value, "steps": steps}


def url_not_set(name: str, asked: Asked) -> Verdict:
    """The verdict on an upstream that has no URL yet."""
    steps = Steps(name)
    asked.begun(steps)
    steps.note("url", "No URL is configured.", ok=False)
    return Verdict(name, Status.SERVER_URL_NOT_SET, steps.done)


async def check(settings: Settings, reach: "Reach", fetch: Fetch, asked: Asked) -> Verdict:
    """Go all the way to one upstream, step by step: what `reach` takes to be there at all, protocol, lists.

    Never raises for what is wrong at the other side: that is the verdict. Leaves no session behind.
    """
    steps = Steps(settings.name)
    asked.begun(steps)
    try:
        await reach(steps)
        await asked.reached(steps)
        opening = await steps.take("mcp", _opening(settings, fetch), _introduced)
        part = await steps.take("lists", fetch.part(opening), _counted)
    except EgressError:
        return Verdict(settings.name, Status.FAILED, steps.done)
    except HubError as error:
        return Verdict(settings.name, await asked.ended(steps, error), steps.done)
    finally:
        await fetch.carrier.aclose()
    return Verdict(settings.name, await asked.ended(steps, None), steps.done, part)


def by_dialing(url: str, dialer: Dialer, *, tells_addresses: bool = True) -> "Reach":
    """The steps to an upstream on the network: its name, its address, a connection.

    Without `tells_addresses` nobody learns from it how the network inside is laid out.
    """

    def resolved(found: Sequence[object]) -> str:
        return ", ".join(map(str, found)) if tells_addresses else "its name is known"

    async def reach(steps: Steps) -> None:
        origin = Origin.from_url(url)
        await steps.take("dns", dialer.resolve_judged(origin), resolved)
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


def status_of(error: HubError | None) -> Status:
    """What a check that ended like this comes to."""
    match error:
        case None:
            return Status.OK
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
        """Do one step, and note what it found or why it failed."""
        started = time.perf_counter()
        try:
            found = await work
        except (RefusedCredential, ConnectionNeeded) as error:
            self.note("auth", error.public, ok=False, since=started)
            raise
        except (HubError, EgressError) as error:
            failed = _STEPS[error.step] if isinstance(error, DialError) else step
            self.note(failed, error.public, ok=False, since=started)
            raise
        self.note(step, told(found), since=started)
        return found

    def note(self, step: str, detail: str, *, ok: bool = True, since: float | None = None) -> None:
        """Note a step; `since` is when it began, by `time.perf_counter`, if it took time."""
        took = 0.0 if since is None else time.perf_counter() - since
        self.done.append(Step(step, ok, detail, round(took * 1000)))


Reach = Callable[[Steps], Awaitable[None]]
"""Takes the first steps of a check, up to where MCP begins."""
