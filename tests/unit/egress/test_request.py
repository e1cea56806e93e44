import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.egress.request import OURS, Request, header_lines
from mcp_hub.wire.origin import Origin

pytestmark = pytest.mark.promise("D28")

ORIGIN = Origin("https", "example.com", 443)


def test_a_request_is_encoded_with_the_fields_that_delimit_it():
    request = Request(b"POST", ORIGIN, b"/mcp?a=b", [(b"X-A", b"1")], b"{}", head=header_lines([(b"Accept", b"*/*")]))
    assert request.encode() == (
        b"POST /mcp?a=b HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: identity\r\n"
        b"Accept: */*\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize(("method", "has_length"), [(b"GET", False), (b"POST", True), (b"DELETE", True)])
def test_a_request_without_a_body_says_so_where_one_could_be_expected(method, has_length):
    wire = Request(method, ORIGIN, b"/").encode()
    assert (b"\r\nContent-Length: 0\r\n" in wire) is has_length
    assert wire.endswith(b"\r\n\r\n")


@pytest.mark.promise("T11")
@pytest.mark.parametrize(
    "value",
    [b"a\r\nX-Evil: 1", b"a\nb", b"a\rb", b"a\0b", b"\x7f", b"a\x01", b" a", b"a ", b"\ta", b"a\t", b"\r\n\r\nGET /"],
)
def test_a_value_that_would_break_out_of_its_header_is_refused_and_not_repeated(value):
    with pytest.raises(ValueError, match="x-key contains a character") as caught:
        header_lines([(b"x-key", value)])
    assert "Evil" not in str(caught.value)


@pytest.mark.promise("T11")
@pytest.mark.parametrize("name", [b"", b"a b", b"a:b", b"a\r\nb", b"a\0", b"a\xe4", b" a", b"a ", b"(a)", b"a/b", b'"'])
def test_a_name_that_is_not_a_token_is_refused(name):
    with pytest.raises(ValueError, match="not a valid header name"):
        header_lines([(name, b"x")])


@pytest.mark.promise("T11")
@pytest.mark.parametrize("name", [b"Host", b"HOST", b"Content-Length", b"connection", *sorted(OURS)])
def test_a_field_that_frames_the_message_cannot_be_set(name):
    with pytest.raises(ValueError, match="written by the hub itself"):
        header_lines([(name, b"x")])


@pytest.mark.promise("T11")
@pytest.mark.parametrize(
    "target", [b"", b"mcp", b"*", b"http://evil/", b"/a b", b"/a\r\nX: y", b"/a#b", b"/\xe4", b"/\0"]
)
def test_a_path_that_would_break_out_of_the_request_line_is_refused(target):
    with pytest.raises(ValueError, match="path"):
        Request(b"GET", ORIGIN, target).encode()


@pytest.mark.parametrize("method", [b"HEAD", b"CONNECT", b"get", b"", b"GET /x HTTP/1.1\r\n"])
def test_a_method_whose_answer_is_framed_otherwise_is_refused(method):
    with pytest.raises(ValueError, match="method"):
        Request(method, ORIGIN, b"/").encode()


@pytest.mark.promise("T11")
@given(st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=20)), max_size=5))
def test_headers_are_refused_or_are_exactly_as_many_lines(headers):
    try:
        lines = header_lines(headers)
    except ValueError:
        return
    assert lines.count(b"\n") == lines.count(b"\r\n") == lines.count(b"\r") == len(headers)
    assert b"\0" not in lines
    assert [line.split(b": ", 1) for line in lines.split(b"\r\n")[:-1]] == [[*header] for header in headers]
