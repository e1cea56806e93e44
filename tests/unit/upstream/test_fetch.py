"""One upstream's lists: complete, bounded, and broken only where they are broken."""

import asyncio
from dataclasses import replace

import pytest

from mcp_hub.catalog.parts import Kind
from mcp_hub.errors import BrokeProtocol, TimedOut, Unreachable, UpstreamError
from mcp_hub.upstream.answer import NotModern, SessionGone
from mcp_hub.upstream.probe import probe
from rig.fake_upstream import Answer, FakeUpstream, Request, error, result, tool
from rig.parts import INFO, LIMITS, bearer, bearing, fetch_from, wires_to

pytestmark = pytest.mark.promise("A1", "A7", "A8")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])


async def part_of(fake: FakeUpstream, **more):
    async with wires_to(fake) as wires, asyncio.timeout(5):
        opening = await probe("up", bearing(wires), INFO, pinned=None)
        return await fetch_from(wires, **more).part(opening)


def names(part, kind=Kind.TOOL):
    return [each[kind.key] for each in part.of(kind)]


def full(**more) -> FakeUpstream:
    fake = FakeUpstream(tools=[f"t{n}" for n in range(7)], **more)
    fake.prompts = [{"name": f"p{n}"} for n in range(3)]
    fake.resources = [{"uri": f"file:///r{n}", "name": "r"} for n in range(4)]
    fake.templates = [{"uriTemplate": f"file:///{n}/{{x}}", "name": "t"} for n in range(2)]
    return fake


def serves(*pages, ids=True):
    """A list that answers these pages in turn, whatever cursor is asked for; the last one again and again."""
    told = iter(range(10**6))

    async def handler(request: Request) -> Answer:
        return result(request, pages[min(next(told), len(pages) - 1)])

    return handler


@ERAS
@pytest.mark.parametrize("page_size", [0, 1, 3])
async def test_all_kinds_are_listed_and_every_cursor_is_followed(eras, page_size):
    async with full(eras=eras, name="up") as fake:
        fake.page_size, fake.instructions = page_size, "Use me."
        part = await part_of(fake)
    assert names(part) == [f"t{n}" for n in range(7)]
    assert [len(part.of(kind)) for kind in Kind] == [7, 3, 4, 2]
    assert part.instructions == "Use me."
    assert part.server_info == {"name": "up", "version": "1"}
    assert part.capabilities == fake.capabilities
    assert part.warnings == ()


async def test_fields_nobody_has_heard_of_are_kept():
    odd = {"x.example/new": {"n": 2**70, "deep": [1, {"a": None}]}, "icons": [{"src": "data:,"}]}
    async with full() as fake:
        fake.tools = [tool("echo", **odd)]
        part = await part_of(fake)
    assert part.of(Kind.TOOL)[0] == tool("echo", **odd)


@ERAS
async def test_kinds_that_are_not_offered_are_not_asked_for(eras):
    async with full(eras=eras) as fake:
        fake.capabilities = {"prompts": {}}
        part = await part_of(fake)
    assert [len(part.of(kind)) for kind in Kind] == [0, 3, 0, 0]
    assert {each.method for each in fake.seen if each.method.endswith("/list")} == {"prompts/list"}


@ERAS
@pytest.mark.parametrize("status", [200, 404])
async def test_a_method_the_upstream_does_not_know_after_all_is_an_empty_list(eras, status):
    async def unknown(request: Request) -> Answer:
        return error(request, -32601, "no", status=200 if eras == "legacy" else status)

    async with full(eras=eras) as fake:
        fake.handlers["resources/templates/list"] = unknown
        part = await part_of(fake)
    assert [len(part.of(kind)) for kind in Kind] == [7, 3, 4, 0]


async def test_an_empty_string_is_a_cursor_and_null_is_none():
    async with full() as fake:
        fake.handlers["tools/list"] = serves(
            {"tools": [tool("a")], "nextCursor": ""}, {"tools": [tool("b")], "nextCursor": None}
        )
        assert names(await part_of(fake)) == ["a", "b"]
    assert [each.message["params"].get("cursor") for each in fake.asked("tools/list")] == [None, ""]


async def test_a_cursor_of_any_characters_goes_back_as_it_came():
    cursor = 'é"\\\n\u2028' + "x" * 1000
    async with full() as fake:
        fake.handlers["tools/list"] = serves({"tools": [], "nextCursor": cursor}, {"tools": []})
        await part_of(fake)
    assert fake.asked("tools/list")[1].message["params"]["cursor"] == cursor


