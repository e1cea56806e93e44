"""The commands, as somebody types them, against a hub that runs: what they print and how they end."""

import asyncio
import json
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from interaction import sick
from interaction.whole_hub import PROGRAM, Client, Said, command, said, serving
from processes import Running, free_port, running
from rig.fake_upstream import Answer, FakeUpstream, Request, result, tool

DONE, USAGE, SIGN_IN, UNREACHABLE, TOOL_ERROR = 0, 2, 3, 4, 5
TYPED = {"type": "object", "properties": {"text": {"type": "string"}, "count": {"type": "integer"}}}


class Good(FakeUpstream):
    """Has tools that answer, one that fails, and one that only answers once it is told to."""

    def __init__(self, eras: str) -> None:
        super().__init__(eras=eras, tools=["fails", "waits"])
        self.tools.insert(0, tool("echo", title="Says it again\nand again", inputSchema=TYPED))
        self.handlers["tools/call"] = self.call
        self.go_on = asyncio.Event()

    async def call(self, request: Request) -> Answer | None:
        name = request.message["params"]["name"]
        if name == "fails":
            return result(request, {"content": [{"type": "text", "text": "no"}], "isError": True})
        if name == "waits":
            await self.go_on.wait()
        return None


@dataclass
class House:
    """Upstreams of every kind, and the file that declares them."""

    good: Good
    old: Good
    file: Path

    @property
    def directory(self) -> Path:
        return self.file.parent


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        good, old = [await stack.enter_async_context(Good(eras)) for eras in ("modern", "legacy")]
        refusing, html = [await stack.enter_async_context(FakeUpstream()) for _ in range(2)]
        refusing.before, html.before = sick.refusing, sick.html
        file = tmp_path / "hub.yaml"
        file.write_text(
            f"""\
server: {{port: {free_port()}}}
network: {{allow_private: [127.0.0.0/8]}}
defaults: {{list_timeout: 2s}}
upstreams:
  good: {{url: '{good.url}'}}
  old: {{url: '{old.url}'}}
  refusing: {{url: '{refusing.url}', headers: {{X-Key: wrong}}}}
  html: {{url: '{html.url}'}}
  dead: {{url: 'http://127.0.0.1:{free_port()}/mcp'}}
  unset: {{description: not yet}}
  off: {{url: '{good.url}', enabled: false}}
""",
            "utf-8",
        )
        yield House(good, old, file)


@pytest.fixture
async def hub(house: House) -> AsyncIterator[Running]:
    async with serving(house.file.read_text("utf-8"), house.directory) as hub:
        yield hub


def _rows(told: Said) -> dict[str, list[str]]:
    """The lines of a table by their first word."""
    return {line.split()[0]: line.split()[1:] for line in told.out.splitlines() if line.strip()}


STATES = {
    "good": "ready", "old": "ready", "refusing": "reconnect_needed", "html": "unreachable", "dead": "unreachable",
    "unset": "disabled", "off": "disabled",
}  # fmt: skip


@pytest.mark.promise("D27", "D33", "E38")
async def test_status_shows_each_upstream_and_what_to_do(hub: Running, house: House):
    async with Client(hub.url) as client:
        await client.names()
    plain, as_json = await asyncio.gather(
        command("status", "--url", hub.url), command("status", "--json", "--url", hub.url.removesuffix("/mcp"))
    )
    rows = _rows(plain)
    assert (plain.code, as_json.code) == (DONE, DONE)
    assert {name: rows[name][0] for name in STATES} == STATES
    assert rows["good"][1:4] == ["modern", "3", "tools"]
    assert rows["old"][1:4] == ["legacy", "3", "tools"]
    assert "mcp-hub upstream check dead" in plain.out
    assert "mcp-hub upstream check off" not in plain.out
    assert {each["name"]: each["state"] for each in as_json.json["upstreams"]} == STATES
    assert as_json.json["version"] in plain.out


@pytest.mark.promise("D33", "E38")
@pytest.mark.parametrize(
    "asked", [["status"], ["tools"], ["call", "good__echo"], ["upstream", "refresh"]], ids=" ".join
)
async def test_a_hub_that_does_not_run_is_said_to_not_run(asked: list[str], house: House):
    told = await command(*asked, "-c", house.file)
    assert (told.code, told.out) == (UNREACHABLE, "")
    assert re.fullmatch(r"No hub answers at http://127\.0\.0\.1:\d+\. Start one with 'mcp-hub serve', .*\n", told.err)


