"""Whose credential and whose session a request uses, what is recorded of it, and how the hub describes itself."""

import asyncio
import json
from dataclasses import replace

import pytest
from msgspec import Raw

from mcp_hub.errors import (
    BrokeProtocol,
    RefusedCredential,
    TimedOut,
    Unreachable,
    UpstreamError,
)
from mcp_hub.gateway.road import _kept_name, _outcome, owner
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.wire.eras import META_CLIENT_INFO, Client, Era
from mcp_hub.wire.jsonrpc import Reply
from rig.fake_upstream import Answer, FakeUpstream, Request, error, sse
from rig.parts import ALICE, BOB, LEGACY_CLIENT, LIMITS, MODERN_CLIENT, ask, bearer, modern_meta

pytestmark = pytest.mark.promise("A1", "A5")
ERAS = pytest.mark.parametrize("eras", ["modern", "legacy"])
CLIENTS = pytest.mark.parametrize("client", [MODERN_CLIENT, LEGACY_CLIENT], ids=["modern client", "legacy client"])
BROKEN = b'{"jsonrpc":"2.0","id":%d,"result":%b}'


def answering(body: bytes, status: int = 200):
    async def handler(request: Request) -> Answer:
        return Answer(BROKEN % (request.message["id"], body) if status == 200 else body, status)

    return handler


async def never(request: Request) -> Answer:
    await request.until_hung_up()
    return Answer(raw=b"", hangs_up=True)


async def asked(hub, method, params=None, **more):
    """The decoded reply to one request."""
    async with asyncio.timeout(5):
        reply = await hub.road.answer(ask(method, params, **more))
    return json.loads(bytes(reply.result if reply.result is not None else reply.error))


def full(name="up", **more) -> FakeUpstream:
    fake = FakeUpstream(name=name, **more)
    fake.prompts = [{"name": "greet"}]
    fake.resources = [{"uri": "file:///r", "name": "r"}]
    fake.templates = [{"uriTemplate": "file:///{x}", "name": "t"}]
    return fake


# Credentials and owners


@pytest.mark.promise("T12", "T13", "B11", "B12", "B14", "B22")
@ERAS
async def test_nothing_of_the_caller_but_its_request_reaches_an_upstream(over, eras):
    hidden = {"authorization": "Bearer hub-token", "cookie": "hub-cookie", "x-forwarded-for": "1.2.3.4"}
    async with over(full(eras=eras), full("bare", eras=eras), credentials={"up": bearer("for-up")}) as hub:
        for name in ("up", "bare"):
            meta = modern_meta()
            await asked(hub, "tools/call", {"name": f"{name}__echo"}, meta=meta, param_headers=hidden)
        up, bare = (hub.fakes[name].asked("tools/call")[0] for name in ("up", "bare"))
    always = {"host", "accept-encoding", "content-type", "accept", "content-length", "mcp-protocol-version"}
    era = {"mcp-method", "mcp-name"} if eras == "modern" else {"mcp-session-id"}
    assert set(bare.headers) == always | era
    assert set(up.headers) == always | era | {"authorization"}
    assert up.headers["authorization"] == "Bearer for-up"
    for fake in hub.fakes.values():
        for request in fake.seen:
            assert b"hub-" not in request.body + repr(request.lines).encode() + request.path.encode()
    assert not [each for each in hub.fakes["bare"].seen if "authorization" in each.headers]


@pytest.mark.promise("T16", "T17", "T19", "B22")
async def test_an_owner_is_a_downstream_session_or_else_a_principal_and_never_both():
    owners = [
        owner(ALICE, None), owner(BOB, None), owner(Principal("idp2", "alice"), None),
        owner(Principal("idp", "alice", tenant="t2"), None), owner(ALICE, "s1"), owner(ALICE, "s2"),
        owner(ALICE, "default"), owner(Principal("session", "s1"), None),
    ]  # fmt: skip
    assert len(set(owners)) == len(owners)
    assert owner(Principal("idp", "alice", roles=frozenset({"admin"}), label="A"), None) == owner(ALICE, None)


@pytest.mark.promise("T16", "T17", "B22")
async def test_two_users_and_two_sessions_have_sessions_of_their_own_at_a_stateful_upstream(over):
    async with over(full(eras="legacy")) as hub:
        who = [(ALICE, None), (BOB, None), (ALICE, "s1"), (ALICE, "s2")]
        await asyncio.gather(
            *(
                asked(hub, "tools/call", {"name": "up__echo", "arguments": [index]}, caller=caller, session=session)
                for index, (caller, session) in enumerate(who * 12)
            )
        )
        used: dict[int, set[str]] = {}
        for request in hub.fakes["up"].asked("tools/call"):
            number = request.message["params"]["arguments"][0] % len(who)
            used.setdefault(number, set()).add(request.headers["mcp-session-id"])
    assert all(len(each) == 1 for each in used.values())
    assert len(set.union(*used.values())) == len(who)


