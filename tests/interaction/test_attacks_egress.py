"""Attacks by addresses: nothing that an upstream is called, says or is redirected to gets the hub to connect elsewhere.

A canary listens where the hub must not go. Every test here would hear it sing if the defence were taken out.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest

from interaction import sick
from interaction.whole_hub import Client, command, said, serving
from mcp_hub.app import create_app
from mcp_hub.config.load import load
from mcp_hub.errors import ConfigError
from rig.fake_upstream import Answer, FakeUpstream, Request, tool

SPELLINGS = (
    "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "127.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "127。0。0。1", "①②⑦.⓪.⓪.①", "localhost", "localhost.", "LOCALHOST", "a.localhost", "0", "0.0.0.0", "[::]", "[::1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "127.0.0.1.", "%31%32%37.0.0.1", socket.gethostname(),
)  # fmt: skip
"""Some are refused when they are read, some when they have become an address; where they lead, none is dialed."""
RESOLVED = ("2130706433", "0x7f000001", "0177.0.0.1", "127.1")
"""Spellings that only the system's resolver recognises."""


def _declared(host: str, port: int, scheme: str = "https") -> str:
    return f"url: '{scheme}://{host}:{port}/mcp'"


def _loads(config: str) -> bool:
    try:
        load(config, environ={})
    except ConfigError:
        return False
    return True


@pytest.mark.promise("D28", "T4", "T6", "T7")
async def test_no_spelling_of_an_inner_address_gets_the_hub_to_connect_to_it(tmp_path: Path):
    async with sick.canary() as bird:
        urls = {f"up-{number}": _declared(host, bird.port) for number, host in enumerate(SPELLINGS)}
        taken = {name: url for name, url in urls.items() if _loads(f"upstreams: {{x: {{{url}}}}}")}
        assert [SPELLINGS[int(name[3:])] for name in taken if SPELLINGS[int(name[3:])] in RESOLVED] == list(RESOLVED)
        declared = "".join(f"  {name}: {{{url}}}\n" for name, url in taken.items())
        async with serving(f"upstreams:\n{declared}", tmp_path) as hub, Client(hub.url) as client:
            found = await asyncio.gather(*(client.refreshed(name) for name in taken))
            for each in found:
                host = SPELLINGS[int(each["name"][3:])]
                refused = "resolves to an address that is not public" in each["reason"]
                assert refused or "does not resolve to an address" in each["reason"], (host, each["reason"])
                assert refused or host not in RESOLVED
                assert each["state"] == "unreachable"
        assert bird.visits == 0


@pytest.mark.promise("D28")
async def test_the_same_spellings_lead_to_the_same_place_once_it_is_allowed(tmp_path: Path):
    """So that the test before this one is known to be about addresses that the machine understands."""
    async with sick.canary() as bird:
        declared = "".join(f"  up-{n}: {{{_declared(host, bird.port, 'http')}}}\n" for n, host in enumerate(RESOLVED))
        config = f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n{declared}"
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            await asyncio.gather(*(client.refreshed(f"up-{number}") for number in range(len(RESOLVED))))
        assert bird.visits >= len(RESOLVED)


@pytest.mark.promise("D28", "T4")
async def test_an_allowed_range_allows_no_other_and_no_plain_http_to_what_is_public(tmp_path: Path):
    async with sick.canary() as bird:
        config = f"""\
network: {{allow_private: [10.99.0.0/16]}}
upstreams:
  inner: {{{_declared("2130706433", bird.port)}}}
  plain: {{{_declared("134744072", 80, "http")}}}
"""
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            assert "not public" in (await client.refreshed("inner"))["reason"]
            assert "Use an https URL" in (await client.refreshed("plain"))["reason"]
        assert bird.visits == 0


@pytest.mark.promise("D28", "T4")
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/mcp", "https://10.0.0.1/mcp", "https://[fd00::1]/mcp", "http://8.8.8.8/"]
)
async def test_an_inner_or_plain_address_that_is_written_as_one_starts_nothing(url: str, tmp_path: Path):
    (tmp_path / "hub.yaml").write_text(f"upstreams:\n  inner: {{url: '{url}'}}\n", "utf-8")
    told = await command("serve", "--port", "0", cwd=tmp_path, env={"MCP_HUB_DATA": str(tmp_path / "data")})
    assert (told.code, told.out) == (2, "")
    assert "hub.yaml:2:16: upstreams.inner.url: " in told.err
    assert not (tmp_path / "data").exists()


class Rebinding(asyncio.SelectorEventLoop):
    """A loop that asks a resolver of the attacker's: the allowed address the first time, another one from then on."""

    asked = 0

    async def getaddrinfo(self, host, port, **more):
        if host != "rebind.test":
            return await super().getaddrinfo(host, port, **more)
        self.asked += 1
        address = "127.0.0.2" if self.asked == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


@pytest.fixture
def rebinding() -> Callable[[Callable[[Rebinding], Awaitable[None]]], None]:
    def run(work: Callable[[Rebinding], Awaitable[None]]) -> None:
        with asyncio.Runner(loop_factory=Rebinding) as runner:
            runner.run(work(runner.get_loop()))

    return run


