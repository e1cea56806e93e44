"""A data key opens under its master key and its own id, and under nothing else."""

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.errors import VaultLocked
from mcp_hub.vault.sealing import Algorithm, Binding, new_key
from mcp_hub.vault.wrapping import Master, Wrapping, WrongMaster, master_id

pytestmark = pytest.mark.promise("T32")

MASTER = Master(bytes(range(32)), "here")
WRAPPING = Wrapping(MASTER)
PLACE = Binding("a", "b", "c")


def test_what_was_wrapped_is_the_same_key_again():
    key = new_key()
    again = WRAPPING.unwrap(key.kid, WRAPPING.wrap(key))
    assert again.open(key.seal(b"secret", PLACE), PLACE) == b"secret"
    assert again.algorithm is key.algorithm


def test_another_master_key_is_told_from_this_one_and_opens_nothing():
    other, key = Master(bytes(32), "there"), new_key()
    wrapped = WRAPPING.wrap(key)
    assert master_id(wrapped) == MASTER.id != other.id
    assert WRAPPING.fits(wrapped)
    assert not Wrapping(other).fits(wrapped)
    with pytest.raises(WrongMaster):
        Wrapping(other).unwrap(key.kid, wrapped)
    relabelled = wrapped[:2] + other.id + wrapped[10:]
    with pytest.raises(WrongMaster):
        Wrapping(other).unwrap(key.kid, relabelled)


def test_a_key_under_the_id_of_another_is_refused():
    one, other = new_key(), new_key()
    with pytest.raises(WrongMaster):
        WRAPPING.unwrap(other.kid, WRAPPING.wrap(one))


@given(st.data())
def test_a_changed_one_is_refused(data):
    key = new_key()
    wrapped = bytearray(WRAPPING.wrap(key))
    wrapped[data.draw(st.integers(0, len(wrapped) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WrongMaster):
        WRAPPING.unwrap(key.kid, bytes(wrapped))


@given(st.binary(max_size=60))
def test_bytes_that_nobody_wrapped_are_refused(noise):
    for found in (noise, b"w1" + MASTER.id + noise):
        with pytest.raises(WrongMaster):
            WRAPPING.unwrap(b"kid!", found)


def test_where_a_computer_cannot_do_the_better_algorithm_the_other_is_used_and_the_first_is_named(monkeypatch):
    of_another_computer = new_key()
    wrapped = WRAPPING.wrap(of_another_computer)

    def missing(key):
        raise UnsupportedAlgorithm("OpenSSL is too old")

    monkeypatch.setattr("mcp_hub.vault.sealing.AESGCMSIV", missing)
    key = new_key()
    assert key.algorithm is Algorithm.GCM
    assert WRAPPING.unwrap(key.kid, WRAPPING.wrap(key)).open(key.seal(b"secret", PLACE), PLACE) == b"secret"
    with pytest.raises(VaultLocked, match=r"AES-256-GCM-SIV, which the OpenSSL .*Nothing was changed"):
        WRAPPING.unwrap(of_another_computer.kid, wrapped)


@pytest.mark.promise("D29")
def test_a_master_key_does_not_show_itself():
    assert repr(MASTER) == "Master(source='here')"
    assert MASTER.id.hex() not in MASTER.key.hex()
