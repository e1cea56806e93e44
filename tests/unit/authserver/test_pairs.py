"""Tokens as texts and as stored: nothing that could be used is stored, and nothing outlives what it hangs on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.authserver.pairs import Pair, Succession, answer, first_pair, stored
from mcp_hub.config.model import Lifetimes
from mcp_hub.identity.tokens import Kind, digest
from mcp_hub.store.grants import AccessToken, Family

FAMILY = Family("f", "default", "u", "app", "App", "r", frozenset({"hub:use", "hub:admin"}), 0.0, 0.0, 10_000.0)
LIVES = Lifetimes(access_token=100.0, refresh_token_idle=1000.0)
KEYS = st.binary(min_size=32, max_size=32)


def texts(pair: Pair) -> tuple[str, str]:
    assert pair.refresh is not None
    return pair.access.open(), pair.refresh.open()


@pytest.mark.promise("T48")
@given(KEYS, st.text())
def test_what_follows_a_token_is_always_the_same(key, old):
    assert texts(Succession(key).after(old)) == texts(Succession(key).after(old))


@pytest.mark.promise("T48", "T32")
@given(KEYS, KEYS, st.text(), st.text())
def test_what_follows_cannot_be_told_without_the_key_and_the_token(key, other_key, old, other):
    known = set(texts(Succession(key).after(old)))
    assert len(known) == 2
    assert len({text[-43:] for text in known}) == 2, "neither of the two says anything about the other"
    if key != other_key:
        assert not known & set(texts(Succession(other_key).after(old)))
    if old != other:
        assert not known & set(texts(Succession(key).after(other)))
    assert not known & set(texts(Succession(key).after(digest(old).hex()))), "nor with what the store has of it"


@pytest.mark.promise("T32")
def test_tokens_are_long_and_say_what_they_are():
    for pair in (first_pair(may_refresh=True), Succession(b"k" * 32).after("old")):
        access, refresh = texts(pair)
        assert access.startswith(Kind.ACCESS)
        assert refresh.startswith(Kind.REFRESH)
        assert len(access.removeprefix(Kind.ACCESS)) == len(refresh.removeprefix(Kind.REFRESH)) == 43
    assert first_pair(may_refresh=False).refresh is None


@pytest.mark.promise("T31", "T32")
def test_what_is_stored_and_what_is_logged_of_a_pair_has_nothing_to_use():
    pair = first_pair(may_refresh=True)
    issued = stored(pair, FAMILY, FAMILY.scopes, LIVES, 0.0)
    said = f"{pair!r} {issued!r}"
    assert [text for text in texts(pair) if text in said] == []
    assert issued.access.digest == digest(pair.access)


@pytest.mark.promise("T58")
def test_a_narrower_access_token_leaves_the_refresh_token_as_it_was():
    issued = stored(first_pair(may_refresh=True), FAMILY, frozenset({"hub:use"}), LIVES, 50.0)
    assert issued.refresh is not None
    assert (issued.access.scopes, issued.refresh.scopes) == ({"hub:use"}, FAMILY.scopes)
    assert (issued.access.expires_at, issued.refresh.expires_at) == (150.0, 1050.0)


@pytest.mark.promise("T55")
def test_no_token_outlives_its_family():
    issued = stored(first_pair(may_refresh=True), replace(FAMILY, expires_at=60.0), FAMILY.scopes, LIVES, 50.0)
    assert issued.refresh is not None
    assert issued.access.expires_at == issued.refresh.expires_at == 60.0


@pytest.mark.promise("C24")
def test_the_client_is_told_scope_and_lifetime():
    pair = first_pair(may_refresh=False)
    access = AccessToken(b"", "f", frozenset({"hub:use", "hub:admin"}), 99.9)
    assert answer(pair, access, 0.0) == {
        "access_token": pair.access.open(), "token_type": "Bearer", "expires_in": 99, "scope": "hub:admin hub:use",
    }  # fmt: skip
    assert answer(pair, access, 500.0)["expires_in"] == 0