@pytest.mark.promise("T23")
async def test_a_list_of_more_than_32_mebibytes_is_cut():
    told = iter(range(100))

    async def swollen(request: Request) -> Answer:
        tools = [tool(f"t{next(told)}", title="x" * 900 * 1024) for _ in range(10)]
        return result(request, {"tools": tools, "nextCursor": tools[0]["name"]})

    async with FakeUpstream() as fake, wires_to(fake, replace(LIMITS, result=10 * 2**20)) as wires:
        fake.handlers["tools/list"] = swollen
        async with asyncio.timeout(20):
            opening = await probe("up", bearing(wires), INFO, pinned=None)
            part = await fetch_from(wires, deadline=20.0).part(opening)
        assert len(fake.asked("tools/list")) == 4
    assert len(part.of(Kind.TOOL)) == 40
    assert part.warnings == ("up has more tools than the hub follows; the list is cut.",)


@pytest.mark.promise("T23", "T25")
async def test_a_walk_in_a_circle_ends_with_a_warning():
    async with full() as fake:
        fake.handlers["tools/list"] = serves(
            {"tools": [tool("a")], "nextCursor": "1"},
            {"tools": [tool("b")], "nextCursor": "2"},
            {"tools": [tool("c")], "nextCursor": "1"},
        )
        part = await part_of(fake)
    assert names(part) == ["a", "b", "c"]
    assert part.warnings == ("up repeats a cursor of tools/list; the list ends there.",)
    assert len(fake.asked("tools/list")) == 3


@pytest.mark.promise("T23", "T25")
async def test_lists_without_end_are_cut():
    count = iter(range(10**6))

    async def endless(request: Request) -> Answer:
        number = next(count)
        return result(request, {"tools": [tool(f"t{number}"), tool(f"u{number}")], "nextCursor": str(number)})

    async with full() as fake:
        fake.handlers["tools/list"] = endless
        by_pages = await part_of(fake, most_pages=5)
        asked = len(fake.asked("tools/list"))
        by_items = await part_of(fake, most_items=7)
        by_bytes = await part_of(fake, most_bytes=1000)
        asked_then = len(fake.asked("tools/list")) - asked - 4
    assert (asked, len(names(by_pages))) == (5, 10)
    assert len(names(by_items)) == 7
    assert len(names(by_bytes)) == 2 * asked_then
    assert 1 < asked_then < 10, "a page of these has over a hundred bytes, and the one that passes the bound is kept"
    assert (
        by_pages.warnings
        == by_items.warnings
        == by_bytes.warnings
        == ("up has more tools than the hub follows; the list is cut.",)
    )


async def test_a_broken_tool_loses_only_itself_and_is_named():
    broken = [
        {"name": "no-schema"},
        {"inputSchema": {"type": "object"}},
        "not an object",
        {"name": "bad-header", "inputSchema": {"type": "object", "x-mcp-header": "X"}},
    ]
    async with full() as fake:
        fake.tools = [tool("first"), *broken, tool("last")]
        part = await part_of(fake)
    assert names(part) == ["first", "last"]
    assert len(part.warnings) == 4
    assert '"no-schema" is left out' in part.warnings[0]


BROKEN_PAGES = {
    "no list": ({}, "up answered tools/list without a list of tools"),
    "an object": ({"tools": {}}, "up answered tools/list without a list of tools"),
    "null": ({"tools": None}, "up answered tools/list without a list of tools"),
    "text": ({"tools": "x"}, "up answered tools/list without a list of tools"),
}


@ERAS
@pytest.mark.parametrize("page", BROKEN_PAGES)
async def test_a_page_that_is_no_list_is_the_upstreams_fault(page, eras):
    told, sentence = BROKEN_PAGES[page]
    async with full(eras=eras) as fake:
        fake.handlers["tools/list"] = serves(told)
        with pytest.raises(BrokeProtocol, match=sentence):
            await part_of(fake)


@pytest.mark.promise("T10")
async def test_a_list_refused_with_an_error_names_the_code_and_nothing_else():
    async def refuse(request: Request) -> Answer:
        return error(request, -32603, "SECRET")

    async with full() as fake:
        fake.handlers["prompts/list"] = refuse
        with pytest.raises(BrokeProtocol, match="up answered prompts/list with error -32603") as caught:
            await part_of(fake)
    assert "SECRET" not in caught.value.public


@pytest.mark.parametrize(("status", "kind"), [(400, NotModern), (404, SessionGone), (500, Unreachable)])
async def test_one_kind_that_cannot_be_had_fails_the_whole_so_that_the_last_good_list_stays(status, kind):
    async def refuse(request: Request) -> Answer:
        return Answer(b"", status)

    async with full() as fake:
        fake.handlers["prompts/list"] = refuse
        with pytest.raises(kind):
            await part_of(fake)


