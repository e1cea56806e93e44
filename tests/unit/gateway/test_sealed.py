"""A state is of use only where it was made for."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from mcp_hub.errors import BadRequest
from mcp_hub.gateway.keys import KEY_BYTES
from mcp_hub.gateway.sealed import LONGEST, Binding, Seal, digest

pytestmark = pytest.mark.promise("T21")
KEY = bytes(range(KEY_BYTES))
BINDING = Binding(("default", "local", "me"), "up", "tools/call", digest({"name": Raw(b'"t"')}))
NOW = 1_000_000.0


def seal(now: float = NOW, key: bytes = KEY) -> Seal:
    return Seal(key, lambda: now)


@given(st.binary(max_size=200))
def test_a_state_comes_back_as_it_was(state):
    assert seal().open(seal().close(state, BINDING, lifetime=10), BINDING) == state


@pytest.mark.parametrize(
    "other",
    [
        replace(BINDING, principal=("default", "local", "you")),
        replace(BINDING, principal=("other", "local", "me")),
        replace(BINDING, upstream="down"),
        replace(BINDING, method="prompts/get"),
        replace(BINDING, digest=digest({"name": Raw(b'"u"')})),
    ],
)
def test_it_opens_for_nobody_else_and_nothing_else(other):
    sealed = seal().close(b"state", BINDING, lifetime=10)
    with pytest.raises(BadRequest):
        seal().open(sealed, other)


@given(st.data())
def test_one_changed_bit_closes_it_for_good(data):
    blob = bytearray(base64.urlsafe_b64decode(seal().close(b"state", BINDING, lifetime=10)))
    bit = data.draw(st.integers(0, 8 * len(blob) - 1))
    blob[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadRequest):
        seal().open(base64.urlsafe_b64encode(blob).decode(), BINDING)


def test_it_ends_with_its_time_and_with_its_key():
    sealed = seal().close(b"state", BINDING, lifetime=10)
    assert seal(NOW + 9).open(sealed, BINDING) == b"state"
    with pytest.raises(BadRequest):
        seal(NOW + 11).open(sealed, BINDING)
    with pytest.raises(BadRequest):
        seal(key=KEY[::-1]).open(sealed, BINDING)


@pytest.mark.parametrize("given", ["", "x", "é", "A" * (LONGEST + 9), "=" * 8, "AAAA"])
def test_what_was_never_sealed_is_refused(given):
    with pytest.raises(BadRequest):
        seal().open(given, BINDING)


def test_the_same_parameters_have_the_same_digest_however_they_are_spelled():
    first = {"name": Raw(b'"t"'), "arguments": Raw(b'{"a": 1, "b": [1, 2]}'), "_meta": Raw(b"{}")}
    again = {"arguments": Raw(b'{"b":[1,2],"a":1}'), "name": Raw(b'"\\u0074"'), "requestState": Raw(b'"x"')}
    assert digest(first) == digest(again | {"inputResponses": Raw(b"{}")})
    assert digest(first) != digest({**first, "arguments": Raw(b'{"a": 2, "b": [1, 2]}')})
