"""Attacks on what must not be known: secrets of the operator, an upstream's own bodies, and who called with what."""

import asyncio
import json
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from interaction.whole_hub import Client, Said, command, message, said, serving
from processes import free_port
from rig.fake_upstream import Answer, FakeUpstream, Request, error, result
from rig.planted import found

SHARED, KEY, QUERY, PATH = "planted-shared-1a", "planted-key-2b", "planted-query-3c", "planted-path-4d"
TOKEN, ARGUMENT, RESULT = "planted-client-5e", "planted-argument-6f", "planted-result-7g"
OPERATORS = (SHARED, KEY, QUERY, PATH)


async def _reflecting(request: Request) -> Answer:
    """What a debugging server does: shows who asks what it was asked, in an error page."""
    status = int(request.path.partition("?")[0].rpartition("/")[2])
    told = "\n".join(f"{name}: {value}" for name, value in request.lines)
    return Answer(f"<pre>{request.path}\n{told}</pre>".encode(), status, content_type="text/html")


async def _answering(request: Request) -> Answer:
    return result(request, {"content": [{"type": "text", "text": RESULT}], "resultType": "complete"})


def _config(fake: FakeUpstream, reflecting: FakeUpstream) -> str:
    shows = {f"shows-{status}": f"{reflecting.url}/{status}?key=${{QUERY}}" for status in (200, 307, 401, 404, 500)}
    credential = "headers: {X-Key: '${SHARED}', Authorization: 'Bearer ${KEY}'}"
    declared = "".join(f"  {name}: {{url: '{url}', {credential}}}\n" for name, url in shows.items())
    return f"""\
server: {{port: {free_port()}}}
network: {{allow_private: [127.0.0.0/8]}}
upstreams:
{declared}
  good: {{url: '{fake.url}', auth: {{type: api_key, value: '${{KEY}}'}}, headers: {{X-Key: '${{SHARED}}'}}}}
  query: {{url: '{fake.url}?token=${{QUERY}}&more=1'}}
  dead: {{url: 'http://127.0.0.1:{free_port()}/${{PATH}}?token=${{QUERY}}', headers: {{X-Key: '${{SHARED}}'}}}}
"""


SECRETS = {"SHARED": SHARED, "KEY": KEY, "QUERY": QUERY, "PATH": PATH, "MCP_HUB_DEBUG": "1"}


async def _commands(url: str, directory: Path) -> list[Said]:
    """Everything the command line has to say about a hub and its configuration."""
    file = directory / "hub.yaml"
    asked = [
        *(("config", "show", "-c", file, *more) for more in ((), ("--json",))),
        *(("validate", "-c", file, *more) for more in ((), ("--json",), ("--online",), ("--online", "--json"))),
        *(("upstream", "check", name, "-c", file) for name in ("dead", "shows-401")),
        *(("upstream", "list", "--json", *where) for where in (("--url", url), ("-c", file))),
        ("status", "--url", url),
        ("tools", "--url", url),
        ("upstream", "refresh", "--url", url),
        ("call", "good__nothing", "--url", url),
    ]
    few = asyncio.Semaphore(2)

    async def run(arguments: tuple[str | Path, ...]) -> Said:
        async with few:
            return await command(*arguments, env=SECRETS)

    return list(await asyncio.gather(*map(run, asked)))


@pytest.mark.promise("B12", "B13", "D29", "T31")
@pytest.mark.parametrize("options", [(), ("--log-json",)], ids=["text", "json"])
async def test_secrets_of_the_operator_show_up_nowhere(options: tuple[str, ...], tmp_path: Path):
    async with FakeUpstream() as fake, FakeUpstream() as reflecting:
        reflecting.before = _reflecting
        fake.handlers["tools/call"] = _answering
        config, debug = _config(fake, reflecting), ("--log-level", "debug", *options)
        async with serving(config, tmp_path, options=debug, env=SECRETS) as hub, Client(hub.url) as client:
            client.http.headers["Authorization"] = f"Bearer {TOKEN}"
            told = [await client.refreshed(name) for name in ("query", "dead", "shows-401", "shows-500", "shows-307")]
            told += [await client.status(), await client.ask("tools/list"), (await client.open()).opened]
            for name in ("good__echo", "query__echo"):
                assert said(await client.call(name, secret=ARGUMENT)) == RESULT
            told += [
                (await client.modern("resources/read", {"uri": f"{name}+a:b"})).json() for name in ("dead", "good")
            ]
            told += [(await client.http.get(client.url.removesuffix("mcp"))).text]
            printed = [] if options else await _commands(hub.url, tmp_path)
            files = {each.name: each.read_bytes() for each in (tmp_path / "data").iterdir()}
        files |= {each.name: each.read_bytes() for each in (tmp_path / "data").iterdir()}
    assert fake.asked("tools/call")[0].headers["authorization"] == f"Bearer {KEY}", "it was sent all the time"
    assert found(json.dumps(told), OPERATORS) == []
    assert [each for each in printed if found(each.out + each.err, OPERATORS)] == []
    assert [line for line in hub.lines if found(line, (*OPERATORS, TOKEN, ARGUMENT, RESULT))] == []
    assert [name for name, content in files.items() if found(content, (*OPERATORS, TOKEN, ARGUMENT, RESULT))] == []
    assert b"good" in b"".join(files.values()), "these are the right files"
    assert "Traceback" in hub.log, "causes are shown at this level, so there was something to look through"


