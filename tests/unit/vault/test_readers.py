"""Who may open a file: by its mode, and by an access control list where there is one."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.vault.readers import is_open_to_others, lets_others

pytestmark = pytest.mark.promise("T32", "T62")

ME, SOMEBODY, NOBODY = 1000, 1001, 0xFFFFFFFF
OWNER, USER, GROUP, NAMED_GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


def listed(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


SYSTEMD = ((OWNER, 4, NOBODY), (USER, 4, ME), (GROUP, 0, NOBODY), (MASK, 4, NOBODY), (OTHER, 0, NOBODY))


def test_a_list_that_names_this_user_alone_lets_nobody_else_in():
    assert not lets_others(listed(*SYSTEMD), ME)
    assert not lets_others(listed(*SYSTEMD, (USER, 6, 0)), ME)


@pytest.mark.parametrize(
    "entry", [(USER, 4, SOMEBODY), (USER, 2, SOMEBODY), (GROUP, 4, NOBODY), (NAMED_GROUP, 4, 7), (OTHER, 4, NOBODY)]
)
def test_one_that_names_anybody_else_does(entry):
    assert lets_others(listed(*SYSTEMD, entry), ME)
    without_rights = (entry[0], 0, entry[2])
    assert not lets_others(listed(*SYSTEMD, without_rights), ME)


@pytest.mark.parametrize("broken", [b"", b"\x02\0\0\0", listed(*SYSTEMD)[:-1], b"\x03\0\0\0" + listed(*SYSTEMD)[4:]])
def test_one_that_cannot_be_read_counts_as_open(broken):
    assert lets_others(broken, ME)


@given(st.binary(max_size=60))
def test_any_bytes_get_an_answer(noise):
    assert lets_others(noise, ME) in (True, False)


def test_a_file_shared_the_way_systemd_does_it_is_taken_and_one_of_a_group_is_not(tmp_path):
    file = tmp_path / "credential"
    file.touch(0o400)
    others = ((OWNER, 4, NOBODY), (USER, 4, os.geteuid()), (GROUP, 0, NOBODY), (MASK, 4, NOBODY), (OTHER, 0, NOBODY))
    with file.open() as opened:
        assert not is_open_to_others(opened.fileno(), file.stat().st_mode & 0o777)
        file.chmod(0o440)
        assert is_open_to_others(opened.fileno(), 0o440)
        file.chmod(0o400)
        os.setxattr(file, "system.posix_acl_access", listed(*others))
        assert file.stat().st_mode & 0o777 == 0o440, "the mask shows as the group"
        assert not is_open_to_others(opened.fileno(), 0o440)
