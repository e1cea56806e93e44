"""What belongs to a request on its way."""

import pytest
from msgspec import Raw

from mcp_hub.upstream.call import answerable, is_progress_of, nowhere
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Malformed, parse
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
