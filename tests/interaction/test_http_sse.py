"""The transport of 2024-11-05 on both sides of the hub, with the SDKs that still speak it."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.session import ClientSession
from mcp.client.sse import sse_client

import node_tools
import processes
import python1_tools
from interaction.whole_hub import message
from rig.fake_upstream import Answer, FakeUpstream, Request, result

pytestmark = [
    pytest.mark.promise("A4", "F2"),
    # What the newest revision deprecates is what clients of the older transport do.
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

CLIENTS = Path(__file__).parent / "clients"
SECONDS = 30


@dataclass
class Person:
    """Who sits at a client, and what they were asked and told."""

    name: str
    asked: list[str] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def elicit(self, _: Any, params: Any) -> types.ElicitResult:
        self.asked.append(params.message)
        return types.ElicitResult(action="accept", content={"username": self.name, "email": f"{self.name}@example.com"})

    async def sample(self, _: Any, params: Any) -> types.CreateMessageResult:
        self.asked.append(params.messages[0].content.text)
        return types.CreateMessageResult(
            role="assistant", model="m", content=types.TextContent(text=f"{self.name} says")
        )

    async def roots(self, _: Any) -> types.ListRootsResult:
        self.asked.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri=f"file:///home/{self.name}")])

    async def hear(self, message: Any) -> None:
        self.told.append(message)
        self.news.set()

    async def log(self, params: Any) -> None:
        self.told.append(params)

    async def until_told(self, kind: type) -> Any:
        """The first notice of this kind, once it has come."""
        async with asyncio.timeout(SECONDS):
            while not (found := [each for each in self.told if isinstance(each, kind)]):
                self.news.clear()
                await self.news.wait()
        return found[0]


@asynccontextmanager
async def at(url: str, person: Person) -> AsyncIterator[ClientSession]:
    """A session of this person's over HTTP+SSE."""
    async with (
        asyncio.timeout(SECONDS),
        sse_client(url) as (reading, writing),
        # What still comes while the session closes fails the SDK's reader unless somebody else could take it.
        reading.clone(),
        ClientSession(
            reading,
            writing,
            elicitation_callback=person.elicit,
            sampling_callback=person.sample,
            list_roots_callback=person.roots,
            logging_callback=person.log,
            message_handler=person.hear,
        ) as session,
    ):
        await session.initialize()
        yield session


def text(result: Any) -> str:
    return result.content[0].text


@pytest.fixture(scope="session", params=["both", "legacy", "sse"])
def upstream(request: pytest.FixtureRequest, reference: str):
    """The address of the reference upstream, in both eras or in the old one only."""
    if request.param == "both":
        yield reference
    else:
        with processes.running(processes.reference(request.param)) as started:
            yield started.url


@pytest.fixture
def sse(hub, upstream: str) -> str:
    """Where a hub in front of it serves the older transport."""
    return hub(configured(f"url: '{upstream}'")).replace("/mcp", "/sse")


def configured(upstream: str) -> str:
    """The configuration of a hub with one upstream."""
    return f"version: 1\nnetwork: {{allow_private: [127.0.0.0/8]}}\nupstreams: {{up: {{{upstream}}}}}\n"


def talking(url: str, era: str, person: Person) -> Client:
    """A session of this person's over Streamable HTTP."""
    return Client(
        url,
        mode=era,
        elicitation_callback=person.elicit,
        sampling_callback=person.sample,
        list_roots_callback=person.roots,
        message_handler=person.hear,
    )


@pytest.mark.promise("A1", "A4", "A5")
async def test_lists_calls_progress_and_logs_cross(sse: str):
    ada = Person("ada")
    async with at(sse, ada) as session:
        assert "up__test_simple_text" in {tool.name for tool in (await session.list_tools()).tools}
        progress: list[float] = []

        async def on_progress(done: float, _: float | None, __: str | None) -> None:
            progress.append(done)

        await session.call_tool("up__test_tool_with_progress", {}, progress_callback=on_progress)
        assert progress == [0, 50, 100]
        await session.set_logging_level("info")
        await session.call_tool("up__test_tool_with_logging", {})
        logged = [each for each in ada.told if isinstance(each, types.LoggingMessageNotificationParams)]
        assert len(logged) == 3
        read = await session.read_resource("up+test://static-text")
        assert str(read.contents[0].uri) == "up+test://static-text"
        await session.send_ping()