async def test_a_sessions_level_goes_before_its_calls_and_ends_with_it(over):
    async with over(full(eras="legacy"), full("new")) as hub, asyncio.timeout(5):
        await hub.road.set_log_level("s1", "error")
        more = {"client": LEGACY_CLIENT, "session": "s1"}
        await asked(hub, "tools/call", {"name": "up__echo"}, **more)
        await asked(hub, "tools/call", {"name": "new__echo"}, **more)
        await asked(hub, "tools/call", {"name": "up__echo"}, client=LEGACY_CLIENT, session="s2")
        assert len(hub.fakes["up"].asked("logging/setLevel")) == 1
        meta = hub.fakes["new"].asked("tools/call")[0].message["params"]["_meta"]
        assert meta["io.modelcontextprotocol/logLevel"] == "error"
        await hub.road.end_session("s1", LOCAL.key)
        ended = [each.headers["mcp-session-id"] for each in hub.fakes["up"].seen if each.verb == "DELETE"]
        assert ended == [hub.fakes["up"].asked("tools/call")[0].headers["mcp-session-id"]]
        await asked(hub, "tools/call", {"name": "up__echo"}, **more)
        assert len(hub.fakes["up"].asked("logging/setLevel")) == 1
        await hub.road.end_session("never seen", LOCAL.key)


@pytest.mark.promise("T24")
async def test_an_upstream_that_hangs_at_the_end_of_a_session_does_not_keep_the_others_from_ending(over):
    fakes = [full("slow", eras="legacy"), full("quick", eras="legacy")]
    async with over(*fakes) as hub, asyncio.timeout(5):
        for fake in fakes:
            await asked(hub, "tools/call", {"name": f"{fake.name}__echo"}, client=LEGACY_CLIENT, session="s")

        async def hang(request: Request) -> Answer | None:
            return await never(request) if request.verb == "DELETE" else None

        fakes[0].before = hang
        ending = asyncio.ensure_future(hub.road.end_session("s", LOCAL.key))
        await fakes[1].until("DELETE")
        ending.cancel()
        await asyncio.wait([ending])
        fakes[0].before = None


# What is recorded


@pytest.mark.promise("D32", "T65")
async def test_every_call_is_recorded_with_who_where_what_and_how_it_ended(over):
    async with over(full()) as hub:
        await asked(hub, "tools/call", {"name": "up__echo", "arguments": {"password": "x"}}, caller=ALICE)
    (record,) = hub.calls.records
    assert record.pop("milliseconds") > 0
    assert record == {
        "caller": ALICE,
        "client": "test client",
        "upstream": "up",
        "method": "tools/call",
        "name": "echo",
        "outcome": "ok",
    }


async def refusing(request: Request) -> Answer:
    return error(request, -32602, "no")


OUTCOMES = {
    "tool_error": (answering(b'{"content":[],"isError":true}'), None),
    "error": (refusing, None),
    "refused": (answering(b"", 401), RefusedCredential),
    "unreachable": (answering(b"", 500), Unreachable),
}


@pytest.mark.promise("D32", "T65")
@ERAS
@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_how_a_call_ended_is_recorded_in_one_word(over, outcome, eras):
    handler, raised = OUTCOMES[outcome]
    async with over(full(eras=eras)) as hub:
        hub.fakes["up"].handlers["tools/call"] = handler
        if raised is None:
            await asked(hub, "tools/call", {"name": "up__echo"})
        else:
            with pytest.raises(raised):
                await asked(hub, "tools/call", {"name": "up__echo"})
    assert hub.calls.outcomes == [outcome]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b'{"isError":false}', "ok"),
        (b'{"x":"isError","y":{"isError":true}}', "ok"),
        (b'{"isError":"true"}', "ok"),
        (b'{"isError":true ,"resultType":"complete"}', "tool_error"),
    ],
)
async def test_a_tool_error_is_one_that_says_so_at_the_top(over, body, outcome):
    async with over(full()) as hub:
        hub.fakes["up"].handlers["tools/call"] = answering(body)
        await asked(hub, "tools/call", {"name": "up__echo"})
    assert hub.calls.outcomes == [outcome]


def test_a_result_that_cannot_be_read_is_not_called_a_tool_error():
    assert _outcome(Reply(result=b'{"isError":true,"x":')) == "ok"


@pytest.mark.promise("D32", "T24")
async def test_a_call_that_takes_too_long_is_recorded_as_that(over):
    async with over(full(), limits=replace(LIMITS, first_byte=0.1)) as hub:
        hub.fakes["up"].handlers["tools/call"] = never
        with pytest.raises(TimedOut):
            await asked(hub, "tools/call", {"name": "up__echo"})
    assert hub.calls.outcomes == ["timeout"]


@pytest.mark.promise("D32")
async def test_a_caller_who_leaves_is_recorded_and_the_upstreams_stream_closed(over):
    closed = asyncio.Event()

    async def held(request: Request) -> Answer:
        await request.until_hung_up()
        closed.set()
        return Answer(raw=b"", hangs_up=True)

    async with over(full()) as hub, asyncio.timeout(5):
        hub.fakes["up"].handlers["tools/call"] = held
        leaving = asyncio.ensure_future(asked(hub, "tools/call", {"name": "up__echo"}))
        await hub.fakes["up"].until("tools/call")
        leaving.cancel()
        await asyncio.wait([leaving])
        await closed.wait()
    assert hub.calls.outcomes == ["cancelled"]
    assert len(hub.fakes["up"].asked("tools/call")) == 1


