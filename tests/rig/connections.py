"""Connections of people with upstreams, kept in memory: what pages stand on, without authorization servers."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mcp_hub.catalog.parts import Kind, Part
from mcp_hub.credentials.state import State
from mcp_hub.identity.limits import Limits
from mcp_hub.oauth.connection import ConnectFailed, Connection, Ending, Finished, Prospect
from mcp_hub.oauth.server import Step
from mcp_hub.store.connections import Source
from mcp_hub.upstream.check import Status, Verdict
from mcp_hub.upstream.check import Step as CheckStep
from mcp_hub.upstream.health import Health
from mcp_hub.upstream.known import Known
from mcp_hub.web.cards import Declared
from mcp_hub.web.connections import Upstreams
from mcp_hub.web.own import Own

NOW = 1_795_388_580.0
DECLARED = (
    Declared("docs", "Docs", "docs.example.com"),
    Declared("linear", "Linear", "mcp.linear.app"),
    Declared("github", "GitHub", "api.githubcopilot.com"),
    Declared("warehouse", "Warehouse", "warehouse.example.com"),
    Declared("billing", "Billing", "billing.example.com", header="x-billing-token"),
    Declared("crm", "CRM", "crm.example.com"),
    Declared("clock", "Clock", "a program on the hub's computer"),
    Declared("old", "Old wiki", "", absent="Disabled in the configuration"),
)
SIGN_INS = {
    "docs": "shared",
    "linear": "oauth",
    "github": "oauth",
    "warehouse": "pasted",
    "billing": "brought",
    "crm": "claim",
    "clock": "none",
}


@dataclass
class Contact:
    """An upstream that answered, or did not."""

    state: State = State.READY
    reason: str = ""
    known: Known = field(default_factory=Known)

    async def refreshed(self) -> None:
        return None


def answering(tools=0, prompts=0, resources=0) -> Contact:
    """One with so many of each."""
    counts = {Kind.TOOL: tools, Kind.PROMPT: prompts, Kind.RESOURCE: resources}
    items = {kind: tuple({"name": str(at)} for at in range(count)) for kind, count in counts.items()}
    return Contact(known=Known(Health(tried=True), part=Part(items=items)))


def silent(reason: str) -> Contact:
    """One that was tried and did not answer."""
    return Contact(State.UNREACHABLE, reason, Known(Health(3, 0.0, reason, tried=True)))


@dataclass
class Begun:
    """Somebody on their way to an authorization server."""

    key: tuple[str, str, str]
    upstream: str
    browser: bytes
    window: bool


@dataclass
class Kept:
    """What somebody has with an upstream."""

    connection: Connection
    key: str = ""


@dataclass
class FakeConnections:
    """Everybody's, with one authorization server at `server`. `failing` is what goes wrong, `ending` how it ends."""

    server: str = "https://login.example.com"
    sign_ins: Mapping[str, str] = field(default_factory=lambda: dict(SIGN_INS))
    declared: tuple[Declared, ...] = DECLARED
    scopes: tuple[str, ...] = ("repo", "read:org")
    source: Source | None = Source.REGISTERED
    failing: ConnectFailed | None = None
    ending: Ending = Ending.CONFIRMED
    kept: dict[tuple[tuple[str, str, str], str], Kept] = field(default_factory=dict)
    begun: dict[str, Begun] = field(default_factory=dict)
    met: dict[str, Contact] = field(default_factory=dict)
    verdict: Status = Status.OK

    def sign_in(self, upstream):
        return self.sign_ins[upstream]

    async def shown(self, caller):
        own = [each.name for each in self.declared if self.sign_ins.get(each.name) in ("oauth", "pasted")]
        return [await self.one(caller, name) for name in own]

    async def one(self, caller, upstream):
        kept = self.kept.get((caller.key, upstream))
        if kept is not None:
            return kept.connection
        about = self._declared(upstream)
        return Connection(upstream, about.title, about.host, self.sign_ins[upstream], State.NOT_CONNECTED)

    async def prospect(self, caller, upstream):
        self._fail()
        about = self._declared(upstream)
        host = self.server.partition("://")[2]
        return Prospect(upstream, about.title, about.host, host, self.scopes, self.scopes[:1], self.source)

    async def begin(self, caller, upstream, browser, *, window=False):
        self._fail()
        state = secrets.token_urlsafe(16)
        self.begun[state] = Begun(caller.key, upstream, browser, window)
        return f"{self.server}/authorize?response_type=code&state={state}"

    async def finish(self, upstream, query, caller, browser):
        self._fail()
        told = dict(query)
        begun = self.begun.pop(told.get("state", ""), None)
        if begun is None:
            raise ConnectFailed("Unknown.", "no_such_flow", reference="0badc0de")
        if caller is None or begun.key != caller.key:
            raise ConnectFailed("Another user.", "another_user", reference="0badc0de")
        if begun.browser != browser:
            raise ConnectFailed("Another browser.", "another_browser", reference="0badc0de")
        if "code" not in told:
            raise ConnectFailed("Denied.", "denied")
        self.connect(caller, upstream)
        return Finished(upstream, self._declared(upstream).title, "ada-l", begun.window)

    async def paste(self, caller, upstream, key):
        if not key.open().isprintable() or not key.open():
            raise ConnectFailed("A key is one line of visible characters.", "bad_key")
        self.connect(caller, upstream, key_hint=f"…{key.open()[-4:]}", account="", scopes=frozenset())
        self.kept[caller.key, upstream].key = key.open()

    async def disconnect(self, caller, upstream):
        return Ending.NOTHING if self.kept.pop((caller.key, upstream), None) is None else self.ending

    async def check(self, caller, upstream):
        steps = [
            CheckStep("dns", ok=True, detail="192.0.2.7", ms=3),
            CheckStep("tcp and tls", ok=True, detail="connected", ms=41),
        ]
        if self.verdict is Status.OK:
            steps.append(CheckStep("lists", ok=True, detail="41 tools, 3 prompts", ms=120))
        else:
            steps.append(CheckStep("auth", ok=False, detail="It rejected the credential.", ms=38))
        return Verdict(upstream, self.verdict, steps)

    def contacts(self, caller):
        return self.met

    def connect(self, caller, upstream, state=State.READY, **more):
        """Somebody is connected from now on."""
        about = self._declared(upstream)
        basis = Connection(upstream, about.title, about.host, self.sign_ins[upstream], state)
        given = {"account": "ada-l", "scopes": frozenset(self.scopes), "since": NOW - 9e5, "used": NOW - 60, **more}
        self.kept[caller.key, upstream] = Kept(replace(basis, **given))

    def own(self, store):
        """What pages take."""
        return Own(self, Upstreams(self.declared, self.contacts), self.check, store, Limits(now=lambda: NOW))

    def _declared(self, name):
        return next(each for each in self.declared if each.name == name)

    def _fail(self):
        if self.failing is not None:
            raise self.failing


FAILED = ConnectFailed(
    "The authorization server of Linear did not answer. Try again in a moment.",
    "no_answer",
    reference="3fa9c01d",
    trace=(
        Step("Ask mcp.linear.app who lets people in", True, "401, as expected"),
        Step("Read its metadata", False, "no answer within 10 s"),
    ),
)