@pytest.mark.promise("A5")
async def test_questions_reach_the_person_whose_call_it_is_and_nobody_else(sse: str):
    ada, bob = Person("ada"), Person("bob")
    async with at(sse, ada) as adas, at(sse, bob) as bobs:
        said = await asyncio.gather(
            *(
                each.call_tool("up__test_elicitation", {"message": f"who are you, {name}?"})
                for name, each in (("ada", adas), ("bob", bobs)) * 3
            )
        )
        assert ["ada" in text(each) for each in said] == [True, False] * 3
        assert ["bob" in text(each) for each in said] == [False, True] * 3
        assert "bob says" in text(await bobs.call_tool("up__test_sampling", {"prompt": "say it"}))
        roots = await adas.call_tool("up__test_input_required_result_list_roots", {})
        assert "file:///home/ada" in text(roots)
    assert ada.asked == ["who are you, ada?"] * 3 + ["roots"]
    assert bob.asked == ["who are you, bob?"] * 3 + ["say it"]


@pytest.mark.promise("A7")
async def test_changes_of_lists_and_of_resources_are_told_to_those_who_want_to_hear(sse: str):
    ada, bob = Person("ada"), Person("bob")
    async with at(sse, ada) as adas, at(sse, bob) as bobs:
        await adas.subscribe_resource("up+test://watched-resource")
        await bobs.call_tool("up__test_trigger_resource_update", {})
        notice = await ada.until_told(types.ResourceUpdatedNotification)
        assert str(notice.params.uri) == "up+test://watched-resource"
        await bobs.call_tool("up__test_trigger_tool_change", {})
        await ada.until_told(types.ToolListChangedNotification)
        await bob.until_told(types.ToolListChangedNotification)
        assert not [each for each in bob.told if isinstance(each, types.ResourceUpdatedNotification)]


@pytest.mark.promise("A3", "A5")
async def test_clients_of_both_eras_use_an_old_server_which_asks_them(hub):
    with processes.running(processes.reference("sse")) as started:
        url = hub(configured(f"url: '{started.url}'"))
        for era in ("auto", "legacy"):
            ada, bob = Person("ada"), Person("bob")
            async with talking(url, era, ada) as adas, talking(url, era, bob) as bobs, asyncio.timeout(SECONDS):
                asking = {"message": "who?"}
                said = await asyncio.gather(
                    *(each.call_tool("up__test_elicitation", asking) for each in (adas, bobs) * 3)
                )
                assert [each.name in text(one) for one, each in zip(said, (ada, bob) * 3, strict=True)] == [True] * 6
                assert (len(ada.asked), len(bob.asked)) == (3, 3)
                assert "bob says" in text(await bobs.call_tool("up__test_sampling", {"prompt": "say it"}))
                progress: list[float] = []

                async def on_progress(done: float, _: float | None, __: str | None, heard=progress) -> None:
                    heard.append(done)

                await adas.call_tool("up__test_tool_with_progress", {}, progress_callback=on_progress)
                assert progress == [0, 50, 100]


@pytest.mark.promise("A3", "A7")
async def test_a_published_server_of_this_transport_is_found_out_or_pinned(hub):
    port = processes.free_port()
    listening = re.compile(r"is running on (port) \d+")
    with processes.running(processes.everything("sse"), env={"PORT": str(port)}, announcement=listening):
        for pin in ("", ", transport: sse"):
            url = hub(configured(f"url: 'http://127.0.0.1:{port}/sse'{pin}"))
            ada, bob = Person("ada"), Person("bob")
            async with talking(url, "auto", ada) as modern, at(url.replace("/mcp", "/sse"), bob) as old:
                assert "Echo: hello" in text(await modern.call_tool("up__echo", {"message": "hello"}))
                said = await asyncio.gather(
                    *(old.call_tool("up__get-sum", {"a": number, "b": 1}) for number in range(5))
                )
                assert [f" {number + 1}." in text(each) for number, each in enumerate(said)] == [True] * 5
                progress: list[float] = []

                async def on_progress(done: float, _: float | None, __: str | None, heard=progress) -> None:
                    heard.append(done)

                work = {"duration": 0.2, "steps": 2}
                await old.call_tool("up__trigger-long-running-operation", work, progress_callback=on_progress)
                assert progress == [1, 2]