@pytest.mark.promise("D33", "E38")
async def test_upstream_list_shows_what_runs_and_without_a_hub_what_is_configured(house: House):
    configured = await command("upstream", "list", "-c", house.file)
    assert configured.code == DONE
    assert list(_rows(configured)) == list(STATES)
    assert "Listed as configured." in configured.err
    named = await command("upstream", "list", "--url", f"http://127.0.0.1:{free_port()}", "-c", house.file)
    assert (named.code, named.out) == (UNREACHABLE, ""), "a hub that was named is not replaced by a guess"
    async with serving(house.file.read_text("utf-8"), house.directory) as hub, Client(hub.url) as client:
        await client.names()
        shown = await command("upstream", "list", "--url", hub.url)
    assert (shown.code, shown.err) == (DONE, "")
    assert {name: row[0] for name, row in _rows(shown).items() if name in STATES} == STATES


VERDICTS = {
    "good": ("OK", DONE, ["auth", "dns", "tcp", "mcp", "lists", "auth"]),
    "old": ("OK", DONE, ["auth", "dns", "tcp", "mcp", "lists", "auth"]),
    "refusing": ("Unauthorized", SIGN_IN, ["auth", "dns", "tcp", "auth"]),
    "html": ("Failed", UNREACHABLE, ["auth", "dns", "tcp", "mcp"]),
    "dead": ("Failed", UNREACHABLE, ["auth", "dns", "tcp"]),
    "unset": ("Server URL not set", USAGE, ["auth", "url"]),
}
"""What a check comes to: the verdict, the exit code, and the steps, of which all but the last go well or all do."""


@pytest.mark.promise("D26", "E38")
async def test_a_check_gives_one_verdict_and_every_step_it_took(house: House):
    async def check(name: str, *options: str) -> Said:
        return await command("upstream", "check", name, "-c", house.file, *options)

    for name, (verdict, code, steps) in VERDICTS.items():
        told = await check(name, "--json")
        assert (told.json["name"], told.json["status"], told.code) == (name, verdict, code)
        assert [step["step"] for step in told.json["steps"]] == steps
        assert [step["ok"] for step in told.json["steps"]] == [*[True] * (len(steps) - 1), verdict == "OK"]
    plain = await check("refusing")
    assert plain.code == SIGN_IN
    assert [line.split()[:2] for line in plain.out.splitlines()] == [
        ["refusing:", "Unauthorized"], ["ok", "auth"], ["ok", "dns"], ["ok", "tcp"], ["--", "auth"]
    ]  # fmt: skip
    assert house.old.sessions == {}, "it leaves no session behind"
    assert house.good.asked("tools/call") == []


@pytest.mark.promise("D26", "E38")
async def test_a_check_of_nobody_says_who_there_is(house: House):
    told = await command("upstream", "check", "nobody", "-c", house.file)
    assert (told.code, told.out) == (USAGE, "")
    assert all(name in told.err for name in STATES)


@pytest.mark.promise("D26")
async def test_validate_online_checks_every_enabled_upstream_and_ends_as_the_worst(house: House):
    plain = await command("validate", "--online", "-c", house.file)
    as_json = await command("validate", "--online", "--json", "-c", house.file)
    assert (plain.code, as_json.code) == (UNREACHABLE, UNREACHABLE)
    assert {each["name"]: each["status"] for each in as_json.json} == {name: told[0] for name, told in VERDICTS.items()}
    assert [line for line in plain.out.splitlines() if not line.startswith(" ")] == [
        f"{name}: {told[0]}" for name, told in VERDICTS.items()
    ]
    well = house.directory / "well.yaml"
    well.write_text(
        f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams: {{good: {{url: '{house.good.url}'}}}}\n", "utf-8"
    )
    assert (await command("validate", "--online", "-c", well)).code == DONE


@pytest.mark.promise("A7", "E38")
async def test_refresh_has_the_hub_fetch_what_is_new(hub: Running, house: House):
    async with Client(hub.url) as client:
        assert "good__new" not in await client.names()
        house.good.tools.append(tool("new"))
        one = await command("upstream", "refresh", "good", "--url", hub.url)
        assert (one.code, _rows(one)["good"][:4]) == (DONE, ["ready", "modern", "4", "tools"])
        assert "good__new" in await client.names()
    everyone = await command("upstream", "refresh", "--json", "--url", hub.url)
    assert everyone.code == DONE
    assert {each["name"]: each["state"] for each in everyone.json} == {
        name: state for name, state in STATES.items() if state != "disabled"
    }
    nobody = await command("upstream", "refresh", "nobody", "--url", hub.url)
    assert (nobody.code, nobody.out) == (USAGE, "")
    assert "No upstream is called 'nobody' here." in nobody.err


