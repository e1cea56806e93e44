"""What the fuzz tests draw from: messages bent out of shape, headers, and whole answers of an upstream.

A message is bent where it is decoded, and whatever no JSON encoder writes (`NaN`, a key that stands twice, a lone
surrogate, raw bytes) is put in its encoded form afterwards. So most of what is drawn is nearly right, and gets far.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from interaction.whole_hub import LEGACY, MODERN, message, modern

Json = dict[str, Any]
Lines = list[tuple[str, str]]

FRAGMENTS: Final = [
    b"null", b"true", b"-1", b"0", b"1.5", b'""', b'"x"', b"[]", b"{}", b"[null]", b'{"a":{}}',
    b"NaN", b"-Infinity", b"1e999", b"-0", b"9007199254740993", b"1" * 400, b"0x10", b"01", b"-", b"'x'", b"",
    b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000\\r\\n\\u2028"', b'"\xff"', b'"\x00"', b'"\\x"', b'"',
    b'"\xef\xbf\xbf"',
    b'{"a":1,"a":2}', b'{"":[{"":{}}]}', b"[" * 3000 + b"]" * 3000, b'{"a":' * 500 + b"1" + b"}" * 500, b"[" * 50,
    b'"' + b"long " * 400 + b'"', b"[" + b"1," * 999 + b"1]", b'"=?base64?ZQ==?="', b'"../../x"',
    b'"good-old+note://1"',
]  # fmt: skip
"""What may stand in place of any part of a message, most of it valid JSON and some of it not."""

WAYS: Final = ("replace", "replace", "drop", "add", "twice")
bends = st.lists(st.tuples(st.sampled_from(WAYS), st.integers(0, 30), st.sampled_from(FRAGMENTS)), max_size=3)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)

# Bending


def bent(value: Any, bendings: list[tuple[str, int, bytes]]) -> bytes:
    """The value, encoded, with some of its parts replaced, dropped or doubled."""
    value = json.loads(json.dumps(value))
    fragments: list[bytes] = []
    for way, place, fragment in bendings:
        parts = list(_parts(value))
        if parts:
            _bend(*parts[place % len(parts)], way, f"@{len(fragments)}@")
        fragments.append(fragment)
    encoded = json.dumps(value).encode()
    for number, fragment in enumerate(fragments):
        mark = b'"@%d@' % number
        encoded = encoded.replace(mark + b'again"', mark[:1] + b'method"').replace(mark + b'"', fragment)
    return encoded


def _parts(value: Any):
    """Every place in a value, as what holds it and where."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _parts(inner)


def _bend(holder: Any, key: Any, way: str, mark: str) -> None:
    if way == "drop":
        del holder[key]
    elif way == "add" and isinstance(holder, dict):
        holder[mark + "again"] = mark
    elif way == "twice" and isinstance(holder, dict):
        holder[mark + "again"] = holder[key]
    else:
        holder[key] = mark


# Requests of a client

