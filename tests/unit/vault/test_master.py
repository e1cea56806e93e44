"""Where the master key comes from, in which order, and when the hub refuses to make one."""

import pytest
from tests.unit.vault.rings import FailingRing, FakeRing, LockedLater, NullRing

from mcp_hub.errors import VaultLocked
from mcp_hub.vault.master import RING, Given, MasterKeys
from mcp_hub.vault.written import from_text, generated

pytestmark = pytest.mark.promise("T32", "D29")

ONE, OTHER = generated(), generated()
ID = b"whatever"


@pytest.fixture
def keys(tmp_path):
    """Makes the sources of a hub; `beside` is in a directory of the test's own."""

    def make(said="auto", ring=None, *, is_private=True, **environ) -> MasterKeys:
        return MasterKeys(said, environ, tmp_path / "master.key", is_private=is_private, ring=lambda: ring)

    return make


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "given"
    path.touch(0o600)
    path.write_text(ONE)
    return path


def test_a_file_that_was_named_comes_before_everything(keys, file, tmp_path):
    given = {"MCP_HUB_MASTER_KEY_FILE": str(file), "MCP_HUB_MASTER_KEY": OTHER}
    master = keys(ring=FakeRing(), **given).made()
    assert master.key == from_text(ONE, "").key
    assert master.source == f"The file {file} (MCP_HUB_MASTER_KEY_FILE)"
    assert list(keys(ring=FakeRing(), **given).held(ID)) == [master]
    assert list(tmp_path.iterdir()) == [file], "and nothing is made"


def test_then_the_variable(keys):
    master = keys(ring=FakeRing(), MCP_HUB_MASTER_KEY=ONE).made()
    assert (master.key, master.source) == (from_text(ONE, "").key, "MCP_HUB_MASTER_KEY")


def test_then_the_keyring_which_gives_the_key_of_each_store_again(keys, tmp_path):
    ring = FakeRing()
    one, other = keys(ring=ring).made(), keys(ring=ring).made()
    assert (one.source, len(ring.kept)) == (RING, 2)
    assert one.key != other.key
    assert list(keys(ring=ring).held(one.id)) == [one]
    assert list(keys(ring=ring).held(ID)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ring", [None, NullRing(), FailingRing(), FakeRing(0)])
def test_then_a_file_beside_the_store_which_is_found_again(keys, tmp_path, ring):
    master = keys(ring=ring).made()
    assert master.source == str(tmp_path / "master.key")
    assert keys(ring=ring).made() == master
    assert list(keys(ring=ring).held(ID)) == [master]


def test_a_keyring_that_appears_later_does_not_take_the_place_of_the_file(keys):
    master = keys().made()
    assert keys(ring=FakeRing()).made() == master
    assert next(keys(ring=FakeRing()).held(ID)) == master


@pytest.mark.parametrize("ring", [None, NullRing(), FailingRing()])
def test_a_hub_that_others_can_reach_makes_no_file(keys, tmp_path, ring):
    with pytest.raises(
        VaultLocked, match=r"others can reach .*mcp-hub key generate.*MCP_HUB_MASTER_KEY_FILE"
    ) as refused:
        keys(ring=ring, is_private=False).made()
    assert "had one" not in refused.value.public
    assert list(tmp_path.iterdir()) == []


def test_nor_does_it_use_the_one_it_made_when_it_was_private_but_names_it(keys, tmp_path):
    keys().made()
    assert list(keys(is_private=False).held(ID)) == []
    with pytest.raises(VaultLocked, match=rf"had one of its own, {tmp_path}/master\.key: move that one"):
        keys(is_private=False).made()


def test_a_hub_that_others_can_reach_may_have_its_key_in_a_keyring(keys):
    assert keys(ring=FakeRing(), is_private=False).made().source == RING


@pytest.mark.parametrize(
    "given", [{"MCP_HUB_MASTER_KEY": ""}, {"MCP_HUB_MASTER_KEY": "hunter2"}, {"MCP_HUB_MASTER_KEY_FILE": ""}]
)
def test_a_key_that_was_given_and_is_none_is_never_passed_over(keys, tmp_path, given):
    for use in (keys(ring=FakeRing(), **given).made, lambda: list(keys(ring=FakeRing(), **given).held(ID))):
        with pytest.raises(VaultLocked, match=next(iter(given))):
            use()
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_was_given_counts_alone_even_where_the_hub_has_one_of_its_own(keys):
    own = keys().made()
    given = keys(MCP_HUB_MASTER_KEY=OTHER)
    assert [each.source for each in given.held(own.id)] == ["MCP_HUB_MASTER_KEY"]
    assert given.made().key != own.key


def test_a_named_file_that_is_missing_is_not_made(keys, tmp_path):
    with pytest.raises(VaultLocked, match=r"absent \(MCP_HUB_MASTER_KEY_FILE\) is not a file"):
        keys(MCP_HUB_MASTER_KEY_FILE=str(tmp_path / "absent"), MCP_HUB_MASTER_KEY=ONE).made()
    with pytest.raises(VaultLocked, match=r"absent \(store\.key\) is not a file"):
        keys(f"file:{tmp_path}/absent").made()
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_may_name_the_file(keys, file):
    assert keys(f"file:{file}", MCP_HUB_MASTER_KEY=OTHER).made().key == from_text(ONE, "").key


def test_the_configuration_may_leave_only_the_environment(keys):
    with pytest.raises(VaultLocked, match=r"'store\.key' is env, and neither MCP_HUB_MASTER_KEY_FILE nor"):
        keys("env", FakeRing()).made()
    assert keys("env", MCP_HUB_MASTER_KEY=ONE).made().source == "MCP_HUB_MASTER_KEY"


def test_or_only_the_keyring(keys):
    ring = FakeRing()
    master = keys("keyring", ring, MCP_HUB_MASTER_KEY=ONE).made()
    assert master.source == RING
    assert list(keys("keyring", ring, MCP_HUB_MASTER_KEY=ONE).held(master.id)) == [master]
    with pytest.raises(VaultLocked, match=r"'store\.key' is keyring, and this user has none"):
        keys("keyring", NullRing()).made()


def test_a_keyring_that_keeps_the_probe_alone_is_not_believed(keys):
    with pytest.raises(VaultLocked, match="did not keep a new master key"):
        keys(ring=LockedLater()).made()


def test_one_that_is_given_is_the_only_one():
    master = from_text(ONE, "X")
    assert Given(master).made() == master
    assert list(Given(master).held(ID)) == [master]


def test_a_key_in_a_keyring_is_renewed_there_and_both_are_found(keys, tmp_path):
    ring = FakeRing()
    old = keys(ring=ring).made()
    new = keys(ring=ring).renewed(old)
    assert new.key != old.key
    assert keys(ring=ring).settle(old, new) == RING
    for each in (old, new):
        assert list(keys(ring=ring).held(each.id)) == [each]
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_was_given_is_renewed_by_whoever_gave_it(keys, file):
    given = keys(MCP_HUB_MASTER_KEY_FILE=str(file))
    with pytest.raises(VaultLocked, match=r"comes from outside .*MCP_HUB_NEW_MASTER_KEY"):
        given.renewed(given.made())


def test_a_store_of_before_is_opened_with_the_key_of_before(keys, tmp_path):
    old = keys().made()
    new = keys().renewed(old)
    keys().settle(old, new)
    assert [each.key for each in keys().held(new.id)] == [new.key]
    assert [each.key for each in keys().held(old.id)] == [new.key, old.key]
    assert (tmp_path / f"master-{old.id.hex()}.key").exists()