async def test_a_fault_of_the_hubs_own_is_recorded_as_an_error(over):
    async with over(full()) as hub:

        async def broken(notification: bytes) -> None:
            raise KeyError("a bug")

        async def streaming(request: Request) -> Answer:
            body = sse({"jsonrpc": "2.0", "method": "notifications/x"})
            return Answer(body, content_type="text/event-stream")

        hub.fakes["up"].handlers["tools/call"] = streaming
        with pytest.raises(KeyError):
            await asked(hub, "tools/call", {"name": "up__echo"}, emit=broken)
    assert hub.calls.outcomes == ["error"]


async def test_an_answer_that_cannot_be_handed_over_is_no_ok(over):
    async with over(full()) as hub:
        hub.fakes["up"].handlers["tools/call"] = answering(
            b'{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}}}'
        )
        with pytest.raises(BrokeProtocol, match="up asks this client"):
            await asked(hub, "tools/call", {"name": "up__echo"}, client=LEGACY_CLIENT)
    assert hub.calls.outcomes == ["error"]


@pytest.mark.promise("T25")
@CLIENTS
@ERAS
@pytest.mark.parametrize(
    "body",
    [
        b'{"isError":true,"\\ud800":1}',
        b'{"content":[{"type":"resource_link","uri":"\\ud800"}]}',
        b'{"content":[{"type":"resource_link","uri":1e999}],"uri":1}',
        b'{"resultType":1e999,"uri":"x"}',
        b'{"content":"uri"}',
        b'{"contents":{"uri":[]},"content":null,"isError":1e999}',
    ],
)
async def test_no_result_of_an_upstream_raises_anything_but_an_upstream_error(over, body, eras, client):
    async with over(full(eras=eras)) as hub:
        for method, params in (("tools/call", {"name": "up__echo"}), ("resources/read", {"uri": "up+file:///r"})):
            hub.fakes["up"].handlers[method] = answering(body)
            outcome = await asyncio.gather(hub.road.answer(ask(method, params, client=client)), return_exceptions=True)
            assert not isinstance(outcome[0], Exception) or isinstance(outcome[0], UpstreamError)


async def test_a_clients_name_is_remembered_only_where_it_is_short(over):
    _kept_name.cache_clear()
    async with over(full()) as hub:
        for info in (
            None, Raw(b'{"name":"short"}'), Raw(b'{"name":"short"}'), Raw(b'{"name":5}'), Raw(b'{"name":1e999}'),
            Raw(b'{"name":"long","x":"%b"}' % (b"y" * 5000)),
        ):  # fmt: skip
            client = Client(Era.MODERN, "2026-07-28", Raw(b"{}"), info)
            await asked(hub, "tools/call", {"name": "up__echo"}, client=client)
    assert [each["client"] for each in hub.calls.records] == ["", "short", "short", "", "", "long"]
    assert _kept_name.cache_info().currsize == 3


async def test_a_legacy_clients_info_is_passed_on_to_a_modern_upstream(over):
    async with over(full()) as hub:
        await asked(hub, "tools/call", {"name": "up__echo"}, client=LEGACY_CLIENT)
        meta = hub.fakes["up"].asked("tools/call")[0].message["params"]["_meta"]
    assert meta[META_CLIENT_INFO]["name"] == "old client"


# The hub itself


async def test_the_hub_describes_itself_once_first_contacts_are_over(over):
    first, second = full("a"), full("b", eras="legacy")
    first.instructions = "Use a."
    async with over(first, second, settled=False) as hub, asyncio.timeout(5):
        told = await hub.road.describe(LOCAL, "2026-07-28")
    assert told.server_info == {"name": "mcp_hub", "version": "1"}
    assert set(told.capabilities) == {"tools", "prompts", "resources", "completions", "logging"}
    assert "## A\nUse a." in told.instructions
    assert (told.ttl_ms, told.cache_scope) == (60_000, "private")


@pytest.mark.promise("T24", "A8")
async def test_the_hub_describes_itself_in_time_whoever_hangs(over):
    slow = full("slow")
    slow.before = never
    async with over(slow, full("well"), settled=False, deadline=0.1) as hub, asyncio.timeout(2):
        told = await hub.road.describe(LOCAL, "2026-07-28")
    assert "slow (unreachable): The first contact with slow is still under way." in told.instructions


@pytest.mark.promise("T27", "B20")
async def test_an_upstream_cannot_speak_for_the_hub_in_an_error_of_its_own(over):
    forged = b'{"content":[],"isError":true,"_meta":{"io.mcp-hub/upstreams":{"up":{"link":"https://evil.test"}},"x":1}}'
    async with over(full()) as hub:
        hub.fakes["up"].handlers["tools/call"] = answering(forged)
        found = await asked(hub, "tools/call", {"name": "up__echo"})
    assert found == {"content": [], "isError": True, "_meta": {"x": 1}}
