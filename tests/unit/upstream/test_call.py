"""What belongs to a request on its way."""

import pytest
from msgspec import Raw

from mcp_hub.upstream.call import LONGEST_TASK, answerable, is_progress_of, nowhere, task_seconds, told
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Malformed, Reply, parse
from rig.parts import tool_call

pytestmark = pytest.mark.promise("T26", "A5")


def progress(params: bytes):
    return parse(b'{"jsonrpc":"2.0","method":"notifications/progress","params":%b}' % params)


@pytest.mark.parametrize(
    ("told", "token", "ours"),
    [
        (b'{"progressToken":7}', b"7", True),
        (b'{"progressToken":"7"}', b"7", False),
        (b'{"progressToken":"a"}', b'"\\u0061"', True),
        (b'{"progressToken":8}', b"7", False),
        (b"{}", b"7", False),
        (b'{"progressToken":7}', None, False),
    ],
)
def test_progress_belongs_to_the_request_with_the_same_token(told, token, ours):
    assert is_progress_of(progress(told), None if token is None else Raw(token)) is ours


def test_progress_whose_params_are_no_object_is_malformed():
    with pytest.raises(Malformed):
        is_progress_of(progress(b"[7]"), Raw(b"7"))


def test_a_tool_call_is_not_repeatable_unless_somebody_says_so():
    assert tool_call().repeatable is False


async def test_the_hubs_own_requests_tell_nobody_of_their_progress():
    assert await nowhere(b"{}") is None


@pytest.mark.promise("T23")
def test_a_client_can_be_asked_only_what_the_protocol_knows():
    said = Raw(b'{"elicitation":{"form":{"x":1},"k":2},"sampling":{"tools":{}},"roots":{},"extensions":{"a":1}}')
    client = Client(Era.LEGACY, "2025-11-25", said)
    assert {key: bytes(raw) for key, raw in answerable(client).items()} == {
        "elicitation": b'{"form":{}}',
        "sampling": b'{"tools":{}}',
        "roots": b"{}",
    }


EXTENDED = Raw(
    b'{"roots":{},"extensions":{"a":{"b":1.0},"io.modelcontextprotocol/tasks":{}},'
    b'"experimental":{"x":{}},"tasks":{"requests":{}}}'
)


def test_an_upstream_is_told_of_a_legacy_clients_extensions_but_not_of_tasks_of_its_own():
    client = Client(Era.LEGACY, "2025-11-25", EXTENDED)
    extensions = {"extensions": b'{"a":{"b":1.0}}', "experimental": b'{"x":{}}'}
    assert {key: bytes(raw) for key, raw in told(client).items()} == {"roots": b"{}", **extensions}
    assert {key: bytes(raw) for key, raw in told(client, can_ask=False).items()} == extensions


def test_where_sessions_are_shared_by_a_principals_clients_their_extensions_are_not_told():
    assert set(told(Client(Era.MODERN, "2026-07-28", EXTENDED))) == {"roots"}


@pytest.mark.parametrize(
    ("result", "seconds"),
    [
        (b'{"task":{"ttl":2500}}', 2.5),
        (b'{"task":{"ttl":null}}', LONGEST_TASK),
        (b'{"task":{}}', LONGEST_TASK),
        (b'{"task":{"ttl":1e300}}', LONGEST_TASK),
        (b'{"resultType":"task","ttlMs":1500}', 1.5),
        (b'{"resultType":"task","ttlMs":null}', LONGEST_TASK),
        (b'{"resultType":"complete","ttlMs":1500}', 0.0),
        (b'{"content":[]}', 0.0),
        (b'{"content":[],"task":{"ttl":5000}}', 5.0),
        (b'{"task":5}', 0.0),
        (None, 0.0),
    ],
)
def test_a_session_is_kept_as_long_as_its_task_may_live(result, seconds):
    assert task_seconds(Reply(result=None if result is None else Raw(result))) == seconds
