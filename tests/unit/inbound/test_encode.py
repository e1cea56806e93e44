import json

import pytest
from msgspec import Raw

from mcp_hub.inbound.encode import as_events, as_json, as_message
from mcp_hub.inbound.outcome import Empty, Failure, Several, Written
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import Reply

pytestmark = pytest.mark.promise("A4")

OUTCOMES = [
    Reply(result=Raw(b'{"a":1}')),
    Reply(result=b"{}"),
    Reply(error=Raw(b'{"code":-32601,"message":"x"}')),
    Failure(-32602, "x", {"y": 1}),
    Several([b'{"id":1}', b'{"id":2}']),
]


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("era", Era)
def test_the_length_is_that_of_the_parts(outcome, era):
    status, headers, parts = as_json(outcome, Raw(b'"id"'), era)
    body = b"".join(bytes(part) for part in parts)
    assert dict(headers)[b"content-length"] == b"%d" % len(body)
    assert json.loads(body)
    assert 200 <= status < 500


def test_an_empty_answer_has_no_type():
    assert as_json(Empty(202), None, Era.MODERN) == (202, ((b"content-length", b"0"),), (b"",))
    assert as_json(Empty(204), None, Era.MODERN) == (204, (), (b"",))


def test_a_large_result_is_not_joined_with_its_envelope():
    large = Raw(b'"%s"' % (b"x" * 100_000))
    _, _, parts = as_json(Reply(result=large), Raw(b"1"), Era.MODERN)
    assert any(part is large for part in parts)


def test_a_stream_ends_with_each_answer_as_an_event_of_its_own():
    assert [len(as_events(each, Raw(b"1"))) for each in OUTCOMES] == [1, 1, 1, 1, 2]
    assert as_events(Empty(202), None) == as_events(Written(), None) == ()


def test_a_message_without_a_readable_id_is_answered_with_null():
    assert json.loads(as_message(Failure(-32700, "x"), None))["id"] is None
