"""What a session of the legacy era is told of log levels, and whose log messages reach whom."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.upstream.dialect import LEVELS, level_to_set, wants_log
from mcp_hub.wire.eras import META_LOG_LEVEL
from mcp_hub.wire.jsonrpc import parse
from rig.parts import LEGACY_CLIENT, modern_meta, tool_call

pytestmark = pytest.mark.promise("A5", "T26")
levels = st.sampled_from(LEVELS)


def wanting(level):
    """A modern call that asks for this level, or for no log messages at all."""
    return tool_call(meta=modern_meta(**({} if level is None else {META_LOG_LEVEL: level})))


def logged(level):
    return parse(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level}}).encode())


@given(st.lists(levels, min_size=1))
def test_every_request_of_a_shared_session_gets_what_it_asked_for_and_no_more(asked):
    current = None
    for level in asked:
        current = level_to_set(wanting(level), current) or current
    sent = LEVELS[LEVELS.index(current) :]
    for level in asked:
        assert tuple(each for each in sent if wants_log(wanting(level), logged(each))) == LEVELS[LEVELS.index(level) :]


@given(levels)
def test_a_request_that_asks_for_nothing_sets_nothing_and_hears_nothing(level):
    for nothing in (None, "loud", 7):
        assert level_to_set(wanting(nothing), level) is None
        assert not wants_log(wanting(nothing), logged(level))


@given(levels, st.none() | levels)
def test_a_legacy_clients_session_has_the_level_that_its_client_set(level, current):
    call = tool_call(client=LEGACY_CLIENT, log_level=level)
    assert level_to_set(call, current) == (None if level == current else level)
    assert wants_log(call, logged("debug"))


def test_what_an_upstream_makes_up_is_no_lower_than_anything():
    assert wants_log(wanting("error"), logged("catastrophe"))
    assert wants_log(wanting("error"), parse(b'{"jsonrpc":"2.0","method":"notifications/message"}'))
    odd = parse(b'{"jsonrpc":"2.0","method":"notifications/message","params":[1]}')
    assert not wants_log(wanting("error"), odd)