@pytest.mark.promise("A3")
async def test_a_server_on_the_python_sdk_of_before_is_used_by_several_at_once(hub):
    server = Path(__file__).parent / "servers" / "py_server_1x.py"
    with processes.running([python1_tools.install(), server, "sse"]) as started:
        url = hub(configured(f"url: '{started.url}'"))
        ada, bob = Person("ada"), Person("bob")
        async with talking(url, "auto", ada) as modern, at(url.replace("/mcp", "/sse"), bob) as old:
            for each in (modern, old):
                progress: list[float] = []

                async def on_progress(done: float, _: float | None, __: str | None, heard=progress) -> None:
                    heard.append(done)

                assert "señor" in text(await each.call_tool("up__work", {"steps": 3}, progress_callback=on_progress))
                assert progress == [1, 2, 3]
                assert "First" in (await each.read_resource("up+memo://first")).contents[0].text
            sums = await asyncio.gather(
                *(each.call_tool("up__add", {"summands": [n, 1]}) for n in range(5) for each in (modern, old))
            )
            assert [each.structured_content["total"] for each in sums] == [n + 1 for n in range(5) for _ in (0, 1)]


async def test_the_typescript_client_works_over_it(sse: str):
    command = [node_tools.install(), CLIENTS / "ts_sse_1x.mjs", sse, "up__"]
    process = await asyncio.create_subprocess_exec(
        *command, env=node_tools.environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(SECONDS):
        printed, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    outcome = json.loads(printed)
    assert "up__test_simple_text" in outcome["tools"]
    assert "ada@example.com" in outcome["elicited"]
    assert "sampled" in outcome["sampled"]
    assert (outcome["progress"], outcome["changed"]) == ([0, 50, 100], "heard")


@pytest.mark.promise("T23", "T22")
async def test_a_thousand_streams_of_one_user_leave_the_hub_as_it_was(hub):
    url = urlsplit(hub("version: 1\n"))
    head = f"GET /sse HTTP/1.1\r\nHost: {url.netloc}\r\nAccept: text/event-stream\r\n\r\n".encode()
    async with AsyncExitStack() as open_ones, asyncio.timeout(SECONDS):

        async def opened() -> int:
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            open_ones.callback(writer.close)
            writer.write(head)
            return int((await reader.readline()).split()[1])

        statuses = Counter([await opened() for _ in range(1000)])
    assert statuses == {200: 100, 403: 900}
    person = Person("ada")
    async with asyncio.timeout(SECONDS):
        while not await served(f"{url.scheme}://{url.netloc}/sse", person):
            pass


async def served(url: str, person: Person) -> bool:
    """Whether a stream is opened, which is so once the hub has seen that another one has gone."""
    async with httpx2.AsyncClient(trust_env=False) as client, client.stream("GET", url) as response:
        return response.status_code == httpx2.codes.OK


@pytest.mark.promise("T23")
async def test_a_client_that_reads_nothing_costs_no_more_than_is_allowed_and_harms_nobody(hub, tmp_path):
    async with FakeUpstream(name="up") as fake:
        fake.handlers["tools/call"] = large
        url = urlsplit(hub(configured(f"url: '{fake.url}'")))
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(url.hostname, url.port, limit=1024)
            writer.write(f"GET /sse HTTP/1.1\r\nHost: {url.netloc}\r\nAccept: text/event-stream\r\n\r\n".encode())
            while not (line := await reader.readline()).startswith(b"data: "):
                pass
            address = f"http://{url.netloc}{line.removeprefix(b'data: ').decode().strip()}"
            async with httpx2.AsyncClient(trust_env=False, timeout=SECONDS) as client:
                for body in (message("initialize", OPENING), *(asking(number) for number in range(40))):
                    if (await client.post(address, json=body)).status_code == httpx2.codes.NOT_FOUND:
                        break
                while (await client.post(address, json=message("ping"))).status_code != httpx2.codes.NOT_FOUND:
                    pass
            async with Client(f"http://{url.netloc}/mcp") as other:
                assert await other.list_tools()
            writer.close()


OPENING = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}


def asking(number: int) -> dict[str, Any]:
    return message("tools/call", {"name": "up__echo", "arguments": {}}, number)


async def large(asked: Request) -> Answer:
    return result(asked, {"resultType": "complete", "content": [{"type": "text", "text": "x" * 8_000_000}]})
