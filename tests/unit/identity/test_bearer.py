import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.identity.bearer import Misused, read_bearer

pytestmark = pytest.mark.promise("C23")


def headers(*values):
    return [(b"host", b"hub.example"), *((b"authorization", value) for value in values)]


@pytest.mark.parametrize("value", [b"Bearer abc", b"bearer abc", b"BEARER   abc", b" Bearer abc\t"])
def test_a_token_is_read_from_its_header(value):
    assert read_bearer(headers(value), b"") == "abc"


@pytest.mark.parametrize("value", [b"Basic YWxpY2U6cGFzcw==", b"Digest x", b"Negotiate", b"", b"mcphub_pat_x"])
def test_credentials_of_another_kind_are_no_token(value):
    assert read_bearer(headers(value), b"") is None


def test_without_a_header_there_is_no_token():
    assert read_bearer(headers(), b"session_id=1") is None


@pytest.mark.parametrize(
    "values",
    [
        (b"Bearer a", b"Bearer a"),
        (b"Bearer a", b"Basic b"),
        (b"Basic b", b""),
        (b"Bearer",),
        (b"Bearer ",),
        (b"Bearer a b",),
        (b"Bearer a, Bearer b",),
        (b'Bearer token="a"',),
        (b"Bearer a\xff",),
        (b"Bearer a\r\nX-Evil: 1",),
        (b"Bearer =",),
    ],
)
def test_what_could_be_read_in_two_ways_is_not_read(values):
    with pytest.raises(Misused):
        read_bearer(headers(*values), b"")


@pytest.mark.promise("C23", "T31")
@pytest.mark.parametrize(
    "query", [b"access_token=a", b"a=b&access_token=a", b"access%5ftoken=a", b"access_token", b"%61ccess_token=a&b"]
)
def test_a_token_in_the_address_is_not_taken_even_beside_one_in_a_header(query):
    for values in ((), (b"Bearer abc",), (b"Basic x",)):
        with pytest.raises(Misused) as misused:
            read_bearer(headers(*values), query)
        assert "abc" not in str(misused.value)


@given(st.lists(st.binary(max_size=40), max_size=3), st.binary(max_size=40))
def test_whatever_stands_there_is_a_token_none_or_misused(values, query):
    try:
        token = read_bearer(headers(*values), query)
    except Misused:
        return
    assert token is None or (len(values) == 1 and token.encode() in values[0])
