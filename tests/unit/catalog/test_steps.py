"""Long work in short steps comes to the same as the work at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.catalog.merge import merge, merging
from mcp_hub.catalog.parts import Exposure, Kind, Part, kept, reading
from mcp_hub.catalog.steps import STRIDE, equal, finished
from mcp_hub.wire.jsonrpc import encode

pytestmark = pytest.mark.promise("A7", "A8")
MANY = 12 * STRIDE


def counted(steps):
    """What the steps come to, and how many there were."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count
        count += 1


def tools(count, **more):
    return tuple({"name": f"t{number}", "inputSchema": {"type": "object"}, **more} for number in range(count))


def part(count, **more):
    return Part(items={Kind.TOOL: tools(count, **more)})


@given(st.lists(st.integers(0, 1), max_size=3 * STRIDE), st.lists(st.integers(0, 1), max_size=3 * STRIDE))
def test_sequences_are_equal_as_python_says(one, other):
    assert finished(equal(one, other)) is (one == other)
    assert finished(equal(one, list(one))) is True


def test_a_difference_at_the_end_is_found_and_one_at_the_start_ends_the_search():
    assert counted(equal(tools(MANY), (*tools(MANY - 1), {"name": "last"})))[0] is False
    assert counted(equal(tools(MANY), ({"name": "first"}, *tools(MANY)[1:]))) == (False, 0)


def test_no_step_of_reading_merging_or_comparing_takes_more_than_a_stride():
    raws = [encode(each) for each in tools(MANY)]
    (items, warnings), steps = counted(reading(Kind.TOOL, raws))
    assert (items, warnings) == (tools(MANY), ())
    assert steps >= MANY // STRIDE
    entries = [(Exposure("a", "A", "a"), part(MANY)), (Exposure("b", "B", None), part(MANY))]
    merged, steps = counted(merging(entries))
    assert merged == merge(entries)
    assert len(merged.items[Kind.TOOL]) == 2 * MANY
    assert steps >= 3 * 2 * MANY // STRIDE - 6, "gathered, named and written"
    assert counted(equal(tools(MANY), tools(MANY)))[1] >= MANY // STRIDE


def test_what_is_equal_is_kept_and_what_is_not_is_new():
    before = Part(items={Kind.TOOL: tools(5), Kind.PROMPT: ({"name": "p"},)})
    again = Part(items={Kind.TOOL: tools(5), Kind.PROMPT: ({"name": "p"},)})
    assert finished(kept(again, before)) is before
    prompts = finished(kept(Part(items={Kind.TOOL: tools(5), Kind.PROMPT: ({"name": "q"},)}), before))
    assert prompts.items[Kind.TOOL] is before.items[Kind.TOOL]
    assert prompts.of(Kind.PROMPT) == ({"name": "q"},)
    said = finished(kept(Part(items=dict(again.items), instructions="new"), before))
    assert said is not before
    assert said.instructions == "new"
    fewer = finished(kept(Part(items={Kind.TOOL: tools(5)}), before))
    assert fewer.items == {Kind.TOOL: tools(5)}
    assert finished(kept(Part(items={Kind.TOOL: ()}), Part())).items == {Kind.TOOL: ()}
