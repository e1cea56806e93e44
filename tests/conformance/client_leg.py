"""The suite's client leg through a hub: its servers are the upstreams, and every scenario must pass.

The suite runs all scenarios of a revision at once and starts a client for each: `knock`, which knocks here. What the
suite observes is its verdict; how each visit ended is ours, since many a scenario also passes for a client that does
nothing at all.
"""

import asyncio
import json
import logging
import os
import sys
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import suite
from results import CRASHED, Scenario
from visit import AUTH, OLDEST, End, Visit, visit
from visit import Scenario as Told

import node_tools
from mcp_hub.audit.logs import configure

HERE = Path(__file__).parent
SECONDS = 120
AT_ONCE = 4
REFUSED: Mapping[str, str] = {
    "auth/scope-retry-limit": "the server never has enough, and the hub stops asking for more",
    "auth/resource-mismatch": "its metadata are those of another server",
    "auth/iss-supported-missing": "the answer does not say whose it is",
    "auth/iss-wrong-issuer": "the answer is somebody else's",
    "auth/iss-unexpected": "the answer is somebody else's",
    "auth/iss-normalized": "the answer is nearly, but not exactly, of the right one",
    "auth/metadata-issuer-mismatch": "its metadata are those of another server",
}
"""The scenarios in which nothing must come of it, and why."""
LEFT_OUT: Mapping[str, str] = {
    "auth/enterprise-managed-authorization": "an extension that the hub does not have",
    "auth/dpop": "an extension that the hub does not have",
    "auth/dpop-nonce": "an extension that the hub does not have",
    "auth/wif-jwt-bearer": "an extension that the hub does not have",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A revision: how the suite is told to run it, and its scenarios."""

    revision: str
    arguments: tuple[str, ...]
    required: tuple[str, ...]
    others: tuple[str, ...]


def asked() -> list[Asked]:
    """The newest revision first; the oldest has no list of its own, only what the suite calls compatibility."""
    found = [_asked(revision) for revision in sorted(suite.revisions(), reverse=True)]
    compatible = ("auth/2025-03-26-oauth-metadata-backcompat", "auth/2025-03-26-oauth-endpoint-fallback")
    return [*found, Asked(OLDEST, ("--suite", "backcompat", "--spec-version", OLDEST), compatible, ())]


def _asked(revision: str) -> Asked:
    listed = suite.requirements(revision, "client")
    return Asked(revision, ("--requirements", revision), listed.required, listed.others)


def run(results: Path) -> list[str]:
    """What is not as it should be; prints a table for each revision."""
    revisions = asked()
    known = {name for each in revisions for name in (*each.required, *each.others)}
    unknown = [f"{name}: no revision has such a scenario" for name in (*REFUSED, *LEFT_OUT) if name not in known]
    log = results / "client-hubs.log"
    with _logging_to(log):
        found = [told for each in revisions for told in _revision(each, results / f"client-{each.revision}")]
    lines = log.read_text("utf-8").splitlines()
    traced = [line for line in lines if "Traceback" in line and "logger=mcp.client" not in line]
    return [*unknown, *found, *(f"A hub: {line}" for line in traced)]


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """What the hubs say goes there, in the form in which a hub says it."""
    configure(json=False, level="WARNING")
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    with file.open("w", encoding="utf-8") as log:
        shown = handler.setStream(log)
        yield
        handler.setStream(shown)


def _revision(asked: Asked, results: Path) -> Iterator[str]:
    results.mkdir(parents=True)
    visits = asyncio.run(_run(asked, results))
    found = {_name(each, results): suite.read(each) for pattern in ("*Z", "auth/*Z") for each in results.glob(pattern)}
    print(f"\nclient {asked.revision:<41}{'suite':<22}{'links':<7}how it ended")
    for name in (*asked.required, *asked.others):
        row = Row(name, found.get(name, CRASHED), visits.get(name, Visit(End.REFUSED, "it was not started", 0)))
        print(row.line())
        yield from (f"{asked.revision}: {complaint}" for complaint in row.complaints())


def _name(left: Path, results: Path) -> str:
    """The scenario that left this directory, which is named for it and the moment."""
    return left.relative_to(results).as_posix().rsplit("-", 6)[0]


async def _run(asked: Asked, results: Path) -> Mapping[str, Visit]:
    """Run the suite once. Gives every visit that its clients made."""
    visits: dict[str, Visit] = {}
    async with _listening({*asked.required, *asked.others} - set(LEFT_OUT), visits) as port:
        # The suite cuts its command at blanks, so the program is found by the path of the environment.
        env = node_tools.environment()
        env["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), env["PATH"]))
        command = f"{Path(sys.executable).name} -I -S knock.py {port}"
        told = ["--command", command, "--timeout", str(SECONDS * 1000), "--output-dir", results]
        with (results / "suite.log").open("w", encoding="utf-8") as log:
            process = await asyncio.create_subprocess_exec(
                *(node_tools.NODE, node_tools.CONFORMANCE, "client", *asked.arguments, *told),
                cwd=HERE,
                env=env,
                stdout=log,
                stderr=log,
            )
            try:
                async with asyncio.timeout(SECONDS):
                    await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    return visits


@asynccontextmanager
async def _listening(names: set[str], visits: dict[str, Visit]) -> AsyncIterator[int]:
    """The port at which the suite's clients knock. Those of other scenarios are sent away."""
    few = asyncio.Semaphore(AT_ONCE)

    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = Told(**json.loads(await reader.readline()))
        if told.name in names:
            async with few:
                visits[told.name] = await _visited(told)
        made = visits.get(told.name, Visit(End.REFUSED, "not tried", 0))
        answer = {"code": 0 if made.end is End.ANSWERED else 1, "said": made.said}
        writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(come, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _visited(told: Told) -> Visit:
    """How it ended; what fails is this scenario's, and the others go on."""
    (made,) = await asyncio.gather(asyncio.wait_for(visit(told), SECONDS / 4), return_exceptions=True)
    if isinstance(made, BaseException):
        return Visit(End.BROKEN, "".join(traceback.format_exception(made)), 0)
    return made


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario of the table."""

    name: str
    suite: Scenario
    visit: Visit

    def line(self) -> str:
        if self.name in LEFT_OUT:
            return f"  {self.name:<46}{'-':<22}{'-':<7}left out: {LEFT_OUT[self.name]}"
        mark = "✗" if self.complaints() else " "
        end = f"{self.visit.end}{': ' + REFUSED[self.name] if self.name in REFUSED else ''}"
        return f"{mark} {self.name:<46}{self.suite.summary:<22}{self.visit.links:<7}{end}"

    def complaints(self) -> list[str]:
        if self.name in LEFT_OUT:
            return []
        expected = End.REFUSED if self.name in REFUSED else End.ANSWERED
        found = [] if self._passed else [f"{self.name}: {dict(self.suite.said) or self.suite.summary}"]
        if self.visit.end is not expected:
            found.append(f"{self.name}: {self.visit.end}, not {expected}: {self.visit.said[-2000:]}")
        return found

    @property
    def _passed(self) -> bool:
        """Whether every check came out well. Those of servers that offer less than could be checked are skipped."""
        if self.name.startswith(AUTH):
            return self.suite.passed
        return bool(self.suite.outcomes) and not self.suite.said
