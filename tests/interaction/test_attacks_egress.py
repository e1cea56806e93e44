"""Attacks by addresses: nothing that an upstream is called, says or is redirected to gets the hub to connect elsewhere.

A canary listens where the hub must not go. Every test here would hear it sing if the defence were taken out.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
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
"""Of the machine that this runs on, or of nothing; some are only found out when they have become an address."""
INNER = (
    "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0.0.0.0", "::", "10.0.0.1", "172.16.0.1",
    "192.168.0.1", "169.254.169.254", "fd00:ec2::254", "fe80::1", "fec0::1", "100.64.0.1", "100.100.100.200",
    "192.0.0.192", "192.88.99.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "ff02::1",
)  # fmt: skip
"""What a name may lead to that is not the public internet, or leads back in by a way round."""


def _declared(host: str, port: int, scheme: str = "https") -> str:
    return f"url: '{scheme}://{host}:{port}/mcp'"


def _loads(config: str) -> bool:
    try:
        load(config, environ={})
    except ConfigError:
        return False
    return True


class Names(asyncio.SelectorEventLoop):
    """A loop whose resolver is an attacker's and gives the answers of a name in turn; it knows who is dialed."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, list[str]] = {}
        self.dialed: list[str] = []

    async def getaddrinfo(self, host, port, **more):
        assert host in self.answers, "nothing else is looked up"
        answers = self.answers[host]
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async def create_connection(self, factory, host=None, port=None, **more):
        self.dialed.append(host)
        return await super().create_connection(factory, host, port, **more)


@asynccontextmanager
async def _hub(network: str, urls: Mapping[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    """A hub in this process, and what speaks to its API."""
    declared = "".join(f"  {name}: {{{url}}}\n" for name, url in urls.items())
    config = f"store: {{url: 'sqlite:///:memory:'}}\nnetwork: {{allow_private: [{network}]}}\nupstreams:\n{declared}"
    async with (
        create_app(load(config, environ={})) as hub,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=hub), base_url="http://localhost") as client,
    ):
        yield client


@pytest.fixture
def names() -> Iterator[tuple[asyncio.Runner, Names]]:
    with asyncio.Runner(loop_factory=Names) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Names)
        yield runner, loop


@pytest.mark.promise("D28", "T4", "T6")
async def test_no_spelling_of_an_inner_address_gets_the_hub_to_connect_to_it(tmp_path: Path):
    async with sick.canary() as bird:
        urls = {f"up-{number}": _declared(host, bird.port) for number, host in enumerate(SPELLINGS)}
        taken = {name: url for name, url in urls.items() if _loads(f"upstreams: {{x: {{{url}}}}}")}
        declared = "".join(f"  {name}: {{{url}}}\n" for name, url in taken.items())
        async with serving(f"upstreams:\n{declared}", tmp_path) as hub, Client(hub.url) as client:
            for each in await asyncio.gather(*(client.refreshed(name) for name in taken)):
                nowhere = "does not resolve to an address" in each["reason"]
                assert nowhere or "resolves to an address that is not public" in each["reason"], each
        assert bird.visits == 0


@pytest.mark.promise("D28")
async def test_the_same_spellings_lead_to_the_canary_once_that_is_allowed(tmp_path: Path):
    """So that the test before this one is known to speak of addresses that are understood."""
    async with sick.canary() as bird:
        urls = [_declared(host, bird.port, "http") for host in SPELLINGS[:6]]
        declared = "".join(f"  up-{number}: {{{url}}}\n" for number, url in enumerate(urls))
        config = f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n{declared}"
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            await asyncio.gather(*(client.refreshed(f"up-{number}") for number in range(len(urls))))
        assert bird.visits >= len(urls)


@pytest.mark.promise("D28", "T4", "T7")
def test_a_name_that_leads_inside_is_not_dialed(names: tuple[asyncio.Runner, Names]):
    runner, loop = names
    loop.answers = {f"n{number}.test": [address] for number, address in enumerate(INNER)}
    urls = {f"up-{number}": _declared(f"n{number}.test", 443) for number in range(len(INNER))}

    async def attack() -> None:
        async with _hub("10.99.0.0/16", urls) as client:
            found = [(await client.post(f"/api/v1/upstreams/{name}/refresh")).json() for name in urls]
        assert [address for address, each in zip(INNER, found, strict=True) if "not public" not in each["reason"]] == []

    runner.run(attack())
    assert loop.dialed == []


@pytest.mark.promise("D28", "T4")
def test_plain_http_to_a_public_address_is_not_dialed(names: tuple[asyncio.Runner, Names]):
    runner, loop = names
    loop.answers = {"public.test": ["93.184.216.34"]}

    async def attack() -> None:
        async with _hub("10.99.0.0/16", {"plain": _declared("public.test", 80, "http")}) as client:
            found = (await client.post("/api/v1/upstreams/plain/refresh")).json()
        assert "Use an https URL" in found["reason"]

    runner.run(attack())
    assert loop.dialed == []


@pytest.mark.promise("D28", "T5")
def test_a_name_that_leads_elsewhere_the_second_time_is_judged_the_second_time(names: tuple[asyncio.Runner, Names]):
    runner, loop = names
    loop.answers = {"rebind.test": ["127.0.0.2", "127.0.0.1"]}

    async def attack() -> None:
        allowed, bird = sick.Canary(), sick.Canary()
        async with (
            sick.listening(bird.serve) as port,
            sick.listening(allowed.serve, "127.0.0.2", port),
            _hub("127.0.0.2/32", {"rebound": _declared("rebind.test", port, "http")}) as client,
        ):
            found = (await client.post("/api/v1/upstreams/rebound/refresh")).json()
            assert "not public" in found["reason"]
            assert (allowed.visits, bird.visits) == (1, 0)

    runner.run(attack())
    assert loop.dialed == ["127.0.0.2"], "and what was dialed is what was judged"


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
        "wide": {"type": "object", "allOf": [{}] * 20_000},
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
