"""The tour of docs/connections.md, walked by two people with a client each, while their tokens expire under them.

The upstreams echo what they receive, and belong to this process; the hub, which is started twice, and the provider are
processes of their own. `walk` collects, and judges nothing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import processes
from docs.pages import page
from interaction.signing import Desk, Held, Known, Visitor, python_sdk
from rig import login_hub
from rig.browser import ADA, BOB, Page, Person, connect
from rig.echoing import Guard, echoing
from rig.fake_upstream import Answer, FakeUpstream, Request
from rig.identity_providers import Client, running
from rig.login_hub import LoginHub
from rig.planted import files_below

UPSTREAMS = {"clock": "modern", "wiki": "legacy", "warehouse": "legacy", "tickets": "modern"}
ERAS = {ADA: "auto", BOB: "legacy"}
SUBJECTS = {ADA: "ada-0001", BOB: "bob-0002"}
WIKI_KEY = "planted-wiki-key-9d2f61c0"
PASTED = {ADA: "planted-key-of-ada-7a31e5b2", BOB: "planted-key-of-bob-c40d96f8"}
FIRST = Client("tickets-first", "planted-first-secret-52b8d7e1-0123456789")
SECOND = Client("tickets-second", "planted-second-secret-e6f4a903-0123456789")
FORGED = {"code": "planted-code-31f7", "state": "planted-state-88ab", "error_description": "planted-remark-64c0"}
"""What somebody makes up who would like the hub to believe it."""
ROUNDS = 25
"""Calls of each person at each upstream."""
AT_ONCE = 6
GOOD_FOR = 8
"""How often a token is taken before the upstream no longer knows it; never so few that calls under way use it up."""
SOON = 62
"""Seconds that a token lasts: the hub renews what ends within the minute, so each lasts about two seconds."""


@dataclass(frozen=True, slots=True)
class Echo:
    """What an upstream received of one call."""

    person: Person
    upstream: str
    number: int
    headers: Sequence[tuple[str, str]]
    arguments: Mapping[str, Any]

    def values(self, header: str) -> list[str]:
        """All values of a header."""
        return [value for name, value in self.headers if name == header]


@dataclass
class Walk:
    """Everything that was seen on the way."""

    upstreams: Mapping[str, FakeUpstream]
    guard: Guard
    echoes: list[Echo] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)
    cookies: set[str] = field(default_factory=set)
    before: list[dict[str, Any]] = field(default_factory=list)
    after: list[dict[str, Any]] = field(default_factory=list)

    @property
    def of_the_hub(self) -> set[str]:
        """What lets somebody in at the hub."""
        return {*(token for each in self.held for token in (each.access, each.refresh)), *self.cookies}

    @property
    def of_the_provider(self) -> set[str]:
        """What went between the hub and the provider, and is good for something there."""
        entries = [*self.before, *self.after]
        names = ("code", "code_verifier", "refresh_token", "client_secret", "state")
        sent = {entry["sent"].get(name) for entry in entries for name in names}
        given = {entry["given"].get(name) for entry in entries if entry["given"] for name in _TOKENS}
        return {each for each in (*sent, *given, FIRST.secret, SECOND.secret) if each}

    @property
    def secrets(self) -> set[str]:
        """All that may stand nowhere but where it is good for something."""
        return {WIKI_KEY, *PASTED.values(), *FORGED.values(), *self.of_the_hub, *self.of_the_provider}


_TOKENS = ("access_token", "refresh_token")


async def walk(folder: Path) -> Walk:
    """Walk it, with everything below this folder."""
    async with AsyncExitStack() as stack:
        provider = stack.enter_context(running("oidc-provider"))
        fakes = {name: await stack.enter_async_context(echoing(name, eras)) for name, eras in UPSTREAMS.items()}
        walked = Walk(fakes, Guard(provider, fakes["tickets"], GOOD_FOR))
        port = processes.free_port()
        for client in (FIRST, SECOND):
            provider.admit(client, f"http://127.0.0.1:{port}/oauth/callback/tickets", refreshes=True)
        provider.shorten(SOON)
        async with AsyncExitStack() as visits:
            visitors: dict[Person, tuple[Desk, Visitor]] = {}
            async with _hub(walked, folder, port, FIRST) as hub:
                for person in ERAS:
                    visitors[person] = await _arrives(visits, hub, person, folder)
                    await _connects(walked, hub, person, *visitors[person])
                await _all_call(walked, visitors, range(ROUNDS // 2))
            walked.before = provider.seen()
            async with _hub(walked, folder, port, SECOND) as hub:
                await _all_call(walked, visitors, range(ROUNDS // 2, ROUNDS - 5))
                await _connects_anew(walked, hub, visitors[BOB][0])
                await _all_call(walked, visitors, range(ROUNDS - 5, ROUNDS))
                walked.after = provider.seen()[len(walked.before) :]
                await _mishaps(walked, hub, visitors)
                await _look_around(walked, hub, visitors)
                walked.files |= {f"{name}, while it runs": each for name, each in files_below(folder).items()}
                await visits.aclose()
        walked.files |= files_below(folder)
        assert provider.process.complaints() == []
        return walked


@asynccontextmanager
async def _hub(walked: Walk, folder: Path, port: int, client: Client) -> AsyncIterator[LoginHub]:
    """The hub with this registration; it tells all it can in its log. In threads, since this loop is its upstreams."""
    env = {"WIKI_KEY": WIKI_KEY, "TICKETS_ID": client.id, "TICKETS_SECRET": client.secret, "MCP_HUB_DEBUG": "1"}
    people = () if (folder / "data").exists() else tuple(ERAS)
    options = ("--port", str(port), "--log-level", "debug")
    stack = ExitStack()
    serving = login_hub.serving(config(walked.upstreams), folder, people=people, env=env, options=options)
    hub = await asyncio.to_thread(stack.enter_context, serving)
    try:
        yield hub
    finally:
        await asyncio.to_thread(stack.close)
        walked.logs.append(hub.process.log)
    assert hub.process.complaints() == []


def config(upstreams: Mapping[str, FakeUpstream]) -> str:
    """The configuration of the tour, with these upstreams in place of its own."""
    (text,) = (block for block in page("docs/connections.md").fences("yaml") if "tickets" in block)
    for name, fake in upstreams.items():
        assert f"https://{name}.example.com/mcp" in text
        text = text.replace(f"https://{name}.example.com/mcp", fake.url)
    return f"{text}network: {{allow_private: [127.0.0.0/8]}}\n"


async def _arrives(stack: AsyncExitStack, hub: LoginHub, person: Person, folder: Path) -> tuple[Desk, Visitor]:
    """Somebody's client signs in at the hub."""
    desk = await stack.enter_async_context(Desk(person))
    visit = python_sdk(ERAS[person])
    return desk, await stack.enter_async_context(visit(hub.url, Known(), desk, folder))


