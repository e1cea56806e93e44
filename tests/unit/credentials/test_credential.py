"""What goes on one request, and who gets to see it."""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.credentials.credential import NOTHING, Credential
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("B12", "B13", "T31")
SECRET = "s3cr3t-value"


def test_a_credential_is_header_lines_in_their_order():
    credential = Credential({"X-Key": Secret("a b"), "Authorization": Secret("Bearer t")})
    assert credential.open() == b"X-Key: a b\r\nAuthorization: Bearer t\r\n"
    assert credential.open() is credential.open()
    assert credential.names == ("X-Key", "Authorization")


@pytest.mark.promise("B11")
def test_nothing_adds_nothing():
    assert NOTHING.open() == b""
    assert repr(NOTHING) == "Credential()"


@pytest.mark.promise("D29")
def test_names_are_shown_and_values_are_not():
    credential = Credential({"X-Key": Secret(SECRET)})
    shown = f"{credential!r} {credential} {[credential]} {credential.names}"
    assert "X-Key" in shown
    assert SECRET not in shown


def test_two_credentials_with_the_same_headers_are_two():
    assert Credential({}) != Credential({})


BAD = ["\r\nX-Evil: 1", "a\nb", "a\x00b", " a", "a ", "\x7f", "\u20ac", "\ud800"]


@pytest.mark.promise("T11")
@pytest.mark.parametrize("value", BAD)
def test_a_value_that_no_header_can_carry_is_refused_without_being_repeated(value):
    with pytest.raises(ValueError, match="X-Key") as caught:
        Credential({"X-Key": Secret(SECRET + value if value != " a" else value + SECRET)})
    chain: BaseException | None = caught.value
    while chain is not None:
        assert SECRET not in f"{chain!r} {chain} {vars(chain)} {getattr(chain, 'object', '')}"
        chain = chain.__cause__ or chain.__context__
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.promise("T11", "T12")
@pytest.mark.parametrize("name", ["X Key", "X:Key", "", "X\r\nY", "é", "Host", "content-length", "Transfer-Encoding"])
def test_a_name_that_is_no_header_or_the_clients_own_is_refused(name):
    with pytest.raises(ValueError, match="header"):
        Credential({name: Secret(SECRET)})


@pytest.mark.promise("T11")
@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=3))
def test_whatever_is_accepted_is_exactly_that_many_lines(headers):
    try:
        lines = Credential({name: Secret(text) for name, text in headers.items()}).open()
    except ValueError:
        return
    assert lines.count(b"\r\n") == lines.count(b"\n") == lines.count(b"\r") == len(headers)
