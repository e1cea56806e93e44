"""Whatever is sent, in either era: an answer below 500, no exception, and nothing that happens to a neighbour.

`MCP_HUB_FUZZ` sets how many examples each of these runs.
"""

import asyncio
import json
import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from unit.inbound.asgi import begin
from unit.inbound.hub import META, MODERN, Hub, message

EXAMPLES = settings(max_examples=int(os.environ.get("MCP_HUB_FUZZ", "60")), deadline=None)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
methods = st.sampled_from(
    [
        "tools/list", "tools/call", "prompts/get", "resources/read", "initialize", "ping", "logging/setLevel",
        "server/discover", "notifications/initialized", "notifications/cancelled", "test/error", "nothing",
    ]
)  # fmt: skip
ids = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([1])
metas = st.just(META) | st.dictionaries(st.sampled_from(list(META)), json_values) | json_values
params = st.fixed_dictionaries(
    {},
    optional={
        "_meta": metas,
        "name": json_values,
        "uri": json_values,
        "arguments": json_values.filter(lambda value: not (isinstance(value, dict) and value.get("wait"))),
        "requestId": ids,
        "level": json_values,
        "protocolVersion": st.sampled_from([MODERN, "2025-03-26", "2025-11-25"]) | json_values,
        "capabilities": json_values,
        "clientInfo": json_values,
    },
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | json_values,
        "id": ids,
        "method": methods | json_values,
        "params": params | json_values,
        "result": json_values,
        "error": json_values,
    },
)
requests = st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": ids, "method": methods, "params": params})
encoded = st.builds(
    lambda value, cut, noise: (body := json.dumps(value).encode())[: len(body) - cut] + noise,
    messages | requests | st.lists(messages | requests, max_size=4) | json_values,
    st.integers(0, 3),
    st.sampled_from([b"", b"", b" ", b"\x00", b"\xff", b"}"]),
)
bodies = encoded | st.binary(max_size=40)
header_names = st.sampled_from(
    [
        "host", "origin", "accept", "content-type", "content-length", "mcp-protocol-version", "mcp-method", "mcp-name",
        "mcp-param-x", "x-other",
    ]
)  # fmt: skip
header_values = (
    st.sampled_from(
        [
            "localhost", "http://localhost", "*/*", "application/json", "text/event-stream", MODERN, "2025-11-25",
            "2025-03-26", "tools/call", "tools/list", "=?base64?ZQ==?=", "=?base64?", "0", "99999999",
        ]
    )
    | st.text(st.characters(max_codepoint=255), max_size=12)
)  # fmt: skip
headers = st.lists(st.tuples(header_names, header_values), max_size=5)
verbs = st.sampled_from(["POST", "POST", "POST", "DELETE", "PUT"])
usual = [("host", "localhost"), ("content-type", "application/json"), ("accept", "*/*")]


async def attack(method, lines, parts, session) -> None:
    hub = Hub()
    neighbour = await hub.open("2025-06-18", x_caller="alice")
    own = await hub.open(session, x_caller="bob") if session else None
    waiting = hub.begin_legacy(neighbour, "tools/call", {"arguments": {"wait": True}}, number=1, x_caller="alice")
    await hub.road.entered.wait()
    lines = [*lines, ("x-caller", "bob"), *([("mcp-session-id", own)] if own else [])]
    response = await begin(hub.endpoint, method, lines, parts).response()
    assert 200 <= response.status < 500
    if response.headers.get("content-type") == "application/json":
        json.loads(response.body)
    hub.road.release.set()
    assert (await waiting.response()).json["result"] == {"content": []}, "a neighbour's call is not disturbed"
    state = hub.sessions._all[neighbour]
    assert (state.client.revision, state.owner[2], state.running) == ("2025-06-18", "alice", {})
    assert neighbour not in hub.road.ended
    await hub.sessions.settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing is left running"


def split(body: bytes, pieces: int) -> list[bytes]:
    size = max(1, len(body) // pieces)
    return [body[start : start + size] for start in range(0, len(body), size)]


@pytest.mark.promise("T25")
@EXAMPLES
@given(bodies, st.integers(1, 3))
@example(b'{"jsonrpc":"2.0","id":"\\ud800","method":"tools/list"}', 1)
@example(b'{"jsonrpc":"2.0","id":1e999,"method":"tools/list"}', 1)
@example(b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}', 1)
def test_no_modern_body_breaks_anything(body, pieces):
    lines = [*usual, ("mcp-protocol-version", MODERN), ("mcp-method", "tools/call")]
    asyncio.run(attack("POST", lines, split(body, pieces), None))


@pytest.mark.promise("T25")
@EXAMPLES
@given(bodies, st.integers(1, 3), st.sampled_from([None, "2025-03-26", "2025-11-25"]))
@example(b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', 1, "2025-11-25")
@example(b'{"jsonrpc":"2.0","id":-,"method":"ping"}', 1, "2025-11-25")
@example(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"\\ud800"}}', 1, "2025-11-25")
def test_no_legacy_body_breaks_anything(body, pieces, session):
    asyncio.run(attack("POST", usual, split(body, pieces), session))


@pytest.mark.promise("T25")
@EXAMPLES
@given(verbs, headers, st.booleans(), st.sampled_from([None, "2025-11-25"]))
def test_no_headers_break_anything(method, extra, keep_usual, session):
    lines = [*(usual if keep_usual else []), *extra]
    body = message("tools/call", {"name": "e", "_meta": META} if session is None else {"name": "e"})
    asyncio.run(attack(method, lines, [body], session))