async def _connects(walked: Walk, hub: LoginHub, person: Person, desk: Desk, visitor: Visitor) -> None:
    """Call what is not connected yet, and go where the answer says."""
    for name in ("warehouse", "tickets"):
        told = await visitor.call(f"{name}__echo", {})
        walked.refusals.append(told)
        link = f"{hub.issuer}/connect/{name}"
        assert link in told
        after = await _pastes(desk, link) if name == "warehouse" else await connect(desk.browser, link, person)
        walked.pages.append(str(after))
        assert after.status == 200, str(after)


async def _pastes(desk: Desk, link: str) -> Page:
    page = await desk.browser.open(link)
    assert isinstance(page, Page)
    after = await desk.browser.press(page, "Save", {"key": PASTED[desk.person]})
    assert isinstance(after, Page)
    return after


async def _connects_anew(walked: Walk, hub: LoginHub, desk: Desk) -> None:
    """Disconnect on the page, and connect once more."""
    home = await desk.browser.open(f"{hub.issuer}/")
    assert isinstance(home, Page)
    asked = await desk.browser.follow(home, "Disconnect")
    assert isinstance(asked, Page)
    told = await desk.browser.press(asked, "Disconnect")
    again = await connect(desk.browser, f"{hub.issuer}/connect/tickets", desk.person)
    walked.pages += [str(told), str(again)]


async def _all_call(walked: Walk, visitors: Mapping[Person, tuple[Desk, Visitor]], numbers: range) -> None:
    """Everybody calls everything, many at once."""
    few = asyncio.Semaphore(AT_ONCE)

    async def call(person: Person, name: str, number: int) -> None:
        async with few:
            said = await visitors[person][1].call(f"{name}__echo", {"person": person.email, "number": number})
        told = json.loads(said)
        headers = [(header, value) for header, value in told["headers"]]
        walked.echoes.append(Echo(person, name, number, headers, told["arguments"]))

    calls = [call(person, name, number) for number in numbers for name in UPSTREAMS for person in visitors]
    await asyncio.gather(*calls)


async def _mishaps(walked: Walk, hub: LoginHub, visitors: Mapping[Person, tuple[Desk, Visitor]]) -> None:
    """What gives the hub something to say: a forged answer of the provider, and upstreams that show what they got."""
    for desk, visitor in visitors.values():
        forged = f"{hub.issuer}/oauth/callback/tickets?{urlencode(FORGED)}"
        walked.pages.append(str(await desk.browser.open(forged)))
        for fake in walked.upstreams.values():
            fake.handlers["tools/call"] = _reflecting
            walked.printed.append(await visitor.call(f"{fake.name}__echo", {}))


async def _reflecting(request: Request) -> Answer:
    told = "\n".join(f"{name}: {value}" for name, value in request.lines)
    return Answer(f"<pre>{told}</pre>".encode(), 500, content_type="text/html")


async def _look_around(walked: Walk, hub: LoginHub, visitors: Mapping[Person, tuple[Desk, Visitor]]) -> None:
    """What the pages and the commands say; and what only clients and browsers may hold."""
    for person, (desk, visitor) in visitors.items():
        for path in ("/", "/account/clients"):
            walked.pages.append((await desk.browser.http.get(f"{hub.issuer}{path}")).text)
        walked.held.append(await visitor.held())
        walked.cookies |= {cookie.value or "" for cookie in desk.browser.http.cookies.jar}
        for words in (
            ("upstream", "check", "tickets", "--as", person.email, "--json"),
            ("connection", "list", "--json"),
        ):
            walked.printed.append(await asyncio.to_thread(hub.command, *words))
    walked.printed.append(await asyncio.to_thread(hub.command, "config", "show"))
