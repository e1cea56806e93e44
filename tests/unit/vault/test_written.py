"""A master key as text and as a file: what is taken, what is refused, and two who make one at once."""

import base64
import os
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.errors import VaultLocked
from mcp_hub.vault.written import exchange, from_file, from_text, generated, make_file

pytestmark = pytest.mark.promise("T32", "D29")

KEY = bytes(range(7, 251, 8)) + b"\xff"
MAKE = "import sys, pathlib; from mcp_hub.vault.written import *; make_file(pathlib.Path(sys.argv[1]), generated())"


def spellings(key: bytes) -> list[str]:
    return [
        key.hex(),
        key.hex().upper(),
        base64.b64encode(key).decode(),
        base64.b64encode(key).decode().rstrip("="),
        base64.urlsafe_b64encode(key).decode(),
        base64.urlsafe_b64encode(key).decode().rstrip("="),
    ]


@pytest.mark.parametrize("text", spellings(KEY))
@pytest.mark.parametrize("around", ["{}", "{}\n", " {} \r\n"])
def test_thirty_two_bytes_are_read_as_base64_and_as_hex(text, around):
    assert from_text(around.format(text), "X").key == KEY


def test_a_generated_one_is_read_and_never_comes_twice():
    made = {generated() for _ in range(20)}
    assert len({from_text(each, "X").key for each in made}) == 20
    assert all(each.isascii() and len(each) == 44 for each in made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "correct horse battery staple",
        "a-password-of-exactly-43-characters-or-so!!",
        "hunter2",
        base64.b64encode(KEY[:31]).decode(),
        base64.b64encode(KEY + b"x").decode(),
        KEY.hex()[:-1],
        "0" * 64,
        "A" * 43 + "=",
        "01" * 32,
        f"{KEY.hex()} {KEY.hex()}",
        f"key: {KEY.hex()}",
    ],
)
def test_anything_else_is_refused_with_the_next_step_and_not_repeated(text):
    with pytest.raises(
        VaultLocked, match=r"^X holds no master key\. .*mcp-hub key generate.*password is none"
    ) as refused:
        from_text(text, "X")
    assert not text or text not in refused.value.public


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with suppress(VaultLocked):
        assert len(from_text(text, "X").key) == 32


@pytest.mark.promise("T62")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o401, 0o410, 0o420])
def test_a_file_that_others_can_open_is_refused(tmp_path, mode):
    file = tmp_path / "key"
    file.write_text(KEY.hex())
    file.chmod(mode)
    with pytest.raises(VaultLocked, match=rf"open to other users .*mode {mode:04o}.*chmod 400"):
        from_file(file, "The file")


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_file_of_ones_own_is_read(tmp_path, mode):
    file = tmp_path / "key"
    file.write_text(KEY.hex() + "\n")
    file.chmod(mode)
    assert from_file(file, "The file").key == KEY


def test_what_is_no_file_is_said_to_be_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "pipe", tmp_path / "absent" / "key", Path()):
        with pytest.raises(VaultLocked, match=r"The file is not a file\. .*key generate"):
            from_file(path, "The file")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe" * 30, b"a" * 5000, KEY])
def test_a_file_that_holds_something_else_is_refused(tmp_path, content):
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_bytes(content)
    with pytest.raises(VaultLocked, match="holds no master key"):
        from_file(file, "The file")


@pytest.mark.promise("T62")
def test_a_file_that_is_made_is_for_this_user_alone_and_leaves_nothing_else(tmp_path):
    before = os.umask(0)
    try:
        make_file(tmp_path / "data" / "master.key", generated())
    finally:
        os.umask(before)
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["master.key"]
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "data", tmp_path / "data" / "master.key")]
    assert modes == [0o700, 0o600]
    from_file(tmp_path / "data" / "master.key", "X")


def test_one_that_is_there_stays(tmp_path):
    file = tmp_path / "master.key"
    make_file(file, generated())
    first = file.read_bytes()
    make_file(file, generated())
    assert file.read_bytes() == first
    assert [each.name for each in tmp_path.iterdir()] == ["master.key"]


def test_processes_that_make_one_at_once_end_with_one(tmp_path):
    file = tmp_path / "data" / "master.key"
    makers = [subprocess.Popen([sys.executable, "-c", MAKE, file]) for _ in range(4)]
    assert [maker.wait(30) for maker in makers] == [0, 0, 0, 0]
    assert [each.name for each in file.parent.iterdir()] == ["master.key"]
    from_file(file, "X")


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    loop = tmp_path / "loop"
    file = tmp_path / "master.key"
    make_file(file, generated())
    with pytest.raises(VaultLocked, match=r"^The file cannot be read: File name too long\. Check"):
        from_file(Path("x" * 5000), "The file")
    loop.symlink_to(loop)
    with pytest.raises(VaultLocked, match=r"^The file is not a file"):
        from_file(loop, "The file")


def test_files_are_exchanged_without_losing_one(tmp_path):
    first, kept, second = tmp_path / "first", tmp_path / "kept", tmp_path / "second"
    first.write_text("old")
    second.write_text("new")
    exchange(first, kept, second)
    assert (first.read_text(), kept.read_text(), second.exists()) == ("new", "old", False)
    with pytest.raises(VaultLocked, match=r"is in force and is in .*second, where the hub finds it\. It could not be"):
        exchange(first, kept, second)
    assert (first.read_text(), kept.read_text()) == ("new", "old")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(VaultLocked, match=r"could not be written to .*master\.key.*MCP_HUB_MASTER_KEY_FILE"):
        make_file(tmp_path / "data" / "master.key", generated())
