"""Results of one era for clients of the other: every row."""

import json

import pytest
from msgspec import Raw

from mcp_hub.gateway.bridge import to_client
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import Malformed, Reply

pytestmark = pytest.mark.promise("A5")
MODERN, LEGACY = Era.MODERN, Era.LEGACY


def crossed(result: bytes, method: str, client: Era, upstream: Era):
    return json.loads(bytes(to_client(Reply(result=Raw(result)), method, client, upstream).result or b""))


@pytest.mark.parametrize("upstream", [MODERN, None])
@pytest.mark.parametrize("reply", [Reply(result=Raw(b'{"a":1}')), Reply(error=Raw(b'{"code":-32602}'))])
def test_between_equals_and_while_the_era_is_unknown_a_reply_is_not_touched(reply, upstream):
    assert to_client(reply, "resources/read", MODERN, upstream) is reply


def test_an_empty_reply_stays_empty():
    assert to_client(Reply(), "tools/call", MODERN, LEGACY) == Reply()


@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "completion/complete"])
def test_a_modern_client_learns_that_a_legacy_result_is_complete(method):
    assert crossed(b'{"x":[1]}', method, MODERN, LEGACY) == {"resultType": "complete", "x": [1]}


def test_a_modern_client_may_not_keep_what_a_legacy_upstream_let_it_read():
    found = crossed(b'{"contents":[],"cacheScope":"public","ttlMs":9}', "resources/read", MODERN, LEGACY)
    assert found == {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "contents": []}


@pytest.mark.parametrize("result", [b"{}", b'{ "a" : 1 }', b'{"resultType":"complete"}', b'{"resultType":"odd","b":2}'])
def test_the_members_are_there_exactly_once(result):
    bridged = to_client(Reply(result=Raw(result)), "tools/call", MODERN, LEGACY).result or b""
    assert bytes(bridged).count(b'"resultType"') == 1
    assert json.loads(bytes(bridged))["resultType"] == "complete"


def test_big_numbers_and_unknown_fields_cross_unchanged():
    odd = b'{"n":1180591620717411303424,"f":1e400,"s":"\\u00e9"}'
    for client, upstream in ((MODERN, LEGACY), (LEGACY, MODERN)):
        reply = to_client(Reply(result=Raw(b'{"x":%b}' % odd)), "tools/call", client, upstream)
        assert odd in bytes(reply.result or b"")


def test_a_legacy_client_gets_no_result_type():
    assert crossed(b'{"resultType":"complete","content":[]}', "tools/call", LEGACY, MODERN) == {"content": []}


def test_a_result_without_a_type_reaches_a_legacy_client_as_it_came():
    result = Raw(b'{"content":[{"text":"resultType"}]}')
    assert to_client(Reply(result=result), "tools/call", LEGACY, MODERN).result is result


def test_the_word_alone_is_no_member():
    result = b'{"content":[{"text":"\\"resultType\\": \\"input_required\\"","resultType":"input_required"}]}'
    assert crossed(result, "tools/call", LEGACY, MODERN) == json.loads(result)


def test_a_question_reaches_a_modern_client():
    reply = Reply(result=Raw(b'{"resultType":"input_required"}'))
    assert to_client(reply, "tools/call", MODERN, MODERN) is reply


def test_a_result_that_is_no_json_is_malformed():
    with pytest.raises(Malformed):
        crossed(b'{"resultType":', "tools/call", LEGACY, MODERN)


@pytest.mark.parametrize(
    ("method", "code", "client", "told"),
    [
        ("resources/read", -32002, MODERN, -32602),
        ("resources/read", -32602, LEGACY, -32002),
        ("resources/read", -32603, MODERN, -32603),
        ("resources/read", -32002, LEGACY, -32002),
        ("tools/call", -32002, MODERN, -32002),
        ("tools/call", -32602, LEGACY, -32602),
    ],
)
def test_a_missing_resource_has_the_code_of_the_clients_era(method, code, client, told):
    error = Raw(b'{"code":%d,"message":"gone","data":{"uri":"x","n":1180591620717411303424}}' % code)
    upstream = LEGACY if client is MODERN else MODERN
    found = json.loads(bytes(to_client(Reply(error=error), method, client, upstream).error or b""))
    assert found == {"code": told, "message": "gone", "data": {"uri": "x", "n": 2**70}}


def test_an_error_without_a_code_is_passed_on_as_it_came():
    error = Raw(b'{"message":"?"}')
    assert to_client(Reply(error=error), "resources/read", MODERN, LEGACY).error is error
