"""The pure parts of a child process: its environment, its lines, its remarks."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.secret import Secret
from mcp_hub.upstream.process import Lines, LineTooLong, Remarks, child_environment

pytestmark = pytest.mark.promise("A3")


@pytest.mark.promise("T63")
@given(st.dictionaries(st.text(min_size=1), st.text()), st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
def test_only_listed_variables_are_passed_on(environ, own):
    usual = {"PATH": "/bin", "LC_ALL": "C", "HOME": "/root"}
    hidden = {"MCP_HUB_KEY": "x", "LD_PRELOAD": "x", "AWS_KEY": "x", "HTTPS_PROXY": "x", **environ}
    found = child_environment(hidden | usual, {key: Secret(each) for key, each in own.items()})
    assert {key for key in found if key.startswith(("MCP_HUB", "LD_", "AWS", "HTTPS"))} <= set(own)
    assert found.items() >= (usual | own).items()


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=6), st.integers(1, 7))
def test_lines_are_the_same_however_they_arrive(lines, size):
    stream = b"".join(line + b"\n" for line in lines)
    cut = Lines(10)
    assert [line for n in range(0, len(stream), size) for line in cut.feed(stream[n : n + size])] == lines


@pytest.mark.parametrize(("begun", "more"), [(b"", b"x" * 11), (b"x" * 6, b"x" * 6), (b"x" * 6, b"x" * 6 + b"\n")])
def test_a_line_over_the_limit_is_noticed_before_it_ends(begun, more):
    cut = Lines(10)
    assert cut.feed(begun) == []
    with pytest.raises(LineTooLong):
        cut.feed(more)


@pytest.mark.promise("T31")
def test_remarks_are_logged_with_the_name_bounded_and_without_configured_secrets(caplog):
    caplog.set_level(logging.INFO)
    remarks = Remarks("files", {"KEY": Secret("canary-1"), "ON": Secret("1")})
    for part in (b"key is can", b"ary-1\n\n", b"y" * 3000, b"y" * 3000 + b"\nend \xff\n"):
        remarks.feed(part)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["files: key is ***", "files: " + "y" * 2000, "files: end \ufffd"]
    assert list(remarks.last) == [each.removeprefix("files: ") for each in said]
