"""Attacks by session ids, and by web pages: whoever does not hold an id has no session, and no page has anything."""

import asyncio
import json
import re
import string
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interaction.whole_hub import USUAL, Client, message, modern, said, serving
from rig.fake_upstream import Answer, FakeUpstream, Request, result


class Counting(FakeUpstream):
    """A legacy upstream whose tool counts the calls of a session, and says in which one it was called."""

    def __init__(self) -> None:
        super().__init__(eras="legacy")
        self.counts: Counter[str] = Counter()
        self.handlers["tools/call"] = self.count

    async def count(self, request: Request) -> Answer | None:
        session = request.headers.get("mcp-session-id", "")
        if session not in self.sessions:
            return None
        self.counts[session] += 1
        given = request.message["params"].get("arguments", {})
        text = json.dumps({"session": session, "count": self.counts[session], **given})
        return result(request, {"content": [{"type": "text", "text": text}]})


@pytest.fixture
async def counting() -> AsyncIterator[Counting]:
    async with Counting() as started:
        yield started


@pytest.fixture
async def client(counting: Counting, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a hub in front of the counting upstream."""
    config = f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams: {{up: {{url: '{counting.url}'}}}}\n"
    async with serving(config, tmp_path) as hub, Client(hub.url) as client:
        yield client


@pytest.mark.promise("T16", "T17")
async def test_each_session_has_state_of_its_own_upstream_whatever_runs_at_once(client: Client):
    owners = {"a": await client.open(), "b": await client.open(), "c": client}

    async def called(owner: str, number: int) -> dict:
        return json.loads(said(await owners[owner].call("up__echo", owner=owner, number=number)))

    told = await asyncio.gather(*(called(owner, number) for number in range(25) for owner in owners))
    for owner in owners:
        own = [each for each in told if each["owner"] == owner]
        assert sorted(each["number"] for each in own) == list(range(25))
        assert sorted(each["count"] for each in own) == list(range(1, 26)), "nobody else's calls are counted"
        assert len({each["session"] for each in own}) == 1
    assert len({each["session"] for each in told}) == 3


@pytest.mark.promise("T16", "T17", "T19")
async def test_an_ended_session_takes_its_own_upstream_session_along_and_no_other(client: Client, counting: Counting):
    one, other = await client.open(), await client.open()
    mine = json.loads(said(await one.call("up__echo")))["session"]
    await other.call("up__echo")
    ended = await client.http.delete(client.url, headers=one.headers)
    assert ended.status_code == 204
    await counting.until("DELETE")
    (deleted,) = [request for request in counting.seen if request.verb == "DELETE"]
    assert deleted.headers["mcp-session-id"] == mine
    assert json.loads(said(await other.call("up__echo")))["count"] == 2


@pytest.mark.promise("T19")
async def test_session_ids_are_long_random_and_no_hint_at_each_other(client: Client, counting: Counting):
    ids = [(await client.open()).id for _ in range(30)]
    assert len(set(ids)) == 30
    alphabet = string.ascii_letters + string.digits + "-_"
    assert all(len(each) >= 22 and set(each) <= set(alphabet) for each in ids), "128 bits need 22 of 64 characters"
    for place in range(22):
        assert len({each[place] for each in ids}) > 10, "every place of an id is as good as any"
    assert not any(each in json.dumps([dict(request.lines) for request in counting.seen]) for each in ids)


def _not_ids(known: str) -> list[str]:
    last = "A" if known[-1] != "A" else "B"
    return [
        known[:-1] + last,
        known.swapcase(),
        known[:-1],
        known + "A",
        known + "=",
        known[::-1],
        "session-0",
        "0",
        "",
    ]


async def _statuses(client: Client, headers: dict[str, str]) -> list[int]:
    """What POST, GET and DELETE answer to these headers."""
    found = [await client.post(message("tools/list"), headers)]
    found += [await client.http.request(verb, client.url, headers=headers) for verb in ("GET", "DELETE")]
    return [response.status_code for response in found]


@pytest.mark.promise("T19", "T20")
async def test_an_id_that_was_guessed_or_is_over_is_nobodys(client: Client):
    session = await client.open()
    for guess in _not_ids(session.id):
        assert await _statuses(client, {**session.headers, "Mcp-Session-Id": guess}) == [404, 404, 404], guess
    assert (await session.ask("tools/list"))["tools"], "and it harmed the real one in nothing"
    assert (await client.http.delete(client.url, headers=session.headers)).status_code == 204
    assert await _statuses(client, session.headers) == [404, 404, 404]


@pytest.mark.promise("T19")
async def test_an_id_beside_another_one_is_neither(client: Client):
    one, other = await client.open(), await client.open()
    twice = [*{**USUAL, **one.headers}.items(), ("Mcp-Session-Id", other.id)]
    content = json.dumps(message("tools/list")).encode()
    assert (await client.http.post(client.url, content=content, headers=twice)).status_code == 400


@pytest.mark.promise("T20")
async def test_a_stream_stays_with_its_owner_until_its_session_ends(client: Client):
    session = await client.open()
    async with client.http.stream("GET", client.url, headers=session.headers) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert "mcp-session-id" not in stream.headers
        for guess in _not_ids(session.id):
            stolen = await client.http.get(client.url, headers={**session.headers, "Mcp-Session-Id": guess})
            assert stolen.status_code == 404
        async with client.http.stream("GET", client.url, headers=session.headers) as second:
            assert second.status_code == 200, "a second one of its own takes nothing from the first"
        ended = asyncio.create_task(stream.aread())
        assert (await session.ask("ping")) == {}
        assert not ended.done()
        await client.http.delete(client.url, headers=session.headers)
        async with asyncio.timeout(5):
            rest = await ended
        begun = rb"id: n\.[\w-]{8}\.1\nretry: 3000\ndata: \n\n"
        assert re.fullmatch(rb"(: keep-alive\n\n|%b)*" % begun, rest), "nothing of anybody was ever on it"


# Pages in a browser on this computer

PAGES = ("/mcp", "/", "/api/v1/status", "/api/v1/upstreams/up/refresh", "/nothing")
EVIL_HOSTS = (
    "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "localhost@evil.example",
    "evil.example#127.0.0.1", "127.0.0.2", "0.0.0.0", "[::]", "2130706433", "localhost, evil.example", "",
)  # fmt: skip
EVIL_ORIGINS = (
    "http://evil.example", "https://evil.example:8080", "null", "http://localhost.evil.example", "file://localhost",
    "http://127.0.0.1.evil.example", "http://localhost, http://evil.example", "chrome-extension://abc", "localhost", "",
)  # fmt: skip


async def _asked(client: Client, page: str, headers: dict[str, str]) -> int:
    base = client.url.removesuffix("/mcp")
    if page == "/mcp":
        body, said_too = modern("tools/call", {"name": "up__echo"})
        response = await client.post(body, {**said_too, **headers})
    else:
        verb = "POST" if page.endswith("refresh") else "GET"
        response = await client.http.request(verb, base + page, headers=headers)
    assert not any(name.startswith("access-control-") for name in response.headers)
    return response.status_code


@pytest.mark.promise("T22")
async def test_no_page_but_the_probes_answers_to_a_foreign_name_or_a_foreign_page(client: Client, counting: Counting):
    await client.names()
    before = len(counting.seen)
    for page in PAGES:
        for host in EVIL_HOSTS:
            assert await _asked(client, page, {"Host": host}) == 421, (page, host)
        for origin in EVIL_ORIGINS:
            assert await _asked(client, page, {"Origin": origin}) == 403, (page, origin)
    for probe in ("/healthz", "/readyz"):
        assert await _asked(client, probe, {"Host": "10.1.2.3:8080"}) == 200, "supervisors ask by address"
        assert await _asked(client, f"{probe}/../api/v1/status", {"Host": "evil.example"}) == 421
        assert await _asked(client, f"{probe}%2f..%2fapi/v1/status", {"Host": "evil.example"}) == 421
    assert len(counting.seen) == before, "nothing of it reached an upstream"


@pytest.mark.promise("T22")
async def test_our_own_names_and_pages_are_served(client: Client):
    port = client.url.split(":")[2].partition("/")[0]
    for headers in ({"Host": f"localhost:{port}"}, {"Host": "LOCALHOST"}, {"Origin": f"http://127.0.0.1:{port}"}):
        assert [await _asked(client, page, headers) for page in PAGES] == [200, 200, 200, 200, 404]


@pytest.mark.promise("T22")
async def test_a_page_gets_no_leave_to_ask_across_origins(client: Client):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "mcp-method,content-type"}
    for origin in ("http://evil.example", "http://localhost"):
        for page in PAGES:
            response = await client.http.options(
                client.url.removesuffix("/mcp") + page, headers={**asks, "Origin": origin}
            )
            assert response.status_code >= 400
            assert not any(name.startswith("access-control-") for name in response.headers)


@pytest.mark.promise("T22")
async def test_a_request_without_one_clear_name_is_refused(client: Client):
    port = int(client.url.split(":")[2].partition("/")[0])
    for lines in (b"", b"Host: localhost\r\nHost: evil.example\r\n", b"Host:\r\n", b"Host: a\x80\r\n"):
        for version in (b"1.1", b"1.0"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /api/v1/status HTTP/%b\r\n%bConnection: close\r\n\r\n" % (version, lines))
            async with asyncio.timeout(5):
                status = (await reader.read()).split()[1]
            writer.close()
            assert status in (b"400", b"421"), (lines, version)