@pytest.mark.promise("D28", "T5")
def test_a_name_that_leads_elsewhere_the_second_time_is_judged_the_second_time(rebinding, tmp_path: Path):
    async def attack(loop: Rebinding) -> None:
        allowed, bird = sick.Canary(), sick.Canary()
        async with (
            sick.listening(bird.serve) as port,
            sick.listening(allowed.serve, "127.0.0.2", port),
            create_app(load(_rebound(port), environ={"MCP_HUB_DATA": str(tmp_path)})) as hub,
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app=hub), base_url="http://localhost") as client,
        ):
            found = (await client.post("/api/v1/upstreams/inner/refresh")).json()
            assert "not public" in found["reason"]
            assert (allowed.visits, bird.visits) == (1, 0)
            assert loop.asked > 1

    rebinding(attack)


def _rebound(port: int) -> str:
    return f"""\
store: {{url: "sqlite:///:memory:"}}
network: {{allow_private: [127.0.0.2/32]}}
upstreams: {{inner: {{{_declared("rebind.test", port, "http")}}}}}
"""


@pytest.mark.promise("D28", "T8")
async def test_no_redirect_is_followed_whatever_it_is_answered_to(tmp_path: Path):
    statuses = (301, 302, 303, 307, 308)
    async with sick.canary() as bird, FakeUpstream() as fake:

        async def redirect(request: Request) -> Answer | None:
            status = int(request.path.rpartition("/")[2] or 0)
            calling = request.method == "tools/call"
            return Answer(status=status or 307, headers={"location": bird.url}) if status or calling else None

        fake.before = redirect
        declared = "".join(f"  up-{status}: {{url: '{fake.url}/{status}'}}\n" for status in statuses)
        config = f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n{declared}  late: {{url: '{fake.url}/'}}\n"
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            for status in statuses:
                reason = (await client.refreshed(f"up-{status}"))["reason"]
                assert reason == f"up-{status} answered HTTP {status} to a request. Redirects are not followed."
            result = await client.call("late__echo")
            assert result["isError"]
            assert "Redirects are not followed" in said(result)
        assert bird.visits == 0


@pytest.mark.promise("D28", "T9")
async def test_proxies_of_the_environment_are_not_asked(tmp_path: Path):
    async with sick.canary() as bird, FakeUpstream() as fake:
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
        env = {**dict.fromkeys(names, f"http://127.0.0.1:{bird.port}"), "NO_PROXY": "", "no_proxy": ""}
        config = f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams: {{up: {{url: '{fake.url}'}}}}\n"
        async with serving(config, tmp_path, env=env) as hub, Client(hub.url) as client:
            assert not (await client.call("up__echo")).get("isError")
            told = await command("call", "up__echo", "--url", hub.url, env=env)
            assert told.code == 0, told.err
        checked = await command("upstream", "check", "up", "-c", tmp_path / "hub.yaml", env=env)
        assert checked.code == 0, checked.out
        assert bird.visits == 0


@pytest.mark.promise("T29")
async def test_nothing_that_a_schema_refers_to_is_fetched(tmp_path: Path):
    async with sick.canary() as bird, FakeUpstream(tools=[]) as fake:
        inside = {"a": {"$ref": bird.url}, "b": {"$dynamicRef": f"{bird.url}#x"}, "c": {"allOf": [{"$ref": bird.url}]}}
        schema = {"$schema": bird.url, "$id": bird.url, "type": "object", "properties": inside}
        fake.tools = [tool("refers", inputSchema=schema, outputSchema={"$ref": bird.url}, icons=[{"src": bird.url}])]
        fake.resources = [{"uri": bird.url, "name": "here"}]
        config = f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams: {{up: {{url: '{fake.url}'}}}}\n"
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            listed = await client.ask("tools/list")
            assert listed["tools"][0]["inputSchema"] == schema
            assert not (await client.call("up__refers", a=1, b=2, c=3)).get("isError")
            await client.ask("resources/read", {"uri": f"up+{bird.url}"})
            assert (await command("call", "up__refers", "a=1", "--url", hub.url)).code == 0
        assert bird.visits == 0


@pytest.mark.promise("T29")
async def test_a_schema_that_explodes_is_left_out_at_once_and_alone(tmp_path: Path):
    deep: dict = {}
    for _ in range(500):
        deep = {"not": deep}
    bombs = {
        "wide": {"type": "object", "allOf": [{"type": "object"}] * 20_000},
        "deep": {"type": "object", "properties": {"a": deep}},
        "long": {"type": "object", "description": "x" * 300_000},
    }
    async with FakeUpstream() as fake:
        fake.tools += [tool(name, inputSchema=schema) for name, schema in bombs.items()]
        config = f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams: {{up: {{url: '{fake.url}'}}}}\n"
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            async with asyncio.timeout(2):
                assert await client.names() == ["up__echo"]
            warnings = (await client.status())["up"]["warnings"]
            assert [[name in each for each in warnings].count(True) for name in bombs] == [1, 1, 1]
