"""The pure parts of a child process: its environment, its lines, its remarks."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.secret import Secret
from mcp_hub.upstream.process import REMARKS, Command, Lines, LineTooLong, Remarks, child_environment

pytestmark = pytest.mark.promise("A3")


def a_command(*words: str, env: dict[str, str] | None = None) -> Command:
    return Command(tuple(map(Secret, words or ("files",))), {key: Secret(each) for key, each in (env or {}).items()})


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
    remarks = Remarks("files", a_command(env={"KEY": "canary-1", "ON": "1"}).secrets)
    for part in (b"key is can", b"ary-1\n\n", b"y" * 3000, b"y" * 3000 + b"\nend \xff\n"):
        remarks.feed(part, 1.0)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["files: key is ***", "files: " + "y" * 2000, "files: end \ufffd"]
    assert list(remarks.last) == [each.removeprefix("files: ") for each in said]


@pytest.mark.promise("T31")
def test_a_secret_that_the_cut_of_a_long_remark_goes_through_is_no_remark_either(caplog):
    caplog.set_level(logging.INFO)
    remarks = Remarks("files", ["canary-canary"])
    remarks.feed(b"y" * 1995 + b"canary-canary" + b"z" * 9, 1.0)
    remarks.feed(b"z" * 3000 + b"\n", 1.0)
    remarks.feed(b"y" * 1995 + b"canary-canary\n", 1.0)
    assert "canary" not in caplog.text + "".join(remarks.last)
    assert [len(each) for each in remarks.last] == [2000, 1998]


def test_a_flood_of_remarks_is_counted_instead_of_logged_and_its_last_ones_are_known(caplog):
    caplog.set_level(logging.INFO)
    remarks = Remarks("files")
    remarks.feed(b"x\n" * (REMARKS + 50) + b"last\n", 1.0)
    assert len(caplog.records) == REMARKS
    assert remarks.last[-1] == "last"
    remarks.feed(b"again\n", 2.1)
    assert [each.getMessage() for each in caplog.records[REMARKS:]] == [
        "files: 51 more lines on standard error are left out",
        "files: again",
    ]


@pytest.mark.promise("T31")
def test_the_secrets_of_a_command_are_its_environment_and_the_arguments_that_look_like_one():
    words = (
        "npx",
        "-y",
        "server-files",
        "--api-key",
        "canary-1",
        "--token=canary-2",
        "/home/ann/files",
        "postgres://a:canary-3@b/c",
    )
    found = a_command(*words, env={"KEY": "canary-4"}).secrets
    assert set(found) == {"canary-1", "--token=canary-2", "canary-2", "postgres://a:canary-3@b/c", "canary-4"}
    assert found == sorted(found, key=len, reverse=True)


@pytest.mark.promise("T31")
def test_no_line_of_a_secret_of_several_lines_is_logged(caplog):
    caplog.set_level(logging.INFO)
    key = "-----BEGIN KEY-----\ncanary-one\r\ncanary-two\n}\n-----END KEY-----"
    remarks = Remarks("files", a_command(env={"KEY": key}).secrets)
    remarks.feed(key.encode() + b"\nfunction() { }\n", 1.0)
    assert "canary" not in caplog.text + "".join(remarks.last)
    assert remarks.last[-1] == "function() { }"
