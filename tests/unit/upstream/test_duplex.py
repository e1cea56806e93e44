"""Which request a message on a shared stream is about."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.upstream.duplex import Duplex
from mcp_hub.wire.jsonrpc import parse

pytestmark = pytest.mark.promise("A3")


def message(**members):
    return parse(json.dumps({"jsonrpc": "2.0", **members}).encode())


@given(st.permutations(range(1, 6)))
def test_every_answer_finds_its_request_in_any_order(order):
    duplex = Duplex[str]()
    numbers = {duplex.open(f"r{n}", is_call=True): f"r{n}" for n in range(1, 6)}
    for number in order:
        assert duplex.whose(message(id=number, result={})) == numbers[number]
        duplex.close(number)
        assert duplex.whose(message(id=number, result={})) is None
    assert len(duplex) == 0


@given(st.none() | st.booleans() | st.text() | st.integers(max_value=0) | st.just([]) | st.just(1.5))
def test_an_answer_with_another_id_is_nobodys(number):
    duplex = Duplex[str]()
    duplex.open("mine", is_call=True)
    assert duplex.whose(message(id=number, result={})) is None


def test_progress_belongs_to_the_number_that_is_its_token():
    duplex = Duplex[str]()
    first, second = duplex.open("first", is_call=True), duplex.open("second", is_call=True)
    for token, whose in [(first, "first"), (second, "second"), (99, None), ("1", None), (True, None)]:
        assert duplex.whose(message(method="notifications/progress", params={"progressToken": token})) == whose
    assert duplex.whose(message(method="notifications/progress", params=[])) is None


def test_other_messages_belong_to_the_only_call_under_way():
    duplex = Duplex[str]()
    told, asked = message(method="notifications/message", params={}), message(method="roots/list", id="q")
    duplex.open("the hub's own", is_call=False)
    assert duplex.whose(told) is None
    duplex.open("call", is_call=True)
    assert duplex.whose(told) == duplex.whose(asked) == "call"
    duplex.open("another", is_call=True)
    assert duplex.whose(told) is duplex.whose(asked) is None


def test_a_client_that_made_all_calls_may_be_asked_and_told_on_any_of_them():
    duplex = Duplex[str]()
    told, asked = message(method="notifications/message", params={}), message(method="roots/list", id="q")
    assert duplex.whose(told) is duplex.whose(asked) is None
    duplex.open("one", is_call=True, of_one_client=True)
    duplex.open("two", is_call=True, of_one_client=True)
    assert duplex.whose(told) == duplex.whose(asked) == "two"
    duplex.open("of another", is_call=True)
    assert duplex.whose(told) is duplex.whose(asked) is None


def test_calls_are_of_several_only_while_all_of_them_are_one_clients():
    duplex = Duplex[str](iter(range(7, 20)))
    one = duplex.open("one", is_call=True, of_one_client=True)
    assert (one, duplex.is_one_of_several(one)) == (7, False)
    two = duplex.open("two", is_call=True, of_one_client=True)
    assert duplex.is_one_of_several(one)
    assert duplex.candidates() == ["two", "one"]
    other = duplex.open("of another", is_call=True)
    assert not duplex.is_one_of_several(two)
    assert not duplex.is_one_of_several(other)
    assert duplex.candidates() == []