SESSION: Final = "@session@"
BATCHING: Final = "@batching@"
"""Stand for the ids of the client's own sessions; the second is of the one revision that knows batches."""
VERBS: Final = ("POST", "GET", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH", "FOO")

REQUESTS: Final = {
    "tools/list": {},
    "tools/call": {"name": "good-new__echo", "arguments": {"a": [1, {"b": "c"}]}, "_meta": {"progressToken": 7}},
    "tools/call ": {"name": "good-new__mirror", "arguments": {"a": "eu 中", "b": True, "c": {"d": 7}}},
    "prompts/list": {"cursor": "x"},
    "prompts/get": {"name": "good-old__ask", "arguments": {"a": "b"}},
    "resources/list": {},
    "resources/templates/list": {},
    "resources/read": {"uri": "good-new+note://1"},
    "resources/read ": {"uri": "good-new+note://a/b/c?d=e"},
    "completion/complete": {
        "ref": {"type": "ref/prompt", "name": "good-old__ask"},
        "argument": {"name": "a", "value": "v"},
    },
    "completion/complete ": {
        "ref": {"type": "ref/resource", "uri": "good-old+note://{+a}{?d}"},
        "argument": {"name": "a", "value": "v"},
        "context": {"arguments": {"b": "c"}},
    },
    "server/discover": {},
    "subscriptions/listen": {"notifications": {"toolsListChanged": True}},
    "initialize": {
        "protocolVersion": LEGACY,
        "capabilities": {"roots": {}},
        "clientInfo": {"name": "c", "version": "1"},
    },
    "ping": {},
    "logging/setLevel": {"level": "debug"},
    "resources/subscribe": {"uri": "good-new+note://1"},
    "notifications/initialized": {},
    "notifications/cancelled": {"requestId": 1, "reason": "why not"},
    "nonsense": {"a": 1},
}
"""Proper parameters by method; a blank behind a method tells two of the same apart."""
methods = st.sampled_from(sorted(REQUESTS))


@dataclass(frozen=True)
class Sent:
    """One HTTP request as it is sent."""

    verb: str
    lines: Lines
    body: bytes


HEADER_NAMES: Final = [
    "host", "origin", "accept", "content-type", "content-length", "mcp-protocol-version", "mcp-method", "mcp-name",
    "mcp-param-a", "mcp-param-d", "mcp-session-id", "last-event-id", "authorization", "transfer-encoding", "x-other",
]  # fmt: skip
HEADER_VALUES: Final = [
    "", " ", "localhost", "evil.example", "http://localhost", "null", "*/*", "application/json", "text/event-stream",
    MODERN, LEGACY, "2025-03-26", "1900-01-01", "tools/call", "tools/list", "good-new__echo", "=?base64?ZQ==?=",
    "=?base64?", "=?base64?/w==?=", "0", "-1", "99999999999999999999", "chunked", "\xff", "a\tb", "x" * 300,
]  # fmt: skip
headers = st.lists(
    st.tuples(st.sampled_from(["set", "add", "drop"]), st.sampled_from(HEADER_NAMES), st.sampled_from(HEADER_VALUES)),
    max_size=2,
)


def requests(era: str) -> st.SearchStrategy[Sent]:
    """Requests of one era, each bent in its body, in its headers, or in both."""
    session = st.none() if era == "modern" else st.sampled_from([SESSION, SESSION, BATCHING, None])
    batching = st.none() if era == "modern" else st.just(BATCHING)
    right = st.builds(_request, st.just(era), session, methods, bends, headers)
    batch = st.builds(_batch, batching, st.lists(st.tuples(methods, bends), max_size=4))
    wild = st.builds(_wild, st.just(era), session, st.binary(max_size=40) | json_values.map(_encoded))
    return st.one_of(right, right, right, right, batch, wild)


def _bare(verb: str, era: str, session: str | None, changes: Any) -> Sent:
    told, said = modern("tools/call", {"name": "good-new__echo"}) if era == "modern" else (message("tools/list"), {})
    return Sent(verb, _changed(_lines(session, said), changes), json.dumps(told).encode())


bare_requests = st.builds(
    _bare, st.sampled_from(VERBS), st.sampled_from(["modern", "legacy"]), st.sampled_from([None, SESSION]), headers
)
"""Proper bodies under any verb and any headers."""


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def _request(era: str, session: str | None, method: str, bendings: Any, changes: Any) -> Sent:
    params, number = REQUESTS[method], None if method.startswith("notifications/") else 3
    method = method.strip()
    told, said = modern(method, params, number=number) if era == "modern" else (message(method, params, number), {})
    said = {
        **said,
        **({"mcp-param-a": "=?base64?ZXUg5Lit?=", "mcp-param-d": "7"} if "good-new__mirror" in params.values() else {}),
    }
    return Sent("POST", _changed(_lines(session, said), changes), bent(told, bendings))


def _batch(session: str | None, parts: Any) -> Sent:
    bodies = [bent(message(method.strip(), REQUESTS[method], 3), bendings) for method, bendings in parts]
    return Sent("POST", _lines(session, {}), b"[" + b",".join(bodies) + b"]")


def _wild(era: str, session: str | None, body: bytes) -> Sent:
    said = modern("tools/call", {"name": "good-new__echo"})[1] if era == "modern" else {}
    return Sent("POST", _lines(session, said), body)


def _lines(session: str | None, said: dict[str, str]) -> Lines:
    usual = {"host": "localhost", "content-type": "application/json", "accept": "application/json, text/event-stream"}
    own = {} if session is None else {"mcp-session-id": session}
    return list({**usual, **{name.lower(): value for name, value in said.items()}, **own}.items())


def _changed(lines: Lines, changes: Any) -> Lines:
    for way, name, value in changes:
        if way != "add":
            lines = [line for line in lines if line[0] != name]
        if way != "drop":
            lines = [*lines, (name, value)]
    return lines


# Answers of an upstream

ID: Final = "@id@"
"""Stands for the id of the request, until that is known."""

RESULTS: Final = [
    {"content": [{"type": "text", "text": "a\nb"}], "structuredContent": {"n": 1}, "isError": True, "_meta": {"a": 1}},
    {"content": [{"type": "resource_link", "uri": "note://1"}, {"type": "resource", "resource": {"uri": "u:"}}]},
    {"messages": [{"role": "user", "content": {"type": "resource", "resource": {"uri": "note://1", "text": ""}}}]},
    {"contents": [{"uri": "note://1", "text": "t"}, {"uri": "note://2", "blob": "eA=="}], "ttlMs": 5},
    {"completion": {"values": ["a"], "total": 1, "hasMore": False}},
    {"resultType": "input_required", "requestState": "s", "inputRequests": {"a": {"method": "roots/list"}}},
    {
        "tools": [
            {"name": "good-new__echo", "inputSchema": {"type": "object", "properties": {"a": {"x-mcp-header": "A"}}}},
            {"name": "echo", "title": "\u001b[31m", "inputSchema": {"type": "object"}, "_meta": {"ui": {"resourceUri": "ui://a"}}},
            {"name": "x" * 99, "inputSchema": {"type": "object"}, "outputSchema": {"type": "object", "allOf": []}},
        ],
        "nextCursor": "1", "ttlMs": 1, "cacheScope": "public", "resultType": "complete",
    },
    {"prompts": [{"name": "good-old__ask", "arguments": [{"name": "a"}]}], "resources": [{"uri": "good-new+note://1"}]},
    {"resourceTemplates": [{"uriTemplate": "note://{+a}{/b*}{?c,d}"}, {"uriTemplate": "good-new+note://{a}"}]},
    {
        "supportedVersions": [MODERN], "capabilities": {"tools": {"listChanged": True}, "completions": {}},
        "instructions": "# Do", "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "n", "version": "1"}},
    },
    {
        "protocolVersion": LEGACY, "capabilities": {"tools": {"listChanged": True}, "logging": {}},
        "serverInfo": {"name": "n", "version": "1"}, "instructions": "Do",
    },
]  # fmt: skip
MESSAGES: Final = [
    *({"jsonrpc": "2.0", "id": ID, "result": each} for each in RESULTS),
    {"jsonrpc": "2.0", "id": ID, "error": {"code": -32602, "message": "no", "data": {"supported": [MODERN]}}},
    {"jsonrpc": "2.0", "id": ID, "error": {"code": -32022, "message": "no", "data": {"supported": [MODERN]}}},
    {"jsonrpc": "2.0", "id": 9999, "result": {}},
    {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 7, "progress": 1, "total": 2}},
    {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": {"a": "b"}}},
    {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"},
    {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "note://1"}},
    {"jsonrpc": "2.0", "id": 1, "method": "ping"},
    {"jsonrpc": "2.0", "id": "x", "method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}},
]
replies = st.builds(bent, st.sampled_from(MESSAGES), bends)
right_reply = st.sampled_from(RESULTS).map(lambda each: bent({"jsonrpc": "2.0", "id": ID, "result": each}, []))
STATUSES: Final = [200] * 8 + [201, 202, 204, 301, 307, 400, 401, 403, 404, 405, 406, 410, 413, 429, 500, 502, 503, 999]
TYPES: Final = [
    "application/json", "application/json; charset=utf-8", "text/event-stream", "TEXT/EVENT-STREAM;x=y", "text/html",
    "", "application/json, text/event-stream", "a/b\xff",
]  # fmt: skip
EXTRA: Final = [
    b"", b"", b"", b"content-encoding: gzip\r\n", b"mcp-session-id: a b\r\n", b"mcp-session-id: \xff\x01\r\n",
    b"connection: close\r\n", b"keep-alive: timeout=0\r\n", b"location: http://127.0.0.1:9/\r\n",
    b"x: " + b"y" * 70000 + b"\r\n", b"transfer-encoding: gzip\r\n", b"content-length: 5\r\n", b"no colon\r\n",
]  # fmt: skip
ENDS: Final = [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n", b"", b"\n: comment\n\n", b"\nid: 1\nretry: 5\nevent: message\n\n"]


@dataclass(frozen=True)
class Answered:
    """One HTTP answer of an upstream, complete but for the id of the request; the connection closes behind it."""

    head: bytes
    body: bytes

    def to(self, number: Any) -> bytes:
        """The bytes of the answer to the request with this id."""
        body = self.body.replace(f'"{ID}"'.encode(), json.dumps(number).encode())
        return self.head.replace(b"@length@", b"%d" % len(body)) + body


def _http(status: int, kind: str, extra: bytes, framing: str, body: bytes) -> Answered:
    length = {"length": b"content-length: @length@\r\n", "end": b"", "chunked": b"transfer-encoding: chunked\r\n"}[
        framing
    ]
    head = b"HTTP/1.1 %d X\r\ncontent-type: %b\r\n%b%b\r\n" % (status, kind.encode("latin-1"), extra, length)
    return Answered(head, body)


def _events(parts: list[tuple[bytes, bytes]], start: bytes) -> bytes:
    return start + b"".join(b"data: " + part + end for part, end in parts)


json_bodies = st.one_of(
    right_reply,
    replies,
    replies,
    st.binary(max_size=30),
    st.lists(replies, max_size=3).map(lambda all_: b"[%b]" % b",".join(all_)),
)
event_bodies = st.builds(
    _events,
    st.lists(st.tuples(replies | right_reply, st.sampled_from(ENDS)), max_size=4),
    st.sampled_from([b"", b"", b"\xef\xbb\xbf", b": hello\n\n", b"data\n\n", b"\x00\n\n", b"data: " + b"x" * 9000]),
)
plain_http = st.just((200, "application/json", b"", "length"))
plain_events = st.just((200, "text/event-stream", b"", "end"))
odd_http = st.tuples(
    st.sampled_from(STATUSES),
    st.sampled_from(TYPES),
    st.sampled_from(EXTRA),
    st.sampled_from(["length", "end", "chunked"]),
)
answers = st.one_of(
    st.builds(lambda http, body: _http(*http, body), plain_http, json_bodies),
    st.builds(lambda http, body: _http(*http, body), plain_events, event_bodies),
    st.builds(lambda http, body: _http(*http, body), odd_http, json_bodies | event_bodies),
    st.builds(lambda raw: Answered(b"", raw), st.binary(max_size=60)),
    st.builds(
        Answered,
        st.sampled_from(
            [
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n",
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}",
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n",
                b"HTTP/2 200\r\n\r\n",
            ]
        ),
        replies,
    ),
)  # fmt: skip
"""Whole answers, from nearly right to anything at all."""