@pytest.mark.promise("E39", "T31")
async def test_a_wrong_line_with_a_secret_is_not_quoted(tmp_path: Path):
    (tmp_path / "hub.yaml").write_text(
        f"""\
upstreams:
  a: {{url: 'https://user:{PATH}@example.com/mcp', headers: {{X-Key: "{SHARED}\\x01"}}}}
  b: {{url: 'ftp://example.com/?token={QUERY}', auth: {{type: api_key, valeu: {KEY}}}}}
  c: {{headers: {{"{SHARED}": {{"{KEY}": "{QUERY}"}}, Authorization: "{KEY}", authorization: "{KEY}"}}}}
""",
        "utf-8",
    )
    for arguments in (("validate",), ("validate", "--json"), ("serve", "--port", "0"), ("config", "show")):
        told = await command(*arguments, cwd=tmp_path, env={"MCP_HUB_DATA": str(tmp_path / "data")})
        assert told.code == 2
        assert "problem" in told.out + told.err
        assert found(told.out + told.err, (KEY, QUERY, PATH)) == [], arguments


# The body of an upstream

BODY = "SECRET-c0ffee"
LIES = {
    "page": Answer(f"<h1>{BODY}</h1>".encode(), content_type="text/html"),
    "text": Answer(BODY.encode(), content_type=""),
    "not-json": Answer(f'{{"a": {BODY}}}'.encode()),
    "no-message": Answer(json.dumps({"password": BODY}).encode()),
    "other-id": Answer(json.dumps({"jsonrpc": "2.0", "id": BODY, "result": {"a": BODY}}).encode()),
    "no-object": Answer(json.dumps({"jsonrpc": "2.0", "id": 1, "result": BODY}).encode()),
    "event": Answer(f"data: {BODY}\n\n".encode(), content_type="text/event-stream"),
    "half": Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + BODY.encode(), hangs_up=True),
    "no-http": Answer(raw=BODY.encode() + b"\r\n\r\n", hangs_up=True),
    **{f"s{status}": Answer(BODY.encode(), status) for status in (302, 400, 401, 403, 404, 418, 429, 500, 503)},
    **{f"j{status}": Answer(f'{{"error": "{BODY}"}}'.encode(), status) for status in (400, 401, 404, 500)},
}
"""What an inner server that speaks no MCP may answer, to whom it does not matter who gets to see it."""


@pytest.mark.promise("D28", "T10")
async def test_nothing_of_a_body_that_is_no_mcp_is_told_to_anybody(tmp_path: Path):
    async with FakeUpstream() as inner:

        async def lie(request: Request) -> Answer | None:
            late, _, name = request.path.removeprefix("/mcp/").rpartition("late-")
            del late
            if "late-" in request.path and request.method != "tools/call":
                return None
            return LIES.get(name, LIES["page"])  # where its users sign in is looked for elsewhere

        inner.before = lie
        names = [f"{prefix}{name}" for name in LIES for prefix in ("", "late-")]
        declared = "".join(f"  {name}: {{url: '{inner.url}/{name}'}}\n" for name in names)
        config = f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n{declared}"
        async with serving(config, tmp_path, options=["--log-level", "debug"]) as hub, Client(hub.url) as client:
            told = [await client.ask("tools/list"), await client.status(), (await client.open()).opened]
            for name in LIES:
                answered = await client.call(f"late-{name}__echo")
                assert answered["isError"], name
                assert said(answered).startswith(f"late-{name} "), "it says who, and in the hub's words what"
                told += [answered, (await client.modern("resources/read", {"uri": f"{name}+a:b"})).json()]
            told += [await client.status()]
            printed = await command("status", "--url", hub.url)
    assert BODY not in json.dumps(told)
    assert BODY not in hub.log
    assert BODY not in printed.out + printed.err


# Files


@pytest.fixture
def open_umask() -> AsyncIterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.promise("T62")
@pytest.mark.usefixtures("open_umask")
async def test_nobody_else_on_the_machine_can_open_the_data(tmp_path: Path):
    async with FakeUpstream() as fake:
        config = f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams: {{up: {{url: '{fake.url}'}}}}\n"
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            await client.call("up__echo")
            data = tmp_path / "data"
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (data, *data.iterdir())}
            files = ("hub.db", "hub.db-wal", "hub.db-shm", "master.key")
            assert modes == {"data": 0o700, **dict.fromkeys(files, 0o600)}
            port = int(hub.url.split(":")[2].partition("/")[0])
            assert _listeners(port) == ["0100007F"], "and loopback is all that is listened on"


