"""A sealed value opens in its own place, unchanged, with its own key; anywhere else it does not."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.errors import Unsealable
from mcp_hub.vault.sealing import Algorithm, Binding, DataKey, kid_of, new_key

pytestmark = pytest.mark.promise("T32")

PLACE = Binding("grants", "row-1", "refresh_token", "default", "https://id.example", "ada", "github", 3)
KEY = new_key()
texts = st.text(st.characters(exclude_categories=()), max_size=6)
bindings = st.builds(
    Binding, texts, texts, texts, tenant=texts, issuer=texts, subject=texts, upstream=texts, version=st.integers(0, 99)
)


@given(st.binary(max_size=200), bindings, st.sampled_from(Algorithm))
def test_what_was_sealed_opens_in_its_place(value, place, algorithm):
    key = new_key(algorithm)
    assert key.algorithm is algorithm
    assert key.open(key.seal(value, place), place) == value


@given(bindings, bindings)
def test_two_places_have_one_encoding_only_if_they_are_one(one, other):
    assert (one.encoded() == other.encoded()) == (one == other)


def test_parts_cannot_flow_into_each_other():
    assert Binding("a", "bc", "d").encoded() != Binding("ab", "c", "d").encoded()
    assert Binding("a", "b|c", "d").encoded() != Binding("a|b", "c", "d").encoded()
    assert Binding("a", "b", "c", tenant="x").encoded() != Binding("a", "b", "c", issuer="x").encoded()


@pytest.mark.parametrize("part", [field.name for field in fields(Binding)])
def test_a_value_moved_to_another_place_stays_shut(part):
    elsewhere = replace(PLACE, **{part: 4 if part == "version" else f"{getattr(PLACE, part)}x"})
    sealed = KEY.seal(b"secret", PLACE)
    with pytest.raises(Unsealable, match=rf"{elsewhere.table}, {elsewhere.column}\) cannot be opened"):
        KEY.open(sealed, elsewhere)


@given(st.data())
def test_one_changed_bit_shuts_it(data):
    sealed = bytearray(KEY.seal(b"secret", PLACE))
    at = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(Unsealable):
        KEY.open(bytes(sealed), PLACE)


@given(st.binary(max_size=80))
def test_bytes_that_nobody_sealed_are_refused(noise):
    for found in (noise, b"v1" + noise, b"v1" + KEY.kid + noise):
        with pytest.raises(Unsealable):
            KEY.open(found, PLACE)


@given(st.integers(0, 40))
def test_a_shortened_value_is_refused(kept):
    sealed = KEY.seal(b"", PLACE)
    assert len(sealed) == 34
    with pytest.raises(Unsealable):
        KEY.open(sealed[: min(kept, 33)], PLACE)


def test_another_key_of_the_same_id_does_not_open_it():
    other = DataKey(KEY.kid, bytes(32), KEY.algorithm)
    with pytest.raises(Unsealable):
        other.open(KEY.seal(b"secret", PLACE), PLACE)


def test_the_form_is_the_documented_one():
    sealed = KEY.seal(b"secret", PLACE)
    assert sealed[:2] == b"v1"
    assert sealed[2:6] == KEY.kid == kid_of(sealed, PLACE)
    assert len(sealed) == 2 + 4 + 12 + len(b"secret") + 16


def test_the_same_value_never_looks_the_same_twice():
    assert len({KEY.seal(b"secret", PLACE) for _ in range(50)}) == 50


def test_the_key_resists_misuse_of_nonces_where_this_computer_can_do_that():
    assert new_key().algorithm is Algorithm.GCM_SIV


@pytest.mark.promise("D29")
def test_neither_key_nor_value_shows():
    with pytest.raises(Unsealable) as refused:
        KEY.open(KEY.seal(b"canary", PLACE), replace(PLACE, row="other"))
    shown = repr(KEY) + str(KEY) + repr(refused.value) + refused.value.public
    assert "canary" not in shown
    assert KEY.exposed()[1:].hex() not in shown
    assert "ada" not in refused.value.public
