"""Where task ids stand: changed there, in both directions, and nowhere else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.catalog.task_ids import RELATED, STATUS, rewrite_ids
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import Malformed

pytestmark = pytest.mark.promise("A5")
META = {"_meta": {RELATED: {"taskId": "t", "more": 1}, "other": {"taskId": "t"}}}
HIDDEN_META = {"_meta": {RELATED: {"taskId": "T", "more": 1}, "other": {"taskId": "t"}}}
STATE = {"taskId": "t", "status": "working", "x": {"taskId": "t"}}
HIDDEN_STATE = {**STATE, "taskId": "T"}

PLACES = [
    (Era.LEGACY, "tools/call", {"task": STATE, **META}, {"task": HIDDEN_STATE, **HIDDEN_META}),
    (Era.LEGACY, "tools/call", {"content": [], "task": STATE}, {"content": [], "task": HIDDEN_STATE}),
    (Era.LEGACY, "anything else", {"content": [], "task": STATE}, {"content": [], "task": STATE}),
    (Era.LEGACY, "tools/call", {"content": [], "taskId": "t", **META}, {"content": [], "taskId": "t", **HIDDEN_META}),
    (Era.LEGACY, "tasks/get", {**STATE, **META}, {**HIDDEN_STATE, **HIDDEN_META}),
    (Era.LEGACY, "tasks/cancel", STATE, HIDDEN_STATE),
    (Era.LEGACY, "tasks/list", {"tasks": [STATE, 5, {}]}, {"tasks": [HIDDEN_STATE, 5, {}]}),
    (Era.LEGACY, "tasks/result", {"content": [STATE], **META}, {"content": [STATE], **HIDDEN_META}),
    (Era.LEGACY, "tasks/result", {"taskId": "t"}, {"taskId": "t"}),
    (Era.LEGACY, STATUS[Era.LEGACY], STATE, HIDDEN_STATE),
    (Era.LEGACY, "elicitation/create", {"taskId": "t", **META}, {"taskId": "t", **HIDDEN_META}),
    (Era.MODERN, "tools/call", {"resultType": "task", **STATE}, {"resultType": "task", **HIDDEN_STATE}),
    (Era.MODERN, "tools/call", {"resultType": "complete", **STATE}, {"resultType": "complete", **STATE}),
    (Era.MODERN, "tools/call", {"content": [], "task": STATE}, {"content": [], "task": STATE}),
    (Era.MODERN, "tasks/get", {**STATE, "result": META}, {**HIDDEN_STATE, "result": HIDDEN_META}),
    (Era.MODERN, "tasks/update", {"resultType": "complete"}, {"resultType": "complete"}),
    (Era.MODERN, STATUS[Era.MODERN], STATE, HIDDEN_STATE),
]


def rewritten(raw, method, era, rename=str.upper):
    return json.loads(bytes(rewrite_ids(raw, method, era, rename)))


@pytest.mark.parametrize(("era", "method", "theirs", "ours"), PLACES)
def test_an_id_is_changed_where_the_protocol_puts_one_and_nowhere_else(era, method, theirs, ours):
    assert rewritten(json.dumps(theirs).encode(), method, era) == ours
    # Spelled with escapes, a key is still the same key.
    escaped = json.dumps(theirs).replace('"taskId"', '"task\\u0049d"').encode()
    assert rewritten(escaped, method, era) == ours


@pytest.mark.promise("S1")
@pytest.mark.parametrize("era", Era)
@pytest.mark.parametrize("method", ["tools/call", "tasks/get", "tasks/list"])
def test_what_holds_no_id_is_passed_on_as_the_same_bytes(era, method):
    raw = b'{"content":[{"type":"text","text":"task"}], "resultType": "task"}'
    assert rewrite_ids(raw, method, era, str.upper) is raw


def test_an_id_that_is_nobodys_here_stays_what_it_is():
    raw = b'{"taskId":"t","_meta":{"io.modelcontextprotocol/related-task":{"taskId":5}}}'
    assert rewritten(raw, "tasks/get", Era.LEGACY, lambda _: None) == json.loads(raw)


def test_an_object_that_is_not_valid_is_malformed():
    with pytest.raises(Malformed):
        rewrite_ids(b'{"taskId":"t",}', "tasks/get", Era.LEGACY, str.upper)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("taskId"), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from([(era, method) for era, method, _, _ in PLACES]),
    st.dictionaries(st.sampled_from(["taskId", "task", "tasks", "_meta", "result", "resultType", "content"]), JSON),
)
def test_out_and_back_is_where_it_began(place, members):
    era, method = place
    raw = json.dumps(members).encode()
    out = rewrite_ids(raw, method, era, lambda theirs: f"hub-{theirs}")
    back = rewrite_ids(out, method, era, lambda ours: ours.removeprefix("hub-"))
    assert json.loads(bytes(back)) == members


@given(st.sampled_from(["tasks/get", "tools/call", "tasks/list"]), st.sampled_from(Era), JSON)
def test_any_json_is_rewritten_or_left_alone(method, era, value):
    if isinstance(value, dict):
        rewritten(json.dumps(value).encode(), method, era, lambda each: each)