def _listeners(port: int) -> list[str]:
    """The local addresses with this port on which somebody listens, as the kernel writes them."""
    tables = [Path(f"/proc/net/{name}").read_text("ascii").splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    return [row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port]


# The call log

GOLDEN = [
    ("test client", "up", "tools/call", "echo", "ok"),
    ("old client", "up", "tools/call", "echo", "ok"),
    ("test client", "up", "tools/call", "fails", "tool_error"),
    ("test client", "up", "tools/call", "refuses", "refused"),
    ("test client", "up", "tools/call", "errs", "error"),
    ("test client", "up", "tools/call", "sulks", "timeout"),
    ("test client", "up", "tools/call", "waits", "cancelled"),
    ("old client", "up", "tools/call", "waits", "cancelled"),
    ("test client", "up", "prompts/get", "ask", "ok"),
    ("test client", "up", "resources/read", "note://1", "ok"),
    ("test client", "up", "completion/complete", "ask", "ok"),
    ("a\ufffdb", "up", "tools/call", "echo", "ok"),
    ("test client", "down", "tools/call", "echo", "unreachable"),
]


class Scripted(FakeUpstream):
    """Each of its tools ends in another way; `left` is set when a caller has hung up on one that waits."""

    def __init__(self) -> None:
        super().__init__(name="up", tools=["echo", "fails", "refuses", "errs", "sulks", "waits"])
        self.prompts = [{"name": "ask", "arguments": [{"name": "a"}]}]
        self.resources = [{"uri": "note://1", "name": "n"}]
        self.handlers["tools/call"] = self.end
        self.left = asyncio.Event()

    async def end(self, request: Request) -> Answer | None:
        match request.message["params"]["name"]:
            case "fails":
                return result(request, {"content": [], "isError": True, "resultType": "complete"})
            case "refuses":
                return Answer(status=403)
            case "errs":
                return error(request, -32000, "no")
            case "sulks" | "waits":
                await request.until_hung_up()
                self.left.set()
        return None


@pytest.mark.promise("D32", "T65")
async def test_the_call_log_says_who_called_what_and_how_it_ended_and_no_more(tmp_path: Path):
    async with Scripted() as up, FakeUpstream(name="down") as down:
        config = f"""\
network: {{allow_private: [127.0.0.0/8]}}
upstreams:
  up: {{url: '{up.url}', timeout: 500ms}}
  down: {{url: '{down.url}'}}
"""
        async with serving(config, tmp_path) as hub, Client(hub.url) as client:
            session = await client.open()
            await client.names()
            await client.call("up__echo", secret=ARGUMENT)
            await session.call("up__echo", secret=ARGUMENT)
            for name in ("fails", "refuses", "errs", "sulks"):
                await client.modern("tools/call", {"name": f"up__{name}", "arguments": {"secret": ARGUMENT}})
            up.left.clear()
            hung_up = asyncio.create_task(client.call("up__waits"))
            await up.until("tools/call", 7)
            hung_up.cancel()
            await up.left.wait()
            up.left.clear()
            cancelled = asyncio.create_task(session.post("tools/call", {"name": "up__waits"}, number=9))
            await up.until("tools/call", 8)
            await session.post("notifications/cancelled", {"requestId": 9}, number=None)
            await asyncio.gather(up.left.wait(), cancelled)
            await client.ask("prompts/get", {"name": "up__ask", "arguments": {"a": ARGUMENT}})
            await client.ask("resources/read", {"uri": "up+note://1"})
            completed = {"ref": {"type": "ref/prompt", "name": "up__ask"}, "argument": {"name": "a", "value": ARGUMENT}}
            await client.ask("completion/complete", completed)
            await _strangely_named(client)
            await down.stop()
            await client.call("down__echo", secret=ARGUMENT)
    with closing(sqlite3.connect(tmp_path / "data" / "hub.db")) as store:
        rows = store.execute("SELECT client, upstream, method, name, outcome FROM calls ORDER BY seq").fetchall()
        owners = store.execute("SELECT DISTINCT tenant, issuer, subject FROM calls").fetchall()
        columns = [column[1] for column in store.execute("PRAGMA table_info(calls)").fetchall()]
        times = store.execute("SELECT min(at), max(at), min(milliseconds) FROM calls").fetchone()
    assert rows == GOLDEN
    assert owners == [("default", "local", "me")]
    assert set(columns) == {
        "tenant", "seq", "at", "issuer", "subject", "client", "upstream", "method", "name", "outcome", "milliseconds"
    }  # fmt: skip
    assert times[1] - times[0] < 30
    assert times[2] > 0
    assert ARGUMENT.encode() not in b"".join(each.read_bytes() for each in (tmp_path / "data").iterdir())


async def _strangely_named(client: Client) -> None:
    """A call of a client whose name tries to begin a line of its own."""
    info = {"name": "a\nb", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    opened = await client.post(message("initialize", params))
    headers = {**opened.request.headers, "mcp-session-id": opened.headers["mcp-session-id"]}
    headers.pop("content-length")
    await client.post(message("tools/call", {"name": "up__echo", "arguments": {"secret": ARGUMENT}}), headers)