@pytest.mark.promise("A1", "A8", "E38")
@pytest.mark.parametrize("page_size", [0, 2])
async def test_tools_lists_every_page_and_says_what_is_missing(page_size: int, house: House):
    config = house.file.read_text("utf-8").replace("{list_timeout: 2s}", f"{{page_size: {page_size}}}")
    async with serving(config, house.directory) as hub:
        plain, as_json = await asyncio.gather(
            command("tools", "--url", hub.url), command("tools", "--json", "--url", hub.url)
        )
    names = [f"{upstream}__{name}" for upstream in ("good", "old") for name in ("echo", "fails", "waits")]
    assert list(_rows(plain)) == names
    assert "Says it again\n" in plain.out, "one line for each"
    assert [each["name"] for each in as_json.json["tools"]] == names
    assert [line.split(" (")[0] for line in plain.err.splitlines()] == ["refusing", "html", "dead"]
    assert (plain.code, as_json.code) == (DONE, DONE)


@pytest.mark.promise("A1", "E38")
async def test_a_call_prints_what_the_tool_said_and_ends_as_it_went(hub: Running, house: House):
    async def call(*arguments: str) -> Said:
        return await command("call", *arguments, "--url", hub.url)

    for upstream in ("good", "old"):
        told = await call(f"{upstream}__echo", "text=7", "count=7", "other=[1, {}]", "more=no JSON")
        given = {"text": "7", "count": 7, "other": [1, {}], "more": "no JSON"}
        assert (told.code, json.loads(told.out)) == (DONE, {"tool": "echo", "arguments": given})
        failed = await call(f"{upstream}__fails")
        assert (failed.code, failed.out) == (TOOL_ERROR, "no\n")
    shown = await call("good__fails", "--json")
    assert (shown.code, shown.json["isError"]) == (TOOL_ERROR, True)
    unknown = await call("good__nothing")
    assert (unknown.code, unknown.out) == (USAGE, "")
    assert "No tool is called 'good__nothing' here. See: mcp-hub tools" in unknown.err
    assert (await call("good__echo", "text")).code == USAGE
    await house.good.stop()
    unreached = await call("good__echo")
    assert unreached.code == UNREACHABLE
    assert "good could not be reached" in unreached.out


# Serving


@pytest.mark.promise("E38")
async def test_a_port_in_use_is_named_and_nothing_else_is_started(house: House):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        env = {"MCP_HUB_DATA": str(house.directory / "data")}
        told = await command("serve", "-c", house.file, "--port", port, env=env)
    assert told.code == USAGE
    assert f"server.port: cannot listen on 127.0.0.1 port {port}: " in told.err
    assert "--port" in told.err
    assert "Endpoint" not in told.out
    assert house.good.seen == []


@pytest.mark.promise("D33")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_calls_under_way_finish_and_ends_well(number: signal.Signals, house: House):
    async with serving(house.file.read_text("utf-8"), house.directory) as hub, Client(hub.url) as client:
        session = await client.open()
        await session.call("old__echo")
        calls = [asyncio.create_task(client.call("good__waits")), asyncio.create_task(session.call("old__waits"))]
        await asyncio.gather(house.good.until("tools/call"), house.old.until("tools/call", 2))
        hub.process.send_signal(number)
        await _refuses_connections(hub)
        house.good.go_on.set()
        house.old.go_on.set()
        assert ['"waits"' in said(each) for each in await asyncio.gather(*calls)] == [True, True]
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(hub.process.wait) == 0
    assert house.old.sessions == {}, "it has taken leave of those it had sessions with"


async def _refuses_connections(hub: Running) -> None:
    """Wait until nobody listens any more at the address of the hub."""
    port = int(hub.url.split(":")[2].partition("/")[0])
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                continue  # it was just about to
            writer.close()


@pytest.mark.promise("D33", "S10")
async def test_the_first_lines_are_out_within_a_second(house: House):
    async def first_line() -> float:
        started = time.perf_counter()
        command_line = [PROGRAM, "serve", "-c", house.file, "--port", "0"]
        env = {"MCP_HUB_DATA": str(house.directory / "data")}
        with running(command_line, env=env, announcement=re.compile(r"^(mcp_hub )")):
            return time.perf_counter() - started

    # The best of a few: the machine may be busy with something else, the hub may not.
    assert min([await asyncio.to_thread(lambda: asyncio.run(first_line())) for _ in range(3)]) < 1