async def test_hints_that_are_no_hints_are_not_believed():
    page = b'{"jsonrpc":"2.0","id":%d,"result":{"tools":[],"ttlMs":%b,"cacheScope":%b}}'
    outcomes = []
    for ttl, scope in [
        (b"500", b'"public"'), (b"-5", b'"public"'), (b'"9"', b'"public"'), (b"true", b'"public"'),
        (b"1.5", b'"private"'), (b"1e400", b'"public"'), (b"7", b"7"),
    ]:  # fmt: skip

        async def handler(request: Request, ttl=ttl, scope=scope) -> Answer:
            return Answer(page % (request.message["id"], ttl, scope))

        async with full() as fake:
            fake.capabilities = {"tools": {}}
            fake.handlers["tools/list"] = handler
            part = await part_of(fake)
            outcomes.append((part.ttl_ms, part.public))
    assert outcomes == [(500, True), (0, True), (None, False), (None, False), (None, False), (None, False), (7, False)]


async def test_the_shortest_life_and_the_narrowest_scope_of_all_pages_count():
    async with full() as fake:
        fake.capabilities = {"tools": {}, "prompts": {}}
        fake.handlers["tools/list"] = serves(
            {"tools": [], "nextCursor": "1", "ttlMs": 900, "cacheScope": "public"},
            {"tools": [], "ttlMs": 300, "cacheScope": "public"},
        )
        part = await part_of(fake)
        assert (part.ttl_ms, part.public) == (300, True)
        fake.handlers["prompts/list"] = serves({"prompts": [], "ttlMs": 800, "cacheScope": "private"})
        part = await part_of(fake)
        assert (part.ttl_ms, part.public) == (300, False)


async def test_a_legacy_upstream_gives_no_hints():
    async with full(eras="legacy") as fake:
        part = await part_of(fake)
    assert (part.ttl_ms, part.public) == (None, False)


@pytest.mark.promise("T24")
@ERAS
async def test_one_deadline_covers_everything(eras):
    closed = asyncio.Event()

    async def never(request: Request) -> Answer:
        await request.until_hung_up()
        closed.set()
        return Answer(raw=b"", hangs_up=True)

    async with full(eras=eras) as fake:
        fake.handlers["resources/list"] = never
        with pytest.raises(TimedOut, match=r"up did not list what it offers within 0\.1 s"):
            await part_of(fake, deadline=0.1)
        async with asyncio.timeout(5):
            await closed.wait()


async def test_a_list_may_be_sent_twice_and_carries_the_credential():
    met = []

    async def dying(request: Request) -> Answer | None:
        met.append(request.method)
        return (
            Answer(raw=b"", hangs_up=True) if met.count("tools/list") == 1 and request.method == "tools/list" else None
        )

    async with full() as fake, wires_to(fake) as wires, asyncio.timeout(5):
        fake.capabilities = {"tools": {}}
        opening = await probe("up", bearing(wires), INFO, pinned=None)
        fake.before = dying
        part = await fetch_from(wires, credential=bearer("listing")).part(opening)
    assert len(names(part)) == 7
    assert met.count("tools/list") == 2
    assert {each.headers.get("authorization") for each in fake.asked("tools/list")} == {"Bearer listing"}


async def test_a_fetch_that_is_cancelled_leaves_no_request_behind():
    async def never(request: Request) -> Answer:
        await request.until_hung_up()
        return Answer(raw=b"", hangs_up=True)

    async with full() as fake:
        fake.handlers["tools/list"] = never
        task = asyncio.ensure_future(part_of(fake))
        await fake.until("tools/list")
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait([task])
    assert task.cancelled()


def answers(body: bytes):
    async def handler(request: Request) -> Answer:
        return Answer(b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (request.message["id"], body))

    return handler


@pytest.mark.promise("T25")
async def test_an_error_that_is_no_object_is_the_upstreams_fault():
    async def odd(request: Request) -> Answer:
        return Answer(b'{"jsonrpc":"2.0","id":%d,"error":"SECRET"}' % request.message["id"])

    async with full() as fake:
        fake.handlers["tools/list"] = odd
        with pytest.raises(BrokeProtocol, match="not an object") as caught:
            await part_of(fake)
    assert "SECRET" not in caught.value.public


@pytest.mark.promise("T25")
@pytest.mark.parametrize(
    "body",
    [b'{"tools":[],"cacheScope":1e999}', b"[]", b"[" * 10_000, b'{"tools":[1}', b'{"tools":' + b"[" * 10_000 + b"}"],
)
async def test_a_list_that_cannot_be_read_is_the_upstreams_fault(body):
    async with full() as fake:
        fake.handlers["tools/list"] = answers(body)
        with pytest.raises(UpstreamError, match="up "):
            await part_of(fake)


@pytest.mark.promise("T25")
@pytest.mark.parametrize("item", [b"1e999", b"null", b"[]", b'{"name":"x","inputSchema":{"type":"object","n":1e999}}'])
async def test_a_definition_that_cannot_be_read_is_left_out_with_a_warning(item):
    async with full() as fake:
        fake.handlers["tools/list"] = answers(b'{"tools":[%b]}' % item)
        part = await part_of(fake)
    assert names(part) == []
    assert len(part.warnings) == 1
